"""Clients that others made, each asking for all that a small site has: h11, aiohttp, httpx, curl, node.

Their WebSockets are here as those of an application; what both sides make of each frame is in `test_websocket_peers.py`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import h11
import httpx
import pytest

import web_ask
from raw_peer import run
from served_site import LARGE, TEXT, Answer, Ask, asks, serving
from websocket_peers import KINDS, Peer, missing
from wirebird import web

CURL = shutil.which("curl")
NODE = shutil.which("node")

Client = Callable[[int, list[Ask]], Awaitable[list[Answer]]]


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 50_000):
        yield body[start : start + 50_000]


async def by_h11(port: int, wanted: list[Ask]) -> list[Answer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    protocol = h11.Connection(h11.CLIENT)
    answers = []

    async def next_event() -> h11.Event:
        while (event := protocol.next_event()) is h11.NEED_DATA:
            protocol.receive_data(await reader.read(65536))
        return event  # type: ignore[return-value]

    for ask in wanted:
        fields = [("Host", f"127.0.0.1:{port}"), *ask.headers.items()]
        if ask.body is not None:
            fields.append(("Transfer-Encoding", "chunked") if ask.chunked else ("Content-Length", str(len(ask.body))))
        writer.write(protocol.send(h11.Request(method=ask.method, target=ask.path, headers=fields)) or b"")
        if "Expect" in ask.headers:
            event = await next_event()
            assert isinstance(event, h11.InformationalResponse)
            assert event.status_code == 100
        if ask.body:
            async for piece in pieces(ask.body):
                writer.write(protocol.send(h11.Data(data=piece)) or b"")
        writer.write(protocol.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        head = await next_event()
        assert isinstance(head, h11.Response), head
        body = b""
        while isinstance(event := await next_event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage), event
        answers.append(Answer(head.status_code, {name.decode(): value.decode() for name, value in head.headers}, body))
        if protocol.our_state is h11.MUST_CLOSE:
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            protocol = h11.Connection(h11.CLIENT)
        else:
            protocol.start_next_cycle()
    writer.close()
    await writer.wait_closed()
    return answers


async def by_aiohttp(port: int, wanted: list[Ask]) -> list[Answer]:
    answers = []
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{port}", connector=connector, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        for ask in wanted:
            data = pieces(ask.body or b"") if ask.chunked else ask.body
            expect = "Expect" in ask.headers
            headers = {name: value for name, value in ask.headers.items() if name != "Expect"}
            async with session.request(
                ask.method, ask.path, headers=headers, data=data, expect100=expect, allow_redirects=False
            ) as response:
                fields = {name.lower(): value for name, value in response.headers.items()}
                answers.append(Answer(response.status, fields, await response.read()))
    return answers


async def by_httpx(port: int, wanted: list[Ask]) -> list[Answer]:
    answers = []
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", limits=limits, verify=ssl.create_default_context()
    ) as client:
        for ask in wanted:
            content = pieces(ask.body or b"") if ask.chunked else ask.body
            response = await client.request(ask.method, ask.path, headers=ask.headers, content=content)
            answers.append(Answer(response.status_code, dict(response.headers), response.content))
    return answers


async def by_curl(port: int, wanted: list[Ask]) -> list[Answer]:
    """Each with a process of its own, all at once."""

    async def one(ask: Ask) -> Answer:
        arguments = ["-q", "-sS", "--max-time", "20", "-D", "-", *(f"-H{name}: {value}" for name, value in ask.headers.items())]
        arguments += ["-I", "-o", os.devnull] if ask.method == "HEAD" else ["-X", ask.method]
        if ask.body is not None:
            arguments += ["--data-binary", "@-", "-HContent-Type:", *(["-HTransfer-Encoding: chunked"] if ask.chunked else [])]
        process = await asyncio.create_subprocess_exec(
            str(CURL),
            *arguments,
            f"http://127.0.0.1:{port}{ask.path}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complaint = await process.communicate(ask.body)
        assert (process.returncode, complaint) == (0, b""), ask
        while said.startswith(b"HTTP/1.1 100 "):
            said = said.partition(b"\r\n\r\n")[2]
        head, _, body = said.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        return Answer(int(first.split(" ")[1]), {name.lower(): value for name, value in fields.items()}, body)

    return list(await asyncio.gather(*[one(ask) for ask in wanted]))


_NODE = """
const http = require('http');
const { port, wanted } = JSON.parse(require('fs').readFileSync(0));
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const one = (ask) => new Promise((resolve, reject) => {
  const body = ask.body === null ? null : Buffer.from(ask.body, 'base64');
  const headers = { ...ask.headers };
  if (body !== null && !ask.chunked) headers['Content-Length'] = body.length;
  if (body !== null && ask.chunked) headers['Transfer-Encoding'] = 'chunked';
  const request = http.request({ host: '127.0.0.1', port, agent, method: ask.method, path: ask.path, headers }, (response) => {
    const pieces = [];
    response.on('data', (piece) => pieces.push(piece));
    response.on('end', () => resolve({ status: response.statusCode, complete: response.complete,
      fields: response.rawHeaders, body: Buffer.concat(pieces).toString('base64') }));
    response.on('error', reject);
  });
  request.on('error', reject);
  const send = () => {
    for (let at = 0; body !== null && at < body.length; at += 50000) request.write(body.subarray(at, at + 50000));
    request.end();
  };
  if (headers.Expect) { request.on('continue', send); request.flushHeaders(); } else send();
});
(async () => {
  const answers = [];
  for (const ask of wanted) answers.push(await one(ask));
  agent.destroy();
  console.log(JSON.stringify(answers));
})();
"""


async def by_node(port: int, wanted: list[Ask]) -> list[Answer]:
    asked = [
        {
            "method": ask.method,
            "path": ask.path,
            "headers": dict(ask.headers),
            "chunked": ask.chunked,
            "body": None if ask.body is None else base64.b64encode(ask.body).decode(),
        }
        for ask in wanted
    ]
    process = await asyncio.create_subprocess_exec(
        str(NODE), "-e", _NODE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complaint = await process.communicate(json.dumps({"port": port, "wanted": asked}).encode())
    assert (process.returncode, complaint) == (0, b"")
    answers = []
    for answer in json.loads(said):
        assert answer["complete"]
        names = [name.lower() for name in answer["fields"][::2]]
        fields = dict(zip(names, answer["fields"][1::2], strict=True))
        answers.append(Answer(answer["status"], fields, base64.b64decode(answer["body"])))
    return answers


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(LARGE)
    return path


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    "client",
    [
        by_h11,
        by_aiohttp,
        by_httpx,
        pytest.param(by_curl, marks=pytest.mark.skipif(CURL is None, reason="curl is not installed")),
        pytest.param(by_node, marks=pytest.mark.skipif(NODE is None, reason="node is not installed")),
    ],
)
def test_a_client_gets_all_that_it_asks_for(client: Client, kind: str, file: Path) -> None:
    async def main() -> None:
        async with serving(file) as (site, server, port):
            wanted = asks(file)
            answers = await client(port, wanted)
            for ask, answer in zip(wanted, answers, strict=True):
                answer.check(ask)
            # One connection for all that leave it open: a failure and a body that nobody has read may close it.
            assert site.connections() <= (3 if client is not by_curl else len(wanted))
            assert not server.orphans

    run(main, kind=kind)


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_curl_uses_a_connection_again(file: Path) -> None:
    async def main() -> None:
        async with serving(file) as (site, _, port):
            base = f"http://127.0.0.1:{port}"
            process = await asyncio.create_subprocess_exec(
                str(CURL),
                "-q",
                "-sS",
                *[f"{base}{path}" for path in ("/text", "/stream", "/file", "/text")],
                stdout=asyncio.subprocess.PIPE,
            )
            said, _ = await process.communicate()
            assert said == b"hello" + b"onetwothree" + LARGE + b"hello"
            assert site.connections() == 1

    run(main)


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_curl_of_http_1_0(file: Path) -> None:
    """A stream ends with its connection there, and nothing is in chunks."""

    async def main() -> None:
        async with serving(file) as (_, _, port):
            paths = ("/text", "/stream", "/file", "/events")
            process = await asyncio.create_subprocess_exec(
                str(CURL),
                *("-q", "-sS", "-0", "-w", "\n%{http_code} %header{transfer-encoding}.\n"),
                *[f"http://127.0.0.1:{port}{path}" for path in paths],
                stdout=asyncio.subprocess.PIPE,
            )
            said, _ = await process.communicate()
            bodies = (b"hello", b"onetwothree", LARGE, b"event: greeting\ndata: hello\n\ndata: bye\n\n")
            assert said == b"".join(body + b"\n200 .\n" for body in bodies)
            assert process.returncode == 0

    run(main)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_h11_sends_all_before_it_reads(kind: str, file: Path) -> None:
    """h11 reads one response after the other, so there is one of it for each; the bytes are those of one connection."""

    async def main() -> None:
        async with serving(file) as (site, _, port):
            wanted = [ask for ask in asks(file) if ask.status < 500 and "Expect" not in ask.headers] * 2
            sides, sent = [], b""
            for ask in wanted:
                side = h11.Connection(h11.CLIENT)
                fields = [("Host", "a"), *ask.headers.items()]
                if ask.body is not None:
                    fields.append(("Transfer-Encoding", "chunked") if ask.chunked else ("Content-Length", str(len(ask.body))))
                sent += side.send(h11.Request(method=ask.method, target=ask.path, headers=fields)) or b""
                if ask.body:
                    sent += side.send(h11.Data(data=ask.body)) or b""
                sent += side.send(h11.EndOfMessage()) or b""
                sides.append(side)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            received = b""
            for ask, side in zip(wanted, sides, strict=True):
                body = b""
                head: h11.Response | None = None
                while not isinstance(event := side.next_event(), h11.EndOfMessage):
                    if event is h11.NEED_DATA:
                        received = received or await reader.read(65536)
                        assert received, f"the end, before {ask}"
                        side.receive_data(received)
                        received = b""
                    elif isinstance(event, h11.Data):
                        body += event.data
                    else:
                        assert isinstance(event, h11.Response), event
                        head = event
                received = side.trailing_data[0]
                assert head is not None
                Answer(head.status_code, {name.decode(): value.decode() for name, value in head.headers}, body).check(ask)
            assert (received, len(site.peers), site.connections()) == (b"", len(wanted), 1)
            writer.close()
            await writer.wait_closed()

    run(main, kind=kind)


async def aiohttp_logs_in(base: str) -> tuple[int, bytes]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.post(f"{base}/login", data={"user": "ada"}) as response:
            return response.status, await response.read()


async def httpx_logs_in(base: str) -> tuple[int, bytes]:
    async with httpx.AsyncClient(follow_redirects=True, verify=ssl.create_default_context()) as client:
        response = await client.post(f"{base}/login", data={"user": "ada"})
        return response.status_code, response.content


async def curl_logs_in(base: str) -> tuple[int, bytes]:
    command = [str(CURL), "-q", "-sS", "-L", "-b", "", "-d", "user=ada", f"{base}/login"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return 200 if not process.returncode else 0, said


@pytest.mark.parametrize(
    "client",
    [
        aiohttp_logs_in,
        httpx_logs_in,
        pytest.param(curl_logs_in, marks=pytest.mark.skipif(CURL is None, reason="curl is not installed")),
    ],
)
def test_a_form_a_cookie_and_a_redirect(client: Callable[[str], Awaitable[tuple[int, bytes]]], file: Path) -> None:
    async def main() -> None:
        async with serving(file) as (site, _, port):
            assert await client(f"http://127.0.0.1:{port}") == (200, b'{"user": "ada"}')
            assert [path for path, _ in site.peers] == ["/login", "/cookies"]
            assert site.connections() == 1

    run(main)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.skipif(missing(kind) != "", reason=missing(kind))) for kind in KINDS]
)
def test_websockets_of_an_application(kind: str) -> None:
    """They send back what they get, compressed or not."""
    conversations: list[tuple[bool, list[str | bytes]]] = []
    messages: list[str | bytes] = ["", "na\u00efve", b"", bytes(range(256)), TEXT * 20, LARGE * 4]

    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("chat.v1", "chat.v2"), max_size=2**21)
        await socket.prepare(request)
        assert socket.protocol == "chat.v2"
        answers: list[str | bytes] = []
        for message in messages:
            await (socket.send_str if isinstance(message, str) else socket.send_bytes)(message)  # type: ignore[operator]
            answers.append((await socket.receive()).data)
        conversations.append((socket.compression is not None, answers))
        await socket.close(4000, "enough")
        return socket

    async def main() -> None:
        with Peer(kind) as peer:
            async with web_ask.serving(web_ask.site(web.get("/{tag}", talk))) as server:
                for deflate in (False, True):
                    peer.connect(server.url(f"/{deflate}").replace("http", "ws"), deflate=deflate, protocols=("chat.v2",))
                    report = await peer.report(f"/{deflate}")
                    assert report == {"code": 4000, "reason": "enough", "received": len(messages)}
        assert conversations == [(False, messages), (True, messages)]

    run(main)
