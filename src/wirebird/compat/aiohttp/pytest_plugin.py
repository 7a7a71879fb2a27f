"""`aiohttp.pytest_plugin`: coroutines are tests and fixtures; a loop, servers and clients for them, which end with the test.

    pytest_plugins = ["wirebird.compat.aiohttp.pytest_plugin"]     in a conftest.py

    async def test_hello(aiohttp_client):
        client = await aiohttp_client(app)
        assert (await client.get("/")).status == 200

Everything is imported from siblings: where the façade stands in for aiohttp, this module is loaded under aiohttp's name, too.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import warnings
from collections.abc import Awaitable, Callable, Generator, Iterator
from importlib import import_module
from typing import Any, Protocol

import pytest

from .test_utils import BaseTestServer, RawTestServer, TestClient, TestServer, loop_context
from .test_utils import unused_port as _unused_port
from .web_app import Application

__all__ = ["AiohttpClient", "AiohttpRawServer", "AiohttpServer"]

# Fixtures of which a test may ask for its loop.
_LOOPS = ("proactor_loop", "selector_loop", "uvloop_loop", "loop")


class AiohttpClient(Protocol):
    """What the fixture `aiohttp_client` is."""

    async def __call__(
        self, server: Any, /, *args: Any, server_kwargs: dict[str, Any] | None = None, **kwargs: Any
    ) -> TestClient: ...


class AiohttpServer(Protocol):
    """What the fixture `aiohttp_server` is."""

    def __call__(
        self, app: Application, *, host: str = "127.0.0.1", port: int | None = None, **kwargs: Any
    ) -> Awaitable[TestServer]: ...


class AiohttpRawServer(Protocol):
    """What the fixture `aiohttp_raw_server` is."""

    def __call__(self, handler: Any, *, port: int | None = None, **kwargs: Any) -> Awaitable[RawTestServer]: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--aiohttp-fast`, `--aiohttp-loop` and `--aiohttp-enable-loop-debug`."""
    parser.addoption("--aiohttp-fast", action="store_true", default=False, help="do not collect garbage after each test")
    parser.addoption(
        "--aiohttp-loop",
        action="store",
        default="pyloop",
        help="the loops to run tests with, separated by commas: pyloop, uvloop; with a ? where there may be none; or all",
    )
    parser.addoption("--aiohttp-enable-loop-debug", action="store_true", default=False, help="the debug mode of the loop")


def _factories(names: str) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops that `--aiohttp-loop` names."""
    found: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {}
    for wish in ("pyloop,uvloop?" if names == "all" else names).split(","):
        name = wish.strip(" ?")
        if name == "pyloop":
            found[name] = asyncio.new_event_loop
        elif name != "uvloop":
            raise ValueError(f"Unknown loop {name!r}, available loops: pyloop, uvloop")
        else:
            try:
                found[name] = import_module("uvloop").new_event_loop
            except ImportError:
                if "?" not in wish:
                    raise
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have a test that uses a loop once for each of the loops."""
    if "loop_factory" in metafunc.fixturenames:
        factories = _factories(metafunc.config.getoption("--aiohttp-loop"))
        metafunc.parametrize("loop_factory", list(factories.values()), ids=list(factories))


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine; a coroutine in it that nobody waited for is an error."""
    if not inspect.iscoroutinefunction(pyfuncitem.function):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    named: Iterator[Any] = (pyfuncitem.funcargs.get(name) for name in _LOOPS)
    with warnings.catch_warnings(record=True) as caught:
        loop = next((each for each in named if each is not None), None)
        if loop is not None:
            loop.run_until_complete(pyfuncitem.obj(**arguments))
        else:
            with loop_context(fast=pyfuncitem.config.getoption("--aiohttp-fast")) as loop:
                loop.run_until_complete(pyfuncitem.obj(**arguments))
    forgotten = [f"{each.filename}:{each.lineno}:{each.message}" for each in caught if each.category is RuntimeWarning]
    if forgotten:
        raise RuntimeError("\n".join([f"{len(forgotten)} Runtime Warning{'s' * (len(forgotten) > 1)},", *forgotten]))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
    """Run a fixture that is a coroutine, or an asynchronous generator, in the loop of the test."""
    function = fixturedef.func
    if not inspect.iscoroutinefunction(function) and not inspect.isasyncgenfunction(function):
        return (yield)
    if "loop" not in request.fixturenames:
        raise RuntimeError("Asynchronous fixtures must depend on the 'loop' fixture or be used in tests depending from it.")
    fixturedef.func = _in_loop(function, request)  # type: ignore[misc]  # it is the test's own for this time
    try:
        return (yield)
    finally:
        fixturedef.func = function  # type: ignore[misc]


def _in_loop(function: Callable[..., Any], request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`function` as a fixture that waits for what it gives."""
    loop = request.getfixturevalue("loop")

    @functools.wraps(function)
    def fixture(*args: Any, **kwargs: Any) -> Any:
        made = function(*args, **kwargs)
        if inspect.iscoroutine(made):
            return loop.run_until_complete(made)
        request.addfinalizer(lambda: loop.run_until_complete(anext(made, None)))
        return loop.run_until_complete(anext(made))

    return fixture


@pytest.fixture
def fast(request: pytest.FixtureRequest) -> Any:
    """Whether `--aiohttp-fast` was given."""
    return request.config.getoption("--aiohttp-fast")


@pytest.fixture
def loop_debug(request: pytest.FixtureRequest) -> Any:
    """Whether `--aiohttp-enable-loop-debug` was given."""
    return request.config.getoption("--aiohttp-enable-loop-debug")


@pytest.fixture
def loop(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], fast: bool, loop_debug: bool
) -> Iterator[asyncio.AbstractEventLoop]:
    """The loop of the test."""
    with loop_context(loop_factory, fast=fast) as own:
        if loop_debug:
            own.set_debug(True)
        yield own


@pytest.fixture
def proactor_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The loop of the test, one of Windows'."""
    with loop_context(asyncio.ProactorEventLoop) as own:  # type: ignore[attr-defined, unused-ignore]
        yield own


@pytest.fixture
def aiohttp_unused_port() -> Callable[[], int]:
    """A function that gives a port that nobody uses."""
    return _unused_port


@pytest.fixture
def aiohttp_server(loop: asyncio.AbstractEventLoop) -> Iterator[AiohttpServer]:
    """`await aiohttp_server(app, port=None, ...)`: a `TestServer` that has started."""
    opened: list[TestServer] = []

    async def start(app: Application, *, host: str = "127.0.0.1", port: int | None = None, **kwargs: Any) -> TestServer:
        server = TestServer(app, host=host, port=port)
        opened.append(server)
        await server.start_server(**kwargs)
        return server

    yield start
    loop.run_until_complete(_close(opened))


@pytest.fixture
def aiohttp_raw_server(loop: asyncio.AbstractEventLoop) -> Iterator[AiohttpRawServer]:
    """`await aiohttp_raw_server(handler, port=None, ...)`: a `RawTestServer` that has started."""
    opened: list[RawTestServer] = []

    async def start(handler: Any, *, port: int | None = None, **kwargs: Any) -> RawTestServer:
        server = RawTestServer(handler, port=port)
        opened.append(server)
        await server.start_server(**kwargs)
        return server

    yield start
    loop.run_until_complete(_close(opened))


@pytest.fixture
def aiohttp_client(loop: asyncio.AbstractEventLoop) -> Iterator[AiohttpClient]:
    """`await aiohttp_client(app or server, ...)`: a `TestClient` whose server has started.

    A function in place of an application is called with the loop and the arguments, and gives one.
    """
    opened: list[TestClient] = []

    async def start(server: Any, /, *args: Any, server_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> TestClient:
        if callable(server) and not isinstance(server, (Application, BaseTestServer)):
            server, kwargs = server(loop, *args, **kwargs), {}
        elif args:
            raise AssertionError("args should be empty")
        if isinstance(server, Application):
            server = TestServer(server, **(server_kwargs or {}))
        elif not isinstance(server, BaseTestServer):
            raise ValueError(f"Unknown argument type: {type(server)!r}")
        client = TestClient(server, **kwargs)
        opened.append(client)
        await client.start_server()
        return client

    yield start
    loop.run_until_complete(_close(opened))


async def _close(opened: list[Any]) -> None:
    """Close each of them, the last first."""
    while opened:
        await opened.pop().close()
