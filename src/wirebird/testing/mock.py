"""The fake at the end of the pipeline: a function, or a table of routes, in place of the network.

It is a `Sender`, so everything in front of it is real: redirects, cookies, authentication, retries, middlewares.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Any

from yarl import URL

from ..client.response import HttpResponse
from ..errors import UsageError
from ..models.headers import HeadersLike
from ..models.message import Request
from ..models.url import ParamsLike
from .delivery import Answerer, answer_within, as_sent, ask, deliver
from .routes import RecordedCall, Route, UnmatchedRequest, shown, shown_request

__all__ = ["MockTransport"]

# Routes that the message of an unmatched request shows, nearest first.
_NEAREST = 5


class MockTransport:
    """Answers requests in the same process: `HTTPClient(connector=MockTransport(...))`.

    handler  `def handler(request) -> HttpResponse`, sync or async, for every request that no route is for; without one, such a
             request raises `UnmatchedRequest`

    The request that a handler gets is as a server would read it: `request.headers` holds every field that is sent, and
    `request.body` is bytes, empty if there is none.  What it raises, the caller of the client gets.  `calls` are the requests
    in the order they were made, `routes` what was prepared.  As a context manager it checks at the end what `check` checks.
    """

    def __init__(self, handler: Answerer | None = None) -> None:
        if handler is not None and not callable(handler):
            raise UsageError(f"handler must be a function, not {handler!r}", argument="handler")
        self._handler = handler
        self.routes: list[Route] = []
        self.calls: list[RecordedCall] = []
        self.unmatched: list[Request] = []

    def __repr__(self) -> str:
        return f"<MockTransport {len(self.routes)} routes, {len(self.calls)} calls>"

    # -- routes --------------------------------------------------------------------------------------------------------

    def on(
        self,
        method: str | None = None,
        url: str | URL | re.Pattern[str] | None = None,
        *,
        params: ParamsLike | None = None,
        headers: HeadersLike | None = None,
        body: bytes | str | None = None,
        json: Any = None,
        where: Callable[[Request], bool] | None = None,
    ) -> Route:
        """A route for the requests that are like this, None for any; what it answers is said by its methods.

            mock.on("POST", "/items", json={"name": "kettle"}).respond(201)

        url      an absolute URL, or a path at any origin; `{name}` in it is any one segment; a query in it is the whole query.
                 Or a compiled pattern that is searched for in the URL
        params   parameters that the query has to hold, among others
        headers  fields that there have to be, with these values
        body     the whole body, bytes or text
        json     the body decoded as JSON
        where    a function that is asked in the end

        The first route that matches answers.  Raises `UsageError` for what no request can be like.
        """
        route = Route(method, url, params, headers, body, json, where)
        self.routes.append(route)
        return route

    def get(self, url: str | URL | re.Pattern[str], status: int = 200, **response: Any) -> Route:
        """`on("GET", url).respond(status, **response)`: `headers`, `body`, `text`, `json`, `reason`, `times`."""
        return self._answered("GET", url, status, response)

    def head(self, url: str | URL | re.Pattern[str], status: int = 200, **response: Any) -> Route:
        """The same for HEAD."""
        return self._answered("HEAD", url, status, response)

    def options(self, url: str | URL | re.Pattern[str], status: int = 200, **response: Any) -> Route:
        """The same for OPTIONS."""
        return self._answered("OPTIONS", url, status, response)

    def post(self, url: str | URL | re.Pattern[str], status: int = 200, **response: Any) -> Route:
        """The same for POST."""
        return self._answered("POST", url, status, response)

    def put(self, url: str | URL | re.Pattern[str], status: int = 200, **response: Any) -> Route:
        """The same for PUT."""
        return self._answered("PUT", url, status, response)

    def patch(self, url: str | URL | re.Pattern[str], status: int = 200, **response: Any) -> Route:
        """The same for PATCH."""
        return self._answered("PATCH", url, status, response)

    def delete(self, url: str | URL | re.Pattern[str], status: int = 200, **response: Any) -> Route:
        """The same for DELETE."""
        return self._answered("DELETE", url, status, response)

    def _answered(self, method: str, url: str | URL | re.Pattern[str], status: int, response: dict[str, Any]) -> Route:
        route = Route(method, url, None, None, None, None, None).respond(status, **response)
        self.routes.append(route)
        return route

    # -- as a Sender ---------------------------------------------------------------------------------------------------

    async def send(self, request: Request) -> HttpResponse:
        """The answer to `request`.

        Raises `UnmatchedRequest`, what the handler raises, what a request that may not be sent raises, and `ReadTimeout` or
        `RequestTimeout` if there is no answer in time.
        """
        seen = await as_sent(request)
        call = RecordedCall(seen)
        self.calls.append(call)
        began = monotonic()
        try:
            async with answer_within(request):
                response = await self._answer(seen, call)
            call.response = await deliver(request, response, began)
        except BaseException as error:
            call.error = error
            raise
        return call.response

    async def _answer(self, request: Request, call: RecordedCall) -> HttpResponse:
        for route in self.routes:
            if route.matches(request):
                call.route = route
                route.calls.append(call)
                return await route.answer(request)
        if self._handler is not None:
            return await ask(self._handler, request)
        self.unmatched.append(request)
        raise self._explain(request)

    def _explain(self, request: Request) -> UnmatchedRequest:
        said = f"nothing was prepared for {shown_request(request)}"
        if request.body:
            said += f" with the body {shown(request.body)}"
        if not self.routes:
            return UnmatchedRequest(f"{said}: there are no routes", request)
        faults = sorted(((route.mismatches(request), route) for route in self.routes), key=lambda fault: len(fault[0]))
        reasons = [f"{route!r}: {'; '.join(why)}" for why, route in faults]
        more = f"\n  and {len(reasons) - _NEAREST} more" if len(reasons) > _NEAREST else ""
        return UnmatchedRequest(f"{said}\n  " + "\n  ".join(reasons[:_NEAREST]) + more, request, reasons)

    async def close(self) -> None:
        """Let go of the bodies of responses that nobody read to the end.  The routes stay; another client may use them."""
        for call in self.calls:
            if call.response is not None:
                await call.response.close()

    # -- what a test asks in the end -----------------------------------------------------------------------------------

    def assert_all_called(self) -> None:
        """Raise `AssertionError` if there is a route that answered nothing."""
        idle = [route for route in self.routes if not route.called]
        if idle:
            raise AssertionError(f"not called: {', '.join(map(repr, idle))}")

    def check(self) -> None:
        """Raise `AssertionError` if a request was not matched, even if that was caught, or a route was not called."""
        if self.unmatched:
            raise self._explain(self.unmatched[0])
        self.assert_all_called()

    def reset(self) -> None:
        """Forget routes and calls."""
        self.routes.clear()
        self.calls.clear()
        self.unmatched.clear()

    def __enter__(self) -> MockTransport:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if kind is None:
            self.check()
