"""The body of a response as the body of another request: as it comes, so fast as it is taken, and nothing kept in between."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ..errors import BodyConsumed
from ..models.headers import HttpHeaders
from .response import HttpResponse

__all__ = ["ResponseSource", "is_decoded"]


def is_decoded(response: HttpResponse) -> bool:
    """Whether what is read from `response` is not what was sent, because a content coding is taken off."""
    if not response.head.is_coded() or not response._setting("auto_decompress", True):
        return False
    from ..protocol.codings import make_decoder

    return make_decoder(response.head.codings()) is not None


class ResponseSource:
    """A `Body` that is read from `response`, once, and lets go of it at the end, however that comes about.

    Its length is that of the response, if it was announced, nothing was read yet, and no content coding is taken off.  A content
    coding that stays on is announced to the next peer too.
    """

    live = True

    def __init__(self, response: HttpResponse) -> None:
        self._response = response
        self._started = False

    def size(self) -> int | None:
        response = self._response
        if self._started or response._streamed or is_decoded(response):
            return None
        if response._body is not None:
            return len(response._body)
        return response.head.length if response.head.length >= 0 else None

    def describe(self, headers: HttpHeaders) -> None:
        """Add the fields that go with this body."""
        response = self._response
        if response.head.is_coded() and not is_decoded(response) and "content-encoding" not in headers:
            headers["Content-Encoding"] = ", ".join(response.head.codings())

    def replayable(self) -> bool:
        return False

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        if self._started:
            raise BodyConsumed("data is a response that was sent on, and it can be read only once", argument="data")
        self._started = True
        async with aclosing(self._response.iter_bytes()) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield piece

    async def close(self) -> None:
        await self._response.close()
