"""What the demo shows: each scene does its work, checks every answer, and gives the row of the table that tells of it."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.memory import peak_size, reset_peak, resident_size

import wirebird

from .origin import Origin
from .progress import show_progress
from .server import SMALL
from .table import Row

__all__ = [
    "chat",
    "download",
    "download_to_file",
    "echo_json",
    "follow_redirects",
    "get_crowded",
    "get_over_tls",
    "get_small",
    "read_events",
    "show_errors",
    "upload_file",
    "upload_generated",
]

CROWD = 20_000  # the most calls that are under way at the same time
CONNECTIONS = 50
PIECE = 262_144


class Surprise(Exception):
    """An answer was not what it should be."""


def expect(condition: bool, what: str) -> None:
    """Every answer is looked at: a demo that counts errors as successes shows nothing."""
    if not condition:
        raise Surprise(what)


@contextmanager
def measured(row: Row) -> Iterator[None]:
    """Fill in how long the block took, and how far the memory of this process grew meanwhile."""
    reset_peak()
    before = resident_size()
    began = time.perf_counter()
    yield
    row.seconds = time.perf_counter() - began
    row.memory = max(0, peak_size() - before)


def connector(context: ssl.SSLContext | None = None) -> wirebird.TCPConnector:
    """Enough connections, for as many requests as there are."""
    return wirebird.TCPConnector(pool_size=CONNECTIONS, conn_max_requests=None, ssl=context)


async def get_crowded(origin: Origin, count: int) -> Row:
    """Thousands of small GETs, all of them asked for before the first is answered."""
    count = min(count, CROWD)
    return await _get_many(f"{origin.http}/small", count, count, connector(), f"GET small, {count:,} callers at once")


async def get_small(origin: Origin, count: int) -> Row:
    """As many small GETs as fifty tasks get answered."""
    callers = min(count, CONNECTIONS)
    return await _get_many(f"{origin.http}/small", count, callers, connector(), f"GET small, {callers} callers")


async def get_over_tls(origin: Origin, count: int) -> Row:
    """The same over TLS, the certificate verified."""
    context = wirebird.tls_context(cafile=origin.authority)
    callers = min(count, CONNECTIONS)
    return await _get_many(f"{origin.https}/small", count, callers, connector(context), f"GET small over TLS, {callers} callers")


async def _get_many(url: str, count: int, callers: int, way: wirebird.TCPConnector, title: str) -> Row:
    row = Row(title, count, 0)
    async with wirebird.HTTPClient(way) as client, show_progress(title, count) as counter:
        turns = iter(range(count))

        async def caller() -> None:
            for _ in turns:
                response = await client.get(url)
                body = await response.content()
                expect(response.status_code == 200 and body == SMALL, "a small GET was answered with something else")
                counter.done += 1

        with measured(row):
            async with asyncio.TaskGroup() as group:
                for _ in range(callers):
                    group.create_task(caller())
    return row


async def echo_json(origin: Origin, count: int) -> Row:
    """JSON out, JSON back, from fifty tasks."""
    row = Row("POST JSON, echoed", count, 0)
    async with wirebird.HTTPClient(connector()) as client, show_progress("POST JSON", count) as counter:
        numbers = iter(range(count))

        async def caller() -> None:
            for number in numbers:
                value = {"number": number, "text": "zwölf Boxkämpfer", "list": [1, 2, 3]}
                response = await client.post(f"{origin.http}/echo", json=value)
                expect(await response.json() == value, "the echo of a JSON value is another value")
                counter.done += 1

        with measured(row):
            async with asyncio.TaskGroup() as group:
                for _ in range(CONNECTIONS):
                    group.create_task(caller())
    return row


async def download(origin: Origin, size: int) -> Row:
    """A long body, read in pieces: no more of it is in memory than the read-ahead and one piece."""
    row = Row(f"download {size / 1e6:,.0f} MB, streamed", 1, 0, size)
    async with wirebird.HTTPClient() as client, show_progress("download, streamed", size, "B") as counter:
        with measured(row):
            async with client.get(f"{origin.http}/stream/{size}") as response:
                async for piece in response.iter_bytes():
                    counter.done += len(piece)
        expect(counter.done == size, f"{counter.done} of {size} bytes came")
    return row


async def upload_generated(origin: Origin, size: int) -> Row:
    """A body that is made while it is sent, in chunks, as fast as the server takes it."""
    row = Row(f"upload {size / 1e6:,.0f} MB, generated", 1, 0, size)
    async with wirebird.HTTPClient() as client, show_progress("upload, generated", size, "B") as counter:
        piece = os.urandom(PIECE)

        async def pieces() -> AsyncIterator[bytes]:
            while counter.done < size:
                part = piece[: size - counter.done]
                counter.done += len(part)
                yield part

        with measured(row):
            response = await client.post(f"{origin.http}/upload", data=pieces())
            received = (await response.json())["received"]
        expect(received == size, f"the server counted {received} of {size} bytes")
    return row


async def upload_file(origin: Origin, size: int) -> Row:
    """A file in a multipart form, read while it is sent."""
    row = Row(f"upload {size / 1e6:,.0f} MB file, multipart", 1, 0, size)
    path = origin.files / "upload.bin"
    await asyncio.to_thread(_write_file, path, size)
    form = wirebird.MultipartForm()
    form.add_field("title", "a file from the demo")
    form.add_file("file", path)
    whole = form.size() or 0
    async with wirebird.HTTPClient() as client:
        with measured(row):
            response = await client.post(f"{origin.http}/upload", data=form)
            received = (await response.json())["received"]
    expect(received == whole > size, f"the server counted {received} of {whole} bytes")
    return row


def _write_file(path: Path, size: int) -> None:
    piece = os.urandom(PIECE)
    with path.open("wb") as file:
        for _ in range(0, size, PIECE):
            file.write(piece)
        file.truncate(size)


async def download_to_file(origin: Origin, size: int) -> Row:
    """A file whose transfer is cut twice: it goes on where it was, and appears when it is complete."""
    row = Row(f"file of {size / 1e6:,.0f} MB, cut twice and resumed", 3, 0, size)
    async with wirebird.HTTPClient() as client, show_progress("download, to a file", size, "B") as counter:

        def progress(done: int, total: int | None) -> None:
            counter.done = done

        with measured(row):
            file = await client.download(f"{origin.http}/file/{size}", origin.files / "file.bin", size=size, progress=progress)
        expect(file.resumptions == 2 and file.path.stat().st_size == size, f"{file} is not what it should be")
    return row


async def read_events(origin: Origin, count: int) -> Row:
    """The answer of a language model, word by word."""
    row = Row(f"{count:,} Server-Sent Events", 1, 0)
    words = 0
    async with wirebird.HTTPClient() as client, show_progress("events", count) as counter:
        with measured(row):
            async for event in client.events(f"{origin.http}/events/{count}", reconnect=False):
                words += event.data.endswith('"word"}}]}')
                counter.done += 1
        expect(words == counter.done == count, f"{words} of {count} events came")
    row.requests = count
    return row


async def chat(origin: Origin, count: int, sockets: int = 10) -> Row:
    """Conversations over WebSockets, with compression: each message is awaited before the next is sent."""
    row = Row(f"{count:,} messages over {sockets} WebSockets", count, 0)
    each = max(1, count // sockets)
    url = origin.http.replace("http", "ws", 1) + "/chat"

    async def talk(number: int) -> None:
        async with client.websocket(url) as ws:
            expect(ws.compression is not None, "compression was declined")
            for turn in range(each):
                said = f"{number} says {turn}" if turn % 10 else f"{number} goes on and on, " * 40
                await ws.send(said)
                expect((await ws.receive()).data == said, "something else came back")
                counter.done += 1

    async with wirebird.HTTPClient() as client, show_progress("messages", each * sockets) as counter:
        with measured(row):
            await asyncio.gather(*[talk(number) for number in range(sockets)])
    row.requests = each * sockets
    return row


async def follow_redirects(origin: Origin, count: int, hops: int = 3) -> Row:
    """Chains of redirects, each of which sets a cookie that the next request brings back."""
    row = Row(f"{count:,} chains of {hops} redirects, cookies", count * (hops + 1), 0)
    async with wirebird.HTTPClient(connector(), handle_cookies=True, follow=True) as client:
        with measured(row):
            for _ in range(count):
                response = await client.get(f"{origin.http}/hop/{hops}")
                sent = (await response.json())["cookies"].split("; ")
                expect(len(response.history) == hops, "a redirect was lost")
                expect(sorted(sent) == [f"step{step}=done" for step in range(1, hops + 1)], f"the cookies were {sent}")
    return row


async def show_errors(origin: Origin, say: Callable[[str], None]) -> Row:
    """What goes wrong in a network, and what the caller gets to see of it."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    cases: list[tuple[str, str, type[wirebird.WirebirdError]]] = [
        ("nobody listens", nobody, wirebird.ConnectError),
        ("silence, for longer than sock_read", f"{origin.http}/silence", wirebird.ReadTimeout),
        ("half of a body", f"{origin.http}/cut", wirebird.IncompleteBody),
        ("not HTTP at all", f"{origin.http}/garbage", wirebird.InvalidResponse),
        ("20 MB in 20 kB of gzip", f"{origin.http}/bomb", wirebird.LimitExceeded),
        ("404, with raise_for_status", f"{origin.http}/nowhere", wirebird.StatusError),
        ("more redirects than allowed", f"{origin.http}/hop/50", wirebird.TooManyRedirects),
        ("a line break in a header", "", wirebird.InvalidHeader),
    ]
    if origin.https:
        cases.append(("a certificate from nobody known", f"{origin.https}/small", wirebird.TLSError))
    row = Row(f"{len(cases)} failures, each with its error", len(cases), 0)
    timeouts = wirebird.Timeouts(sock_connect=5, sock_read=0.5, request_timeout=10)
    width = max(len(what) for what, _, _ in cases)
    async with wirebird.HTTPClient(timeouts=timeouts, follow=True, raise_for_status=True, max_body_size=2**20) as client:
        with measured(row):
            for what, url, expected in cases:
                headers = None if url else {"X-Name": "a\r\nX-Other: b"}
                began = time.perf_counter()
                try:
                    response = await client.get(url or origin.http, headers=headers)
                    await response.content()
                except wirebird.WirebirdError as error:
                    expect(isinstance(error, expected), f"{what}: {error!r} instead of {expected.__name__}")
                    took = f"{(time.perf_counter() - began) * 1000:.0f} ms"
                    say(f"    {what:<{width}}  {took:>6}  {type(error).__name__}: {_short(error.message)}")
                else:
                    raise Surprise(f"{what}: no error")
        response = await client.get(f"{origin.http}/small")
        expect(response.ok and client.stats()["in_use"] == 0, "the client did not survive")
        say(f"    {'and the same client goes on':<{width}}  {'':>6}  {response!r}, {client.stats()['in_use']} connections in use")
    return row


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 72 else f"{text[:71]}…"
