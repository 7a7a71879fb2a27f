"""Memory: streams cost their read-ahead, and what is dropped is gone, without the help of the garbage collector.

The peer is another process, so that only the client's memory is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
from time import monotonic

import pytest

from raw_peer import OK, Peer, answer, check_settled, resident, run, sockets
from wirebird import HTTPClient, IncompleteBody, TCPConnector, Timeouts
from wirebird.net.incoming import READ_AHEAD

MIB = 1024 * 1024
LOOPS = ["asyncio", "uvloop"]

PEER = """
import socket, sys, threading

def serve(sock):
    with sock, sock.makefile("rb") as file:
        while line := file.readline():
            path = line.split()[1]
            length, chunks = 0, False
            while (field := file.readline()) != b"\\r\\n":
                name, _, value = field.lower().partition(b":")
                if name == b"content-length":
                    length = int(value)
                chunks = chunks or name == b"transfer-encoding"
            received = 0
            while length > received:
                received += len(file.read(min(65536, length - received)))
            while chunks and (size := int(file.readline(), 16)):
                received += len(file.read(size))
                file.readline()
            if chunks:
                file.readline()
            kind, _, size = path[1:].partition(b"/")
            size = int(size or 0)
            piece = b"0123456789abcdef" * 4096
            try:
                if kind == b"sized":
                    sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % size)
                    while size:
                        size -= sock.send(piece[:size])
                elif kind == b"chunked":
                    sock.sendall(b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n")
                    for _ in range(size // 65536):
                        sock.sendall(b"10000\\r\\n" + piece + b"\\r\\n")
                    sock.sendall(b"0\\r\\n\\r\\n")
                else:
                    body = b"%d" % received
                    sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%b" % (len(body), body))
            except OSError:
                return

server = socket.create_server(("127.0.0.1", 0), backlog=2048)
print(server.getsockname()[1], flush=True)
threading.stack_size(65536)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""


@pytest.fixture(scope="module")
def origin():
    with subprocess.Popen([sys.executable, "-c", PEER], stdout=subprocess.PIPE) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


def need(kind):
    if kind == "uvloop":
        pytest.importorskip("uvloop")


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize(("path", "size"), [("sized", None), ("sized", 65536), ("sized", 100_000), ("chunked", None)])
def test_streaming_down(origin, path, size, kind):
    need(kind)
    total = 100_000_000 if path == "sized" else 1600 * 65536

    async def main():
        async with HTTPClient() as client:
            async with client.get(f"{origin}/sized/1000000") as response:
                assert len(await response.read()) == 1_000_000
            before = top = resident()
            received = 0
            async with client.get(f"{origin}/{path}/{total}") as response:
                async for piece in response.iter_bytes(size):
                    received += len(piece)
                    top = max(top, resident())
            assert received == total
            print(f"{path} in {size}: {(top - before) / MIB:.1f} MiB")
            assert top - before < 8 * MIB
            check_settled(client)

    run(main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("sized", [False, True])
def test_streaming_up(origin, sized, kind):
    need(kind)
    piece = b"x" * 100_000

    async def main():
        top = 0

        async def pieces(count):
            nonlocal top
            for _ in range(count):
                yield piece
                top = max(top, resident())

        async with HTTPClient() as client:
            await client.put(f"{origin}/", data=pieces(5))
            before = top = resident()
            headers = {"Content-Length": "100000000"} if sized else {}
            response = await client.put(f"{origin}/", data=pieces(1000), headers=headers)
            assert await response.content() == b"100000000"
            print(f"up: {(top - before) / MIB:.1f} MiB")
            assert top - before < 8 * MIB
            check_settled(client)

    run(main, kind=kind)


@pytest.mark.parametrize("kind", LOOPS)
def test_a_body_that_is_not_read_stops_at_the_read_ahead(origin, kind):
    need(kind)

    async def main():
        async with HTTPClient() as client:
            for path in ("sized", "chunked"):
                await (await client.get(f"{origin}/{path}/65536")).content()
                before = resident()
                response = await client.get(f"{origin}/{path}/104857600")
                for _ in range(20):
                    await asyncio.sleep(0.002)
                assert response._incoming._buffered <= READ_AHEAD + 262144
                assert response._incoming.paused
                assert resident() - before < 2 * MIB
                assert client.stats()["in_use"] == 1
                await response.close()
                assert await client.wait_requests(2)
                assert client.stats()["open"] == 0
            check_settled(client)

    run(main, kind=kind)


def test_large_bodies_one_after_the_other(origin):
    async def main():
        async with HTTPClient() as client:
            sizes = []
            for n in range(200):
                response = await client.get(f"{origin}/sized/1000000")
                assert len(await response.content()) == 1_000_000
                if n % 20 == 19:
                    sizes.append(resident())
            assert max(sizes[2:]) - sizes[1] < 2 * MIB, sizes
            for n in range(100):
                await client.get(f"{origin}/sized/1000000")  # and not read
                if n % 20 == 19:
                    sizes.append(resident())
            assert max(sizes[2:]) - sizes[1] < 2 * MIB, sizes
            assert await client.wait_requests(3)
            check_settled(client)

    run(main)


@pytest.mark.parametrize("size", [10_000_000, 40_000_000])
def test_collecting_takes_the_body_once(origin, size):
    """The place grows with what has arrived, and becomes the body without a copy."""

    async def main():
        async with HTTPClient() as client:
            await (await client.get(f"{origin}/sized/1000000")).content()
            before = resident()
            response = await client.get(f"{origin}/sized/{size}")
            body = await response.content()
            grown = resident() - before
            assert len(body) == size
            assert body[:16] == body[-16:] == b"0123456789abcdef"
            print(f"{size}: {grown / size:.2f} times")
            assert grown < 1.2 * size + 2 * MIB
            check_settled(client)

    run(main)


IDLE = """
import asyncio, gc, os, sys
import wirebird

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

async def main(url, count):
    async with wirebird.HTTPClient(wirebird.TCPConnector(pool_size=count)) as client:
        for _ in range(5):
            await client.get(url)
        gc.collect()
        before = resident()
        await asyncio.gather(*[client.get(url) for _ in range(count)])
        gc.collect()
        each = (resident() - before) / count
        connections = client.connector.peek().connections
        buffers = len({id(connection._buffer) for connection in connections})
        print(client.stats()["idle"], buffers, int(each))

if sys.argv[1] == "uvloop":
    import uvloop
    run = uvloop.run
else:
    run = asyncio.run
run(main(sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.parametrize("kind", LOOPS)
def test_idle_connections_are_small(origin, kind):
    """In a process of their own, which does nothing else.  All of them share one receive buffer."""
    need(kind)
    count = 400
    command = [sys.executable, "-c", IDLE, kind, f"{origin}/", str(count)]
    # In development mode asyncio would say which callbacks are slow on a busy machine.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDEVMODE"}
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30, env=env)
    assert output.stderr == ""
    idle, buffers, each = map(int, output.stdout.split())
    print(f"{kind}: {each / 1024:.1f} KiB for each idle connection")
    assert (idle, buffers) == (count, 1)
    assert each < 16 * 1024


def alive(name):
    """How many objects of that class there are."""
    return sum(type(item).__name__ == name for item in gc.get_objects())


def ours():
    """The numbers of what a request is made of, once the garbage is gone."""
    gc.collect()
    names = [type(item).__name__ for item in gc.get_objects()]
    return {name: names.count(name) for name in ("Http1Connection", "HttpResponse", "Incoming", "Request", "Ticket", "PlainGet")}


@contextlib.contextmanager
def no_collector():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", LOOPS)
def test_a_dropped_response_frees_its_slot_at_once(origin, kind):
    """By reference counting alone: nothing in it points back at it."""
    need(kind)

    async def main():
        async with HTTPClient(TCPConnector(pool_size=1), timeouts=Timeouts(pool_acquire=2)) as client:
            with no_collector():
                for path in ("sized/10000000", "chunked/10485760"):
                    for keywords in ({}, {"headers": {"A": "b"}}):
                        response = await client.get(f"{origin}/{path}", **keywords)
                        assert client.stats()["in_use"] == 1
                        assert alive("Incoming") == 1
                        del response
                        await asyncio.sleep(0)  # the loop holds what it has just given, for this turn
                        # A little more of a body of unknown length is waited for; one known to be long is given up.
                        assert client.stats()["in_use"] == 0 or not path.startswith("sized")
                        assert await client.wait_requests(2)
                        assert alive("Incoming") == 0
                        # read in part
                        response = await client.get(f"{origin}/{path}", **keywords)
                        await response.read(10)
                        pieces = response.iter_bytes(50_000)
                        await anext(pieces)
                        del response, pieces
                        for _ in range(5):
                            await asyncio.sleep(0)  # the loop closes generators that were given up
                        assert await client.wait_requests(2)
                        assert alive("Incoming") == 0
                        # read whole
                        response = await client.get(f"{origin}/{path}", **keywords)
                        await response.content()
                        del response
                        await asyncio.sleep(0)
                        assert alive("Incoming") == alive("HttpResponse") == 0
                small = await client.get(f"{origin}/")
                assert await small.content() == b"0"
            check_settled(client)

    run(main, kind=kind)


def test_failures_leave_no_socket_behind():
    """Not even while the error is kept, with all the frames of its traceback."""

    async def main():
        async def script(link):
            while path := await link.request():
                if path == "/":
                    await link.send(OK)
                    continue
                await link.send(answer(b"x" * 300_000)[:-1000])
                return

        async with Peer(script) as peer, HTTPClient() as client:
            await client.get(peer.url("/"))
            with no_collector():
                before = sockets()
                kept = []
                for _ in range(3):
                    response = await client.get(peer.url("/cut"))
                    with pytest.raises(IncompleteBody) as info:
                        await response.content()
                    kept.append(info)
                assert client.stats()["open"] == 0
                for _ in range(100):
                    if sockets() < before:
                        break
                    await asyncio.sleep(0.005)  # until the peer has closed its ends
                assert sockets() < before
                kept.clear()
            check_settled(client)

    run(main)


def test_responses_in_cycles_are_collected_in_silence(origin):
    """With pieces that lie where they were received, and with a body that is still being received."""

    class Node:
        pass

    async def main():
        async with HTTPClient() as client:
            for path in ("sized/300000", "sized/10000000", "chunked/1048576"):
                for read in (0, 1):
                    node = Node()
                    node.node = node
                    node.response = await client.get(f"{origin}/{path}")
                    if read:
                        node.pieces = node.response.iter_bytes(70_000)
                        await anext(node.pieces)
                    await asyncio.sleep(0.005)
                    del node
                    gc.collect()
                    await asyncio.sleep(0)
            assert await client.wait_requests(3)
            check_settled(client)

    run(main)


def test_many_requests_do_not_add_up():
    async def main():
        async with Peer(_answers) as peer, HTTPClient() as client:
            for _ in range(300):
                await client.get(peer.url("/"))
            grown = []
            while len(grown) < 3 and (not grown or grown[-1] >= MIB):  # a leak grows every time, the process around it may once
                before, objects = resident(), ours()
                for n in range(1500):
                    response = await client.get(peer.url("/" if n % 2 else f"/{n % 10}"), headers={"A": "b"} if n % 3 else None)
                    await response.content()
                del response
                assert all(number <= objects[name] + 2 for name, number in ours().items())  # the last one may linger
                grown.append(resident() - before)
            assert grown[-1] < MIB, grown

    run(main)


async def _answers(link):
    while await link.request():
        link.peer.requests.clear()
        await link.send(OK)


def test_time_limits_and_cancellations_do_not_add_up():
    async def main():
        async def script(link):
            await link.request()
            link.peer.requests.clear()
            await link.gone()

        objects = ours()
        async with Peer(script) as peer, HTTPClient(timeouts=Timeouts(sock_read=0.005)) as client:
            open_before = 0
            for n in range(60):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(client.get(peer.url("/")), 0.003 if n % 2 else 1)
                if n == 20:
                    open_before = sockets()
            began = monotonic()
            while sockets() > open_before and monotonic() - began < 2:
                await asyncio.sleep(0.01)
            assert sockets() <= open_before
            check_settled(client)
            assert all(number <= objects[name] + 2 for name, number in ours().items())  # the last one may linger

    run(main)
