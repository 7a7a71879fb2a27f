"""A response that begins while the body of its request is still being sent, by `wirebird.compat.aiohttp` and aiohttp itself."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from origin import run
from wirebird.compat import aiohttp as ours

LIBRARIES = {"aiohttp": aiohttp, "wirebird": ours}

both = pytest.mark.parametrize("lib", list(LIBRARIES.values()), ids=list(LIBRARIES))

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A server whose every request is answered by `talk(reader, writer)`, which begins behind the head of the request."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (await reader.readuntil(b"\r\n\r\n")).startswith(b"POST"):
                await self.talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def peer(talk: Talk) -> AsyncIterator[Peer]:
    made = Peer(talk)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield made
    finally:
        server.close()


async def chunk(reader: asyncio.StreamReader) -> bytes:
    size = int(await reader.readuntil(b"\r\n"), 16)
    return (await reader.readexactly(size + 2))[:-2]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    while piece := await chunk(reader):
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    writer.write(b"0\r\n\r\n")


async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer, but not to the end."""
    await chunk(reader)
    writer.write(HEAD + b"5\r\nhello\r\n")
    while await chunk(reader):
        pass


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0)


class Upload:
    """A body that begins, and then goes on when it is told to: `goes` is set, with what is to be raised, if anything."""

    def __init__(self) -> None:
        self.goes: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.over = False

    async def __call__(self) -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await self.goes
            yield b"last"
        finally:
            self.over = True


@both
def test_both_directions_at_once(lib: Any) -> None:
    async def main() -> None:
        async with peer(echo) as there, lib.ClientSession() as session:
            for _ in range(2):
                said: asyncio.Queue[bytes] = asyncio.Queue()

                async def body(said: asyncio.Queue[bytes] = said) -> AsyncIterator[bytes]:
                    while piece := await said.get():
                        yield piece

                said.put_nowait(b"one")
                async with session.post(there.url, data=body()) as response:
                    assert response.status == 200
                    assert await response.content.readany() == b"one"
                    said.put_nowait(b"two")
                    assert await response.content.readany() == b"two"
                    said.put_nowait(b"")
                    assert await response.read() == b""
            assert there.connections == 1

    run(main)


def test_a_body_that_fails_behind_the_response() -> None:
    """aiohttp leaves whoever reads the response waiting."""

    async def main() -> None:
        async with peer(begin) as there, ours.ClientSession() as session:
            upload = Upload()
            response = await session.post(there.url, data=upload())
            assert await response.content.readany() == b"hello"
            upload.goes.set_exception(KeyError("the body"))
            with pytest.raises(ours.ClientPayloadError, match="the body of the request"):
                await response.read()
            assert upload.over
            async with session.post(there.url, data=b"whole", chunked=True) as response:
                assert there.connections == 2

    run(main)


@both
def test_a_response_that_is_closed_ends_the_upload(lib: Any) -> None:
    async def main() -> None:
        async with peer(begin) as there, lib.ClientSession() as session:
            upload = Upload()
            response = await session.post(there.url, data=upload())
            response.close()
            await until(lambda: upload.over)
            del response

    run(main)


def test_a_response_that_is_forgotten_ends_the_upload() -> None:
    """aiohttp's goes on for as long as the session does."""

    async def main() -> None:
        async with peer(begin) as there, ours.ClientSession() as session:
            upload = Upload()
            response = await session.post(there.url, data=upload())
            gc.disable()
            try:
                del response
                await until(lambda: upload.over)
            finally:
                gc.enable()

    run(main)


def test_an_answer_that_ends_ends_the_upload() -> None:
    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await chunk(reader)
        writer.write(HEAD)
        await go_on.wait()
        writer.write(b"4\r\ndone\r\n0\r\n\r\n")
        await reader.read()

    async def main() -> None:
        nonlocal go_on
        go_on = asyncio.Event()
        async with peer(whole) as there, ours.ClientSession() as session:
            for count in (1, 2):  # a request that was not sent whole is the last on its connection
                upload, tracker = Upload(), ours.UploadTracker()
                async with session.post(there.url, data=upload(), upload_tracker=tracker) as response:
                    assert not tracker.upload_complete.done()
                    go_on.set()
                    assert await response.read() == b"done"
                with pytest.raises(ours.UploadAbortedError):
                    await tracker.upload_complete
                await until(lambda: upload.over)
                assert there.connections == count
                go_on.clear()

    go_on = asyncio.Event()
    run(main)


def test_a_body_that_cannot_be_closed_harms_nobody_else() -> None:
    class Body(ours.AsyncIterablePayload):
        async def close(self) -> None:
            closed.set()
            raise OSError("the body")

    async def main() -> None:
        nonlocal closed
        closed = asyncio.Event()
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        async with peer(echo) as there, ours.ClientSession() as session:
            upload = Upload()
            async with session.post(there.url, data=Body(upload())) as response:
                assert await response.content.readany() == b"first"
                upload.goes.set_result(None)
                assert await response.read() == b"last"
            async with session.post(there.url, data=b"next", chunked=True) as response:
                await closed.wait()
                assert await response.read() == b"next"
            assert there.connections == 1
        gc.collect()
        assert [str(context["exception"]) for context in told] == ["the body"]

    closed = asyncio.Event()
    run(main)


@both
def test_a_session_that_is_closed_ends_the_upload(lib: Any) -> None:
    async def main() -> None:
        async with peer(begin) as there:
            session = lib.ClientSession()
            upload = Upload()
            response = await session.post(there.url, data=upload())
            await session.close()
            response.close()
            await until(lambda: upload.over)

    run(main)


@both
@pytest.mark.parametrize("limits", [{"total": 0.1}, {"sock_read": 0.05}])
def test_time_limits_hold_meanwhile(lib: Any, limits: dict[str, float]) -> None:
    async def main() -> None:
        async with peer(begin) as there, lib.ClientSession(timeout=lib.ClientTimeout(**limits)) as session:
            upload = Upload()
            async with session.post(there.url, data=upload()) as response:
                assert await response.content.readany() == b"hello"
                with pytest.raises(TimeoutError):
                    await response.read()
            await until(lambda: upload.over)

    run(main)


def test_a_tracker_is_told_what_becomes_of_it() -> None:
    """As aiohttp 3.14.4 and later have it."""

    async def main() -> None:
        async with peer(begin) as there, ours.ClientSession() as session:
            for failure in (None, KeyError("the body")):
                upload, tracker = Upload(), ours.UploadTracker()
                async with session.post(there.url, data=upload(), upload_tracker=tracker):
                    assert not tracker.upload_complete.done()
                    assert tracker.bytes_written == 5
                    if failure is None:
                        upload.goes.set_result(None)
                        await tracker.upload_complete
                        assert tracker.bytes_written == 9
                    else:
                        upload.goes.set_exception(failure)
                        with pytest.raises(ours.ClientConnectionError) as found:
                            await tracker.upload_complete
                        assert found.value.__cause__ is failure
            tracker = ours.UploadTracker()
            response = await session.post(there.url, data=Upload()(), upload_tracker=tracker)
            response.close()
            with pytest.raises(ours.UploadAbortedError):
                await tracker.upload_complete
            refused = ours.UploadTracker()
            with pytest.raises(ours.ClientConnectorError):
                await session.post("http://127.0.0.1:1/", data=b"x", upload_tracker=refused)
            assert refused.attempts == 1
            assert isinstance(refused.upload_complete.exception(), ours.UploadAbortedError)
            never = ours.UploadTracker()
            with pytest.raises(ValueError, match="data and json"):
                await session.post(there.url, data=b"x", json=1, upload_tracker=never)
            assert never.attempts == 0
            assert isinstance(never.upload_complete.exception(), ours.UploadAbortedError)

    run(main)
