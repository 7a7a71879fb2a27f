"""The reading half of HTTP/1.1, for both roles: bytes in, events out, no I/O (RFC 9112).

    parser = Parser(server=False)
    parser.expect(b"GET")
    parser.receive(data, len(data))  ->  [ResponseHead, b"some body", b"more", END]

An event is a head, a piece of body as `bytes`, or an `End`, which carries the trailer fields.  One message is read at a time:
after its `End` the parser is `DONE` and keeps what arrived behind it in `leftover`, until `expect` (client) or `proceed` (server)
asks for the next.  The outcome is the same for every segmentation of the input, errors included; after an error the parser is
`FAILED` for good.
The last head is remembered: a response that starts with the same bytes shares its parsed form.  The bytes of a body of known
length may be received elsewhere, in their final place, and only be counted here with `advance`.
"""

from __future__ import annotations

import re
from typing import Final

from ..errors import IncompleteBody, InvalidRequest, InvalidResponse, LimitExceeded, ProtocolError
from ..models.limits import DEFAULT_LIMITS, Limits
from ..models.message import CHUNKED, TUNNEL, UNTIL_CLOSE, RequestHead, ResponseHead
from .http1_events import END, End, Event, State
from .http1_heads import body_length, check_scheme, check_trailers, parse_request_head, parse_response_head

__all__ = ["Parser"]


READY, HEAD, SIZED, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS, TO_EOF, DONE, TUNNELLING, FAILED = State


# A longer request is not remembered: what a client may have kept here, it could have kept on each of its connections.
_WORTH_KEEPING: Final = 2048

# RFC 9112 6.3, steps 1 and 2: after these the head alone does not say where the response ends.
_FRAMED_BY_METHOD: Final = frozenset({b"HEAD", b"CONNECT"})

# RFC 9112 7.1: 1*HEXDIG, capped, and extensions that are looked over and ignored.  No white space: senders have no use for it.
_chunk_line = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;([\t\x20-\x7e\x80-\xff]*))?\r\n").fullmatch
_plain_chunk_line = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n").match
_chunk_start = re.compile(rb"[0-9A-Fa-f]{0,16}(?:(?<=[0-9A-Fa-f]);[\t\x20-\x7e\x80-\xff]*)?(?:(?<=[^\r])\r)?").fullmatch
_bare_newline = re.compile(rb"(?<!\r)\n").search
_token_first = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]").match


class Parser:
    """One connection's reader.  `server` says which role it reads for: requests as a server, responses as a client."""

    __slots__ = (
        "_chunk_line_limit",
        "_empty_lines",
        "_extensions",
        "_informational",
        "_known_head",
        "_known_request",
        "_method",
        "_pending",
        "_small_head",
        "_switching",
        "left",
        "leftover",
        "limits",
        "received",
        "secure",
        "server",
        "state",
    )

    def __init__(self, *, server: bool, limits: Limits = DEFAULT_LIMITS) -> None:
        self.server = server
        self.secure = True  # server role: whether a request for an https URL may have come this way
        self.state: State = HEAD if server else DONE
        self.left = 0  # bytes that the current body or chunk still lacks
        self.received = 0  # bytes of the current body so far
        self.leftover = b""  # what arrived behind the message
        self._pending = bytearray()  # an element that is not complete yet: a head, a chunk line, trailers
        self._method = b"GET"
        self._switching = False
        self._informational = 0
        self._extensions = 0
        self._empty_lines = 0  # in front of the current request
        self.limit_to(limits)

    def limit_to(self, limits: Limits) -> None:
        """Take these limits for what comes next.  A head smaller than the least of them needs no look: a field has four bytes."""
        self.limits = limits
        self._known_head: ResponseHead | None = None  # the last head, in case the next is the same
        self._known_request: RequestHead | None = None  # the same of a server, where it had no body
        # A head of no more bytes than this is within every limit: a field line has four of them at the least.
        self._small_head = min(limits.start_line, limits.head_size, 4 * limits.head_fields)
        self._chunk_line_limit = 16 + len(";") + limits.chunk_extension + len("\r\n")

    def __repr__(self) -> str:
        role = "server" if self.server else "client"
        return f"<Parser {role} {self.state.name} left={self.left} leftover={len(self.leftover)}>"

    # -- what comes next -----------------------------------------------------------------------------------------------

    def expect(self, method: bytes, switching: bool = False) -> None:
        """Client role: a request with this method was sent, its response comes next.

        `switching` says that the request offered to switch protocols, so that 101 is an answer (RFC 9110 15.2.2).
        """
        if self.state is not DONE or self.leftover:
            raise RuntimeError(f"{self!r} is not ready for another message")
        self._method = method
        if method in _FRAMED_BY_METHOD or switching:
            self._switching = switching
            self.state = HEAD
        else:
            self.state = READY

    def proceed(self) -> list[Event]:
        """Server role: go on to the next request; gives the events of what has already arrived of it."""
        if self.state is not DONE:
            raise RuntimeError(f"{self!r} is in the middle of a message")
        self.state = HEAD
        if not self.leftover:
            return []
        data, self.leftover = self.leftover, b""
        try:
            return self._advance_through(data, [])  # not `receive`: what is left of a long pipeline is not copied twice
        except ProtocolError:
            self._fail()
            raise

    def untouched(self) -> bool:
        """Client role: whether a response is awaited of which not a byte has arrived."""
        return (self.state is READY or self.state is HEAD) and not self._pending and not self._informational

    def begun(self) -> int:
        """Server role: how many bytes are here of a head that is not complete."""
        return len(self._pending) if self.state is HEAD else 0

    # -- input ---------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes | bytearray, size: int) -> list[Event]:
        """The events of the first `size` bytes of `data`, to which nothing refers afterwards.  Raises `ProtocolError`."""
        try:
            if self.state is READY:
                # The usual case by far: a whole head, most often with the whole body behind it.
                head = self._known_head
                if head is None or not data.startswith(head.raw, 0, size):
                    head = self._whole_head(data, size)
                if head is not None:
                    if head.size + head.length == size:
                        self.state = DONE
                        return [head, bytes(data[head.size : size]), END] if head.length else [head, END]
                    events: list[Event] = [head]
                    self._begin_body(head.length, events)
                    return self._advance_through(bytes(memoryview(data)[head.size : size]), events)
            known = self._known_request
            # What this client has asked before, and nothing else?
            if (
                known is not None
                and known.size == size
                and data.startswith(known.raw)
                and self.state is HEAD
                and not self._pending
            ):
                self.state = DONE
                return [known, END]
            return self._advance_through(bytes(memoryview(data)[:size]), [])
        except ProtocolError:
            self._fail()
            raise

    def advance(self, size: int) -> list[Event]:
        """Count `size` bytes of a body of known length that were received elsewhere; `[END]` if it is complete now."""
        self.left -= size
        self.received += size
        if self.left:
            return []
        self.state = DONE
        return [END]

    def eof(self) -> list[Event]:
        """The peer will send no more: `[END]` for a body that ends so, nothing between messages, else `IncompleteBody`."""
        state = self.state
        if state is TO_EOF:
            self.state = DONE
            return [END]
        if state is DONE or state is TUNNELLING or state is FAILED or (state is HEAD and self.server and not self._pending):
            return []
        self.state = FAILED
        if state is READY or state is HEAD:
            raise IncompleteBody("the connection ended before the head was complete")
        raise IncompleteBody.after(self.received, self.left if state is SIZED else None)

    # -- the machine ---------------------------------------------------------------------------------------------------

    def _advance_through(self, data: bytes, events: list[Event]) -> list[Event]:
        pos = 0
        end = len(data)
        while pos < end:
            state = self.state
            if state is SIZED:
                pos = self._take(data, pos, events)
                if not self.left:
                    self.state = DONE
                    events.append(END)
            elif state is CHUNK_SIZE or state is CHUNK_DATA or state is CHUNK_END:
                pos = self._chunks(data, pos, events)
            elif state is READY or state is HEAD:
                pos = self._head(data, pos, events)
            elif state is TO_EOF:
                self.received += end - pos
                events.append(data[pos:])
                pos = end
            elif state is TRAILERS:
                pos = self._trailers(data, pos, events)
            elif state is TUNNELLING:
                events.append(data[pos:])
                pos = end
            elif state is DONE:
                self.leftover += data[pos:]
                pos = end
            else:
                raise self._error("more bytes after an error")
        return events

    def _take(self, data: bytes, pos: int, events: list[Event]) -> int:
        piece = data[pos : pos + self.left]
        self.left -= len(piece)
        self.received += len(piece)
        events.append(piece)
        return pos + len(piece)

    # -- heads ---------------------------------------------------------------------------------------------------------

    def _whole_head(self, data: bytes | bytearray, size: int) -> ResponseHead | None:
        """The head of a final response if `data` begins with all of it; remembered, for the next may be the same."""
        end = data.find(b"\r\n\r\n", 0, size)
        if end < 0:
            return None
        raw = bytes(data[: end + 4])
        if len(raw) > self._small_head:
            self._check_head_limits(raw)
        head = parse_response_head(raw)
        if head.status < 200:
            return None
        self._known_head = head
        return head

    def _head(self, data: bytes, pos: int, events: list[Event]) -> int:
        if self.server and data[pos] <= 13:  # CR, most likely
            pos = self._skip_empty_lines(data, pos)
            if pos == len(data):
                self._known_request = None  # the short cut for what is known does not count such lines
                return pos
        end = -1 if self._pending else data.find(b"\r\n\r\n", pos, pos + self.limits.head_size)
        if end >= 0:
            raw = data[pos : end + 4]
            pos = end + 4
        else:
            raw, pos = self._gather(data, pos, b"\r\n\r\n", self.limits.head_size)
            if not raw:
                self.state = HEAD  # from READY: what comes next is not the start of a head
                return pos
        if len(raw) > self._small_head:
            self._check_head_limits(raw)
        if self.server:
            self._empty_lines = 0
            request = parse_request_head(raw)
            if not self.secure:
                check_scheme(request.target)
            events.append(request)
            small = request.size <= _WORTH_KEEPING
            self._known_request = request if small and request.length == 0 and request.method != b"CONNECT" else None
            self._begin_body(TUNNEL if request.method == b"CONNECT" else request.length, events)
            return pos
        response = parse_response_head(raw, self._method)
        if response.status < 200:
            self._interim(response, events)
            return pos
        events.append(response)
        self._begin_body(body_length(response, self._method), events)
        return pos

    def _interim(self, head: ResponseHead, events: list[Event]) -> None:
        """RFC 9110 15.2: any number of 1xx may come first, within reason; 101 is the last, and only if it was asked for."""
        if head.status == 101:
            if not self._switching:
                raise InvalidResponse("101 Switching Protocols without having been asked")
            events.append(head)
            self.state = TUNNELLING
            return
        self.state = HEAD  # from READY: what was counted here is only forgotten with the start of a body
        self._informational += 1
        if self._informational > self.limits.informational:
            raise self._exceeded("informational", self.limits.informational, "1xx responses", 400)
        events.append(head)

    def _begin_body(self, length: int, events: list[Event]) -> None:
        self.received = 0
        self._informational = 0
        self._switching = False
        if length > 0:
            self.left = length
            self.state = SIZED
        elif length == 0:
            self.state = DONE
            events.append(END)
        elif length == CHUNKED:
            self.left = 0
            self._extensions = 0
            self.state = CHUNK_SIZE
        elif length == UNTIL_CLOSE:
            self.state = TO_EOF
        else:
            self.state = TUNNELLING

    def _skip_empty_lines(self, data: bytes, pos: int) -> int:
        """RFC 9112 2.2: a server ignores at least one empty line in front of a request; it may arrive in two parts."""
        while self._empty_lines < self.limits.empty_lines:
            if self._pending:
                if self._pending != b"\r" or data[pos] != 10:
                    break
                self._pending.clear()
                pos += 1
            elif data.startswith(b"\r\n", pos):
                pos += 2
            else:
                break
            self._empty_lines += 1
        return pos

    def _check_head_limits(self, raw: bytes) -> None:
        limits = self.limits
        too_many = raw.count(b"\n") - 2 > limits.head_fields
        if not too_many and len(raw) <= limits.head_size and raw.find(b"\n", 0, limits.start_line) >= 0:
            return
        self._refuse_early(raw[: limits.head_size + 1])
        if len(raw) > limits.head_size:
            raise self._exceeded("head_size", limits.head_size, "bytes of head", 431)
        raise self._exceeded("head_fields", limits.head_fields, "header fields", 431)

    # -- chunks --------------------------------------------------------------------------------------------------------

    def _chunks(self, data: bytes, pos: int, events: list[Event]) -> int:
        """RFC 9112 7.1, as far as `data` goes.  All the pieces found in it make one event: tiny chunks cost no object each."""
        pieces: list[bytes] = []
        end = len(data)
        limit = self._chunk_line_limit
        while pos < end:
            state = self.state
            if state is CHUNK_SIZE:
                if not self._pending:
                    pos = self._whole_chunks(data, pos, pieces)
                    if pos == end:
                        break
                line_end = data.find(b"\n", pos, pos + limit)
                if self._pending or line_end < 0:
                    line, pos = self._gather(data, pos, b"\n", limit)
                    if not line:
                        break
                else:
                    line = data[pos : line_end + 1]
                    pos = line_end + 1
                self._chunk_line(line)
                if self.state is TRAILERS:
                    break
            elif state is CHUNK_DATA:
                pos = self._take(data, pos, pieces)  # type: ignore[arg-type]
                if not self.left:
                    self.state = CHUNK_END
                    self.left = 2
            else:
                if data[pos] != b"\n\r"[self.left - 1]:
                    raise self._error("a chunk that is not followed by CRLF")
                pos += 1
                self.left -= 1
                if not self.left:
                    self.state = CHUNK_SIZE
        if pieces:
            events.append(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return pos

    def _whole_chunks(self, data: bytes, pos: int, pieces: list[bytes]) -> int:
        """The chunks that are there from size to CRLF, with nothing unusual about them: event streams are made of small ones."""
        received = 0
        while (line := _plain_chunk_line(data, pos)) is not None:
            start = line.end()
            size = int(line[1], 16)
            stop = start + size
            if not size or not data.startswith(b"\r\n", stop):
                break  # the last one, or one that is not whole, or wrong
            pieces.append(data[start:stop])
            received += size
            pos = stop + 2
        self.received += received
        return pos

    def _chunk_line(self, line: bytes) -> None:
        found = _chunk_line(line)
        if found is None:
            raise self._error(f"a malformed chunk size: {line[:40]!r}")
        if found[2] is not None:
            self._extensions += len(found[2]) or 1  # empty ones without end would take as long
            if len(found[2]) > self.limits.chunk_extension:
                raise self._exceeded("chunk_extension", self.limits.chunk_extension, "bytes of chunk extension", 400)
            if self._extensions > self.limits.extensions_total:
                raise self._exceeded("extensions_total", self.limits.extensions_total, "bytes of chunk extensions", 413)
        self.left = int(found[1], 16)
        self.state = CHUNK_DATA if self.left else TRAILERS

    def _trailers(self, data: bytes, pos: int, events: list[Event]) -> int:
        if not self._pending and data.startswith(b"\r\n", pos):
            self.state = DONE
            events.append(END)
            return pos + 2
        if self._pending == b"\r" and data[pos] == 10:  # the empty line in two parts
            self._pending.clear()
            self.state = DONE
            events.append(END)
            return pos + 1
        block, pos = self._gather(data, pos, b"\r\n\r\n", self.limits.head_size)
        if not block:
            return pos
        if block.count(b"\n") - 1 > self.limits.head_fields:
            self._refuse_early(block)
            raise self._exceeded("head_fields", self.limits.head_fields, "trailer fields", 431)
        trailers = check_trailers(block, InvalidRequest if self.server else InvalidResponse)
        self.state = DONE
        events.append(End(trailers) if trailers else END)
        return pos

    # -- elements that arrive in parts ---------------------------------------------------------------------------------

    def _gather(self, data: bytes, pos: int, terminator: bytes, limit: int) -> tuple[bytes, int]:
        """Add to the pending element up to its terminator: the whole element, or b"" if it is not complete yet.

        Only new bytes are searched, and no more than the limit is kept.
        """
        pending = self._pending
        known = len(pending)
        pending += data[pos : pos + limit + 1 - known]
        at = pending.find(terminator, max(0, known - len(terminator) + 1), limit)
        if at >= 0:
            whole = bytes(pending[: at + len(terminator)])
            pending.clear()
            return whole, pos + len(whole) - known
        self._refuse_early(pending, known)
        if len(pending) > limit:
            if self.state is CHUNK_SIZE:
                raise self._exceeded("chunk_extension", self.limits.chunk_extension, "bytes of chunk extension", 400)
            raise self._exceeded("head_size", limit, "bytes of trailers" if self.state is TRAILERS else "bytes of head", 431)
        return b"", len(data)

    def _refuse_early(self, element: bytes | bytearray, known: int = 0) -> None:
        """Refuse what can no longer become the element, so that garbage does not wait for a limit or a time-out.

        The first byte at fault decides about the error, hence it is the same for every segmentation: an element that came
        whole, and breaks a limit, goes through here before the limit is named.  The first `known` bytes were looked at before.
        """
        state = self.state
        if state is CHUNK_SIZE:
            if not _chunk_start(element, 0, self._chunk_line_limit):
                raise self._error(f"a malformed chunk size: {bytes(element[:40])!r}")
            return
        if state is TRAILERS:
            if len(element) > 1 and element.startswith(b"\r"):
                raise self._error("a trailer section that is not made of header fields")
        else:
            if not self.server:
                if not element.startswith(b"HTTP/1."[: len(element)]):
                    raise self._error(f"not an HTTP/1.x response: {bytes(element[:60])!r}")
            elif not _token_first(element) and (element != b"\r" or self._empty_lines >= self.limits.empty_lines):
                raise self._error(f"not an HTTP/1.x request: {bytes(element[:60])!r}")
            if len(element) > self.limits.start_line and element.find(b"\n", 0, self.limits.start_line) < 0:
                raise self._exceeded("start_line", self.limits.start_line, "bytes of start line", 414)
        if _bare_newline(element, max(0, known - 1)):
            raise self._error("a line that does not end in CRLF")

    # -- errors --------------------------------------------------------------------------------------------------------

    def _fail(self) -> None:
        self.state = FAILED
        self._pending.clear()

    def _error(self, message: str) -> ProtocolError:
        return InvalidRequest(message) if self.server else InvalidResponse(message)

    def _exceeded(self, limit: str, maximum: int, what: str, status: int) -> LimitExceeded:
        return LimitExceeded(f"more than {maximum} {what}", limit=limit, maximum=maximum, status=status)
