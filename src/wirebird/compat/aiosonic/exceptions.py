"""`aiosonic.exceptions`: its names for what wirebird raises.

Each name is the class of wirebird that is raised in that case, so that `except aiosonic.exceptions.ConnectTimeout` catches it,
and so does `except wirebird.ConnectTimeout`.  What aiosonic let through from below is caught as before: a failed connection is a
`ConnectionError`, a failed look-up an `OSError`, a bad URL a `ValueError`.
"""

from __future__ import annotations

from builtins import TimeoutError as TimeoutException

from ...errors import ConnectionLost as ConnectionDisconnected
from ...errors import ConnectTimeout, ReadTimeout, RequestTimeout
from ...errors import PoolTimeout as ConnectionPoolAcquireTimeout
from ...errors import ProtocolError as HttpParsingError
from ...errors import TimeoutError as BaseTimeout
from ...errors import TooManyRedirects as MaxRedirects
from ...errors import WirebirdError as AiosonicError

__all__ = [
    "AiosonicError",
    "BaseTimeout",
    "ConnectTimeout",
    "ConnectionDisconnected",
    "ConnectionPoolAcquireTimeout",
    "HttpParsingError",
    "MaxRedirects",
    "MissingEvent",
    "MissingReaderException",
    "MissingWriterException",
    "ReadTimeout",
    "RequestTimeout",
    "TimeoutException",
]


class MissingWriterException(AiosonicError):
    """Never raised: a connection here has its transport before anybody sees it."""


class MissingReaderException(AiosonicError):
    """Never raised: a connection here has its transport before anybody sees it."""


class MissingEvent(AiosonicError):
    """Never raised: it was about HTTP/2."""
