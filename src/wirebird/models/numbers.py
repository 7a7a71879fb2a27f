"""Numbers as a caller gives them: what is none, is out of bounds, or is a bool, is a mistake of his and told at once."""

from __future__ import annotations

from math import isfinite

from ..errors import UsageError

__all__ = ["check_count", "check_number"]


def check_count(name: str, value: object, least: int = 0, what: str = "a whole number") -> None:
    """Raise `UsageError` unless the argument `name` is an int of `least` or more."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(f"{name} must be {what} of {least} or more, not {value!r}", argument=name)


def check_number(name: str, value: object, what: str = "a number", least: float = 0, *, above: bool = False) -> None:
    """Raise `UsageError` unless the argument `name` is a finite number of `least` or more; `above` it, if that is set."""
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not isfinite(value)
        or value < least
        or (above and value == least)
    ):
        bound = f"above {least:g}" if above else f"of {least:g} or more"
        raise UsageError(f"{name} must be {what} {bound}, not {value!r}", argument=name)
