"""docs/migration.md: every name of its tables exists, in that library and here, and the defaults are what they are."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import wirebird

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "migration.md").read_text("utf-8")
LIBRARIES = ["aiohttp", "aiohttp.web", "httpx", "requests", "aiosonic"]
NOTHING = "—"


def tables() -> dict[str, list[list[str]]]:
    """The cells of every table, by the heading it stands under."""
    found: dict[str, list[list[str]]] = {}
    for section in PAGE.split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        lines = [line for line in text.splitlines() if line.startswith("| ")]
        found[heading] = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]
    return found


TABLES = tables()


def library(name: str) -> ModuleType:
    """The library.  `requests` is for this page alone, and the others have their own tests."""
    pytest.importorskip(name)
    return importlib.import_module(name)


def attribute(owner: Any, name: str) -> Any:
    """`owner.name`, a module of its, or what its instances have."""
    if inspect.ismodule(owner) and not hasattr(owner, name):
        return importlib.import_module(f"{owner.__name__}.{name}")
    if hasattr(owner, name):
        return getattr(owner, name)
    # Set in `__init__`, or annotated only.
    assert inspect.isclass(owner)
    annotated = any(name in getattr(one, "__annotations__", {}) for one in owner.__mro__)
    assert annotated or re.search(rf"self\.{name}\b[^\n]*= ", inspect.getsource(owner.__init__)), (
        f"{owner.__name__} has no {name}"
    )
    return None


def look_up(module: ModuleType, cell: str) -> None:
    """`A.b` or `A(b=)`, as the page writes it: it exists, or this raises."""
    match = re.fullmatch(r"`([\w.]+)(?:\((\w+)=\))?`", cell)
    assert match is not None, cell
    found: Any = module
    for part in match[1].split("."):
        found = attribute(found, part)
    if match[2]:
        assert match[2] in inspect.signature(found).parameters, cell


def without_codes(text: str) -> str:
    return re.sub(r"`[^`]*`", "", text)


@pytest.mark.parametrize("name", LIBRARIES)
def test_every_name_exists(name: str):
    theirs = library(name)
    rows = TABLES[name]
    assert len(rows) > 40
    for left, right, *_ in rows:
        look_up(theirs, left)
        if right != NOTHING:
            look_up(wirebird, right)


@pytest.mark.parametrize("name", LIBRARIES)
def test_no_row_is_there_twice(name: str):
    lefts = [left for left, *_ in TABLES[name]]
    assert len(set(lefts)) == len(lefts)
    for left, right, *remark in TABLES[name]:
        assert without_codes(left + right).strip() in ("", NOTHING)
        assert len(remark) <= 1


@pytest.mark.parametrize("wrong", ["`HTTPClient(none=)`", "`HTTPClient.none`", "`none`", "HTTPClient", "`HTTPClient()`"])
def test_a_wrong_name_is_found(wrong: str):
    with pytest.raises((AssertionError, AttributeError, ModuleNotFoundError)):
        look_up(wirebird, wrong)


def default(function: Any, name: str) -> Any:
    return inspect.signature(function).parameters[name].default


def spelt(value: Any) -> str:
    return {True: "yes", False: "no", None: "none"}[value] if value is None or isinstance(value, bool) else f"{value:g}"


def of_aiohttp() -> list[Any]:
    aiohttp = library("aiohttp")
    limits = importlib.import_module("aiohttp.client").DEFAULT_TIMEOUT
    session = aiohttp.ClientSession
    return [
        default(session._request, "allow_redirects"),
        default(session._request, "max_redirects"),
        "CookieJar(" in inspect.getsource(session.__init__),
        default(session, "trust_env"),
        limits.sock_connect,
        limits.sock_read,
        limits.total,
        default(aiohttp.TCPConnector, "limit"),
    ]


def of_httpx() -> list[Any]:
    httpx = library("httpx")
    client = httpx.AsyncClient
    limits, size = default(client, "timeout"), default(client, "limits").max_connections
    settings = [
        default(client, "follow_redirects"),
        default(client, "max_redirects"),
        isinstance(client().cookies, httpx.Cookies),
    ]
    return [*settings, default(client, "trust_env"), limits.connect, limits.read, None, size]


def of_requests() -> list[Any]:
    requests = library("requests")
    session = requests.Session()
    timeout = default(session.request, "timeout")
    return [
        default(session.request, "allow_redirects"),
        session.max_redirects,
        isinstance(session.cookies, requests.cookies.RequestsCookieJar),
        session.trust_env,
        timeout,
        timeout,
        timeout,
        f"{requests.adapters.DEFAULT_POOLSIZE} per host",
    ]


def of_aiosonic() -> list[Any]:
    aiosonic = library("aiosonic")
    client, limits = aiosonic.HTTPClient, aiosonic.Timeouts()
    settings = [default(client, name) for name in ("follow", "max_redirects", "handle_cookies", "trust_env")]
    size = importlib.import_module("aiosonic.pools").PoolConfig().size
    return [*settings, limits.sock_connect, limits.sock_read, limits.request_timeout, size]


def of_wirebird() -> list[Any]:
    client, limits = wirebird.HTTPClient, wirebird.Timeouts()
    settings = [default(client, name) for name in ("follow", "max_redirects", "handle_cookies", "trust_env")]
    return [*settings, limits.sock_connect, limits.sock_read, limits.request_timeout, default(wirebird.TCPConnector, "pool_size")]


@pytest.mark.parametrize("values", [of_aiohttp, of_httpx, of_requests, of_aiosonic, of_wirebird])
def test_the_defaults_are_what_they_are(values: Any):
    column = ["aiohttp", "httpx", "requests", "aiosonic", "wirebird"].index(values.__name__.removeprefix("of_")) + 1
    said = [row[column] for row in TABLES["Defaults side by side"]]
    assert said == [value if isinstance(value, str) else spelt(value) for value in values()]
