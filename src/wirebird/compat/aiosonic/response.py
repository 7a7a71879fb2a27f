"""`aiosonic.HttpResponse`: a response whose body is there, unless it is chunked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from http.cookies import SimpleCookie
from json import loads
from typing import Any

from ...client.chunks import iter_chunks
from ...client.connector import TCPConnector
from ...client.response import HttpResponse as _HttpResponse
from .headers import HttpHeaders

__all__ = ["HttpResponse"]


class HttpResponse:
    """A response.

    headers      the fields, one value for each name
    raw_headers  the fields as pairs of bytes, all of them, as they came
    cookies      the cookies that it sets, as a `SimpleCookie`; None if it sets none
    chunked      whether the body comes in chunks; then it is read when it is asked for, and holds its connection until then
    """

    def __init__(self, response: _HttpResponse, connector: TCPConnector) -> None:
        self._response = response
        self._connector = connector
        self._read = ""  # how the body of a chunked response was read: whole, or in chunks
        self.headers = HttpHeaders(response.headers.items())
        self.raw_headers: list[tuple[bytes, bytes]] = response.raw_headers
        self.cookies: SimpleCookie | None = response.cookies or None
        self.chunked = response.chunked

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status_code}>"

    @property
    def status_code(self) -> int:
        """The status."""
        return self._response.status_code

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return self._response.ok

    async def content(self) -> bytes:
        """The whole body, decompressed.  Raises `ConnectionError` once `read_chunks` was used."""
        self._begin("whole")
        body = await self._response.content()
        await self._end()
        return body

    async def text(self) -> str:
        """The whole body as text, by its charset.  Raises `ConnectionError` once `read_chunks` was used."""
        await self.content()
        return await self._response.text()

    async def json(self, json_decoder: Callable[..., Any] = loads) -> Any:
        """The whole body decoded as JSON, whatever its Content-Type says.  Raises what the decoder raises."""
        await self.content()
        return await self._response.json(json_decoder)

    async def read_chunks(self) -> AsyncIterator[bytes]:
        """The chunks as the server framed them, not decompressed; once.  A body that is not chunked comes as one.

        Raises `ConnectionError` for a chunked body that was read before.
        """
        if not self.chunked:
            if body := await self._response.content():
                yield body
            return
        if self._read:
            raise ConnectionError(_GONE)
        self._begin("in chunks")
        try:
            async with aclosing(iter_chunks(self._response)) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    yield chunk
        finally:
            await self._response.close()
            await self._end()

    def _begin(self, way: str) -> None:
        if not self.chunked:
            return
        if self._read == "in chunks":
            raise ConnectionError(_GONE)
        self._read = way

    async def _end(self) -> None:
        """The last one to be read behind the `async with` of its client closes what that left open."""
        pool = self._connector.peek() if self.chunked and self._connector.closed else None
        if pool is not None and not pool.in_use:
            await self._connector.close()


_GONE = "the response was read before, and its chunks are gone"
