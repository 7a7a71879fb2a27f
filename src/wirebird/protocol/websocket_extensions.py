"""The grammar of Sec-WebSocket-Extensions, for offers and for answers (RFC 6455 9.1).

    permessage-deflate; client_max_window_bits; server_max_window_bits="10", x-other

Names are tokens and are compared without case; a quoted value must be a token once its quotes are off.  The list is read from
left to right by patterns that never step back, so the time is linear whatever is sent.  What does not follow the grammar fails
the handshake, as the RFC demands: there is no telling what was meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from ..errors import ProtocolError

__all__ = ["EXTENSIONS", "Extension", "is_token", "parse_extensions"]

EXTENSIONS: Final = "Sec-WebSocket-Extensions"
"""The name of the field."""

_SHOWN: Final = 60
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_separators = re.compile(r"[ \t,]*+").match
_name = re.compile(rf"({_TOKEN})[ \t]*+(?=[,;]|\Z)").match
_end = r"[ \t]*+(?=[,;]|\Z)"
_parameter = re.compile(rf";[ \t]*+({_TOKEN})[ \t]*+(?:=[ \t]*+(?:({_TOKEN})|\"((?:[^\"\\]|\\.)++)\"))?+{_end}", re.DOTALL).match
_escaped = re.compile(r"\\(.)", re.DOTALL)
_token = re.compile(_TOKEN).fullmatch


class Extension(NamedTuple):
    """One extension of the list: `name` and the names of `parameters` in lower case; a parameter may lack a value."""

    name: str
    parameters: list[tuple[str, str | None]]


def parse_extensions(fields: Iterable[str], error: type[ProtocolError]) -> list[Extension]:
    """The extensions in all values of the field, in order, repeated ones too.  Raises `error` for what breaks the grammar."""
    return [extension for text in fields for extension in _extensions(text, error)]


def is_token(text: str) -> bool:
    """Whether `text`, off the wire, is a token (RFC 9110 5.6.2)."""
    return _token(text) is not None


def _extensions(text: str, error: type[ProtocolError]) -> list[Extension]:
    found: list[Extension] = []
    at = _skip(text, 0)
    while at < len(text):
        match = _name(text, at)
        if match is None:
            raise _malformed(text, at, error)
        name = match[1].lower()
        parameters: list[tuple[str, str | None]] = []
        at = match.end()
        while text.startswith(";", at):
            match = _parameter(text, at)
            if match is None:
                raise _malformed(text, at, error)
            parameter, value, quoted = match.groups()
            if quoted is not None:
                value = _escaped.sub(r"\1", quoted)
                if not is_token(value):
                    raise _malformed(text, at, error)
            parameters.append((parameter.lower(), value))
            at = match.end()
        found.append(Extension(name, parameters))
        at = _skip(text, at)
    return found


def _skip(text: str, at: int) -> int:
    found = _separators(text, at)
    return found.end() if found is not None else at


def _malformed(text: str, at: int, error: type[ProtocolError]) -> ProtocolError:
    return error(f"a malformed {EXTENSIONS} field: {text[at : at + _SHOWN]!r}")
