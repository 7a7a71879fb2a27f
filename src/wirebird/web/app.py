"""The application: routes, middlewares, what it keeps, and what happens when it starts and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from inspect import isasyncgenfunction
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..errors import InvalidRequest, UsageError
from ..models.numbers import check_count
from ..pipeline import compose
from ..server.refusal import is_of_client
from .exceptions import HTTPException, HTTPSystemError
from .keys import AppKey
from .request import Request
from .response import Response, StreamResponse
from .routing import Handler, MatchInfo, Router, route_path
from .signals import Signal

if TYPE_CHECKING:
    from ..server.asgi_messages import Receive, Scope, Send
    from ..server.exchange import Exchange
    from ..server.server import Server

__all__ = ["Application"]

_T = TypeVar("_T")

Middleware = Callable[[Request, Handler], Awaitable[StreamResponse]]
CleanupContext = Callable[["Application"], AsyncIterator[None] | AbstractAsyncContextManager[None]]


class Application(MutableMapping[Any, Any]):
    """A web application.  As a mapping it keeps what its handlers share, by `AppKey` or str: `app[DB] = database`.

    middlewares    `async def middleware(request, handler)`; the first is the outermost
    max_body_size  bytes of a body that `read`, `text`, `json` and `post` take, 1 MiB, else 413; None for the server's limit
    debug          show in an answer of 500 what went wrong; never where strangers see it

    `on_startup`, `on_shutdown`, `on_cleanup` are called with the application, `on_response_prepare` with request and response
    before its head is sent; `cleanup_ctx` takes async generators of the application that start something, yield once, and end it.

    Once it has started it can be changed no more, except that values may be put to keys that are there.
    """

    def __init__(
        self, *, middlewares: Sequence[Middleware] = (), max_body_size: int | None = 1024 * 1024, debug: bool = False
    ) -> None:
        if max_body_size is not None:
            check_count("max_body_size", max_body_size)
        for one in middlewares:
            if not callable(one):
                raise UsageError(f"middlewares must be coroutine functions, not {one!r}", argument="middlewares")
        self.middlewares = list(middlewares)
        self.max_body_size = max_body_size
        self.debug = debug
        self.router = Router(self)
        self.on_startup = Signal("on_startup")
        self.on_shutdown = Signal("on_shutdown")
        self.on_cleanup = Signal("on_cleanup")
        self.on_response_prepare = Signal("on_response_prepare")
        self.cleanup_ctx: list[CleanupContext] = []
        self.prepares = False  # whether anybody wants to hear of responses
        self.parent: Application | None = None
        self._values: dict[Any, Any] = {}
        self._subapps: list[Application] = []
        self._contexts: AsyncExitStack | None = None
        self._started = False
        self._leaving: asyncio.Future[None] | None = None  # being told of its end
        self._frozen = False
        self._find = self.router.find

    def __repr__(self) -> str:
        return f"<Application {self.router!r}>"

    # -- what it keeps -------------------------------------------------------------------------------------------------

    @overload
    def __getitem__(self, key: AppKey[_T]) -> _T: ...

    @overload
    def __getitem__(self, key: str) -> Any: ...

    def __getitem__(self, key: Any) -> Any:
        return self._values[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        if not isinstance(key, str | AppKey):
            raise UsageError(f"key must be an AppKey or str, not {key!r}", argument="key")
        if self._frozen and key not in self._values:
            raise RuntimeError("the application has started: put into a value that is there what changes later")
        self._values[key] = value

    def __delitem__(self, key: Any) -> None:
        if self._frozen:
            raise RuntimeError("the application has started: nothing can be taken away any more")
        del self._values[key]

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __bool__(self) -> bool:
        return True

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    # -- what it is made of --------------------------------------------------------------------------------------------

    def add_routes(self, routes: Iterable[Any]) -> list[Any]:
        """Add what `web.get`, `web.static`… give, or a `RouteTableDef`."""
        self.router.check_open()
        return [one.register(self.router) for one in routes]

    def add_subapp(self, prefix: str, subapp: Application) -> None:
        """Give all requests below `prefix` to another application, whose paths are meant relative to that.

        Its middlewares come behind this one's, and its start and end happen with this one's.  Raises `UsageError` for a prefix
        that is no path, or has patterns, and for an application that has a parent, or is this one.
        """
        self.router.check_open()
        if not isinstance(prefix, str) or not prefix.startswith("/") or prefix.rstrip("/") == "":
            raise UsageError(f"prefix must be a path below /, not {prefix!r}", argument="prefix")
        if "{" in prefix or "}" in prefix:
            raise UsageError(f"prefix must have no patterns, not {prefix!r}", argument="prefix")
        if not isinstance(subapp, Application) or subapp.parent is not None or subapp is self or subapp._started:
            raise UsageError("subapp must be an Application that has no parent and has not started", argument="subapp")
        subapp.parent = self
        subapp.add_prefix(prefix.rstrip("/"))
        self._subapps.append(subapp)
        self.router.mount(route_path(prefix), subapp)

    @property
    def subapps(self) -> tuple[Application, ...]:
        """The applications right below this one."""
        return tuple(self._subapps)

    def add_prefix(self, prefix: str) -> None:
        """Be meant relative to `prefix`."""
        self.router.add_prefix(prefix)

    def match_below(self, method: str, path: str, apps: tuple[Application, ...]) -> MatchInfo:
        """The handler for what is below where this application is mounted."""
        return self.router.match(method, path, apps)

    def has_route(self, method: str, raw_path: str) -> bool:
        """Whether a request for `raw_path` would find a handler."""
        return self.router.match(method, route_path(raw_path), ()).route is not None

    def compose(self, handler: Handler, apps: tuple[Application, ...]) -> Handler:
        """`handler` behind the middlewares of `apps`, those of the first outermost."""
        return compose([one for app in apps for one in app.middlewares], handler)

    def freeze(self) -> None:
        """From now on it is as it is."""
        if self._frozen:
            return
        self._frozen = True
        self.router.frozen = True
        for signal in (self.on_startup, self.on_shutdown, self.on_cleanup, self.on_response_prepare):
            signal.freeze()
        for subapp in self._subapps:
            subapp.freeze()
        above: Application | None = self
        while above is not None:
            self.prepares = self.prepares or bool(above.on_response_prepare)
            above = above.parent

    # -- requests ------------------------------------------------------------------------------------------------------

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request."""
        request = Request(exchange)
        request.app = self
        response: StreamResponse | None
        try:
            try:
                match = self._find(request)
                request.match_info = match
                request.app = match.apps[-1]
                response = await match.handler(request)
            except HTTPException as error:
                response = error.with_traceback(None)  # one that is raised again and again would collect them
            except InvalidRequest as error:
                response = refusal = HTTPSystemError.for_status(error.status, error.message)
                if not hasattr(request, "match_info"):  # who hears of responses may look at it
                    request.match_info = self.router.nowhere(refusal)
            if type(response) is not Response:
                if not isinstance(response, StreamResponse):
                    raise TypeError(f"{request!r} was answered with {response!r}, which is no response")
                await response.deliver(request)
            elif not response.deliver_at_once(request):
                await response.deliver(request)
        except Exception as error:
            if self.debug and not is_of_client(error, exchange):
                from .error_page import answer_failure

                await answer_failure(request, error)
            raise  # to be logged, and answered if it was not
        finally:
            response = None  # what an exception came of has a traceback, which leads here
            if request.form is not None:
                await request.form.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be an ASGI 3 application: `http`, `websocket` and `lifespan`, under any server for those.

        A server that knows no lifespan does not start it: then nothing of `on_startup` and `cleanup_ctx` happens.  Raises what
        `serve` raises, and `UsageError` for a scope of another type.
        """
        from .asgi import answer

        await answer(self, scope, receive, send)

    async def prepare_response(self, request: Request, response: StreamResponse) -> None:
        """Tell those who want to hear of it, of this application and those above."""
        if self.prepares:
            match: MatchInfo | None = getattr(request, "match_info", None)  # there is none if the search for it failed
            for app in match.apps if match is not None else (self,):
                await app.on_response_prepare.send(request, response)

    # -- start and end -------------------------------------------------------------------------------------------------

    async def startup(self, server: Server | None = None) -> None:
        """Start: `cleanup_ctx` of this application and those below, then `on_startup`; what was started is ended if one fails."""
        if self._started:
            return
        self.freeze()
        self._started = True
        self._leaving = None
        self._contexts = AsyncExitStack()
        try:
            for start in self.cleanup_ctx:
                entered = start(self) if not isasyncgenfunction(start) else asynccontextmanager(start)(self)
                await self._contexts.enter_async_context(_as_context(entered))
            for subapp in self._subapps:
                await subapp.startup(server)
                self._contexts.push_async_callback(partial(subapp.cleanup))
            await self.on_startup.send(self)
        except BaseException as error:
            try:
                await self.cleanup()
            except Exception as fault:  # most likely for what is not there
                error.add_note(f"To end what was started failed, too: {fault!r}")
            raise

    async def shutdown(self, grace: float = 0.0) -> None:
        """End: `on_shutdown`, then what `cleanup` does."""
        if not self._started:
            return
        try:
            await self.leave()
        finally:
            await self.cleanup()

    async def leave(self) -> None:
        """Call `on_shutdown`, once: requests are still under way, and what keeps connections open can end them now."""
        if not self._started:
            return
        if self._leaving is None:
            self._leaving = asyncio.ensure_future(self._tell_of_shutdown())
        await self._leaving

    async def _tell_of_shutdown(self) -> None:
        async with AsyncExitStack() as telling:
            for subapp in reversed(self._subapps):
                telling.push_async_callback(subapp.leave)
            await self.on_shutdown.send_to_all(self)

    async def cleanup(self) -> None:
        """End what was started, the last first: `on_cleanup`, applications below, `cleanup_ctx`.  All of it, whatever raises."""
        if not self._started:
            return
        self._started = False
        contexts, self._contexts = self._contexts, None
        try:
            await self.on_cleanup.send_to_all(self)
        finally:
            if contexts is not None:
                await contexts.aclose()


def _as_context(entered: Any) -> AbstractAsyncContextManager[None]:
    if hasattr(entered, "__aenter__"):
        return entered  # type: ignore[no-any-return]
    if hasattr(entered, "__anext__"):
        return asynccontextmanager(lambda: entered)()
    raise UsageError(f"cleanup_ctx must hold async generator functions, not {entered!r}", argument="cleanup_ctx")
