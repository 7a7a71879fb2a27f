"""A server on real sockets: how it begins, how it ends, what is lost then (nothing), and how many it serves at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from raw_peer import require, run
from server_wire import GET, App, Hub, Response, head_of, read_responses, settle
from server_wire import run as run_bare
from wirebird.errors import UsageError
from wirebird.net.websocket import WebSocket
from wirebird.protocol.websocket_frames import encode_frame
from wirebird.protocol.websocket_messages import MessageType
from wirebird.server.server import Server
from wirebird.server.settings import Settings

LOOPS = ["asyncio", "uvloop"]
TEXT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, address: Any, **more: Any) -> Client:
        if isinstance(address, str):
            return cls(*await asyncio.open_unix_connection(address, **more))
        return cls(*await asyncio.open_connection(*address[:2], **more))

    async def ask(self, data: bytes = GET) -> Response:
        self.writer.write(data)
        return await self.answer()

    async def answer(self) -> Response:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
        (found,) = read_responses(head + await self.reader.readexactly(length))
        return found

    async def rest(self) -> bytes:
        """Everything until the end."""
        with contextlib.suppress(ConnectionError):
            return await self.reader.read()
        return b"reset"

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


class Gate:
    """A handler that waits until it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.ended: list[str] = []

    async def __call__(self, exchange: Any) -> None:
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        exchange.respond(200, TEXT, b"at last")
        self.ended.append("answered")


def on_loops(main: Callable[[], Any]) -> None:
    for kind in LOOPS:
        run(main, kind=kind)


# -- the end -----------------------------------------------------------------------------------------------------------


def test_the_end_waits_for_requests_and_not_for_idle_connections() -> None:
    async def main() -> None:
        gate = Gate()
        server = Server(App({"/gate": gate}))
        (address,) = await server.listen()
        idle, busy, beginning = [await Client.to(address) for _ in range(3)]
        await idle.ask()
        busy.writer.write(GET.replace(b" / ", b" /gate "))
        await gate.begun.wait()
        await beginning.ask()
        beginning.writer.write(GET[:20])
        while not any(connection.parser.begun() for connection in server.connections):
            await asyncio.sleep(0.001)
        closing = asyncio.ensure_future(server.close(10))
        require(await idle.rest() == b"", "the idle one is closed at once")
        with pytest.raises(OSError):
            await Client.to(address)
        beginning.writer.write(GET[20:])
        answer = await beginning.answer()
        require(answer.status == 200 and answer.fields["connection"] == "close", answer)
        require(not closing.done(), "it waits")
        gate.go.set()
        answer = await busy.answer()
        require(answer.body == b"at last" and answer.fields["connection"] == "close", answer)
        for client in (idle, busy, beginning):
            await client.close()
        await closing
        require(not server.connections and not server.orphans and not server.upgraded)

    on_loops(main)


def test_what_the_kernel_has_accepted_is_served() -> None:
    """Connections that wait in the queue of the listening socket, with a request, when the server is closed."""

    async def main() -> None:
        app = App()
        server = Server(app)
        (address,) = await server.listen()
        raw = []
        for number in range(50):  # blocking, so that the loop does not turn
            sock = socket.create_connection(address)
            if number % 2:
                sock.sendall(GET)
            raw.append(sock)
        closing = asyncio.ensure_future(server.close(10))
        await asyncio.sleep(0)
        for number, sock in enumerate(raw):
            if not number % 2:
                sock.sendall(GET)  # these come a little later
        loop = asyncio.get_running_loop()
        for sock in raw:
            sock.setblocking(False)
            data = b""
            while part := await loop.sock_recv(sock, 65536):
                data += part
            require([answer.status for answer in read_responses(data)] == [200], data)
            sock.close()
        await closing
        require(len(app.served) == 50, app.served)

    on_loops(main)


def test_a_stream_that_has_begun_is_finished_and_then_its_connection_closed() -> None:
    """It had said that the connection goes on."""

    async def main() -> None:
        gate = asyncio.Event()
        begun = asyncio.Event()

        async def stream(exchange: Any) -> None:
            await exchange.begin(head_of(), 3)
            await exchange.write(b"a")
            begun.set()
            await gate.wait()
            await exchange.write(b"bc")
            await exchange.finish()

        server = Server(App({"/stream": stream}))
        (address,) = await server.listen()
        client = await Client.to(address)
        client.writer.write(GET.replace(b" / ", b" /stream "))
        await begun.wait()
        closing = asyncio.ensure_future(server.close(10))
        await asyncio.sleep(0.01)
        gate.set()
        (answer,) = read_responses(await client.rest())
        require(answer.body == b"abc" and "connection" not in answer.fields, answer)
        await client.close()
        await asyncio.wait_for(closing, 3)

    on_loops(main)


@pytest.mark.parametrize("way", ["grace", "hurry"])
def test_what_takes_longer_than_the_grace_is_cancelled(way: str) -> None:
    async def main() -> None:
        gate = Gate()
        ended: list[float] = []

        class Slow(App):
            async def shutdown(self, grace: float) -> None:
                ended.append(grace)
                if way == "hurry":
                    await asyncio.sleep(1000)

        server = Server(Slow({"/gate": gate}))
        (address,) = await server.listen()
        client, left = await Client.to(address), await Client.to(address)
        client.writer.write(GET.replace(b" / ", b" /gate "))
        await gate.begun.wait()
        gate.begun.clear()
        left.writer.write(GET.replace(b" / ", b" /gate "))
        await gate.begun.wait()
        left.reset()  # this handler is an orphan by now
        while not server.orphans:
            await asyncio.sleep(0.001)
        began = time.monotonic()
        if way == "grace":
            await server.close(0.05)
        else:
            first = asyncio.ensure_future(server.close(1000))
            await asyncio.sleep(0.01)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("wirebird.server.server._GOODBYE", 0.05)
                await server.close(0)
            require(first.done(), "both have ended")
        require(time.monotonic() - began < 3, "at once")
        require(gate.ended == ["cancelled"] * 2, gate.ended)
        require(await client.rest() in (b"", b"reset"))
        await client.close()
        await left.close()

    on_loops(main)


def test_handlers_without_a_client_are_waited_for() -> None:
    async def main() -> None:
        gate = Gate()
        server = Server(App({"/gate": gate}))
        (address,) = await server.listen()
        client = await Client.to(address)
        client.writer.write(GET.replace(b" / ", b" /gate "))
        await gate.begun.wait()
        client.reset()
        while not server.orphans:
            await asyncio.sleep(0.001)
        closing = asyncio.ensure_future(server.close(10))
        await asyncio.sleep(0.01)
        require(not closing.done())
        gate.go.set()
        await closing
        require(gate.ended == ["answered"])
        await client.close()

    on_loops(main)


@pytest.mark.parametrize("kind", LOOPS)
def test_tls(kind: str) -> None:
    authority = trustme.CA()
    context, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(trusting)

    async def main() -> None:
        gate = Gate()
        server = Server(App({"/gate": gate}))
        (address,) = await server.listen(ssl=context)
        client = await Client.to(address, ssl=trusting, server_hostname="localhost")
        require((await client.ask()).status == 200)
        idle = await Client.to(address, ssl=trusting, server_hostname="localhost")
        await idle.ask()
        client.writer.write(GET.replace(b" / ", b" /gate "))
        await gate.begun.wait()
        silent = await Client.to(address)  # shakes no hand
        closing = asyncio.ensure_future(server.close(5))
        require(await idle.rest() == b"")
        gate.go.set()
        require((await client.answer()).body == b"at last")
        for one in (client, idle, silent):
            await one.close()
        await asyncio.wait_for(closing, 4)

    run(main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("secure", [False, True])
def test_a_last_answer_that_is_read_late_is_whole(kind: str, secure: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the buffers hold, to a client that takes longer than any goodbye."""
    monkeypatch.setattr("wirebird.server.lingering.GOODBYE", 0.1)
    context, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority = trustme.CA()
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(trusting)
    size = 6_000_000

    async def last(exchange: Any) -> None:
        exchange.keep_alive = False
        exchange.respond(200, TEXT, bytes(size))

    async def main() -> None:
        server = Server(App({"/last": last}), Settings(linger_time=0.1))
        (address,) = await server.listen(ssl=context if secure else None)
        tls: dict[str, Any] = {"ssl": trusting, "server_hostname": "localhost"} if secure else {}
        client = await Client.to(address, limit=65536, **tls)
        client.writer.write(GET.replace(b" / ", b" /last "))
        await asyncio.sleep(0.7)
        data = await client.rest()
        require(len(data.partition(b"\r\n\r\n")[2]) == size, len(data))
        await client.close()
        while server.connections:
            await asyncio.sleep(0.001)
        await server.close(1)

    run(main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
def test_a_tls_client_that_says_no_goodbye_is_not_waited_for(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wirebird.server.lingering.GOODBYE", 0.1)
    context, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority = trustme.CA()
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(trusting)

    async def main() -> None:
        server = Server(App(), Settings(keepalive_timeout=0.1))
        (address,) = await server.listen(ssl=context)
        client = await Client.to(address, ssl=trusting, server_hostname="localhost")
        await client.ask()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        began = time.monotonic()
        while server.connections:
            await asyncio.sleep(0.01)
        require(time.monotonic() - began < 2)
        client.writer.transport.abort()
        await client.close()
        await server.close(1)

    run(main, kind=kind)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract names")
def test_an_abstract_name_is_no_file() -> None:
    async def main() -> None:
        server = Server(App())
        name = f"\0wirebird {os.getpid()}"
        await server.listen(path=name)
        client = await Client.to(name)
        require((await client.ask()).status == 200)
        await client.close()
        await server.close(1)

    run(main)


def test_a_unix_socket_and_one_of_somebody_elses(tmp_path: Path) -> None:
    async def main() -> None:
        for way in ("path", "sock"):
            path = str(tmp_path / way)
            server = Server(App())
            if way == "path":
                await server.listen(path=path)
            else:
                sock = socket.socket(socket.AF_UNIX)
                sock.bind(path)
                await server.listen(sock=sock)
            client = await Client.to(path)
            require((await client.ask()).status == 200)
            (connection,) = server.connections
            require(connection.peer == "unix", connection)
            await client.close()
            await server.close(1)
            require(Path(path).exists() == (way == "sock"))
            Path(path).unlink(missing_ok=True)

    on_loops(main)


def test_it_can_listen_again() -> None:
    async def main() -> None:
        server = Server(App())
        for _ in range(2):
            (address,) = await server.listen()
            client = await Client.to(address)
            answer = await client.ask()
            require(answer.status == 200 and "connection" not in answer.fields, answer)
            await client.close()
            await server.close(1)

    on_loops(main)


def test_an_application_that_does_not_end_says_so() -> None:
    class Odd(App):
        async def shutdown(self, grace: float) -> None:
            raise OSError("the disk is full")

    async def main() -> None:
        server = Server(Odd())
        await server.listen()
        with pytest.raises(OSError, match="the disk is full"):
            await server.close(1)
        await server.close(1)

    on_loops(main)


# -- clients that mean no good -----------------------------------------------------------------------------------------


def test_s73_s75_a_thousand_resets() -> None:
    """Before the first byte, within the head, and while a handler runs: the server is alive, and the loop at rest."""

    async def main() -> None:
        app = App()
        server = Server(app)
        (address,) = await server.listen()
        for number in range(300):
            sock = socket.create_connection(address)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.send((b"\r", GET[:10], GET, GET.replace(b" / ", b" /late "), b"bad\r\n\r\n")[number % 5])
            if number % 3:
                await asyncio.sleep(0)
            sock.close()
        while server.connections:
            await asyncio.sleep(0.001)
        used = time.process_time()
        await asyncio.sleep(0.2)
        require(time.process_time() - used < 0.1, "the loop is at rest")
        client = await Client.to(address)
        require((await client.ask()).status == 200)
        await client.close()
        await server.close(1)

    on_loops(main)


def test_s106_a_client_that_does_not_read_holds_little() -> None:
    async def main() -> None:
        written = 0
        stuck = asyncio.Event()

        async def endless(exchange: Any) -> None:
            nonlocal written
            await exchange.begin(head_of(), None)
            while True:
                asyncio.get_running_loop().call_later(0.2, stuck.set)
                await exchange.write(bytes(65536))
                written += 65536

        server = Server(App({"/endless": endless}))
        (address,) = await server.listen()
        client = await Client.to(address, limit=1024)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.writer.write(GET.replace(b" / ", b" /endless "))
        await stuck.wait()
        before = written
        await asyncio.sleep(0.05)
        require(written == before, "it goes on writing")
        (connection,) = server.connections
        require(connection.transport.get_write_buffer_size() <= 256 * 1024)
        client.writer.transport.abort()
        await client.close()
        while server.connections or server.orphans:
            await asyncio.sleep(0.001)
        await server.close(1)

    on_loops(main)


def test_lingering_lets_the_client_read_why() -> None:
    """A refusal that comes while the client still sends is not overtaken by a reset."""

    async def main() -> None:
        server = Server(App(), Settings(max_body_size=1000))
        (address,) = await server.listen()
        for _ in range(20):
            client = await Client.to(address)
            client.writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
            for _ in range(20):
                client.writer.write(bytes(20_000))
                await asyncio.sleep(0)
            answer = await client.answer()
            require(answer.status == 413, answer)
            await client.close()
        await server.close(3)

    on_loops(main)


def test_more_connections_than_are_allowed(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        caplog.clear()
        app = App()
        server = Server(app, Settings(max_connections=5, linger_time=0.1))
        (address,) = await server.listen()
        inside = [await Client.to(address) for _ in range(5)]
        for client in inside:
            await client.ask()
        for _ in range(10):
            client = await Client.to(address)
            answer = await client.ask()
            require(answer.status == 503 and answer.fields["retry-after"] == "1", answer)
            require(answer.fields["connection"] == "close" and await client.rest() in (b"", b"reset"))
            await client.close()
        require(len(app.served) == 5, app.served)
        require(len([record for record in caplog.records if "turned away" in record.getMessage()]) == 1, caplog.records)
        for client in inside:
            require((await client.ask()).status == 200)
            await client.close()
        while server.connections:
            await asyncio.sleep(0.001)
        client = await Client.to(address)
        require((await client.ask()).status == 200)
        await client.close()
        await server.close(1)

    on_loops(main)


def test_far_more_connections_than_are_allowed() -> None:
    """Those who are told so hold a socket too, so there is a limit to that as well."""

    async def main() -> None:
        hub = Hub(App(), Settings(max_connections=10))
        wires = [hub.connect() for _ in range(3000)]
        await settle()
        assert len(hub.connections) == 10 + 1024
        assert sum(wire.aborted for wire in wires) == 3000 - 10 - 1024
        for wire in wires:
            if not wire.gone:
                wire.leave()
        await settle()
        hub.watch.stop()

    run_bare(main)


# -- another protocol --------------------------------------------------------------------------------------------------


async def echo(exchange: Any) -> None:
    ws: WebSocket = exchange.accept_websocket(SWITCH)
    async for message in ws:
        await ws.send(message.data)


async def leaves_it_open(exchange: Any) -> None:
    ws = exchange.accept_websocket(SWITCH)
    await ws.receive()


async def fails(exchange: Any) -> None:
    ws = exchange.accept_websocket(SWITCH)
    await ws.receive()
    raise ValueError("on purpose")


async def bad_options(exchange: Any) -> None:
    exchange.accept_websocket(SWITCH, max_size="big")


async def never_ends(exchange: Any) -> None:
    exchange.accept_websocket(SWITCH)
    await asyncio.Event().wait()


SOCKETS = {"/echo": echo, "/open": leaves_it_open, "/fails": fails, "/bad": bad_options, "/never": never_ends}


def frame(text: bytes, opcode: int = MessageType.TEXT) -> bytes:
    return encode_frame(opcode, text, key=b"\1\2\3\4")


async def upgraded(address: Any, path: str) -> Client:
    client = await Client.to(address)
    client.writer.write(GET.replace(b" / ", b" %b " % path.encode()) + frame(b"early"))
    require((await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 "))
    return client


def test_a_websocket_takes_the_connection_over() -> None:
    async def main() -> None:
        app = App(SOCKETS)
        done: list[Any] = []
        server = Server(app, on_done=done.append)
        (address,) = await server.listen()
        client = await upgraded(address, "/echo")
        require(await client.reader.readexactly(7) == b"\x81\x05early")
        client.writer.write(frame(b"next"))
        require(await client.reader.readexactly(6) == b"\x81\x04next")
        require(len(server.upgraded) == 1 and not server.connections and len(server.orphans) == 1)
        client.writer.write(frame(struct.pack(">H", 1000), 8))
        require(await client.reader.readexactly(4) == b"\x88\x02\x03\xe8")
        require(await client.rest() == b"")
        await client.close()
        while server.upgraded or server.orphans:
            await asyncio.sleep(0.001)
        require([exchange.status for exchange in done] == [101])
        await server.close(1)

    on_loops(main)


@pytest.mark.parametrize(("path", "code"), [("/open", 1000), ("/fails", 1011)])
def test_a_websocket_is_closed_when_its_handler_ends(path: str, code: int) -> None:
    async def main() -> None:
        errors: list[Any] = []
        server = Server(App(SOCKETS), on_error=lambda exchange, error: errors.append(error))
        (address,) = await server.listen()
        client = await upgraded(address, path)
        require((await client.reader.readexactly(4))[2:] == struct.pack(">H", code))
        client.writer.write(frame(struct.pack(">H", code), 8))
        await client.rest()
        await client.close()
        while server.upgraded or server.orphans:
            await asyncio.sleep(0.001)
        require(len(errors) == (path == "/fails"), errors)
        await server.close(1)

    on_loops(main)


def test_websockets_are_told_of_the_end() -> None:
    async def main() -> None:
        server = Server(App(SOCKETS))
        (address,) = await server.listen()
        clients = [await upgraded(address, path) for path in ("/echo", "/echo", "/never")]
        for client in clients[:2]:
            await client.reader.readexactly(7)
        closing = asyncio.ensure_future(server.close(0.3))
        for client in clients:
            require((await client.reader.readexactly(4))[2:] == struct.pack(">H", 1001))
            client.writer.write(frame(struct.pack(">H", 1001), 8))
        await closing
        require(not server.upgraded and not server.orphans and not server.connections)
        for client in clients:
            await client.close()

    on_loops(main)


def test_w10_more_websockets_than_are_allowed() -> None:
    async def main() -> None:
        server = Server(App(SOCKETS), Settings(max_websockets=2))
        (address,) = await server.listen()
        clients = [await upgraded(address, "/echo") for _ in range(2)]
        late = await Client.to(address)
        answer = await late.ask(GET.replace(b" / ", b" /echo "))
        require(answer.status == 503 and answer.fields["connection"] == "close", answer)
        for client in (*clients, late):
            client.reset()
            await client.close()
        while server.upgraded or server.orphans:
            await asyncio.sleep(0.001)
        await server.close(1)

    on_loops(main)


def test_b22_no_upgrade_before_the_request_is_complete() -> None:
    """S33: what is left of the body would be taken for frames."""

    async def main() -> None:
        server = Server(App(SOCKETS))
        (address,) = await server.listen()
        client = await Client.to(address)
        answer = await client.ask(
            GET.replace(b"GET / ", b"POST /echo ").replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\nsome")
        )
        require(answer.status == 400 and answer.fields["connection"] == "close", answer)
        await client.close()
        await server.close(1)

    on_loops(main)


def test_a_websocket_with_bad_options_leaves_nothing_behind() -> None:
    async def main() -> None:
        errors: list[Any] = []
        server = Server(App(SOCKETS), on_error=lambda exchange, error: errors.append(error))
        (address,) = await server.listen()
        client = await Client.to(address)
        client.writer.write(GET.replace(b" / ", b" /bad "))
        await client.rest()
        await client.close()
        while server.connections or server.orphans:
            await asyncio.sleep(0.001)
        require(len(errors) == 1 and isinstance(errors[0], UsageError), errors)
        await server.close(1)

    on_loops(main)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_client_that_resets_while_the_last_answer_leaves(kind: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def reset(exchange: Any) -> None:
            await asyncio.sleep(0)  # from here on it is a task's business
            exchange.keep_alive = False
            exchange.respond(200, TEXT, b"never read")
            await asyncio.sleep(0)  # uvloop writes at the end of a turn
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

        server = Server(App({"/": reset}))
        (address,) = await server.listen()
        client = socket.socket()
        client.setblocking(False)
        await loop.sock_connect(client, address)
        await loop.sock_sendall(client, GET)
        while not server.connections:
            await asyncio.sleep(0)
        while server.connections:
            await asyncio.sleep(0)
        await server.close(1)

    run(main, kind=kind)
