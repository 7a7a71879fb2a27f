"""What aiohttp's quickstart says of requests and their URLs: S3-1 to S3-22, and the time limits, S3-62 to S3-70.

The examples are in `tests/seed_programs/aiohttp/`, with the import line changed and nothing else; `seed` runs each by the façade
and by aiohttp itself.
"""

from __future__ import annotations

import json

from yarl import URL

from aiohttp_seed import AiohttpSeed, origin, place, seed


def test_first_request(seed: AiohttpSeed, capsys):
    """A whole program."""
    seed.run("first_request")
    status, _, text = capsys.readouterr().out.partition("\n")
    assert status == "200"
    assert json.loads(text)["url"] == "http://httpbin.org/get"
    assert seed.asked.headers["accept"] == "*/*"
    assert "gzip, deflate" in seed.asked.headers["accept-encoding"]


def test_post(seed: AiohttpSeed):
    names = seed.type("post")
    assert names["_"].status == 200
    assert (seed.asked.method, seed.asked.path, seed.asked.body) == ("POST", "/post", b"data")


def test_other_methods(seed: AiohttpSeed):
    seed.type("other_methods")
    assert [(asked.method, asked.path, asked.body) for asked in seed.place.asked] == [
        ("PUT", "/put", b"data"),
        ("DELETE", "/delete", b""),
        ("HEAD", "/get", b""),
        ("OPTIONS", "/get", b""),
        ("PATCH", "/patch", b"data"),
    ]


def test_base_url(seed: AiohttpSeed):
    seed.type("base_url")
    assert [(asked.method, asked.path) for asked in seed.place.asked] == [("GET", "/get"), ("POST", "/post"), ("PUT", "/put")]
    assert set(seed.place.hosts) == {"httpbin.org"}


def test_without_context_manager(seed: AiohttpSeed):
    """The document's URL is `'...'`, and the body of its block a comment."""
    names = seed.type("without_context_manager")
    assert names["session"].closed


def test_params_dict(seed: AiohttpSeed):
    names = seed.type("params_dict")
    assert isinstance(names["resp"].url, URL)
    assert seed.asked.target == "/get?key1=value1&key2=value2"


def test_params_pairs(seed: AiohttpSeed):
    """What the document expects has the two the other way round, and is a misprint."""
    seed.type("params_pairs")
    assert seed.asked.target == "/get?key=value1&key=value2"


def test_params_text(seed: AiohttpSeed):
    seed.type("params_text")
    assert seed.asked.target == "/get?key=value+1"


def test_encoded(seed: AiohttpSeed):
    names = seed.type("encoded", URL=URL)
    assert seed.asked.target == "/%30"
    assert str(names["_"].url) == "http://example.com/%30"


def test_timeout_session(seed: AiohttpSeed):
    names = seed.type("timeout_session")
    assert names["session"].timeout.total == 60


def test_timeout_request(seed: AiohttpSeed):
    timeout = seed.aiohttp.ClientTimeout(total=7)
    names = seed.type("timeout_request", url="http://httpbin.org/get", timeout=timeout)
    assert names["resp"].status == 200


def test_timeout_default(seed: AiohttpSeed):
    """It is what `ClientTimeout` had for its defaults when the document was written."""
    shown = seed.type("timeout_default")["_"]
    assert (shown.total, shown.connect, shown.sock_connect, shown.sock_read, shown.ceil_threshold) == (300, None, None, None, 5)
