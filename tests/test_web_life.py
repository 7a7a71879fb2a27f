"""The end of an application, and a start that fails: everything that was begun is ended, whatever raises on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from origin import run
from wirebird import UsageError, web


def failing(name: str) -> Callable[[web.Application], object]:
    async def fail(app: web.Application) -> None:
        raise ValueError(name)

    return fail


def test_everybody_hears_of_the_end_whoever_fails() -> None:
    async def main() -> None:
        heard: list[str] = []

        def hear(name: str) -> Callable[[web.Application], object]:
            async def note(app: web.Application) -> None:
                heard.append(name)

            return note

        app, below, beside = web.Application(), web.Application(), web.Application()
        for one, name in ((app, "app"), (below, "below"), (beside, "beside")):
            for signal, moment in ((one.on_shutdown, "shutdown"), (one.on_cleanup, "cleanup")):
                signal.append(hear(f"{name} {moment} 1"))
                signal.append(failing(f"{name} {moment}"))
                signal.append(hear(f"{name} {moment} 2"))
        app.add_subapp("/below", below)
        app.add_subapp("/beside", beside)
        await app.startup()
        with pytest.raises(ValueError):
            await app.shutdown()
        assert heard == [
            f"{name} {moment} {number}"
            for moment, names in (("shutdown", ("app", "below", "beside")), ("cleanup", ("app", "beside", "below")))
            for name in names
            for number in (1, 2)
        ]

    run(main)


def test_a_start_that_fails_says_why_also_if_its_end_fails() -> None:
    async def main() -> None:
        ended: list[str] = []

        async def context(app: web.Application) -> AsyncIterator[None]:
            yield
            ended.append("context")
            raise ValueError("the end")

        app = web.Application()
        app.cleanup_ctx.append(context)
        app.on_startup.append(failing("the start"))
        with pytest.raises(ValueError, match="the start") as caught:
            await app.startup()
        assert ended == ["context"]
        assert caught.value.__notes__ == ["To end what was started failed, too: ValueError('the end')"]

    run(main)


@pytest.mark.parametrize("make", [web.Response, web.StreamResponse])
def test_a_response_does_not_switch_protocols(make: Callable[..., web.StreamResponse]) -> None:
    """Behind a 101 a client takes what comes for another protocol: a body, and the next response."""
    with pytest.raises(UsageError, match="status must be"):
        make(status=101)
