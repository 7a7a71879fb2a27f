"""The programs of the slides that serve: S4-25 to S4-28, S4-39, S4-40.

They are in `tests/seed_programs/aiohttp/`, with the import line changed and nothing else; `seed` runs each by the façade and by
aiohttp itself.  The features that the slides name without code are in `test_seed_aiohttp_web`.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

import pytest

from aiohttp_served import IMPORT_LINE, Served, seed
from origin import run
from programs import Program, python
from wirebird import HTTPClient

# As the slides have it, keys are str.
pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web")


def test_slides_server(seed: Served, monkeypatch):
    app = seed.run("slides_server", monkeypatch)

    async def use(client: HTTPClient) -> None:
        response = await client.get("/")
        assert response.status_code == 200
        assert await response.text() == "Hello, world"
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert (await client.head("/")).headers["content-length"] == "12"
        refused = await client.post("/")
        assert refused.status_code == 405
        assert refused.headers["allow"] == "GET,HEAD"
        assert (await client.get("/nowhere")).status_code == 404

    seed.ask(app, use)


def test_the_program_runs_until_it_is_told_to_stop(seed: Served, tmp_path):
    """The same program, but for where it listens, in a process of its own."""
    text = seed.text("slides_server").replace("web.run_app(app)", "web.run_app(app, host='127.0.0.1', port=0)")
    (tmp_path / "server.py").write_text(text, "utf-8")
    command = python("server.py") if seed.name == "wirebird" else [sys.executable, "server.py"]
    with Program(command, tmp_path) as program:
        url = program.wait_for(r"======== Running on (http://127\.0\.0\.1:[0-9]+) ========")[1]

        async def ask() -> str:
            async with HTTPClient() as client:
                return await (await client.get(url)).text()

        assert run(ask) == "Hello, world"
        program.signal(signal.SIGTERM)
        assert program.wait() == 0
        assert "Traceback" not in program.said


def test_slides_handler(seed: Served):
    """A handler is a coroutine function of one argument, a request; its result is a `StreamResponse`."""
    handler = seed.type("slides_handler")["handler"]
    seen: list[Any] = []

    async def watched(request: Any) -> Any:
        response = await handler(request)
        seen.append((isinstance(request, seed.web.Request), isinstance(response, seed.web.StreamResponse)))
        return response

    app = seed.web.Application()
    app.router.add_get("/", watched)

    async def use(client: HTTPClient) -> None:
        response = await client.get("/")
        assert response.status_code == 200
        assert response.headers["content-length"] == "0"
        assert "content-type" not in response.headers

    seed.ask(app, use)
    assert seen == [(True, True)]


def test_slides_routes(seed: Served):
    async def say(request: Any) -> Any:
        return seed.web.Response(text=f"{request.method} {await request.text()}")

    app = seed.web.Application()
    seed.type("slides_routes", app=app, handler=say, post_handler=say, put_handler=say)

    async def use(client: HTTPClient) -> None:
        assert await (await client.get("/")).text() == "GET "
        assert await (await client.post("/post", b"a")).text() == "POST a"
        assert await (await client.put("/put", b"b")).text() == "PUT b"
        assert (await client.get("/post")).status_code == 405

    seed.ask(app, use)


def test_slides_application_data(seed: Served):
    app = seed.web.Application()
    names = seed.type("slides_application_data", app=app, data={"key": "value"})
    assert app["my_private_key"] == {"key": "value"}

    async def handler(request: Any) -> Any:
        assert await names["handler"](request) is None
        return seed.web.json_response(request.app["my_private_key"])

    app.router.add_get("/", handler)

    async def use(client: HTTPClient) -> None:
        assert await (await client.get("/")).json() == {"key": "value"}

    seed.ask(app, use)


def test_slides_request_data(seed: Served):
    names = seed.type("slides_request_data")

    async def handler(request: Any) -> Any:
        assert "my_private_key" not in request
        await names["handler"](request)
        return seed.web.Response(text=request["my_private_key"])

    app = seed.web.Application()
    app.router.add_get("/", handler)

    async def use(client: HTTPClient) -> None:
        for _ in range(2):  # it lives as long as its request
            assert await (await client.get("/")).text() == "data"

    seed.ask(app, use)


def test_only_the_import_line_is_different():
    assert IMPORT_LINE == "from wirebird.compat.aiohttp import web\n"
    assert Served("wirebird").text("slides_server").startswith(IMPORT_LINE)
