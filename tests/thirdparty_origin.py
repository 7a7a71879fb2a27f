"""What the programs in `tests/thirdparty/` talk to: files, answers that fail at first, and a GraphQL service with subscriptions.

    /files/…                     files: links, ranges, HEAD, PUT and POST; what is stored can be read
    /times/{name}/{n}            n times 503 or `?status=`, with `?drop=1` a broken connection; then the attempt, as text or with
                                 `?json=1` as JSON
    /graphql                     queries, lists of them, uploads (the multipart request specification), subscriptions in parts
    /moved /broken               302 to a file; a body that is cut
    /packed /whole               a file that is compressed; one without ranges
    /slack/…                     the API of a chat, whose events come over `sockets`/events
    `sockets`                    the address of the same service over WebSocket (graphql-transport-ws), served by `websockets`

and whatever `tests/origin.py` has.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import graphql
import websockets
from websockets.asyncio.server import ServerConnection, serve

from aside import Aside
from origin import Asked, Origin, Wire, read_multipart

__all__ = ["ThirdPartyOrigin"]

DATA = b"".join(b"%07x " % number for number in range(40_000))
CONTINENTS = [{"code": "AF", "name": "Africa"}, {"code": "AS", "name": "Asia"}, {"code": "EU", "name": "Europe"}]
SCHEMA = """
    scalar Upload
    type Continent { code: String! name: String! }
    type File { name: String! size: Int! }
    type Query { continents: [Continent!]! continent(code: String!): Continent told: String! wrong: String }
    type Mutation { upload(file: Upload!): File! }
    type Subscription { count(to: Int!): Int! }
"""
KINDS = {"txt": "text/plain", "csv": "text/csv; charset=utf-8", "gz": "application/gzip", "bin": "application/octet-stream"}


class ThirdPartyOrigin(Aside):
    """The servers, in a thread with an event loop of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.origin = Origin()
        self.sockets = ""
        self.open = 0  # WebSockets
        self.attempts: Counter[str] = Counter()
        self.acknowledged: list[Any] = []
        self.files = {
            "a.txt": b"first",
            "b.txt": b"second",
            "data.bin": DATA,
            "lines.csv": "a;b\nä;ö\n".encode(),
            "packed.txt.gz": gzip.compress(b"packed text", mtime=0),
            "sub/c.txt": b"third",
        }
        self.schema = graphql.build_schema(SCHEMA)
        assert self.schema.subscription_type is not None
        self.schema.subscription_type.fields["count"].subscribe = self._count

    @property
    def base(self) -> str:
        return self.origin.url("").rstrip("/")

    async def serve(self) -> None:
        answer = self.origin._answer

        async def routed(asked: Asked, wire: Wire) -> None:
            for prefix, handler in (("/files/", self._file), ("/times/", self._time), ("/slack/", self._slack)):
                if asked.path.startswith(prefix):
                    await handler(asked, wire, asked.path.removeprefix(prefix))
                    return
            await answer(asked, wire)

        self.origin._answer = routed  # type: ignore[method-assign]
        self.origin.on("/graphql", self._graphql)
        self.origin.on("/moved", self._moved)
        self.origin.on("/posted", self.origin._echo)
        self.origin.on("/packed", self._packed)
        self.origin.on("/whole", self._whole)
        self.origin.always("/broken", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nno more than this", close=True)
        async with self.origin, serve(self._socket, "127.0.0.1", 0, select_subprotocol=_chosen) as server:
            self.sockets = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            await self.ready()

    # -- files -----------------------------------------------------------------------------------------------------------

    async def _file(self, asked: Asked, wire: Wire, name: str) -> None:
        if asked.method in ("PUT", "POST"):
            self.files[name] = asked.body
            await wire.respond(201, reason="Created")
        elif name in ("", "sub/"):
            below = {path.removeprefix(name).partition("/") for path in self.files if path.startswith(name)}
            links = sorted({f'<a href="{first}{slash}">{first}</a>' for first, slash, _ in below})
            await wire.respond(200, [("Content-Type", "text/html; charset=utf-8")], "\n".join(links).encode())
        elif name not in self.files:
            await wire.respond(404, body=b"nothing here", reason="Not Found")
        else:
            await self._part(asked, wire, name)

    async def _part(self, asked: Asked, wire: Wire, name: str) -> None:
        data = self.files[name]
        fields = [("Content-Type", KINDS[name.rpartition(".")[2]]), ("Accept-Ranges", "bytes"), ("ETag", f'"{len(data)}"')]
        match = re.fullmatch(r"bytes=([0-9]*)-([0-9]*)", asked.headers.get("range", ""))
        if match is None:
            await wire.respond(200, fields, data)
            return
        first, last = match.groups()
        start = int(first) if first else len(data) - int(last)
        end = min(int(last) + 1, len(data)) if first and last else len(data)
        fields.append(("Content-Range", f"bytes {start}-{end - 1}/{len(data)}"))
        await wire.respond(206, fields, data[start:end], reason="Partial Content")

    async def _moved(self, asked: Asked, wire: Wire) -> None:
        await wire.respond(302, [("Location", "/files/a.txt")], reason="Found")

    async def _packed(self, asked: Asked, wire: Wire) -> None:
        """Compressed, whatever was asked for."""
        await wire.respond(200, [("Content-Encoding", "gzip")], gzip.compress(DATA, mtime=0))

    async def _whole(self, asked: Asked, wire: Wire) -> None:
        """No ranges, and says so."""
        await wire.respond(200, [("Accept-Ranges", "none"), ("Content-Type", "text/plain")], b"never in parts")

    # -- answers that fail at first --------------------------------------------------------------------------------------

    async def _time(self, asked: Asked, wire: Wire, rest: str) -> None:
        name, _, times = rest.partition("/")
        self.attempts[name] += 1
        if self.attempts[name] > int(times):
            told = {"attempt": self.attempts[name], **({"ok": True} if asked.arg("json") else {})}
            kind = "application/json" if asked.arg("json") else "text/plain"
            await wire.respond(200, [("Content-Type", kind)], json.dumps(told).encode())
        elif asked.arg("drop"):
            wire.abort()
        else:
            await wire.respond(int(asked.arg("status", "503")), [("Retry-After", "0")], b"not yet", reason="Not Yet")

    # -- a chat ----------------------------------------------------------------------------------------------------------

    async def _slack(self, asked: Asked, wire: Wire, name: str) -> None:
        """What the API of a chat answers; `told` is what was asked."""
        kind = asked.headers.get("content-type", "")
        told = {
            "type": kind,
            "query": asked.query,
            "body": "" if kind.startswith("multipart") else asked.body.decode(),
            "fields": read_multipart(asked.body, kind) if kind.startswith("multipart") else None,
            "authorization": asked.headers.get("authorization"),
            "own": asked.headers.get("x-own"),
        }
        answer: dict[str, Any] = {"ok": True, "told": told}
        if name == "conversations.list":
            page = 2 if "cursor" in asked.query else 1
            answer["channels"] = [{"name": f"channel {page}"}]
            answer["response_metadata"] = {"next_cursor": "more" if page == 1 else ""}
        elif name == "chat.delete":
            answer = {"ok": False, "error": "message_not_found"}
        elif name == "apps.connections.open":
            answer["url"] = f"{self.sockets}/events"
        fields = [("Content-Type", "application/json; charset=utf-8"), ("X-Slack", "yes")]
        await wire.respond(200, fields, json.dumps(answer).encode())

    async def _events(self, socket: ServerConnection) -> None:
        """Three events, each when the one before was acknowledged."""
        await socket.send(json.dumps({"type": "hello"}))
        for number in range(3):
            event = {"type": "events_api", "envelope_id": f"E{number}", "payload": {"n": number}}
            await socket.send(json.dumps(event))
            self.acknowledged.append(json.loads(await socket.recv()))
        await socket.wait_closed()

    # -- GraphQL ---------------------------------------------------------------------------------------------------------

    async def _graphql(self, asked: Asked, wire: Wire) -> None:
        if asked.headers["content-type"].startswith("multipart/"):
            form, files = read_multipart(asked.body, asked.headers["content-type"])
            request = json.loads(form["operations"])
            for field, (path,) in json.loads(form["map"]).items():
                # A part without the name of a file is a field, whatever it has been made of.
                sent = {"": {"field": field, "type": "", "data": form[field]}} if field in form else files
                name, file = next((name, file) for name, file in sent.items() if file["field"] == field)
                request["variables"][path.removeprefix("variables.")] = {
                    "name": f"{name} {file['type']}",
                    "size": len(file["data"]),
                }
        else:
            request = json.loads(asked.body)
        if isinstance(request, dict) and request["query"].lstrip().startswith("subscription"):
            await self._parts(request, wire)
            return
        if isinstance(request, list):
            answer: Any = [await self._execute(one, asked) for one in request]
        else:
            answer = await self._execute(request, asked)
        await wire.respond(200, [("Content-Type", "application/json")], json.dumps(answer).encode())

    async def _execute(self, request: dict[str, Any], asked: Asked | None = None) -> Any:
        own = {name: asked.headers.get(name) for name in ("x-own", "cookie")} if asked else {}
        root = {
            "continents": CONTINENTS,
            "continent": lambda info, code: next((one for one in CONTINENTS if one["code"] == code), None),
            "told": json.dumps(own),
            "upload": lambda info, file: file,
            "wrong": ValueError("it went wrong"),
        }
        result = await graphql.graphql(
            self.schema,
            request["query"],
            root,
            variable_values=request.get("variables"),
            operation_name=request.get("operationName"),
        )
        return result.formatted

    async def _subscribe(self, request: dict[str, Any]) -> AsyncIterator[Any]:
        found = graphql.subscribe(self.schema, graphql.parse(request["query"]), variable_values=request.get("variables"))
        results: Any = await found if asyncio.iscoroutine(found) else found
        async with aclosing(results):
            async for result in results:
                yield result.formatted

    async def _count(self, root: Any, info: Any, to: int) -> AsyncIterator[dict[str, int]]:
        for number in range(1, to + 1):
            await asyncio.sleep(0)
            yield {"count": number}

    async def _parts(self, request: dict[str, Any], wire: Wire) -> None:
        """Each result is a part of its own, and a chunk of its own."""

        def chunk(data: str) -> bytes:
            return b"%x\r\n%b\r\n" % (len(data), data.encode())

        kind = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0"
        await wire.send(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        head = "\r\n--graphql\r\nContent-Type: application/json\r\n\r\n"
        await wire.send(chunk(head + "{}"))
        async for result in self._subscribe(request):
            await wire.send(chunk(head + json.dumps({"payload": result})))
        await wire.send(chunk("\r\n--graphql--\r\n") + b"0\r\n\r\n")

    async def _socket(self, socket: ServerConnection) -> None:
        self.open += 1
        tasks: dict[str, asyncio.Task[None]] = {}

        async def answer(name: str, request: dict[str, Any]) -> None:
            if request["query"].lstrip().startswith("subscription"):
                async for result in self._subscribe(request):
                    await socket.send(json.dumps({"id": name, "type": "next", "payload": result}))
            else:
                await socket.send(json.dumps({"id": name, "type": "next", "payload": await self._execute(request)}))
            await socket.send(json.dumps({"id": name, "type": "complete"}))

        try:
            if socket.request is not None and socket.request.path == "/events":
                await self._events(socket)
            async for message in socket:
                told = json.loads(message)
                if told["type"] == "connection_init":
                    await socket.send(json.dumps({"type": "connection_ack"}))
                elif told["type"] == "ping":
                    await socket.send(json.dumps({"type": "pong"}))
                elif told["type"] == "subscribe":
                    tasks[told["id"]] = asyncio.create_task(answer(told["id"], told["payload"]))
                elif told["type"] == "complete" and told["id"] in tasks:
                    tasks[told["id"]].cancel()
        finally:
            for task in tasks.values():
                task.cancel()
            if tasks:
                await asyncio.wait(tasks.values())
            self.open -= 1


def _chosen(connection: ServerConnection, offered: Sequence[websockets.Subprotocol]) -> websockets.Subprotocol | None:
    return next((one for one in offered if one == "graphql-transport-ws"), None)
