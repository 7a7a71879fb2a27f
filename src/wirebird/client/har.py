"""A HAR file of what a client did (HTTP Archive 1.2, as browsers and proxies write it).

Each exchange becomes an entry when it is done: its times, its heads as they were on the wire, and of its bodies what was sent and
what the caller read or came with the head, as far as `max_body` goes.  Nothing is read on the recorder's account.  A body that is
read after its last byte has arrived still finds its entry.

Memory is bounded: at most `max_entries` entries, and `max_size` bytes of bodies among them; the oldest go first.  The log counts
those that had to go.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from .._version import VERSION
from ..errors import UsageError
from ..models.headers import HttpHeaders, decode_fields
from ..models.numbers import check_count
from ..models.redaction import HIDDEN, HideLike, hidden_field, is_secret, read_hide, shown_url
from .exchange import Exchange
from .har_content import content, params, post_data

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["HarRecorder"]

_ATTRIBUTES: Final = (("path", "path"), ("domain", "domain"), ("samesite", "sameSite"))


class HarRecorder:
    """An observer that records exchanges in the HAR format.

        with wirebird.HarRecorder("session.har") as har:
            async with wirebird.HTTPClient(observers=[har]) as client:
                ...

    path         the file that `save` writes to, and the end of a `with` block
    max_entries  how many exchanges are kept, 1000
    bodies       whether bodies are kept, True
    max_body     bytes kept of one body, coded as it was sent and again decoded, 1048576
    max_size     bytes kept of all bodies together, 67108864
    hide         what is replaced by `***`: True for the values of fields and parameters with well-known names of secrets
                 (Authorization, Cookie, Set-Cookie, Proxy-Authorization, `token`, `api_key`, …), a collection of names for those
                 besides, False for nothing

    Parameters are those of queries and URL-encoded forms.  Other bodies are kept as they are, JSON among them: `bodies=False`
    leaves them out.  Raises `UsageError` for a bad argument, naming it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        max_entries: int = 1000,
        bodies: bool = True,
        max_body: int = 1048576,
        *,
        max_size: int = 67108864,
        hide: HideLike = True,
    ) -> None:
        for name, value, least in (("max_entries", max_entries, 1), ("max_body", max_body, 0), ("max_size", max_size, 0)):
            check_count(name, value, least)
        self._path = path
        self._bodies = bodies
        self._max_body = max_body
        self._max_size = max_size
        self._max_entries = max_entries
        self._hide = read_hide(hide)
        self._entries: deque[_Entry] = deque()
        self._size = 0  # bytes of bodies, in entries and on their way
        self._gone = 0  # entries that had to go

    def __repr__(self) -> str:
        return f"<HarRecorder {len(self._entries)} entries, {self._size} bytes of bodies>"

    # -- as an observer ------------------------------------------------------------------------------------------------

    def __call__(self, exchange: Exchange, phase: str) -> None:
        """Take the exchange in when it is done."""
        if phase == "done":
            entry = self._entry(exchange)
            entry.facts = _facts(exchange, self._hide)
            entry.codings = exchange.response.headers.get_list("content-encoding") if exchange.response is not None else []
            self._entries.append(entry)
            if len(self._entries) > self._max_entries:
                self._drop_oldest()

    def request_data(self, exchange: Exchange, data: bytes) -> None:
        """A piece of the request's body was written."""
        entry = self._entry(exchange)
        if entry.attempt != exchange.attempt:  # it begins anew
            entry.attempt = exchange.attempt
            self._size -= len(entry.sent)
            entry.sent.clear()
        self._keep(entry, entry.sent, data)

    def response_data(self, exchange: Exchange, data: bytes) -> None:
        """A piece of the response's body was given to the caller, or came with its head."""
        entry = self._entry(exchange)
        self._keep(entry, entry.read, data)

    def _entry(self, exchange: Exchange) -> _Entry:
        entry: _Entry | None = exchange.notes.get(self)
        if entry is None:
            entry = exchange.notes[self] = _Entry()
        return entry

    def _keep(self, entry: _Entry, body: bytearray, data: bytes) -> None:
        """Keep of a body what there is room for."""
        if not self._bodies or entry.gone:
            return
        piece = data[: self._max_body - len(body)]
        while self._size + len(piece) > self._max_size and self._entries and self._entries[0] is not entry:
            self._drop_oldest()
        piece = piece[: max(0, self._max_size - self._size)]
        body += piece
        self._size += len(piece)

    def _drop_oldest(self) -> None:
        entry = self._entries.popleft()
        self._size -= len(entry.sent) + len(entry.read)
        self._gone += 1
        entry.gone = True  # its exchange may go on, and hold it
        entry.sent.clear()
        entry.read.clear()

    def clear(self) -> None:
        """Forget all entries."""
        while self._entries:
            self._drop_oldest()
        self._gone = 0

    # -- the file ------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The log, as `json.dumps` takes it: `{"log": {"version": "1.2", …}}`."""
        log: dict[str, Any] = {
            "version": "1.2",
            "creator": {"name": "wirebird", "version": VERSION},
            "pages": [],
            "entries": [self._export(entry) for entry in list(self._entries)],
        }
        if self._gone:
            log["comment"] = f"{self._gone} older entries were dropped"
        return {"log": log}

    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Write the log as JSON to `path`, or the recorder's; a file that is there is replaced in one step, with the mode 0600.

        Blocks for as long as the disk takes; from a running loop call it through `asyncio.to_thread`.  Raises `UsageError` if
        there is no path, `OSError` if the file cannot be written, and then leaves the old one as it was.
        """
        import json

        from ..net.private_file import write_private

        path = path if path is not None else self._path
        if path is None:
            raise UsageError("path must say where to save, for the recorder has none", argument="path")
        write_private(path, json.dumps(self.to_dict(), indent=1))

    def __enter__(self) -> HarRecorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._path is not None:
            self.save()

    def _export(self, entry: _Entry) -> dict[str, Any]:
        """An entry with its bodies, as far as they are here by now."""
        facts = entry.facts
        request, response = dict(facts["request"]), dict(facts["response"])
        sent, read = bytes(entry.sent), bytes(entry.read)
        if request["bodySize"] > 0:
            kind = _value(request["headers"], "content-type")
            request["postData"] = post_data(sent, kind, request["bodySize"], self._hide) if self._bodies else {"mimeType": kind}
        kind, received = response["content"]["mimeType"], max(0, response["bodySize"])
        if self._bodies and received:
            response["content"] = content(read, entry.codings, kind, received, self._max_body, "_error" not in response)
        return {**facts, "request": request, "response": response}


class _Entry:
    """What is kept of an exchange: `facts` is its entry without bodies, once it is done; `attempt` the one that `sent` is of."""

    __slots__ = ("attempt", "codings", "facts", "gone", "read", "sent")

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.codings: list[str] = []
        self.sent = bytearray()
        self.read = bytearray()
        self.gone = False
        self.attempt = 1


# -- an entry without its bodies ---------------------------------------------------------------------------------------


def _facts(exchange: Exchange, hide: frozenset[str]) -> dict[str, Any]:
    connection = exchange.connection
    timings = _timings(exchange)
    entry: dict[str, Any] = {
        "startedDateTime": _iso(exchange.started),
        "time": round(sum(value for name, value in timings.items() if name != "ssl" and value > 0), 3),
        "request": _request(exchange, hide),
        "response": _response(exchange, hide),
        "cache": {},
        "timings": timings,
    }
    if connection is not None:
        entry["connection"] = str(connection.id)
        if connection.remote is not None:
            entry["serverIPAddress"] = connection.remote[0].partition("%")[0]
    return entry


def _iso(seconds: float) -> str:
    """A time as ISO 8601 with its zone, as far as the calendar of Python goes."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def _timings(exchange: Exchange) -> dict[str, float]:
    """In milliseconds; -1 for a stage that there was not, but 0 for the three that must be there."""
    seconds = exchange.timings
    found = dict.fromkeys(("blocked", "dns", "connect", "ssl"), -1.0) | {"send": 0.0, "wait": 0.0, "receive": 0.0}
    return found | {name: round(value * 1000, 3) for name, value in seconds.items()}


def _request(exchange: Exchange, hide: frozenset[str]) -> dict[str, Any]:
    request = exchange.request
    where = request.destination
    if exchange.head:
        fields = decode_fields(exchange.head[exchange.head.index(b"\r\n") + 2 :])
    else:  # never written, or not over a network
        fields = HttpHeaders([("Host", where.authority), *request.headers.items()])
    query = where.target.partition("?")[2]
    return {
        "method": request.method,
        "url": shown_url(where, hide),
        "httpVersion": "HTTP/1.1",
        "cookies": [
            {"name": name, "value": HIDDEN if is_secret("cookie", hide) else value} for name, value in _sent_cookies(fields)
        ],
        "headers": _fields(fields, hide),
        "queryString": params(query, hide),
        "headersSize": len(exchange.head) or -1,
        "bodySize": exchange.sent,
    }


def _response(exchange: Exchange, hide: frozenset[str]) -> dict[str, Any]:
    response = exchange.response
    error = exchange.error
    failure = {"_error": type(error).__name__} if error is not None else {}
    if response is None:
        return {
            "status": 0,
            "statusText": "",
            "httpVersion": "",
            "cookies": [],
            "headers": [],
            "content": {"size": 0, "mimeType": "x-unknown"},
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": -1,
            **failure,
        }
    fields = response.headers
    return {
        "status": response.status_code,
        "statusText": response.reason,
        "httpVersion": f"HTTP/{response.http_version}",
        "cookies": _set_cookies(fields.get_list("set-cookie"), hide),
        "headers": _fields(fields, hide),
        "content": {"size": exchange.received, "mimeType": fields.get("content-type", "x-unknown")},
        "redirectURL": hidden_field("location", fields.get("location", ""), hide),
        "headersSize": response.head.size,
        "bodySize": exchange.received,
        **failure,
    }


def _fields(fields: HttpHeaders, hide: frozenset[str]) -> list[dict[str, str]]:
    return [{"name": name, "value": hidden_field(name, value, hide)} for name, value in fields.items()]


def _value(fields: list[dict[str, str]], wanted: str) -> str:
    return next((field["value"] for field in fields if field["name"].lower() == wanted), "")


def _sent_cookies(fields: HttpHeaders) -> Iterator[tuple[str, str]]:
    for line in fields.get_list("cookie"):
        for pair in line.split(";"):
            name, equals, value = pair.strip(" \t").partition("=")
            yield (name, value) if equals else ("", name)  # a cookie without a name (RFC 6265bis 5.6)


def _set_cookies(lines: list[str], hide: frozenset[str]) -> list[dict[str, Any]]:
    from ..models.cookie_parsing import parse_set_cookie

    found = []
    for line in lines:
        cookie = parse_set_cookie(line)
        if cookie is None:
            continue
        attributes = cookie.attributes
        shown: dict[str, Any] = {"name": cookie.name, "value": HIDDEN if is_secret("set-cookie", hide) else cookie.value}
        shown |= {key: attributes[name] for name, key in _ATTRIBUTES if name in attributes}
        shown |= {"httpOnly": "httponly" in attributes, "secure": "secure" in attributes}
        if cookie.expires is not None:
            shown["expires"] = _iso(cookie.expires)
        found.append(shown)
    return found
