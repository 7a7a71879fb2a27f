"""Aioreq's interface (0.0.7, and 1.0 where that has more) over wirebird.

    from wirebird.compat import aioreq

    client = aioreq.Client()
    response = asyncio.run(client.get("https://example.org/"))
    response                    # <Response 200 OK>

The modules are where Aioreq has them: `http`, `headers`, `middlewares`, `errors`.  The functions `get`, `post`, … of this module
block until the response is there; they run their request on an event loop of their own, in a thread.
"""

from __future__ import annotations

from . import errors, headers, http, middlewares
from .headers import Headers
from .http import Client, JsonRequest, Request, Response, StreamClient, StreamResponse, UrlEncodedRequest
from .sync import delete, get, head, options, patch, post, put

__all__ = [
    "Client",
    "Headers",
    "JsonRequest",
    "Request",
    "Response",
    "StreamClient",
    "StreamResponse",
    "UrlEncodedRequest",
    "delete",
    "errors",
    "get",
    "head",
    "headers",
    "http",
    "middlewares",
    "options",
    "patch",
    "post",
    "put",
]
