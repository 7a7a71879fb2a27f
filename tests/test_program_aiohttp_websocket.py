"""What aiohttp's quickstart says of WebSockets: S3-52 to S3-57.

The example is in `tests/seed_programs/aiohttp/`, with the import line changed and nothing else; `seed` runs it by the façade and
by aiohttp itself.
"""

from __future__ import annotations

from aiohttp_seed import AiohttpSeed, origin, place, seed


def test_websocket(seed: AiohttpSeed):
    """It answers what it hears, and closes when it is told to."""
    names = seed.type("websocket")
    assert seed.said == ["hello/answer", "1000"]
    assert isinstance(names["ws"], seed.aiohttp.ClientWebSocketResponse)
    assert names["ws"].closed
    assert (names["msg"].type, names["msg"].data) == (seed.aiohttp.WSMsgType.TEXT, "close cmd")
