"""What a program that uses wirebird tests itself with: no socket at all, or real sockets on a free port.

    mock = MockTransport()
    mock.get("/items", json=[{"id": 1}])
    async with HTTPClient(connector=mock, base_url="https://api.example") as client: ...

    async with HTTPClient(connector=ASGITransport(app), base_url="http://app.example") as client: ...
    async with TestClient(app) as client: ...            # the same over the wire
    with Recorder("recording.json") as recorder: ...     # what a real server said, for later

The names below are imported when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..server.asgi_messages import ApplicationError
    from .asgi_transport import ASGITransport
    from .client import TestClient
    from .mock import MockTransport
    from .recorder import Recorder
    from .routes import RecordedCall, Route, UnmatchedRequest
    from .server import TestServer
    from .throwaway_tls import ThrowawayTLS

__all__ = [
    "ASGITransport",
    "ApplicationError",
    "MockTransport",
    "RecordedCall",
    "Recorder",
    "Route",
    "TestClient",
    "TestServer",
    "ThrowawayTLS",
    "UnmatchedRequest",
]

_homes = {
    "ASGITransport": "asgi_transport",
    "ApplicationError": "..server.asgi_messages",
    "MockTransport": "mock",
    "RecordedCall": "routes",
    "Recorder": "recorder",
    "Route": "routes",
    "TestClient": "client",
    "TestServer": "server",
    "ThrowawayTLS": "throwaway_tls",
    "UnmatchedRequest": "routes",
}


def __getattr__(name: str) -> Any:
    if name not in _homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_homes[name] if _homes[name].startswith("..") else f".{_homes[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
