"""Record what a real server says, and replay it from a file later: a network middleware.

Replayed, a request goes no further than here: no name is resolved, no connection opened.  Recorded, it goes on, and what comes
back is kept on its way to the caller, a stream too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from os import PathLike, fspath
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from urllib.parse import unquote_plus

from yarl import URL

from ..client.feed import IteratorFeed
from ..client.made import make_head
from ..client.raw import raw_body, raw_pieces, raw_trailers, with_body
from ..client.response import HttpResponse
from ..client.transport import encode_head
from ..errors import IncompleteBody, UsageError
from ..models.headers import HttpHeaders, decode_fields, encode_fields
from ..models.message import Body, Request, trailers_of
from ..models.redaction import is_secret, read_hide
from ..pipeline import Handler
from ..protocol.http1_heads import parse_request_head
from .delivery import as_sent
from .recording import Answered, Asked, Exchange, load_recording, save_recording
from .routes import UnmatchedRequest, shown

__all__ = ["Recorder"]

# Fields whose values are not kept unless the caller says otherwise.
SECRET_FIELDS = ("authorization", "cookie", "set-cookie", "proxy-authorization")

_PARTS = ("method", "url", "path", "query", "headers", "body")
# Fields that hold URLs, whose queries may hold secrets.
_URL_FIELDS = frozenset({"location", "content-location", "referer"})
_HIDDEN = "hidden"
# Exchanges that the message of an unmatched request shows.
_NEAREST = 5

_boundary = re.compile(r"boundary=\"?([^\";]+)", re.IGNORECASE).search


class Recorder:
    """Records exchanges to a file, or replays them: `HTTPClient(network_middlewares=[recorder])`.

    path          the file, JSON; its folder is made if need be
    mode          "record" asks the real server, and replaces the file; "replay" asks nobody; "auto" records if there is no file
    match         what a request must have in common with a recorded one: of "method", "url", "path", "query", "headers", "body"
    hide_headers  fields whose values are not kept, of requests and responses; of requests those with well-known names of secrets
                  besides (`X-Api-Key`, …), unless there are none
    hide_query    parameters of URLs whose values are not kept

    Used as `with recorder:` or `async with recorder:`, and saved when that ends without an exception.  The same request asked
    again gets the next answer that was recorded for it.  In replay a request that is not in the file, or not as often, raises
    `UnmatchedRequest`, and so does the end of the `with` if that was caught.  Bodies are kept as they are: look at the file
    before you share it.  Raises `UsageError` for a bad argument, or a file that is not a recording.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        mode: Literal["auto", "record", "replay"] = "auto",
        *,
        match: Iterable[str] = ("method", "url", "body"),
        hide_headers: Iterable[str] = SECRET_FIELDS,
        hide_query: Iterable[str] = (),
    ) -> None:
        if mode not in ("auto", "record", "replay"):
            raise UsageError(f"mode must be 'auto', 'record' or 'replay', not {mode!r}", argument="mode")
        self.path = fspath(path)
        self.mode = mode
        self.exchanges: list[Exchange] = []
        self.unmatched: list[Request] = []
        self._match = tuple(match)
        if not self._match or not set(self._match) <= set(_PARTS):
            raise UsageError(f"match must hold some of {', '.join(_PARTS)}, not {self._match!r}", argument="match")
        for argument, names in (("hide_headers", hide_headers), ("hide_query", hide_query)):
            if isinstance(names, str):
                raise UsageError(f"{argument} must be names, not one text", argument=argument)
        self._hide_headers = frozenset(name.lower() for name in hide_headers)
        self._secrets = read_hide(bool(self._hide_headers))
        self._hide_query = frozenset(hide_query)
        self._recording: bool | None = None  # None before it is known
        self._entered = False
        self._used: set[int] = set()

    def __repr__(self) -> str:
        doing = {None: self.mode, True: "recording", False: "replaying"}[self._recording]
        return f"<Recorder {self.path!r} {doing}, {len(self.exchanges)} exchanges>"

    @property
    def recording(self) -> bool:
        """Whether the real server is asked."""
        if self._recording is None:
            self._recording = self.mode == "record" or (self.mode == "auto" and not Path(self.path).exists())
            if not self._recording:
                self.exchanges = load_recording(self.path)
        return self._recording

    # -- as a middleware -----------------------------------------------------------------------------------------------

    async def __call__(self, request: Request, handler: Handler[Request, HttpResponse]) -> HttpResponse:
        """Answer `request` from the file, or have it answered and keep what was said."""
        if not self.recording:
            return await self._replay(request)
        if not self._entered:
            raise UsageError("a Recorder records inside of `with recorder:`, or nothing would be saved")
        return await self._record(request, handler)

    # -- recording -----------------------------------------------------------------------------------------------------

    async def _record(self, request: Request, handler: Handler[Request, HttpResponse]) -> HttpResponse:
        head, _ = encode_head(request)
        body = request.body
        exchange = Exchange(self._asked(request, HttpHeaders(parse_request_head(head).fields)))
        self.exchanges.append(exchange)
        if isinstance(body, bytes):
            exchange.asked.body = body
        elif body is not None:
            request = request.copy()
            request.body = _Overheard(body, exchange.asked)
        response = await handler(request)
        kept = exchange.answered = Answered(response.status_code, response.reason, [])
        kept.headers, kept.hidden = self._fields(response.headers)
        whole = raw_body(response)
        if whole is not None:
            kept.body = whole
            kept.trailers = list(decode_fields(raw_trailers(response)).items())
            return response
        feed = IteratorFeed(_Kept(response, kept), -1, request, lambda: raw_trailers(response))
        return with_body(request, response, feed)

    def _asked(self, request: Request, fields: HttpHeaders) -> Asked:
        headers, hidden = self._fields(fields, self._secrets)
        return Asked(request.method, str(self._shown_url(request.url)), headers, hidden)

    def _fields(self, fields: HttpHeaders, secrets: frozenset[str] = frozenset()) -> tuple[list[tuple[str, str]], list[str]]:
        """The fields to keep, and the names of those that are hidden."""
        headers = []
        hidden = []
        for name, value in fields.items():
            if name.lower() in self._hide_headers or is_secret(name, secrets):
                hidden.append(name.lower())
                continue
            headers.append((name, self._shown_value(value) if name.lower() in _URL_FIELDS else value))
        return headers, sorted(set(hidden))

    def _shown_value(self, value: str) -> str:
        """The value of a field that holds a URL."""
        try:
            url = URL(value)
            shown_url = self._shown_url(url)
        except ValueError:
            return _HIDDEN  # what it holds cannot be told
        return value if shown_url == url.with_fragment(None) else str(shown_url)

    def _shown_url(self, url: URL) -> URL:
        """`url` without credentials, fragment, and the values of parameters to hide."""
        url = url.with_fragment(None)
        if url.raw_user is not None or url.raw_password is not None:
            url = url.with_user(None)
        if not self._hide_query or not url.raw_query_string:
            return url
        parts = []
        for part in url.raw_query_string.split("&"):
            name, equals, _ = part.partition("=")
            is_secret = bool(equals) and unquote_plus(name) in self._hide_query
            parts.append(f"{name}={_HIDDEN}" if is_secret else part)
        return URL(f"{str(url).partition('?')[0]}?{'&'.join(parts)}", encoded=True)

    # -- replaying -----------------------------------------------------------------------------------------------------

    async def _replay(self, request: Request) -> HttpResponse:
        seen = await as_sent(request)
        asked = self._asked(seen, seen.headers)
        asked.body = seen.body if isinstance(seen.body, bytes) else b""
        for number, exchange in enumerate(self.exchanges):
            if number not in self._used and exchange.answered is not None and not self._differences(asked, exchange.asked):
                self._used.add(number)
                return self._answer(request, exchange.answered)
        self.unmatched.append(seen)
        raise self._explain(seen, asked)

    def _answer(self, request: Request, kept: Answered) -> HttpResponse:
        try:
            head = make_head(kept.status, HttpHeaders(kept.headers), kept.reason, None)
            trailers = encode_fields(kept.trailers)
        except UsageError as error:
            raise UsageError(f"path {self.path!r} is not a recording: {error}", argument="path") from error
        if kept.complete and not trailers:
            return HttpResponse(head, bytes(kept.body), request)
        feed = IteratorFeed(_told(kept), -1, request, lambda: trailers)
        return HttpResponse(head, None, request, feed.body)

    def _differences(self, asked: Asked, kept: Asked) -> list[str]:
        """In what two requests differ, of what has to be the same."""
        found = []
        for part in self._match:
            if part == "body" and not kept.complete:
                continue  # it was answered before all of it was sent
            one, other = _part(asked, part), _part(kept, part)
            if one != other:
                found.append(f"{part} is {shown(one)}, not {shown(other)}")
        return found

    def _explain(self, request: Request, asked: Asked) -> UnmatchedRequest:
        said = f"{self.path!r} has no answer to {asked.method} {asked.url}"
        if asked.body:
            said += f" with the body {shown(asked.body)}"
        kept = [(self._differences(asked, exchange.asked), exchange) for exchange in self.exchanges]
        times = sum(not why for why, _ in kept)
        if times:
            said += f": it was recorded {times} times, and is asked for once more"
        reasons = [
            f"{exchange.asked.method} {exchange.asked.url}: {'; '.join(why) or 'was given before'}"
            for why, exchange in sorted(kept, key=lambda one: len(one[0]))
        ]
        more = f"\n  and {len(reasons) - _NEAREST} more" if len(reasons) > _NEAREST else ""
        hint = "\n  record it again with mode='record'"
        return UnmatchedRequest("\n  ".join([said, *reasons[:_NEAREST]]) + more + hint, request, reasons)

    @property
    def unused(self) -> list[Exchange]:
        """The recorded exchanges that were not asked for in this replay."""
        return [exchange for number, exchange in enumerate(self.exchanges) if number not in self._used]

    # -- beginning and end ---------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the file, if this is a recording.  Raises `OSError` if that cannot be done."""
        if self.recording:
            save_recording(self.path, self.exchanges)

    def check(self) -> None:
        """Raise `UnmatchedRequest` if a request was not in the file, even if that was caught."""
        if self.unmatched:
            request = self.unmatched[0]
            asked = self._asked(request, request.headers)
            asked.body = request.body if isinstance(request.body, bytes) else b""
            raise self._explain(request, asked)

    def __enter__(self) -> Recorder:
        self._entered = True
        _ = self.recording
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._entered = False
        if kind is None:
            self.save()
            self.check()

    async def __aenter__(self) -> Recorder:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, traceback)


class _Overheard:
    """The body of a request, of which a copy is kept as it is sent."""

    def __init__(self, body: Body, asked: Asked) -> None:
        self._body = body
        self._asked = asked

    def size(self) -> int | None:
        return self._body.size()

    def replayable(self) -> bool:
        return self._body.replayable()

    def trailers(self) -> bytes:
        return trailers_of(self._body)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        asked = self._asked
        asked.body = heard = bytearray()
        asked.complete = False
        async with aclosing(self._body.pieces()) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                heard += piece
                yield piece
        asked.complete = True

    async def close(self) -> None:
        await self._body.close()


class _Kept:
    """The body of a response, of which a copy is kept as it is read."""

    def __init__(self, response: HttpResponse, kept: Answered) -> None:
        self._response = response
        self._pieces = raw_pieces(response)
        self._heard = bytearray()
        self._kept = kept
        kept.body = self._heard
        kept.complete = False

    def __aiter__(self) -> _Kept:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._pieces)
        except StopAsyncIteration:
            self._kept.complete = True
            self._kept.trailers = list(decode_fields(raw_trailers(self._response)).items())
            raise
        self._heard += piece
        return piece

    async def aclose(self) -> None:
        await self._pieces.aclose()
        await self._response.close()


async def _told(kept: Answered) -> AsyncGenerator[bytes, None]:
    if kept.body:
        yield bytes(kept.body)
    if not kept.complete:
        message = f"the recording ends after {len(kept.body)} bytes of body, for more of it was not read"
        raise IncompleteBody(message, received=len(kept.body))


def _part(asked: Asked, part: str) -> Any:
    """What of a request is compared."""
    if part == "method":
        return asked.method
    if part == "url":
        return asked.url
    if part == "path":
        return URL(asked.url, encoded=True).raw_path
    if part == "query":
        return sorted(URL(asked.url, encoded=True).raw_query_string.split("&"))
    body = bytes(asked.body)
    boundary = _boundary(HttpHeaders(asked.headers).get("content-type", ""))
    if part == "headers":
        lines = [f"{name.lower()}: {value}" for name, value in asked.headers]
        return sorted(line.replace(boundary[1], "boundary") if boundary else line for line in lines)
    return body.replace(boundary[1].encode(), b"boundary") if boundary else body  # that of a form is random
