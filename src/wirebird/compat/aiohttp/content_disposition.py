"""`Content-Disposition`, read as aiohttp reads it (RFC 6266, RFC 2231): leniently, with a warning for what is wrong.

Different: a file name in quotes may hold any number of semicolons, and the time is linear whatever is sent.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

__all__ = [
    "BadContentDispositionHeader",
    "BadContentDispositionParam",
    "content_disposition_filename",
    "parse_content_disposition",
]

_is_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_continuation = re.compile(r"[^*]*\*[0-9]+\*?").fullmatch
_quoted = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL).match
_stop = re.compile(r'[;"]').search
_escaped = re.compile(r"\\([\x00-\x7f])")
# What has to be looked at is bounded here, and not by whoever sent it.
_MOST_PIECES = 100


class BadContentDispositionHeader(RuntimeWarning):
    """A `Content-Disposition` field that says nothing, for it is broken."""


class BadContentDispositionParam(RuntimeWarning):
    """A parameter of a `Content-Disposition` field that says nothing, for it is broken."""


def parse_content_disposition(header: str | None) -> tuple[str | None, dict[str, str]]:
    """The type, in lower case, and the parameters of a `Content-Disposition` field; `(None, {})` for one that is broken."""
    if not header:
        return None, {}
    items = _items(header)
    kind = next(items).strip()
    parameters: dict[str, str] = {}
    broken = not _is_token(kind)
    for item in () if broken else items:
        if not item:
            warnings.warn(BadContentDispositionHeader(header), stacklevel=2)
            continue
        key, equals, value = item.partition("=")
        key = key.lower().strip()
        value = value.lstrip()
        if not equals or key in parameters:
            broken = True
            break
        if not _is_token(key):
            warnings.warn(BadContentDispositionParam(item), stacklevel=2)
            continue
        if (special := _is_continuation(key) is not None) or key.endswith("*"):
            read = _continued(value) if special else _extended(value)
            if read is None:
                warnings.warn(BadContentDispositionParam(item), stacklevel=2)
                continue
        else:
            read = _plain(value)
            if read is None:
                broken = True
                break
        parameters[key] = read
    if broken:
        warnings.warn(BadContentDispositionHeader(header), stacklevel=2)
        return None, {}
    return kind.lower(), parameters


def _items(header: str) -> Iterator[str]:
    """What stands between semicolons that are in no quotes.  A quotation mark without its second one is a character."""
    begin = at = 0
    closed = True
    for _ in range(_MOST_PIECES):
        found = _stop(header, at)
        if found is None:
            break
        at = found.end()
        if found[0] == ";":
            yield header[begin : at - 1]
            begin = at
        elif closed:
            quoted = _quoted(header, at - 1)
            if quoted is None:
                closed = False  # and so is no other one behind it
            else:
                at = quoted.end()
    yield header[begin:]


def _continued(value: str) -> str | None:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return _unescaped(value[1:-1])
    return value if _is_token(value) else None


def _extended(value: str) -> str | None:
    """RFC 5987: charset'language'percent-encoded."""
    if not _is_token(value) or value.count("'") != 2:
        return None
    charset, _, text = value.split("'")
    return _decoded(text, charset)


def _plain(value: str) -> str | None:
    stripped = value.rstrip()
    if len(stripped) >= 2 and stripped[0] == stripped[-1] == '"':
        return _unescaped(stripped[1:-1].lstrip("\\/"))
    return value if _is_token(value) else None


def _unescaped(text: str) -> str:
    return _escaped.sub(r"\1", text)


def _decoded(text: str, charset: str) -> str | None:
    """Percent-encoded text; None if it is not of that charset, or there is no such charset."""
    try:
        return unquote(text, charset or "utf-8", "strict")
    except (LookupError, ValueError):
        return None


def content_disposition_filename(params: Mapping[str, str], name: str = "filename") -> str | None:
    """The parameter `name`: as `name*` if it is there so, else plain, else put together from `name*0`, `name*1`, … (RFC 2231)."""
    if not params:
        return None
    for key in (f"{name}*", name):
        if key in params:
            return params[key]
    parts: list[str] = []
    while (number := len(parts)) < _MOST_PIECES:
        part = params.get(f"{name}*{number}", params.get(f"{name}*{number}*"))
        if part is None:
            break
        parts.append(part)
    if not parts:
        return None
    value = "".join(parts)
    if "'" not in value:
        return value
    charset, _, rest = value.partition("'")
    _, apostrophe, text = rest.partition("'")
    return _decoded(text, charset) if apostrophe else value
