"""What a reviewer who wanted to reject the server found, and what he tried besides: one test for each that failed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server_wire import GET, TEXT, App, Hub, run, serve, settle
from wirebird.errors import LimitExceeded
from wirebird.protocol.http1_parser import Parser
from wirebird.server.settings import Settings


def get(path: bytes) -> bytes:
    return GET.replace(b" / ", b" %b " % path)


POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_an_empty_line_before_a_request_that_is_known() -> None:
    """RFC 9112 2.2: one in front of each, however it is cut."""
    for pieces in ([GET, b"\r\n", GET, b"\r\n", GET], [GET, b"\r\n" + GET, b"\r", b"\n", GET, b"\r\n" + GET]):
        parser = Parser(server=True)
        asked = 0
        for piece in pieces:
            if parser.state.name == "DONE":
                assert not parser.proceed()
            asked += len(parser.receive(piece, len(piece))) // 2
        assert asked == sum(piece.count(b"GET") for piece in pieces)


@pytest.mark.parametrize("leaves", [False, True])
def test_a_body_whose_last_piece_is_too_much(leaves: bool) -> None:
    """The reader is told, though the parser has seen the end of the body."""
    app = App()
    last = b"64\r\n" + b"x" * 100 + b"\r\n0\r\n\r\n"
    _, wire = serve(
        app,
        POST + b"32\r\n" + b"x" * 50 + b"\r\n",
        last,
        settings=Settings(max_body_size=100),
        apart=True,
        then=lambda hub, wire: wire.leave() if leaves else None,
    )
    assert wire.statuses == [413]
    (error,) = app.raised
    assert isinstance(error, LimitExceeded) and not app.bodies


def test_handlers_that_wait_for_the_same() -> None:
    """As for a value that one of them fetches: an asyncio future takes note of each `await`, and forgets it with the first task."""

    async def main() -> None:
        shared: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def handler(exchange: Any) -> None:
            exchange.respond(200, TEXT, await shared)

        hub = Hub(App({"/shared": handler}))
        wires = [hub.connect() for _ in range(3)]
        for wire in wires:
            wire.feed(get(b"/shared"))
        others = [asyncio.ensure_future(asyncio.wait_for(shared, 5)), asyncio.ensure_future(_wait_for(shared))]
        await settle()
        shared.set_result(b"found")
        await settle()
        assert [wire.statuses for wire in wires] == [[200]] * 3 and not hub.errors
        assert await asyncio.gather(*others) == [b"found"] * 2
        for wire in wires:
            wire.leave()
        await settle()
        hub.watch.stop()

    run(main)


async def _wait_for(future: asyncio.Future[bytes]) -> bytes:
    return await future


@pytest.mark.parametrize("waits", [False, True])
def test_an_error_hook_that_raises_does_not_leave_the_client_without_an_answer(
    waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(exchange: Any) -> None:
        if waits:
            await asyncio.sleep(0)
        raise ValueError("on purpose")

    def hook(exchange: Any, error: BaseException) -> None:
        raise RuntimeError("the hook")

    _, wire = serve(App({"/raises": handler}), get(b"/raises") + GET, on_error=hook)
    assert wire.statuses == [500]
    assert "on_error has raised RuntimeError" in caplog.text
