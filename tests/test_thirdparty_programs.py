"""Programs over libraries that have aiohttp for their transport, fsspec, aiohttp-retry, gql, Slack's SDK, or for their server:
aiohttp-session, aiohttp-jinja2, aiohttp-cors, python-socketio.

Each is a program of its own in `tests/thirdparty/`, and asks servers on this machine.  It runs twice, in a fresh interpreter:
with aiohttp, and as `python -m wirebird.compat.aiohttp program.py`, where these libraries' `import aiohttp` gives the façade.
Nothing of them is changed.  Both print what they saw, and that must be the same.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from thirdparty_origin import ThirdPartyOrigin

PROGRAMS = Path(__file__).with_name("thirdparty")
WAYS = {"wirebird": ["-m", "wirebird.compat.aiohttp"], "aiohttp": []}


def saw(program: str, way: str, arguments: list[str]) -> Any:
    """What the program saw.  It must end by itself, and have no complaints."""
    # What is left open is told; but gql leaves the loop of a blocking client to the collector.
    warned = ["-W", "always::ResourceWarning", "-W", "ignore:unclosed event loop:ResourceWarning"]
    command = [sys.executable, *warned, *WAYS[way], str(PROGRAMS / program), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50, env={**os.environ, "PYTHONUNBUFFERED": ""})
    assert ended.returncode == 0, ended.stderr
    if way == "wirebird":
        assert ended.stderr == ""
    return json.loads(ended.stdout)


def seen(program: str, way: str) -> tuple[dict[str, Any], ThirdPartyOrigin]:
    """What it saw of servers that are there for it alone, and these."""
    with ThirdPartyOrigin() as servers:
        arguments = [servers.base, servers.sockets] if program in ("queries.py", "chat.py") else [servers.base]
        found = saw(program, way, arguments)
        assert servers.origin.faults == []
        return json.loads(json.dumps(found).replace(servers.base, "BASE")), servers


def both(program: str, *library: str) -> tuple[dict[str, Any], ThirdPartyOrigin]:
    """What the program saw either way, and the servers that it talked to by wirebird."""
    for name in ("aiohttp", *library):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    # At the same time, for half of what a program does is to wait; each has servers of its own.
    with ThreadPoolExecutor(len(WAYS)) as ways:
        ours, theirs = ways.map(partial(seen, program), WAYS)
    assert ours[0] == theirs[0]
    return ours


def test_files():
    """fsspec: links, ranges, caches, streams, uploads, blocking and not."""
    found, servers = both("files.py", "fsspec")
    assert found["ls"] == [f"BASE/files/{name}" for name in ("a.txt", "b.txt", "data.bin", "lines.csv", "packed.txt.gz", "sub/")]
    assert found["glob"] == ["BASE/files/a.txt", "BASE/files/b.txt"]
    assert found["exists"] == [True, False, True]
    assert found["info"] == {"size": 320_000, "mimetype": "application/octet-stream", "ETag": '"320000"', "type": "file"}
    assert (found["lines"], found["packed"], found["put"], found["piped"]) == (["a;b", "ä;ö"], "packed text", 320_000, "piped")
    assert (found["missing"], found["cut"], found["told"], found["cookie"]) == (True, "ClientError", "Bearer word", "a=1")
    assert (found["strict"], found["elsewhere"], found["threads"]) == ([401, True], "BASE/files/a.txt", ["second"] * 5)
    assert (found["packed_size"], found["whole"]) == (["HTTPStreamFile", None, 320_000], ["HTTPStreamFile", "never"])
    assert (found["own"], found["cached"]) == ("Basic dXNlcjp3b3Jk", ["first", "first"])
    assert servers.files["new.bin"] == servers.files["data.bin"]


def test_retries():
    """aiohttp-retry: what is tried again, and how often."""
    found, servers = both("retries.py", "aiohttp_retry")
    assert (found["third"], found["found"]) == ([200, '{"attempt": 3}'],) * 2
    assert (found["never"], found["not_found"], found["server_errors"], found["methods"]) == (503, 404, 503, 503)
    assert (found["dropped"], found["always_dropped"]) == ([200, '{"attempt": 3}'], "ServerDisconnectedError")
    assert (found["raised"], found["raised_twice"]) == ([503, "Not Yet", True], 200)
    assert found["traced"] == [[[number, "GET", "/times/traced/2"] for number in (1, 2, 3)], [503, 503, 200]]
    counted = {"once": 1, "third": 3, "never": 5, "not_found": 1, "server_errors": 1, "methods": 1, "always_dropped": 3}
    assert {name: servers.attempts[name] for name in counted} == counted


def test_queries():
    """gql: queries, batches, uploads, subscriptions over a WebSocket and in parts."""
    found, servers = both("queries.py", "gql", "graphql", "websockets")
    assert found["blocking"]["continents"][0] == {"code": "AF", "name": "Africa"}
    assert (found["names"], found["batch"]) == (["Africa", "Europe", "Asia"], ["Europe", "Africa"])
    assert found["told"] == {"x-own": "yes", "cookie": "a=1"}
    assert found["path"] == {"name": "own.txt text/plain", "size": 200_000}
    assert found["named"] == {"name": "other.pdf application/pdf", "size": 200_000}
    assert (found["streamed"]["size"], found["generator"]["size"], found["chained"]["size"]) == (200_000, 100, 70_000)
    assert (found["protocol"], found["count"], found["parts"]) == ("graphql-transport-ws", [1, 2, 3, 4, 5], [1, 2, 3, 4])
    assert found["counts"] == [list(range(1, to + 1)) for to in range(1, 6)]
    assert found["refused"] == ["WSServerHandshakeError", 403]
    assert servers.open == 0


def test_chat():
    """Slack's SDK: its API, files, webhooks, retries, and events over a WebSocket that it keeps alive by pings of its own."""
    found, servers = both("chat.py", "slack_sdk", "graphql", "websockets")
    assert found["posted"] == ["application/json", "Тест", "Bearer xoxb-token"]
    assert (found["status"], found["refused"]) == ([200, "yes"], ["message_not_found", 200])
    assert (found["many"], found["listed"][1]) == ([f"n={number}" for number in range(20)], ["channel 1", "channel 2"])
    assert found["uploaded"][1][0] == {"title": "a title"}
    assert (found["limited"], found["failed"], found["dropped"]) == (2, 3, 3)
    assert (found["hook"], found["connected"]) == ([200, "yes"], True)
    assert found["events"] == [["events_api", number] for number in range(3)]
    assert servers.acknowledged == [{"envelope_id": f"E{number}", "payload": {"n": number}} for number in range(3)]


def test_site():
    """Sessions, templates, permissions for other origins, and Socket.IO over both of its transports."""
    found, _ = both("visits.py", "aiohttp_session", "aiohttp_jinja2", "aiohttp_cors", "socketio")
    assert found["first"][2] == "1 /page/a%20b"
    assert found["second"][2] == "2 /page/a%20b"
    assert found["preflight"][0] == 200
    assert found["refused"][0] == 403
    assert found["polling"][0] == 200
    assert found["event"] == "event!"
