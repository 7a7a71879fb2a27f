"""An application below another: paths, middlewares and what is kept are its own; what starts and ends one does so with both."""

import hmac
import os
from collections.abc import Awaitable, Callable

from wirebird import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TOKEN = os.environ.get("TOKEN", "let me in")
HITS = web.AppKey("hits", dict[str, int])


@web.middleware
async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
    hits = site[HITS]
    hits[request.path] = hits.get(request.path, 0) + 1
    return await handler(request)


@web.middleware
async def only_with_token(request: web.Request, handler: Handler) -> web.StreamResponse:
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {TOKEN}".encode()):
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
    return await handler(request)


async def home(request: web.Request) -> web.Response:
    return web.Response(text=f"admins go to {admin.router['hits'].url_for()}")


async def show_hits(request: web.Request) -> web.Response:
    return web.json_response(site[HITS])


admin = web.Application(middlewares=[only_with_token])
admin.add_routes([web.get("/hits", show_hits, name="hits")])

site = web.Application(middlewares=[count])
site[HITS] = {}
site.add_routes([web.get("/", home)])
site.add_subapp("/admin", admin)

if __name__ == "__main__":
    web.run_app(site, port=int(os.environ.get("PORT", "8080")))
