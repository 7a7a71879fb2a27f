"""An exchange that is watched: what is answered is noted, HTML gets a script at its end, and a 500 can still become another page.

It stands in for the exchange that the server made, so it does not matter what kind of application answers.
"""

from __future__ import annotations

import re
from time import monotonic
from typing import Any, Final

from ...models.charset import charset_of, media_type_of
from ...models.headers import HttpHeaders, decode_fields
from ...models.message import RequestHead, ResponseHead
from ...protocol.http1_heads import parse_request_head, parse_response_head
from ...server.exchange import Exchange
from .records import Record

__all__ = ["WatchedExchange"]

# A response of 500 is kept back while it is not longer, until the application has either raised or returned.
_HELD: Final = 262144

_accept_encoding = re.compile(rb"^accept-encoding:[^\n]*\n", re.IGNORECASE | re.MULTILINE)
_validators = re.compile(rb"^if-(?:none-match|modified-since):[^\n]*\n", re.IGNORECASE | re.MULTILINE)
_wide = re.compile(r"utf-?(?:16|32)|ucs", re.IGNORECASE).match  # ASCII is none of these
_length_field = re.compile(rb"^(content-length:[ \t]*)([0-9]+)([ \t]*\r\n)", re.IGNORECASE | re.MULTILINE)

_FRESH: Final = b"Cache-Control: no-cache\r\n"

_OWN: Final = frozenset({"head", "held", "_exchange", "_record", "_script", "_injects", "_is_document", "_holds", "_freshness"})


class WatchedExchange:
    """Stands in for `exchange`.  `script` is what is added to HTML, b"" for nothing; `holds` whether a 500 is kept back."""

    __slots__ = tuple(sorted(_OWN))

    def __init__(self, exchange: Exchange, record: Record, script: bytes, holds: bool) -> None:
        self._exchange = exchange
        self._record = record
        self._script = script
        self._holds = holds
        self._injects = False
        self._freshness = b""
        self._is_document = _wants_document(exchange.head)
        self.held: list[tuple[str, Any]] = []
        self.head: RequestHead = exchange.head
        if script and self._is_document:
            raw = _accept_encoding.sub(b"", exchange.head.raw)  # a page that is compressed could get no script
            if "text/html" in exchange.head.fields.get("accept", ""):  # and one that a browser has already has an old one
                raw = _validators.sub(b"", raw)
            if raw != exchange.head.raw:
                self.head = parse_request_head(raw)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(self._exchange, name, value)

    def __repr__(self) -> str:
        return repr(self._exchange)

    def is_unsent(self) -> bool:
        """Whether nothing of a response has left."""
        return self._exchange.is_unsent()

    # -- a small response ----------------------------------------------------------------------------------------------

    def respond(self, status: int, head: bytes, body: bytes, stamp: bytes | None = None) -> None:
        """The whole response."""
        self._note(status, head.partition(b"\r\n")[2])
        if status == 500 and self._holds:
            self.held = [("respond", (status, head, body, stamp))]
            return
        if self._injects:
            body += self._script
        self._exchange.respond(status, head + self._freshness, body, stamp)
        self._record.size += len(body)
        self._end()

    # -- any response --------------------------------------------------------------------------------------------------

    async def begin(self, head: ResponseHead, size: int | None, stamp: bytes | None = None) -> None:
        """The head of the response."""
        self._note(head.status, head.raw[head.start :])
        if head.status == 500 and self._holds:
            self.held = [("begin", (head, size, stamp))]
            return
        raw = head.raw
        if self._injects:
            more = len(self._script)
            raw = _length_field.sub(lambda found: b"%b%d%b" % (found[1], int(found[2]) + more, found[3]), raw)
            size = None if size is None else size + more
        if self._freshness:
            raw = raw[:-2] + self._freshness + b"\r\n"
        await self._exchange.begin(head if raw == head.raw else parse_response_head(raw), size, stamp)

    async def write(self, data: bytes) -> None:
        """A piece of the body."""
        if self.held:
            self.held.append(("write", (data,)))
            if sum(len(given[0]) for name, given in self.held if name == "write") > _HELD:
                await self.release()
            return
        await self._exchange.write(data)
        self._record.size += len(data)

    async def send_file(self, file: int, offset: int, count: int) -> int:
        """A piece of the body, out of a file."""
        await self.release()
        sent: int = await self._exchange.send_file(file, offset, count)
        self._record.size += sent
        return sent

    async def finish(self, trailers: bytes = b"") -> None:
        """The end of the response."""
        if self.held:
            self.held.append(("finish", (trailers,)))
            return
        if self._injects:
            await self._exchange.write(self._script)
            self._record.size += len(self._script)
        await self._exchange.finish(trailers)
        self._end()

    async def release(self) -> None:
        """Send what was kept back: it is meant so."""
        held, self.held = self.held, []
        self._holds = False
        for name, given in held:
            if name == "respond":
                self.respond(*given)
            else:
                await getattr(self, name)(*given)

    def upgrade(self, head: bytes) -> bytes:
        """Another protocol."""
        received = self._exchange.upgrade(head)
        self._note(101, head.partition(b"\r\n")[2])
        return received

    def accept_websocket(self, head: bytes, **options: Any) -> Any:
        """A WebSocket."""
        websocket = self._exchange.accept_websocket(head, **options)
        self._note(101, head.partition(b"\r\n")[2])
        return websocket

    # -- what is noted -------------------------------------------------------------------------------------------------

    def _note(self, status: int, block: bytes) -> None:
        record = self._record
        fields = decode_fields(block if block.endswith(b"\r\n\r\n") else block + b"\r\n")
        record.status = status
        record.answer = list(fields.items())
        if record.head_at is None:
            record.head_at = monotonic() - self._exchange.began
        # What nobody has said may be used again is asked for again: else a page that loads itself anew gets its old scripts.
        self._freshness = b"" if not self._script or "cache-control" in fields or "expires" in fields else _FRESH
        self._injects = record.injected = bool(self._script) and self._is_page(status, fields)

    def _is_page(self, status: int, fields: HttpHeaders) -> bool:
        """Whether the response is a whole page of HTML that a browser shows."""
        content_type = fields.get("content-type", "")
        return (
            media_type_of(content_type) == "text/html"
            and self._is_document
            and self.head.method != b"HEAD"
            and status not in (204, 206, 304)
            and "content-encoding" not in fields
            and not _wide(charset_of(content_type) or "")
            and not fields.get("content-disposition", "").lower().startswith("attachment")
        )

    def _end(self) -> None:
        if self._record.end_at is None:
            self._record.end_at = monotonic() - self._exchange.began


def _wants_document(head: RequestHead) -> bool:
    """Whether a browser will show the answer by itself, rather than a script put it somewhere.  Not all clients say."""
    return head.fields.get("sec-fetch-dest", "document") in ("document", "iframe", "frame")
