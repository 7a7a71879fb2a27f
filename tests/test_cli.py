"""`wirebird serve` and what commands have in common: what may be served, what is said, and the exit codes."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from programs import Program, python
from wirebird.cli import main
from wirebird.cli.loading import LoadError, Target, find_object, make_served, own_traceback, read_target
from wirebird.cli.places import make_context
from wirebird.server.asgi import AsgiApp
from wirebird.web import Application

WEB = """
import os
from wirebird import web

async def hello(request):
    return web.Response(text=f"Hello {request.remote} {os.getpid()}")

app = web.Application()
app.add_routes([web.get("/", hello)])
"""

ASGI = """
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            what = (await receive())["type"]
            await send({"type": what + ".complete"})
            print(what, flush=True)
            if what == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": scope["root_path"].encode() + b" " + scope["path"].encode()})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(WEB)
    (tmp_path / "plain.py").write_text(ASGI)
    return tmp_path


@pytest.fixture
def modules() -> Iterator[None]:
    """What a test imports is forgotten again."""
    known, path = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - known:
        if "for_tests" in name:
            del sys.modules[name]
    sys.path[:] = path


def serve(folder: Path, *arguments: str) -> Program:
    return Program(python("-m", "wirebird", "serve", *arguments), folder)


def get(url: str, path: str = "/", **fields: str) -> tuple[int, str]:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in fields.items()})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


# -- what is meant -----------------------------------------------------------------------------------------------------


def test_targets_are_read(tmp_path: Path) -> None:
    (tmp_path / "package" / "inner").mkdir(parents=True)
    for name in ("package/__init__.py", "package/inner/__init__.py", "package/inner/web.py", "app.py", "my-app.py"):
        (tmp_path / name).touch()
    (tmp_path / "site").mkdir()
    found = {text: read_target(text, tmp_path) for text in (".", "site", "app", "app:x.y", "app.py:x", "package", "a.b:c")}
    assert found == {
        ".": Target(tmp_path),
        "site": Target(tmp_path / "site"),
        "app": Target(tmp_path, "app"),
        "app:x.y": Target(tmp_path, "app", "x.y"),
        "app.py:x": Target(tmp_path, "app", "x"),
        "package": Target(tmp_path, "package"),
        "a.b:c": Target(tmp_path, "a.b", "c"),
    }
    assert read_target("package/inner/web.py", tmp_path) == Target(tmp_path, "package.inner.web")
    assert read_target("my-app.py:x", tmp_path) == Target(tmp_path, str(tmp_path / "my-app.py"), "x")
    assert [str(target) for target in (found["app:x.y"], found["app"], found["site"])] == [
        "app:x.y",
        "app",
        str(tmp_path / "site"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nowhere/", "no such folder"),
        ("no.py:app", "there is no file"),
        (":app", "neither a folder nor module:name"),
        ("app:", "neither a folder nor module:name"),
        ("app:1x", "neither a folder nor module:name"),
        ("a-b:app", "no name of a module"),
    ],
)
def test_bad_targets_are_refused_in_words(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=said):
        read_target(text, tmp_path)


def load(text: str, folder: Path) -> Any:
    target = read_target(text, folder)
    return asyncio.run(make_served(find_object(target), target))


MADE = """
from wirebird import web
import flask, aiohttp.web

class Callable:
    async def __call__(self, scope, receive, send): ...

class Shop(web.Application): ...

class Nested:
    app = web.Application()

instance = Callable()
def factory(): return web.Application()
async def later(): return instance
def of_factories(): return factory
def endless(): return endless
def broken(): raise LookupError("no settings")
def takes_one(x): ...
number = 5
wsgi = flask.Flask("x")
foreign = aiohttp.web.Application()
"""


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Nested.app", Application),
        ("instance", AsgiApp),
        ("factory", Application),
        ("later", AsgiApp),
        ("of_factories", Application),
        ("Shop", Application),
    ],
)
def test_applications_and_what_makes_them(name: str, kind: type, tmp_path: Path) -> None:
    (tmp_path / "made_for_tests.py").write_text(MADE)
    assert isinstance(load(f"made_for_tests:{name}", tmp_path), kind)


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("name", ["site", "json", "wirebird", "made_for_tests"])
def test_a_file_is_that_file_whatever_else_has_its_name(name: str, tmp_path: Path) -> None:
    known = sys.modules.get(name)
    (tmp_path / f"{name}.py").write_text(MADE)
    assert isinstance(load(f"{name}.py:factory", tmp_path), Application)
    assert known is None or sys.modules[name] is known


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("made_for_tests:nothing", r"has no 'nothing'; there is .*made_for_tests:factory"),
        ("made_for_tests:Nested.nothing", r"has no 'Nested.nothing'"),
        ("made_for_tests", r"has none of app, application, create_app, make_app: say which; there is made_for_tests:instance"),
        ("made_for_tests:number", "is a int, and no application"),
        ("made_for_tests:takes_one", "neither takes scope, receive and send"),
        ("made_for_tests:endless", "makes nothing but functions"),
        ("made_for_tests:broken", "made no application: LookupError: no settings"),
        ("made_for_tests:wsgi", "is a WSGI application"),
        ("made_for_tests:foreign", "is an application of aiohttp: import wirebird.compat.aiohttp.web"),
        ("there_is_no_such:app", "there is no module 'there_is_no_such'"),
        ("made_for_tests.inner:app", "there is no module 'made_for_tests.inner'"),
    ],
)
def test_what_is_no_application_is_said(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "made_for_tests.py").write_text(MADE)
    with pytest.raises(LoadError, match=said):
        load(text, tmp_path)


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import there_is_no_such", "cannot be imported: No module named 'there_is_no_such'"),
        ("def f():\n    1 / 0\nf()", "cannot be imported: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("x = (", "cannot be imported: SyntaxError"),
    ],
)
def test_what_the_code_raises_is_shown_from_where_it_begins(source: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "broken_for_tests.py").write_text(source)
    with pytest.raises(LoadError, match=said) as caught:
        load("broken_for_tests", tmp_path)
    cause = caught.value.__cause__
    assert cause is not None
    text = own_traceback(cause)
    assert "broken_for_tests.py" in text
    if "SyntaxError" not in said:
        assert "wirebird" not in text
        assert "importlib" not in text


# -- serving -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_application_is_served_until_a_signal(folder: Path, number: int) -> None:
    with serve(folder, "shop:app", "--port", "0", "--access-log", "json") as program:
        url = program.url()
        status, text = get(url)
        assert (status, text.split()[:2]) == (200, ["Hello", "127.0.0.1"])
        assert get(url, "/nothing")[0] == 404
        program.signal(number)
        assert program.wait() == 0
    records = [json.loads(line) for line in program.said.splitlines() if line.startswith("{")]
    assert [(record["target"], record["status"]) for record in records] == [("/", 200), ("/nothing", 404)]


@pytest.mark.parametrize(("number", "inside"), [(signal.SIGTERM, ""), (signal.SIGINT, "def app(): ")])
def test_a_signal_ends_what_takes_long_to_import(tmp_path: Path, number: int, inside: str) -> None:
    (tmp_path / "slow.py").write_text(f"import time\n{inside}print('importing', flush=True); time.sleep(100)\n")
    with serve(tmp_path, "slow.py", "--port", "0") as program:
        program.wait_for("importing")
        program.signal(number)
        assert program.wait() == 0
    assert program.said.strip() == "importing"


def test_an_asgi_application_with_a_lifespan(folder: Path) -> None:
    with serve(folder, "plain.py", "--port", "0", "--root-path", "/mounted", "--loop", "asyncio") as program:
        program.wait_for("lifespan.startup")
        assert get(program.url(), "/x") == (200, "/mounted /mounted/x")  # as ASGI has it
        program.signal()
        assert program.wait() == 0
    assert "lifespan.shutdown" in program.said
    assert "Traceback" not in program.said


def test_a_folder_is_served_with_listings_and_ranges(tmp_path: Path) -> None:
    (tmp_path / "with index").mkdir()
    (tmp_path / "with index" / "index.html").write_text("<h1>Index</h1>")
    (tmp_path / "a & b.txt").write_text("0123456789")
    (tmp_path / ".secret").write_text("no")
    with serve(tmp_path, "--port", "0") as program:
        url = program.url()
        status, listing = get(url)
        assert status == 200
        assert "a &amp; b.txt" in listing
        assert ".secret" not in listing
        assert get(url, "/.secret")[0] == 404
        assert get(url, "/with%20index/") == (200, "<h1>Index</h1>")
        assert get(url, "/a%20&%20b.txt", Range="bytes=2-4") == (206, "234")
        assert get(url, "/../etc/passwd")[0] in (400, 404)
    with serve(tmp_path, ".", "--port", "0", "--no-listing") as program:
        assert get(program.url())[0] == 403


def test_workers_share_the_port_and_end_together(folder: Path) -> None:
    with serve(folder, "shop", "--port", "0", "--workers", "2") as program:
        url = program.url()
        pids = {get(url)[1].split()[-1] for _ in range(40)}
        assert str(program.process.pid) not in pids
        assert 1 <= len(pids) <= 2
        program.signal()
        assert program.wait() == 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def test_workers_that_do_not_start_end_everything(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("1 / 0")
    with serve(tmp_path, "shop", "--port", "0", "--workers", "2") as program:
        assert program.wait() == 1
    assert "wirebird: shop cannot be imported: ZeroDivisionError: division by zero" in program.said


@pytest.mark.parametrize("more", [(), ("--reload",), ("--workers", "2")])
def test_a_unix_socket(folder: Path, more: tuple[str, ...]) -> None:
    with serve(folder, "shop", "--uds", "s.sock", *more) as program:
        program.wait_for("Running on http://unix:s.sock:")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(folder / "s.sock"))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        program.signal()
        assert program.wait() == 0
    assert not (folder / "s.sock").exists()


def test_tls_and_a_trusted_proxy(folder: Path) -> None:
    authority = trustme.CA()
    own = authority.issue_cert("localhost")
    own.private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
    arguments = ("--ssl-cert", "both.pem", "--forwarded-allow", "127.0.0.0/8,::1", "--port", "0")
    with serve(folder, "shop", *arguments) as program:
        place = urlsplit(program.url())
        assert place.scheme == "https"
        context = ssl.create_default_context()
        authority.configure_trust(context)
        connection = http.client.HTTPSConnection("localhost", place.port, context=context, timeout=20)
        try:
            connection.request("GET", "/", headers={"X-Forwarded-For": "192.0.2.7"})
            assert connection.getresponse().read().split()[1] == b"192.0.2.7"
        finally:
            connection.close()
        program.signal()
        assert program.wait() == 0


def test_a_socket_that_is_handed_over(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        command = python("-m", "wirebird", "serve", "shop", "--fd", str(sock.fileno()))
        os.set_inheritable(sock.fileno(), True)
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1] / "src")}
        process = subprocess.Popen(command, cwd=folder, pass_fds=[sock.fileno()], env=environment, stdout=subprocess.DEVNULL)
        try:
            assert get(f"http://127.0.0.1:{sock.getsockname()[1]}")[0] == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def outcome(capfd: Any, *arguments: str) -> tuple[int, str]:
    """The exit code, and what is said on standard error."""
    code = main(arguments)
    return code, capfd.readouterr().err


def test_a_port_in_use_is_said(folder: Path, capfd: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        code, said = outcome(capfd, "serve", str(folder), "--port", str(port))
    assert (code, said) == (1, f"wirebird: port {port} of 127.0.0.1 is in use by another program; --port chooses another\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["serve", ".", "--host", "192.0.2.1", "--port", "0"], 1, "this machine has no such address"),
        (["serve", ".", "--host", "no.such.host.invalid"], 1, "that name is not known"),
        (["serve", ".", "--host", "127.0.0.1", "--host", "192.0.2.1", "--port", "0"], 1, "port 0 of 192.0.2.1: this machine"),
        (["serve", ".", "--host", "192.0.2.1", "--host", "127.0.0.1", "--port", "0"], 1, "port 0 of 192.0.2.1: this machine"),
        (["serve", ".", "--host", "a..b"], 1, "port 8080 of a..b: that name is not known"),
        (["serve", ".", "--host", "x" * 70], 1, "that name is not known"),
        (["dev", ".", "--host", "a..b"], 1, "that name is not known"),
        (["serve", ".", "--shutdown-timeout", "nan"], 2, "--shutdown-timeout"),
        (["serve", ".", "--keepalive-timeout", "inf"], 2, "--keepalive-timeout"),
        (["serve", ".", "--uds", "/nowhere/at/all"], 1, "/nowhere/at/all: No such file or directory"),
        (["serve", ".", "--uds", "/tmp/" + "x" * 200], 1, "too long"),
        (["serve", "nowhere/at/all"], 2, "there is no such folder"),
        (["serve", ".", "--uds", "x", "--port", "80"], 2, "exclude each other"),
        (["serve", ".", "--forwarded-allow", "nonsense"], 2, "--forwarded-allow"),
        (["serve", ".", "--fd", "0"], 2, "--fd 0 is no socket"),
        (["serve", ".", "--reload", "--workers", "2"], 2, "excludes --workers"),
        (["serve", ".", "--port", "70000"], 2, "70000 is not in the range"),
        (["serve", "--nonsense"], 2, "No such option"),
        (["nonsense"], 2, "No such command"),
        ([], 2, "Commands:"),
    ],
)
def test_what_goes_wrong_is_said(arguments: list[str], code: int, said: str, capfd: Any) -> None:
    got, text = outcome(capfd, *arguments)
    assert got == code
    assert said in text
    assert "Traceback" not in text


def test_a_start_that_fails_shows_the_application(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from wirebird import web\n"
        "async def connect(app):\n    raise ConnectionError('no database')\n"
        "app = web.Application()\napp.on_startup.append(connect)\n"
    )
    with serve(tmp_path, "shop:app", "--port", "0") as program:
        assert program.wait() == 1
    lines = program.said.splitlines()
    assert lines[-1] == "wirebird: shop:app did not start: ConnectionError: no database"
    assert lines[0] == "Traceback (most recent call last):"
    assert "wirebird/server" not in program.said


def test_certificates_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "nonsense.pem").write_text("nonsense")
    with pytest.raises(ValueError, match="no certificate and key"):
        make_context(tmp_path / "nonsense.pem", None)
    with pytest.raises(ValueError, match="needs --ssl-cert"):
        make_context(None, tmp_path / "nonsense.pem")


def test_help_and_version(capfd: Any) -> None:
    assert main(["--help"]) == 0
    assert "serve  Serve an application, or a folder." in capfd.readouterr().out
    assert main(["--version"]) == 0
    assert capfd.readouterr().out.startswith("wirebird 0.")
    for name in ("serve", "dev"):
        assert main([name, "--help"]) == 0
        assert "TARGET" in capfd.readouterr().out


def test_without_click_it_says_what_is_missing() -> None:
    program = "import sys; sys.modules['click'] = None; from wirebird.cli import main; sys.exit(main(['serve']))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert run.stderr == "wirebird: the command line needs click, which is not installed: pip install 'wirebird[cli]'\n"
