"""What is asked of every contender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "BINARY",
    "EVENTS",
    "EVENT_BLOCK",
    "HUGE",
    "JSON_BODY",
    "LARGE",
    "MESSAGES",
    "MESSAGE_BLOCK",
    "SMALL_BODY",
    "WEBSOCKET_CLIENTS",
    "WORKLOADS",
    "Workload",
    "event",
    "message",
]

SMALL_BODY = b'{"message": "Hello, World!", "id": 1234567890, "ok": true}'  # 58 bytes
JSON_BODY: dict[str, Any] = {"id": 1234567890, "name": "wirebird", "tags": ["fast", "strict"], "price": 12.5, "active": True}
LARGE = 1024 * 1024
WEBSOCKET_CLIENTS = ("wirebird", "before", "pure", "websockets", "aiohttp", "picows")
HUGE = 100 * 1000 * 1000
EVENTS = 100_000
EVENT_BLOCK = 25  # events that the server writes at once, each in a chunk of its own
MESSAGES = 200_000
MESSAGE_BLOCK = 500  # WebSocket messages that the server writes at once
BINARY = bytes(range(256)) * 256  # 64 KiB


def event(number: int) -> bytes:
    """One event of a chat completion, as language models stream it: 186 bytes or so."""
    text = f" word{number % 97}"
    choice = f'{{"index":0,"delta":{{"content":"{text}"}},"logprobs":null,"finish_reason":null}}'
    head = '"id":"chatcmpl-Bh2kQ8wNfS0aXz","object":"chat.completion.chunk","created":1764000000,"model":"m-4o"'
    return f'data: {{{head},"choices":[{choice}]}}\n\n'.encode()


def message(number: int) -> str:
    """One WebSocket message: 64 characters of ASCII."""
    return f'{{"type":"trade","symbol":"ABCDEF","price":12345.5,"id":{number % 1000:08}}}'


@dataclass(frozen=True)
class Workload:
    """One row of the comparison.

    `operation` names the contender's method; `target` names the URL of the origin; `callers` ask at the same time over
    `connections` connections, `idle` of which lie in the pool meanwhile (of a server: so many lie idle before); `expected` is
    what every call must return.
    """

    name: str
    title: str
    operation: str
    target: str
    callers: int
    connections: int
    expected: Any
    idle: int = 0
    loops: tuple[str, ...] = ("asyncio", "uvloop")
    rounds: int = 99
    bare: bool = True
    limit: float = 20.0  # seconds after which a run is stopped
    contenders: tuple[str, ...] | None = None  # those that can do it; `None` is all
    note: str = ""

    @property
    def bulk(self) -> bool:
        """Whether bytes, not requests, are what counts."""
        return self.operation in ("stream", "upload")

    @property
    def long(self) -> bool:
        """Whether one call takes so long that something else must do to warm up."""
        return self.bulk or self.operation == "events"

    @property
    def websocket(self) -> bool:
        """Whether messages of a WebSocket are what is counted."""
        return self.operation.startswith("ws_")

    @property
    def served(self) -> bool:
        """Whether servers are compared, and the figures are theirs."""
        return self.operation.startswith("serve_")


_SMALL = len(SMALL_BODY)
_IDLE_NOTE = (
    "50 callers on the embedded server. All connections are open at once before the measurement: "
    "each of as many concurrent requests is held until the last of them has arrived."
)
_WEBSOCKET_NOTE = (
    "One connection, one message at a time, no compression. aiohttp parses and masks in C, picows does everything in C and calls "
    "back instead of being awaited, websockets masks in C, and so does wirebird if websockets is installed; `pure` is wirebird "
    "where it is not. The server counts frames and answers with ready ones; it unmasks and compares the first frame of each "
    "connection only."
)
_SERVER_NOTE = (
    "wrk with 50 keep-alive connections, for whole seconds, at least one: it knows no others. CPU is the server's, with all its "
    "processes; memory per idle connection is what it has grown by after a request on each of 2,000 connections, all open, and "
    "a garbage collection, for which granian's worker cannot be asked."
)
_ROWS = (
    Workload("get_small_1", "Small GET, one caller, one connection", "get", "small", 1, 1, _SMALL),
    Workload("get_small_50", "Small GET, 50 callers, 50 connections", "get", "small", 50, 50, _SMALL),
    Workload(
        "get_small_1000",
        "Small GET, 1,000 callers, 100 connections",
        "get",
        "small",
        1000,
        100,
        _SMALL,
        bare=False,
        limit=8.0,
        note="There is no bare loop here: it has no callers that wait. wreq has no limit of connections: a semaphore stands in.",
    ),
    Workload(
        "get_varying_50",
        "Small GET, 50 callers, every response head different",
        "get",
        "varying",
        50,
        50,
        _SMALL,
        note="Fresh request id, ETag and trace id in each head: remembering heads gains nothing.",
    ),
    Workload("post_json_50", "POST of a small JSON, answer decoded, 50 callers", "post_json", "echo", 50, 50, JSON_BODY),
    Workload("tls_get_50", "Small GET over TLS, keep-alive, 50 callers", "get", "tls", 50, 50, _SMALL),
    Workload("get_1mb", "1 MiB GET into memory, one caller", "get", "1mb", 1, 1, LARGE),
    Workload(
        "stream_100mb",
        "100 MB streamed to a consumer",
        "stream",
        "100mb",
        1,
        1,
        HUGE,
        note="The consumer counts the bytes and drops them. Growth: of the peak resident size since a small request before.",
    ),
    Workload(
        "upload_100mb",
        "100 MB uploaded from a file",
        "upload",
        "upload",
        1,
        1,
        HUGE,
        note="Where a library takes no file object, it gets a generator that reads 256 KiB at a time.",
    ),
    Workload(
        "sse_100k",
        "100,000 Server-Sent Events of a chat completion",
        "events",
        "events",
        1,
        1,
        EVENTS,
        rounds=2,
        bare=False,
        limit=60.0,
        contenders=("wirebird", "httpx", "aiohttp"),
        note=(
            "Each event in a chunk of its own, 25 of them in one write of the server. httpx reads with httpx-sse; aiohttp, which "
            "has no such reader, with one written by hand that joins the data lines and no more. The others have none either."
        ),
    ),
    Workload(
        "ws_echo_64",
        "WebSocket: text of 64 bytes, echoed",
        "ws_echo",
        "ws_echo_64",
        1,
        1,
        64,
        bare=False,
        contenders=WEBSOCKET_CLIENTS,
        note=_WEBSOCKET_NOTE,
    ),
    Workload(
        "ws_echo_64k",
        "WebSocket: 64 KiB of binary data, echoed",
        "ws_echo",
        "ws_echo_64k",
        1,
        1,
        len(BINARY),
        bare=False,
        contenders=WEBSOCKET_CLIENTS,
    ),
    Workload(
        "ws_receive_200k",
        "WebSocket: 200,000 texts of 64 bytes, received",
        "ws_receive",
        "ws_receive",
        1,
        1,
        MESSAGES,
        bare=False,
        contenders=WEBSOCKET_CLIENTS,
        note="The server sends as fast as the socket takes it, 500 messages in one write, and closes.",
    ),
    Workload(
        "ws_send_200k",
        "WebSocket: 200,000 texts of 64 bytes, sent",
        "ws_send",
        "ws_send",
        1,
        1,
        MESSAGES,
        bare=False,
        contenders=WEBSOCKET_CLIENTS,
        note="One after the other, each awaited where there is something to await; the server closes after the last one.",
    ),
    Workload(
        "server_text_50",
        "Server: a routed text handler with one middleware, 50 connections",
        "serve_text",
        "",
        50,
        50,
        None,
        2_000,
        rounds=3,
        contenders=("bare", "wirebird", "before", "aiohttp", "uvicorn", "starlette", "blacksheep", "sanic"),
        note=f"{_SERVER_NOTE} uvicorn serves a bare ASGI function, without router or middleware.",
    ),
    Workload(
        "server_asgi_50",
        "Server: the same bare ASGI function, 50 connections",
        "serve_asgi",
        "",
        50,
        50,
        None,
        2_000,
        rounds=3,
        contenders=("wirebird", "before", "uvicorn", "hypercorn", "granian"),
        note=_SERVER_NOTE,
    ),
    Workload(
        "idle_10",
        "Small GET, 50 callers, 10 more connections idle in the pool",
        "get",
        "idle",
        50,
        60,
        _SMALL,
        10,
        ("asyncio",),
        2,
        note=_IDLE_NOTE,
    ),
    Workload(
        "idle_10000",
        "Small GET, 50 callers, 10,000 more connections idle in the pool",
        "get",
        "idle",
        50,
        10_050,
        _SMALL,
        10_000,
        ("asyncio",),
        2,
        limit=20.0,
        note=_IDLE_NOTE + " Memory per connection: growth of the resident size until they lie idle.",
    ),
)
WORKLOADS = {row.name: row for row in _ROWS}
