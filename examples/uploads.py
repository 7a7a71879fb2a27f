"""Files that arrive: small ones with a form, and one of any size as a stream, of which only a piece is in memory."""

import hashlib
import os
import tempfile
from pathlib import Path

from wirebird import web

FOLDER = Path(os.environ.get("FOLDER") or tempfile.mkdtemp(prefix="uploads-"))
routes = web.RouteTableDef()


@routes.get("/")
async def ask(request: web.Request) -> web.Response:
    text = (
        '<form method="post" enctype="multipart/form-data"><input type="file" name="file" multiple><button>Send</button></form>'
    )
    return web.Response(text=text, content_type="text/html")


@routes.post("/")
async def store(request: web.Request) -> web.Response:
    form = await request.post()  # up to the application's `max_body_size`; larger files are on disk already
    saved = {}
    for file in form.files:
        name = file.safe_filename  # never what the client says
        await file.save(FOLDER / name, overwrite=True)
        saved[name] = file.size
    return web.json_response(saved, status=201)


@routes.put("/digest")
async def digest(request: web.Request) -> web.Response:
    found = hashlib.sha256()
    async for piece in request.content.iter_any():
        found.update(piece)
    return web.json_response({"sha256": found.hexdigest(), "bytes": request.content.total_bytes})


app = web.Application(max_body_size=10 * 1024 * 1024)
app.add_routes(routes)

if __name__ == "__main__":
    web.run_app(app, port=int(os.environ.get("PORT", "8080")))
