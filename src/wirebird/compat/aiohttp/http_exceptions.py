"""`aiohttp.http_exceptions`: errors of messages that are not HTTP, by aiohttp's names.

Of these only `LineTooLong` is raised, by a `StreamReader`; a peer's faults are `ClientResponseError` and `ClientPayloadError`.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "BadHttpMessage",
    "BadStatusLine",
    "ContentEncodingError",
    "ContentLengthError",
    "HttpBadRequest",
    "HttpProcessingError",
    "InvalidHeader",
    "LineTooLong",
    "PayloadEncodingError",
    "TransferEncodingError",
]


class HttpProcessingError(Exception):
    """Something about a message: the status `code` that it deserves, and a `message`."""

    code = 0
    message = ""
    headers: Mapping[str, str] | None = None

    def __init__(self, *, code: int | None = None, message: str = "", headers: Mapping[str, str] | None = None) -> None:
        if code is not None:
            self.code = code
        self.headers = headers
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}, message:\n  {self.message}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.code}, message={self.message!r}>"


class BadHttpMessage(HttpProcessingError):
    """What arrived is no HTTP message."""

    code = 400
    message = "Bad Request"

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message=message, headers=headers)
        self.args = (message,)


class HttpBadRequest(BadHttpMessage):
    """A request that cannot be answered."""


class PayloadEncodingError(BadHttpMessage):
    """Something about a body."""


class ContentEncodingError(PayloadEncodingError):
    """A body is not what its Content-Encoding says."""


class TransferEncodingError(PayloadEncodingError):
    """Chunks that are none."""


class ContentLengthError(PayloadEncodingError):
    """A body shorter than its Content-Length."""


class LineTooLong(BadHttpMessage):
    """A line of more than `limit` bytes."""

    def __init__(self, line: str | bytes, limit: str | int = "Unknown", actual_size: str = "Unknown") -> None:
        super().__init__(f"Got more than {limit} bytes when reading: {line!r}.")
        self.args = (line, limit, actual_size)


class InvalidHeader(BadHttpMessage):
    """A field that is none."""

    def __init__(self, hdr: bytes | str) -> None:
        super().__init__(f"Invalid HTTP header: {hdr!r}")
        self.hdr = hdr.decode(errors="backslashreplace") if isinstance(hdr, bytes) else hdr
        self.args = (hdr,)


class BadStatusLine(BadHttpMessage):
    """A first line that is none."""

    def __init__(self, line: str = "", error: str | None = None) -> None:
        super().__init__(error or f"Bad status line {line!r}")
        self.args = (line,)
        self.line = line
