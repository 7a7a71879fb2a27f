"""`aiohttp.UploadTracker`: how far the body of one request is."""

from __future__ import annotations

import asyncio

from ...client.exchange import Exchange
from ...errors import WirebirdError
from .client_exceptions import ClientConnectionError, UploadAbortedError

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
        self._begun = False
        self._ended = False  # the latest attempt
        self._answered = False  # the request has its response

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
            if self._answered and not self.upload_complete.done():
                self.upload_complete.set_result(None)
        elif phase == "done":
            self._ended = True
            if self._answered:
                self._fail(exchange.error)

    def step(self, exchange: Exchange, name: str) -> None:
        """Within an exchange, the request may be sent once more."""
        if name == "ready":
            if exchange.attempt > 1:
                self._begin()
            self._begun = True

    def request_data(self, exchange: Exchange, data: bytes) -> None:
        """The connection has taken a piece of the body."""
        self.bytes_written += len(data)

    def _begin(self) -> None:
        self.attempts += 1
        self.bytes_written = 0
        self._sent = self._begun = self._ended = False

    def end(self, error: BaseException | None = None) -> None:
        """The request has its response, which may come before the end of the body; or `error`, and none."""
        self._answered = True
        if self._sent and not self.upload_complete.done():
            self.upload_complete.set_result(None)
        elif error is not None or self._ended or not self._begun:
            self._fail(error if self._begun else None)

    def _fail(self, error: BaseException | None) -> None:
        """The body was not sent whole; `error` is what went wrong with it, None where nobody knows."""
        if self.upload_complete.done():
            return
        if isinstance(error, WirebirdError):  # behind the response
            cause, error = error.__cause__, None
            if cause is not None and not isinstance(cause, OSError | WirebirdError):
                error = ClientConnectionError("the body of the request could not be sent")
                error.__cause__ = cause
        if error is None or isinstance(error, asyncio.CancelledError):
            error = UploadAbortedError("the body of the request was not sent whole")
        self.upload_complete.set_exception(error)
        self.upload_complete.exception()  # nobody has to ask
