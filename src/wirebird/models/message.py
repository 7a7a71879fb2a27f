"""Messages: the heads that a parser reads off the wire, and the request that a caller wants sent (RFC 9110 6).

A head keeps its bytes and the few facts that framing needs; its fields are split only when somebody looks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from .headers import HttpHeaders, decode_fields, split_fields
from .url import Destination, destination, parse_url

if TYPE_CHECKING:
    from yarl import URL

    from .redaction import HideLike

__all__ = [
    "CHUNKED",
    "IDEMPOTENT",
    "TUNNEL",
    "UNTIL_CLOSE",
    "Body",
    "Head",
    "Request",
    "RequestHead",
    "ResponseHead",
    "describe_body",
    "trailers_of",
]

# What a head says of the length of its body: a number of bytes, or one of these.
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
TUNNEL: Final = -3

# Methods whose requests have no other effect if they are carried out twice (RFC 9110 9.2.2).
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


class Head:
    """What both kinds of head have in common.

    `raw` is the head as it arrived, up to and with the empty line; `size` its length; `start` where the field lines begin.
    `minor` is the minor version (0 or 1), `length` the declared framing: bytes, or `CHUNKED`, `UNTIL_CLOSE`, `TUNNEL`.
    `coded` is whether there is a Content-Encoding, None if nobody asked yet (see `ResponseHead.is_coded`).
    `keep_alive` says whether the sender allows another message on the connection (RFC 9112 9.3).
    """

    __slots__ = ("_fields", "coded", "keep_alive", "length", "minor", "raw", "size", "start")

    raw: bytes
    size: int
    start: int
    minor: int
    length: int
    keep_alive: bool
    _fields: HttpHeaders | None
    coded: bool | None

    @property
    def version(self) -> str:
        """The HTTP version, `"1.0"` or `"1.1"`."""
        return f"1.{self.minor}"

    @property
    def fields(self) -> HttpHeaders:
        """The fields as text, split on first use.  Belongs to the head: copy it before changing it."""
        if self._fields is None:
            self._fields = decode_fields(self.raw[self.start :])
        return self._fields

    @property
    def raw_fields(self) -> list[tuple[bytes, bytes]]:
        """The fields as bytes, names spelled as received."""
        return split_fields(self.raw[self.start :])


class ResponseHead(Head):
    """The head of a response: `status`, and `reason` as bytes (empty if there was none)."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: bytes, minor: int, raw: bytes, start: int, length: int, keep_alive: bool) -> None:
        self.status = status
        self.reason = reason
        self.minor = minor
        self.raw = raw
        self.size = len(raw)
        self.start = start
        self.length = length
        self.keep_alive = keep_alive
        self._fields = None
        self.coded = None

    def is_coded(self) -> bool:
        """Whether there is a Content-Encoding; found out once."""
        coded = self.coded
        if coded is None:
            coded = self.coded = b"\ncontent-encoding:" in self.raw.lower()
        return coded

    def codings(self) -> list[str]:
        """The values of Content-Encoding (RFC 9110 8.4)."""
        return self.fields.get_list("content-encoding")

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status} length={self.length} keep_alive={self.keep_alive}>"


class RequestHead(Head):
    """The head of a request: `method` and `target` as bytes, `host` the one `Host` value (of
    HTTP/1.0 without one, the target's; empty where that names none either).

    `expect_continue` is set by `Expect: 100-continue` from an HTTP/1.1 client; `upgrade` holds the protocols offered.  `kept` is
    whatever was made of the head by those it was given to, so that it need not be made again for the next request that is alike.
    """

    __slots__ = ("expect_continue", "host", "kept", "method", "target", "upgrade")

    def __init__(
        self,
        method: bytes,
        target: bytes,
        minor: int,
        raw: bytes,
        start: int,
        length: int,
        keep_alive: bool,
        host: bytes,
        expect_continue: bool,
        upgrade: bytes,
    ) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.raw = raw
        self.size = len(raw)
        self.start = start
        self.length = length
        self.keep_alive = keep_alive
        self.host = host
        self.expect_continue = expect_continue
        self.upgrade = upgrade
        self.kept: Any = None
        self._fields = None
        self.coded = None

    def __repr__(self) -> str:
        return f"<RequestHead {self.method.decode()} {self.target.decode('latin-1')} length={self.length}>"


class Body(Protocol):
    """The body of a request that is not simply bytes.

    It may have two methods more.  `describe(headers)` adds the fields that go with it to those of the request, before the
    pipeline sees it; `trailers()` gives the field lines that follow a body that has ended, as bytes, and its `size()` must be
    None then, for only a chunked body has trailers (RFC 9112 7.1.2).
    """

    def size(self) -> int | None:
        """Its length in bytes, or None if that is not known before the end."""

    def pieces(self) -> AsyncIterator[bytes]:
        """The bytes, from the start.  Raises `BodyConsumed` if they were given out before and cannot be given again."""

    def replayable(self) -> bool:
        """Whether `pieces` can be called once more."""

    async def close(self) -> None:
        """Close what the body opened, files above all.  May be called twice."""


def describe_body(body: Body, headers: HttpHeaders) -> None:
    """Have `body` add the fields that go with it to `headers`, if it has any to add."""
    if (describe := getattr(body, "describe", None)) is not None:
        describe(headers)


def trailers_of(body: bytes | Body) -> bytes:
    """The field lines that follow `body`, which has ended; b"" for a body that has no trailers."""
    trailers: Callable[[], bytes] | None = getattr(body, "trailers", None)
    return trailers() if trailers is not None else b""


class Request:
    """A request on its way through the pipeline: a middleware may change any of it before it hands it on.

    `method` is a token in the case it is sent in, `url` a `yarl.URL` (setting it changes where the request goes), `headers` an
    `HttpHeaders` of its own, `body` None, bytes or a `Body`.  `options` is what the client's transport needs beside the message
    (time limits, TLS, …), and `deadline` when the time for all of it is over, on the client's clock.
    """

    __slots__ = ("body", "deadline", "destination", "headers", "method", "options")

    def __init__(
        self,
        method: str,
        headers: HttpHeaders,
        body: bytes | Body | None,
        destination: Destination,
        options: Any,
        deadline: float,
    ) -> None:
        self.method = method
        self.headers = headers
        self.body = body
        self.destination = destination
        self.options = options
        self.deadline = deadline

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.destination.origin}>"

    @property
    def url(self) -> URL:
        """The URL that is requested.  Setting another one raises `InvalidURL` unless it is an absolute http(s) URL."""
        return self.destination.url

    @url.setter
    def url(self, url: str | URL) -> None:
        self.destination = destination(parse_url(url))

    def copy(self) -> Request:
        """The same request with headers of its own: the way to change one and keep the other.  A body is shared."""
        headers = HttpHeaders(self.headers)
        return Request(self.method, headers, self.body, self.destination, self.options, self.deadline)

    def to_curl(self, hide: HideLike = True) -> str:
        """A command that sends the same request with curl, for bash, zsh or ksh, on one line.

        `hide`: True replaces credentials, cookies, and parameters with well-known names of secrets by `***`, and then the command
        is fit to be shown but not to be run; a collection of names replaces those besides; False replaces nothing.

        A body in memory is part of the command.  Another one is not read: the command reads an open file by its name, and
        anything else from its standard input.  After a HEAD with a body curl waits for a body of the response as well, until the
        connection ends.  Redirects are not followed.  Proxies, client certificates and Unix sockets are the
        client's, not the request's, and not in the command.  Raises `InvalidHeader` for a method or a field that may not be sent.
        """
        from .curl import curl_command

        verify = getattr(self.options, "verify", True)
        return curl_command(self.method, self.destination, self.headers, self.body, verify, hide)
