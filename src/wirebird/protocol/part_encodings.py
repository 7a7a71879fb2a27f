"""`Content-Transfer-Encoding` of a part of a multipart body: base64 and quoted-printable taken off as it arrives (RFC 2045 6).

Forms should not use it any more (RFC 7578 4.7), and no browser does; mail gateways and old libraries still do.  It is read to the
letter: what is not of the alphabet, or stops half way, is an error and not skipped, so that nothing hides between the letters.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64, a2b_qp
from typing import Final, Protocol

from ..errors import DecodingError, LimitExceeded

__all__ = ["PartDecoder", "make_part_decoder"]

_MOST_LINE: Final = 8192  # of quoted-printable; RFC 2045 says 76
_bad_escape = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*+\r?\n)").search
_IDENTITIES: Final = frozenset({"", "7bit", "8bit", "binary"})


class PartDecoder(Protocol):
    """Takes one encoding off one part."""

    def decode(self, data: bytes) -> bytes:
        """What is ready after `data`; often nothing yet.  Raises `DecodingError`, `LimitExceeded`."""

    def finish(self) -> bytes:
        """What is left at the end.  Raises `DecodingError` if that is not its end."""


def make_part_decoder(encoding: str) -> PartDecoder | None:
    """The decoder for that Content-Transfer-Encoding, None where there is nothing to take off.

    Raises `DecodingError` for one that is not known.
    """
    encoding = encoding.strip(" \t").lower()
    if encoding in _IDENTITIES:
        return None
    if encoding == "base64":
        return _Base64()
    if encoding == "quoted-printable":
        return _QuotedPrintable()
    raise DecodingError(f"a part whose Content-Transfer-Encoding {encoding!r} is not known", coding=encoding)


class _Base64:
    __slots__ = ("_ended", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._ended = False

    def decode(self, data: bytes) -> bytes:
        data = self._rest + data.translate(None, b" \t\r\n")
        whole = len(data) & ~3
        self._rest = data[whole:]
        if not whole:
            return b""
        group = data[:whole]
        try:
            if self._ended:
                raise Error("there is more behind its end")
            self._ended = group.endswith(b"=")
            return a2b_base64(group, strict_mode=True)
        except Error as error:
            # In the same words, however it was cut.
            raise DecodingError("a part that is not base64", coding="base64") from error

    def finish(self) -> bytes:
        if self._rest:
            raise DecodingError("a part whose base64 stops half way", coding="base64")
        return b""


class _QuotedPrintable:
    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def decode(self, data: bytes) -> bytes:
        data = self._rest + data if self._rest else data
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        if len(self._rest) > _MOST_LINE or (end > _MOST_LINE and max(map(len, data[:end].split(b"\n"))) > _MOST_LINE):
            message = f"a part whose quoted-printable has a line of more than {_MOST_LINE} bytes"
            raise LimitExceeded(message, limit="line", maximum=_MOST_LINE)
        return self._decoded(data[:end])

    def finish(self) -> bytes:
        rest, self._rest = self._rest, b""
        return self._decoded(rest)

    def _decoded(self, data: bytes) -> bytes:
        if _bad_escape(data):
            raise DecodingError("a part that is not quoted-printable", coding="quoted-printable")
        return a2b_qp(data)
