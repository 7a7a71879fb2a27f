"""Which handler a path finds: the index of patterns finds what a look at every one of them, in turn, would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirebird import web
from wirebird.web.routing import Router, route_path

_SEGMENTS = ["a", "b", "ab", "{x}", "{y:a+}", "{tail:.*}", "a{x}", "%2F", "a%2Fb", ""]
_TEMPLATES = st.lists(st.sampled_from(_SEGMENTS), min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
_PATHS = st.lists(st.sampled_from(["a", "b", "ab", "aa", "%2F", "a%2fb", "z", ""]), max_size=5).map(
    lambda parts: "/" + "/".join(parts)
)


async def answer(request: web.Request) -> web.Response:
    return web.Response()


def router_of(templates: list[str]) -> Router:
    """Of those templates that name no part twice."""
    router = web.Application().router
    for template in dict.fromkeys(templates):
        if all(template.count(part) < 2 for part in ("{x}", "{y", "{tail")):
            resource = router.add_resource(template)
            if not resource.routes:
                resource.add_route("GET", answer)
    return router


def slowly(router: Router, path: str) -> tuple[str, dict[str, str]] | None:
    """The route for `path`, by a look at everything in its order."""
    for resource in router.resources():
        found = resource.match(path)
        if found is not None:
            return resource.canonical, dict(found)
    return None


@given(st.lists(_TEMPLATES, max_size=8), _PATHS)
def test_the_first_pattern_that_fits_is_found(templates: list[str], raw: str) -> None:
    router = router_of(templates)
    path = route_path(raw)
    match = router.match("GET", path, ())
    found = None if match.route is None else (match.route.resource.canonical, dict(match))
    assert found == slowly(router, path)


def test_routes_that_come_later_are_found_and_those_that_move() -> None:
    app, above = web.Application(), web.Application()
    app.router.add_route("GET", "/a/{x}", answer)
    assert app.has_route("GET", "/a/1")
    app.router.add_route("GET", "/b/{x}", answer)
    assert app.has_route("GET", "/b/1")
    above.add_subapp("/deep/down", app)
    assert above.has_route("GET", "/deep/down/b/1")
    assert not above.has_route("GET", "/b/1")
    assert not app.has_route("GET", "/b/1")


def test_two_patterns_of_a_path_share_their_methods() -> None:
    app = web.Application()
    app.router.add_route("GET", "/items/{id}", answer)
    app.router.add_route("POST", "/{kind}/{id}", answer)
    assert app.router.match("POST", "/items/1", ()) == {"kind": "items", "id": "1"}
    with pytest.raises(web.HTTPMethodNotAllowed) as caught:
        raise app.router.match("PUT", "/items/1", ()).error
    assert caught.value.headers["Allow"] == "GET,HEAD,POST"


def test_a_path_of_slashes_is_looked_at_as_deep_as_patterns_go() -> None:
    app = web.Application()
    app.router.add_route("GET", "/a/b/{x}", answer)
    assert not app.has_route("GET", "/" * 10_000)
    assert not app.has_route("GET", "/a/b/" + "c/" * 10_000)
