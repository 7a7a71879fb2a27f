"""How much of everything a peer may send.  Each number is counted before the bytes are kept."""

from __future__ import annotations

from dataclasses import dataclass, fields

from .numbers import check_count

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one HTTP/1.1 connection, all in bytes or counts; passing one raises `LimitExceeded` and closes the connection.

    start_line       request or status line, 8 KiB
    head_size        one whole head, and separately one trailer section, 64 KiB
    head_fields      field lines of one head or trailer section, 128
    chunk_extension  extension bytes of one chunk-size line, 256
    extensions_total extension bytes of all chunks of one body, 16 KiB
    informational    1xx responses before the final one, 16
    empty_lines      CRLFs in front of a request line (RFC 9112 2.2), 1
    """

    start_line: int = 8192
    head_size: int = 65536
    head_fields: int = 128
    chunk_extension: int = 256
    extensions_total: int = 16384
    informational: int = 16
    empty_lines: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            check_count(field.name, getattr(self, field.name), 0, "a number of bytes or items")


DEFAULT_LIMITS = Limits()
