"""Which handler a path finds: the index of patterns finds what a look at every one of them, in turn, would."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from origin import run
from wirebird import UsageError, web
from wirebird.testing import TestClient
from wirebird.web import cors
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


def test_a_search_from_below_leaves_no_middleware_of_those_above_out() -> None:
    async def main() -> None:
        """`has_route` of an application begins there; what it composes on its way is not what requests get."""

        async def guard(request: web.Request, handler: web.Handler) -> web.StreamResponse:
            if request.path == "/below/secret":
                raise web.HTTPForbidden
            return await handler(request)

        async def ask(request: web.Request) -> web.Response:
            return web.Response(text=str(request.app.has_route("GET", "/below/secret")))

        app, below = web.Application(middlewares=[guard]), web.Application()
        below.add_routes([web.get("/secret", answer), web.get("/ask", ask)])
        app.add_subapp("/below", below)
        async with TestClient(app) as client:
            assert await (await client.get("/below/ask")).text() == "True"
            assert (await client.get("/below/secret")).status_code == 403

    run(main)


def test_what_one_request_finds_is_not_changed_for_others() -> None:
    async def main() -> None:
        """What is found for a path without patterns is remembered: it must not carry one user's values to another."""

        async def keep(request: web.Request) -> web.Response:
            for change in (
                lambda: request.match_info.__setitem__("user", "me"),
                lambda: request.match_info.update(user="me"),
                lambda: request.match_info.setdefault("user", "me"),
                lambda: request.match_info.__ior__({"user": "me"}),
                lambda: request.match_info.clear(),
            ):
                with pytest.raises(TypeError, match="match_info cannot be changed"):
                    change()
            return web.json_response(dict(request.match_info))

        app = web.Application()
        app.add_routes([web.get("/plain", keep), web.get("/of/{name}", keep)])
        async with TestClient(app) as client:
            assert [await (await client.get("/plain")).json() for _ in range(2)] == [{}, {}]
            assert await (await client.get("/of/a")).json() == {"name": "a"}

    run(main)


def test_who_hears_of_responses_can_look_at_what_a_path_that_is_none_found() -> None:
    async def main() -> None:
        heard: list[web.Request] = []

        async def hear(request: web.Request, response: web.StreamResponse) -> None:
            heard.append(request)
            assert (request.match_info.route, request.match_info.apps) == (None, (app,))

        app = web.Application()
        app.on_response_prepare.append(hear)
        cors.setup(app, ["https://a.example"])
        async with TestClient(app) as client:
            response = await client.get("/%ff", headers={"Origin": "https://a.example"})
            assert response.status_code == 400
            assert response.headers["access-control-allow-origin"] == "https://a.example"
        assert len(heard) == 1

    run(main)


def test_every_name_of_a_path_moves_below_a_prefix(tmp_path: Path) -> None:
    app, below = web.Application(), web.Application()
    below.add_routes([web.get("/a", answer, name="a"), web.post("/a", answer, name="b"), web.static("/s", tmp_path, name="s")])
    below.add_routes([web.get("/{x}", answer, name="c"), web.post("/{x}", answer, name="d")])
    app.add_subapp("/p", below)
    router = below.router
    assert [str(router[name].url_for()) for name in "ab"] == ["/p/a", "/p/a"]
    assert [str(router[name].url_for(x=1)) for name in "cd"] == ["/p/1", "/p/1"]
    assert str(router["s"].url_for(filename="f")) == "/p/s/f"


@pytest.mark.parametrize("prefix", ["/a%20b", "/é", "/a%2Fb", "/p%2525"])
def test_a_prefix_is_matched_decoded_as_other_paths(prefix: str, tmp_path: Path) -> None:
    app, middle, below = web.Application(), web.Application(), web.Application()
    below.add_routes([web.get("/x", answer), web.static("/s", tmp_path)])
    middle.add_subapp(prefix, below)
    app.add_subapp(prefix, middle)
    assert app.has_route("GET", f"{prefix}{prefix}/x")
    assert app.has_route("GET", f"{prefix}{prefix}/s/file")
    assert not app.has_route("GET", f"{prefix}/x")


def test_a_prefix_with_patterns_is_refused() -> None:
    with pytest.raises(UsageError, match="prefix must have no patterns"):
        web.Application().add_subapp("/{user}", web.Application())


def test_the_longest_prefix_counts_whatever_the_order(tmp_path: Path) -> None:
    app, api, newer = web.Application(), web.Application(), web.Application()
    api.add_routes([web.get("/x", answer)])
    newer.add_routes([web.get("/y", answer)])
    app.add_routes([web.static("/", tmp_path)])
    app.add_subapp("/api", api)
    app.add_subapp("/api/v2", newer)
    assert app.has_route("GET", "/api/x")
    assert app.has_route("GET", "/api/v2/y")
    assert not app.has_route("GET", "/api/v2/x")
    assert app.has_route("GET", "/file")


@given(
    st.sampled_from(["/a/{x}", "/{x}", "/{x}.html", "/a{x:.*}", "/{x:[^%]+}/z"]),
    st.one_of(st.text(max_size=5), st.text("./%\\?#", max_size=4), st.sampled_from(["\udcff", "//evil.example"])),
)
def test_a_path_that_was_made_leads_back(template: str, value: str) -> None:
    """To the same route and value, through a client that takes dot segments away, and on the same host."""
    router = web.Application().router
    resource = router.add_resource(template)
    resource.add_route("GET", answer)
    try:
        made = resource.url_for(x=value)
    except UsageError:
        return
    seen = URL("http://here.example/from").join(URL(str(made)))
    match = router.match("GET", route_path(seen.raw_path), ())
    assert (seen.host, dict(match)) == ("here.example", {"x": value})


@pytest.mark.parametrize("value", [".", "..", "\udcff"])
def test_a_value_that_would_lead_elsewhere_makes_no_path(value: str) -> None:
    with pytest.raises(UsageError):
        web.Application().router.add_resource("/a/{x}").url_for(x=value)


@pytest.mark.parametrize("location", ["", " ", "\0"])
def test_a_redirect_says_where_to(location: str) -> None:
    with pytest.raises(UsageError, match="location must say where to"):
        web.HTTPFound(location)
