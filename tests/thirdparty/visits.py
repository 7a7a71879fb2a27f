"""A site of aiohttp's libraries: sessions, templates, permissions for other origins, and Socket.IO, asked by their clients."""

import asyncio
import json

import aiohttp
import aiohttp_cors
import aiohttp_jinja2
import aiohttp_session
import jinja2
import socketio
from aiohttp import web

ORIGIN = {"Origin": "http://client.example"}


async def page(request: web.Request) -> web.Response:
    session = await aiohttp_session.get_session(request)
    session["visits"] = session.get("visits", 0) + 1
    return aiohttp_jinja2.render_template("page", request, {"visits": session["visits"]})


@aiohttp_jinja2.template("page")
async def decorated(request: web.Request) -> dict[str, int]:
    return {"visits": -1}


def make_app() -> web.Application:
    app = web.Application()
    aiohttp_session.setup(app, aiohttp_session.SimpleCookieStorage())
    aiohttp_jinja2.setup(app, loader=jinja2.DictLoader({"page": "{{ visits }} {{ url('page', name='a b') }}"}))
    options = aiohttp_cors.ResourceOptions(allow_credentials=True, expose_headers=("X-A",), allow_headers=("X-B",))
    cors = aiohttp_cors.setup(app, defaults={ORIGIN["Origin"]: options})
    cors.add(app.router.add_get("/page/{name}", page, name="page"))
    app.router.add_get("/decorated", decorated)
    events = socketio.AsyncServer(async_mode="aiohttp")
    events.attach(app)

    @events.event
    async def echo(sid: str, data: str) -> str:
        return data + "!"

    return app


async def main() -> None:
    found: dict[str, object] = {}
    runner = web.AppRunner(make_app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    asked = {**ORIGIN, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "X-B"}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        for name in ("first", "second"):
            async with session.get(f"{base}/page/x", headers=ORIGIN) as response:
                allowed = response.headers["Access-Control-Allow-Origin"], response.headers["Access-Control-Expose-Headers"]
                found[name] = [response.status, response.content_type, await response.text(), allowed]
        async with session.get(f"{base}/decorated") as response:
            found["decorated"] = await response.text()
        async with session.options(f"{base}/page/x", headers=asked) as response:
            found["preflight"] = [response.status, sorted(one for one in response.headers.items() if "Access" in one[0])]
        async with session.options(f"{base}/page/x", headers={**asked, "Origin": "http://other.example"}) as response:
            found["refused"] = [response.status, await response.text()]
        async with session.get(f"{base}/socket.io/?EIO=4&transport=polling") as response:
            text = await response.text()
            found["polling"] = [response.status, response.content_type, sorted(json.loads(text[1:]))]
    client = socketio.AsyncClient()
    await client.connect(base, transports=["websocket"])
    found["event"] = await client.call("echo", "event")
    await client.disconnect()
    await runner.cleanup()
    print(json.dumps(found))


asyncio.run(main())
