"""The examples of aiohttp's client quickstart and of the slides, run by wirebird's façade and by aiohttp itself.

Each is a file in `tests/seed_programs/aiohttp/`, word by word as its document has it.  Most are no programs: they begin where
there is a session, or a response, already.  They run as if they were typed in, one statement at a time, where `await` may stand,
and what they take for granted is given to them.  What an expression gives is awaited where the document left that out.

Every test runs twice, so that the one run says whether the test is right, and the other whether the façade is.  The hosts are
those of `tests/program_origin.py`; each library finds its way there by the resolver that it would have asked the system with.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import gc
import hashlib
import importlib
import inspect
import json
import socket
import ssl
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage

from origin import Asked, Wire, run
from program_origin import PROGRAMS, ProgramOrigin, ProgramResolver, origin, place

__all__ = ["EVENTS", "LIBRARIES", "AiohttpSeed", "origin", "place", "seed"]

LIBRARIES = {"wirebird": "wirebird.compat.aiohttp", "aiohttp": "aiohttp"}
IMPORT_LINE = "from wirebird.compat import aiohttp\n"
# What api.github.com has to tell; not ASCII, so that an encoding makes a difference.
EVENTS = json.dumps([{"created_at": "2015-06-12T14:06:22Z", "public": True, "actor": "Тест"}] * 50, ensure_ascii=False)

Given = Callable[[Any], Awaitable[dict[str, Any]]]


class AiohttpSeed:
    """The examples, run by one library: `name` says which, `aiohttp` is its module, `place` what the examples talk to."""

    def __init__(self, name: str, place: ProgramOrigin) -> None:
        self.name = name
        self.place = place
        self.aiohttp: Any = importlib.import_module(LIBRARIES[name])
        self.said: list[str] = []
        for one in place.origins:
            one.on("/events", _events)
            one.on("/%30", one._echo)
            one.on("/ws", self._websocket, early=True)
            one.on("/deaf", self._deaf, early=True)

    @property
    def asked(self) -> Asked:
        """The last request."""
        return self.place.asked[-1]

    def text(self, name: str) -> str:
        text = (PROGRAMS / "aiohttp" / f"{name}.py").read_text("utf-8")
        return text if self.name == "wirebird" else text.replace(IMPORT_LINE, "import aiohttp\n")

    def run(self, name: str) -> None:
        """Run what is a whole program, as `python name.py` would."""
        exec(compile(self.text(name), f"{name}.py", "exec"), {"__name__": "__main__", "__file__": f"{name}.py"})
        self.check()

    def type(self, name: str, given: Given | None = None, **names: Any) -> dict[str, Any]:
        """Type it in; gives its names, and the value of the last expression as `_`.

        There is an open `session`, and `names`; `given(session)` makes those that need it.
        """

        async def main() -> None:
            async with AsyncExitStack() as stack:
                session = await stack.enter_async_context(self.aiohttp.ClientSession())
                names["session"] = session
                names.update(await given(session) if given else {})
                await _type(self.text(name), f"{name}.py", names)
                # An example may have made a session of its own.
                assert names["session"] is session or names["session"].closed

        run(main)
        self.check()
        return names

    def with_session(self, use: Callable[[Any], Awaitable[Any]], **keywords: Any) -> Any:
        """What `use(session)` gives, with an open session."""

        async def main() -> Any:
            async with self.aiohttp.ClientSession(**keywords) as session:
                return await use(session)

        found = run(main)
        self.check()
        return found

    def check(self) -> None:
        """Nothing that was sent was anything but HTTP/1.1."""
        assert [error for one in self.place.origins for error in one.faults] == []

    async def _websocket(self, asked: Asked, wire: Wire) -> None:
        """Says "hello", and after one answer "close cmd"; `said` is what it heard, the code of the close frame at last."""
        engine = Connection(ConnectionType.SERVER)
        await wire.send(_agreed(asked) + engine.send(TextMessage("hello")))
        while data := await wire.reader.read(65536):
            engine.receive_data(data)
            for event in engine.events():
                if isinstance(event, TextMessage):
                    self.said.append(event.data)
                    await wire.send(engine.send(TextMessage("close cmd")))
                elif isinstance(event, CloseConnection):
                    self.said.append(str(event.code))
                    await wire.send(engine.send(event.response()))
                    return

    async def _deaf(self, asked: Asked, wire: Wire) -> None:
        """Answers nothing, not even a ping."""
        await wire.send(_agreed(asked))
        while await wire.reader.read(65536):
            pass


def _agreed(asked: Asked) -> bytes:
    """The response that makes a WebSocket of the connection, as RFC 6455 4.2.2 has it."""
    digest = hashlib.sha1(f"{asked.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return f"{head}Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n".encode()


async def _type(text: str, path: str, names: dict[str, Any]) -> None:
    for statement in ast.parse(text, path).body:
        expression = isinstance(statement, ast.Expr)
        tree: Any = ast.Expression(statement.value) if isinstance(statement, ast.Expr) else ast.Module([statement], [])
        code = compile(tree, path, "eval" if expression else "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        value = eval(code, names)
        if code.co_flags & inspect.CO_COROUTINE:
            value = await value
        if expression:
            names["_"] = await value if inspect.isawaitable(value) else value


async def _events(asked: Asked, wire: Wire) -> None:
    await wire.respond(200, [("Content-Type", "application/json; charset=utf-8")], EVENTS.encode(), reason="OK")


def lead_aiohttp(place: ProgramOrigin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way to the origins, for aiohttp itself."""
    abc = importlib.import_module("aiohttp.abc")

    class Resolver(abc.AbstractResolver):  # type: ignore[name-defined,misc]
        def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
            self.own = ProgramResolver()

        async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
            return await self.own.resolve(host, port, family)

        async def close(self) -> None:
            await self.own.close()

    monkeypatch.setattr("aiohttp.connector.DefaultResolver", Resolver)
    context = ssl.create_default_context(cafile=str(place.folder / "ca.pem"))
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", context)


@pytest.fixture(params=list(LIBRARIES))
def seed(request: pytest.FixtureRequest, place: ProgramOrigin, monkeypatch: pytest.MonkeyPatch) -> Iterator[AiohttpSeed]:
    """The examples, by the façade and by aiohttp itself."""
    if request.param == "aiohttp":
        pytest.importorskip("aiohttp")
        lead_aiohttp(place, monkeypatch)
    yield AiohttpSeed(request.param, place)
    if request.param == "aiohttp":
        # Some examples keep a response that they never let go of: aiohttp says so, whenever it is collected.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
