"""`aiohttp.web_urldispatcher`: which handler a request is for, by aiohttp's rule: the resource whose fixed part is longest is
asked first, and of those with the same the one that was added first."""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sized
from types import MappingProxyType, SimpleNamespace
from typing import Any

from yarl import URL

from ...web.routing import route_path
from . import hdrs
from .abc import AbstractRouter
from .resources import (
    AbstractResource,
    AbstractRuleMatching,
    Domain,
    DynamicResource,
    MaskDomain,
    MatchedSubAppResource,
    PlainResource,
    PrefixedSubAppResource,
    PrefixResource,
    Resource,
    StaticResource,
    wanted_path,
)
from .route_defs import AbstractRoute, Handler, MatchInfoError, ResourceRoute, SystemRoute, UrlMappingMatchInfo, View
from .web_exceptions import HTTPMethodNotAllowed, HTTPNotFound

__all__ = [
    "AbstractResource",
    "AbstractRoute",
    "AbstractRuleMatching",
    "Domain",
    "DynamicResource",
    "Handler",
    "MaskDomain",
    "MatchInfoError",
    "MatchedSubAppResource",
    "PlainResource",
    "PrefixResource",
    "PrefixedSubAppResource",
    "Resource",
    "ResourceRoute",
    "ResourcesView",
    "RoutesView",
    "StaticResource",
    "SystemRoute",
    "UrlDispatcher",
    "UrlMappingMatchInfo",
    "View",
]


class ResourcesView(Sized, Iterable[AbstractResource], Container[AbstractResource]):
    """The resources of a router."""

    def __init__(self, resources: list[AbstractResource]) -> None:
        self._resources = list(resources)

    def __len__(self) -> int:
        return len(self._resources)

    def __iter__(self) -> Iterator[AbstractResource]:
        return iter(self._resources)

    def __contains__(self, resource: object) -> bool:
        return resource in self._resources


class RoutesView(Sized, Iterable[AbstractRoute], Container[AbstractRoute]):
    """The routes of a router."""

    def __init__(self, resources: list[AbstractResource]) -> None:
        self._routes = [route for resource in resources for route in resource]

    def __len__(self) -> int:
        return len(self._routes)

    def __iter__(self) -> Iterator[AbstractRoute]:
        return iter(self._routes)

    def __contains__(self, route: object) -> bool:
        return route in self._routes


class UrlDispatcher(AbstractRouter, Mapping[str, AbstractResource]):
    """The resources of an application; as a mapping those that have names."""

    NAME_SPLIT_RE = re.compile(r"[.:-]")

    def __init__(self) -> None:
        self._resources: list[AbstractResource] = []
        self._named_resources: dict[str, AbstractResource] = {}
        self._index: dict[str, list[AbstractResource]] = {}
        self._by_rule: list[MatchedSubAppResource] = []

    def __repr__(self) -> str:
        return f"<UrlDispatcher {len(self._resources)} resources>"

    def __iter__(self) -> Iterator[str]:
        return iter(self._named_resources)

    def __len__(self) -> int:
        return len(self._named_resources)

    def __bool__(self) -> bool:
        return True

    def __contains__(self, resource: object) -> bool:
        return resource in self._named_resources

    def __getitem__(self, name: str) -> AbstractResource:
        return self._named_resources[name]

    def resources(self) -> ResourcesView:
        """All resources, in the order that they were added in."""
        return ResourcesView(self._resources)

    def routes(self) -> RoutesView:
        """All routes, those of applications below too."""
        return RoutesView(self._resources)

    def named_resources(self) -> Mapping[str, AbstractResource]:
        """The resources that have names."""
        return MappingProxyType(self._named_resources)

    # -- finding -------------------------------------------------------------------------------------------------------

    async def resolve(self, request: Any) -> UrlMappingMatchInfo:
        """What `request` is for; a `MatchInfoError` for 404 and 405."""
        allowed: set[str] = set()
        for rule in self._by_rule:
            match, methods = await rule.resolve(request)
            if match is not None:
                return match
            allowed |= methods
        part = wanted_path(request)
        while part:
            for resource in self._index.get(part, ()):
                match, methods = await resource.resolve(request)
                if match is not None:
                    return match
                allowed |= methods
            if part == "/":
                break
            part = part.rpartition("/")[0] or "/"
        return MatchInfoError(HTTPMethodNotAllowed(request.method, allowed) if allowed else HTTPNotFound())

    def match(self, method: str, path: str, above: tuple[Any, ...]) -> Any:
        """What wirebird's pages about an application ask its router; `route` is None for nothing."""
        asked = SimpleNamespace(method=method, rel_url=URL.build(path=path), headers={})
        finding = self.resolve(asked)
        try:
            finding.send(None)
        except StopIteration as ended:
            if ended.value.http_exception is None:
                return ended.value
        else:  # a resource of somebody else's, which waits
            finding.close()
        return SimpleNamespace(route=None)

    @staticmethod
    def _key(resource: AbstractResource) -> str:
        """The part of its path in which nothing varies."""
        path = resource.canonical
        if "{" in path:
            path = path.partition("{")[0].rpartition("/")[0]
        return route_path(path.rstrip("/") or "/")

    def index_resource(self, resource: AbstractResource) -> None:
        """Have `resolve` find it."""
        self._index.setdefault(self._key(resource), []).append(resource)

    def unindex_resource(self, resource: AbstractResource) -> None:
        """Have `resolve` not find it any more."""
        self._index[self._key(resource)].remove(resource)

    # -- adding --------------------------------------------------------------------------------------------------------

    def register_resource(self, resource: AbstractResource) -> None:
        """Add a resource.  Raises `RuntimeError` once the application has started, `ValueError` for a bad name."""
        if not isinstance(resource, AbstractResource):
            raise TypeError(f"Instance of AbstractResource class is required, got {resource!r}")
        if self.frozen:
            raise RuntimeError("Cannot register a resource into frozen router.")
        name = resource.name
        if name is not None:
            self._check_name(name)
            self._named_resources[name] = resource
        self._resources.append(resource)
        if isinstance(resource, MatchedSubAppResource):
            self._by_rule.append(resource)
        else:
            self.index_resource(resource)

    def _check_name(self, name: str) -> None:
        for part in self.NAME_SPLIT_RE.split(name):
            if keyword.iskeyword(part):
                raise ValueError(f"Incorrect route name {name!r}, python keywords cannot be used for route name")
            if not part.isidentifier():
                raise ValueError(
                    f"Incorrect route name {name!r}, the name should be a sequence of python identifiers separated by dash, "
                    "dot or column"
                )
        if name in self._named_resources:
            raise ValueError(f"Duplicate {name!r}, already handled by {self._named_resources[name]!r}")

    def add_resource(self, path: str, *, name: str | None = None) -> Resource:
        """A resource for `path`; the last one that was added, if it has the same path and name."""
        if path and not path.startswith("/"):
            raise ValueError("path should be started with / or be empty")
        last = self._resources[-1] if self._resources else None
        if isinstance(last, Resource) and last.name == name and last.raw_match(path):
            return last
        resource = DynamicResource(path, name=name) if "{" in path or "}" in path else PlainResource(path, name=name)
        self.register_resource(resource)
        return resource

    def add_route(
        self, method: str, path: str, handler: Any, *, name: str | None = None, expect_handler: Any = None
    ) -> ResourceRoute:
        """Serve `method`, `*` for any, of `path` with `handler`."""
        return self.add_resource(path, name=name).add_route(method, handler, expect_handler=expect_handler)

    def add_static(
        self,
        prefix: str,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        expect_handler: Any = None,
        chunk_size: int = 2**18,
        show_index: bool = False,
        follow_symlinks: bool = False,
        append_version: bool = False,
    ) -> StaticResource:
        """Serve the files of the folder `path` below `prefix`."""
        if not prefix.startswith("/"):
            raise ValueError("prefix should be started with /")
        resource = StaticResource(
            prefix.removesuffix("/"),
            path,
            name=name,
            expect_handler=expect_handler,
            chunk_size=chunk_size,
            show_index=show_index,
            follow_symlinks=follow_symlinks,
            append_version=append_version,
        )
        self.register_resource(resource)
        return resource

    def add_get(
        self, path: str, handler: Any, *, name: str | None = None, allow_head: bool = True, **kwargs: Any
    ) -> ResourceRoute:
        """GET, and with it HEAD, if `allow_head`."""
        resource = self.add_resource(path, name=name)
        if allow_head:
            resource.add_route(hdrs.METH_HEAD, handler, **kwargs)
        return resource.add_route(hdrs.METH_GET, handler, **kwargs)

    def add_head(self, path: str, handler: Any, **kwargs: Any) -> ResourceRoute:
        """HEAD."""
        return self.add_route(hdrs.METH_HEAD, path, handler, **kwargs)

    def add_options(self, path: str, handler: Any, **kwargs: Any) -> ResourceRoute:
        """OPTIONS."""
        return self.add_route(hdrs.METH_OPTIONS, path, handler, **kwargs)

    def add_post(self, path: str, handler: Any, **kwargs: Any) -> ResourceRoute:
        """POST."""
        return self.add_route(hdrs.METH_POST, path, handler, **kwargs)

    def add_put(self, path: str, handler: Any, **kwargs: Any) -> ResourceRoute:
        """PUT."""
        return self.add_route(hdrs.METH_PUT, path, handler, **kwargs)

    def add_patch(self, path: str, handler: Any, **kwargs: Any) -> ResourceRoute:
        """PATCH."""
        return self.add_route(hdrs.METH_PATCH, path, handler, **kwargs)

    def add_delete(self, path: str, handler: Any, **kwargs: Any) -> ResourceRoute:
        """DELETE."""
        return self.add_route(hdrs.METH_DELETE, path, handler, **kwargs)

    def add_view(self, path: str, handler: Any, **kwargs: Any) -> ResourceRoute:
        """Any method, by a `View`."""
        return self.add_route(hdrs.METH_ANY, path, handler, **kwargs)

    def add_routes(self, routes: Iterable[Any]) -> list[Any]:
        """What `web.get`, `web.static`… give; the routes that were made."""
        return [made for route in routes for made in route.register(self)]

    def freeze(self) -> None:
        """The application starts."""
        super().freeze()
        for resource in self._resources:
            resource.freeze()
