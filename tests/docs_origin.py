"""What the examples of the documentation talk to: the hosts under `example`, on this machine.

A resolver of our own stands where the client would ask the operating system.  Each of `HOSTS` is 127.0.0.1: port 80 is a plain
origin, port 443 the same over TLS, with a certificate that `ca.pem` in the working directory vouches for.  `wrong.example` has
a certificate for somebody else, and at `down.example` nobody listens.  Every other name does not resolve, so an example cannot
leave this machine.  `app.sock` in the working directory is a Unix socket with the same origin behind it.

`chat.example` opens WebSockets: `/echo`, and `/count`, which counts to three and closes.

`proxy.example:3128` and `socks.example` are proxies that want the credentials `reporter:secret`; `secure-proxy.example` is one
within TLS that wants none.
"""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path
from typing import Any

import trustme

from aside import Aside
from digest_guard import Guard
from origin import Asked, Handler, Origin, Wire, pattern
from proxies import HttpProxy, SocksProxy, Streams
from websocket_origin import WebSocketOrigin
from wirebird import Deflate, WebSocket
from wirebird.errors import DNSError
from wirebird.models.message import RequestHead

__all__ = ["DocsOrigin", "DocsResolver", "prepare_folder"]

HOSTS = ("example.org", "api.example", "files.example", "other.example", "staging.example")
PROXIES = ("proxy.example", "secure-proxy.example", "socks.example")
ITEMS = [{"id": number, "name": name} for number, name in enumerate(("kettle", "lamp", "stamp", "spoon", "rope", "chalk"), 1)]


class DocsResolver:
    """The resolver that the client finds in place of the operating system's."""

    ports: dict[tuple[str, int], int] = {}  # noqa: RUF012 - filled once, when the origins are there

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
        if host not in (*HOSTS, *PROXIES, "chat.example", "wrong.example", "down.example"):
            raise DNSError(f"{host} did not resolve: the documentation knows no such host")
        own = self.ports.get((host, port)) or self.ports.get(("*", port), 9)
        return [{"hostname": host, "host": "127.0.0.1", "port": own, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing is held open."""


class DocsOrigin(Aside):
    """The origins, in a thread with an event loop of its own, so that an example may block or run a loop."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.origins: list[Origin] = []
        self.flaky = 0
        self.prepared: set[str] = set()  # what an example finds in the folder

    async def serve(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        authority.issue_cert("client@example.org").private_key_and_cert_chain_pem.write_to_path(str(self.folder / "client.pem"))
        right, wrong = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(*HOSTS).configure_cert(right)
        authority.issue_cert("somebody.else").configure_cert(wrong)
        plain, secure, wrong_one = Origin(), Origin(tls=right), Origin(tls=wrong)
        unix = Origin(uds=str(self.folder / "app.sock"))
        chatting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("chat.example").configure_cert(chatting)
        wishes: dict[str, Any] = {"protocols": ["chat.v1"], "deflate": Deflate(), "max_size": 2**24}
        chat, secure_chat = WebSocketOrigin(**wishes), WebSocketOrigin(tls=chatting, **wishes)
        for talker in (chat, secure_chat):
            talker.on("/count", _count_to_three)
        proxying = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("secure-proxy.example").configure_cert(proxying)
        proxy, secure_proxy, socks = _Http(auth="reporter:secret"), _Http(tls=proxying), _Socks(auth="reporter:secret")
        self.origins = [plain, secure, wrong_one, unix]
        for one in self.origins:
            self._add_answers(one)
        async with plain, secure, wrong_one, unix, chat, secure_chat, proxy, secure_proxy, socks:
            with socket.create_server(("127.0.0.1", 0)) as unused:
                nobody = unused.getsockname()[1]
            DocsResolver.ports = {
                **{("*", port): plain.port for port in (80, 8080)},
                **{("*", port): secure.port for port in (443, 8443)},
                ("wrong.example", 443): wrong_one.port,
                ("chat.example", 80): chat.port,
                ("chat.example", 443): secure_chat.port,
                ("proxy.example", 3128): proxy.port,
                ("secure-proxy.example", 443): secure_proxy.port,
                ("socks.example", 1080): socks.port,
                **{("down.example", port): nobody for port in (80, 443)},
            }
            await self.ready()

    def _add_answers(self, origin: Origin) -> None:
        answers: dict[str, Handler] = {
            "/items": self._items,
            "/old-items": _moved("/items"),
            "/login": _moved("/account", ("Set-Cookie", "session=a1b2c3; Path=/; HttpOnly")),
            "/leave": _moved("https://other.example/echo"),
            "/loop": _moved("/loop"),
            "/account": _echo_of(origin),
            "/echo": _echo_of(origin),
            "/profile": _echo_of(origin),
            "/users": _echo_of(origin),
            "/upload": _count,
            "/video.mp4": _body("video/mp4", pattern(2_000_000)),
            "/report.csv": _body("text/csv; charset=utf-8", b"name,pieces\r\nkettle,3\r\nlamp,12\r\nstamp,7\r\n"),
            "/flaky": self._flaky,
            "/broken": _cut,
            "/members": Guard("SHA-256", user="reader", password="open sesame").handle,
            "/token": _body("application/json", b'{"access_token": "fresh"}'),
            "/private": _private,
            "/ticker": _ticker,
            "/chat": _chat,
            "/dist/data.bin": _file,
            "/cut/data.bin": self._file_that_is_cut,
            "/nowhere": _missing,
        }
        for path, answer in answers.items():
            origin.on(path, answer)

    async def _items(self, asked: Asked, wire: Wire) -> None:
        page = int(asked.arg("page", "1"))
        links = [("Link", f'</items?page={page + 1}>; rel="next"')] if page < 3 else []
        body = json.dumps(ITEMS[2 * page - 2 : 2 * page]).encode()
        await wire.respond(200, [("Content-Type", "application/json"), *links], body, reason="OK")

    async def _file_that_is_cut(self, asked: Asked, wire: Wire) -> None:
        """The first time half of it; then what is asked for."""
        if "range" in asked.headers:
            await _file(asked, wire)
            return
        data = pattern(2_000_000)
        await wire.send(b'HTTP/1.1 200 OK\r\nETag: "v1"\r\nContent-Length: %d\r\n\r\n' % len(data) + data[:1_000_000])
        wire.close()

    async def _flaky(self, asked: Asked, wire: Wire) -> None:
        self.flaky += 1
        if self.flaky % 3:
            await wire.respond(503, [("Retry-After", "0")], b"later", reason="Service Unavailable")
        else:
            await wire.respond(200, [], b"at last")


class _Http(HttpProxy):
    async def connect(self, host: str, port: int) -> Streams:
        return await super().connect("127.0.0.1", DocsResolver.ports["*", port])


class _Socks(SocksProxy):
    async def connect(self, host: str, port: int) -> Streams:
        return await super().connect("127.0.0.1", DocsResolver.ports["*", port])


def _echo_of(origin: Origin) -> Handler:
    async def answer(asked: Asked, wire: Wire) -> None:
        body = json.dumps(asked.echo(origin.scheme)).encode()
        await wire.respond(200, [("Content-Type", "application/json")], body, reason="OK")

    return answer


def _moved(to: str, *more: tuple[str, str]) -> Handler:
    async def answer(asked: Asked, wire: Wire) -> None:
        await wire.respond(302, [("Location", to), *more], reason="Found")

    return answer


def _body(kind: str, body: bytes) -> Handler:
    async def answer(asked: Asked, wire: Wire) -> None:
        await wire.respond(200, [("Content-Type", kind)], body, reason="OK")

    return answer


async def _count(asked: Asked, wire: Wire) -> None:
    body = json.dumps({"received": len(asked.body), "chunked": asked.chunked}).encode()
    await wire.respond(200, [("Content-Type", "application/json")], body, reason="OK")


async def _ticker(asked: Asked, wire: Wire) -> None:
    """Three events, those behind Last-Event-ID; 204 if there are none."""
    after = int(asked.headers.get("last-event-id", "0"))
    events = [f"id: {number}\ndata: {word}\n\n" for number, word in enumerate(("one", "two", "three"), 1) if number > after]
    if events:
        await wire.respond(200, [("Content-Type", "text/event-stream")], "".join(["retry: 100\n", *events]).encode(), reason="OK")
    else:
        await wire.respond(204)


async def _chat(asked: Asked, wire: Wire) -> None:
    words = [json.dumps({"choices": [{"index": 0, "delta": {"content": word}}]}) for word in ("Hello", ",", " world")]
    body = "".join([f"data: {data}\n\n" for data in (*words, "[DONE]")])
    await wire.respond(200, [("Content-Type", "text/event-stream")], body.encode(), reason="OK")


async def _file(asked: Asked, wire: Wire) -> None:
    """With ranges, as downloads ask for them."""
    data = pattern(2_000_000)
    start = int(asked.headers.get("range", "bytes=0-")[6:-1])
    fields = [("ETag", '"v1"')]
    if start and asked.headers.get("if-range") == '"v1"':
        fields.append(("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}"))
        await wire.respond(206, fields, data[start:], reason="Partial Content")
    else:
        await wire.respond(200, fields, data, reason="OK")


async def _count_to_three(ws: WebSocket, head: RequestHead) -> None:
    for number in ("1", "2", "3"):
        await ws.send(number)
    await ws.close(1000, "that was all")


async def _missing(asked: Asked, wire: Wire) -> None:
    await wire.respond(404, [], b"nothing here", reason="Not Found")


async def _cut(asked: Asked, wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nno more than this")
    wire.close()


async def _private(asked: Asked, wire: Wire) -> None:
    if asked.headers.get("authorization") == "Bearer fresh":
        await wire.respond(200, [], b"what only the bearer may read", reason="OK")
    else:
        await wire.respond(401, [("WWW-Authenticate", "Bearer")], reason="Unauthorized")


def prepare_folder(folder: Path) -> None:
    """The files that examples may read."""
    (folder / "photo.jpg").write_bytes(pattern(200_000))
    (folder / "notes.txt").write_text("first\nsecond\n", "utf-8")
    (folder / "netrc").write_text("machine api.example login reader password open-sesame\n", "utf-8")
