"""Short links: a redirect is a response that is raised."""

import os
import secrets
from urllib.parse import urlsplit

from wirebird import web

LINKS = web.AppKey("links", dict[str, str])
routes = web.RouteTableDef()


@routes.post("/")
async def shorten(request: web.Request) -> web.Response:
    target = (await request.text()).strip()
    if urlsplit(target).scheme not in ("http", "https"):  # `javascript:` is one too
        raise web.HTTPBadRequest(text="a URL that begins with http:// or https://, please")
    key = secrets.token_urlsafe(4)
    request.app[LINKS][key] = target
    url = request.app.router["link"].url_for(key=key)
    return web.Response(text=str(url), status=201, headers={"Location": str(url)})


@routes.get("/to/{key}", name="link")
async def follow(request: web.Request) -> web.Response:
    target = request.app[LINKS].get(request.match_info["key"])
    if target is None:
        raise web.HTTPNotFound(text="no such link")
    raise web.HTTPFound(target)


@routes.get("/old")
async def moved(request: web.Request) -> web.Response:
    raise web.HTTPMovedPermanently("/to/home")


app = web.Application()
app[LINKS] = {"home": "https://example.org/"}
app.add_routes(routes)

if __name__ == "__main__":
    web.run_app(app, port=int(os.environ.get("PORT", "8080")))
