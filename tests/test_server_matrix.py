"""What the byte matrix and the advisories hold in store for a parser, sent to a server: it answers once and closes, however the
bytes are cut; nothing behind them is served; there is one record in the log and no traceback on the wire.

The inputs are those of `test_http1_matrix.py` and `test_http1_advisories.py`, taken from there and not written down again.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

import http1_triples
import test_http1_advisories
import test_http1_matrix
from refusals import request
from server_wire import GET, App, run, serve, served
from wirebird.errors import IncompleteBody, InvalidRequest, LimitExceeded
from wirebird.models.limits import DEFAULT_LIMITS
from wirebird.server.settings import Settings

# Longer input is sent whole, and in two parts, but not byte by byte.
_LONG = 2000


class Bad(NamedTuple):
    data: bytes
    statuses: tuple[int, ...]
    before: int  # good requests in front of it


def _sets_of(function: Any) -> Iterator[dict[str, Any]]:
    """The arguments that `parametrize` calls the test with."""
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    if not marks:
        yield {}
        return
    (mark,) = marks
    names = mark.args[0] if isinstance(mark.args[0], tuple) else tuple(mark.args[0].replace(" ", "").split(","))
    for values in mark.args[1]:
        yield dict(zip(names, values if len(names) > 1 else (values,), strict=True))


def collect() -> dict[str, list[Bad]]:
    """What each of the tests refuses, as requests."""
    found: dict[str, list[Bad]] = {}
    bad: list[Bad] = []

    def refused_request(data: bytes, *statuses: int, before: Any = ()) -> None:
        heads = sum(isinstance(event, str) for event in before)
        bad.append(Bad(data, statuses or (400,), heads))

    def both_refuse(fields: bytes, body: bytes = b"", *statuses: int) -> None:
        refused_request(request(fields, body), *statuses)

    for module in (test_http1_matrix, test_http1_advisories):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "refused_request", refused_request)
            patch.setattr(module, "both_refuse", both_refuse)
            patch.setattr(module, "refused_response", lambda *args: None)
            for name, function in inspect.getmembers(module, inspect.isfunction):
                if not name.startswith("test_") or "refuse" not in inspect.getsource(function):
                    continue
                bad = []
                for arguments in _sets_of(function):
                    function(**arguments)
                if bad:
                    found[name] = list(dict.fromkeys(bad))
    return found


CASES = collect()


async def check(bad: Bad, pieces: list[bytes]) -> None:
    app = App()
    hub, wire = await served(app, *pieces, turns=6)
    responses = wire.responses()
    final = responses[-1]
    problems = [
        len(responses) != bad.before + 1,
        [response.status for response in responses[:-1]] != [200] * bad.before,
        final.status not in bad.statuses,
        final.fields.get("connection") != "close",
        final.fields.get("content-type") != "text/plain; charset=utf-8",
        b"Traceback" in final.body or b"Error" in final.body or b"/src/" in final.body,
        not (wire.half_closed or wire.gone),
        len(hub.refusals) != 1,
        bool(hub.errors),
        # A handler may have begun that reads the body, and is told; nothing behind it is served.
        len(app.served) > bad.before + 1,
        len(app.bodies) > bad.before,
    ]
    if any(problems):
        raise AssertionError(f"{bad.data[:200]!r}: {problems} {responses} {app.served} {hub.refusals} {hub.errors}")


def test_all_of_it_is_there() -> None:
    assert len(CASES) > 30
    assert sum(map(len, CASES.values())) > 900


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "wirebird.server")

    async def main() -> None:
        for bad in CASES[name]:
            await check(bad, [bad.data + GET])
            await check(bad, [bad.data, GET])
            half = len(bad.data) // 2
            await check(bad, [bad.data[:half], bad.data[half:] + GET])

    run(main)


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused_byte_by_byte(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "wirebird.server")

    async def main() -> None:
        for bad in CASES[name][:: max(1, len(CASES[name]) // 12)]:  # the parser's own tests have all of them
            if len(bad.data) <= _LONG:
                await check(bad, [bad.data[at : at + 1] for at in range(len(bad.data))] + [GET])

    run(main)


REQUESTS = {name: triple for name, triple in http1_triples.REQUESTS.items() if triple.role == "server"}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_table_of_requests(name: str) -> None:
    """Each row of the parser's table, served: as many answers as it has whole requests, and the right refusal behind them."""
    triple = REQUESTS[name]
    heads = sum(isinstance(event, str) for event in triple.events)
    whole = sum(not isinstance(event, (str, bytes)) for event in triple.events)
    settings = Settings(limits=triple.limits if triple.limits is not DEFAULT_LIMITS else DEFAULT_LIMITS)
    bytes_of_it = [triple.data[at : at + 1] for at in range(len(triple.data))] if len(triple.data) <= _LONG else [triple.data]
    for pieces in ([triple.data], bytes_of_it):
        app = App()
        hub, wire = serve(app, *pieces, settings=settings, eof=triple.eof)
        methods = [event.partition(" ")[0].encode() for event in triple.events if isinstance(event, str)]
        found = [response for response in wire.responses(*methods) if response.status != 100]
        if triple.error is None:
            # A tunnel, and an https URL that is asked for in the clear, are refused by the server, not the parser.
            refused = {b"CONNECT": 501} if name != "absolute-form-https" else {b"GET": 421}
            expected = [refused.get(method, 200) for method in methods]
            assert [response.status for response in found] == expected[: whole or None]
            assert len(hub.refusals) == sum(method in refused for method in methods)
        else:
            kind, status, *_ = triple.error
            assert len(hub.refusals) == 1
            assert [response.status for response in found[:whole]] == [200] * whole
            if kind in (InvalidRequest, LimitExceeded):
                assert [response.status for response in found[whole:]] == [status]
            else:
                assert kind is IncompleteBody
                assert [response.status for response in found[whole:]] == [400]
            assert heads - whole <= 1
        assert not hub.errors
