"""Names for resources: no handler knows a path but by its name."""

import os
from html import escape

from wirebird import web

BOOKS = {1: "Moby Dick", 2: "Emma", 3: "Ulysses"}
routes = web.RouteTableDef()


@routes.get("/", name="list")
async def list_books(request: web.Request) -> web.Response:
    book = request.app.router["book"]
    items = [f'<li><a href="{book.url_for(id=number)}">{escape(title)}</a></li>' for number, title in BOOKS.items()]
    return web.Response(text=f"<ul>{''.join(items)}</ul>", content_type="text/html")


@routes.get("/books/{id:[0-9]+}", name="book")
async def show_book(request: web.Request) -> web.Response:
    title = BOOKS.get(int(request.match_info["id"]))
    if title is None:
        raise web.HTTPNotFound
    back = request.app.router["list"].url_for().with_query(seen=title)
    return web.Response(text=f'<h1>{escape(title)}</h1><a href="{escape(str(back))}">all books</a>', content_type="text/html")


app = web.Application()
app.add_routes(routes)

if __name__ == "__main__":
    web.run_app(app, port=int(os.environ.get("PORT", "8080")))
