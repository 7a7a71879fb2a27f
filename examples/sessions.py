"""What is kept for a visitor from one request to the next, in a cookie that nobody else can make."""

import os
import secrets
from html import escape

from wirebird import web
from wirebird.web import sessions

# One that is made anew with each start forgets everybody; a real one comes from the configuration.
SECRET = os.environ.get("SECRET") or secrets.token_urlsafe(32)
routes = web.RouteTableDef()


@routes.get("/")
async def greet(request: web.Request) -> web.Response:
    session = await sessions.get_session(request)
    session["visits"] = session.get("visits", 0) + 1
    name = escape(session.get("name", "stranger"))
    return web.Response(text=f"<p>Hello, {name}: visit {session['visits']}.</p>", content_type="text/html")


@routes.post("/login")
async def log_in(request: web.Request) -> web.Response:
    form = await request.post()
    session = await sessions.new_session(request)  # what an attacker may have planted is forgotten
    session["name"] = str(form["name"])
    raise web.HTTPSeeOther("/")


@routes.post("/logout")
async def log_out(request: web.Request) -> web.Response:
    session = await sessions.get_session(request)
    session.invalidate()
    raise web.HTTPSeeOther("/")


app = web.Application()
# `secure=False` is for http:// on this machine only.
sessions.setup(app, sessions.SignedCookieStorage(SECRET, secure=False))
app.add_routes(routes)

if __name__ == "__main__":
    web.run_app(app, port=int(os.environ.get("PORT", "8080")))
