"""A request as a command for a POSIX-like shell: curl, with the same method, target, fields and body.

What curl would add of its own (User-Agent, Accept, Content-Type, Expect) is taken away where the request has none.  Words with
anything but printable characters are written as `$'…'`, which bash, zsh and ksh read; a body with a NUL, or one too long for an
argument, comes from `printf` through a pipe.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import UsageError
from .headers import HttpHeaders, check_token, encode_fields
from .redaction import HideLike, hidden_field, hidden_params, read_hide

if TYPE_CHECKING:
    from .url import Destination

__all__ = ["curl_command"]

# The longest word that Linux takes is 128 KiB; the rest of the command must fit beside it.
_LONGEST_WORD: Final = 65536

# RFC 9110 8.6: sent with `Content-Length: 0` when they have no body.
_EXPECT_CONTENT: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_not_plain = re.compile(rb"[^\x20-\x26\x28-\x5b\x5d-\x7e]")


class SizedBody(Protocol):
    """What a command needs to know of a body that is not simply bytes; it may have a `path` too."""

    def size(self) -> int | None:
        """Its length in bytes, None if it is not known."""


def curl_command(
    method: str, where: Destination, headers: HttpHeaders, body: bytes | SizedBody | None, verify: bool, hide: HideLike
) -> str:
    """The command for a request of these parts; `verify` is False if any certificate will do.  See `Request.to_curl`."""
    names = read_hide(hide)
    check_token(method, "method")
    encode_fields(headers.items())  # what may not be sent could be more than a field to curl
    url = f"{where.scheme}://{where.authority}{hidden_params(where.target, names)}"
    words = ["curl", "--http1.1"]
    if any(character in url for character in "[]{}"):
        words.append("--globoff")
    if "/." in where.target:
        words.append("--path-as-is")
    if not verify:
        words.append("--insecure")
    if "accept-encoding" in headers:
        words.append("--compressed")
    pipe = ""
    if body is None and method in _EXPECT_CONTENT and "transfer-encoding" not in headers:
        body = b""
    if body is None:
        words += ["--head"] if method == "HEAD" else [] if method == "GET" else ["--request", _word(method)]
    else:
        words += ["--request", _word(method)]
    words += _fields(headers, names, body is not None)
    if isinstance(body, bytes):
        pipe, data = _data(body, headers, names)
        words += data
    elif body is not None:
        path = getattr(body, "path", None)
        if path is None and "transfer-encoding" not in headers and not _is_sized(body):
            words += ["--header", "'Transfer-Encoding: chunked'"]
        words += ["--data-binary", _word(f"@{path or '-'}")]
    return f"{pipe}{' '.join([*words, _word(url)])}"


def _is_sized(body: SizedBody) -> bool:
    """Whether the body was, or will be, sent with a length; one that is used up may not say."""
    try:
        return body.size() is not None
    except UsageError:
        return True


def _fields(headers: HttpHeaders, names: frozenset[str], with_body: bool) -> list[str]:
    words = []
    for name, value in headers.items():
        if name.lower() == "content-length" and with_body:
            continue  # curl counts for itself
        value = hidden_field(name, value, names)
        words += ["--header", _word(f"{name}: {value}" if value.strip(" \t") else f"{name};")]
    own = ["User-Agent", "Accept"] + (["Content-Type", "Expect"] if with_body else [])
    for name in own:
        if name.lower() not in headers:
            words += ["--header", _word(f"{name}:")]
    return words


def _data(body: bytes, headers: HttpHeaders, names: frozenset[str]) -> tuple[str, list[str]]:
    """What comes in front of the command, and the words that name the body."""
    kind = headers.get("content-type", "").lower()
    if kind.startswith("application/x-www-form-urlencoded") and body.isascii():
        body = hidden_params(body.decode(), names).encode()
    if b"\0" in body or len(body) > _LONGEST_WORD:
        return f"printf -- {_quoted(body, percent=b'%%', octal=True)} | ", ["--data-binary", "@-"]
    try:
        return "", ["--data-raw", _word(body.decode())]
    except UnicodeDecodeError:
        return "", ["--data-raw", f"${_quoted(body)}"]


def _word(text: str) -> str:
    return shlex.quote(text) if text.isprintable() else f"${_quoted(text.encode(errors='surrogateescape'))}"


def _quoted(data: bytes, percent: bytes = b"%", octal: bool = False) -> str:
    """In single quotes, what is not plain as `\\ooo` for `printf`, as `\\xhh` for `$'…'`."""
    form = b"\\%03o" if octal else b"\\x%02x"
    plain = _not_plain.sub(lambda found: form % found[0][0], data)
    return f"'{plain.replace(b'%', percent).decode()}'"
