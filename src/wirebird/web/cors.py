"""Cross-Origin Resource Sharing: which pages of other sites may read what an application answers (Fetch standard 3.2, 4.8).

    from wirebird.web import cors

    cors.setup(app, origins=["https://app.example"], credentials=True)

Browsers keep an answer from a page of another origin unless the answer says that this page may read it, and ask before they send
what a form could not have sent (a preflight).  Both are answered here, for everything in the application, its 404 and its
redirects included, and for the applications below it that say nothing of their own.

Origins are compared whole and never by a pattern: patterns are how `https://app.example.evil.org` gets in.  Credentials go with
origins that are named, never with `*` or `null`.  A page of the public network gets nothing from a private one (Private Network
Access) by anything that is said here.

This protects what is read.  A request that a form could send as well arrives and takes effect whoever's page sent it: against
that there are `SameSite` cookies and tokens.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final

from ..errors import UsageError
from ..models.headers import add_vary, check_token, split_list
from ..models.numbers import check_count
from ..models.origin import normal_origin
from ..protocol.websocket_extensions import is_token
from .exceptions import HTTPBadRequest, HTTPForbidden
from .keys import AppKey
from .response import Response

if TYPE_CHECKING:
    from .app import Application
    from .request import Request
    from .response import StreamResponse
    from .routing import Handler

__all__ = ["Policy", "setup"]

_ASKED_METHOD: Final = "access-control-request-method"
_ASKED_HEADERS: Final = "access-control-request-headers"
_ASKED_PRIVATE: Final = "access-control-request-private-network"


class Policy:
    """What the pages of other origins may do; see `setup` for the arguments."""

    def __init__(
        self,
        origins: Collection[str] | str,
        *,
        methods: Collection[str] | None = None,
        headers: Collection[str] | str = ("Content-Type",),
        expose: Collection[str] = (),
        credentials: bool = False,
        max_age: int | None = 600,
    ) -> None:
        if not isinstance(credentials, bool):
            raise UsageError(f"credentials must be True or False, not {credentials!r}", argument="credentials")
        if max_age is not None:
            check_count("max_age", max_age, 0, "None or a number of seconds")
        self.any_origin = origins == "*"
        self.origins = frozenset() if self.any_origin else _read_origins(origins)
        self.any_header = headers == "*"
        self.headers = () if self.any_header else _tokens("headers", headers)
        self.methods = None if methods is None else _tokens("methods", methods)
        self.expose = ", ".join(_tokens("expose", expose))
        self.credentials = credentials
        self.max_age = max_age
        self._lower = frozenset(name.lower() for name in self.headers)
        if credentials and (self.any_origin or "null" in self.origins):
            raise UsageError("credentials go with origins that are named, not with '*' or 'null'", argument="credentials")

    def __repr__(self) -> str:
        return f"<Policy {'*' if self.any_origin else sorted(self.origins)}>"

    def allowed(self, request: Request) -> str | None:
        """What to answer to the Origin of the request; None if it has none, or one whose pages may not read."""
        sent = request.headers.get_list("origin")
        if len(sent) != 1:
            return None
        if self.any_origin:
            return "*"
        return sent[0] if sent[0] in self.origins else None  # as a browser writes it, which is its one form

    def mark(self, request: Request, response: StreamResponse) -> None:
        """Say on a response who may read it."""
        headers = response.headers
        for name in ("Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers"):
            headers.popall(name, None)
        if not self.any_origin:
            add_vary(headers, "Origin")
        origin = self.allowed(request)
        if origin is None:
            return
        headers["Access-Control-Allow-Origin"] = origin
        if self.credentials:
            headers["Access-Control-Allow-Credentials"] = "true"
        if self.expose:
            headers["Access-Control-Expose-Headers"] = self.expose

    def answer(self, request: Request) -> Response:
        """The answer to a preflight.  Raises `HTTPForbidden`, which says what is not allowed."""
        asked = request.headers
        method = asked.get(_ASKED_METHOD, "")
        if self.allowed(request) is None:
            raise HTTPForbidden(text="403: pages of this origin may not ask")
        if asked.get(_ASKED_PRIVATE) is not None:
            raise HTTPForbidden(text="403: pages of a public network may not ask")
        if self.methods is not None and method not in self.methods:
            raise HTTPForbidden(text="403: pages of other origins may not use this method")
        wanted = [name for value in asked.get_list(_ASKED_HEADERS) for name in split_list(value)]
        if not all(map(is_token, [method, *wanted])):
            raise HTTPBadRequest(text="400: what is asked for is no name")
        # `*` does not stand for Authorization (Fetch 4.8, CORS non-wildcard request-header name).
        if any(name not in self._lower and (not self.any_header or name == "authorization") for name in wanted):
            raise HTTPForbidden(text="403: pages of other origins may not send these fields")
        answer = Response(status=204)
        fields = answer.headers
        fields["Access-Control-Allow-Methods"] = method if self.methods is None else ", ".join(self.methods)
        if wanted:
            fields["Access-Control-Allow-Headers"] = ", ".join(wanted)
        if self.max_age is not None:
            fields["Access-Control-Max-Age"] = str(self.max_age)
        for name in (_ASKED_METHOD, _ASKED_HEADERS):
            add_vary(fields, "-".join(word.capitalize() for word in name.split("-")))
        return answer


_POLICY: AppKey[Policy] = AppKey("wirebird.cors")


def setup(
    app: Application,
    origins: Collection[str] | str,
    *,
    methods: Collection[str] | None = None,
    headers: Collection[str] | str = ("Content-Type",),
    expose: Collection[str] = (),
    credentials: bool = False,
    max_age: int | None = 600,
) -> Policy:
    """Let pages of `origins` read what `app` answers, and the applications below it that have no policy of their own.

    origins      `scheme://host[:port]` of each, compared whole; `"*"` for any page, `"null"` for those that have no origin
    methods      methods that may be used, as they are spelled; None for all that the path has
    headers      fields that may be sent beside those of a form, `Content-Type`; `"*"` for any but Authorization
    expose       fields that may be read beside the usual ones
    credentials  let the browser send cookies along, and have the page read what they bring
    max_age      seconds that a browser may remember the answer to its question, 600; None to leave it to the browser

    Raises `UsageError` for a bad argument, naming it, and if the application has a policy already.
    """
    policy = Policy(origins, methods=methods, headers=headers, expose=expose, credentials=credentials, max_age=max_age)
    if _POLICY in app:
        raise UsageError("app has a policy already", argument="app")
    app[_POLICY] = policy

    async def mark(request: Request, response: StreamResponse) -> None:
        if _policy_of(request) is policy:
            policy.mark(request, response)

    async def answer_preflight(request: Request, handler: Handler) -> StreamResponse:
        if request.method != "OPTIONS" or _ASKED_METHOD not in request.headers or _policy_of(request) is not policy:
            return await handler(request)
        if not _has_route(request, request.headers[_ASKED_METHOD]):
            return await handler(request)
        return policy.answer(request)

    app.on_response_prepare.append(mark)
    app.middlewares.insert(0, answer_preflight)
    return policy


def _policy_of(request: Request) -> Policy | None:
    for app in reversed(request.match_info.apps):
        if _POLICY in app:
            return app[_POLICY]
    return None


def _has_route(request: Request, method: str) -> bool:
    return request.match_info.apps[0].has_route(method, request.rel_url.raw_path)


def _tokens(argument: str, names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise UsageError(f"{argument} must be a collection of names, not {names!r}", argument=argument)
    found = tuple(names)
    for name in found:
        check_token(name, argument)
    return found


def _read_origins(origins: Iterable[str]) -> frozenset[str]:
    if isinstance(origins, str) or not isinstance(origins, Iterable):
        raise UsageError(f"origins must be '*' or a collection of origins, not {origins!r}", argument="origins")
    found = set()
    for origin in origins:
        normal = normal_origin(origin) if isinstance(origin, str) else None
        if normal is None:
            raise UsageError(f"origins must hold scheme://host[:port], not {origin!r}", argument="origins")
        found.add(normal)
    return frozenset(found)
