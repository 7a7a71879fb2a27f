"""The resources of `aiohttp.web_urldispatcher`: paths, with and without patterns, folders, and applications below a path.

Patterns and folders are wirebird's (`web/routing.py`, `web/static_folder.py`).
"""

from __future__ import annotations

import fnmatch
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import Any, TypeAlias

from yarl import URL

from ...errors import UsageError
from ...web import exceptions as _exceptions
from ...web.routing import Resource as _Resource
from ...web.routing import route_path
from ...web.static_folder import StaticFolder
from . import hdrs
from .route_defs import AbstractRoute, ResourceRoute, UrlMappingMatchInfo
from .web_exceptions import HTTPMethodNotAllowed, of_web
from .web_fileresponse import FileResponse
from .web_response import Response, StreamResponse

__all__ = [
    "AbstractResource",
    "AbstractRuleMatching",
    "Domain",
    "DynamicResource",
    "MaskDomain",
    "MatchedSubAppResource",
    "PlainResource",
    "PrefixResource",
    "PrefixedSubAppResource",
    "Resource",
    "StaticResource",
    "wanted_path",
]

Found: TypeAlias = "tuple[UrlMappingMatchInfo | None, set[str]]"

_label = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)").fullmatch
_masked_label = re.compile(r"(?!-)[a-z0-9*-]{1,63}(?<!-)").fullmatch


def wanted_path(request: Any) -> str:
    """The path of a request as it is matched."""
    return route_path(request.rel_url.raw_path)


class AbstractResource(Sized, Iterable[AbstractRoute]):
    """A resource: `resolve(request)` says whether a request is for it."""

    def __init__(self, *, name: str | None = None) -> None:
        self._name = name

    @property
    def name(self) -> str | None:
        """What `router[name]` finds it by."""
        return self._name

    @property
    @abstractmethod
    def canonical(self) -> str:
        """Its path, with its patterns."""

    @abstractmethod
    def url_for(self, **kwargs: str) -> URL:
        """The URL that leads here."""

    @abstractmethod
    async def resolve(self, request: Any) -> Found:
        """What was found, None for nothing, and the methods that there are."""

    @abstractmethod
    def add_prefix(self, prefix: str) -> None:
        """Be meant below `prefix`."""

    @abstractmethod
    def get_info(self) -> dict[str, Any]:
        """What is known of it."""

    def freeze(self) -> None:
        """The application starts."""

    @abstractmethod
    def raw_match(self, path: str) -> bool:
        """Whether it was made for `path`."""


class Resource(AbstractResource):
    """A path, and the routes that it has by method."""

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self._routes: dict[str, ResourceRoute] = {}

    def add_route(self, method: str, handler: Any, *, expect_handler: Any = None) -> ResourceRoute:
        """Serve `method` with `handler`.  Raises `RuntimeError` if there is one already."""
        there = self._routes.get(method, self._routes.get(hdrs.METH_ANY))
        if there is not None:
            raise RuntimeError(f"Added route will never be executed, method {there.method} is already registered")
        route = ResourceRoute(method, handler, self, expect_handler=expect_handler)
        self.register_route(route)
        return route

    def register_route(self, route: ResourceRoute) -> None:
        """Add a route."""
        self._routes[route.method] = route

    async def resolve(self, request: Any) -> Found:
        """What was found, None for nothing, and the methods that there are."""
        found = self._match(wanted_path(request))
        if found is None:
            return None, set()
        route = self._routes.get(request.method, self._routes.get(hdrs.METH_ANY))
        return (None if route is None else UrlMappingMatchInfo(found, route)), set(self._routes)

    @abstractmethod
    def _match(self, path: str) -> dict[str, str] | None:
        """What is found in a path, None if it is another one."""

    def __len__(self) -> int:
        return len(self._routes)

    def __iter__(self) -> Iterator[AbstractRoute]:
        return iter(self._routes.values())


class PlainResource(Resource):
    """A path without patterns; an empty one is that of the application itself."""

    def __init__(self, path: str, *, name: str | None = None) -> None:
        super().__init__(name=name)
        if path and not path.startswith("/"):
            raise ValueError("path should be started with / or be empty")
        self._set(path)

    def _set(self, path: str) -> None:
        self._path = path
        self._wanted = route_path(path)

    def __repr__(self) -> str:
        name = f"'{self.name}' " if self.name is not None else ""
        return f"<PlainResource {name} {self._path}>"

    @property
    def canonical(self) -> str:
        """The path."""
        return self._path

    def freeze(self) -> None:
        """The application starts."""
        if not self._path:
            self._set("/")

    def add_prefix(self, prefix: str) -> None:
        """Be meant below `prefix`."""
        self._set(prefix + self._path)

    def _match(self, path: str) -> dict[str, str] | None:
        return {} if path == self._wanted else None

    def raw_match(self, path: str) -> bool:
        """Whether it was made for `path`."""
        return path == self._path

    def get_info(self) -> dict[str, Any]:
        """Its path."""
        return {"path": self._path}

    def url_for(self) -> URL:  # type: ignore[override]
        """Its path."""
        return URL.build(path=self._path, encoded=True)


class DynamicResource(Resource):
    """A path with patterns: `{name}` for what has no slash, `{name:regex}`."""

    def __init__(self, path: str, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self._orig_path = path
        try:
            self._resource = _Resource(path)
        except UsageError as error:
            raise ValueError(f"Invalid path '{path}': {error.message}") from None

    def __repr__(self) -> str:
        name = f"'{self.name}' " if self.name is not None else ""
        return f"<DynamicResource {name} {self.canonical}>"

    @property
    def canonical(self) -> str:
        """The path, without the expressions of its patterns."""
        return self._resource.formatter

    def add_prefix(self, prefix: str) -> None:
        """Be meant below `prefix`."""
        self._resource.add_prefix(prefix)

    def _match(self, path: str) -> dict[str, str] | None:
        found = self._resource.match(path)
        return None if found is None else dict(found)

    def raw_match(self, path: str) -> bool:
        """Whether it was made for `path`."""
        return path == self._orig_path

    def get_info(self) -> dict[str, Any]:
        """Its path, and the expression."""
        return {"formatter": self.canonical, "pattern": self._resource.pattern}

    def url_for(self, **parts: str) -> URL:
        """The path with `parts` in their places.  Raises `KeyError` for one that is missing."""
        for one in self._resource.names:
            if one not in parts:
                raise KeyError(one)
            if not isinstance(parts[one], str):
                raise TypeError(f"Argument should be str, got {parts[one]!r}")
        return URL(self._resource.path_for(parts, "/"), encoded=True)


class PrefixResource(AbstractResource):
    """Everything below a path."""

    def __init__(self, prefix: str, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self._prefix = URL.build(path=prefix).raw_path.replace("%25", "%") if prefix else ""

    @property
    def canonical(self) -> str:
        """The prefix."""
        return self._prefix

    def add_prefix(self, prefix: str) -> None:
        """Be meant below `prefix`."""
        self._prefix = prefix + self._prefix

    def raw_match(self, path: str) -> bool:
        """False: it is never used again."""
        return False


class _Folder(StaticFolder):
    """A folder whose files are sent as this façade's responses."""

    __slots__ = ()

    file_response = FileResponse
    response = Response


class StaticResource(PrefixResource):
    """The files of a folder, hidden ones too, as with aiohttp; a folder's URL ends with a slash, and is redirected there."""

    VERSION_KEY = "v"

    def __init__(
        self,
        prefix: str,
        directory: str | os.PathLike[str],
        *,
        name: str | None = None,
        expect_handler: Any = None,
        chunk_size: int = 2**18,
        show_index: bool = False,
        follow_symlinks: bool = False,
        append_version: bool = False,
    ) -> None:
        super().__init__(prefix, name=name)
        self._directory = Path(directory).expanduser().resolve()
        if not self._directory.is_dir():
            fault = "is not a directory" if self._directory.exists() else "does not exist"
            raise ValueError(f"'{self._directory}' {fault}")
        self._options: dict[str, Any] = {
            "chunk_size": chunk_size,
            "show_index": show_index,
            "follow_symlinks": follow_symlinks,
            "append_version": append_version,
            "hidden": True,
        }
        self._expect_handler = expect_handler
        self._folder = self._make()
        self._routes = {
            method: ResourceRoute(method, self._handle, self, expect_handler=expect_handler) for method in ("GET", "HEAD")
        }

    def _make(self) -> _Folder:
        try:
            return _Folder(None, self._prefix or "/", self._directory, **self._options)
        except UsageError as error:
            raise ValueError(error.message) from None

    def __repr__(self) -> str:
        name = f"'{self.name}'" if self.name is not None else ""
        return f"<StaticResource {name} {self._prefix} -> {self._directory!r}>"

    def add_prefix(self, prefix: str) -> None:
        """Be meant below `prefix`."""
        super().add_prefix(prefix)
        self._folder = self._make()

    def url_for(self, *, filename: str | os.PathLike[str], append_version: bool | None = None) -> URL:  # type: ignore[override]
        """The path of a file, with a hash of it if `append_version`."""
        return self._folder.url_for(filename=filename, append_version=append_version)

    def get_info(self) -> dict[str, Any]:
        """The folder, the prefix and the routes."""
        return {"directory": self._directory, "prefix": self._prefix, "routes": self._routes}

    def set_options_route(self, handler: Any) -> None:
        """Serve OPTIONS.  Raises `RuntimeError` if it is served already."""
        if "OPTIONS" in self._routes:
            raise RuntimeError("OPTIONS route was set already")
        self._routes["OPTIONS"] = ResourceRoute("OPTIONS", handler, self, expect_handler=self._expect_handler)

    async def resolve(self, request: Any) -> Found:
        """What was found, None for nothing, and the methods that there are."""
        path = wanted_path(request)
        wanted = route_path(self._prefix)
        if path != wanted and not path.startswith(wanted + "/"):
            return None, set()
        route = self._routes.get(request.method)
        if route is None:
            return None, set(self._routes)
        return UrlMappingMatchInfo({"filename": path[len(wanted) + 1 :]}, route), set(self._routes)

    async def _handle(self, request: Any) -> StreamResponse:
        try:
            response: Any = await self._folder.answer(request, request.match_info["filename"])
        except _exceptions.HTTPException as error:
            raise of_web(error) from None
        found: StreamResponse = response
        return found

    def __len__(self) -> int:
        return len(self._routes)

    def __iter__(self) -> Iterator[AbstractRoute]:
        return iter(self._routes.values())


class PrefixedSubAppResource(PrefixResource):
    """An application below a path."""

    def __init__(self, prefix: str, app: Any) -> None:
        super().__init__(prefix)
        self._app = app
        self._add_prefix_to_resources(prefix)

    def __repr__(self) -> str:
        return f"<PrefixedSubAppResource {self._prefix} -> {self._app!r}>"

    def add_prefix(self, prefix: str) -> None:
        """Be meant below `prefix`, and everything of the application too."""
        super().add_prefix(prefix)
        self._add_prefix_to_resources(prefix)

    def _add_prefix_to_resources(self, prefix: str) -> None:
        router = self._app.router
        for resource in router.resources():
            router.unindex_resource(resource)
            resource.add_prefix(prefix)
            router.index_resource(resource)

    def url_for(self, *args: str, **kwargs: str) -> URL:
        """Raises `RuntimeError`."""
        raise RuntimeError(".url_for() is not supported by sub-application root")

    def get_info(self) -> dict[str, Any]:
        """The application and the prefix."""
        return {"app": self._app, "prefix": self._prefix}

    async def resolve(self, request: Any) -> Found:
        """What the application has for it, an error too."""
        match = await self._app.router.resolve(request)
        match.add_app(self._app)
        error = match.http_exception
        return match, error.allowed_methods if isinstance(error, HTTPMethodNotAllowed) else set()

    def __len__(self) -> int:
        return len(self._app.router.routes())

    def __iter__(self) -> Iterator[AbstractRoute]:
        return iter(self._app.router.routes())


class AbstractRuleMatching(ABC):
    """Whether a request is for an application, whatever its path."""

    @abstractmethod
    async def match(self, request: Any) -> bool:
        """Whether it is."""

    @abstractmethod
    def get_info(self) -> dict[str, Any]:
        """What is known of the rule."""

    @property
    @abstractmethod
    def canonical(self) -> str:
        """The rule as text."""


class Domain(AbstractRuleMatching):
    """A host, with a port if that counts.  Raises `ValueError` for what is none."""

    _is_label = staticmethod(_label)

    def __init__(self, domain: str) -> None:
        self._domain = self.validation(domain)

    @property
    def canonical(self) -> str:
        """The host."""
        return self._domain

    def validation(self, domain: str) -> str:
        """The host as it is compared."""
        if not isinstance(domain, str):
            raise TypeError("Domain must be str")
        domain = domain.rstrip(".").lower()
        if not domain:
            raise ValueError("Domain cannot be empty")
        if "://" in domain:
            raise ValueError("Scheme not supported")
        url = URL("http://" + domain)
        host = url.raw_host or ""
        if not all(self._is_label(label) for label in host.split(".")):
            raise ValueError("Domain not valid")
        return host if url.port == 80 else f"{host}:{url.port}"

    async def match(self, request: Any) -> bool:
        """Whether the request names this host."""
        host = request.headers.get(hdrs.HOST)
        return bool(host) and self.match_domain(host)

    def match_domain(self, host: str) -> bool:
        """Whether `host` is this one; its port counts only if this one has one."""
        host = host.lower()
        return host == self._domain or host.partition(":")[0] == self._domain

    def get_info(self) -> dict[str, Any]:
        """The host."""
        return {"domain": self._domain}


class MaskDomain(Domain):
    """Hosts with `*` in their names."""

    _is_label = staticmethod(_masked_label)

    @property
    def canonical(self) -> str:
        """The hosts, as an expression."""
        return self._domain.replace(".", r"\.").replace("*", "[^:]*") + "(:.*)?"

    def match_domain(self, host: str) -> bool:
        """Whether `host` is one of them."""
        mask, _, wanted = self._domain.partition(":")
        name, _, port = host.lower().partition(":")
        return (not wanted or port == wanted) and fnmatch.fnmatchcase(name, mask)


class MatchedSubAppResource(PrefixedSubAppResource):
    """An application for what a rule says."""

    def __init__(self, rule: AbstractRuleMatching, app: Any) -> None:
        AbstractResource.__init__(self)
        self._prefix = ""
        self._app = app
        self._rule = rule

    def __repr__(self) -> str:
        return f"<MatchedSubAppResource -> {self._app!r}>"

    @property
    def canonical(self) -> str:
        """The rule."""
        return self._rule.canonical

    def get_info(self) -> dict[str, Any]:
        """The application and the rule."""
        return {"app": self._app, "rule": self._rule}

    async def resolve(self, request: Any) -> Found:
        """What the application has for it, if the rule says so."""
        return await super().resolve(request) if await self._rule.match(request) else (None, set())
