"""`wirebird.compat.aiohttp` where things go wrong on our side: what is cancelled, forgotten or raised frees its connection."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from origin import Asked, Origin, Wire, pattern, run
from websocket_origin import WebSocketOrigin
from wirebird.client.chunks import incoming_of
from wirebird.compat import aiohttp

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


async def free(session: aiohttp.ClientSession, origin: Origin) -> None:
    """Every slot is free, or will be as soon as what is on its way has ended."""
    async with session.get(origin.url("/anything"), timeout=aiohttp.ClientTimeout(total=5)) as response:
        assert response.status == 200
        await response.read()
    connector = session.connector
    assert connector is not None
    pool = connector.peek()
    assert pool is not None
    assert (pool.in_use, pool.waiting) == (0, 0)


def session_of_one(**arguments: Any) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1), **arguments)


@BOTH
def test_cancelled_reads(loop: str) -> None:
    async def main() -> None:
        async with Origin() as origin, session_of_one() as session:
            for how in ("read", "content", "forgotten"):
                response = await session.get(origin.url("/held?first=10"))
                if how != "read":
                    assert await response.content.read(10) == pattern(10)
                reading = asyncio.create_task(response.read() if how == "read" else response.content.read(10))
                await asyncio.sleep(0)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
                if how == "forgotten":  # it could have gone on, and did not
                    del response, reading
                    gc.collect()
                else:
                    response.close()
                await free(session, origin)

    run(main, loop)


@BOTH
def test_a_block_that_raises(loop: str) -> None:
    async def main() -> None:
        async with Origin() as origin, session_of_one() as session:
            for path in ("/held?first=10", "/bytes/1000", "/bytes/1000000", "/chunked/500000"):
                with pytest.raises(LookupError):
                    async with session.get(origin.url(path)):
                        raise LookupError
                await free(session, origin)

    run(main, loop)


@BOTH
def test_a_response_that_is_forgotten(loop: str) -> None:
    async def main() -> None:
        async with Origin() as origin, session_of_one() as session:
            response = await session.get(origin.url("/held?first=10"))
            assert response.status == 200
            del response
            gc.collect()
            await free(session, origin)

    run(main, loop)


@BOTH
def test_content_whose_response_is_forgotten(loop: str) -> None:
    async def main() -> None:
        async with Origin() as origin, session_of_one() as session:
            content = (await session.get(origin.url("/bytes/500000"))).content
            gc.collect()
            assert await content.read() == pattern(500_000)
            await free(session, origin)

    run(main, loop)


@BOTH
def test_what_raises_behind_the_head(loop: str) -> None:
    class Broken(aiohttp.ClientResponse):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            raise LookupError("no response")

    async def check(response: aiohttp.ClientResponse) -> None:
        raise LookupError("refused")

    async def swallow(request: Any, handler: Any) -> Any:
        await handler(request)
        raise LookupError("swallowed")

    class Jar(aiohttp.DummyCookieJar):
        def update_cookies_from_headers(self, *args: Any) -> None:
            raise LookupError("no cookies")

    config = aiohttp.TraceConfig()

    async def fail(*args: Any) -> None:
        raise LookupError("traced")

    config.on_request_end.append(fail)

    async def main() -> None:
        async with Origin() as origin:

            async def held(asked: Asked, wire: Wire) -> None:
                await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nSet-Cookie: a=b\r\n\r\n")
                await origin.release.wait()

            origin.on("/with-cookies", held)
            for arguments in (
                {"response_class": Broken},
                {"raise_for_status": check},
                {"middlewares": [swallow]},
                {"cookie_jar": Jar()},
                {"trace_configs": [config]},
            ):
                async with session_of_one(**arguments) as session:  # type: ignore[arg-type]
                    with pytest.raises(LookupError):
                        await session.get(origin.url("/with-cookies"))
                    gc.collect()
                    pool = session.connector.peek()  # type: ignore[union-attr]
                    assert pool is not None
                    assert pool.in_use == 0

    run(main, loop)


@BOTH
def test_a_session_that_is_closed_in_the_middle(loop: str) -> None:
    async def main() -> None:
        async with Origin() as origin:
            session = session_of_one()
            reading = await session.get(origin.url("/held?first=10"))
            waiting = asyncio.create_task(session.get(origin.url("/anything")))
            await asyncio.sleep(0)
            await session.close()
            with pytest.raises(aiohttp.ClientError):
                await waiting
            with pytest.raises(aiohttp.ClientError):
                await reading.read()
            session = session_of_one()
            asked = asyncio.create_task(session.get(origin.url("/silent")))
            await origin.until(lambda: any(one.path == "/silent" for one in origin.asked))
            await session.close()
            with pytest.raises(aiohttp.ClientError):
                await asked

    run(main, loop)


async def closed(file: Any) -> None:
    """A thread may still be reading a block of it, and then it is closed by that."""
    async with asyncio.timeout(5):
        while not file.closed:
            await asyncio.sleep(0.001)


@BOTH
def test_files_are_closed_however_it_ends(loop: str, tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(pattern(200_000))

    async def main() -> None:
        async with Origin() as origin, session_of_one(timeout=aiohttp.ClientTimeout(total=5)) as session:

            async def refuse(asked: Asked, wire: Wire) -> None:
                await wire.respond(413)
                wire.close()

            origin.on("/refuse", refuse, early=True)
            file = path.open("rb")
            async with session.post(origin.url("/anything"), data=file) as response:
                assert response.status == 200
            await closed(file)
            file = path.open("rb")
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.post("http://127.0.0.1:1/", data=file)
            await closed(file)
            file = path.open("rb")
            async with session.post(origin.url("/refuse"), data=file) as response:
                assert response.status == 413
            await closed(file)
            file = path.open("rb")
            posting = asyncio.create_task(session.post(origin.url("/silent"), data=file))
            await origin.until(lambda: any(one.path == "/silent" for one in origin.asked))
            posting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await posting
            await closed(file)

    run(main, loop)


@BOTH
def test_sockets_whose_task_is_cancelled(loop: str) -> None:
    async def main() -> None:
        async with WebSocketOrigin() as origin, aiohttp.ClientSession() as session:

            async def talk() -> None:
                async with session.ws_connect(origin.url("/held")) as ws:
                    await ws.receive()

            task = asyncio.create_task(talk())
            await origin.until(lambda: len(origin.sockets) == 1)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await origin.until(lambda: origin.open == 0)

    run(main, loop)


@BOTH
def test_ten_thousand_tiny_chunks_keep_nothing(loop: str) -> None:
    async def main() -> None:
        async with Origin() as origin, aiohttp.ClientSession() as session:
            for whole in (True, False):
                async with session.get(origin.url("/chunked/10000?size=1")) as response:
                    body = await response.read() if whole else b"".join([piece async for piece in response.content.iter_any()])
                    assert body == pattern(10_000)
                    assert len(response.content._ends or ()) <= 1
                    incoming = incoming_of(response.response)
                    assert incoming is not None
                    assert not incoming.chunk_ends

    run(main, loop)
