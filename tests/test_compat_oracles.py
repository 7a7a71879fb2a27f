"""The façades beside the libraries that they stand for: the same calls, to the same server, with the same outcome.

aiosonic and Aioreq are asked in the versions that are installed; where none is, these tests are skipped.  What is different on
purpose is named in the tests.  Aioreq changes the event loop policy of the process that imports it, and gets one of its own.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from origin import Asked, Origin, read_multipart, run
from wirebird.compat import aiosonic as ours

needs_aiosonic = pytest.mark.skipif(importlib.util.find_spec("aiosonic") is None, reason="aiosonic is not installed")
needs_aioreq = pytest.mark.skipif(importlib.util.find_spec("aioreq") is None, reason="aioreq is not installed")


async def _pieces():
    yield b"foo"
    yield b"bar"


CALLS: dict[str, tuple[str, str, Any]] = {
    "get": ("GET", "/anything", dict),
    "params": ("GET", "/anything?x=1", lambda: {"params": {"q": "é &", "r": "1"}}),
    "pairs": ("GET", "/anything", lambda: {"params": [("a", "1"), ("a", "2")]}),
    "own fields": ("GET", "/anything", lambda: {"headers": {"X-Own": "1", "User-Agent": "me", "Accept-Encoding": "gzip"}}),
    "pairs of fields": ("GET", "/anything", lambda: {"headers": [("X-Own", "1"), ("x-own", "2")]}),
    "data with get": ("GET", "/anything", lambda: {"data": "x"}),
    "text": ("POST", "/anything", lambda: {"data": "é"}),
    "bytes": ("PUT", "/anything", lambda: {"data": b"\0x"}),
    "form": ("POST", "/anything", lambda: {"data": {"a": "b c", "d": "é~*"}}),
    "tuple": ("POST", "/anything", lambda: {"data": (("a", "1"), ("a", "2"))}),
    "own type": ("POST", "/anything", lambda: {"data": "x", "headers": {"Content-Type": "text/html"}}),
    "json": ("PATCH", "/anything", lambda: {"json": {"a": [1, None, "é"]}}),
    "empty json": ("POST", "/anything", lambda: {"json": []}),
    "own serializer": ("POST", "/anything", lambda: {"json": 5, "json_serializer": lambda value: "[5]"}),
    "nothing": ("POST", "/anything", dict),
    "delete": ("DELETE", "/anything", dict),
    "lower": ("post", "/anything", lambda: {"data": "x"}),
    "async iterator": ("POST", "/anything", lambda: {"data": _pieces()}),
    "iterator": ("POST", "/anything", lambda: {"data": iter([b"foo", b"bar"])}),
    "multipart": ("POST", "/anything", lambda: {"data": {"a": "1", "b": "é"}, "multipart": True}),
    "redirect": ("GET", "/chain/2", dict),
    "followed": ("GET", "/chain/3", lambda: {"follow": True}),
    "post followed": ("POST", "/status/302?to=/anything", lambda: {"data": "x", "follow": True}),
    "307 followed": ("POST", "/status/307?to=/anything", lambda: {"data": "x", "follow": True}),
    "gzip": ("GET", "/coded/gzip", dict),
    "deflate": ("GET", "/coded/deflate", dict),
    "cookies": ("GET", "/cookies/raw?a=b%3Dc&d=e%3Df", dict),
    "repeated field": ("GET", "/headers?X-A=1&X-A=2", dict),
    "chunked": ("GET", "/chunked/3000", dict),
    "no content": ("GET", "/status/204", dict),
    "not found": ("GET", "/status/404", dict),
}


def request_of(asked: Asked) -> dict[str, Any]:
    """What of a request must be the same."""
    fields = {name.lower(): asked.headers.get_list(name) for name in asked.headers}
    assert fields.pop("host")[0].startswith("127.0.0.1:")
    if not fields["user-agent"][0].startswith("me"):
        fields["user-agent"] = ["it"]
    body: Any = asked.body
    if fields.get("content-type", [""])[0].startswith("multipart/"):
        body = read_multipart(body, fields["content-type"][0].replace('"', "")) if body.endswith(b"\r\n") else None
        fields["content-type"] = ["multipart/form-data"]
        fields["content-length"] = ["that of its boundary"]
    if fields.get("content-length") == ["0"]:
        del fields["content-length"]  # RFC 9110 8.6 asks for it, and aiosonic has none
    if asked.chunked:
        fields.pop("content-type", None)  # aiosonic has none
    return {"method": asked.method, "target": asked.target, "fields": fields, "body": body, "chunked": asked.chunked}


async def outcome(aiosonic: ModuleType, call: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The requests that a call made, and what came of it."""
    method, path, keywords = CALLS[call]
    async with Origin() as origin:
        client = aiosonic.HTTPClient()
        response = await client.request(origin.url(path), method, **keywords())
        came = {
            "status": (response.status_code, response.ok),
            "fields": dict(response.headers.items()),
            "count": len(response.raw_headers),
            "cookies": response.cookies and response.cookies.output(),
            "chunked": response.chunked,
            "body": await response.content(),
        }
        if response.headers.get("content-type", "").startswith("application/json"):
            came["body"] = None  # an echo of what was compared already
            came["fields"].pop("Content-Length")
        await client.connector.cleanup()
        return [request_of(asked) for asked in origin.asked], came


@needs_aiosonic
@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_that_of_aiosonic(call):
    import aiosonic

    theirs, mine = run(lambda: outcome(aiosonic, call)), run(lambda: outcome(ours, call))
    if call == "multipart":
        assert theirs[0][0].pop("body") is None  # without its last CRLF
        assert mine[0][0].pop("body") == ({"a": "1", "b": "é"}, {})
        mine, theirs = (mine[0], {}), (theirs[0], {})  # which our strict server refuses
    assert mine == theirs


@needs_aiosonic
def test_chunks_are_those_of_aiosonic():
    import aiosonic

    async def main(library):
        async with Origin() as origin:
            client = library.HTTPClient()
            response = await client.get(origin.url("/chunked/3500?size=700"))
            chunks = [len(chunk) async for chunk in response.read_chunks()]
            with pytest.raises(ConnectionError):
                await response.content()
            await client.connector.cleanup()
            return chunks

    assert run(lambda: main(ours)) == run(lambda: main(aiosonic)) == [700] * 5


@needs_aiosonic
@pytest.mark.parametrize(
    ("error", "keywords"),
    [
        (TypeError, {"json": {}, "data": "x"}),
        (ValueError, {"data": "x", "multipart": True}),
        ("ReadTimeout", {"timeouts": (5, 0.05, None, 60)}),
        ("MaxRedirects", {"follow": True}),
    ],
)
def test_errors_are_those_of_aiosonic(error, keywords):
    import aiosonic
    import aiosonic.exceptions
    import aiosonic.timeout

    async def main(library):
        more = dict(keywords)
        if "timeouts" in more:
            more["timeouts"] = library.timeout.Timeouts(*more["timeouts"])
        async with Origin() as origin:
            origin.always("/loop", b"HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n")
            client = library.HTTPClient()
            with pytest.raises(getattr(library.exceptions, error) if isinstance(error, str) else error):
                await client.post(origin.url("/loop" if error == "MaxRedirects" else "/silent"), **more)
            await client.connector.cleanup()
            return len(origin.asked)

    mine, theirs = run(lambda: main(ours)), run(lambda: main(aiosonic))
    if error == "MaxRedirects":
        assert theirs <= mine == 31  # thirty are followed, as documented for 0.9.3; the latest gives up earlier


@needs_aiosonic
def test_headers_are_those_of_aiosonic():
    import aiosonic

    for library in (ours, aiosonic):
        headers = library.HttpHeaders({"A": "1", "b": "2"}, c="3")
        headers["a"] = "4"
        assert list(headers.items()) == [("a", "4"), ("b", "2"), ("c", "3")]
        assert headers == {"A": "4", "B": "2", "C": "3"}
        assert repr(headers) == "HttpHeaders({'a': '4', 'b': '2', 'c': '3'})"
        assert (headers.get("B"), "C" in headers, len(headers.copy())) == ("2", True, 3)


# What both say of themselves, run by each in a process of its own.
SESSION = """
import asyncio, json, sys
{imports}
url = sys.argv[1]
async def main():
    seen = []
    async with aioreq.Client() as client:
        names, one = [], client.middlewares
        while one is not None:
            names.append(type(one).__name__)
            one = one.next_middleware
        seen.append(names)
        for method, path, keywords in json.loads(sys.argv[2]):
            if isinstance(keywords.get("auth"), list):
                keywords["auth"] = tuple(keywords["auth"])
            response = await getattr(client, method)(url + path, **keywords)
            fields = {{name: value for name, value in response.headers.items() if name != "content-length"}}
            seen.append([repr(response), response.status, response.status_message, fields, response.redirects])
    seen.append(list(aioreq.middlewares.default_middlewares))
    print(json.dumps(seen))
asyncio.run(main())
"""


@needs_aioreq
def test_sessions_are_those_of_aioreq():
    """But for `json`, which Aioreq 1.0.7 does not send, and cookies without an age, which it forgets at once."""
    calls = [
        ("get", "/get", {}),
        ("get", "/get", {"headers": {"X-Own": "1"}}),
        ("get", "/get", {"params": {"a": "b"}}),
        ("post", "/post", {"content": "text"}),
        ("put", "/put", {"urlencoded": {"a": "1", "b": "2"}}),
        ("get", "/chain/2", {}),
        ("get", "/status/404", {}),
        ("get", "/coded/gzip", {}),
        ("get", "/headers?X-A=1", {}),
        ("get", "/guarded", {"auth": ["foo", "bar"]}),
    ]

    async def session(imports: str) -> tuple[Any, list[Any]]:
        async with Origin() as origin:

            async def guard(asked, wire):
                if "authorization" in asked.headers:
                    await wire.respond(200, [])
                else:
                    await wire.respond(401, [("WWW-Authenticate", 'Basic realm="x"')])

            origin.on("/guarded", guard)
            # On plain asyncio: the environment that makes Python say more is not theirs.
            program = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", SESSION.format(imports=imports), origin.url(""), json.dumps(calls)),
                stdout=subprocess.PIPE,
            )
            out, _ = await program.communicate()
            assert program.returncode == 0
            own = ("content-type", "authorization", "user-agent", "accept")
            asked = [
                [one.method, one.target, one.body, one.connection, [one.headers.get(name) for name in own]]
                for one in origin.asked
            ]
            assert all("gzip" in one.headers["accept-encoding"] for one in origin.asked)
            return json.loads(out.replace(origin.address.encode(), b"origin")), asked

    mine = run(lambda: session("from wirebird.compat import aioreq"))
    theirs = run(lambda: session("import aioreq"))
    assert mine == theirs
