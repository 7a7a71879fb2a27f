"""Header fields: the multimap, and the one validator for every string that goes on the wire (RFC 9110 5, RFC 9112 5).

Field names are tokens; field values hold no control character but HTAB.  Nothing is stripped or replaced: what may not be sent
raises `InvalidHeader` before a byte leaves.  Values are sent as UTF-8, and read as UTF-8 where they are that and as ISO-8859-1
where they are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from multidict import CIMultiDict

from ..errors import InvalidHeader

__all__ = ["HeadersLike", "HttpHeaders", "add_vary", "check_token", "check_value", "decode_fields", "encode_fields", "split_list"]

HeadersLike: TypeAlias = "Mapping[str, str] | Iterable[tuple[str, str]]"

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_TEXT = r"[^\x00-\x08\x0a-\x1f\x7f]"
_is_token = re.compile(_TOKEN + "+").fullmatch
_is_value = re.compile(_TEXT + "*").fullmatch
_control = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
_is_block = re.compile(f"(?:{_TOKEN}++\0{_TEXT}*+\r\n)*+").fullmatch
# Linear whatever is sent: every step is possessive, and white space is kept only if more text follows it.
_FIELD = r"([^:\r\n]++):[ \t]*+((?:[^ \t\r\n]++|[ \t]++(?![ \t\r]))*+)[ \t]*+\r\n"
_field_text = re.compile(_FIELD)
_field_bytes = re.compile(_FIELD.encode())


class HttpHeaders(CIMultiDict[str]):
    """A case-insensitive multi-mapping of header fields that keeps their order and spelling.

    `headers[name]` and `headers.get(name)` give the first value, `get_list(name)` all of them; `add(name, value)` appends.
    Built from a mapping, an iterable of pairs, or keywords.
    """

    def __init__(self, data: HeadersLike | None = None, /, **fields: str) -> None:
        super().__init__(data if data is not None else (), **fields)

    def get_list(self, name: str) -> list[str]:
        """Every value of `name` in order of arrival, an empty list if there is none."""
        return self.getall(name, [])


def check_token(text: str, argument: str) -> str:
    """Return `text` if it is a token (RFC 9110 5.6.2), else raise `InvalidHeader` naming `argument`."""
    if not isinstance(text, str) or not _is_token(text):
        raise InvalidHeader(f"{argument} must be a token (RFC 9110 5.6.2), not {text!r}", argument=argument)
    return text


def check_value(text: str, argument: str) -> str:
    """Return `text` if it may stand in a field value (RFC 9110 5.5), else raise `InvalidHeader` naming `argument`."""
    if not isinstance(text, str) or not _is_value(text):
        # A value may be a credential, say one that was read from a file with its line break: it is not quoted.
        found = _control(text) if isinstance(text, str) else None
        is_now = f"and has {found[0]!r} at {found.start()}" if found else f"not {type(text).__name__}"
        raise InvalidHeader(f"{argument} must be text without control characters (RFC 9110 5.5), {is_now}", argument=argument)
    return text


def encode_fields(fields: Iterable[tuple[str, str]], argument: str = "headers") -> bytes:
    """The field lines as bytes, each with its CRLF; validated here and nowhere else.

    Raises `InvalidHeader` for a name that is no token, or a value that is not text or holds CR, LF, NUL or another control.
    """
    try:
        lines = [name + "\0" + value + "\r\n" for name, value in fields]
        block = "".join(lines)
        # NUL, which neither may hold, keeps a colon in a name from being the separator; the count keeps a CRLF in a value from
        # passing as the end of one field and the start of another.
        if _is_block(block) and block.count("\n") == len(lines):
            return block.replace("\0", ": ").encode()
    except (TypeError, UnicodeEncodeError):
        pass
    for name, value in fields:
        check_token(name, f"{argument} name")
        check_value(value, f"{argument}[{name!r}]")
    raise InvalidHeader(f"{argument} must hold text that UTF-8 can encode", argument=argument)


def split_fields(block: bytes) -> list[tuple[bytes, bytes]]:
    """The pairs of a validated block of field lines, as they arrived, optional white space around values removed."""
    return _field_bytes.findall(block)


def decode_fields(block: bytes) -> HttpHeaders:
    """The fields of a validated block as text."""
    try:
        text = block.decode()
    except UnicodeDecodeError:
        return HttpHeaders([(name.decode("latin-1"), decode_value(value)) for name, value in split_fields(block)])
    return HttpHeaders(_field_text.findall(text))


def decode_value(value: bytes) -> str:
    """One field value as text: UTF-8 if it is that, else ISO-8859-1, so that no byte is lost."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def split_list(value: str) -> list[str]:
    """The lower-cased members of a comma-separated list of tokens (RFC 9110 5.6.1), empty members left out."""
    return [member for part in value.split(",") if (member := part.strip(" \t").lower())]


def add_vary(headers: HttpHeaders, name: str) -> None:
    """Say that the response with these `headers` depends on the request's field `name` (RFC 9110 12.5.5), unless it is said."""
    there = [member for value in headers.get_list("vary") for member in split_list(value)]
    if name.lower() not in there and "*" not in there:
        headers.add("Vary", name)
