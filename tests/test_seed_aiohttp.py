"""What the client quickstart of aiohttp and the slides say without an example: rows S3-* and S4-* of the seed documents.

Each test runs by the façade and by aiohttp itself, as `tests/aiohttp_seed.py` has it; the examples are in
`tests/test_program_aiohttp_*.py`.
"""

from __future__ import annotations

import asyncio
import gc
import io
import json
import socket
import tarfile
from http.cookies import Morsel

import pytest
from multidict import MultiDict
from yarl import URL

from aiohttp_seed import EVENTS, AiohttpSeed, origin, place, seed
from origin import FOX, pattern, run
from proxies import HttpProxy, basic

HTTPBIN = "http://httpbin.org"


# -- the session ------------------------------------------------------------------------------------------------------------


def test_connections_are_used_again(seed: AiohttpSeed):
    """S3-11, S3-12, S4-13: one session, one connection."""

    async def use(session):
        for _ in range(3):
            async with session.get(f"{HTTPBIN}/get") as response:
                await response.read()

    seed.with_session(use)
    assert {asked.connection for asked in seed.place.asked} == {1}


def test_cookies_are_shared_by_a_session(seed: AiohttpSeed):
    """S4-13, S4-15: those that a server sets, and those of the program."""

    async def use(session):
        await session.get(f"{HTTPBIN}/cookies/set?theirs=1")
        async with session.get(f"{HTTPBIN}/cookies") as response:
            return (await response.json())["cookies"]

    assert seed.with_session(use, cookies={"ours": "2"}) == {"theirs": "1", "ours": "2"}


def test_secure_cookies_wait_for_tls(seed: AiohttpSeed):
    """S4-15: what a cookie says of itself holds for those of the program, too."""
    own: Morsel[str] = Morsel()
    own.set("name", "1", "1")
    own["secure"] = True
    plain: Morsel[str] = Morsel()
    plain.set("plain", "2", "2")

    async def use(session):
        for scheme in ("http", "https"):
            await session.get(f"{scheme}://httpbin.org/get", cookies={"name": own, "other": plain})

    seed.with_session(use)
    assert [asked.headers["cookie"] for asked in seed.place.asked] == ["plain=2", "name=1; plain=2"]


def test_headers_of_a_session(seed: AiohttpSeed):
    """S4-14: sent with every request, and a request may say otherwise."""

    async def use(session):
        await session.get(f"{HTTPBIN}/get")
        await session.get(f"{HTTPBIN}/get", headers={"X-Own": "other"})

    seed.with_session(use, headers={"X-Own": "one", "X-All": "all"})
    assert [(asked.headers["x-own"], asked.headers["x-all"]) for asked in seed.place.asked] == [("one", "all"), ("other", "all")]


def test_redirection_history(seed: AiohttpSeed):
    """S4-16."""

    async def use(session):
        async with session.get(f"{HTTPBIN}/chain/2") as response:
            return [(str(one.url), one.status) for one in (*response.history, response)]

    paths = ["chain/2", "chain/1", "chain/0"]
    assert seed.with_session(use) == [(f"{HTTPBIN}/{path}", status) for path, status in zip(paths, (302, 302, 200), strict=True)]


@pytest.mark.filterwarnings("ignore:.*(BasicAuth|proxy_auth).*:DeprecationWarning")  # since 3.14
@pytest.mark.parametrize("in_url", [True, False])
def test_proxy_with_credentials(in_url: bool, seed: AiohttpSeed):
    """S4-17: those of the proxy's URL, or of `proxy_auth`."""

    async def main():
        async with (
            HttpProxy(auth="user:word", hosts={"httpbin.org": "127.0.0.1"}) as proxy,
            seed.aiohttp.ClientSession() as session,
        ):
            auth = None if in_url else seed.aiohttp.BasicAuth("user", "word")
            url = URL(proxy.url)
            url = url.with_user("user").with_password("word") if in_url else url.with_user(None)
            asked = f"http://httpbin.org:{seed.place.origins[0].port}/get"
            async with session.get(asked, proxy=url, proxy_auth=auth) as response:
                assert response.status == 200
            assert [head.fields.get_list("proxy-authorization") for head in proxy.asked] == [[basic("user:word")]]

    run(main)


@pytest.mark.parametrize(("proxy", "error"), [("proxy.example", "InvalidURL"), ("http://[", "InvalidURL"), (42, "TypeError")])
def test_what_is_no_proxy(proxy, error: str, seed: AiohttpSeed):
    """S4-17: it is said before anybody is asked."""

    async def use(session):
        with pytest.raises(getattr(seed.aiohttp, error, TypeError)):
            await session.get(f"{HTTPBIN}/get", proxy=proxy)

    seed.with_session(use)
    assert seed.place.asked == []


def test_graceful_shutdown(seed: AiohttpSeed):
    """S4-18, S4-24: entering does no I/O, leaving closes everything, and what is closed says so."""

    async def main():
        async with seed.aiohttp.ClientSession() as session:
            assert seed.place.origins[0].connections == 0
            await (await session.get(f"{HTTPBIN}/get")).read()
        assert session.closed
        with pytest.raises(RuntimeError, match="closed"):
            await session.get(f"{HTTPBIN}/get")
        gc.collect()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main)


def test_head_does_not_follow_redirects(seed: AiohttpSeed):
    """S3-7."""

    async def use(session):
        return (await session.head(f"{HTTPBIN}/chain/1")).status, (await session.get(f"{HTTPBIN}/chain/1")).status

    assert seed.with_session(use) == (302, 200)


def test_a_hundred_and_fifty_one_pokemons(seed: AiohttpSeed):
    """S4-5, S4-8: at once, over no more than a hundred connections."""

    async def use(session):
        async def pokemon(number):
            async with session.get(f"{HTTPBIN}/anything/pokemon/{number}") as response:
                return (await response.json())["url"].rpartition("/")[2]

        asyncio.get_running_loop().set_debug(False)  # which takes twenty times as long
        return await asyncio.gather(*[pokemon(number) for number in range(1, 152)])

    assert seed.with_session(use) == [str(number) for number in range(1, 152)]
    assert 1 < seed.place.origins[0].connections <= 100


def test_the_function_request(seed: AiohttpSeed):
    """S3-28, S3-73: a session for one request."""

    async def main():
        async with seed.aiohttp.request("POST", f"{HTTPBIN}/post", json={"a": 1}) as response:
            return (await response.json())["json"]

    assert run(main) == {"a": 1}


def test_names_that_are_mentioned(seed: AiohttpSeed):
    """S3-73."""
    for name in ("ClientSession", "ClientResponse", "ClientWebSocketResponse", "ClientTimeout", "StreamReader", "FormData"):
        assert isinstance(getattr(seed.aiohttp, name), type)
    assert callable(seed.aiohttp.request)


# -- URLs ----------------------------------------------------------------------------------------------------------------------


def test_a_url_is_a_str_or_a_url(seed: AiohttpSeed):
    """S3-3."""

    async def use(session):
        for url in (f"{HTTPBIN}/get?a=1", URL(f"{HTTPBIN}/get?a=1")):
            async with session.get(url) as response:
                assert response.url == URL(f"{HTTPBIN}/get?a=1")
        with pytest.raises(TypeError):
            await session.get()

    seed.with_session(use)


@pytest.mark.parametrize(
    "params",
    [MultiDict([("key", "value1"), ("key", "value2")]), {"key": ["value1", "value2"]}, [("key", "value1"), ("key", "value2")]],
)
def test_repeated_parameters(params, seed: AiohttpSeed):
    """S3-16, S3-17, S3-18."""

    async def use(session):
        return str((await session.get(f"{HTTPBIN}/get", params=params)).url)

    assert seed.with_session(use) == f"{HTTPBIN}/get?key=value1&key=value2"


@pytest.mark.parametrize(
    ("params", "query", "theirs"),
    [
        ("key=value+1", "key=value+1", "key=value+1"),
        ("a=100%", "a=100%25", "a=100%25"),
        ("key=%31%2F", "key=%31%2F", "key=%2531%252F"),
        ("a b=ä", "a%20b=%C3%A4", "a+b=%C3%A4"),
    ],
)
def test_parameters_as_text(params: str, query: str, theirs: str, seed: AiohttpSeed):
    """S3-19: it is not encoded, says the document.  aiohttp encodes it, and what was encoded already a second time."""

    async def use(session):
        await session.get(f"{HTTPBIN}/get", params=params)

    seed.with_session(use)
    assert seed.asked.query == (query if seed.name == "wirebird" else theirs)


def test_urls_are_made_canonical(seed: AiohttpSeed):
    """S3-20: the host by IDNA, path and query by requoting."""

    async def use(session):
        async with session.get("http://пример.example/путь/%30?a=%31") as response:
            return str(response.url)

    assert seed.with_session(use) == "http://xn--e1afmkfd.example/%D0%BF%D1%83%D1%82%D1%8C/0?a=1"
    assert seed.asked.target == "/%D0%BF%D1%83%D1%82%D1%8C/0?a=1"
    assert seed.asked.headers["host"] == "xn--e1afmkfd.example"


def test_a_url_may_be_kept_as_it_is(seed: AiohttpSeed):
    """S3-21: its query too."""

    async def use(session):
        await session.get(URL("http://example.com/%30?a=%31", encoded=True))

    seed.with_session(use)
    assert seed.asked.target == "/%30?a=%31"


def test_parameters_and_an_encoded_url(seed: AiohttpSeed):
    """S3-22: "never use both"; what was encoded stays so."""

    async def use(session):
        await session.get(URL("http://example.com/%30?a=%31", encoded=True), params={"b": "%32"})

    seed.with_session(use)
    assert seed.asked.target == "/%30?a=%31&b=%2532"


# -- the response ----------------------------------------------------------------------------------------------------------


def test_a_response_comes_before_its_body(seed: AiohttpSeed):
    """S4-20 to S4-23: `get` gives the head, whatever has come of the body."""

    async def use(session):
        async with session.get(f"{HTTPBIN}/held?first=10") as response:
            assert response.status == 200
            assert await response.content.readexactly(10) == pattern(10)
            reading = asyncio.ensure_future(response.read())
            await asyncio.sleep(0.05)
            assert not reading.done()
            seed.place.release()
            return await reading

    assert seed.with_session(use) == pattern(100_000)[10:]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_codings_are_taken_off(coding: str, seed: AiohttpSeed):
    """S3-26, S3-27, S3-38: for the whole body, and for its stream."""
    if coding == "br":
        pytest.importorskip("brotli")

    async def use(session):
        async with session.get(f"{HTTPBIN}/coded/{coding}") as response:
            assert await response.read() == FOX
        async with session.get(f"{HTTPBIN}/coded/{coding}") as response:
            assert await response.content.read(10) == FOX[:10]
            assert b"".join([piece async for piece in response.content.iter_chunked(100)]) == FOX[10:]

    seed.with_session(use)


def test_json_that_is_none(seed: AiohttpSeed):
    """S3-32: what cannot be decoded raises; what is of another type, too."""

    async def use(session):
        async with session.get(f"{HTTPBIN}/headers?Content-Type=application/json") as response:
            with pytest.raises(json.JSONDecodeError):
                await response.json()
        async with session.get(f"{HTTPBIN}/headers?Content-Type=text/html") as response:
            with pytest.raises(seed.aiohttp.ContentTypeError, match="unexpected mimetype: text/html"):
                await response.json()

    seed.with_session(use)


def test_json_with_a_decoder_and_an_encoding(seed: AiohttpSeed):
    """S3-33."""

    async def use(session):
        async with session.get("https://api.github.com/events") as response:
            found = await response.json(encoding="latin-1", loads=lambda text: text.upper())
            assert found == EVENTS.encode().decode("latin-1").upper()

    seed.with_session(use)


def test_the_whole_body_is_kept(seed: AiohttpSeed):
    """S3-34: read once, it can be had again and in every form."""

    async def use(session):
        async with session.get("https://api.github.com/events") as response:
            assert await response.text() == EVENTS
            assert await response.json() == json.loads(EVENTS)
            assert await response.read() == EVENTS.encode()

    seed.with_session(use)


def test_the_stream_is_read_once(seed: AiohttpSeed):
    """S3-35, S3-39: `read` gives what reading from `content` has left."""

    async def use(session):
        async with session.get(f"{HTTPBIN}/bytes/1000") as response:
            assert isinstance(response.content, seed.aiohttp.StreamReader)
            assert await response.content.read(10) == pattern(10)
            assert await response.read() == pattern(1000)[10:]

    seed.with_session(use)


# -- bodies -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "bytes", "text"])
def test_files_are_streamed(kind: str, seed: AiohttpSeed, tmp_path):
    """S3-46: whatever has a `read` is sent from where it stands."""
    (tmp_path / "data.txt").write_bytes(pattern(70_000))

    async def use(session):
        with {
            "file": lambda: (tmp_path / "data.txt").open("rb"),
            "bytes": lambda: io.BytesIO(pattern(70_000)),
            "text": lambda: (tmp_path / "data.txt").open(encoding="utf-8"),
        }[kind]() as file:
            file.seek(100)
            await session.post(f"{HTTPBIN}/post", data=file)

    seed.with_session(use)
    assert seed.asked.body == pattern(70_000)[100:]
    assert seed.asked.headers["content-type"].partition(";")[0] == {"bytes": "application/octet-stream"}.get(kind, "text/plain")


def test_a_file_of_an_archive_that_is_a_stream(seed: AiohttpSeed):
    """S3-46: it is a file that cannot be sought, and cannot even say so."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("data.txt")
        entry.size = 70_000
        archive.addfile(entry, io.BytesIO(pattern(70_000)))
    packed.seek(0)

    async def use(session):
        with tarfile.open(fileobj=packed, mode="r|gz") as archive:
            for entry in archive:
                await session.post(f"{HTTPBIN}/post", data=archive.extractfile(entry))

    seed.with_session(use)
    assert (seed.asked.body, seed.asked.chunked) == (pattern(70_000), True)


def test_multipart(seed: AiohttpSeed):
    """S3-47: the chapter that the document names."""

    async def use(session):
        with seed.aiohttp.MultipartWriter("form-data", boundary="edge") as writer:
            writer.append("one").set_content_disposition("form-data", name="a")
            part = writer.append(b"two", {"Content-Type": "image/png"})
            part.set_content_disposition("form-data", name="b", filename="b.png")
            await session.post(f"{HTTPBIN}/post", data=writer)

    seed.with_session(use)
    shown = seed.asked.body.split(b"--edge")
    assert seed.asked.headers["content-type"] == "multipart/form-data; boundary=edge"
    assert len(shown) == 4
    assert b'name="b"; filename="b.png"' in shown[2]


# -- WebSockets -----------------------------------------------------------------------------------------------------------


def test_a_websocket_is_received_from_and_closed(seed: AiohttpSeed):
    """S3-58, S3-59, S4-10: `receive` in the one task that reads, and what other tasks send."""

    async def use(session):
        async with session.ws_connect("http://example.org/ws") as ws:
            message = await ws.receive()
            assert (message.type, message.data) == (seed.aiohttp.WSMsgType.TEXT, "hello")
            await asyncio.gather(*[ws.send_str(f"from {number}") for number in range(3)])
            assert [(await ws.receive()).data for _ in range(3)] == ["close cmd"] * 3
            await ws.close()
            assert (await ws.receive()).type is seed.aiohttp.WSMsgType.CLOSED

    seed.with_session(use)
    assert seed.said == ["from 0", "from 1", "from 2", "1000"]


def test_a_heartbeat_finds_nobody(seed: AiohttpSeed):
    """S4-10: it shows without anybody receiving."""

    async def use(session):
        ws = await session.ws_connect("http://example.org/deaf", heartbeat=0.05)
        async with asyncio.timeout(5):
            while not ws.closed:
                await asyncio.sleep(0.01)
        assert ws.close_code == 1006
        await ws.close()
        with pytest.raises(ConnectionResetError):
            await ws.send_str("to nobody")

    seed.with_session(use)


# -- time limits --------------------------------------------------------------------------------------------------------------


def test_client_timeout_is_a_structure(seed: AiohttpSeed):
    """S3-60, S3-68, S3-69, S3-71, S3-72: five numbers, and `None` is no limit."""
    timeout = seed.aiohttp.ClientTimeout(total=1.5, ceil_threshold=2)
    assert (timeout.total, timeout.connect, timeout.sock_connect, timeout.sock_read, timeout.ceil_threshold) == (
        1.5,
        None,
        None,
        None,
        2,
    )
    assert seed.aiohttp.ClientTimeout() == seed.aiohttp.ClientTimeout(None, None, None, None, 5)


def test_the_default_is_five_minutes(seed: AiohttpSeed):
    """S3-61, S3-70: and 30 s to connect, since 3.10.9."""

    async def use(session):
        return session.timeout

    assert seed.with_session(use) == seed.aiohttp.ClientTimeout(total=300, sock_connect=30)


def test_total(seed: AiohttpSeed):
    """S3-63, S3-64: it covers the body too."""

    async def use(session):
        with pytest.raises(asyncio.TimeoutError):
            await session.get(f"{HTTPBIN}/silent", timeout=seed.aiohttp.ClientTimeout(total=0.05))
        async with session.get(f"{HTTPBIN}/held?first=10", timeout=seed.aiohttp.ClientTimeout(total=0.3)) as response:
            with pytest.raises(asyncio.TimeoutError):
                await response.read()

    seed.with_session(use)


def test_total_for_a_slow_consumer(seed: AiohttpSeed):
    """S3-64: the time is used up by whoever is slow; what is here as a whole may be read at leisure."""

    async def use(session):
        limit = seed.aiohttp.ClientTimeout(total=0.3)
        async with (
            session.get(f"{HTTPBIN}/held?first=1000", timeout=limit) as late,
            session.get(f"{HTTPBIN}/bytes/1000", timeout=limit) as whole,
        ):
            assert await late.content.read(1) == await whole.content.read(1) == pattern(1)
            await asyncio.sleep(0.35)
            with pytest.raises(asyncio.TimeoutError):
                await late.content.read(1)
            with pytest.raises(asyncio.TimeoutError):
                await late.content.read(1)
            assert await whole.read() == pattern(1000)[1:]

    seed.with_session(use)


def test_sock_read(seed: AiohttpSeed):
    """S3-67: between two portions of data."""

    async def use(session):
        with pytest.raises(seed.aiohttp.ServerTimeoutError):
            await session.get(f"{HTTPBIN}/silent", timeout=seed.aiohttp.ClientTimeout(sock_read=0.05))
        async with session.get(f"{HTTPBIN}/held?first=10") as response:
            with pytest.raises(seed.aiohttp.SocketTimeoutError):
                await response.read()

    seed.with_session(use, timeout=seed.aiohttp.ClientTimeout(sock_read=0.3))


def test_connect(seed: AiohttpSeed):
    """S3-65: waiting for a free connection counts."""

    async def main():
        connector = seed.aiohttp.TCPConnector(limit=1)
        async with seed.aiohttp.ClientSession(connector=connector) as session, session.get(f"{HTTPBIN}/held?first=10"):
            with pytest.raises(seed.aiohttp.ConnectionTimeoutError):
                await session.get(f"{HTTPBIN}/get", timeout=seed.aiohttp.ClientTimeout(connect=0.1))

    run(main)


def test_sock_connect(seed: AiohttpSeed):
    """S3-66: a new connection only, its TLS included."""

    async def use(session):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            limit = seed.aiohttp.ClientTimeout(sock_connect=0.1)
            with pytest.raises(seed.aiohttp.ServerTimeoutError):
                await session.get(f"https://127.0.0.1:{silent.getsockname()[1]}/", timeout=limit)

    seed.with_session(use)


@pytest.mark.parametrize("off", [None, 0])
def test_no_limit(off, seed: AiohttpSeed):
    """S3-69."""

    async def use(session):
        limit = seed.aiohttp.ClientTimeout(total=off, connect=off, sock_connect=off, sock_read=off)
        async with session.get(f"{HTTPBIN}/get", timeout=limit) as response:
            return response.status

    assert seed.with_session(use) == 200
