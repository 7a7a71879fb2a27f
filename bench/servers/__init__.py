"""The servers that are compared: one file each, with `serve(operation, loop, port)`, which serves 127.0.0.1 until it is stopped.

`operation` says what: `serve_text` is a handler behind a router and one middleware that answers with 12 bytes of text, where the
server has such things; `serve_asgi` is the same ASGI function under every server.  A bare ASGI function, without a router, stands
in for the first under a server that has none of its own: less work, not more.  Each is set up as its documentation recommends for
speed: C parsers where there are some, no access log, one process.
"""

from __future__ import annotations

from importlib import import_module

__all__ = ["SERVERS", "serve"]

# Of those that are compared, these are nothing but servers.
SERVERS = ("uvicorn", "starlette", "blacksheep", "sanic", "granian", "hypercorn")


def serve(name: str, operation: str, loop: str, port: int) -> None:
    """Serve as `name` does; `ModuleNotFoundError` if it is not installed."""
    module = "wirebird" if name == "before" else name
    import_module(f".{module}", __name__).serve(operation, loop, port)
