"""`aiohttp.web_app`: the application; as a mapping it keeps what its handlers share.

Any server of wirebird serves it, and it is an application of `wirebird.web`, whose parts it replaces with those that have
aiohttp's names.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, Final

from ...web.app import Application as _Application
from ...web.keys import AppKey as _AppKey
from . import hdrs
from .abc import AbstractAccessLogger
from .app_keys import AppKey, NotAppKeyWarning
from .log import server_logger, web_logger
from .resources import Domain, MaskDomain, MatchedSubAppResource, PrefixedSubAppResource
from .responding import respond
from .route_defs import SystemRoute
from .signal import FrozenList, Signal
from .web_request import Request
from .web_response import StreamResponse
from .web_urldispatcher import UrlDispatcher

if TYPE_CHECKING:
    from ...server.exchange import Exchange

__all__ = ["AppKey", "Application", "CleanupError"]

_COMPOSED: Final = 1024  # handlers behind their middlewares that are remembered


class CleanupError(RuntimeError):
    """Several things went wrong at the end: `exceptions`."""

    @property
    def exceptions(self) -> list[BaseException]:
        """What went wrong."""
        found: list[BaseException] = self.args[1]
        return found


class CleanupContext(FrozenList):
    """Async generator functions of the application: they start something, yield once, and end it."""

    def __init__(self) -> None:
        super().__init__()
        self._exits: list[AbstractAsyncContextManager[None]] = []

    async def _on_startup(self, app: Application) -> None:
        for start in self:
            context = start(app)
            if not isinstance(context, AbstractAsyncContextManager):
                context = asynccontextmanager(start)(app)
            await context.__aenter__()
            self._exits.append(context)

    async def _on_cleanup(self, app: Application) -> None:
        errors: list[BaseException] = []
        exits, self._exits = self._exits, []
        for context in reversed(exits):
            try:
                await context.__aexit__(None, None, None)
            except (Exception, asyncio.CancelledError) as error:
                errors.append(error)
        if len(errors) > 1:
            raise CleanupError("Multiple errors on cleanup stage", errors)
        if errors:
            raise errors[0]


class Application(_Application):
    """An application.

    middlewares        coroutine functions of request and handler; the first is the outermost
    handler_args       how it is served, where `run_app` and `AppRunner` do not say
    client_max_size    bytes of a body that `read`, `text`, `json` and `post` take, 1 MiB, else 413; 0 for any number
    client_max_fields  fields of a form, 1000; 0 for any number
    """

    def __init__(
        self,
        *,
        logger: logging.Logger = web_logger,
        router: UrlDispatcher | None = None,
        middlewares: Iterable[Any] = (),
        handler_args: Mapping[str, Any] | None = None,
        client_max_size: int = 1024**2,
        client_max_fields: int = 1000,
        loop: asyncio.AbstractEventLoop | None = None,
        debug: Any = ...,
    ) -> None:
        for name, given in (("router", router is not None), ("loop", loop is not None), ("debug", debug is not ...)):
            if given:
                warnings.warn(f"{name} argument is deprecated", DeprecationWarning, stacklevel=2)
        self.logger = logger
        self.handler_args = dict(handler_args or {})
        self.router = UrlDispatcher() if router is None else router  # type: ignore[assignment]
        self.middlewares = FrozenList(middlewares)  # type: ignore[assignment]
        self.max_body_size = client_max_size or None
        self.on_startup = Signal(self)  # type: ignore[assignment]
        self.on_shutdown = Signal(self)  # type: ignore[assignment]
        self.on_cleanup = Signal(self)  # type: ignore[assignment]
        self.on_response_prepare = Signal(self)  # type: ignore[assignment]
        self.cleanup_ctx = CleanupContext()  # type: ignore[assignment]
        self.on_startup.append(self.cleanup_ctx._on_startup)  # type: ignore[attr-defined]
        self.on_cleanup.append(self.cleanup_ctx._on_cleanup)  # type: ignore[attr-defined]
        self.access_logger: AbstractAccessLogger | None = None  # whoever runs it sets it
        self.debug = debug is not ... and bool(debug)
        self._debug_is_said = debug is not ...
        self.server_logger: Any = server_logger
        self.body_options: dict[str, Any] | None = None
        self._client_max_size = client_max_size
        self._client_max_fields = client_max_fields
        self._loop = loop
        self._values: dict[Any, Any] = {}
        self._subapps: list[Application] = []  # type: ignore[assignment]
        self._frozen = False
        self._pre_frozen = False
        self._wrappers: list[tuple[Any, bool]] = []
        self._has_middlewares = False
        self._composed: dict[tuple[Any, tuple[Any, ...]], Any] = {}
        self._left = False

    def __repr__(self) -> str:
        return f"<Application 0x{id(self):x}>"

    def __init_subclass__(cls) -> None:
        warnings.warn(f"Inheritance class {cls.__name__} from web.Application is discouraged", DeprecationWarning, stacklevel=3)

    def __call__(self, *asgi: Any) -> Any:
        """Itself; or an answer to ASGI, given its scope, receive and send."""
        return super().__call__(*asgi) if asgi else self

    # -- what it keeps -------------------------------------------------------------------------------------------------

    def _warn_of_change(self) -> None:
        if self._frozen:
            warnings.warn("Changing state of started or joined application is deprecated", DeprecationWarning, stacklevel=3)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._warn_of_change()
        if not isinstance(key, _AppKey):
            warnings.warn("It is recommended to use web.AppKey instances for keys.", NotAppKeyWarning, stacklevel=2)
        self._values[key] = value

    def __delitem__(self, key: Any) -> None:
        self._warn_of_change()
        del self._values[key]

    # -- what it is made of --------------------------------------------------------------------------------------------

    @property
    def loop(self) -> Any:
        """The loop that it runs in, None before it does."""
        warnings.warn("loop property is deprecated", DeprecationWarning, stacklevel=2)
        return self._loop

    @property
    def frozen(self) -> bool:
        """Whether it has started."""
        return self._frozen

    @property
    def pre_frozen(self) -> bool:
        """Whether routes, middlewares and signals can be changed no more."""
        return self._pre_frozen

    def pre_freeze(self) -> None:
        """Let routes, middlewares and signals not be changed any more."""
        if self._pre_frozen:
            return
        self._pre_frozen = True
        parts: tuple[Any, ...] = (
            *(self.middlewares, self.router, self.on_response_prepare, self.cleanup_ctx),
            *(self.on_startup, self.on_shutdown, self.on_cleanup),
        )
        for part in parts:
            part.freeze()
        self._wrappers = [(one, getattr(one, "__middleware_version__", None) == 1) for one in reversed(self.middlewares)]
        for one, is_new in self._wrappers:
            if not is_new:
                warnings.warn(f'old-style middleware "{one!r}" deprecated, see #2252', DeprecationWarning, stacklevel=2)
        self._has_middlewares = bool(self.middlewares)
        for subapp in self._subapps:
            subapp.pre_freeze()
            self._has_middlewares = self._has_middlewares or subapp._has_middlewares

    def freeze(self) -> None:
        """Let nothing of it be changed any more."""
        self.pre_freeze()
        self._frozen = True
        for subapp in self._subapps:
            subapp.freeze()

    def add_routes(self, routes: Iterable[Any]) -> list[Any]:
        """Add what `web.get`, `web.static`… give, or a `RouteTableDef`."""
        added: list[Any] = self.router.add_routes(routes)  # type: ignore[attr-defined]
        return added

    def add_subapp(self, prefix: str, subapp: Application) -> PrefixedSubAppResource:  # type: ignore[override]
        """Give all requests below `prefix` to `subapp`, whose paths are meant relative to that."""
        if not isinstance(prefix, str):
            raise TypeError("Prefix must be str")
        prefix = prefix.rstrip("/")
        if not prefix:
            raise ValueError("Prefix cannot be empty")
        return self._add_subapp(partial(PrefixedSubAppResource, prefix, subapp), subapp)  # type: ignore[no-any-return]

    def add_domain(self, domain: str, subapp: Application) -> MatchedSubAppResource:
        """Give all requests for the host `domain`, which may hold `*`, to `subapp`."""
        if not isinstance(domain, str):
            raise TypeError("Domain must be str")
        rule = MaskDomain(domain) if "*" in domain else Domain(domain)
        return self._add_subapp(partial(MatchedSubAppResource, rule, subapp), subapp)  # type: ignore[no-any-return]

    def _add_subapp(self, make_resource: Callable[[], Any], subapp: Application) -> Any:
        if self._frozen:
            raise RuntimeError("Cannot add sub application to frozen application")
        if subapp.frozen:
            raise RuntimeError("Cannot add frozen application")
        resource = make_resource()
        self.router.register_resource(resource)  # type: ignore[attr-defined]
        for name in ("on_startup", "on_shutdown", "on_cleanup"):
            getattr(self, name).append(partial(_pass_on, getattr(subapp, name), subapp))
        self._subapps.append(subapp)
        subapp.pre_freeze()
        return resource

    @property
    def subapps(self) -> tuple[Application, ...]:
        """None: those below are resources of the router, whose routes hold theirs."""
        return ()

    def make_handler(self, *, loop: Any = None, **kwargs: Any) -> Any:
        """A `web.Server` for it, for `loop.create_server`.  Deprecated: `AppRunner` does it."""
        warnings.warn("Application.make_handler(...) is deprecated, use AppRunner API instead", DeprecationWarning, stacklevel=2)
        from .web_server import server_of

        self.freeze()
        return server_of(self, **kwargs)

    # -- requests ------------------------------------------------------------------------------------------------------

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request."""
        request = Request(
            exchange,
            client_max_size=self._client_max_size,
            client_max_fields=self._client_max_fields,
            changes=self.body_options,
        )
        await respond(request, self._handle, self.access_logger, self.server_logger, debug=self.debug)

    async def _handle(self, request: Any) -> StreamResponse:
        match = await self.router.resolve(request)  # type: ignore[attr-defined]
        match.add_app(self)
        match.freeze()
        request.match_info = match
        route = match.route
        if getattr(route, "expects", False) and request.headers.get(hdrs.EXPECT):
            answer: StreamResponse | None = await match.expect_handler(request)
            if answer is not None:
                return answer
        handler = match.handler
        if self._has_middlewares:
            handler = await self._behind_middlewares(handler, match.apps, keep=not isinstance(route, SystemRoute))
        response: StreamResponse = await handler(request)
        return response

    async def _behind_middlewares(self, handler: Any, apps: tuple[Any, ...], *, keep: bool) -> Any:
        key = (handler, apps)
        composed = self._composed.get(key)
        if composed is not None:
            return composed
        composed = handler
        for app in reversed(apps):
            for middleware, is_new in app._wrappers:
                if is_new:
                    composed = update_wrapper(partial(middleware, handler=composed), composed)
                else:
                    composed = await middleware(app, composed)
                    keep = False
            composed = update_wrapper(partial(_within, app, composed), composed)
        if keep and self._frozen and len(self._composed) < _COMPOSED:
            self._composed[key] = composed
        return composed

    async def prepare_response(self, request: Any, response: Any) -> None:
        """Tell those who want to hear of it."""
        await (response._tell(request) if isinstance(response, StreamResponse) else request._prepare_hook(response))

    # -- start and end -------------------------------------------------------------------------------------------------

    async def startup(self, server: Any = None) -> None:
        """Call `on_startup`.  Started by a `server`, it is cleaned up if that fails."""
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop:
            raise RuntimeError("web.Application instance initialized with different loop")
        self._set_loop(loop)
        self._left = False
        self.on_startup.freeze()
        try:
            await self.on_startup.send(self)
        except BaseException:
            if server is not None:
                await (self.cleanup() if self._pre_frozen else self.cleanup_ctx._on_cleanup(self))  # type: ignore[attr-defined]
            raise
        self.freeze()

    def _set_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        if not self._debug_is_said:
            self.debug = loop.get_debug()
        for subapp in self._subapps:
            subapp._set_loop(loop)

    async def leave(self) -> None:
        """Call `on_shutdown`, once."""
        if not self._left:
            self._left = True
            self.on_shutdown.freeze()
            await self.on_shutdown.send(self)

    async def shutdown(self, grace: float | None = None) -> None:
        """Call `on_shutdown`; ended by a server, which knows how long that may take, `on_cleanup` too."""
        if grace is None:
            self.on_shutdown.freeze()
            await self.on_shutdown.send(self)
            return
        try:
            await self.leave()
        finally:
            await self.cleanup()

    async def cleanup(self) -> None:
        """Call `on_cleanup`, which ends `cleanup_ctx` as well."""
        self.on_cleanup.freeze()
        await self.on_cleanup.send(self)


async def _pass_on(signal: Signal, subapp: Application, app: Application) -> None:
    signal.freeze()
    await signal.send(subapp)


async def _within(app: Application, handler: Any, request: Any) -> Any:
    """Have `request.app` be `app` meanwhile."""
    match = request.match_info
    before = match.current_app
    match.current_app = app
    try:
        return await handler(request)
    finally:
        match.current_app = before
