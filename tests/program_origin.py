"""What the example programs of the seed documents talk to: their hosts, on this machine.

The programs in tests/seed_programs/ are the documents' own, but for misprints and for their import line, and name the hosts that
the documents name.  As for the documentation (tests/docs_origin.py), a resolver of our own leads them here, and a certification
authority of our own vouches for them.  A host that no document names does not resolve.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import json
import socket
import ssl
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import trustme

from aside import Aside
from origin import Asked, Origin, Wire, pattern
from wirebird.errors import DNSError

__all__ = ["PICTURE", "ProgramOrigin", "ProgramResolver", "echo_of", "origin", "place"]

PROGRAMS = Path(__file__).with_name("seed_programs")
HOSTS = (
    *("www.google.com", "google.com", "postman-echo.com", "images.dog.ceo", "www.facebook.com", "twitch.tv", "linkedin.com"),
    *("your-upload-endpoint.com", "pathtoverybigfile.aioreq", "www.example.com", "httpbin.org", "example.com"),
    *("api.github.com", "python.org", "example.org", "xn--e1afmkfd.example"),
)
PICTURE = pattern(400_000)


class ProgramResolver:
    """The resolver that a client finds in place of the operating system's."""

    ports: dict[int, int] = {}  # noqa: RUF012 - filled once, when the origins are there

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
        if host not in HOSTS or port not in self.ports:
            raise DNSError(f"{host}:{port} did not resolve: no seed document names it")
        found = {"hostname": host, "host": "127.0.0.1", "port": self.ports[port], "family": socket.AF_INET}
        return [{**found, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing is held open."""


@cache
def _authority() -> tuple[bytes, ssl.SSLContext]:
    """The certificate of a certification authority, and the context of a server that it vouches for; one for all tests."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*HOSTS).configure_cert(context)
    return authority.cert_pem.bytes(), context


class ProgramOrigin(Aside):
    """The origins, in a thread with an event loop of its own; `chunked` says how bodies are framed that may be either way."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.chunked = False
        self.origins: list[Origin] = []

    @property
    def asked(self) -> list[Asked]:
        """Every request."""
        return [asked for one in self.origins for asked in one.asked]

    @property
    def hosts(self) -> list[str]:
        """The host of every request."""
        return [asked.headers["host"] for asked in self.asked]

    def run(self, name: str, *, typed: bool = False, leaves_open: Sequence[str] | None = None) -> dict[str, Any]:
        """Run a program as `python name` would, in this process; gives its names.  `asyncio.get_event_loop` finds a loop.

        With `typed` as if it were typed in, line by line, so that the values of expressions are shown.  A program that ends
        without closing what it opened says so, in `leaves_open` with the names of its own that hold it.
        """
        path = PROGRAMS / name
        names: dict[str, Any] = {"__name__": "__main__"}
        tree = ast.parse(path.read_text("utf-8"), str(path))
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            if typed:
                for statement in tree.body:
                    exec(compile(ast.Interactive([statement]), str(path), "single"), names)
            else:
                exec(compile(tree, str(path), "exec"), names)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            asyncio.set_event_loop(None)
        if leaves_open is not None:
            for held in leaves_open:
                del names[held]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()
        assert [error for one in self.origins for error in one.faults] == []
        return names

    def release(self) -> None:
        """Let `/held` and `/silent` go on."""
        for one in self.origins:
            self.call(one.release.set)

    async def serve(self) -> None:
        authority, context = _authority()
        (self.folder / "ca.pem").write_bytes(authority)
        plain, secure = Origin(), Origin(tls=context)
        self.origins = [plain, secure]
        for one in self.origins:
            one.on("/", self._page)
            one.on("/breeds/leonberg/n02111129_2301.jpg", self._picture)
            one.on("/upload", one._echo)
        async with plain, secure:
            ProgramResolver.ports = {80: plain.port, 443: secure.port}
            await self.ready()

    async def _page(self, asked: Asked, wire: Wire) -> None:
        host = asked.headers["host"]
        if host == "twitch.tv":
            await wire.respond(301, [("Location", "https://www.twitch.tv/")], reason="Moved Permanently")
        elif host in ("linkedin.com", "pathtoverybigfile.aioreq"):
            await self._in_chunks(wire, PICTURE)
        else:
            await wire.respond(200, [("Content-Type", "text/html; charset=ISO-8859-1")], b"<title>Google</title>", reason="OK")

    async def _picture(self, asked: Asked, wire: Wire) -> None:
        if self.chunked:
            await self._in_chunks(wire, PICTURE)
        else:
            await wire.respond(200, [("Content-Type", "image/jpeg")], PICTURE, reason="OK")

    async def _in_chunks(self, wire: Wire, data: bytes) -> None:
        chunks = [data[at : at + 10_000] for at in range(0, len(data), 10_000)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n")


@pytest.fixture
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProgramOrigin]:
    """The hosts, for one test."""
    with ProgramOrigin(tmp_path_factory.mktemp("origin")) as origin:
        yield origin


@pytest.fixture
def place(origin: ProgramOrigin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProgramOrigin:
    """The same, with the way there: an empty working directory, the resolver, the certification authority."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wirebird.net.resolver.DefaultResolver", ProgramResolver)
    monkeypatch.setenv("SSL_CERT_FILE", str(origin.folder / "ca.pem"))
    return origin


def echo_of(text: str) -> dict[str, Any]:
    """What an echo service answered, from what a program printed."""
    found: dict[str, Any] = json.loads(text)
    return found
