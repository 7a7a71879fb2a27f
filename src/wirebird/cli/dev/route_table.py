"""The routes of an application, whoever made the framework: ours, Starlette's and FastAPI's, or none that can be read."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...web.app import Application

__all__ = ["RouteRow", "list_routes"]

_DEEPEST = 8


class RouteRow(NamedTuple):
    """One route."""

    methods: str
    path: str
    name: str
    handler: str


def list_routes(found: Any) -> list[RouteRow]:
    """The routes, in the order they are tried; none for an application that does not say."""
    if isinstance(found, Application):
        return [
            RouteRow(route.method, route.resource.canonical, route.name or "", _place(route.handler))
            for app in _all_apps(found)
            for route in app.router.routes()
        ]
    return list(_foreign(found, "", 0))


def _all_apps(app: Application) -> list[Application]:
    return [app, *(one for below in app.subapps for one in _all_apps(below))]


def _foreign(found: Any, prefix: str, depth: int) -> list[RouteRow]:
    """Those of `found.routes`, with those of what is mounted there."""
    rows: list[RouteRow] = []
    routes = getattr(found, "routes", None)
    if not isinstance(routes, list | tuple) or depth > _DEEPEST:
        return rows
    for route in routes:
        path = prefix + str(getattr(route, "path", ""))
        endpoint = getattr(route, "endpoint", None)
        if endpoint is None:
            rows += _foreign(route, path, depth + 1) or [RouteRow("", path, _name(route), type(route).__name__)]
            continue
        methods = getattr(route, "methods", None)
        kind = ", ".join(sorted(methods)) if methods else "WebSocket" if "WebSocket" in type(route).__name__ else "*"
        rows.append(RouteRow(kind, path, _name(route), _place(endpoint)))
    return rows


def _name(route: Any) -> str:
    return str(getattr(route, "name", "") or "")


def _place(handler: Any) -> str:
    function = getattr(handler, "func", handler)
    name = getattr(function, "__qualname__", type(function).__name__)
    code = getattr(function, "__code__", None)
    where = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else ""
    return f"{getattr(function, '__module__', '')}.{name} {where}".strip(" .")
