"""Server-Sent Events: the event stream of the WHATWG HTML standard (9.2.5, 9.2.6), from bytes and to bytes, without I/O.

    parser = EventParser()
    for event in parser.receive(data): ...       # any cut of the stream gives the same events

    encode_event("two\nlines", id="7")           # b"id: 7\ndata: two\ndata: lines\n\n"

A stream is UTF-8, whatever its Content-Type says; what is no UTF-8 becomes U+FFFD, and one leading BOM is dropped.  Lines end in
CRLF, LF or CR.  A line is a field, `name: value` with at most one space taken off, or a comment if it begins with a colon; an
empty line ends an event.  The fields are `data` (several are joined by LF), `event`, `id` (ignored if it holds NUL; it stays
until another comes) and `retry` (ASCII digits only); others are ignored.  An event without data is none, but its `id` counts.
What is not followed by an empty line when the stream ends is dropped: at the end there is nothing to call.

What is written cannot be taken for anything else: every line end in a text, CR too, begins another line of the same field, and a
type or an id that holds one is refused.

A line that is not complete is kept as bytes and looked at once more when its end has come, so any cut takes linear time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from itertools import repeat
from typing import Any, Final, NamedTuple

from ..errors import LimitExceeded, UsageError
from ..models.numbers import check_count

__all__ = ["MAX_EVENT", "MAX_LINE", "EventParser", "ServerEvent", "encode_comment", "encode_event"]

MAX_LINE: Final = 4 * 1024 * 1024
MAX_EVENT: Final = 16 * 1024 * 1024

_BOM: Final = b"\xef\xbb\xbf"
_MOST_DIGITS: Final = 300  # of a `retry`: longer numbers cost more than they say
_LATEST: Final = 10**_MOST_DIGITS


class ServerEvent(NamedTuple):
    """One event of a stream.

    event   its type, `"message"` unless the server named one
    data    its text
    id      the last event id of the stream when it came, empty if there was none yet
    retry   the reconnection time that came with it, in milliseconds; None if there was none
    """

    event: str
    data: str
    id: str = ""
    retry: int | None = None

    def json(self, json_decoder: Callable[[str], Any] = json.loads) -> Any:
        """`data`, decoded as JSON.  Raises what the decoder raises, `ValueError` for `json.loads`."""
        return json_decoder(self.data)


_lines = re.compile(r"\r\n|\r|\n").split


def encode_event(data: str | None, event: str | None = None, id: str | None = None, retry: int | None = None) -> bytes:
    """One event as it is sent; None for a field that it does not have.  Without `data`, readers see no event, but heed the rest.

    Raises `UsageError` for a type with a line end, an id with a line end or NUL, a `retry` that is no number of milliseconds,
    text that is no Unicode, and for nothing at all.
    """
    fields = []
    if retry is not None:
        check_count("retry", retry, 0, "a number of milliseconds")
        fields.append(f"retry: {retry}\n")
    for name, value, forbidden in (("event", event, "\r\n"), ("id", id, "\r\n\0")):
        if value is not None:
            if not isinstance(value, str) or any(one in value for one in forbidden):
                raise UsageError(f"{name} must be text of one line, not {value!r:.100}", argument=name)
            fields.append(f"{name}: {value}\n")
    if data is not None:
        if not isinstance(data, str):
            raise UsageError(f"data must be str, not {type(data).__name__}", argument="data")
        fields += [f"data: {line}\n" for line in _lines(data)]
    if not fields:
        raise UsageError("data must be there, or something else of the event", argument="data")
    return _utf8("".join([*fields, "\n"]), "data")


def encode_comment(text: str = "") -> bytes:
    """Lines that readers skip.  Raises `UsageError` for what is no text."""
    if not isinstance(text, str):
        raise UsageError(f"text must be str, not {type(text).__name__}", argument="text")
    return _utf8("".join([f": {line}\n" if line else ":\n" for line in _lines(text)]), "text")


def _utf8(text: str, argument: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{argument} holds half of a surrogate pair, which is no Unicode", argument=argument) from None


# Lines of one event that are kept apart; what waits for more is joined, for each string takes some fifty bytes of its own.
_APART: Final = 256

# What `ServerEvent(...)` does, without the call of a Python function.
_new: Callable[[tuple[str, str, str, int | None]], ServerEvent] = partial(tuple.__new__, ServerEvent)


class EventParser:
    """Bytes in, events out.

    max_line        bytes of one line, 4 MiB
    max_event       characters of all data lines of one event, 16 MiB
    last_event_id   what the stream before this one left behind

    `last_event_id` and `retry` (milliseconds, None if there was none) are those of the stream so far.  A limit that is passed
    raises `LimitExceeded`, after the events that came before have been given out: `error` is set then, and nothing more is read.
    """

    __slots__ = (
        "_after_cr",
        "_begin",
        "_data",
        "_id",
        "_joined",
        "_line",
        "_retry",
        "_room",
        "_type",
        "error",
        "last_event_id",
        "max_event",
        "max_line",
        "retry",
    )

    def __init__(self, max_line: int = MAX_LINE, max_event: int = MAX_EVENT, last_event_id: str = "") -> None:
        for name, limit in (("max_line", max_line), ("max_event", max_event)):
            check_count(name, limit, 1)
        self.max_line = max_line
        self.max_event = max_event
        self.last_event_id = last_event_id
        self.retry: int | None = None
        self.error: LimitExceeded | None = None
        self._begin: bytes | None = b""  # what may still become a BOM; None behind it
        self._after_cr = False  # a LF that comes next belongs to the CR before
        self._line = bytearray()  # a line whose end has not come
        # The event under way.
        self._data: list[str] = []
        self._joined = 0  # how many of them are several lines
        self._room = max_event
        self._type = ""
        self._id = last_event_id
        self._retry: int | None = None

    def receive(self, data: bytes) -> list[ServerEvent]:
        """The events that are complete with `data`.  Raises `LimitExceeded`, once there are none left from before it."""
        self._check()
        if self._begin is not None:
            data = self._skip_bom(data)
        if self._after_cr or b"\r" in data:
            data = self._plain_ends(data)
        end = data.rfind(b"\n") + 1
        if not end:
            self._keep(data)
            self._check()
            return []
        lines, rest = data[:end], data[end:]
        line = self._line
        if line:
            lines = bytes(line) + lines
            line.clear()
        size = len(lines)
        if size > self.max_line:
            lines = self._short_lines(lines)
        text = lines.decode("utf-8", "replace")
        events = self._simple(text)
        if events is None:
            events = self._fields(text)
        if self.error is None:
            if len(lines) < size:
                self._exceed("max_line", self.max_line, "bytes in one line")
            elif rest:
                self._keep(rest)
        if not events:
            self._check()
        return events

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    def _simple(self, text: str) -> list[ServerEvent] | None:
        """Lines that are nothing but events of one `data: ` line each, at the pace of C; None if there is anything else to them.

        It gives what `_fields` would give: between the first `data: ` and the last empty line, what separates two events holds
        two line ends, so if there are no more of them than that, there is none in the data.
        """
        if self._data or self._type or self._id != self.last_event_id or self._retry is not None or len(text) > self.max_event:
            return None
        if not text.startswith("data: ") or not text.endswith("\n\n"):
            return None
        found = text[6:-2].split("\n\ndata: ")
        if text.count("\n") != 2 * len(found):
            return None
        return list(map(_new, zip(repeat("message"), found, repeat(self.last_event_id), repeat(None))))

    def _fields(self, text: str) -> list[ServerEvent]:
        """Whole lines, one after the other (9.2.6)."""
        events: list[ServerEvent] = []
        data = self._data
        lines = text.split("\n")
        lines.pop()  # behind the last line end
        for line in lines:
            if not line:
                self.last_event_id = self._id
                if data:
                    whole = data[0] if len(data) == 1 else "\n".join(data)
                    events.append(_new((self._type or "message", whole, self._id, self._retry)))
                    data.clear()
                    self._joined = 0
                    self._room = self.max_event
                self._type = ""
                self._retry = None
            elif line.startswith("data:"):
                self._room -= len(line) + 1
                if self._room < 0:
                    self._exceed("max_event", self.max_event, "characters of data in one event")
                    break
                data.append(line[6:] if line.startswith(" ", 5) else line[5:])
            elif line[0] != ":":
                self._field(line)
                if self.error is not None:
                    break
        if len(data) - self._joined > _APART:
            data[self._joined :] = ["\n".join(data[self._joined :])]
            self._joined += 1
        return events

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._type = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry":
            if value.isascii() and value.isdigit():
                self.retry = self._retry = int(value) if len(value) <= _MOST_DIGITS else _LATEST
        elif name == "data":  # and no colon
            self._room -= len(line) + 1
            if self._room < 0:
                self._exceed("max_event", self.max_event, "characters of data in one event")
            else:
                self._data.append("")

    # -- lines ---------------------------------------------------------------------------------------------------------

    def _skip_bom(self, data: bytes) -> bytes:
        data = (self._begin or b"") + data
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._begin = data
            return b""
        self._begin = None
        return data.removeprefix(_BOM)

    def _plain_ends(self, data: bytes) -> bytes:
        """`data` with LF for every line end.  A CR ends its line at once, and whether a LF belongs to it shows later."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if data.endswith(b"\r"):
            self._after_cr = True
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _keep(self, part: bytes) -> None:
        """The beginning of a line, or more of it."""
        self._line += part
        if len(self._line) > self.max_line:
            self._line.clear()
            self._exceed("max_line", self.max_line, "bytes in one line")

    def _short_lines(self, lines: bytes) -> bytes:
        """The lines that come before the first one that is too long."""
        at = 0
        for line in lines.split(b"\n"):
            if len(line) > self.max_line:
                return lines[:at]
            at += len(line) + 1
        return lines

    def _exceed(self, limit: str, maximum: int, what: str) -> None:
        self._data.clear()
        self._joined = 0
        self.error = LimitExceeded(f"an event stream with more than {maximum} {what}", limit=limit, maximum=maximum)
