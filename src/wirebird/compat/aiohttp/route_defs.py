"""What a request is for, as `aiohttp.web_urldispatcher` has it: routes, what was matched, and views."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator
from functools import wraps
from inspect import isawaitable, iscoroutinefunction
from typing import Any, ClassVar, NoReturn, TypeAlias

from yarl import URL

from ...models.headers import check_token
from . import hdrs
from .abc import AbstractMatchInfo, AbstractView
from .http import HttpVersion11
from .web_exceptions import HTTPException, HTTPExpectationFailed, HTTPMethodNotAllowed
from .web_response import StreamResponse

__all__ = [
    "AbstractRoute",
    "Handler",
    "MatchInfoError",
    "ResourceRoute",
    "SystemRoute",
    "UrlMappingMatchInfo",
    "View",
]

Handler: TypeAlias = "Callable[[Any], Awaitable[StreamResponse]]"


class AbstractRoute(ABC):
    """One method of one resource: `method`, `handler`, `resource`."""

    def __init__(self, method: str, handler: Any, *, expect_handler: Any = None, resource: Any = None) -> None:
        method = method.upper()
        if method != hdrs.METH_ANY:
            check_token(method, "method")
        if not callable(handler):
            raise TypeError(f"handler should be a coroutine function or a View, not {handler!r}")
        if expect_handler is not None and not iscoroutinefunction(expect_handler):
            raise TypeError(f"Coroutine is expected, got {expect_handler!r}")
        if not iscoroutinefunction(handler) and not (isinstance(handler, type) and issubclass(handler, AbstractView)):
            if not iscoroutinefunction(getattr(handler, "__call__", None)):  # noqa: B004
                warnings.warn("Bare functions are deprecated, use async ones", DeprecationWarning, stacklevel=2)
            handler = _awaited(handler)
        self._method = method
        self._handler = handler
        self._expect_handler = expect_handler
        self._resource = resource

    @property
    def method(self) -> str:
        """The method, `*` for any."""
        return self._method

    @property
    def handler(self) -> Any:
        """The handler."""
        return self._handler

    @property
    @abstractmethod
    def name(self) -> str | None:
        """The name of its resource."""

    @property
    def resource(self) -> Any:
        """Its resource."""
        return self._resource

    @abstractmethod
    def get_info(self) -> dict[str, Any]:
        """What is known of it."""

    @abstractmethod
    def url_for(self, *args: str, **kwargs: str) -> URL:
        """The URL that leads here."""

    @property
    def expects(self) -> bool:
        """Whether there is a handler for Expect; without one, the server answers as the body is asked for."""
        return self._expect_handler is not None

    async def handle_expect_header(self, request: Any) -> Any:
        """What becomes of Expect: None to go on, or the response."""
        if self._expect_handler is not None:
            return await self._expect_handler(request)
        expect = request.headers.get(hdrs.EXPECT, "")
        if request.version == HttpVersion11 and expect.lower() != "100-continue":
            raise HTTPExpectationFailed(text=f"Unknown Expect: {expect}")
        return None


def _awaited(function: Any) -> Handler:
    """A handler of a function that gives a response, or something to await."""

    @wraps(function, updated=())
    async def handle(request: Any) -> Any:
        result = function(request)
        return await result if isawaitable(result) else result

    return handle


class ResourceRoute(AbstractRoute):
    """A route of a resource."""

    def __init__(self, method: str, handler: Any, resource: Any, *, expect_handler: Any = None) -> None:
        super().__init__(method, handler, expect_handler=expect_handler, resource=resource)

    def __repr__(self) -> str:
        return f"<ResourceRoute [{self.method}] {self._resource} -> {self.handler!r}"

    @property
    def name(self) -> str | None:
        """The name of its resource."""
        name: str | None = self._resource.name
        return name

    def url_for(self, *args: str, **kwargs: str) -> URL:
        """The URL that leads here."""
        url: URL = self._resource.url_for(*args, **kwargs)
        return url

    def get_info(self) -> dict[str, Any]:
        """What is known of its resource."""
        info: dict[str, Any] = self._resource.get_info()
        return info


class SystemRoute(AbstractRoute):
    """Where there is no route: it raises."""

    def __init__(self, http_exception: HTTPException) -> None:
        async def handle(request: Any) -> NoReturn:
            raise http_exception

        super().__init__(hdrs.METH_ANY, handle)
        self._http_exception = http_exception

    def __repr__(self) -> str:
        return f"<SystemRoute {self.status}: {self.reason}>"

    @property
    def name(self) -> str | None:
        """None."""
        return None

    @property
    def status(self) -> int:
        """404 or 405."""
        return self._http_exception.status

    @property
    def reason(self) -> str:
        """The phrase for it."""
        return self._http_exception.reason

    def url_for(self, *args: str, **kwargs: str) -> URL:
        """Raises `RuntimeError`."""
        raise RuntimeError(".url_for() is not allowed for SystemRoute")

    def get_info(self) -> dict[str, Any]:
        """What it raises."""
        return {"http_exception": self._http_exception}


class UrlMappingMatchInfo(dict[str, str], AbstractMatchInfo):
    """What a route found in a path; `apps` are those that it belongs to, the outermost first."""

    def __init__(self, match_dict: dict[str, str], route: AbstractRoute) -> None:
        super().__init__(match_dict)
        self._route = route
        self._apps: list[Any] = []
        self._current_app: Any = None
        self._frozen = False

    def __repr__(self) -> str:
        return f"<MatchInfo {super().__repr__()}: {self._route}>"

    @property
    def handler(self) -> Any:
        """The handler, without the middlewares."""
        return self._route.handler

    @property
    def route(self) -> AbstractRoute:
        """The route."""
        return self._route

    @property
    def expect_handler(self) -> Any:
        """What is asked about Expect."""
        return self._route.handle_expect_header

    @property
    def http_exception(self) -> HTTPException | None:
        """What is raised where there is no route."""
        return None

    def get_info(self) -> dict[str, Any]:
        """What is known of the route."""
        return self._route.get_info()

    @property
    def apps(self) -> tuple[Any, ...]:
        """The applications, the outermost first."""
        return tuple(self._apps)

    def add_app(self, app: Any) -> None:
        """Put `app` around those that are here."""
        if self._frozen:
            raise RuntimeError("Cannot change apps stack after .freeze() call")
        if self._current_app is None:
            self._current_app = app
        self._apps.insert(0, app)

    @property
    def current_app(self) -> Any:
        """The one whose middleware or handler runs."""
        return self._current_app

    @current_app.setter
    def current_app(self, app: Any) -> None:
        self._current_app = app

    def freeze(self) -> None:
        """No application is added any more."""
        self._frozen = True


class MatchInfoError(UrlMappingMatchInfo):
    """What was found where there is no route."""

    def __init__(self, http_exception: HTTPException) -> None:
        self._exception = http_exception
        super().__init__({}, SystemRoute(http_exception))

    def __repr__(self) -> str:
        return f"<MatchInfoError {self._exception.status}: {self._exception.reason}>"

    @property
    def http_exception(self) -> HTTPException:
        """What is raised."""
        return self._exception


class View(AbstractView):
    """A class with a method for each method that it serves: `async def get(self)`."""

    METHODS: ClassVar = hdrs.METH_ALL

    def __await__(self) -> Generator[Any, None, StreamResponse]:
        return self._iter().__await__()

    async def _iter(self) -> StreamResponse:
        method = self.request.method
        serve = getattr(self, method.lower(), None) if method in hdrs.METH_ALL else None
        if serve is None:
            self._raise_allowed_methods()
        response: StreamResponse = await serve()
        return response

    def _raise_allowed_methods(self) -> NoReturn:
        raise HTTPMethodNotAllowed(self.request.method, {name for name in hdrs.METH_ALL if hasattr(self, name.lower())})
