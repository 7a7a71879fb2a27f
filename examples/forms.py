"""A form: shown, checked, and shown again with what is wrong.  All that comes from the visitor is escaped."""

import os
from html import escape

from wirebird import web

PAGE = """<!DOCTYPE html>
<title>Register</title>
<form method="post">
  <p>{fault}</p>
  <label>Name <input name="name" value="{name}"></label>
  <label>Age <input name="age" value="{age}"></label>
  <button>Register</button>
</form>
"""
PEOPLE = web.AppKey("people", dict[str, int])
routes = web.RouteTableDef()


def page(*, fault: str = "", name: str = "", age: str = "", status: int = 200) -> web.Response:
    text = PAGE.format(fault=escape(fault), name=escape(name), age=escape(age))
    return web.Response(text=text, content_type="text/html", status=status)


@routes.get("/")
async def ask(request: web.Request) -> web.Response:
    return page()


@routes.post("/")
async def register(request: web.Request) -> web.Response:
    form = await request.post()
    name, age = str(form.get("name", "")).strip(), str(form.get("age", ""))
    if not name or not age.isdecimal():
        return page(fault="A name and a number, please.", name=name, age=age, status=422)
    request.app[PEOPLE][name] = int(age)
    raise web.HTTPSeeOther("/people")  # so that loading the page again does not send the form again


@routes.get("/people")
async def people(request: web.Request) -> web.Response:
    return web.json_response(request.app[PEOPLE])


app = web.Application()
app[PEOPLE] = {}
app.add_routes(routes)

if __name__ == "__main__":
    web.run_app(app, port=int(os.environ.get("PORT", "8080")))
