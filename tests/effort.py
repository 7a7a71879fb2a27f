"""How much is tried: what is enough for every commit, or with `TEST_ALL=1` all that there is, as `.ci/run` does once.

It is repetition that is spared: more examples of a property, larger sizes, both loops where a case has others besides.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

__all__ = ["ALL", "examples", "only_with_all", "some"]

ALL: Final = bool(os.environ.get("TEST_ALL"))

only_with_all = pytest.mark.skipif(not ALL, reason="takes long, and says nothing that others do not: TEST_ALL=1")


def some(everything: int, enough: int) -> int:
    """A number of times, or a size."""
    return everything if ALL else enough


def examples(number: int) -> int:
    """So many examples of a property, or a third of them."""
    return some(number, max(15, number // 3))
