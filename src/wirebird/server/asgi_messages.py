"""The vocabulary of ASGI 3 (asgi.readthedocs.io, "HTTP & WebSocket" 2.5): scopes, and what an application says of a response.

What an application sends is checked here, and turned into what is written.  Most of them send the same few heads again and again:
those are kept, made ready, by their status and their fields.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from ..errors import InvalidHeader, ProtocolError, UsageError, WirebirdError
from ..models.message import ResponseHead
from ..protocol.http1_heads import check_trailers
from ..protocol.http1_responses import encode_response, join_fields

__all__ = [
    "Application",
    "ApplicationError",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "Start",
    "asgi_scope",
    "check_application",
    "encode_trailers",
    "read_body",
    "read_fields",
    "read_start",
]

Message: TypeAlias = "MutableMapping[str, Any]"
Scope: TypeAlias = "MutableMapping[str, Any]"
Receive: TypeAlias = "Callable[[], Awaitable[Message]]"
Send: TypeAlias = "Callable[[Message], Awaitable[None]]"
Application: TypeAlias = "Callable[[Scope, Receive, Send], Awaitable[None]]"

VERSIONS: Final = {"version": "3.0", "spec_version": "2.5"}

# How many heads are kept, and how long one may be: what an application sends once, as a cookie, is soon pushed out.
_KEPT: Final = 256
_WORTH_KEEPING: Final = 1024

# Fields that are the server's affair, or change what it does: with these, a head is looked at each time.
_SPECIAL: Final = frozenset({b"connection", b"transfer-encoding", b"date", b"server", b"upgrade", b"trailer"})

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


class ApplicationError(WirebirdError):
    """The application broke the contract of ASGI, or did not start."""


class Start:
    """The head of a response as an application has sent it.

    head    as its reader will parse it
    plain   status line and fields without a Content-Length, as `Exchange.respond` takes them; None if there is more to it
    length  the Content-Length, -1 if it has none
    """

    __slots__ = ("head", "length", "plain")

    def __init__(self, head: ResponseHead, plain: bytes | None, length: int) -> None:
        self.head = head
        self.plain = plain
        self.length = length


_starts: dict[tuple[Any, ...], Start] = {}


def read_start(message: Message) -> Start:
    """The head in `http.response.start`.  Raises `ApplicationError` for what is none."""
    status = message.get("status")
    given = message.get("headers", ())
    if type(status) is int and type(given) in (list, tuple):
        key = (status, *given)
        try:
            known = _starts.get(key)
        except TypeError:  # pairs that are lists
            key = (status, *[tuple(field) if type(field) is list else field for field in given])
            try:
                known = _starts.get(key)
            except TypeError:
                known = None
        if known is not None:
            return known
    return _make_start(status, message)


def _make_start(status: object, message: Message) -> Start:
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 999:
        raise ApplicationError(f"the application sent a status that is no number from 200 to 999: {status!r}")
    status = int(status)
    fields = read_fields(message)
    try:
        head = encode_response(status, _PHRASES.get(status, ""), fields)
    except (UsageError, ProtocolError) as error:
        raise ApplicationError(f"the application sent a head that is none: {error}") from error
    names = [name.lower() for name, _ in fields]
    plain = None
    if status not in (204, 304) and _SPECIAL.isdisjoint(names) and names.count(b"content-length") < 2:
        others = [field for field, name in zip(fields, names, strict=True) if name != b"content-length"]
        plain = head.raw[: head.start] + join_fields(others)
    start = Start(head, plain, max(head.length, -1))
    if head.size <= _WORTH_KEEPING and b"set-cookie" not in names:
        if len(_starts) >= _KEPT:
            _starts.clear()
        _starts[(status, *fields)] = start
    return start


def read_fields(message: Message) -> list[tuple[bytes, bytes]]:
    """The `headers` of a message as pairs of bytes.  Raises `ApplicationError` for what they are not."""
    fields = []
    given = message.get("headers", ())
    if not isinstance(given, Iterable):
        raise ApplicationError(f"the application sent headers that are {type(given).__name__}")
    for field in given:
        if not isinstance(field, tuple | list) or len(field) != 2 or not all(isinstance(part, bytes) for part in field):
            raise ApplicationError(f"the application sent a header that is not a pair of bytes: {field!r}")
        fields.append((field[0], field[1]))
    return fields


def read_body(message: Message) -> bytes:
    """The `body` of a message.  Raises `ApplicationError` if it is not bytes."""
    body = message.get("body", b"")
    if type(body) is bytes:
        return body
    if not isinstance(body, bytes | bytearray | memoryview):
        raise ApplicationError(f"the application sent a body that is {type(body).__name__}, not bytes")
    return bytes(body)


def encode_trailers(fields: list[tuple[bytes, bytes]]) -> bytes:
    """Trailers as lines.  Raises `ApplicationError` for what are none."""
    try:
        return check_trailers(join_fields(fields) + b"\r\n", ProtocolError)
    except (InvalidHeader, ProtocolError) as error:
        raise ApplicationError(f"the application sent trailers that are none: {error}") from error


def asgi_scope(
    kind: str,
    *,
    method: str,
    target: bytes,
    minor: int,
    scheme: str,
    fields: list[tuple[bytes, bytes]],
    client: tuple[str, int] | None,
    server: tuple[str, int | None],
    state: Mapping[str, Any],
    root_path: str = "",
    prefix: str = "",
    extensions: Iterable[str] = (),
) -> dict[str, Any]:
    """The connection scope of a request, with a copy of the lifespan's `state`.

    `root_path` is where the application is mounted.  Paths of ASGI hold that too: `prefix` is what was taken from the target
    before it came here.
    """
    if not target.startswith(b"/") and b"://" in target:
        rest = target.partition(b"://")[2]
        at = min((rest.find(mark) for mark in (b"/", b"?") if mark in rest), default=len(rest))
        target = rest[at:] if rest[at : at + 1] == b"/" else b"/" + rest[at:]
    raw_path, _, query = target.partition(b"?")
    scope: dict[str, Any] = {
        "type": kind,
        "asgi": VERSIONS.copy(),
        "http_version": f"1.{minor}",
        "method": method.upper(),
        "scheme": scheme,
        "path": prefix + unquote(raw_path.decode("latin-1")),
        "raw_path": prefix.encode() + raw_path,
        "query_string": query,
        "root_path": root_path,
        "headers": [(name.lower(), value) for name, value in fields],
        "client": client,
        "server": server,
        "state": dict(state),
        "extensions": {name: {} for name in extensions},
    }
    if kind == "websocket":
        del scope["method"]
        offered = b",".join([value for name, value in scope["headers"] if name == b"sec-websocket-protocol"])
        scope["subprotocols"] = [name for part in offered.decode("latin-1").split(",") if (name := part.strip(" \t"))]
    return scope


def check_application(application: object) -> None:
    """Raise `UsageError` for what cannot be called."""
    if not callable(application):
        raise UsageError(f"app must be an ASGI application, not {type(application).__name__}", argument="app")
