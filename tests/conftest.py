"""What holds for the whole suite.

The examples of hypothesis are the same in every run, and none fails for being slow; `HYPOTHESIS_PROFILE=search` looks for new
ones instead.  Assertions in the modules that tests share are rewritten as those in tests are, so that they say what they
compared, and hold under `python -O` too.

`make test` turns development mode on through the environment, because that is how it reaches the workers of pytest-xdist.  The
programs that tests start run as a user's would: asyncio's remarks on slow callbacks are not theirs to make.

Of development mode loops do without what is asyncio's, which looks at the stack with each callback and takes a third of the
suite's time.  With `PYTHONASYNCIODEBUG=1` they have it; `.ci/run` does so once.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import pytest
from hypothesis import settings

from effort import ALL, examples

_SEEN = ("conftest", "effort")
pytest.register_assert_rewrite(*sorted(path.stem for path in Path(__file__).parent.glob("[!t]*.py") if path.stem not in _SEEN))

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None, max_examples=examples(100))
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

LOOPS: Final = ("asyncio", "uvloop")


class QuietRunner(asyncio.Runner):
    """Of `asyncio.run`, too: a runner whose loop is in debug mode only if somebody says so."""

    def __init__(self, *, debug: bool | None = None, loop_factory: Any = None) -> None:
        super().__init__(debug=bool(debug), loop_factory=loop_factory)


if not os.environ.get("PYTHONASYNCIODEBUG"):
    asyncio.Runner = asyncio.runners.Runner = QuietRunner  # type: ignore[misc]


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        os.environ.pop("PYTHONDEVMODE", None)
        os.environ.pop("PYTHONASYNCIODEBUG", None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a case that is there for both loops, and has other parameters besides, run one: now for this loop, now for that."""
    if ALL:
        return
    cases: dict[str, dict[str, pytest.Item]] = {}
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        loops = [value for value in parameters.values() if isinstance(value, str) and value in LOOPS]
        if len(loops) == 1 and len(parameters) > 1:
            cases.setdefault(item.nodeid.replace(loops[0], ""), {})[loops[0]] = item
    spared = {both[LOOPS[crc32(case.encode()) % 2]] for case, both in cases.items() if len(both) == 2}
    if spared:
        config.hook.pytest_deselected(items=list(spared))
        items[:] = [item for item in items if item not in spared]


@pytest.fixture(scope="module", autouse=True)
def only_what_is_new() -> Iterator[None]:
    """What a worker has loaded so far is of no interest to the collector: most of the suite's time went into looking at it."""
    gc.collect()
    gc.freeze()
    yield


@pytest.fixture(scope="module", autouse=True)
def only_the_logging_that_was_there() -> Iterator[None]:
    """A command that was run within the tests has sent its log to a stream that is closed by then."""
    loggers = [logging.getLogger(name) for name in ("", "wirebird", "wirebird.access")]
    before = [(one.handlers[:], one.level, one.propagate) for one in loggers]
    yield
    for one, (handlers, level, propagate) in zip(loggers, before, strict=True):
        one.handlers[:], one.propagate = handlers, propagate
        one.setLevel(level)


@pytest.fixture(scope="session")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for a server at 127.0.0.1, and for a client that trusts it.  Shared by all, so changed by none."""
    import trustme

    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client
