"""`aiohttp.UploadTracker`: how far the body of one request is."""

from __future__ import annotations

import asyncio

from ...client.exchange import Exchange
from .client_exceptions import UploadAbortedError

__all__ = ["UploadTracker"]


class UploadTracker:
    """What becomes of the body of one request; made within a running event loop, and passed as `upload_tracker=`.

    attempts         how many times the request was sent
    bytes_written    bytes of the body that the connection has taken, of the latest attempt
    upload_complete  a future that is done once the body was sent, or will not be: `UploadAbortedError`, or what went wrong
    """

    def __init__(self) -> None:
        self.attempts = 0
        self.bytes_written = 0
        self.upload_complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._bound = False
        self._sent = False

    def bind(self) -> None:
        """It belongs to a request now.  Raises `RuntimeError` if it belonged to one before."""
        if self._bound:
            raise RuntimeError("an UploadTracker is for one request, and this one had its")
        self._bound = True

    # It is one of wirebird's observers, of each exchange of the request.

    def __call__(self, exchange: Exchange, phase: str) -> None:
        if phase == "started":
            self._begin()
        elif phase == "sent":
            self._sent = True

    def step(self, exchange: Exchange, name: str) -> None:
        """Within an exchange, the request may be sent once more."""
        if name == "ready" and exchange.attempt > 1:
            self._begin()

    def request_data(self, exchange: Exchange, data: bytes) -> None:
        """The connection has taken a piece of the body."""
        self.bytes_written += len(data)

    def _begin(self) -> None:
        self.attempts += 1
        self.bytes_written = 0
        self._sent = False

    def end(self, error: BaseException | None = None) -> None:
        """The request is over."""
        future = self.upload_complete
        if future.done():
            return
        if self._sent:
            future.set_result(None)
            return
        if error is None or isinstance(error, asyncio.CancelledError):
            error = UploadAbortedError("the body of the request was not sent whole")
        future.set_exception(error)
        future.exception()  # nobody has to ask
