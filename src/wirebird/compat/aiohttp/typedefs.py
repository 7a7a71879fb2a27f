"""`aiohttp.typedefs`: what may be passed where, for annotations; and the functions that JSON is written and read with."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from multidict import istr
from yarl import URL, Query

if TYPE_CHECKING:
    from http.cookies import BaseCookie, Morsel

__all__ = [
    "DEFAULT_JSON_DECODER",
    "DEFAULT_JSON_ENCODER",
    "Byteish",
    "Handler",
    "JSONBytesEncoder",
    "JSONDecoder",
    "JSONEncoder",
    "LooseCookies",
    "LooseCookiesIterables",
    "LooseCookiesMappings",
    "LooseHeaders",
    "Middleware",
    "PathLike",
    "Query",
    "RawHeaders",
    "StrOrURL",
]

DEFAULT_JSON_ENCODER = json.dumps
DEFAULT_JSON_DECODER = json.loads

Byteish: TypeAlias = bytes | bytearray | memoryview
JSONEncoder: TypeAlias = Callable[[Any], str]
JSONBytesEncoder: TypeAlias = Callable[[Any], bytes]
JSONDecoder: TypeAlias = Callable[[str], Any]
LooseHeaders: TypeAlias = Mapping[str, str] | Mapping[istr, str] | Iterable[tuple[str | istr, str]]
RawHeaders: TypeAlias = tuple[tuple[bytes, bytes], ...]
StrOrURL: TypeAlias = str | URL
LooseCookiesMappings: TypeAlias = "Mapping[str, str | BaseCookie[str] | Morsel[Any]]"
LooseCookiesIterables: TypeAlias = "Iterable[tuple[str, str | BaseCookie[str] | Morsel[Any]]]"
LooseCookies: TypeAlias = "LooseCookiesMappings | LooseCookiesIterables | BaseCookie[str]"
Handler: TypeAlias = Callable[[Any], Awaitable[Any]]
Middleware: TypeAlias = Callable[[Any, Handler], Awaitable[Any]]
PathLike: TypeAlias = "str | os.PathLike[str]"
