"""The pytest plugin: fixtures that are plain objects, with or without a plugin for asynchronous tests.

It is loaded in every run of pytest where wirebird is installed, so it imports what a fixture needs when that fixture is used.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest

if TYPE_CHECKING:
    from .mock import MockTransport
    from .recorder import Recorder
    from .server import TestServer

__all__ = ["pytest_addoption", "wirebird_mock", "wirebird_recorder", "wirebird_server"]

# A longer name is cut: many file systems take 255 bytes.
_LONGEST = 120

_odd = re.compile(r"[^A-Za-z0-9._=+-]+")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--wirebird-record`."""
    parser.getgroup("wirebird").addoption(
        "--wirebird-record",
        choices=("auto", "record", "replay"),
        default="replay",
        help="what the fixture wirebird_recorder does: replay what was recorded (the default), record it anew, or auto: record "
        "what is not there",
    )


@pytest.fixture
def wirebird_mock(request: pytest.FixtureRequest) -> Iterator[MockTransport]:
    """A `MockTransport`; in the end every request must have matched, and every route must have been called."""
    from .mock import MockTransport

    failed = request.session.testsfailed
    mock = MockTransport()
    yield mock
    if request.session.testsfailed == failed:  # else the test has said what is wrong
        mock.check()


@pytest.fixture
def wirebird_server() -> Iterator[Callable[..., TestServer]]:
    """`TestServer` for one test: `async with wirebird_server(app) as server`; in the end each must have been left."""
    from .server import TestServer

    servers: list[TestServer] = []

    def make(app: Any, **options: Any) -> TestServer:
        server = TestServer(app, **options)
        servers.append(server)
        return server

    yield make
    running = [server for server in servers if server.is_running]
    if running:
        raise AssertionError(f"still running: {', '.join(map(repr, running))}")


@pytest.fixture
def wirebird_recorder(request: pytest.FixtureRequest) -> Iterator[Recorder]:
    """A `Recorder` for `network_middlewares`, whose file is `recordings/<module>/<test>.json` beside the test."""
    from .recorder import Recorder

    failed = request.session.testsfailed
    path = request.path.parent / "recordings" / request.path.stem / f"{_file_name(request.node.nodeid)}.json"
    recorder = Recorder(path, request.config.getoption("--wirebird-record"))
    with contextlib.suppress(_TestFailed), recorder:
        yield recorder
        if request.session.testsfailed != failed:
            raise _TestFailed  # so what it recorded is not kept


class _TestFailed(Exception):
    """Ends the recording of a test that has failed."""


def _file_name(node: str) -> str:
    """A name for the file of a test: its own where that is one, else with a checksum, so that no two share a file."""
    own = node.partition("::")[2]
    name = own.replace("::", ".").replace("[", "-").replace("]", "")
    plain = _odd.sub("-", name)[:_LONGEST]
    return plain if plain == name else f"{plain}-{crc32(own.encode()):08x}"
