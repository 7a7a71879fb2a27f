"""Which handler a request is for: paths, patterns, names (RFC 9110 9, 15.5.5, 15.5.6).

Paths are matched percent-decoded, except that `%2F` separates nothing: it stands for a slash within a value.  A path without
patterns is found before any with, whatever the order; those with are tried in the order they were added.  A path that is known
with other methods gives 405, and `Allow` says which; HEAD is served by the handler of GET.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias
from urllib.parse import quote, unquote_to_bytes

from yarl import URL

from ..errors import InvalidRequest, UsageError
from ..models.headers import check_token
from .exceptions import HTTPException, HTTPMethodNotAllowed, HTTPNotFound

if TYPE_CHECKING:
    from .app import Application
    from .request import Request
    from .response import StreamResponse

__all__ = ["Handler", "MatchInfo", "Resource", "Route", "Router", "route_path"]

Handler: TypeAlias = "Callable[[Request], Awaitable[StreamResponse]]"

# Stands for %2F in a decoded path: no UTF-8 decodes to it.
_SLASH: Final = "\udc2f"

_placeholder = re.compile(r"\{([^{}:]*)(?::((?:[^{}]|\{[^{}]*\})*))?\}")
_name = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch
_escaped_slash = re.compile("(%2[Ff])")

# Requests whose routes are remembered, where there is nothing to find in the path.
_KNOWN: Final = 4096


def route_path(raw: str) -> str:
    """A path as it is matched.  Raises `InvalidRequest` if it is not UTF-8."""
    if "%" not in raw:
        return raw
    parts = _escaped_slash.split(raw)
    try:
        return "".join(_SLASH if index % 2 else unquote_to_bytes(part).decode() for index, part in enumerate(parts))
    except UnicodeDecodeError:
        raise InvalidRequest("a path that is not UTF-8") from None


class MatchInfo(dict[str, str]):
    """What a route found in a path; with the `route`, and the `apps` it belongs to, the outermost first.

    It may serve several requests, so it cannot be changed: what belongs to one of them is kept in the request.
    """

    __slots__ = ("apps", "error", "handler", "route")

    def __init__(
        self, found: Mapping[str, str], route: Route | None, apps: tuple[Application, ...], handler: Handler, error: Any = None
    ) -> None:
        super().__init__(found)
        self.route = route
        self.apps = apps
        self.handler = handler
        self.error = error

    def _refuse(self, *arguments: Any, **named: Any) -> NoReturn:
        raise TypeError("match_info cannot be changed: put into the request what belongs to it, request[name] = value")

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = setdefault = pop = popitem = clear = _refuse


class Route:
    """One method of one resource."""

    __slots__ = ("handler", "method", "resource")

    def __init__(self, method: str, handler: Handler, resource: Resource) -> None:
        self.method = method
        self.handler = handler
        self.resource = resource

    def __repr__(self) -> str:
        return f"<Route {self.method} {self.resource.canonical}>"

    @property
    def name(self) -> str | None:
        """The name of its resource."""
        return self.resource.name

    def url_for(self, **parts: Any) -> URL:
        """The path that leads here; see `Resource.url_for`."""
        return self.resource.url_for(**parts)


class Resource:
    """A path, with or without patterns, and the routes it has by method; `*` is any.

    path  `/items/{id}`, where `{id}` matches what has no slash, and `{id:[0-9]+}` what the expression does
    name  what `router[name]` finds it by

    Raises `UsageError` for a path that does not begin with a slash, or a pattern that cannot be read.
    """

    __slots__ = ("_prefix", "_template", "canonical", "name", "names", "path", "pattern", "routes")

    def __init__(self, path: str, name: str | None = None) -> None:
        if not isinstance(path, str) or not path.startswith("/"):
            raise UsageError(f"path must begin with a slash, not {path!r}", argument="path")
        self.canonical = path
        self.name = name
        self.routes: dict[str, Route] = {}
        self._prefix = ""
        self.names: list[str] = []
        self._template: list[str] = []  # literals at even places, names at odd ones
        self.path = path
        self.pattern: re.Pattern[str] | None = None
        self._read(path)

    def __repr__(self) -> str:
        return f"<Resource {self.canonical}{f' {self.name!r}' if self.name else ''}>"

    def _read(self, path: str) -> None:
        expression, at = "", 0
        for found in _placeholder.finditer(path):
            literal = path[at : found.start()]
            name, wanted = found[1], found[2]
            if not _name(name) or name in self.names:
                raise UsageError(f"path must name its parts, each differently: {path!r}", argument="path")
            self.names.append(name)
            self._template += [literal, name]
            expression += f"{re.escape(route_path(literal))}(?P<{name}>{wanted or '[^/]+'})"
            at = found.end()
        rest = path[at:]
        if "{" in rest or "}" in rest or any("{" in part or "}" in part for part in self._template[::2]):
            raise UsageError(f"path has a brace without its other half: {path!r}", argument="path")
        self._template.append(rest)
        self.path = route_path(path) if not self.names else path
        if self.names:
            try:
                self.pattern = re.compile(expression + re.escape(route_path(rest)))
            except re.error as error:
                raise UsageError(f"path has a pattern that cannot be read: {path!r}: {error}", argument="path") from error

    @property
    def formatter(self) -> str:
        """The path with the names of its patterns alone: `/items/{id}`."""
        return "".join([f"{{{part}}}" if index % 2 else part for index, part in enumerate(self._template)])

    @property
    def start(self) -> str:
        """The whole segments in front of its patterns, up to a slash: `/items/`."""
        literal = route_path(self._template[0])
        return literal[: literal.rfind("/") + 1]

    def add_prefix(self, prefix: str) -> None:
        """Put `prefix` in front of its path, and read both anew."""
        path = prefix + self.canonical
        self.canonical, self.names, self._template, self.pattern = path, [], [], None
        self._read(path)

    def match(self, path: str) -> Mapping[str, str] | None:
        """What the pattern finds in a path, None if it is another one."""
        if self.pattern is None:
            return _NOTHING if path == self.path else None
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        if _SLASH in path:
            return {name: found[name].replace(_SLASH, "/") for name in self.names}
        return {name: found[name] for name in self.names}

    def add_route(self, method: str, handler: Handler) -> Route:
        """Serve `method` with `handler`.  Raises `UsageError` if there is one already."""
        method = method.upper()
        if method != "*":
            check_token(method, "method")
        if method in self.routes or "*" in self.routes:
            raise UsageError(f"method {method} of {self.canonical} has a handler already", argument="method")
        route = self.routes[method] = Route(method, handler, self)
        return route

    def find(self, method: str) -> Route | None:
        """The route for `method`; that of GET for HEAD, if it has none of its own."""
        routes = self.routes
        found = routes.get(method) or routes.get("*")
        return routes.get("GET") if found is None and method == "HEAD" else found

    def allowed(self) -> set[str]:
        """The methods that it knows."""
        return {*self.routes, *(("HEAD",) if "GET" in self.routes else ())}

    def url_for(self, **parts: Any) -> URL:
        """The path with `parts` in their places, quoted.  Raises `UsageError` for one too many or too few, or that is none: among
        them one with `.` or `..` as a segment, by which clients go elsewhere (RFC 3986 5.2.4)."""
        if set(parts) != set(self.names):
            raise UsageError(f"{self.canonical} takes {self.names}, not {sorted(parts)}", argument="parts")
        try:
            path = self.path_for(parts)
        except UnicodeEncodeError:
            raise UsageError(f"{parts!r} hold half of a surrogate pair, which is no Unicode", argument="parts") from None
        if self.match(route_path(path)) is None or not {".", ".."}.isdisjoint(path.split("/")):
            raise UsageError(f"{path!r} is no path of {self.canonical}", argument="parts")
        return URL(path, encoded=True)

    def path_for(self, parts: Mapping[str, Any], unquoted: str = "") -> str:
        """The same, whether the patterns match it or not; `parts` that are not its own are left out.

        `unquoted` are characters that are left as they are in parts, besides those that may always stand in one.
        """
        pieces = []
        for index, part in enumerate(self._template):
            if index % 2:
                pieces.append(quote(str(parts[part]), safe="!$&'()*+,;=:@-._~" + unquoted))
            else:
                pieces.append(URL(part).raw_path if part.startswith("/") else quote(part, safe="/!$&'()*+,;=:@-._~%"))
        return "".join(pieces)


_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_NO_METHODS: Final[frozenset[str]] = frozenset()


class Router:
    """The resources of one application.  `router["name"]` is the resource of that name."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._plain: dict[str, Resource] = {}
        self._patterns: list[Resource] = []
        self._by_start: dict[str, list[tuple[int, Resource]]] | None = None  # these, as `_candidates` finds them
        self._depth = 0
        self._mounted: list[tuple[str, Any]] = []  # prefixes, and what serves all below them: applications, folders
        self._named: dict[str, Resource] = {}
        self._known: dict[tuple[bytes, bytes], MatchInfo] = {}
        # By handler, which is kept so that nothing else comes to have its id, and how many applications are around it.
        self._composed: dict[tuple[int, int], tuple[Handler, Handler]] = {}
        self.frozen = False

    def __repr__(self) -> str:
        return f"<Router {len(self._plain) + len(self._patterns)} resources>"

    def __getitem__(self, name: str) -> Resource:
        return self._named[name]

    def __contains__(self, name: object) -> bool:
        return name in self._named

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)

    # -- what there is -------------------------------------------------------------------------------------------------

    def resources(self) -> list[Resource]:
        """All resources: those without patterns, and then those with."""
        return [*self._plain.values(), *self._patterns]

    def routes(self) -> list[Route]:
        """All routes of all resources."""
        return [route for resource in self.resources() for route in resource.routes.values()]

    def named_resources(self) -> Mapping[str, Resource]:
        """The resources that have names."""
        return MappingProxyType(self._named)

    def check_open(self) -> None:
        """Raise `RuntimeError` once the application has started."""
        if self.frozen:
            raise RuntimeError("routes cannot be added any more: the application has started")

    def add_resource(self, path: str, *, name: str | None = None) -> Resource:
        """A resource for `path`; the one that is there already, if it has the same path and name."""
        self.check_open()
        resource = Resource(path, name)
        there = self._plain.get(resource.path) if resource.pattern is None else None
        if there is None and self._patterns and self._patterns[-1].canonical == path:
            there = self._patterns[-1]
        if there is not None and (name is None or there.name == name):
            return there
        if name is not None:
            self.name(name, resource)
        if there is not None:  # the same path under another name
            resource.routes = there.routes
        elif resource.pattern is None:
            self._plain[resource.path] = resource
        else:
            self._patterns.append(resource)
            self._by_start = None
        return resource

    def name(self, name: str, resource: Resource) -> None:
        """Have `router[name]` find `resource`.  Raises `UsageError` for what is no name, or one that is taken."""
        if not all(part.isidentifier() for part in re.split(r"[.:\-]", name)):
            raise UsageError(f"name must be made of words with '.', ':' or '-' between them, not {name!r}", argument="name")
        if name in self._named:
            raise UsageError(f"name {name!r} is that of {self._named[name].canonical} already", argument="name")
        self._named[name] = resource

    def add_route(self, method: str, path: str, handler: Handler, *, name: str | None = None) -> Route:
        """Serve `method` (`*` for any) of `path` with `handler`."""
        return self.add_resource(path, name=name).add_route(method, handler)

    def mount(self, prefix: str, served: Any) -> None:
        """Give all requests below `prefix`, decoded, to `served`, which finds the rest: an application, or a folder.

        Of two prefixes that both fit, the longer one is asked first, whatever the order.
        """
        self.check_open()
        self._mounted.append((prefix.rstrip("/"), served))
        self._mounted.sort(key=lambda mounted: -mounted[0].count("/"))

    def add_prefix(self, prefix: str) -> None:
        """Put `prefix` in front of every path, for an application that is mounted there."""
        plain = list(self._plain.values())
        # Those that are a second name of another are found by their names alone; folders are prefixed as what is mounted.
        resources = dict.fromkeys([*plain, *self._patterns, *self._named.values()])
        for _, served in self._mounted:
            resources.pop(served, None)
        for resource in resources:
            resource.add_prefix(prefix)
        self._by_start = None
        self._plain = {resource.path: resource for resource in plain if resource.pattern is None}
        decoded = route_path(prefix)
        self._mounted = [(decoded + below, served) for below, served in self._mounted]
        for _, served in self._mounted:
            if hasattr(served, "add_prefix"):
                served.add_prefix(prefix)

    # -- finding -------------------------------------------------------------------------------------------------------

    def find(self, request: Request) -> MatchInfo:
        """The handler for `request`, middlewares and all; one that raises 404 or 405 if there is none."""
        head = request.head
        known = self._known.get((head.method, head.target))
        if known is not None:
            return known
        target, mark, _ = head.target.partition(b"?")
        if mark and (known := self._known.get((head.method, target))) is not None:
            return known
        if target.startswith(b"/"):
            path = route_path(target.decode("ascii"))
        else:
            path = route_path(request.rel_url.raw_path) if target != b"*" else "*"
        match = self.match(request.method, path, ())
        if not match and match.route is not None and self.frozen:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[head.method, target] = match
        return match

    def match(self, method: str, path: str, above: tuple[Application, ...]) -> MatchInfo:
        """The same for a path, within the applications `above`."""
        apps = (*above, self._app)
        allowed: frozenset[str] | set[str] = _NO_METHODS
        resource = self._plain.get(path)
        if resource is not None:
            if (route := resource.find(method)) is not None:
                return MatchInfo(_NOTHING, route, apps, self._compose(route.handler, apps))
            allowed = resource.allowed()
        for _, resource in self._candidates(path):
            found = resource.match(path)
            if found is not None:
                if (route := resource.find(method)) is not None:
                    return MatchInfo(found, route, apps, self._compose(route.handler, apps))
                allowed = allowed | resource.allowed()
        for prefix, served in self._mounted:
            if path == prefix or path.startswith(prefix + "/"):
                match: MatchInfo | None = served.match_below(method, path, apps)
                if match is not None and (match.error is None or not allowed):
                    return match
        error = HTTPMethodNotAllowed(method, allowed) if allowed else HTTPNotFound()
        return MatchInfo(_NOTHING, None, apps, self._compose(_raiser(error), apps, keep=False), error)

    def nowhere(self, error: HTTPException) -> MatchInfo:
        """What stands for a path that is none: nothing was found, and it is answered with `error`."""
        return MatchInfo(_NOTHING, None, (self._app,), _raiser(error), error)

    def _candidates(self, path: str) -> Sequence[tuple[int, Resource]]:
        """The resources with patterns that may match `path`, in their order: those that begin with the same whole segments."""
        by_start = self._by_start
        if by_start is None:
            by_start = self._by_start = {}
            for place, resource in enumerate(self._patterns):
                by_start.setdefault(resource.start, []).append((place, resource))
            self._depth = max((start.count("/") for start in by_start), default=0)
        found: list[tuple[int, Resource]] | None = None
        stop = 0
        for _ in range(self._depth):
            stop = path.find("/", stop) + 1
            if not stop:
                break
            more = by_start.get(path[:stop])
            if more is not None:
                found = more if found is None else sorted(found + more)
        return found or ()

    def _compose(self, handler: Handler, apps: tuple[Application, ...], *, keep: bool = True) -> Handler:
        """`handler` behind the middlewares of `apps`; composed once for each.

        A router is of one application, but the search may begin at any of those above it (`Application.has_route`).
        """
        if not keep or not self.frozen:
            return apps[0].compose(handler, apps)
        key = id(handler), len(apps)
        known = self._composed.get(key)
        if known is None:
            known = self._composed[key] = handler, apps[0].compose(handler, apps)
        return known[1]

    def compose_below(self, handler: Handler, apps: tuple[Application, ...]) -> Handler:
        """The same for what a mounted folder serves."""
        return self._compose(handler, apps)


def _raiser(error: HTTPException) -> Handler:
    async def refuse(request: Request) -> StreamResponse:
        raise error

    return refuse
