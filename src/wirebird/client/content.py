"""What a caller passes as a body, made into one: `data`, `json` or `files`, and the `Content-Type` that goes with it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Mapping
from typing import Any

from ..errors import UsageError
from ..models.form_encoding import field_bytes, urlencode_form
from ..models.message import Body
from .forms import MultipartForm, make_form
from .response import HttpResponse
from .response_source import ResponseSource
from .sources import is_file, make_source
from .upload import Upload, UploadBody

__all__ = ["make_content"]


def make_content(
    data: Any, json: Any, files: Any, multipart: bool, json_serializer: Callable[[Any], str | bytes]
) -> tuple[bytes | Body | None, str | None]:
    """The body and its default `Content-Type`, each None if there is none.

    Raises `UsageError` for more than one of `data`, `json` and `files`, and for a value of a type that cannot be sent.
    """
    if (data is not None) + (json is not None) + (files is not None) > 1:
        given = [name for name, value in (("data", data), ("json", json), ("files", files)) if value is not None]
        raise UsageError(f"{given[0]} and {given[1]} are both given, and a request has one body", argument=given[1])
    if multipart and json is not None:
        raise UsageError("multipart is for data, and json is given", argument="multipart")
    if json is not None:
        return _json_bytes(json, json_serializer), "application/json"
    if files is not None:
        return _form(make_form(None, files))
    if multipart and not isinstance(data, MultipartForm):
        if not isinstance(data, Mapping | list | tuple):
            raise UsageError(f"multipart needs data as a dict or pairs, not {type(data).__name__}", argument="data")
        return _form(make_form(data))
    return _data(data)


def _data(data: Any) -> tuple[bytes | Body | None, str | None]:
    if data is None:
        return None, None
    if isinstance(data, bytes):
        return data, "application/octet-stream" if data else None
    if isinstance(data, bytearray | memoryview):
        return bytes(data), "application/octet-stream"
    if isinstance(data, str):
        return field_bytes(data, "data"), "text/plain; charset=utf-8"
    if isinstance(data, MultipartForm):
        return _form(data)
    if isinstance(data, Upload):
        inner, kind = _data(data.data)
        return UploadBody(data, inner if inner is not None else b""), kind
    if isinstance(data, HttpResponse):
        return ResponseSource(data), data.headers.get("content-type", "application/octet-stream")
    if isinstance(data, Mapping | list | tuple):
        pairs = list(data.items() if isinstance(data, Mapping) else data)
        if any(_holds_file(pair[1]) for pair in pairs if isinstance(pair, tuple | list) and len(pair) == 2):
            return _form(make_form(pairs))
        return urlencode_form(pairs), "application/x-www-form-urlencoded"
    if isinstance(data, bool | int | float):
        raise UsageError(f"data must be bytes, text, a form, a file or an iterator, not {type(data).__name__}", argument="data")
    if is_file(data) or isinstance(data, AsyncIterable) or hasattr(data, "__iter__") or hasattr(data, "__next__"):
        return make_source(data, "data"), "application/octet-stream"
    raise UsageError(f"data must be bytes, text, a form, a file or an iterator, not {type(data).__name__}", argument="data")


def _holds_file(value: Any) -> bool:
    return is_file(value) or (isinstance(value, list | tuple) and any(map(is_file, value)))


def _form(form: MultipartForm) -> tuple[Body, str]:
    return form, form.get_headers()["Content-Type"]


def _json_bytes(value: Any, serializer: Callable[[Any], str | bytes]) -> bytes:
    try:
        text = serializer(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"json cannot be serialised: {error}", argument="json") from error
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes):
        return text
    raise UsageError(f"json_serializer must give str or bytes, not {type(text).__name__}", argument="json_serializer")
