"""multipart/form-data, the writer's half: the bytes around the parts (RFC 7578, RFC 2046 5.1.1, WHATWG HTML 4.10.21.8).

    --boundary CRLF  Content-Disposition: form-data; name="…"; filename="…" CRLF  …headers… CRLF CRLF  data CRLF   for each part
    --boundary-- CRLF                                                                                              at the end

The CRLF behind the data belongs to the delimiter that follows, and the last part has it too.  Names are UTF-8 as they are; a
quotation mark in them is %22.  A control character in them is refused rather than escaped: it is a mistake or an attack.
The caller chooses the boundary, from 128 random bits, so that no data can hold it.
"""

from __future__ import annotations

import re

from ..errors import InvalidHeader
from ..models.headers import HeadersLike, HttpHeaders, check_token, check_value, encode_fields

__all__ = ["PART_END", "check_boundary", "closing_delimiter", "multipart_type", "part_head"]

PART_END = b"\r\n"
"""What follows the data of every part."""

_is_boundary = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]").fullmatch  # RFC 2046 5.1.1
_is_plain = re.compile(r"[0-9A-Za-z'+_\-.]+").fullmatch  # those that are a token as well


def check_boundary(boundary: str) -> str:
    """Return `boundary` if it is one (RFC 2046 5.1.1: 1 to 70 characters), else raise `InvalidHeader`."""
    if not isinstance(boundary, str) or not _is_boundary(boundary):
        raise InvalidHeader(f"boundary must be 1 to 70 bchars (RFC 2046 5.1.1), not {boundary!r}", argument="boundary")
    return boundary


def multipart_type(boundary: str, subtype: str = "form-data") -> str:
    """The value of Content-Type for a body with this boundary, quoted where a token would not do."""
    check_boundary(boundary)
    check_token(subtype, "subtype")
    return f"multipart/{subtype}; boundary={boundary}" if _is_plain(boundary) else f'multipart/{subtype}; boundary="{boundary}"'


def part_head(
    boundary: str,
    name: str,
    *,
    filename: str | None = None,
    content_type: str | None = None,
    default_type: str | None = None,
    headers: HeadersLike | None = None,
) -> bytes:
    """The delimiter in front of a part and the part's header fields, up to and with the empty line.

    `default_type` is the Content-Type of a part that has none from `content_type` or `headers`.

    Raises `InvalidHeader` naming the argument for controls (CR, LF and NUL among them) in `name`, `filename`, `content_type`
    or `headers`, and for headers that say again what the other arguments say.
    """
    disposition = f'form-data; name="{_quoted(name, "name")}"'
    if filename is not None:
        disposition += f'; filename="{_quoted(filename, "filename")}"'
    fields = [("Content-Disposition", disposition)]
    if content_type is not None:
        if not check_value(content_type, "content_type"):
            raise InvalidHeader("content_type must not be empty", argument="content_type")
        fields.append(("Content-Type", _encodable(content_type, "content_type")))
    more = _pairs(headers) if headers is not None else []
    names = {check_token(field, "headers name").lower() for field, _ in more}
    if "content-disposition" in names or (content_type is not None and "content-type" in names):
        raise InvalidHeader(
            "headers must not hold what other arguments say: Content-Disposition, Content-Type", argument="headers"
        )
    if content_type is None and default_type is not None and "content-type" not in names:
        fields.append(("Content-Type", default_type))
    delimiter = b"--%b\r\n" % check_boundary(boundary).encode()
    return b"%b%b%b\r\n" % (delimiter, encode_fields(fields, "content_type"), encode_fields(more, "headers"))


def closing_delimiter(boundary: str) -> bytes:
    """The end of the body."""
    return b"--%b--\r\n" % check_boundary(boundary).encode()


def _pairs(headers: HeadersLike) -> list[tuple[str, str]]:
    try:
        return list(HttpHeaders(headers).items())
    except (TypeError, ValueError) as error:
        raise InvalidHeader(f"headers must be a mapping or pairs of str: {error}", argument="headers") from error


def _quoted(text: str, argument: str) -> str:
    return _encodable(check_value(text, argument), argument).replace('"', "%22")


def _encodable(text: str, argument: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidHeader(f"{argument} must be text that UTF-8 can encode", argument=argument) from error
    return text
