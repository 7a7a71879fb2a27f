"""Applications to be held against several servers: a bare one, that misbehaves by path, one of Starlette and one of FastAPI.

Each keeps in `log` what it was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, UploadFile
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

__all__ = ["bare", "fast", "starlette", "talker"]

TYPE = (b"content-type", b"text/plain")


def start(status: int = 200, *fields: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(fields), **more}


def body(data: bytes = b"", more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def length(size: int) -> tuple[bytes, bytes]:
    return (b"content-length", b"%d" % size)


# What is sent for a path: messages, and exceptions to be raised where they stand.
ANSWERS: dict[str, list[Any]] = {
    "/plain": [start(200, TYPE), body(b"hello")],
    "/sized": [start(200, TYPE, length(5)), body(b"hello")],
    "/stream": [start(200, TYPE), body(b"a", True), body(b"", True), body(b"b", True), body()],
    "/sized-stream": [start(200, TYPE, length(2)), body(b"a", True), body(b"b", True), body()],
    "/empty": [start(200, TYPE, length(0)), body()],
    "/204": [start(204), body()],
    "/304": [start(304, (b"etag", b'"x"')), body()],
    "/twice": [start(200, (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"X-Upper", b"V")), body(b"x")],
    "/close": [start(200, TYPE, (b"connection", b"close")), body(b"x")],
    "/date": [start(200, TYPE, (b"date", b"then"), (b"server", b"me")), body(b"x")],
    "/teapot": [start(418, TYPE), body(b"x")],
    "/odd": [start(599, TYPE), body(b"x")],
    "/chunked": [start(200, TYPE, (b"transfer-encoding", b"chunked")), body(b"x")],
    "/latin": [start(200, TYPE, (b"x-latin", b"caf\xe9")), body(b"x")],
    "/big": [start(200, TYPE), body(b"b" * 1_000_000)],
    "/big-stream": [start(200, TYPE), *[body(b"c" * 100_000, True) for _ in range(10)], body()],
    "/raises": [RuntimeError("odd")],
    "/raises-started": [start(200, TYPE), RuntimeError("odd")],
    "/raises-late": [start(200, TYPE), body(b"abc", True), RuntimeError("odd")],
    "/raises-after": [start(200, TYPE), body(b"abc"), RuntimeError("odd")],
    "/nothing": [],
    "/started": [start(200, TYPE)],
    "/early": [start(200, TYPE), body(b"abc", True)],
    "/short": [start(200, TYPE, length(10)), body(b"abc")],
    "/long": [start(200, TYPE, length(2)), body(b"abc")],
    "/long-late": [start(200, TYPE, length(4)), body(b"abc", True), body(b"abc")],
    "/body-first": [body(b"x")],
    "/start-twice": [start(200, TYPE), start(200, TYPE), body(b"x")],
    "/break": [start(200, TYPE, (b"x-a", b"b\r\nx-c: d")), body(b"x")],
}


def bare(log: list[Any]) -> Any:
    """`/echo` and `/scope` besides the answers above; `/gone` listens for the end, `/after` works on behind its response."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == "/echo":
            pieces = [b""]
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    log.append("disconnected")
                    return
                pieces.append(message["body"])
                if not message["more_body"]:
                    break
            data = b"".join(pieces)
            await send(start(200, TYPE, (b"x-length", b"%d" % len(data)), length(len(data))))
            await send(body(data))
            log.append((await receive())["type"])
        elif path.startswith("/scope"):
            names = (
                "headers",
                "http_version",
                "method",
                "path",
                "query_string",
                "raw_path",
                "root_path",
                "scheme",
                "state",
                "type",
            )
            await send(start(200, TYPE))
            await send(body(repr([(name, scope[name]) for name in names]).encode()))
        elif path == "/gone":
            log.append("here")
            log.append((await receive())["type"])
            log.append((await receive())["type"])
        elif path == "/after":
            await send(start(200, TYPE, length(1)))
            await send(body(b"x"))
            log.append("sent")
            await asyncio.sleep(0.02)
            log.append("done")
        else:
            for message in ANSWERS.get(path, [start(404, TYPE), body(b"no")]):
                if isinstance(message, Exception):
                    raise message
                await send(dict(message))

    return app


def talker(log: list[Any]) -> Any:
    """WebSockets: what a path is called says what happens.  What is received goes to `log`."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            return
        path = scope["path"]
        log.append((await receive())["type"])
        if path == "/refuse":
            await send({"type": "websocket.close"})
            log.append(await receive())
            return
        if path == "/answer":
            await send({"type": "websocket.http.response.start", "status": 401, "headers": [TYPE, (b"x-why", b"so")]})
            await send({"type": "websocket.http.response.body", "body": b"a", "more_body": True})
            await send({"type": "websocket.http.response.body", "body": b"b"})
            return
        if path == "/raise":
            raise RuntimeError("odd")
        if path == "/return":
            return
        accept: dict[str, Any] = {"type": "websocket.accept"}
        if path == "/choose":
            accept["subprotocol"] = scope["subprotocols"][1]
            accept["headers"] = [(b"x-a", b"1"), (b"set-cookie", b"a=b")]
        await send(accept)
        if path == "/close":
            await send({"type": "websocket.close", "code": 4001, "reason": "why"})
            log.append(await receive())
            return
        if path == "/close-plain":
            await send({"type": "websocket.close"})
            return
        if path == "/first":
            await send({"type": "websocket.send", "text": "grüße"})
            await send({"type": "websocket.send", "bytes": b"\x00\xff"})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                log.append(message)
                break
            data = message.get("text")
            if data == "raise":
                raise RuntimeError("odd")
            if data is not None:
                await send({"type": "websocket.send", "text": data})
            else:
                await send({"type": "websocket.send", "bytes": message["bytes"]})
        try:
            await send({"type": "websocket.send", "text": "too late"})
        except OSError:
            log.append("OSError")

    return app


def starlette(log: list[Any], folder: Path) -> Any:
    """An application of Starlette: whatever it has that concerns a server."""

    async def home(request: Request) -> Response:
        return JSONResponse({"query": dict(request.query_params), "state": request.state.kept, "path": request.url.path})

    async def echo(request: Request) -> Response:
        return Response(await request.body(), media_type="application/x-echo", headers={"x-method": request.method})

    async def pieces(request: Request) -> Response:
        size = 0
        try:
            async for piece in request.stream():
                size += len(piece)
        except ClientDisconnect:
            log.append("ClientDisconnect")
            raise
        return PlainTextResponse(str(size))

    async def stream(request: Request) -> Response:
        async def give() -> AsyncIterator[bytes]:
            for number in range(5):
                yield b"%d," % number
                await asyncio.sleep(0)

        return StreamingResponse(give(), media_type="text/csv")

    async def endless(request: Request) -> Response:
        async def give() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 1000
                    await asyncio.sleep(0.001)
            finally:
                log.append("stopped")

        return StreamingResponse(give())

    async def later(request: Request) -> Response:
        async def work() -> None:
            await asyncio.sleep(0.02)
            log.append("worked")

        return PlainTextResponse("soon", background=BackgroundTask(work))

    def in_thread(request: Request) -> Response:
        return PlainTextResponse("from a thread")

    async def raises(request: Request) -> Response:
        raise RuntimeError("odd")

    async def cookies(request: Request) -> Response:
        response = PlainTextResponse(repr(sorted(request.cookies.items())))
        response.set_cookie("a", "1", httponly=True)
        response.set_cookie("b", "2")
        return response

    async def file(request: Request) -> Response:
        return FileResponse(folder / "big.bin", filename="big.bin")

    async def wraps(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-wrapped"] = "yes"
        return response

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text.upper())
        log.append("talked")

    async def deny(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse("not you", status_code=403))

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
        log.append("start")
        yield {"kept": "from the start"}
        log.append("end")

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/", home),
            Route("/echo", echo, methods=["POST", "PUT"]),
            Route("/pieces", pieces, methods=["POST"]),
            Route("/stream", stream, middleware=[Middleware(GZipMiddleware, minimum_size=1)]),
            Route("/endless", endless),
            Route("/later", later),
            Route("/thread", in_thread),
            Route("/raises", raises),
            Route("/cookies", cookies),
            Route("/file", file),
            Route("/redirect", lambda request: RedirectResponse("/stream")),
            Route("/slash/", home),
            Mount("/static", StaticFiles(directory=folder)),
            Mount("/mounted", routes=[Route("/here", home)]),
            WebSocketRoute("/talk", talk),
            WebSocketRoute("/deny", deny),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=wraps)],
    )


def fast(log: list[Any]) -> Any:
    """An application of FastAPI."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        log.append("start")
        yield
        log.append("end")

    app = FastAPI(lifespan=lifespan)

    async def resource() -> AsyncIterator[str]:
        yield "resource"
        log.append("released")

    @app.get("/items/{number}")
    async def item(number: int, q: str | None = None, kept: str = Depends(resource)) -> dict[str, Any]:
        return {"number": number, "q": q, "kept": kept}

    @app.post("/items", status_code=201)
    async def create(item: dict[str, int]) -> dict[str, int]:
        return {name: value + 1 for name, value in item.items()}

    @app.get("/refuse")
    async def refuse() -> None:
        raise HTTPException(409, "no", headers={"x-why": "so"})

    @app.get("/sync")
    def sync() -> str:
        return "in a thread"

    @app.get("/later")
    async def later(tasks: BackgroundTasks) -> str:
        async def work(word: str) -> None:
            log.append(word)

        tasks.add_task(work, "one")
        tasks.add_task(work, "two")
        return "soon"

    @app.post("/upload")
    async def upload(file: UploadFile) -> dict[str, Any]:
        return {"name": file.filename, "size": len(await file.read())}

    @app.websocket("/talk/{name}")
    async def talk(websocket: WebSocket, name: str) -> None:
        await websocket.accept()
        data = await websocket.receive_json()
        await websocket.send_json({"hello": name, **data})
        await websocket.close(3000, "done")

    return app
