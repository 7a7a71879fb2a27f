"""aiosonic's interface (0.9.3, and 0.22 to 0.23 where that has more) over wirebird.

    from wirebird.compat import aiosonic

    async with aiosonic.HTTPClient() as client:
        response = await client.get("https://example.org/")

The modules are where aiosonic has them: `connectors`, `connection`, `exceptions`, `multipart`, `pools`, `proxy`, `resolver`,
`timeout`, `types`, `version`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import exceptions, pools, resolver, types
from .client import HTTPClient, HttpClient
from .connection import Connection
from .connectors import TCPConnector
from .headers import HttpHeaders
from .multipart import MultipartForm
from .response import HttpResponse
from .timeout import Timeouts
from .version import VERSION

if TYPE_CHECKING:
    from .proxy import Proxy as Proxy

__all__ = [
    "VERSION",
    "Connection",
    "HTTPClient",
    "HttpClient",
    "HttpHeaders",
    "HttpResponse",
    "MultipartForm",
    "TCPConnector",
    "Timeouts",
    "exceptions",
    "pools",
    "resolver",
    "types",
]


def __getattr__(name: str) -> Any:
    if name != "Proxy":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .proxy import Proxy

    return Proxy
