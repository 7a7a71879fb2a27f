"""A room in which everybody hears everybody, over WebSockets."""

import asyncio
import os

from wirebird import web

PAGE = """<!DOCTYPE html>
<title>Chat</title>
<ul id="said"></ul>
<form id="form"><input id="text" autofocus><button>Say</button></form>
<script>
  const socket = new WebSocket(location.href.replace(/^http/, "ws") + "room");
  socket.onmessage = (event) => {
    const item = document.createElement("li");
    item.textContent = event.data;
    document.getElementById("said").append(item);
  };
  document.getElementById("form").onsubmit = (event) => {
    event.preventDefault();
    socket.send(document.getElementById("text").value);
    event.target.reset();
  };
</script>
"""
ROOM = web.AppKey("room", set[web.WebSocketResponse])
routes = web.RouteTableDef()


@routes.get("/")
async def page(request: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


@routes.get("/room")
async def room(request: web.Request) -> web.WebSocketResponse:
    me = web.WebSocketResponse(heartbeat=30)
    await me.prepare(request)
    people = request.app[ROOM]
    people.add(me)
    try:
        async for message in me:
            said = [one.send_str(str(message.data)) for one in people]
            await asyncio.gather(*said, return_exceptions=True)  # one who has just left disturbs nobody
    finally:
        people.discard(me)
    return me


app = web.Application()
app[ROOM] = set()
app.add_routes(routes)

if __name__ == "__main__":
    web.run_app(app, port=int(os.environ.get("PORT", "8080")))
