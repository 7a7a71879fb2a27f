"""Routes of a `MockTransport`: which requests they are for, what they answer in turn, and why one of them does not match.

What a route names must be so; what it does not name may be anything.
"""

from __future__ import annotations

import json as _json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from yarl import URL

from ..client.made import BodyLike
from ..client.response import HttpResponse
from ..errors import UsageError, WirebirdError
from ..models.headers import HeadersLike, HttpHeaders, check_token
from ..models.message import Request
from ..models.numbers import check_count
from ..models.redaction import is_secret, read_hide
from ..models.url import ParamsLike, extend_params, parse_url
from .delivery import Answerer, ask

__all__ = ["RecordedCall", "Route", "UnmatchedRequest", "shown", "shown_request"]

_SECRETS = read_hide(True)  # names of fields whose values are shown to nobody
_ANYWHERE = URL("http://localhost/")
_parameter = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class UnmatchedRequest(AssertionError):
    """A request that nothing was prepared for.  `request` is that request, `reasons` why each thing that is there is not meant.

    It is an `AssertionError`, and no `WirebirdError`, so that a program that handles the errors of its requests does not handle
    this one: it is the test that has to be told.
    """

    def __init__(self, message: str, request: Request, reasons: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.request = request
        self.reasons = list(reasons)


@dataclass(slots=True)
class RecordedCall:
    """A request that was made, and what became of it.

    request   as a server would have read it: every field that is sent, and its body as bytes
    response  what was answered; None if there was an error
    error     what was raised; None if there was a response
    route     the `Route` that answered; None if it was a handler, or none matched
    """

    request: Request
    response: HttpResponse | None = None
    error: BaseException | None = None
    route: Route | None = None

    @property
    def body(self) -> bytes:
        """The body of the request, empty if there was none."""
        body = self.request.body
        return body if isinstance(body, bytes) else b""

    def json(self) -> Any:
        """The body of the request decoded as JSON."""
        return _json.loads(self.body)


class _Answer:
    """One answer of a route, and how often it is still to be given; None for ever."""

    def __init__(self, give: Answerer, times: int | None) -> None:
        if times is not None:
            check_count("times", times, 1)
        self.give = give
        self.times = times


class Route:
    """Which requests are meant, and what they are answered with.  Made by `MockTransport.on` and its verbs.

    Several answers are given in turn: each once, or as often as its `times` says, and the last for ever unless it has `times`.
    A route whose answers are used up matches no more.  `calls` are those that it answered.
    """

    def __init__(
        self,
        method: str | None,
        url: str | URL | re.Pattern[str] | None,
        params: ParamsLike | None,
        headers: HeadersLike | None,
        body: bytes | str | None,
        json: Any,
        where: Callable[[Request], bool] | None,
    ) -> None:
        if body is not None and json is not None:
            raise UsageError("body and json are both given, and a request has one body", argument="json")
        if body is not None and not isinstance(body, bytes | str):
            raise UsageError(f"body must be bytes or str, not {type(body).__name__}", argument="body")
        self.method = check_token(method, "method").upper() if method is not None else None
        self.url = url
        self.calls: list[RecordedCall] = []
        self._where_is = _Place(url) if url is not None else None
        self._params = Counter(_pairs(extend_params(_ANYWHERE, params).raw_query_string)) if params is not None else None
        self._headers = HttpHeaders(headers)
        self._body = body.encode() if isinstance(body, str) else body
        self._json = json
        self._where = where
        self._answers: list[_Answer] = []

    def __repr__(self) -> str:
        url = self.url.pattern if isinstance(self.url, re.Pattern) else self.url
        return f"<Route {self.method or 'any method'} {url if url is not None else 'any URL'}, {len(self.calls)} calls>"

    @property
    def called(self) -> bool:
        """Whether it has answered."""
        return bool(self.calls)

    # -- answers -------------------------------------------------------------------------------------------------------

    def respond(
        self,
        status: int = 200,
        headers: HeadersLike | None = None,
        body: BodyLike | Callable[[], BodyLike] = b"",
        *,
        text: str | None = None,
        json: Any = None,
        reason: str | None = None,
        times: int | None = None,
    ) -> Route:
        """Answer with a response, as `HttpResponse.make` takes it; gives the route.

        `body` may also be a function that makes one, for an iterator is given once.  Raises what `make` raises.
        """
        if callable(body):
            make_body = body
            return self.call(lambda request: HttpResponse.make(status, headers, make_body(), reason=reason), times=times)
        HttpResponse.make(status, headers, body, text=text, json=json, reason=reason)  # to be told of mistakes at once
        once = not isinstance(body, bytes | list | tuple)
        given: list[bool] = []

        def give(request: Request) -> HttpResponse:
            if once and given:
                raise UsageError("the body is an iterator that was given before: pass a function that makes one", argument="body")
            given.append(True)
            return HttpResponse.make(status, headers, body, text=text, json=json, reason=reason)

        return self.call(give, times=times)

    def error(self, error: BaseException | type[BaseException], *, times: int | None = None) -> Route:
        """Raise `error`, as a network that fails does: `.error(wirebird.ConnectionLost("gone"))`; gives the route."""
        if not isinstance(error, BaseException) and not (isinstance(error, type) and issubclass(error, BaseException)):
            raise UsageError(f"error must be an exception, not {error!r}", argument="error")

        def give(request: Request) -> HttpResponse:
            raised = error() if isinstance(error, type) else error.with_traceback(None)
            if isinstance(raised, WirebirdError):
                raised.locate(request.destination.authority, "waiting for the response")
            raise raised

        return self.call(give, times=times)

    def call(self, handler: Answerer, *, times: int | None = None) -> Route:
        """Answer with what `handler(request)`, a sync or async function, gives; gives the route."""
        if not callable(handler):
            raise UsageError(f"handler must be a function, not {handler!r}", argument="handler")
        self._answers.append(_Answer(handler, times))
        return self

    async def answer(self, request: Request) -> HttpResponse:
        """The next answer.  Called for a request that it `matches`."""
        answer = self._answers[0]
        if answer.times is not None:
            answer.times -= 1
        if answer.times == 0 or (answer.times is None and len(self._answers) > 1):
            self._answers.pop(0)
        return await ask(answer.give, request)

    # -- matching ------------------------------------------------------------------------------------------------------

    def matches(self, request: Request) -> bool:
        """Whether `request`, as a server reads it, is meant."""
        return not self.mismatches(request)

    def mismatches(self, request: Request) -> list[str]:
        """Why `request` is not meant: one line for each thing that is different, none if it is meant."""
        found = []
        if self.method is not None and self.method != request.method:
            found.append(f"method is {request.method}, not {self.method}")
        if self._where_is is not None:
            found += self._where_is.mismatches(request.url)
        if self._params is not None:
            missing = self._params - Counter(_pairs(request.url.raw_query_string))
            found += [f"no query parameter {_text(name)}={_text(value)}" for name, value in missing]
        for name, value in self._headers.items():
            values = request.headers.get_list(name)
            if value not in values:
                is_now = "…" if is_secret(name, _SECRETS) else ", ".join(map(shown, values))
                found.append(f"header {name} is {is_now}, not {_secret(name, value)}" if values else f"no header {name}")
        body = request.body if isinstance(request.body, bytes) else b""
        if self._body is not None and self._body != body:
            found.append(f"body is {shown(body)}, not {shown(self._body)}")
        if self._json is not None:
            found += self._json_mismatch(body)
        if not found and self._where is not None and not self._where(request):
            found.append(f"{getattr(self._where, '__name__', 'where')} says no")
        if not found and not self._answers:
            found.append(f"its answers are used up: it was called {len(self.calls)} times" if self.calls else "it has no answer")
        return found

    def _json_mismatch(self, body: bytes) -> list[str]:
        try:
            value = _json.loads(body)
        except ValueError:
            return [f"body is {shown(body)}, which is no JSON"]
        return [] if value == self._json else [f"json is {shown(value)}, not {shown(self._json)}"]


class _Place:
    """Where a route leads: a URL, a path at any origin, each perhaps with `{name}` for one segment; or a pattern."""

    def __init__(self, url: str | URL | re.Pattern[str]) -> None:
        self._pattern: re.Pattern[str] | None = None
        self._origin: URL | None = None
        self._query: Counter[tuple[bytes, bytes]] | None = None
        if isinstance(url, re.Pattern):
            self._pattern = url
            return
        marked = url
        if isinstance(url, str):
            path, mark, query = url.partition("?")
            marked = _parameter.sub(_mark, path) + mark + query
        parsed = parse_url(marked)
        if parsed.absolute:
            self._origin = parsed.origin()
        elif not parsed.raw_path.startswith("/"):
            raise UsageError(f"url must be absolute, or a path that begins with /, not {str(url)!r}", argument="url")
        if parsed.raw_query_string:
            self._query = Counter(_pairs(parsed.raw_query_string))
        self._path = parsed.raw_path or "/"
        self._segments = re.compile(_marked.sub("[^/]+", re.escape(self._path))).fullmatch

    def mismatches(self, url: URL) -> list[str]:
        if self._pattern is not None:
            text = str(url.with_user(None).with_fragment(None))
            return [] if self._pattern.search(text) else [f"url does not match {self._pattern.pattern!r}"]
        found = []
        if self._origin is not None and url.origin() != self._origin:
            found.append(f"origin is {url.origin()}, not {self._origin}")
        if not self._segments(url.raw_path or "/"):
            found.append(f"path is {url.raw_path or '/'}, not {_marked.sub(_unmark, self._path)}")
        if self._query is not None and self._query != Counter(_pairs(url.raw_query_string)):
            found.append(f"query is {url.raw_query_string or 'empty'}, not that of the route")
        return found


# A URL may not hold braces: `{name}` goes through its parser as `~name~~`, and comes back as what it was.
_marked = re.compile(r"\\?~\\?~([A-Za-z0-9_]+)\\?~\\?~")


def _mark(found: re.Match[str]) -> str:
    return f"~~{found[1]}~~"


def _unmark(found: re.Match[str]) -> str:
    return f"{{{found[1]}}}"


def _pairs(query: str) -> list[tuple[bytes, bytes]]:
    """The parameters of a query, decoded as forms are."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    return [(unquote_to_bytes(name.replace("+", " ")), unquote_to_bytes(value.replace("+", " "))) for name, _, value in pairs]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _secret(name: str, value: str) -> str:
    return "the one of the route" if is_secret(name, _SECRETS) else shown(value)


def shown(value: object) -> str:
    """`value` for a message, cut where it becomes long."""
    text = repr(value) if not isinstance(value, Mapping | list) else _json.dumps(value, default=repr)
    return text if len(text) <= 200 else f"{text[:200]}…"


def shown_request(request: Request) -> str:
    """Method and URL for a message, without credentials."""
    return f"{request.method} {request.url.with_user(None).with_fragment(None)}"
