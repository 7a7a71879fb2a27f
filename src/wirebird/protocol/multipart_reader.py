"""Multipart bodies, the reader's half: where a part begins and ends, without I/O, for every segmentation (RFC 2046 5.1).

    preamble  CRLF --boundary padding CRLF  head CRLF  data  CRLF --boundary … CRLF --boundary--  epilogue

A delimiter stands at the beginning of a line, and the CRLF in front of it is its own; so is the one that ends a head, where a
part has no data at all.  What only looks like a delimiter, because more follows on its line, is data within a part; in front of
the first part it is an error, for then the boundary is not the one that was announced.  `--boundary--` ends the body whatever
follows.

Preamble and epilogue are dropped as they come.  A head is kept until it is whole, and it is bounded; data is handed out as it
arrives, but for the few bytes at its end that may be the beginning of a delimiter.  Nothing is looked at twice.

Any kind of multipart is read: form-data, mixed, byteranges.  A part that is itself multipart is data to this parser, and its data
is the input of another one.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final, TypeAlias

from ..errors import InvalidMultipart, LimitExceeded, ProtocolError
from ..models.headers import HttpHeaders, decode_fields
from .http1_heads import is_field_block

__all__ = ["MAX_BOUNDARY", "PART_OVER", "MultipartEvent", "MultipartParser", "PartHead", "read_boundary", "read_parameters"]

MAX_BOUNDARY: Final = 256
"""RFC 2046 says 70.  Some send more, and it costs nothing to read them."""

_MOST_PARAMETERS: Final = 50
_MOST_PADDING: Final = 64  # white space behind a delimiter; there is no reason to have any

_is_boundary = re.compile(r"[\x20-\x7e]*[\x21-\x7e]").fullmatch
_padding = re.compile(rb"[ \t]*+").match
_parameter = re.compile(
    r";[ \t]*+([!#$%&'*+\-.^_`|~0-9A-Za-z]++)[ \t]*+=[ \t]*+(?:\"((?:[^\"\\]++|\\.)*+)\"|([^\"; \t][^;]*+)?)[ \t]*+(?=;|\Z)",
    re.DOTALL,
).match
_empty_parameter = re.compile(r";[ \t]*+(?=;|\Z)").match


class PartHead:
    """A part has begun.  `fields` are its header fields; they may be none."""

    __slots__ = ("fields",)

    def __init__(self, fields: HttpHeaders) -> None:
        self.fields = fields

    def __repr__(self) -> str:
        return f"<PartHead {list(self.fields)}>"


class _PartOver(Enum):
    OVER = auto()

    def __repr__(self) -> str:
        return "PART_OVER"


PART_OVER: Final = _PartOver.OVER
"""The data of a part is complete."""

MultipartEvent: TypeAlias = PartHead | bytes | _PartOver


class _At(Enum):
    PREAMBLE = auto()
    HEAD = auto()
    DATA = auto()
    EPILOGUE = auto()


class MultipartParser:
    """Takes a body apart.

    boundary         what stands between the parts, without the dashes
    max_parts        parts of the body
    max_headers      header fields of one part
    max_header_size  bytes of one header field
    inside           True begins within a part, behind its head

    `receive` gives the events of each piece of the body, and `finish` is called at its end.  What broke the rules is kept as
    `error`, and nothing is read behind it: `InvalidMultipart` or `LimitExceeded`.  The events in front of it are given first.
    `complete` says that the last delimiter was there.  Raises `InvalidMultipart` for a boundary that is none.
    """

    def __init__(
        self,
        boundary: str,
        *,
        max_parts: int = 1000,
        max_headers: int = 8,
        max_header_size: int = 4096,
        inside: bool = False,
    ) -> None:
        if not isinstance(boundary, str) or len(boundary) > MAX_BOUNDARY or not _is_boundary(boundary):
            raise InvalidMultipart("a boundary that is not 1 to 256 printable characters")
        self._delimiter = b"\r\n--" + boundary.encode()
        self._max_parts = max_parts
        self._max_headers = max_headers
        self._max_header_size = max_header_size
        self._parts = 0
        # The first delimiter needs no line in front of it, nor does that of a part without data.
        self._buffer = b"\r\n"
        self._begin = 0  # where in the buffer that begins which is not read yet
        self._skip = 2  # bytes from there on that are no data
        self._searched = 0  # up to where it was searched in vain
        self._at = _At.DATA if inside else _At.PREAMBLE
        self.error: ProtocolError | None = None

    def __repr__(self) -> str:
        return f"<MultipartParser {self._at.name.lower()}, {self._parts} parts>"

    @property
    def complete(self) -> bool:
        """Whether the last delimiter was there."""
        return self._at is _At.EPILOGUE

    def receive(self, data: bytes) -> list[MultipartEvent]:
        """The events of the next piece of the body."""
        events: list[MultipartEvent] = []
        if self.error is None and self._at is not _At.EPILOGUE:
            self._buffer = self._buffer + data if self._buffer else data
            try:
                while self._read_head(events) if self._at is _At.HEAD else self._read_data(events):
                    pass
            except ProtocolError as error:
                self._fail(error)
            if self._begin:  # cut once for each piece, however many parts there are in it
                self._buffer = self._buffer[self._begin :]
                self._searched -= self._begin
                self._begin = 0
        return events

    def finish(self) -> None:
        """There is no more.  That is an error unless the last delimiter was there."""
        if self.error is None and self._at is not _At.EPILOGUE:
            where = {_At.PREAMBLE: "before its first part", _At.HEAD: "in the head of a part", _At.DATA: "within a part"}
            self._fail(InvalidMultipart(f"a multipart body that ends {where[self._at]}"))

    def _fail(self, error: ProtocolError) -> None:
        self.error = error
        self._buffer = b""
        self._begin = 0

    # -- data, and the preamble, which is data that nobody wants -------------------------------------------------------

    def _read_data(self, events: list[MultipartEvent]) -> bool:
        """Hand on data up to the next delimiter; False if more has to come first."""
        buffer = self._buffer
        delimiter = self._delimiter
        at = self._searched
        while True:
            at = buffer.find(delimiter, at)
            if at < 0:
                self._hand_on(events, _may_begin(buffer, delimiter, self._begin))
                self._searched = self._begin
                return False
            end = self._end_of_delimiter(at + len(delimiter))
            if end is None:
                self._hand_on(events, at)  # what is in front of it need not wait
                self._searched = at
                return False
            if end:
                break
            if self._at is _At.PREAMBLE:
                raise InvalidMultipart("a multipart body whose first delimiter does not end with its line")
            at += 2
        self._hand_on(events, at)
        if self._at is _At.DATA:
            events.append(PART_OVER)
        last = buffer.startswith(b"--", at + len(delimiter))
        self._at = _At.EPILOGUE if last else _At.HEAD
        self._begin = self._searched = len(buffer) if last else end
        return not last

    def _hand_on(self, events: list[MultipartEvent], end: int) -> None:
        """The buffer up to `end` is data, but for what is to be skipped."""
        begin = self._begin + self._skip
        if end >= begin:
            if end > begin and self._at is _At.DATA:
                events.append(self._buffer[begin:end])
            self._begin = end
            self._skip = 0

    def _end_of_delimiter(self, at: int) -> int | None:
        """Where the line of the delimiter up to `at` ends, or its `--` does; 0 if it is none, None if more has to come."""
        buffer = self._buffer
        rest = buffer[at : at + _MOST_PADDING + 2]
        if rest[:2] == b"--":
            return at + 2
        padding = len(_padding(rest)[0])  # type: ignore[index]
        behind = rest[padding : padding + 2]
        if behind == b"\r\n":
            return at + padding + 2
        if (rest == b"-" or b"\r\n".startswith(behind)) and padding <= _MOST_PADDING:
            return None
        return 0

    # -- heads ---------------------------------------------------------------------------------------------------------

    def _read_head(self, events: list[MultipartEvent]) -> bool:
        """Read a head; False if more has to come first."""
        buffer = self._buffer
        begin = self._begin
        most = self._max_headers * (self._max_header_size + 2)
        if buffer.startswith(b"\r\n", begin):
            end = begin
        elif len(buffer) - begin < 2:
            return False
        else:
            # With the CRLF of the last field, which is the beginning of what is searched next.
            end = buffer.find(b"\r\n\r\n", self._searched, begin + most + 2) + 2
            if end < 2:
                if len(buffer) - begin >= most + 2:
                    raise self._limit("max_header_size", self._max_header_size, "the head of a part is too long")
                self._searched = max(begin, len(buffer) - 3)
                return False
        self._parts += 1
        if self._parts > self._max_parts:
            raise self._limit("max_parts", self._max_parts, f"more than {self._max_parts} parts", status=413)
        events.append(PartHead(self._fields(buffer[begin:end])))
        self._at = _At.DATA
        self._begin = self._searched = end
        self._skip = 2
        return True

    def _fields(self, block: bytes) -> HttpHeaders:
        lines = block.count(b"\n")
        if lines > self._max_headers:
            raise self._limit("max_headers", self._max_headers, f"a part with more than {self._max_headers} header fields")
        if len(block) > self._max_header_size and max(map(len, block.split(b"\n"))) > self._max_header_size + 1:
            raise self._limit("max_header_size", self._max_header_size, "a header field of a part is too long")
        if not is_field_block(block + b"\r\n"):
            raise InvalidMultipart("the head of a part is not made of header fields")
        return decode_fields(block)

    def _limit(self, limit: str, maximum: int, message: str, status: int = 400) -> LimitExceeded:
        return LimitExceeded(f"a multipart body: {message}", limit=limit, maximum=maximum, status=status)


def _may_begin(buffer: bytes, delimiter: bytes, begin: int) -> int:
    """Where at the end of `buffer` a delimiter may begin that is not whole yet; its length if none may."""
    at = buffer.find(b"\r", max(begin, len(buffer) - len(delimiter) + 1))
    while at >= 0:
        if delimiter.startswith(buffer[at:]):
            return at
        at = buffer.find(b"\r", at + 1)
    return len(buffer)


def read_parameters(value: str) -> tuple[str, list[tuple[str, str]]] | None:
    """A value with parameters, such as those of Content-Type and Content-Disposition (RFC 9110 5.6.6).

    Gives what stands before the first `;`, and the parameters, their names in lower case and their values without quotes; a
    backslash in quotes is kept unless it stands before one of `"` and `\\`, for some send paths of Windows so.  None for a value
    that is not well-formed.  Takes linear time.
    """
    kind = value.partition(";")[0]
    at = len(kind)
    found: list[tuple[str, str]] = []
    while at < len(value):
        if (empty := _empty_parameter(value, at)) is not None:
            at = empty.end()
            continue
        match = _parameter(value, at)
        if match is None or len(found) == _MOST_PARAMETERS:
            return None
        quoted = match[2]
        text = (match[3] or "").rstrip(" \t") if quoted is None else re.sub(r'\\(["\\])', r"\1", quoted)
        found.append((match[1].lower(), text))
        at = match.end()
    return kind.strip(" \t"), found


def read_boundary(content_type: str) -> str:
    """The boundary that a Content-Type names.  Raises `InvalidMultipart` if it is not multipart, or does not name one."""
    read = read_parameters(content_type)
    if read is None or not read[0].lower().startswith("multipart/"):
        raise InvalidMultipart("a Content-Type that is not multipart")
    boundaries = [value for name, value in read[1] if name == "boundary"]
    if len(boundaries) != 1:
        raise InvalidMultipart("a multipart Content-Type must name one boundary")
    if len(boundaries[0]) > MAX_BOUNDARY or not _is_boundary(boundaries[0]):
        raise InvalidMultipart("a boundary that is not 1 to 256 printable characters")
    return boundaries[0]
