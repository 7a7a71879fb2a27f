"""An application, with what a developer wants to have around it.

Requests for names that are not this machine's are refused.  For programs on this machine, pages get the script that loads them
anew, an exception becomes a page that shows it, and below `/__wirebird__/` there are the last requests and the routes.  Anybody
else gets what the application answers, and 500 where it raised.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any, Final

from ...errors import ConnectionLost, ProtocolError
from ...models.message import RequestHead
from ...models.redaction import hidden_field, hidden_params, read_hide
from ...server.asgi_conversation import tells_of_leaving
from ...server.exchange import Exchange
from ...server.server import Served, Server
from ...web.error_page import failure_text
from ...web.failures import Failure
from ..loading import folder_app, without_caller
from . import pages
from .failures import failures_of
from .guard import Guard
from .live import LivePages
from .records import Record, Records
from .route_table import list_routes
from .watched import WatchedExchange

__all__ = ["PREFIX", "DevApp"]

PREFIX: Final = "/__wirebird__/"

# Own pages load nothing from elsewhere, and are in no frame of others.
_FIELDS: Final = (
    b"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
    b"Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n"
)
_KINDS: Final = {"html": "text/html; charset=utf-8", "txt": "text/plain; charset=utf-8"}
_ASSETS: Final = {"live.js": "text/javascript; charset=utf-8", "dev.css": "text/css; charset=utf-8"}

_number = re.compile(r"requests/([0-9]{1,9})").fullmatch

_log = logging.getLogger("wirebird.dev")


class DevApp:
    """Serves `inner`.

    found    the application itself, whose routes are shown
    broken   why there is no application: then every request is told
    guard    whom it answers
    folders  what is served besides: folders, by the prefix of their paths
    """

    def __init__(
        self,
        inner: Served | None,
        found: Any = None,
        *,
        broken: list[Failure] | None = None,
        guard: Guard | None = None,
        folders: Mapping[str, Path] = MappingProxyType({}),
    ) -> None:
        self.inner = inner
        self.broken = broken or []
        self.live = LivePages()
        self.records = Records()
        self._found = found
        self._folders: dict[str, Served] = {f"{prefix}/": folder_app(path, prefix) for prefix, path in folders.items()}
        self._guard = guard or Guard()
        self._hidden = read_hide(True)

    async def startup(self, server: Server) -> None:
        """Start the application; if that fails, every request is told why."""
        if self.inner is None:
            return
        try:
            await self.inner.startup(server)
        except Exception as error:
            trace = type(error), error, without_caller(error.__traceback__)
            _log.error("the application did not start: %s", error, exc_info=trace)
            self.inner, self.broken = None, failures_of(error)

    async def shutdown(self, grace: float) -> None:
        """End the application."""
        if self.inner is not None:
            await self.inner.shutdown(grace)

    async def leave(self) -> None:
        """Tell the application of its end, if it wants to hear of it."""
        if (leave := getattr(self.inner, "leave", None)) is not None:
            await leave()

    # -- requests ------------------------------------------------------------------------------------------------------

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request."""
        head = exchange.head
        if not self._guard.is_known(head):
            name = head.host.decode("latin-1")
            self._answer(
                exchange, 403, "txt", f"403: this development server does not know the host {name!r}; --allow-host adds it\n"
            )
            return
        looks = self._guard.may_look(exchange)
        target = head.target.decode("latin-1")
        if target.startswith(PREFIX):
            if looks:
                await self._serve_own(exchange, target[len(PREFIX) :].partition("?")[0])
            else:
                self._answer(exchange, 403, "txt", "403: this is shown to programs on the same machine alone\n")
        elif self.broken:
            self._answer_failure(exchange, None, self.broken, looks)
        else:
            await self._serve_watched(exchange, target, looks)

    async def _serve_watched(self, exchange: Exchange, target: str, looks: bool) -> None:
        head = exchange.head
        shown = hidden_params(target, self._hidden)
        record = self.records.add(head.method.decode(), shown, head.version, exchange.peer, self._shown(head))
        script = pages.script(self.live.name).encode() if looks else b""
        watched = WatchedExchange(exchange, record, script, looks)
        exchange.raised = record.fail
        try:
            await self._for(target).serve(watched)  # type: ignore[arg-type]
        except Exception as error:
            if isinstance(error, ProtocolError | ConnectionLost) or tells_of_leaving(error, exchange):
                raise  # the client's fault, and the server knows what to say
            record.fail(error)
            if not looks or not watched.is_unsent():
                raise
            trace = type(error), error, without_caller(error.__traceback__)
            _log.error("%s %s raised %s", record.method, target, type(error).__name__, exc_info=trace)
            self._show_failure(exchange, record)
        else:
            if record.failures and watched.held and watched.is_unsent():
                self._show_failure(exchange, record)
            else:
                await watched.release()
        finally:
            record.answer = [(name, hidden_field(name, value, self._hidden)) for name, value in record.answer]
            if record.end_at is None:
                record.end_at = monotonic() - exchange.began

    def _for(self, target: str) -> Served:
        """Who serves it."""
        for prefix, folder in self._folders.items():
            if target.startswith(prefix):
                return folder
        return self.inner  # type: ignore[return-value]

    def _shown(self, head: RequestHead) -> list[tuple[str, str]]:
        return [(name, hidden_field(name, value, self._hidden)) for name, value in head.fields.items()]

    # -- answers of its own --------------------------------------------------------------------------------------------

    async def _serve_own(self, exchange: Exchange, path: str) -> None:
        """What is below the prefix.  Nothing of it changes anything."""
        if path == "live":
            await self.live.serve(exchange)
            return
        if exchange.head.method not in (b"GET", b"HEAD"):
            self._answer(exchange, 405, "txt", "405: these pages are to be looked at\n")
        elif path in _ASSETS:
            text = (files(__package__) / "assets" / path).read_text("utf-8")
            self._answer(exchange, 200, path, text)
        elif path in ("", "requests"):
            self._answer(exchange, 200, "html", pages.overview(self.records.latest(), self.live.name))
        elif path == "routes":
            self._answer(exchange, 200, "html", pages.routes(list_routes(self._found), self.live.name))
        elif (found := _number(path)) and (record := self.records.find(int(found[1]))) is not None:
            record.route = record.route or route_of(self._found, record)
            self._answer(exchange, 200, "html", pages.request(record, self.live.name))
        else:
            self._answer(exchange, 404, "txt", "404: there is no such page\n")

    def _show_failure(self, exchange: Exchange, record: Record) -> None:
        """Answer a request whose handler has raised, to somebody who may look."""
        record.status, record.end_at = 500, monotonic() - exchange.began
        self._answer_failure(exchange, record, record.failures, True)

    def _answer_failure(self, exchange: Exchange, record: Record | None, failures: list[Failure], looks: bool) -> None:
        if not looks:
            self._answer(exchange, 500, "txt", "500: Internal Server Error\n")
        elif "text/html" in exchange.head.fields.get("accept", ""):
            self._answer(exchange, 500, "html", pages.failure(failures, record, self.live.name))
        else:
            self._answer(exchange, 500, "txt", failure_text(failures))

    def _answer(self, exchange: Exchange, status: int, kind: str, text: str) -> None:
        head = b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\n" % (
            status,
            pages.PHRASES[status].encode(),
            (_KINDS.get(kind) or _ASSETS[kind]).encode(),
        )
        exchange.respond(status, head + _FIELDS, text.encode("utf-8", "backslashreplace"))


def route_of(found: Any, record: Record) -> str:
    """Which route a request went to, "" if that cannot be told."""
    from ...web.app import Application
    from ...web.routing import route_path

    if not isinstance(found, Application):
        return ""
    try:
        match = found.router.match(record.method, route_path(record.target.partition("?")[0]), ())
    except ProtocolError:
        return ""
    if match.route is None:
        return "none"
    handler = match.route.handler
    name = f"{handler.__module__}.{getattr(handler, '__qualname__', handler)}"
    return f"{match.route.method} {match.route.resource.canonical} → {name}"
