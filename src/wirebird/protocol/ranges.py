"""What of a file may be put together from several answers: the decisions of a download, without its input and output.

A part is only ever continued with bytes of the same state of the file.  That state is named by a validator: a strong entity tag,
or, where there is no tag at all, a Last-Modified that cannot stand for two states (RFC 9110 8.8.2.2, 8.8.3).  The question is
`Range: bytes=N-` with that validator in `If-Range` (RFC 9110 13.1.5, 14.2), and the answer is believed only in what it says
itself: a 206 must repeat the validator and cover the very bytes that are missing.  Everything else begins anew.

Digests are those of RFC 9530: `Repr-Digest` is that of the whole file, `Content-Digest` that of one answer.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, NamedTuple

from ..models.cookie_parsing import parse_cookie_date
from ..models.headers import HttpHeaders

__all__ = ["Answer", "Step", "Version", "judge", "range_fields", "read_digests", "read_version", "version_from"]

_strong_tag = re.compile(r'"[\x21\x23-\x7e\x80-\uffff]*"').fullmatch
_content_range = re.compile(r"bytes[ \t]+(?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18}|\*)", re.IGNORECASE).fullmatch
_digest = re.compile(r"(sha-256|sha-512)=:([A-Za-z0-9+/]{43,86}={1,2}):[ \t]*(?:;[^,]*)?").fullmatch
_LENGTHS = {"sha-256": 32, "sha-512": 64}

# A file that is changed twice within the grain of a date would have the same date, and clocks differ: seconds that must lie
# between Last-Modified and Date before the former is a name for one state (RFC 9110 8.8.2.2 leaves the number open).
_SETTLED = 60


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a file at its server, by what the server said of it.

    `etag` is a strong entity tag with its quotes, `last_modified` a date that may stand in for it where there is no tag, `size`
    the length of the whole in bytes, `digest` its `Repr-Digest`; empty or None where the server did not say.
    """

    etag: str = ""
    last_modified: str = ""
    size: int | None = None
    digest: str = ""

    @property
    def validator(self) -> str:
        """What goes into `If-Range`; empty if nothing may be continued."""
        return self.etag or self.last_modified


def read_version(headers: HttpHeaders, size: int | None) -> Version:
    """The state of the file that a whole answer gives, `size` being its length if that is known."""
    digest = ", ".join(headers.get_list("repr-digest"))
    tags = headers.get_list("etag")
    if tags:
        # RFC 9110 13.1.5: with a tag, also one that does not serve, a date may not be used.
        return Version(tags[0] if len(tags) == 1 and _strong_tag(tags[0]) else "", "", size, digest)
    modified, now = parse_cookie_date(headers.get("last-modified", "")), parse_cookie_date(headers.get("date", ""))
    settled = modified is not None and now is not None and now - modified >= _SETTLED
    return Version("", headers["last-modified"] if settled else "", size, digest)


def version_from(record: Mapping[str, Any]) -> Version | None:
    """The version that was written down as `dataclasses.asdict`; None for anything that is none."""
    etag, modified, size, digest = (record.get(name) for name in ("etag", "last_modified", "size", "digest"))
    texts = all(isinstance(text, str) and len(text) < 4096 for text in (etag, modified, digest))
    if not texts or not (size is None or (type(size) is int and size >= 0)):
        return None
    if (etag and not _strong_tag(etag)) or (modified and (etag or parse_cookie_date(modified) is None)):
        return None
    return Version(etag, modified, size, digest)  # type: ignore[arg-type]


def range_fields(offset: int, version: Version) -> dict[str, str]:
    """The fields that ask for what is missing behind `offset` bytes of `version`."""
    return {"Range": f"bytes={offset}-", "If-Range": version.validator}


class Step(IntEnum):
    """What an answer means for the file."""

    APPEND = 0  # its body goes behind what is there
    BEGIN = 1  # its body is the file, from its beginning
    COMPLETE = 2  # nothing is missing
    ANEW = 3  # it is of no use, and what is there is not either: ask for the whole
    REFUSED = 4  # there is no file in it


class Answer(NamedTuple):
    """The decision: `end` is where in the file this body must end, None if that is open; `version` what the file is then."""

    step: Step
    end: int | None = None
    version: Version = Version()


def judge(status: int, headers: HttpHeaders, length: int | None, offset: int, version: Version) -> Answer:
    """What an answer means, if `offset` bytes of `version` are there and what is behind them was asked for (all, if it is 0).

    `length` is that of the answer's body, None if it is not announced.  The body must be as it is stored: a content coding is
    for the caller to see.
    """
    if offset and status == 206:
        return _judge_part(headers, length, offset, version)
    if offset and status == 416:
        return _judge_unsatisfied(headers, offset, version)
    if status == 206 or not 200 <= status < 300:
        return Answer(Step.REFUSED)
    return Answer(Step.BEGIN, length, read_version(headers, length))


def _judge_part(headers: HttpHeaders, length: int | None, offset: int, version: Version) -> Answer:
    """RFC 9110 15.3.7: it must be of the same state, say so, and begin where the part ends."""
    ranges = headers.get_list("content-range")
    found = _content_range(ranges[0]) if len(ranges) == 1 else None
    if found is None or found[1] is None:
        return Answer(Step.ANEW)  # none, several (multipart/byteranges), or nonsense
    first, last = int(found[1]), int(found[2])
    total = None if found[3] == "*" else int(found[3])
    if total is None or first != offset or not first <= last < total:
        return Answer(Step.ANEW)  # without a total it would not be known whether the file ends where this part does
    if version.size is not None and total != version.size:
        return Answer(Step.ANEW)
    if length is not None and length != last + 1 - first:
        return Answer(Step.ANEW)
    name, validator = ("etag", version.etag) if version.etag else ("last-modified", version.last_modified)
    if headers.get_list(name) != [validator]:
        return Answer(Step.ANEW)  # also where it is missing: nothing else tells that If-Range was heeded
    digest = ", ".join(headers.get_list("repr-digest"))
    if digest and version.digest and digest != version.digest:
        return Answer(Step.ANEW)
    return Answer(Step.APPEND, last + 1, replace(version, size=total, digest=version.digest or digest))


def _judge_unsatisfied(headers: HttpHeaders, offset: int, version: Version) -> Answer:
    """RFC 9110 15.5.17: there is nothing behind `offset`, which is as it should be if the file ends there."""
    found = _content_range(headers.get("content-range", ""))
    total = int(found[3]) if found is not None and found[1] is None and found[3] != "*" else None
    tag = headers.get("etag", "")
    if total != offset or (tag and tag != version.etag):
        return Answer(Step.ANEW)
    # Where the length was not known before, it takes the tag to know that this is the same file.
    if version.size == total or (version.size is None and version.etag and tag):
        return Answer(Step.COMPLETE, total, version)
    return Answer(Step.ANEW)


def read_digests(values: Iterable[str]) -> dict[str, bytes]:
    """The SHA-256 and SHA-512 digests in values of `Repr-Digest` or `Content-Digest`; anything else is passed over."""
    digests: dict[str, bytes] = {}
    for value in values:
        for member in value.split(","):
            if found := _digest(member.strip(" \t")):
                try:
                    raw = binascii.a2b_base64(found[2], strict_mode=True)
                except ValueError:
                    continue
                if len(raw) == _LENGTHS[found[1]]:
                    digests[found[1]] = raw
    return digests
