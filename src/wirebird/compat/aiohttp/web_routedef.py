"""`aiohttp.web_routedef`: routes that are in no application yet."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from . import hdrs
from .web_urldispatcher import UrlDispatcher

__all__ = [
    "AbstractRouteDef",
    "RouteDef",
    "RouteTableDef",
    "StaticDef",
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


class AbstractRouteDef(ABC):
    """Something that can be added to a router."""

    @abstractmethod
    def register(self, router: UrlDispatcher) -> list[Any]:
        """Add it; the routes that were made."""


@dataclass(frozen=True)
class RouteDef(AbstractRouteDef):
    """A route; `kwargs` are those of `UrlDispatcher.add_route`, or `add_get` for GET."""

    method: str
    path: str
    handler: Any
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        info = "".join([f", {name}={value!r}" for name, value in sorted(self.kwargs.items())])
        handler = getattr(self.handler, "__name__", repr(self.handler))
        return f"<RouteDef {self.method} {self.path} -> {handler!r}{info}>"

    def register(self, router: UrlDispatcher) -> list[Any]:
        """Add it."""
        if self.method == hdrs.METH_GET:
            return [router.add_get(self.path, self.handler, **self.kwargs)]
        return [router.add_route(self.method, self.path, self.handler, **self.kwargs)]


@dataclass(frozen=True)
class StaticDef(AbstractRouteDef):
    """A folder; `kwargs` are those of `UrlDispatcher.add_static`."""

    prefix: str
    path: str | os.PathLike[str]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        info = "".join([f", {name}={value!r}" for name, value in sorted(self.kwargs.items())])
        return f"<StaticDef {self.prefix} -> {self.path}{info}>"

    def register(self, router: UrlDispatcher) -> list[Any]:
        """Add it."""
        resource = router.add_static(self.prefix, self.path, **self.kwargs)
        routes: dict[str, Any] = resource.get_info()["routes"]
        return list(routes.values())


def route(method: str, path: str, handler: Any, **kwargs: Any) -> RouteDef:
    """Serve `method` of `path`, `*` for any."""
    return RouteDef(method, path, handler, kwargs)


def head(path: str, handler: Any, **kwargs: Any) -> RouteDef:
    """HEAD."""
    return route(hdrs.METH_HEAD, path, handler, **kwargs)


def options(path: str, handler: Any, **kwargs: Any) -> RouteDef:
    """OPTIONS."""
    return route(hdrs.METH_OPTIONS, path, handler, **kwargs)


def get(path: str, handler: Any, *, name: str | None = None, allow_head: bool = True, **kwargs: Any) -> RouteDef:
    """GET, and with it HEAD, if `allow_head`."""
    return route(hdrs.METH_GET, path, handler, name=name, allow_head=allow_head, **kwargs)


def post(path: str, handler: Any, **kwargs: Any) -> RouteDef:
    """POST."""
    return route(hdrs.METH_POST, path, handler, **kwargs)


def put(path: str, handler: Any, **kwargs: Any) -> RouteDef:
    """PUT."""
    return route(hdrs.METH_PUT, path, handler, **kwargs)


def patch(path: str, handler: Any, **kwargs: Any) -> RouteDef:
    """PATCH."""
    return route(hdrs.METH_PATCH, path, handler, **kwargs)


def delete(path: str, handler: Any, **kwargs: Any) -> RouteDef:
    """DELETE."""
    return route(hdrs.METH_DELETE, path, handler, **kwargs)


def view(path: str, handler: Any, **kwargs: Any) -> RouteDef:
    """A `View`."""
    return route(hdrs.METH_ANY, path, handler, **kwargs)


def static(prefix: str, path: str | os.PathLike[str], **kwargs: Any) -> StaticDef:
    """The files of a folder."""
    return StaticDef(prefix, path, kwargs)


class RouteTableDef(Sequence[AbstractRouteDef]):
    """A list of routes that decorators fill."""

    def __init__(self) -> None:
        self._items: list[AbstractRouteDef] = []

    def __repr__(self) -> str:
        return f"<RouteTableDef count={len(self._items)}>"

    @overload
    def __getitem__(self, index: int) -> AbstractRouteDef: ...

    @overload
    def __getitem__(self, index: slice) -> list[AbstractRouteDef]: ...

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __iter__(self) -> Iterator[AbstractRouteDef]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def route(self, method: str, path: str, **kwargs: Any) -> Callable[[_T], _T]:
        """A decorator: serve `method` of `path` with what is decorated."""

        def add(handler: _T) -> _T:
            self._items.append(RouteDef(method, path, handler, kwargs))
            return handler

        return add

    def head(self, path: str, **kwargs: Any) -> Callable[[_T], _T]:
        """HEAD."""
        return self.route(hdrs.METH_HEAD, path, **kwargs)

    def get(self, path: str, **kwargs: Any) -> Callable[[_T], _T]:
        """GET, and with it HEAD."""
        return self.route(hdrs.METH_GET, path, **kwargs)

    def post(self, path: str, **kwargs: Any) -> Callable[[_T], _T]:
        """POST."""
        return self.route(hdrs.METH_POST, path, **kwargs)

    def put(self, path: str, **kwargs: Any) -> Callable[[_T], _T]:
        """PUT."""
        return self.route(hdrs.METH_PUT, path, **kwargs)

    def patch(self, path: str, **kwargs: Any) -> Callable[[_T], _T]:
        """PATCH."""
        return self.route(hdrs.METH_PATCH, path, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> Callable[[_T], _T]:
        """DELETE."""
        return self.route(hdrs.METH_DELETE, path, **kwargs)

    def options(self, path: str, **kwargs: Any) -> Callable[[_T], _T]:
        """OPTIONS."""
        return self.route(hdrs.METH_OPTIONS, path, **kwargs)

    def view(self, path: str, **kwargs: Any) -> Callable[[_T], _T]:
        """A `View`."""
        return self.route(hdrs.METH_ANY, path, **kwargs)

    def static(self, prefix: str, path: str | os.PathLike[str], **kwargs: Any) -> None:
        """The files of a folder."""
        self._items.append(static(prefix, path, **kwargs))
