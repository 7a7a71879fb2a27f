"""Ways to say which handler serves what: `web.get("/", hello)`, a table that decorators fill, classes with a method for each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, overload

from ..errors import UsageError
from .exceptions import HTTPMethodNotAllowed

if TYPE_CHECKING:
    from .request import Request
    from .response import StreamResponse
    from .routing import Handler, Router

__all__ = [
    "RouteDef",
    "RouteTableDef",
    "StaticDef",
    "View",
    "as_handler",
    "delete",
    "get",
    "head",
    "options",
    "patch",
    "post",
    "put",
    "route",
    "static",
    "view",
]

_T = TypeVar("_T")

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


class View:
    """A class with a method for each method that it serves: `async def get(self)`.  `request` is the request."""

    __slots__ = ("request",)

    def __init__(self, request: Request) -> None:
        self.request = request

    def __await__(self) -> Generator[Any, None, StreamResponse]:
        return self._serve().__await__()

    async def _serve(self) -> StreamResponse:
        method = self.request.method.lower()
        serve = getattr(self, method, None) if self.request.method in _METHODS else None
        if serve is None and method == "head":
            serve = getattr(self, "get", None)
        if serve is None:
            allowed = {name for name in _METHODS if hasattr(self, name.lower())}
            raise HTTPMethodNotAllowed(self.request.method, allowed | ({"HEAD"} if "GET" in allowed else set()))
        response: StreamResponse = await serve()
        return response


def as_handler(handler: Any) -> Handler:
    """What a route is given, as a coroutine function.  Raises `UsageError` for what is neither that nor a `View` class."""
    if isinstance(handler, type) and issubclass(handler, View):

        async def serve(request: Request) -> StreamResponse:
            return await handler(request)

        return serve
    if not callable(handler):
        raise UsageError(f"handler must be a coroutine function or a View, not {handler!r}", argument="handler")
    if not iscoroutinefunction(handler) and not iscoroutinefunction(getattr(handler, "__call__", None)):  # noqa: B004
        function = getattr(handler, "func", handler)  # of a partial
        if not iscoroutinefunction(function) and not hasattr(function, "__await__"):
            raise UsageError(f"handler must be a coroutine function, and {handler!r} is a plain one", argument="handler")
    return handler  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class RouteDef:
    """A route that is not in an application yet."""

    method: str
    path: str
    handler: Any
    name: str | None = None

    def register(self, router: Router) -> Any:
        """Put it into a router."""
        return router.add_route(self.method, self.path, as_handler(self.handler), name=self.name)


@dataclass(frozen=True, slots=True)
class StaticDef:
    """A folder that is not in an application yet; see `static`."""

    prefix: str
    path: Any
    options: dict[str, Any]

    def register(self, router: Router) -> Any:
        """Put it into a router."""
        from .static_folder import StaticFolder

        folder = StaticFolder(router, self.prefix, self.path, **self.options)
        router.mount(folder.path, folder)  # as paths are matched: decoded
        return folder


def route(method: str, path: str, handler: Any, *, name: str | None = None) -> RouteDef:
    """Serve `method` of `path`, `*` for any, with `handler`."""
    return RouteDef(method, path, handler, name)


def get(path: str, handler: Any, *, name: str | None = None) -> RouteDef:
    """Serve GET of `path`, and with it HEAD."""
    return RouteDef("GET", path, handler, name)


def head(path: str, handler: Any, *, name: str | None = None) -> RouteDef:
    """Serve HEAD of `path`."""
    return RouteDef("HEAD", path, handler, name)


def options(path: str, handler: Any, *, name: str | None = None) -> RouteDef:
    """Serve OPTIONS of `path`."""
    return RouteDef("OPTIONS", path, handler, name)


def post(path: str, handler: Any, *, name: str | None = None) -> RouteDef:
    """Serve POST of `path`."""
    return RouteDef("POST", path, handler, name)


def put(path: str, handler: Any, *, name: str | None = None) -> RouteDef:
    """Serve PUT of `path`."""
    return RouteDef("PUT", path, handler, name)


def patch(path: str, handler: Any, *, name: str | None = None) -> RouteDef:
    """Serve PATCH of `path`."""
    return RouteDef("PATCH", path, handler, name)


def delete(path: str, handler: Any, *, name: str | None = None) -> RouteDef:
    """Serve DELETE of `path`."""
    return RouteDef("DELETE", path, handler, name)


def view(path: str, handler: type[View], *, name: str | None = None) -> RouteDef:
    """Serve `path` with a `View` class."""
    return RouteDef("*", path, handler, name)


def static(prefix: str, path: str | PathLike[str], **options: Any) -> StaticDef:
    """Serve the files of the folder `path` below `prefix`; see `StaticFolder` for its options."""
    return StaticDef(prefix, path, options)


class RouteTableDef(Sequence["RouteDef | StaticDef"]):
    """A list of routes that decorators fill:

    routes = web.RouteTableDef()

    @routes.get("/")
    async def hello(request): ...

    app.add_routes(routes)
    """

    methods: ClassVar = _METHODS

    def __init__(self) -> None:
        self._items: list[RouteDef | StaticDef] = []

    def __repr__(self) -> str:
        return f"<RouteTableDef {len(self._items)} routes>"

    @overload
    def __getitem__(self, index: int) -> RouteDef | StaticDef: ...

    @overload
    def __getitem__(self, index: slice) -> list[RouteDef | StaticDef]: ...

    def __getitem__(self, index: int | slice) -> Any:
        return self._items[index]

    def __iter__(self) -> Iterator[RouteDef | StaticDef]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def route(self, method: str, path: str, *, name: str | None = None) -> Callable[[_T], _T]:
        """A decorator: serve `method` of `path` with what is decorated."""

        def add(handler: _T) -> _T:
            self._items.append(RouteDef(method, path, handler, name))
            return handler

        return add

    def get(self, path: str, *, name: str | None = None) -> Callable[[_T], _T]:
        """GET, and with it HEAD."""
        return self.route("GET", path, name=name)

    def head(self, path: str, *, name: str | None = None) -> Callable[[_T], _T]:
        """HEAD."""
        return self.route("HEAD", path, name=name)

    def post(self, path: str, *, name: str | None = None) -> Callable[[_T], _T]:
        """POST."""
        return self.route("POST", path, name=name)

    def put(self, path: str, *, name: str | None = None) -> Callable[[_T], _T]:
        """PUT."""
        return self.route("PUT", path, name=name)

    def patch(self, path: str, *, name: str | None = None) -> Callable[[_T], _T]:
        """PATCH."""
        return self.route("PATCH", path, name=name)

    def delete(self, path: str, *, name: str | None = None) -> Callable[[_T], _T]:
        """DELETE."""
        return self.route("DELETE", path, name=name)

    def options(self, path: str, *, name: str | None = None) -> Callable[[_T], _T]:
        """OPTIONS."""
        return self.route("OPTIONS", path, name=name)

    def view(self, path: str, *, name: str | None = None) -> Callable[[_T], _T]:
        """A `View` class."""
        return self.route("*", path, name=name)

    def static(self, prefix: str, path: str | PathLike[str], **options: Any) -> None:
        """Serve a folder; see `static`."""
        self._items.append(static(prefix, path, **options))
