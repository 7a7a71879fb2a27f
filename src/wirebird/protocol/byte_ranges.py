"""Range requests, the server's half: which bytes of a representation were asked for (RFC 9110 14).

What cannot be read as `bytes` ranges is ignored, and the whole is sent: another unit, a set that is not well-formed, a range that
ends before it begins, a second Range field.  So is what no honest client asks for (14.2): more than `MOST_RANGES` ranges,
ranges that overlap, or so many bytes that the whole would be shorter.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final, NamedTuple

__all__ = ["MOST_RANGES", "ByteRange", "byte_ranges", "content_range", "part_head", "parts_end", "unsatisfied_range"]

MOST_RANGES: Final = 16
"""Ranges of one request that are heeded."""

_LONGEST: Final = 8192  # characters of a set that is looked at

_unit = re.compile(r"[ \t]*+bytes[ \t]*+=", re.IGNORECASE).match
_one = re.compile(r"(?:([0-9]++)-([0-9]*+)|-([0-9]++))").fullmatch

# More digits than these are more bytes than any file has, and need not be counted.
_MOST_DIGITS: Final = 18


class ByteRange(NamedTuple):
    """The bytes from `start` up to but not with `stop`."""

    start: int
    stop: int


def byte_ranges(values: list[str], size: int) -> list[ByteRange] | None:
    """The ranges that the values of Range ask for, of a representation of `size` bytes, in the order they were asked for.

    None if Range is to be ignored; an empty list if none of them can be satisfied, which is answered with 416.
    """
    if len(values) != 1 or len(values[0]) > _LONGEST or (begin := _unit(values[0])) is None:
        return None
    asked = [spec for part in values[0][begin.end() :].split(",") if (spec := part.strip(" \t"))]
    if not 0 < len(asked) <= MOST_RANGES:
        return None
    ranges = []
    for spec in asked:
        found = _one(spec)
        if found is None:
            return None
        first, last, suffix = found.groups()
        if suffix is not None:
            length = _number(suffix)
            if not size and length:
                return None  # the last bytes of nothing are nothing, and no Content-Range can say so
            if length:
                ranges.append(ByteRange(max(size - length, 0), size))
            continue
        start, stop = _number(first), _number(last) + 1 if last else size
        if last and stop <= start:
            return None
        if start < size:
            ranges.append(ByteRange(start, min(stop, size)))
    if len(ranges) > 1 and (sum(stop - start for start, stop in ranges) >= size or _overlap(ranges)):
        return None
    return ranges


def content_range(part: ByteRange, size: int) -> str:
    """The value of Content-Range for one part."""
    return f"bytes {part.start}-{part.stop - 1}/{size}"


def unsatisfied_range(size: int) -> str:
    """The value of Content-Range in an answer of 416."""
    return f"bytes */{size}"


def part_head(boundary: str, part: ByteRange, size: int, content_type: str) -> bytes:
    """What stands before one part of a multipart/byteranges (RFC 9110 14.6), behind the line break that ends the part before."""
    return f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {content_range(part, size)}\r\n\r\n".encode()


def parts_end(boundary: str) -> bytes:
    """What ends a multipart/byteranges."""
    return f"\r\n--{boundary}--\r\n".encode()


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= _MOST_DIGITS else int("9" * _MOST_DIGITS)


def _overlap(ranges: list[ByteRange]) -> bool:
    ordered = sorted(ranges)
    return any(before.stop > behind.start for before, behind in pairwise(ordered))
