"""What `request.writer` is, and what `prepare` gives: the way back to the client, for code that writes there itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .abc import AbstractStreamWriter

if TYPE_CHECKING:
    from ...server.exchange import Exchange

__all__ = ["StreamWriter"]

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class StreamWriter(AbstractStreamWriter):
    """The body of the response, once its head was sent; before that, only `100 Continue` may be written."""

    length: int | None = None

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.output_size = 0
        self.buffer_size = 0

    @property
    def transport(self) -> Any:
        """The transport, None once it is closed."""
        return getattr(self._exchange.connection, "transport", None)

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Send a piece."""
        exchange = self._exchange
        if exchange.begun:
            await exchange.write(bytes(chunk))
        elif bytes(chunk) == _CONTINUE:
            exchange.connection.write(_CONTINUE)
        else:
            raise RuntimeError("Cannot write before the head of the response")
        self.output_size += len(chunk)

    async def drain(self) -> None:
        """Nothing: `write` waits already."""

    async def write_eof(self, chunk: bytes = b"") -> None:
        """Send the last piece, and the end."""
        if chunk:
            await self.write(chunk)
        if not self._exchange.finished:
            await self._exchange.finish()
