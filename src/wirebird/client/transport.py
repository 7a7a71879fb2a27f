"""The innermost handler: a connection, a request written on it, a response read from it (RFC 9112).

Here is the only place where a request is repeated on its own account: once, when a reused connection turns out to have been
closed by the peer before a byte of response came, and doing it twice cannot do harm (RFC 9112 9.3.1, RFC 9110 9.2.2).
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import ref

from ..errors import ConnectionLost, InvalidHeader, ProtocolError, ProxyError, UsageError
from ..models.headers import encode_fields, split_list
from ..models.message import CHUNKED, IDEMPOTENT, Body, Request, trailers_of
from ..models.url import check_host
from ..net.timeouts import NEVER
from ..protocol.http1 import LAST_CHUNK, Writer, chunk, request_framing, request_line
from .response import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..net.incoming import Incoming
    from ..net.proxy import Proxy
    from ..net.timeouts import Timeouts
    from ..net.tunnel import Detour
    from .connector import TCPConnector
    from .http1 import Http1Connection
    from .observation import Observation
    from .options import Options

__all__ = ["Sender", "Transport", "close_bodies", "encode_head", "has_to_close"]

# How long a 100 (Continue) is waited for before the body is sent anyway, seconds (RFC 9110 10.1.1).
CONTINUE_TIME: Final = 1.0

# A body up to this leaves in one write with its head; a longer one is sent in pieces, as fast as the peer takes them.
ONE_WRITE: Final = 65536


def encode_head(request: Request, detour: Detour | None = None) -> tuple[bytes, int]:
    """The head of `request` as bytes, and the framing of its body: everything about it is validated here.

    `detour` is the proxy on the way: one that forwards is asked for the whole URL.  Raises `InvalidHeader`, `UsageError`.
    """
    headers = request.headers
    body = request.body
    try:
        size = len(body) if isinstance(body, bytes) else 0 if body is None else body.size()
    except AttributeError:
        if hasattr(body, "size"):
            raise
        raise UsageError(f"the body of a request must be bytes, a Body or None, not {type(body).__name__}", argument="body")
    length, framing = request_framing(request.method, headers, size)
    minor = 0 if getattr(request.options, "http10", False) else 1
    if not minor and length == CHUNKED:
        raise UsageError("HTTP/1.0 has no chunks, and the length of the body is not known", argument="data")
    where = request.destination
    target = where.target
    if "host" in headers:
        hosts = headers.get_list("host")
        if len(hosts) > 1:
            raise InvalidHeader("headers hold more than one Host", argument="headers")
        check_host(hosts[0])
        pairs = tuple(headers.items())
    else:
        pairs = (("Host", where.authority), *headers.items())
    if detour is not None and detour.forwards:
        target, fields = _forwarded(request, pairs, detour.proxy)
    else:
        try:
            fields = _fields(pairs)
        except TypeError:  # not hashable, so not text either
            fields = encode_fields(pairs)
    return b"".join((request_line(request.method, target, minor), fields, framing, b"\r\n")), length


@lru_cache(maxsize=256)
def _fields(fields: tuple[tuple[str, str], ...]) -> bytes:
    """The field lines as bytes; remembered, for most requests of a program have the same few sets of headers.

    Credentials for a proxy are not for an origin, nor for what a tunnel leads to (RFC 9110 11.7.2): they are left out.
    """
    block = encode_fields(fields)
    if b"proxy-authorization:" in block.lower():
        block = encode_fields([pair for pair in fields if pair[0].lower() != "proxy-authorization"])
    return block


def _forwarded(request: Request, fields: Iterable[tuple[str, str]], proxy: Proxy) -> tuple[str, bytes]:
    """Target and field lines of a request to a proxy that forwards (RFC 9112 3.2.2): the absolute URL, and its credentials."""
    where = request.destination
    host = request.headers.get("host", where.authority)
    if host.lower() != where.authority.lower():
        # The proxy goes by the URL and replaces the field: what the caller wants would not arrive.
        raise InvalidHeader(f"headers hold the Host {host!r}, and a proxy is asked for {where.authority!r}", argument="headers")
    block = encode_fields(fields)
    credentials = proxy.credentials
    if credentials is not None and "proxy-authorization" not in request.headers:
        block += encode_fields([("Proxy-Authorization", credentials)])
    return f"{where.scheme}://{where.authority}{where.target}", block


def has_to_close(body: object) -> bool:
    """Whether `body` may hold something open.  What a middleware put there may be no body at all."""
    return body is not None and not isinstance(body, bytes) and hasattr(body, "close")


async def close_bodies(*bodies: Any) -> None:
    """Close what the bodies of a request opened; it does not matter if one is there twice."""
    for body in bodies:
        if has_to_close(body):
            await body.close()


class Sender(Protocol):
    """What may stand at the end of the pipeline in place of connections: a fake, an application in the same process."""

    async def send(self, request: Request) -> HttpResponse:
        """The response to `request`."""

    async def close(self) -> None:
        """The client is closed.  May be called twice."""


class Transport:
    """Sends requests over the connections of a `TCPConnector`."""

    def __init__(self, connector: TCPConnector) -> None:
        self.connector = connector
        connector.closed = False  # it may have served another client before

    async def send(
        self, request: Request, *, fresh: bool = False, reserved: bool = False, observed: Observation | None = None
    ) -> HttpResponse:
        """One exchange.  Raises what a connection, a time limit or the peer's answer makes it raise.

        `fresh` and `reserved` continue what the short cut of `client/plain.py` began: a connection that was stale is not to be
        replaced by another idle one, or a slot is reserved already.  `observed` is told how it goes.
        """
        options: Options = request.options
        switching = options.upgrade is not None
        name = options.server_hostname
        route = self.connector.route(request.destination, options.ssl, options.verify, options.proxy, switching, name)
        head, length = encode_head(request, route.detour)
        try:
            while True:
                connection = self.connector.idle(route) if not fresh and not reserved else None
                if connection is None:
                    connection = await self.connector.acquire(
                        route,
                        options.timeouts,
                        request.deadline,
                        fresh=fresh,
                        reserved=reserved,
                        mark=observed.mark if observed is not None else None,
                    )
                reserved = False
                if not connection.is_open():
                    connection.give_up()  # found dead before a byte was written: that is no attempt, whatever the method
                    continue
                try:
                    response = await self._exchange(connection, request, head, length, observed)
                except ConnectionLost:
                    if fresh or not connection.stale or not _may_repeat(request):
                        raise
                    fresh = True
                    if observed is not None:
                        observed.again(request)
                    continue
                if response.status_code != 417 or (plain := _without_expectation(request)) is None:
                    return response
                await response.close()
                request = plain
                head, length = encode_head(request, route.detour)
                if observed is not None:
                    observed.again(request)
        except (ConnectionLost, ProtocolError) as error:
            if route.detour is None or not route.detour.forwards:
                raise
            # It was the proxy that was asked and did not answer, whatever went on behind it.
            message = f"the proxy did not answer: {error.message}"
            raise ProxyError(message, peer=error.peer, phase=error.phase) from error

    async def _exchange(
        self, connection: Http1Connection, request: Request, head: bytes, length: int, observed: Observation | None
    ) -> HttpResponse:
        body = request.body
        options: Options = request.options
        waiter: asyncio.Future[HttpResponse] = connection.loop.create_future()
        method = request.method.encode()
        headers = request.headers
        if "connection" in headers and any("close" in split_list(value) for value in headers.get_list("connection")):
            connection.is_last()
        whole = head
        if length == CHUNKED and (body is None or isinstance(body, bytes)):
            body = chunk(body or b"") + LAST_CHUNK  # the caller's own wish
            length = len(body)
        if isinstance(body, bytes) and len(body) <= ONE_WRITE:
            whole += body
            body = None
        asked = connection.on_continue() if body is not None and _expects_continue(request) else None
        now = monotonic()
        if observed is not None:
            observed.written(connection, head, now)
        total_at = request.deadline
        # While a body is sent, the peer owes nothing but to take it.
        first = total_at if body is not None else min(options.timeouts.after(now, options.timeouts.read), total_at)
        connection.sending = body is not None
        limits = options.limits or self.connector.limits
        if connection.parser.limits is not limits:
            connection.parser.limit_to(limits)
        connection.begin(method, whole, waiter, request, now, first, total_at, options.upgrade is not None)
        if body is None and observed is not None:
            observed.mark("sent")
        upload = None
        if body is not None:
            # A weak one: the waiter has the response, and whoever sends must not keep that alive.
            upload = connection.loop.create_task(_upload(connection, body, length, ref(waiter), asked, observed))
        try:
            response = await waiter
            if upload is not None and not upload.done() and 200 <= response.status_code < 300:
                if options.duplex and response._incoming is not None:
                    _go_on(upload, body, response._incoming, connection)  # type: ignore[arg-type]
                    upload = None
                else:
                    await _finish_upload(upload, response, request)
        except BaseException:
            connection.cancel(waiter)
            raise
        finally:
            if upload is not None:
                try:
                    await _conclude(upload, connection)
                except BaseException:
                    connection.cancel(waiter)  # there may be a response by now, which nobody will see
                    raise
        return response


def _may_repeat(request: Request) -> bool:
    body = request.body
    replayable = body is None or isinstance(body, bytes) or body.replayable()
    return request.method in IDEMPOTENT and replayable


def _without_expectation(request: Request) -> Request | None:
    """RFC 9110 10.1.1: the same after a 417, without `Expect`; None if there was none, or the body cannot be given again."""
    body = request.body
    if not _expects_continue(request) or not (body is None or isinstance(body, bytes) or body.replayable()):
        return None
    plain = request.copy()
    del plain.headers["expect"]
    return plain


def _expects_continue(request: Request) -> bool:
    return any("100-continue" in split_list(value) for value in request.headers.get_list("expect"))


async def _upload(
    connection: Http1Connection,
    body: bytes | Body,
    length: int,
    waiting: ref[asyncio.Future[HttpResponse]],
    asked: asyncio.Future[None] | None,
    observed: Observation | None,
) -> None:
    """Send the body, until it ends or the response makes the rest pointless (RFC 9112 9.5)."""
    if asked is not None:
        await asyncio.wait([asked], timeout=CONTINUE_TIME)
        if (waiter := waiting()) is None or waiter.done():
            return
        del waiter
    writer = Writer(length)
    try:
        if isinstance(body, bytes):
            for at in range(0, len(body), ONE_WRITE):
                connection.write(writer.data(body[at : at + ONE_WRITE]))
                if observed is not None:
                    observed.count(len(body[at : at + ONE_WRITE]))
                await connection.drain()
        else:
            async with aclosing(body.pieces()) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    connection.write(writer.data(piece))
                    if observed is not None:
                        observed.uploaded(piece)
                    await connection.drain()
        connection.write(writer.end(trailers_of(body)))
    except Exception as error:
        if isinstance(error, ConnectionLost) and connection.closing:
            return  # whoever awaits the response is told by the connection itself
        # The body is at fault, not the peer: the request cannot be completed, and the caller is told why.
        if (waiter := waiting()) is not None and not waiter.done():
            connection.give_up()
            waiter.set_exception(RuntimeError("the body raised StopIteration") if isinstance(error, StopIteration) else error)
        elif (task := asyncio.current_task()) is not None and not task.cancelling():
            raise  # the response is there, to a request that is not what it was to be
        return
    except BaseException:
        # Cancelled by the body itself, if not by `_conclude`: so is then the request, as if it had awaited the body in person.
        if (waiter := waiting()) is not None and not waiter.done():
            connection.give_up()
            waiter.cancel()
        raise
    connection.sent()
    if observed is not None:
        observed.mark("sent")


def _go_on(upload: asyncio.Task[None], body: bytes | Body, incoming: Incoming, connection: Http1Connection) -> None:
    """Both directions at once: the body is sent for as long as the answer goes on, and the caller has that already."""

    def answered() -> None:
        upload.cancel()  # what the answer ended without is not sent

    upload.get_loop().create_task(_see_off(upload, body, connection))  # what it waits for keeps it
    incoming.on_end(answered)


async def _see_off(upload: asyncio.Task[None], body: bytes | Body, connection: Http1Connection) -> None:
    """Wait for the end of an upload that nobody else waits for, and tell the reader of the response if it has failed."""
    await asyncio.wait([upload])
    error = None if upload.cancelled() else upload.exception()
    if not connection.sending:
        pass  # it may be another's by now
    elif error is None:
        connection.break_off()
    else:
        failure = ConnectionLost("the body of the request could not be sent", peer=connection.peer, phase="reading the body")
        failure.__cause__ = error
        connection._fail(failure)
    await close_bodies(body)


async def _finish_upload(upload: asyncio.Task[None], response: HttpResponse, request: Request) -> None:
    """The peer began to answer before it had the whole request, and did not refuse it: it is still to have the rest.

    Until it has ended its answer: then it has done without.  Raises `RequestTimeout`.
    """
    incoming = response._incoming
    if incoming is None:
        return
    answered: asyncio.Future[None] = upload.get_loop().create_future()

    def tell() -> None:
        if not answered.done():
            answered.set_result(None)

    incoming.on_end(tell)
    left = request.deadline - monotonic()
    done, _ = await asyncio.wait([upload, answered], timeout=left if left < NEVER else None, return_when=asyncio.FIRST_COMPLETED)
    if not done:
        timeouts: Timeouts = request.options.timeouts
        raise timeouts.exceeded(total=True, peer=request.destination.authority, phase="sending the request")


async def _conclude(upload: asyncio.Task[None], connection: Http1Connection) -> None:
    """The response is there, or will not come: nothing more is sent."""
    try:
        if not upload.done():
            upload.cancel()
            await asyncio.wait([upload])  # the body may have something to close
    finally:
        if connection.sending:
            connection.break_off()
    if not upload.cancelled() and (error := upload.exception()) is not None:
        raise error
