"""`aiohttp.FormData`: a form, sent as urlencoded or as multipart/form-data (RFC 7578), whichever its fields need."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from multidict import MultiDict, MultiDictProxy

from ...models.headers import check_value
from . import hdrs
from .helpers import guess_filename
from .multipart_writer import MultipartWriter
from .payload import BytesPayload, Payload, get_payload

__all__ = ["FormData"]


class FormData:
    """A form.

    fields                pairs, a dict, or open files, as for `add_fields`
    quote_fields          percent-encode file names, and names that are not ASCII
    charset               of the names and values; utf-8 unless given
    default_to_multipart  send it as multipart/form-data though no field needs that

    A field with a file, bytes, a file name or a content type needs multipart/form-data; else the form is urlencoded.  Calling
    the form gives the payload.  Raises `wirebird.InvalidHeader`, a `ValueError`, for CR, LF, NUL and other controls in a name,
    a file name or a content type.
    """

    def __init__(
        self,
        fields: Iterable[Any] = (),
        quote_fields: bool = True,
        charset: str | None = None,
        *,
        default_to_multipart: bool = False,
    ) -> None:
        self._writer = MultipartWriter("form-data")
        self._fields: list[tuple[dict[str, str], dict[str, str], Any]] = []
        self._is_multipart = default_to_multipart
        self._quote_fields = quote_fields
        self._charset = charset
        if isinstance(fields, dict):
            fields = list(fields.items())
        elif not isinstance(fields, (list, tuple)):
            fields = (fields,)
        self.add_fields(*fields)

    @property
    def is_multipart(self) -> bool:
        """Whether it is sent as multipart/form-data."""
        return self._is_multipart

    def add_field(
        self,
        name: str,
        value: Any,
        *,
        content_type: str | None = None,
        filename: str | None = None,
        content_transfer_encoding: str | None = None,
    ) -> None:
        """Add a field: text, bytes, an open file, an async iterable, or whatever else a payload class stands for.

        Bytes without `filename` are sent as a file with the name of the field.  `content_transfer_encoding` is not sent: it may
        not be in a form (RFC 7578 4.7); it only has the form sent as multipart/form-data.
        """
        if isinstance(value, io.IOBase):
            self._is_multipart = True
            if filename is None:
                filename = guess_filename(value, name)
        elif isinstance(value, (bytes, bytearray, memoryview)) and filename is None and content_transfer_encoding is None:
            filename = name
        disposition = {"name": check_value(name, "name")}
        headers: dict[str, str] = {}
        if filename is not None:
            disposition["filename"] = check_value(_text(filename, "filename"), "filename")
            self._is_multipart = True
        if content_type is not None:
            headers[hdrs.CONTENT_TYPE] = check_value(_text(content_type, "content_type"), "content_type")
            self._is_multipart = True
        if content_transfer_encoding is not None:
            _text(content_transfer_encoding, "content_transfer_encoding")
            self._is_multipart = True
        self._fields.append((disposition, headers, value))

    def add_fields(self, *fields: Any) -> None:
        """Add open files, mappings of the multidict kind, and pairs of a name and a value.  Raises `TypeError` for others."""
        pending = list(fields)
        for field in pending:
            if isinstance(field, io.IOBase):
                self.add_field(guess_filename(field, "unknown") or "unknown", field)
            elif isinstance(field, (MultiDictProxy, MultiDict)):
                pending.extend(field.items())  # behind the others, as aiohttp does
            elif isinstance(field, (list, tuple)) and len(field) == 2:
                self.add_field(*field)
            else:
                raise TypeError(
                    "Only io.IOBase, multidict and (name, file) pairs allowed, use .add_field() for passing more complex "
                    f"parameters, got {field!r}"
                )

    def _gen_form_urlencoded(self) -> BytesPayload:
        charset = self._charset if self._charset is not None else "utf-8"
        content_type = "application/x-www-form-urlencoded"
        if charset != "utf-8":
            content_type += f"; charset={charset}"
        pairs = [(disposition["name"], value) for disposition, _, value in self._fields]
        return BytesPayload(urlencode(pairs, doseq=True, encoding=charset).encode(), content_type=content_type)

    def _gen_form_data(self) -> MultipartWriter:
        for disposition, headers, value in self._fields:
            given = {"content_type": headers[hdrs.CONTENT_TYPE]} if headers else {}
            try:
                part = get_payload(value, headers=headers, encoding=self._charset, **given)
            except Exception as error:
                raise TypeError(f"Can not serialize value type: {type(value)!r}\n headers: {headers!r}") from error
            part.set_content_disposition("form-data", quote_fields=self._quote_fields, **disposition)
            part.headers.popall(hdrs.CONTENT_LENGTH, None)
            self._writer.append_payload(part)
        self._fields.clear()
        return self._writer

    def __call__(self) -> Payload:
        """The payload.  That of a multipart form is the same one each time, and takes in fields that were added meanwhile."""
        return self._gen_form_data() if self._is_multipart else self._gen_form_urlencoded()


def _text(value: Any, argument: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be an instance of str. Got: {value}")
    return value
