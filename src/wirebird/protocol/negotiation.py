"""Which content coding a client would like best (RFC 9110 12.4.2, 12.5.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["acceptable_codings", "choose_coding"]

_MOST: Final = 64  # members that are looked at

_member = re.compile(
    r"[ \t]*+([!#$%&'*+\-.^_`|~0-9A-Za-z]++)[ \t]*+(?:;[ \t]*+[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*+)?"
).fullmatch
_ALIASES: Final = {"x-gzip": "gzip"}


def choose_coding(values: Iterable[str], offered: Sequence[str]) -> str | None:
    """The one of `offered` that the values of Accept-Encoding like best, the first of several that are liked the same.

    `identity` if they like that best, or none of the others; None if they refuse that as well.
    """
    liked = acceptable_codings(values)
    if not liked:
        return "identity"
    others = liked.get("*", 0.0)
    best, most = "", 0.0
    for coding in offered:
        if (weight := liked.get(coding, others)) > most:
            best, most = coding, weight
    plain = liked.get("identity")
    if best and (plain is None or plain <= most):
        return best
    if plain is None:
        plain = liked.get("*", 1.0)
    return "identity" if plain > 0 else None


def acceptable_codings(values: Iterable[str]) -> dict[str, float]:
    """The weights of the codings that are named, in lower case; a member that cannot be read is passed over."""
    liked: dict[str, float] = {}
    for part in ",".join(values).split(",", _MOST)[:_MOST]:
        if found := _member(part):
            coding = found[1].lower()
            liked.setdefault(_ALIASES.get(coding, coding), 1.0 if found[2] is None else float(found[2]))
    return liked
