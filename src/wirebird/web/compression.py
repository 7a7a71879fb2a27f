"""Responses that are compressed on their way (RFC 9110 8.4, 12.5.3): which, and how the client likes it.

A compressed response says so in Content-Encoding, depends on Accept-Encoding (`Vary`), has a weak entity tag, for its bytes are
others than those that the tag was made for (RFC 9110 8.8.3.3), and no ranges.  A client that refuses everything, `identity;q=0,
*;q=0`, gets what there is as it is: the handler has done its work already.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ..errors import UsageError
from ..models.headers import HttpHeaders, add_vary, split_list
from ..protocol.coding_streams import is_installed
from ..protocol.codings import Encoder, make_encoder
from ..protocol.negotiation import choose_coding
from ..protocol.preconditions import weak_tag

__all__ = ["CODINGS", "Compression", "compression_by", "describe_coding", "is_compressible"]

CODINGS: Final = ("zstd", "br", "gzip")
"""What is offered, the first where a client likes several the same: the one that takes the least time."""

# They say something about the very bytes.
_DIGESTS: Final = ("content-digest", "repr-digest", "digest", "content-md5")

_WORDS: Final = frozenset(
    {
        *("application/javascript", "application/json", "application/xml", "application/x-javascript", "application/wasm"),
        *("application/x-ndjson", "application/graphql", "application/rtf", "application/vnd.ms-fontobject"),
        *("font/ttf", "font/otf", "font/collection", "image/bmp", "image/x-icon", "image/vnd.microsoft.icon"),
    }
)


def is_compressible(content_type: str) -> bool:
    """Whether bodies of this media type become much shorter: text, JSON, XML, scripts, some fonts; not event streams."""
    if content_type.startswith("text/"):
        return content_type != "text/event-stream"
    return content_type in _WORDS or content_type.endswith(("+json", "+xml", "+text", "+yaml"))


@dataclass(frozen=True, slots=True)
class Compression:
    """How one response is compressed: `force` is a coding that is used whatever the client says, `level` the library's own;
    a file of less than `min_size` bytes is left as it is."""

    force: str | None = None
    level: int | None = None
    min_size: int = 0
    codings: tuple[str, ...] = CODINGS

    def __post_init__(self) -> None:
        if self.force is not None:
            self._try(self.force, "force")
            return
        if not isinstance(self.codings, tuple) or not self.codings:
            raise UsageError(f"codings must be names of codings, not {self.codings!r}", argument="codings")
        if self.level is not None and len(self.codings) > 1:
            raise UsageError("level goes with one coding: each has levels of its own", argument="level")
        for coding in self.codings:
            if is_installed(coding) or coding not in CODINGS:  # what is only not installed is not offered
                self._try(coding, "codings")

    def _try(self, coding: str, argument: str) -> None:
        try:
            make_encoder(coding, self.level)
        except UsageError as error:
            if error.argument == "coding":
                error.argument = argument
            raise

    def choose(self, asked: HttpHeaders, status: int, headers: HttpHeaders) -> str | None:
        """The coding for a response with this status and these `headers`, None if it goes as it is; `asked` are the request's.

        What depends on the client is said in Vary.
        """
        if status in (204, 206, 304) or "content-encoding" in headers or "content-range" in headers:
            return None
        if any(name in headers for name in _DIGESTS):
            return None
        if any("no-transform" in split_list(value) for value in headers.get_list("cache-control")):
            return None
        if self.force is not None:
            return self.force.lower()
        add_vary(headers, "Accept-Encoding")
        offered = [coding for coding in self.codings if is_installed(coding)]
        coding = choose_coding(asked.get_list("accept-encoding"), offered)
        return None if coding in (None, "identity") else coding

    def start(self, coding: str) -> Encoder:
        """An encoder for one body."""
        return make_encoder(coding, self.level)


@lru_cache(maxsize=64)
def compression_by(force: str | None, level: int | None) -> Compression:
    """One with these settings; looked at once, whether they are good."""
    return Compression(force, level)


def describe_coding(headers: HttpHeaders, coding: str) -> None:
    """Say in `headers` that the body has `coding`."""
    headers["Content-Encoding"] = coding
    headers.pop("Accept-Ranges", None)
    if "etag" in headers:
        headers["ETag"] = weak_tag(headers["etag"])
