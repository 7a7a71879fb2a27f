"""The checks of numbers that callers give."""

from __future__ import annotations

from math import inf, nan

import pytest

from wirebird.errors import UsageError
from wirebird.models.numbers import check_count, check_number


@pytest.mark.parametrize("value", [-1, True, 1.0, "1", None, nan])
def test_what_is_no_count(value: object) -> None:
    with pytest.raises(UsageError, match="size must be a whole number of 0 or more") as caught:
        check_count("size", value)
    assert caught.value.argument == "size"


@pytest.mark.parametrize("value", [-0.1, True, "1", None, nan, inf, -inf])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(UsageError, match="wait must be seconds of 0 or more") as caught:
        check_number("wait", value, "seconds")
    assert caught.value.argument == "wait"


def test_the_bounds() -> None:
    check_count("size", 0)
    check_count("size", 1, 1)
    check_number("wait", 0)
    check_number("factor", 1, least=1)
    check_number("per", 0.001, above=True)
    with pytest.raises(UsageError, match="size must be a whole number of 1 or more, not 0"):
        check_count("size", 0, 1)
    with pytest.raises(UsageError, match=r"factor must be a number of 1\.5 or more, not 1"):
        check_number("factor", 1, least=1.5)
    with pytest.raises(UsageError, match="per must be a number above 0, not 0"):
        check_number("per", 0, above=True)
