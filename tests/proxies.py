"""A proxy in the event loop of the test: HTTP and SOCKS5, with TLS and credentials if wanted, strict, and able to misbehave.

    async with HttpProxy(auth="user:word") as proxy:
        async with wirebird.HTTPClient(proxy=proxy.url) as client: ...

`asked` holds the head of every request that it was sent (a CONNECT or an absolute URL), or every `host:port` that SOCKS asked
for; `connections` counts those accepted, `open` those not yet closed.  `hosts` says what a name is: the proxy has no resolver
of its own.  `misbehave` is a function that is given the streams instead of all that.

`credentials(head)` gives the `Proxy-Authorization` values of a request.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from wirebird.models.message import RequestHead
from wirebird.protocol.http1_parser import Parser

__all__ = ["HttpProxy", "SocksProxy", "Streams", "basic", "credentials"]

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Misbehaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def basic(auth: str) -> str:
    """`user:password` as a field value, made here and not by the library."""
    return "Basic " + base64.b64encode(auth.encode()).decode()


def credentials(head: RequestHead) -> list[str]:
    return head.fields.get_list("proxy-authorization")


class _Proxy:
    """What both have in common.  `tls`: a server's context; `host`: where to listen."""

    scheme = ""

    def __init__(
        self,
        *,
        auth: str | None = None,
        tls: ssl.SSLContext | None = None,
        hosts: dict[str, str] | None = None,
        misbehave: Misbehaviour | None = None,
    ) -> None:
        self.auth = auth
        self.tls = tls
        self.hosts = hosts or {}
        self.misbehave = misbehave
        self.port = 0
        self.connections = 0
        self.open = 0
        self.asked: list[Any] = []
        self.faults: list[BaseException] = []
        self.closed_one = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Any:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        await self._server.wait_closed()
        if self.faults and kind is None:
            raise self.faults[0]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The URL, without credentials."""
        return f"{self.scheme}://{self.address}"

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition()` holds; it is looked at whenever a connection ends."""
        async with self.closed_one:
            await self.closed_one.wait_for(condition)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._run(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            await (self.misbehave or self.serve)(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the client left
        except Exception as error:
            self.faults.append(error)
        finally:
            await _close(writer)
            self.open -= 1
            async with self.closed_one:
                self.closed_one.notify_all()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def connect(self, host: str, port: int) -> Streams:
        return await asyncio.open_connection(self.hosts.get(host, host), port)


class HttpProxy(_Proxy):
    """Forwards absolute URLs and opens tunnels.  Its requests must be HTTP/1.1 to the letter, or the test fails."""

    @property
    def scheme(self) -> str:  # type: ignore[override]
        return "https" if self.tls else "http"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward: dict[tuple[str, int], Streams] = {}
        try:
            while raw := await _head(reader):
                events = Parser(server=True).receive(raw, len(raw))
                head = events[0]
                assert isinstance(head, RequestHead)
                self.asked.append(head)
                if self.auth is not None and credentials(head) != [basic(self.auth)]:
                    writer.write(b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 5\r\n\r\nwho?\n")
                    await writer.drain()
                    await reader.readexactly(max(head.length, 0))
                    continue
                if head.method == b"CONNECT":
                    host, _, port = head.target.decode().rpartition(":")
                    assert not head.fields.keys() - {"Host", "User-Agent", "Proxy-Authorization"}, head.fields
                    await self._tunnel(reader, writer, host.strip("[]"), int(port))
                    return
                await self._forward(reader, writer, head, onward)
        finally:
            for _, other in onward.values():
                await _close(other)

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        try:
            there, back = await self.connect(host, port)
        except OSError:
            writer.write(b"HTTP/1.1 502 Nobody there\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 As you wish\r\nX-Proxy: ours\r\n\r\n")
        await _relay((reader, writer), (there, back))

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: RequestHead, onward: dict[Any, Streams]
    ) -> None:
        scheme, _, rest = head.target.decode().partition("://")
        assert scheme == "http", head
        authority, _, path = rest.partition("/")
        host, _, port = authority.partition(":")
        place = (host, int(port or 80))
        if place not in onward:
            onward[place] = await self.connect(*place)
        there, back = onward[place]
        lines = [b"%b: %b\r\n" % pair for pair in head.raw_fields if pair[0].lower() != b"proxy-authorization"]
        back.write(b"%b %b HTTP/1.1\r\n%b\r\n" % (head.method, f"/{path}".encode(), b"".join(lines)))
        back.write(await reader.readexactly(max(head.length, 0)))
        answer = await _head(there)
        writer.write(answer)
        method = Parser(server=False)
        method.expect(head.method)
        events = method.receive(answer, len(answer))
        length = events[0].length if events else 0  # type: ignore[union-attr]
        assert length >= 0, "the tests forward only what has a length"
        writer.write(await there.readexactly(length if head.method != b"HEAD" else 0))
        await writer.drain()


class SocksProxy(_Proxy):
    """SOCKS5 (RFC 1928).  `asked` holds `(kind, host, port)`, the kind being `name`, `ipv4` or `ipv6`."""

    scheme = "socks5h"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version, count = await reader.readexactly(2)
        assert version == 5
        methods = await reader.readexactly(count)
        wanted = 0 if self.auth is None else 2
        if wanted not in methods:
            writer.write(b"\x05\xff")
            return
        writer.write(bytes([5, wanted]))
        if wanted:
            assert await reader.readexactly(1) == b"\x01"
            user = await reader.readexactly((await reader.readexactly(1))[0])
            password = await reader.readexactly((await reader.readexactly(1))[0])
            right = f"{user.decode()}:{password.decode()}" == self.auth
            writer.write(b"\x01\x00" if right else b"\x01\x01")
            if not right:
                return
        kind, host, port = await self.read_request(reader)
        self.asked.append((kind, host, port))
        try:
            there, back = await self.connect(host, port)
        except OSError:
            writer.write(b"\x05\x05\x00\x01\0\0\0\0\0\0")
            return
        writer.write(b"\x05\x00\x00\x03\x04here\x12\x34")
        await _relay((reader, writer), (there, back))

    @staticmethod
    async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, int]:
        assert await reader.readexactly(3) == b"\x05\x01\x00"
        kind = (await reader.readexactly(1))[0]
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            import ipaddress

            host = str(ipaddress.ip_address(await reader.readexactly({1: 4, 4: 16}[kind])))
        port = int.from_bytes(await reader.readexactly(2), "big")
        return {1: "ipv4", 3: "name", 4: "ipv6"}[kind], host, port


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return b""


async def _relay(one: Streams, other: Streams) -> None:
    """Both ways, until either side ends."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()

    pumps = [asyncio.create_task(pump(one[0], other[1])), asyncio.create_task(pump(other[0], one[1]))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in pumps:
            task.cancel()
        await asyncio.wait(pumps)
        await _close(other[1])


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
        await writer.wait_closed()
