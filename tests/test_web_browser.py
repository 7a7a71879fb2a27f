"""Live parts of `wirebird.web` with Chromium: WebSockets, event streams, sessions and CORS as pages of two origins see them.

The page is of the first server and tries the second too.  All that it finds out is in `found`, and read from there.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from browser import CHROMIUM, Browser
from wirebird import web
from wirebird.testing import TestServer
from wirebird.web import cors, sessions

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.timeout(60),
]

PAGE = """<!doctype html><title>Live</title><script>
const found = {}, other = OTHER;
function talk(url, protocols) {
  return new Promise(done => {
    const ws = new WebSocket(url, protocols), said = [];
    ws.onopen = () => { ws.send("naïve 漢字"); ws.send("x".repeat(70000)); ws.send("bye"); };
    ws.onmessage = event => said.push(event.data.length > 100 ? event.data.length : event.data);
    ws.onclose = event => done([ws.protocol, said, event.code, event.reason, event.wasClean]);
  });
}
function listen(url) {
  return new Promise(done => {
    const events = new EventSource(url), said = [];
    events.addEventListener("count", event => {
      said.push([event.lastEventId, event.data]);
      if (said.length == 4) { events.close(); done(said); }
    });
  });
}
async function ask(path, options) {
  try {
    const response = await fetch(path, options);
    return [response.status, await response.text(), response.headers.get("X-Own")];
  } catch (error) { return error.name; }
}
async function all() {
  const ws = url => url.replace("http", "ws");
  found.own = await talk(ws(location.origin) + "/ws", ["v2", "v1"]);
  found.foreign = await talk(ws(other) + "/ws", []);
  found.events = await listen("/events");
  found.foreign_events = await listen(other + "/events");
  found.visits = [(await ask("/visit"))[1], (await ask("/visit"))[1]];
  found.cookie = document.cookie;
  found.read = await ask(other + "/shared", {credentials: "include"});
  const headers = {"X-Token": "1", "Content-Type": "application/json"};
  found.put = await ask(other + "/shared", {method: "PUT", headers, body: "{}"});
  found.field = await ask(other + "/shared", {headers: {"X-Unknown": "1"}});
  found.method = await ask(other + "/shared", {method: "DELETE"});
  found.missing = (await ask(other + "/missing"))[0];
  found.closed = await ask(other + "/closed/x");
  return "done";
}
all().then(done => found.done = done, error => found.done = String(error));
</script>"""


async def talk(request: web.Request) -> web.StreamResponse:
    ws = web.WebSocketResponse(protocols=["v1"], heartbeat=30)
    await ws.prepare(request)
    async for message in ws:
        if message.data == "bye":
            await ws.close(4000, "until later")
        else:
            await ws.send_str(message.data)
    return ws


async def count(request: web.Request) -> web.StreamResponse:
    events = web.EventStreamResponse(retry=10)
    await events.prepare(request)
    first = int(events.last_event_id or 0)
    for number in (first + 1, first + 2):
        await events.send(f"number\n{number}", event="count", id=str(number))
    return events


async def visit(request: web.Request) -> web.StreamResponse:
    session = await sessions.get_session(request)
    session["visits"] = session.get("visits", 0) + 1
    return web.Response(text=str(session["visits"]))


async def shared(request: web.Request) -> web.StreamResponse:
    return web.Response(text=f"{request.method} {'session' in request.cookies}", headers={"X-Own": "shown", "X-Other": "hidden"})


def application(friends: tuple[str, ...] = ()) -> web.Application:
    app, closed = web.Application(), web.Application()
    sessions.setup(app, sessions.SignedCookieStorage("0123456789abcdef0123456789abcdef"))
    if friends:
        cors.setup(app, friends, credentials=True, headers=["Content-Type", "X-Token"], expose=["X-Own"])
    app.add_routes([web.get("/ws", talk), web.get("/events", count), web.get("/visit", visit)])
    app.add_routes([web.get("/shared", shared), web.put("/shared", shared)])
    cors.setup(closed, ["https://somebody.example"])
    closed.add_routes([web.get("/x", shared)])
    app.add_subapp("/closed", closed)
    return app


def test_what_a_page_can_do(tmp_path: Path) -> None:
    async def main() -> None:
        pages: dict[str, Any] = {}
        own = application()

        async def index(request: web.Request) -> web.StreamResponse:
            return web.Response(text=pages["live"], content_type="text/html")

        own.add_routes([web.get("/live", index)])
        async with TestServer(own) as server:
            origin = f"http://127.0.0.1:{server.port}"
            async with TestServer(application(friends=(origin,))) as other, Browser(tmp_path / "browser") as browser:
                pages["live"] = PAGE.replace("OTHER", json.dumps(f"http://127.0.0.1:{other.port}"))
                page = await browser.open(f"{origin}/live")
                await page.until("found.done")
                found = json.loads(await page.value("JSON.stringify(found)"))
        assert found.pop("done") == "done"
        assert found["own"] == ["v1", ["naïve 漢字", 70000], 4000, "until later", True]
        assert found["foreign"][1:3] == [[], 1006]  # 403
        assert found["events"] == [[str(n), f"number\n{n}"] for n in (1, 2, 3, 4)]
        assert found["foreign_events"] == found["events"]
        assert found["visits"] == ["1", "2"]
        assert found["cookie"] == ""  # HttpOnly
        assert found["read"] == [200, "GET True", "shown"]  # another port is the same site
        assert found["put"] == [200, "PUT False", "shown"]
        assert found["field"] == "TypeError"
        assert found["method"] == "TypeError"
        assert found["missing"] == 404
        assert found["closed"] == "TypeError"
        assert server.errors == other.errors == []

    asyncio.run(main())
