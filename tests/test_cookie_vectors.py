"""The shared cookie vectors: 303 scripts over one jar each, 70 dates, and the public suffix list's own test."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from wirebird.models.cookie_parsing import parse_cookie_date
from wirebird.models.cookies import CookieJar
from wirebird.models.dates import format_http_date

VECTORS = Path(__file__).resolve().parents[2] / "shared" / "vectors"
NOW = 1_750_000_000.0

# Grade B, where this jar does what a grade A vector asks for instead: plain http may not set a Secure cookie.
AGAINST_GRADE_A = {
    "ck-go-001": "expects `A=a; secure` to be taken from http (ck-own-secure-from-http is grade A and forbids it)",
    "ck-go-updateAndDeleteTests": "expects Secure cookies to be set, changed and deleted from http (as above)",
}


def load(name: str) -> list[Any]:
    path = VECTORS / name
    if not path.exists():
        return []
    vectors: list[Any] = json.loads(path.read_text(encoding="utf-8"))["vectors"]
    return vectors


COOKIES = load("cookies.json")
DATES = load("cookie_dates.json")
SUFFIXES = load("psl.json")

needs_vectors = pytest.mark.skipif(not COOKIES, reason="the conformance vectors do not stand beside the project")


def small_list(domain: str) -> bool:
    """The list that the Go corpus was written for: co.uk, and the default rule."""
    return domain == "co.uk" or "." not in domain


def fill(text: str) -> str:
    return re.sub(r"\{expires:([+-][0-9]+)\}", lambda found: format_http_date(NOW + int(found[1])), text)


def outcomes(vector: dict[str, Any], jar: CookieJar) -> list[tuple[list[list[str]], list[list[list[str]]]]]:
    """For each `get` what the jar sends, and what it may send."""
    results = []
    for op in vector["ops"]:
        if "set" in op:
            jar.store(URL(op["set"]["url"]), [fill(text) for text in op["set"]["set_cookie"]], NOW)
        else:
            url = URL(op["get"]["url"])
            sent = [[cookie.name, cookie.value] for cookie in jar.cookies_for(url, NOW)]
            assert jar.header(url, NOW) == ("; ".join(f"{name}={value}" for name, value in sent) or None)
            results.append((sent, [op["get"]["cookies"], *vector.get("either", [])]))
    return results


@needs_vectors
def test_the_corpus_is_whole() -> None:
    grades = [vector["grade"] for vector in COOKIES]
    assert (len(grades), grades.count("A"), grades.count("B")) == (303, 293, 10)
    assert len(DATES) == 70
    assert all(vector["ordered"] for vector in COOKIES)


@needs_vectors
@pytest.mark.parametrize("vector", COOKIES, ids=[vector["id"] for vector in COOKIES])
def test_jar(vector: dict[str, Any]) -> None:
    results = outcomes(vector, CookieJar(public_suffix=small_list))
    assert results
    if vector["id"] in AGAINST_GRADE_A:
        assert vector["grade"] == "B"
        assert any(sent not in allowed for sent, allowed in results), "passes now: take it off the list"
        return
    for sent, allowed in results:
        assert sent in allowed


@needs_vectors
@pytest.mark.parametrize(
    "vector", [v for v in COOKIES if "psl" in v and v["id"] not in AGAINST_GRADE_A], ids=lambda vector: vector["id"]
)
def test_jar_with_the_installed_suffix_list(vector: dict[str, Any]) -> None:
    pytest.importorskip("publicsuffixlist")
    for sent, allowed in outcomes(vector, CookieJar()):
        assert sent in allowed


@needs_vectors
@pytest.mark.parametrize("vector", [v for v in COOKIES if v["grade"] == "A"], ids=lambda vector: vector["id"])
def test_jar_through_json(vector: dict[str, Any]) -> None:
    """Saving and loading between any two steps changes nothing."""
    jar = CookieJar(public_suffix=small_list)
    for op in vector["ops"]:
        jar = CookieJar.from_json(jar.to_json(), public_suffix=small_list)
        if "set" in op:
            jar.store(URL(op["set"]["url"]), [fill(text) for text in op["set"]["set_cookie"]], NOW)
        else:
            sent = [[cookie.name, cookie.value] for cookie in jar.cookies_for(URL(op["get"]["url"]), NOW)]
            assert sent in [op["get"]["cookies"], *vector.get("either", [])]


@needs_vectors
@pytest.mark.parametrize("vector", DATES, ids=[vector["date"] for vector in DATES])
def test_date(vector: dict[str, Any]) -> None:
    assert vector["agree"]
    seconds = parse_cookie_date(vector["date"])
    assert (None if seconds is None else format_http_date(seconds)) == vector["expected"]


@pytest.mark.skipif(not SUFFIXES, reason="the conformance vectors do not stand beside the project")
def test_public_suffixes_of_the_list_get_no_domain_cookie() -> None:
    """[host, registrable domain]: a host may widen a cookie to that domain, and to nothing above it."""
    pytest.importorskip("publicsuffixlist")
    tried = 0
    for host, registrable in SUFFIXES:
        if host is None or host.startswith("."):
            continue
        url = URL(f"http://www.{host}/") if registrable is None else URL(f"http://{host}/")
        labels = url.raw_host.split(".")  # type: ignore[union-attr]
        allowed = None if registrable is None else URL(f"http://{registrable}/").raw_host
        for start in range(1, len(labels)):
            domain = ".".join(labels[start:])
            jar = CookieJar()
            jar.store(url, [f"x=1; Domain={domain}"], NOW)
            if registrable is None:
                if domain == URL(f"http://{host}/").raw_host:
                    assert len(jar) == 0, (host, domain)
            else:
                assert len(jar) == (domain == allowed or domain.endswith(f".{allowed}")), (host, domain)
            tried += 1
    assert tried > 100
