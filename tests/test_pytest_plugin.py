"""The pytest plugin, in runs of pytest of its own: what its fixtures do, and that it costs nothing where they are not used."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from wirebird.testing.pytest_plugin import _file_name

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = "wirebird.testing.pytest_plugin"


def run_pytest(folder: Path, text: str, *arguments: str) -> str:
    """The output of pytest for one file of tests, with this plugin and no other."""
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", PLUGIN, *arguments, "test_it.py"]
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT / "src"), "PATH": "", "PYTHONWARNINGS": "error"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


MOCK = """
import asyncio, wirebird

def test_fine(wirebird_mock):
    wirebird_mock.get("/", text="fine")
    async def main():
        async with wirebird.HTTPClient(wirebird_mock) as client:
            assert await (await client.get("http://a.example/")).text() == "fine"
    asyncio.run(main())

def test_not_called(wirebird_mock):
    wirebird_mock.get("/never")

def test_swallowed(wirebird_mock):
    async def main():
        async with wirebird.HTTPClient(wirebird_mock) as client:
            try:
                await client.get("http://a.example/")
            except BaseException:
                pass
    asyncio.run(main())
"""


def test_the_mock_is_checked_in_the_end(tmp_path: Path) -> None:
    out = run_pytest(tmp_path, MOCK)
    assert "3 passed, 2 errors" in out
    assert "not called: <Route GET /never, 0 calls>" in out
    assert "nothing was prepared for GET http://a.example/" in out


FAILS = """
def test_mock(wirebird_mock):
    wirebird_mock.get("/never")
    assert 1 == 2

def test_recorder(wirebird_recorder):
    assert 3 == 4
"""


def test_a_test_that_fails_anyway(tmp_path: Path) -> None:
    """It is not said a second time, and what it recorded is not kept."""
    out = run_pytest(tmp_path, FAILS, "--wirebird-record=record")
    assert "2 failed" in out
    assert "error" not in out.splitlines()[-1]
    assert not (tmp_path / "recordings").exists()


SERVER = """
import asyncio, wirebird
from wirebird.testing import TestServer, TestClient

def test_fine(wirebird_server):
    async def main():
        async with wirebird_server(lambda request: wirebird.HttpResponse.make(text="fine"), max_body_size=5) as server:
            assert type(server) is TestServer
            async with wirebird.HTTPClient() as client:
                assert await (await client.get(server.url("/x"))).text() == "fine"
    asyncio.run(main())

def test_left_running(wirebird_server):
    async def main():
        server = await wirebird_server(lambda request: None).start()
        for listener in server._server._listeners:
            listener.close()
            await listener.wait_closed()
    asyncio.run(main())
"""


def test_servers_that_are_left_running(tmp_path: Path) -> None:
    out = run_pytest(tmp_path, SERVER)
    assert "2 passed, 1 error" in out  # and no warning of a class that cannot be collected
    assert "still running: <TestServer http://127.0.0.1:" in out


RECORDER = """
import asyncio, wirebird, pytest
from wirebird.testing import MockTransport

@pytest.mark.parametrize("path", ["/a b", "/c"])
def test_it(wirebird_recorder, path):
    mock = MockTransport()
    if wirebird_recorder.recording:
        mock.on().respond(text="fine")
    async def main():
        async with wirebird.HTTPClient(mock, network_middlewares=[wirebird_recorder]) as client:
            assert await (await client.get("http://a.example" + path)).text() == "fine"
    asyncio.run(main())
"""


def test_recordings_beside_the_test(tmp_path: Path) -> None:
    out = run_pytest(tmp_path, RECORDER)
    assert "2 errors" in out
    assert "no recording" in out
    assert not (tmp_path / "recordings").exists()
    assert "2 passed" in run_pytest(tmp_path, RECORDER, "--wirebird-record=record")
    folder = tmp_path / "recordings" / "test_it"
    names = sorted(path.name for path in folder.iterdir())
    assert [name[:11] for name in names] == ["test_it--a-", "test_it--c-"]
    assert len(set(names)) == 2
    assert "2 passed" in run_pytest(tmp_path, RECORDER)
    (folder / names[1]).unlink()
    assert "2 passed" in run_pytest(tmp_path, RECORDER, "--wirebird-record=auto")
    assert sorted(path.name for path in folder.iterdir()) == names


def test_names_of_files() -> None:
    assert _file_name("a/test_x.py::test_y") == "test_y"
    assert _file_name("test_x.py::TestZ::test_y[a-1]") == "TestZ.test_y-a-1"
    odd = _file_name("a/test_x.py::test_y[../../etc]")
    assert re.fullmatch(r"test_y-\.\.-\.\.-etc-[0-9a-f]{8}", odd)
    assert odd == _file_name("moved/test_x.py::test_y[../../etc]")


def test_no_two_tests_share_a_file_and_no_name_is_too_long() -> None:
    nodes = [f"test_x.py::test_y[{one}]" for one in ("a b", "a/b", "a-b", "a?b", "x" * 300, "x" * 301)]
    names = [_file_name(node) for node in nodes]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) < 140


ANYIO = """
import pytest, wirebird

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test_mock(wirebird_mock):
    wirebird_mock.get("/", text="fine")
    async with wirebird.HTTPClient(wirebird_mock) as client:
        assert await (await client.get("http://a.example/")).text() == "fine"

async def test_server(wirebird_server):
    async with wirebird_server(lambda request: wirebird.HttpResponse.make(text="fine")) as server:
        async with wirebird.HTTPClient() as client:
            assert await (await client.get(server.url())).text() == "fine"
"""


@pytest.mark.parametrize("plugin", ["anyio", "pytest_asyncio"])
def test_with_a_plugin_for_asynchronous_tests(plugin: str, tmp_path: Path) -> None:
    pytest.importorskip(plugin)
    text = ANYIO if plugin == "anyio" else ANYIO.replace("pytest.mark.anyio", "pytest.mark.asyncio")
    if plugin == "anyio":
        arguments = ["-p", "anyio.pytest_plugin"]
    else:  # which warns of an option that is not set
        arguments = ["-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function"]
    out = run_pytest(tmp_path, text, *arguments, "-W", "ignore")
    assert "2 passed" in out, out


def test_the_plugin_costs_nothing_where_it_is_not_used(tmp_path: Path) -> None:
    text = """
import sys
def test_it():
    assert sorted(name for name in sys.modules if name.startswith("wirebird")) == [
        "wirebird", "wirebird._version", "wirebird.testing", "wirebird.testing.pytest_plugin"
    ]
    assert not {"yarl", "multidict", "ssl", "asyncio"} & set(sys.modules)
"""
    out = run_pytest(tmp_path, text)
    assert "1 passed" in out, out


def test_the_entry_point(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"wirebird": PLUGIN}
    assert "--wirebird-record" in run_pytest(tmp_path, "", "--help")
