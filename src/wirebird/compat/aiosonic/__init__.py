"""aiosonic's interface (0.9.3, and 0.22 to 0.23 where that has more) over wirebird.

    from wirebird.compat import aiosonic

    async with aiosonic.HTTPClient() as client:
        response = await client.get("https://example.org/")

The modules are where aiosonic has them: `connectors`, `connection`, `exceptions`, `multipart`, `pools`, `proxy`, `resolver`,
`timeout`, `types`, `version`.
"""

from __future__ import annotations

from . import exceptions, pools, resolver, types
from .client import HTTPClient, HttpClient
from .connection import Connection
from .connectors import TCPConnector
from .headers import HttpHeaders
from .multipart import MultipartForm
from .proxy import Proxy
from .response import HttpResponse
from .timeout import Timeouts
from .version import VERSION

__all__ = [
    "VERSION",
    "Connection",
    "HTTPClient",
    "HttpClient",
    "HttpHeaders",
    "HttpResponse",
    "MultipartForm",
    "Proxy",
    "TCPConnector",
    "Timeouts",
    "exceptions",
    "pools",
    "resolver",
    "types",
]
