"""Clients that others made, each asking for all that a small site has: h11, aiohttp, httpx, curl, node.

Their WebSockets are in `test_websocket_peers.py`.
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

from raw_peer import run
from served_site import LARGE, Answer, Ask, asks, serving

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
