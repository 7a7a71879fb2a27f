"""The same ASGI applications here and on uvicorn: the same bytes in, and what comes back compared, response by response.

Statuses, fields, bodies, frames of WebSockets, and what the application was told are the same, but for Date and Server, and for
what `docs/howto/asgi.md` says.  Each difference is written down here with the case it is of, and must be one.
"""

from __future__ import annotations

import asyncio
import gc
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("uvicorn")

from asgi_servers import talk, uvicorn, wirebird
from asgi_subjects import bare, fast, starlette, talker
from origin import run
from websocket_wire import KEY as MASK
from websocket_wire import Frame, close, encode, ping, text


class Response(NamedTuple):
    """What a client makes of it.  `framing` is "length", "chunks", "end", or "none"; `whole` says that it is complete."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    framing: str
    whole: bool


def read_responses(data: bytes, methods: list[str]) -> list[Response]:
    """The responses in `data`, behind which the connection was closed, to requests with these methods."""
    found = []
    wanted = iter(methods)
    method = next(wanted, "GET")
    while data:
        head, mark, data = data.partition(b"\r\n\r\n")
        assert mark, f"half a head: {head!r}"
        line, *rest = head.decode("latin-1").split("\r\n")
        status = int(line.split(" ")[1])
        fields = [(name.lower(), value) for name, value in (one.split(": ", 1) for one in rest)]
        named = dict(fields)
        body, framing, whole = b"", "none", True
        if status == 100:
            continue
        if "content-length" in named:
            framing = "length"
        elif "transfer-encoding" in named:
            framing = "chunks"
        if method != "HEAD" and status not in (204, 304):
            if framing == "length":
                size = int(named["content-length"])
                body, data = data[:size], data[size:]
                whole = len(body) == size
            elif framing == "chunks":
                body, data, whole = read_chunks(data)
            else:
                framing, body, data = "end", data, b""
        hidden = ("date", "server", "content-length", "transfer-encoding")
        found.append(Response(status, sorted(field for field in fields if field[0] not in hidden), body, framing, whole))
        method = next(wanted, "GET")
    return found


def read_chunks(data: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while True:
        line, mark, rest = data.partition(b"\r\n")
        if not mark:
            return body, b"", False
        size = int(line, 16)
        if not size:
            return body, rest[2:], rest.startswith(b"\r\n")
        body, data = body + rest[:size], rest[size + 2 :]


def request(
    target: str,
    *fields: str,
    method: str = "GET",
    version: str = "1.1",
    body: bytes = b"",
    last: bool = True,
    host: str | None = "h",
) -> bytes:
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += fields
    if last:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body


def post(target: str, body: bytes, *fields: str, last: bool = True) -> bytes:
    return request(target, f"Content-Length: {len(body)}", *fields, method="POST", body=body, last=last)


# -- plain exchanges --------------------------------------------------------------------------------------------------------

CHUNKED = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"

CASES: dict[str, bytes] = {
    **{
        path[1:]: request(path)
        for path in (
            *("/plain", "/sized", "/stream", "/sized-stream", "/empty", "/204", "/304", "/twice", "/close", "/date", "/teapot"),
            *(
                "/odd",
                "/chunked",
                "/latin",
                "/big",
                "/big-stream",
                "/nope",
                "/scope?a=%20b&c",
                "/scope/a%20b%2F?x",
                "/scope/%C3%BC",
            ),
            *("/raises", "/raises-started", "/raises-late", "/raises-after", "/nothing", "/started", "/early", "/short", "/long"),
            *("/long-late", "/body-first", "/start-twice", "/break"),
        )
    },
    "HEAD": request("/plain", method="HEAD"),
    "HEAD of a length": request("/sized", method="HEAD"),
    "HEAD of a stream": request("/stream", method="HEAD"),
    "HTTP/1.0": request("/sized", version="1.0", last=False),
    "HTTP/1.0, a stream": request("/stream", version="1.0", last=False),
    "HTTP/1.0, kept": request("/sized", "Connection: keep-alive", version="1.0", last=False)
    + request("/sized", version="1.0", last=False),
    "pipelined": request("/plain", last=False)
    + post("/echo", b"abc", last=False)
    + request("/stream", last=False)
    + request("/204", last=False)
    + request("/after", last=False)
    + request("/twice"),
    "a body": post("/echo", b"abc"),
    "a body in chunks": request("/echo", "Transfer-Encoding: chunked", method="POST", body=CHUNKED),
    "a large body": post("/echo", b"z" * 400_000),
    "a body that is not read": post("/plain", b"abc", last=False) + request("/plain"),
    "a body, expected": post("/echo", b"abc", "Expect: 100-continue"),
    "fields": request("/scope", "X-A: 1", "x-a: 2", "X-Latin: \u00e9".encode("latin-1").decode("latin-1"), "X-Empty:"),
    "PATCH": request("/scope", method="PATCH"),
    "OPTIONS *": request("*", method="OPTIONS"),
    "an absolute target": request("http://h/scope?q"),
    "behind an error": request("/raises", last=False) + request("/plain"),
    "no request": b"nonsense\r\n\r\n",
    "no field": b"GET / HTTP/1.1\r\nHost h\r\n\r\n",
    "no chunk": request("/echo", "Transfer-Encoding: chunked", method="POST", body=b"zz\r\n"),
    "no Host": request("/plain", host=None),
    "an unknown method": request("/plain", method="BREW"),
}

METHODS = {"HEAD": ["HEAD"], "HEAD of a length": ["HEAD"], "HEAD of a stream": ["HEAD"]}

# What is different, of (uvicorn's responses, ours), and what the how-to page says of it.
ERROR_TEXT = "the text of an answer that the server makes"
UNSENT = "500 as long as nothing has left"
DIFFERENT: dict[str, str] = {
    **dict.fromkeys(("raises", "nothing", "behind an error", "body-first"), ERROR_TEXT),
    **dict.fromkeys(("no request", "no field", "no chunk"), ERROR_TEXT),
    **dict.fromkeys(("raises-started", "started", "long", "start-twice", "break"), UNSENT),
    "HTTP/1.0, kept": "HTTP/1.0 with keep-alive",
    "no Host": "HTTP/1.1 without Host",
    "an unknown method": "methods that a parser does not know",
}


def without_error_text(responses: list[Response]) -> list[Response]:
    """The same with the bodies of errors, and the fields about them, left out."""
    return [
        one._replace(body=b"", fields=[field for field in one.fields if field[0] != "x-content-type-options"])
        if one.status in (400, 500)
        else one
        for one in responses
    ]


@pytest.fixture(scope="module")
def exchanges() -> dict[str, dict[str, tuple[list[Response], list[Any]]]]:
    """By case and server: the responses, and what the application was told."""
    found: dict[str, dict[str, tuple[list[Response], list[Any]]]] = {name: {} for name in CASES}

    async def main() -> None:
        for serve in (uvicorn, wirebird):
            log: list[Any] = []
            async with serve(bare(log)) as port:
                for name, data in CASES.items():
                    log.clear()
                    responses = read_responses(await talk(port, data), METHODS.get(name, []))
                    async with asyncio.timeout(2):
                        while name == "pipelined" and "done" not in log:
                            await asyncio.sleep(0.001)
                    found[name][serve.__name__] = responses, list(log)

    run(main)
    return found


@pytest.mark.parametrize("name", CASES)
def test_responses(name: str, exchanges: dict[str, dict[str, tuple[list[Response], list[Any]]]]) -> None:
    (theirs, told_them), (ours, told_us) = exchanges[name]["uvicorn"], exchanges[name]["wirebird"]
    if name != "no chunk":  # here it is seen before the application is asked
        assert told_us == told_them
    comparable = [[one._replace(framing="") for one in side] for side in (theirs, ours)]
    if name not in DIFFERENT:
        assert comparable[1] == comparable[0]
        return
    assert comparable[1] != comparable[0], f"no difference any more: {DIFFERENT[name]}"
    if DIFFERENT[name] == ERROR_TEXT:
        assert without_error_text(comparable[1]) == without_error_text(comparable[0])
    elif DIFFERENT[name] == UNSENT:
        assert [(one.status, one.whole) for one in ours] == [(500, True)]
        assert [(one.status, one.whole) for one in theirs] in ([(200, False)], [])


def test_framing(exchanges: dict[str, dict[str, tuple[list[Response], list[Any]]]]) -> None:
    """A response that is sent whole has its length here, and is in chunks there; and none is in chunks for HTTP/1.0."""
    for name in ("plain", "teapot", "big", "a body in chunks"):
        (ours,), (theirs,) = exchanges[name]["wirebird"][0], exchanges[name]["uvicorn"][0]
        assert (ours.framing, theirs.framing) == ("length", "length" if "body" in name else "chunks"), name
    for name in ("stream", "chunked", "big-stream", "sized", "sized-stream", "empty", "204", "304"):
        (ours,), (theirs,) = exchanges[name]["wirebird"][0], exchanges[name]["uvicorn"][0]
        assert ours.framing == theirs.framing, name
    (ours,), (theirs,) = (exchanges["HTTP/1.0, a stream"][name][0] for name in ("wirebird", "uvicorn"))
    assert (ours.framing, theirs.framing) == ("end", "chunks")


def test_what_the_differences_are(exchanges: dict[str, dict[str, tuple[list[Response], list[Any]]]]) -> None:
    """Those that are no matter of a text."""

    def statuses(name: str) -> dict[str, list[int]]:
        return {server: [one.status for one in responses] for server, (responses, _) in exchanges[name].items()}

    assert statuses("HTTP/1.0, kept") == {"uvicorn": [200], "wirebird": [200, 200]}
    assert statuses("no Host") == {"uvicorn": [200], "wirebird": [400]}
    assert statuses("an unknown method") == {"uvicorn": [400], "wirebird": [200]}
    page = (Path(__file__).parent.parent / "docs/howto/asgi.md").read_text()
    for said in {*DIFFERENT.values()}:
        assert said in page.replace("\n", " "), said


# -- clients that leave -----------------------------------------------------------------------------------------------------


async def leave(port: int, data: bytes, log: list[Any]) -> None:
    """Send it, and be gone when the application has said that it is there, or a part of the response has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    if b"/gone" in data:
        while not log:
            await asyncio.sleep(0.001)
    elif b"/endless" in data:
        await reader.readuntil(b"xxxx")
    else:
        await writer.drain()
        await asyncio.sleep(0.02)
    writer.close()


@pytest.mark.parametrize(
    ("data", "log"),
    [
        (request("/gone"), ["here", "http.request", "http.disconnect"]),
        (request("/echo", "Content-Length: 10", method="POST", body=b"abc"), ["disconnected"]),
    ],
)
def test_a_client_that_leaves(data: bytes, log: list[Any]) -> None:
    async def main() -> None:
        for serve in (uvicorn, wirebird):
            told: list[Any] = []
            async with serve(bare(told)) as port:
                await leave(port, data, told)
                async with asyncio.timeout(2):
                    while len(told) < len(log):
                        await asyncio.sleep(0.001)
            assert told == log, serve.__name__

    run(main)


# -- WebSockets -------------------------------------------------------------------------------------------------------------


def handshake(path: str, *fields: str, key: str | None = "dGhlIHNhbXBsZSBub25jZQ==", version: str = "13") -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: h", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Version: {version}"]
    if key is not None:
        lines.append(f"Sec-WebSocket-Key: {key}")
    return "\r\n".join([*lines, *fields, "", ""]).encode()


BYE = close(1000)

# A handshake, and what is sent behind it: each but the first when a frame has come back for the one before.
TALKS: dict[str, tuple[bytes, tuple[Frame, ...]]] = {
    "echo": (handshake("/echo"), (text("grüße"), Frame(2, b"\x00\xff"), text(""), text("x" * 70_000), ping(b"p"), BYE)),
    "closed without a code": (handshake("/echo"), (close(),)),
    "closed with a code": (handshake("/echo"), (close(4321),)),
    "closed with a reason": (handshake("/echo"), (close(4321, "grüße"),)),
    "at once": (handshake("/echo"), (text("a"),)),
    "gone": (handshake("/echo"), ()),
    "first": (handshake("/first"), (BYE,)),
    "close": (handshake("/close"), (close(4001, "why"),)),
    "close-plain": (handshake("/close-plain"), (close(1000),)),
    "choose": (handshake("/choose", "Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: c"), (BYE,)),
    "refuse": (handshake("/refuse"), ()),
    "answer": (handshake("/answer"), ()),
    "raise": (handshake("/raise"), ()),
    "return": (handshake("/return"), ()),
    "raises when open": (handshake("/echo"), (text("raise"),)),
    "no text": (handshake("/echo"), (Frame(1, b"\xff"),)),
    "not masked": (handshake("/echo"), (Frame(1, b"a"),)),
    "no key": (handshake("/echo", key=None), ()),
    "another version": (handshake("/echo", version="12"), ()),
    "POST": (handshake("/echo").replace(b"GET", b"POST", 1), ()),
}

# What of a talk is different, and what the how-to page says of it.
TALK_DIFFERENT: dict[str, tuple[set[str], str]] = {
    **dict.fromkeys(("raise", "return"), ({"body"}, ERROR_TEXT)),
    **dict.fromkeys(("no key", "POST"), ({"body"}, ERROR_TEXT)),
    **dict.fromkeys(("no text", "not masked"), ({"frames", "told"}, ERROR_TEXT)),
    "another version": ({"status", "fields", "body"}, "426"),
    "closed with a reason": ({"frames"}, "without its reason"),
    **dict.fromkeys(("gone", "at once"), ({"told"}, "1006")),
    "raises when open": ({"frames"}, "1011"),
}


class Talk(NamedTuple):
    """What came of a handshake: the head, the body of a refusal, frames, and what the application was told."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    frames: list[tuple[int, bytes]]
    told: list[Any]


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes] | None:
    try:
        first, size = await reader.readexactly(2)
        assert first & 0xF0 == 0x80, "a server that fragments"
        if size > 125:
            size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
        return first & 15, await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def hold(port: int, name: str, told: list[Any]) -> Talk:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked, sent = TALKS[name]
    writer.write(asked)
    head = await reader.readuntil(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")[:-2]
    fields = sorted((key.lower(), value) for key, value in (one.split(": ", 1) for one in lines))
    hidden = ("date", "server", "content-length", "transfer-encoding", "x-content-type-options")
    fields = [field for field in fields if field[0] not in hidden]
    found: list[tuple[int, bytes]] = []
    body = b""
    if line.split(" ")[1] == "101":
        if name == "gone":
            writer.transport.abort()
        for number, one in enumerate(sent):
            if number and (frame := await read_frame(reader)) is not None:
                found.append(frame)
            writer.write(encode(one, None if name == "not masked" else MASK))
        while name not in ("gone", "at once") and (frame := await read_frame(reader)) is not None:
            found.append(frame)
    else:
        ((_, _, body, _, _),) = read_responses(head + await reader.read(), [])
    writer.close()
    await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])
    async with asyncio.timeout(2):
        while name in ("gone", "at once") and not (told and told[-1] == "OSError"):
            await asyncio.sleep(0.001)
    for _ in range(5):
        await asyncio.sleep(0)
    heard = [{"reason": "", **one} if isinstance(one, dict) else one for one in told]
    return Talk(int(line.split(" ")[1]), fields, body, found, heard)


@pytest.fixture(scope="module")
def talks() -> dict[str, dict[str, Talk]]:
    found: dict[str, dict[str, Talk]] = {name: {} for name in TALKS}

    async def main() -> None:
        for serve in (uvicorn, wirebird):
            log: list[Any] = []
            options = {"close_timeout": 0.05} if serve is wirebird else {}  # for one whose client does not answer
            async with serve(talker(log), **options) as port:
                for name in TALKS:
                    log.clear()
                    async with asyncio.timeout(5):
                        found[name][serve.__name__] = await hold(port, name, log)

    run(main)
    return found


@pytest.mark.parametrize("name", TALKS)
def test_websockets(name: str, talks: dict[str, dict[str, Talk]]) -> None:
    theirs, ours = talks[name]["uvicorn"], talks[name]["wirebird"]
    different = {field for field in Talk._fields if getattr(theirs, field) != getattr(ours, field)}
    assert different == TALK_DIFFERENT.get(name, (set(), ""))[0], (theirs, ours)


def test_what_the_differences_of_websockets_are(talks: dict[str, dict[str, Talk]]) -> None:
    def both(name: str, field: str) -> tuple[Any, Any]:
        return getattr(talks[name]["uvicorn"], field), getattr(talks[name]["wirebird"], field)

    assert both("another version", "status") == (400, 426)
    for name, code in (("no text", 1007), ("not masked", 1002)):
        for frames, told in zip(both(name, "frames"), both(name, "told"), strict=True):
            assert frames[0][1][:2] == code.to_bytes(2, "big")
            assert told[1]["code"] == code
    assert both("closed with a reason", "frames") == ([(8, b"\x10\xe1" + "grüße".encode())], [(8, b"\x10\xe1")])
    assert [told[1]["code"] for told in both("gone", "told")] == [1005, 1006]
    assert both("raises when open", "frames") == ([], [(8, (1011).to_bytes(2, "big"))])
    page = (Path(__file__).parent.parent / "docs/howto/asgi.md").read_text()
    for _, said in TALK_DIFFERENT.values():
        assert said in page.replace("\n", " "), said


# -- frameworks -------------------------------------------------------------------------------------------------------------

BOUNDARY = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nabc\r\n--b--\r\n'

STARLETTE: dict[str, bytes] = {
    "home": request("/?a=1&b=%C3%BC"),
    "HEAD": request("/", method="HEAD"),
    "echo": post("/echo", b"abc"),
    "echo PUT, in chunks": request("/echo", "Transfer-Encoding: chunked", method="PUT", body=CHUNKED),
    "pieces": post("/pieces", b"z" * 300_000),
    "stream": request("/stream"),
    "gzip": request("/stream", "Accept-Encoding: gzip"),
    "later": request("/later"),
    "thread": request("/thread"),
    "cookies": request("/cookies", "Cookie: x=1; y=2"),
    "file": request("/file"),
    "file HEAD": request("/file", method="HEAD"),
    "file, a range": request("/file", "Range: bytes=10-19"),
    "static": request("/static/small.txt"),
    "static, not modified": request("/static/small.txt", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"),
    "static, missing": request("/static/none"),
    "static, outside": request("/static/../small.txt"),
    "redirect": request("/redirect"),
    "slash": request("/slash"),
    "mounted": request("/mounted/here"),
    "missing": request("/missing"),
    "method": request("/echo", method="DELETE"),
    "pipelined": request("/stream", last=False)
    + request("/later", last=False)
    + post("/echo", b"x", last=False)
    + request("/thread"),
    "raises": request("/raises"),
}

FASTAPI: dict[str, bytes] = {
    "item": request("/items/3?q=x"),
    "no number": request("/items/x"),
    "create": post("/items", b'{"a": 1}', "Content-Type: application/json"),
    "no JSON": post("/items", b"{", "Content-Type: application/json"),
    "refuse": request("/refuse"),
    "sync": request("/sync"),
    "later": request("/later"),
    "upload": post("/upload", BOUNDARY, "Content-Type: multipart/form-data; boundary=b"),
    "openapi": request("/openapi.json"),
    "docs": request("/docs"),
    "missing": request("/missing"),
}


async def converse(app: Any, serve: Any, cases: dict[str, bytes], log: list[Any], talk_path: str) -> dict[str, Any]:
    """All that comes back of the cases and of a WebSocket, and what the application was told."""
    found: dict[str, Any] = {}
    async with serve(app, lifespan="on" if serve is uvicorn else True) as port:
        for name, data in cases.items():
            methods = ["HEAD"] if "HEAD" in name else []
            found[name] = [one._replace(framing="") for one in read_responses(await talk(port, data), methods)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(handshake(talk_path))
        found["handshake"] = (await reader.readuntil(b"\r\n\r\n"))[:12]
        writer.write(encode(text(json.dumps({"a": 1})), MASK))
        found["frame"] = await read_frame(reader)
        writer.write(encode(close(1000), MASK))
        found["close"] = await read_frame(reader)
        writer.close()
        await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])
    found["log"] = list(log)
    return found


def compare(make: Any, cases: dict[str, bytes], talk_path: str) -> tuple[dict[str, Any], list[Any]]:
    async def main() -> None:
        for serve in (uvicorn, wirebird):
            log: list[Any] = []
            found.append(await converse(make(log), serve, cases, log, talk_path))

    found: list[dict[str, Any]] = []
    run(main)
    theirs, ours = found
    for one in found:
        one["log"][1:-1] = sorted(one["log"][1:-1])  # what goes on behind a response takes its time
    for name in theirs:
        assert ours[name] == theirs[name], name
    return ours, ours["log"]


def test_starlette(tmp_path: Path) -> None:
    (tmp_path / "big.bin").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / "small.txt").write_text("small")
    ours, log = compare(lambda log: starlette(log, tmp_path), STARLETTE, "/talk")
    assert log == ["start", "talked", "worked", "worked", "end"]
    assert [one.status for one in ours["pipelined"]] == [200, 200, 200, 200]
    assert ours["file"][0].body == bytes(range(256)) * 1000
    assert ours["frame"] == (1, b'{"A": 1}')


def test_fastapi() -> None:
    ours, log = compare(fast, FASTAPI, "/talk/you")
    assert log == ["start", "one", "released", "two", "end"]
    assert [ours[name][0].status for name in ("item", "no number", "create", "no JSON", "refuse")] == [200, 422, 201, 422, 409]
    assert json.loads(ours["frame"][1]) == {"hello": "you", "a": 1}


def test_a_client_of_starlette_that_leaves_a_stream(tmp_path: Path) -> None:
    async def main() -> None:
        for serve in (uvicorn, wirebird):
            log: list[Any] = []
            async with serve(starlette(log, tmp_path)) as port:
                await leave(port, request("/endless"), log)
                await leave(port, request("/pieces", "Content-Length: 10", method="POST", body=b"abc"), log)
                async with asyncio.timeout(2):
                    while len(log) < 3:
                        gc.collect()  # the middleware leaves a circle behind, in which the generator is
                        await asyncio.sleep(0.001)
            assert sorted(log[1:3]) == ["ClientDisconnect", "stopped"], serve.__name__

    run(main)
