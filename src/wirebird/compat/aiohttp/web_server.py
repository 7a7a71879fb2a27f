"""`aiohttp.web_server`: a server for a handler, without an application; wirebird's (`server/server.py`) behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ...models.limits import DEFAULT_LIMITS
from ...server.server import Server as _Server
from ...server.settings import Settings
from .abc import AbstractAccessLogger
from .log import access_logger, server_logger
from .responding import respond
from .web_log import AccessLogger
from .web_request import BaseRequest

if TYPE_CHECKING:
    from ...server.connection import ServerConnection
    from ...server.exchange import Exchange

__all__ = ["Server", "server_of"]

# What aiohttp's server takes, and the settings of this one do not: some of it is for others, the rest for nobody.
_IGNORED: Final = frozenset(
    {
        *("access_log", "access_log_class", "access_log_format", "auto_decompress", "debug", "logger", "loop", "read_bufsize"),
        *("keepalive", "max_field_size", "slow_request_timeout", "tcp_keepalive", "timeout_ceil_threshold"),
    }
)


def settings_of(handler_args: dict[str, Any]) -> Settings:
    """The settings that aiohttp's keywords for a server mean.  Unknown ones are logged, and left out.

    There is no limit for a body as a whole, for aiohttp's server has none; `client_max_size` is the application's.
    """
    given = dict(handler_args)
    options: dict[str, Any] = {"max_body_size": None}
    for theirs, ours in (("keepalive_timeout", "keepalive_timeout"), ("lingering_time", "drain_time")):
        if theirs in given:
            options[ours] = given.pop(theirs)
    options["cancel_on_disconnect"] = bool(given.pop("handler_cancellation", False))
    limits = {
        ours: given.pop(theirs)
        for theirs, ours in (("max_line_size", "start_line"), ("max_headers", "head_fields"))
        if theirs in given
    }
    if unknown := given.keys() - _IGNORED:
        logger = handler_args.get("logger", server_logger)
        logger.warning("The server has no arguments %s, which are left out", ", ".join(sorted(unknown)))
    return Settings(**options, limits=replace(DEFAULT_LIMITS, **limits))


def access_log_of(handler_args: dict[str, Any]) -> AbstractAccessLogger | None:
    """The access log that they mean, None for none.  Raises `TypeError` for a class that is none."""
    made = handler_args.get("access_log_class", AccessLogger)
    if not issubclass(made, AbstractAccessLogger):
        raise TypeError(f"access_log_class must be subclass of aiohttp.abc.AbstractAccessLogger, got {made}")
    logger = handler_args.get("access_log", access_logger)
    if not logger:
        return None
    found: AbstractAccessLogger = made(logger, handler_args.get("access_log_format", AccessLogger.LOG_FORMAT))
    return found


def body_options_of(handler_args: dict[str, Any]) -> dict[str, Any] | None:
    """What they say of how bodies are read, None for nothing."""
    return {name: handler_args[name] for name in ("auto_decompress", "read_bufsize") if name in handler_args} or None


class _Handlers:
    """What is served: a handler."""

    def __init__(self, handler: Callable[[Any], Any], make_request: Callable[..., Any], options: dict[str, Any]) -> None:
        self._handler = handler
        self._make_request = make_request
        self._log = access_log_of(options)
        self._logger = options.get("logger", server_logger)
        self._debug = bool(options.get("debug"))
        body_options = body_options_of(options)
        if body_options is not None and isinstance(make_request, type) and issubclass(make_request, BaseRequest):
            self._make_request = partial(make_request, changes=body_options)

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request."""
        await respond(self._make_request(exchange), self._handler, self._log, self._logger, debug=self._debug)

    async def startup(self, server: Any) -> None:
        """There is nothing to start."""

    async def shutdown(self, grace: float) -> None:
        """There is nothing to end."""


class Server(_Server):
    """A server for `handler`, a coroutine function of a `BaseRequest`; called, it gives a protocol for `loop.create_server`."""

    def __init__(
        self,
        handler: Callable[[Any], Any],
        *,
        request_factory: Callable[..., Any] | None = None,
        handler_cancellation: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs["handler_cancellation"] = handler_cancellation
        self.request_handler = handler
        self.request_factory = request_factory or BaseRequest
        super().__init__(_Handlers(handler, self.request_factory, kwargs), settings_of(kwargs))

    def __call__(self) -> ServerConnection:
        """A protocol for a connection that somebody else has accepted."""
        return self.connection()

    @property
    def requests_count(self) -> int:
        """How many requests have come so far."""
        return self.past_requests + sum(connection.requests for connection in self.connections)

    async def shutdown(self, timeout: float | None = None) -> None:
        """End what is under way."""
        await self.close(0.0 if timeout is None else timeout)


class _AppServer(Server):
    """A server for an application."""

    def __init__(self, app: Any, options: dict[str, Any]) -> None:
        _Server.__init__(self, app, settings_of(options))
        self.request_handler = app._handle
        self.request_factory = BaseRequest


def set_up(app: Any, options: dict[str, Any]) -> None:
    """Have an application log, and show failures, as the keywords for its server say."""
    app.access_logger = access_log_of(options)
    app.server_logger = options.get("logger", server_logger)
    app.body_options = body_options_of(options)
    app.debug = app.debug or bool(options.get("debug"))


def server_of(app: Any, **kwargs: Any) -> Server:
    """A server for an application; its `handler_args` overrule `kwargs`."""
    options = {**kwargs, **app.handler_args}
    set_up(app, options)
    return _AppServer(app, options)
