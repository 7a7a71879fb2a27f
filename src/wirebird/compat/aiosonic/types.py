"""`aiosonic.types`: what may be passed as parameters and as a body."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from .multipart import MultipartForm

__all__ = ["BodyType", "DataType", "ParamsType", "ParsedBodyType"]

ParamsType: TypeAlias = Mapping[str, Any] | Sequence[tuple[str, Any]] | str
DataType: TypeAlias = str | bytes | dict[Any, Any] | tuple[Any, ...] | AsyncIterator[bytes] | Iterator[bytes] | MultipartForm
BodyType: TypeAlias = str | bytes | AsyncIterator[bytes] | Iterator[bytes]
ParsedBodyType: TypeAlias = bytes | AsyncIterator[bytes] | Iterator[bytes]
