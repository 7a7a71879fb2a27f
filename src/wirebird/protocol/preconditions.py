"""Conditional requests, the server's half: may the method be performed, and is what the client has still good (RFC 9110 13).

The order is that of 13.2.2: If-Match, or else If-Unmodified-Since; If-None-Match, or else If-Modified-Since; then Range, if
If-Range allows it.  A tag is compared strongly for If-Match and If-Range, weakly for If-None-Match.

A list of tags that is not well-formed has no tag in it that matches: If-Match fails, If-None-Match holds.  A date that is none,
or is there twice, is not looked at (13.1.3, 13.1.4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..models.dates import parse_http_date

if TYPE_CHECKING:
    from ..models.headers import HttpHeaders

__all__ = ["Validators", "failed_condition", "is_entity_tag", "may_be_a_part", "weak_tag"]

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\uffff]*+"'
is_entity_tag = re.compile(_TAG).fullmatch
_tags = re.compile(_TAG).findall
_is_list = re.compile(rf"[ \t,]*+{_TAG}(?:[ \t]*+,[ \t,]*+{_TAG})*+[ \t,]*+").fullmatch


@dataclass(frozen=True, slots=True)
class Validators:
    """What names the state of a representation: its entity tag with quotes, and `W/` if it is weak; its Last-Modified in POSIX
    seconds.  Either may be missing."""

    etag: str | None = None
    modified: int | None = None


def failed_condition(method: str, headers: HttpHeaders, now: Validators, clock: float) -> int | None:
    """The status that a request is answered with on account of its conditions, 304 or 412; None if it is to be performed.

    `headers` are the request's, `now` is the state of what it is about, which exists; `clock` the time in POSIX seconds.
    """
    is_read = method in ("GET", "HEAD")
    if "if-match" in headers:
        if not _match(headers.get_list("if-match"), now.etag, strong=True):
            return 412
    elif (
        (since := _date(headers, "if-unmodified-since", clock)) is not None and now.modified is not None and now.modified > since
    ):
        return 412
    if "if-none-match" in headers:
        if _match(headers.get_list("if-none-match"), now.etag, strong=False):
            return 304 if is_read else 412
    elif is_read and (since := _date(headers, "if-modified-since", clock)) is not None and now.modified is not None:
        return 304 if now.modified <= since else None
    return None


def may_be_a_part(headers: HttpHeaders, now: Validators, clock: float) -> bool:
    """Whether a Range may be heeded: there is no If-Range, or it names the very state that there is (RFC 9110 13.1.5)."""
    values = headers.get_list("if-range")
    if not values:
        return True
    if len(values) > 1:
        return False
    value = values[0].strip(" \t")
    if value.startswith(('"', "W/")):
        return bool(is_entity_tag(value)) and value == now.etag and not value.startswith("W/")
    date = parse_http_date(value, clock)
    return date is not None and now.modified is not None and date == now.modified


def weak_tag(tag: str) -> str:
    """The weak form of an entity tag: for bytes that mean the same and are others (RFC 9110 8.8.3.3)."""
    return tag if tag.startswith("W/") else f"W/{tag}"


def _match(values: list[str], tag: str | None, *, strong: bool) -> bool:
    text = ",".join(values)
    if text.strip(" \t") == "*":
        return True
    if tag is None or not _is_list(text):
        return False
    if strong:
        return not tag.startswith("W/") and tag in _tags(text)
    opaque = tag.removeprefix("W/")
    return any(given.removeprefix("W/") == opaque for given in _tags(text))


def _date(headers: HttpHeaders, name: str, clock: float) -> float | None:
    values = headers.get_list(name)
    return parse_http_date(values[0].strip(" \t"), clock) if len(values) == 1 else None
