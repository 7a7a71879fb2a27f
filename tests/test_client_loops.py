"""Event loops: both kinds, none yet, a second one after the first, and one in each thread."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

import wirebird
from origin import FOX, Origin, pattern, run

BOTH = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


async def everything(client: wirebird.HTTPClient, origin: Origin) -> None:
    """A little of all that a client does."""
    for _ in range(2):
        assert (await (await client.get(origin.url("/echo?a=b"))).json())["args"] == {"a": "b"}
        assert (await (await client.post(origin.url("/post"), json={"a": 1})).json())["json"] == {"a": 1}
        assert (await (await client.put(origin.url("/put"), data=iter([b"x", b"y"]))).json())["data"] == "xy"
        assert (await (await client.post(origin.url("/post"), data=pattern(300_000))).json())["data"] == pattern(300_000).decode()
        for path in ("/bytes/1000000", "/chunked/300000", "/eof/300000"):
            size = int(path.rpartition("/")[2])
            assert await (await client.get(origin.url(path))).content() == pattern(size)
            response = await client.get(origin.url(path))
            assert b"".join([piece async for piece in response.iter_bytes(10_000)]) == pattern(size)
            async with client.get(origin.url(path)) as response:
                await response.read(10)
        assert await (await client.get(origin.url("/coded/gzip"))).content() == FOX
        assert (await client.get(origin.url("/chain/3"), follow=True)).ok
    with pytest.raises(wirebird.ReadTimeout):
        await client.get(origin.url("/silent"), timeouts=wirebird.Timeouts(sock_read=0.02))
    call = asyncio.ensure_future(client.get(origin.url("/silent")))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    assert all(response.ok for response in await asyncio.gather(*[client.get(origin.url("/echo")) for _ in range(60)]))
    assert await client.wait_requests(5)
    assert client.stats()["in_use"] == 0


@BOTH
def test_a_little_of_everything(loop):
    async def main():
        async with Origin() as origin, wirebird.HTTPClient() as client:
            await everything(client, origin)

    run(main, loop)


def test_a_client_made_before_any_loop_runs():
    client = wirebird.HTTPClient(wirebird.TCPConnector(pool_size=3), cookies={"a": "b"})
    assert client.stats()["open"] == 0
    assert "unused" in repr(client)

    async def main():
        async with Origin() as origin, client:
            assert (await client.get(origin.url("/echo"))).ok

    run(main)


def test_closing_a_client_that_was_never_used():
    asyncio.run(wirebird.HTTPClient().close())
    with pytest.raises(wirebird.ClientClosed):
        client = wirebird.HTTPClient()
        asyncio.run(client.close())
        asyncio.run(client.get("http://127.0.0.1:1/"))


@pytest.mark.parametrize("kinds", [("asyncio", "asyncio"), ("uvloop", "uvloop"), ("asyncio", "uvloop"), ("uvloop", "asyncio")])
def test_a_second_loop_after_the_first_was_closed(kinds):
    """The old connections are let go of without a word, and everything begins anew."""
    client = wirebird.HTTPClient()
    left = []

    async def leave():
        async with Origin() as origin:
            for _ in range(2):
                assert (await client.get(origin.url("/echo"))).ok
            left.append(await client.get(origin.url("/held?first=10")))
            assert client.stats()["in_use"] == 1

    async def again():
        async with Origin() as origin:
            await everything(client, origin)
            assert client.stats()["idle"] > 0

    async def end():
        await client.close()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(leave, kinds[0])
        run(again, kinds[1])
        run(again, kinds[0])
        run(end, kinds[1])
        left.clear()
        gc.collect()


def test_a_body_of_a_loop_that_is_gone():
    client = wirebird.HTTPClient()

    async def leave():
        async with Origin() as origin:
            return await client.get(origin.url("/held?first=10"))

    response = run(leave)

    async def read():
        async with Origin() as origin:
            await client.get(origin.url("/echo"))
            with pytest.raises((wirebird.ConnectionLost, wirebird.IncompleteBody)):
                await response.content()
            await client.close()

    run(read)


PROGRAM = """
import asyncio, gc, sys
sys.path.insert(0, sys.argv[1])
import wirebird
from origin import Origin, run

client = wirebird.HTTPClient()

async def main():
    async with Origin() as origin:
        for _ in range(2):
            assert (await client.get(origin.url("/echo"))).ok
        await client.post(origin.url("/echo"), data=b"x")
        await client.get(origin.url("/held?first=5"))

async def last():
    async with client:
        await main()

for kind in sys.argv[2:]:
    run(main, kind)
run(last)
gc.collect()
print("fine")
"""


@pytest.mark.parametrize("kinds", [("asyncio", "asyncio"), ("uvloop", "asyncio", "uvloop")])
def test_no_warning_in_a_program_of_several_loops(kinds):
    process = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM, str(Path(__file__).parent), *kinds],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (process.stdout, process.stderr, process.returncode) == ("fine\n", "", 0)


def test_a_program_that_never_closes_its_client():
    """It is not nice, but it is no error: nothing hangs, and nothing but the sockets themselves complains."""
    program = PROGRAM.replace("run(last)\n", "")
    process = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent), "asyncio"], capture_output=True, text=True, timeout=30
    )
    assert (process.stdout, process.stderr, process.returncode) == ("fine\n", "", 0)


def test_run_until_complete_in_steps():
    """The old way: one loop, run again and again."""
    loop = asyncio.new_event_loop()
    client = wirebird.HTTPClient()
    origin = Origin()
    try:
        loop.run_until_complete(origin.__aenter__())
        for _ in range(3):
            response = loop.run_until_complete(client.get(origin.url("/echo")))
            assert loop.run_until_complete(response.json())["method"] == "GET"
        assert origin.connections == 1
        loop.run_until_complete(client.close())
        loop.run_until_complete(origin.__aexit__())
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@BOTH
def test_threads_with_a_client_each(loop):
    failed: list[BaseException] = []

    def work():
        async def main():
            async with Origin() as origin, wirebird.HTTPClient() as client:
                await everything(client, origin)

        try:
            run(main, loop)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failed
