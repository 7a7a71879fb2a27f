"""A body with something to it: progress, compression, trailers.

`Upload` is what a caller passes as `data=`; `content.py` makes an `UploadBody` of it, a `Body` around the body that is meant.
What else the request has to say on account of it, a `Body` says by `describe(headers)`, and what comes behind it by
`trailers()`; the transport asks for both.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..errors import UsageError
from ..models.headers import HttpHeaders, split_list
from ..models.message import Body, describe_body
from ..protocol.http1 import encode_trailers

if TYPE_CHECKING:
    from ..protocol.codings import Encoder
    from .progress import Meter, Progress

__all__ = ["Trailers", "Upload", "UploadBody"]

Trailers: TypeAlias = "Mapping[str, str | Callable[[], str]] | Callable[[], Mapping[str, str]]"

_PIECE: Final = 65536  # bytes that are here go in pieces of this size
_AT_ONCE: Final = 65536  # up to this they are compressed beforehand, so that the length is known


class Upload:
    """`data` for a request, with more: `client.put(url, data=wirebird.Upload(open("photo.jpg", "rb"), progress=True))`.

    data      anything that `data=` takes
    progress  a function of the bytes that the connection has taken and the bytes in all (None if not known), both as they are
              before compression, called ten times a second at the most; a `ProgressBar`; or True for one
    compress  `"gzip"`, `"deflate"`, `"br"` or `"zstd"` (the last two with the extra `wirebird[compression]`): compress while
              sending, and say so in `Content-Encoding`
    trailers  fields to send behind the body (RFC 9110 6.5), which is chunked then: a mapping, whose values may be functions that
              are called when the body has ended; or one function that gives a mapping.  The names of a mapping are announced in
              `Trailer`

    Not every server takes compressed bodies or looks at trailers.  Raises `UsageError` for a coding that is not there,
    `InvalidHeader` for fields that may not be sent as trailers (RFC 9110 6.5.1).
    """

    __slots__ = ("compress", "data", "progress", "trailers")

    def __init__(
        self,
        data: Any,
        *,
        progress: Progress | bool | None = None,
        compress: str | None = None,
        trailers: Trailers | None = None,
    ) -> None:
        if data is None or isinstance(data, Upload):
            raise UsageError(f"data must be something that can be sent, not {data!r}", argument="data")
        if progress is not None and not isinstance(progress, bool) and not callable(progress):
            raise UsageError(f"progress must be a function or True, not {progress!r}", argument="progress")
        if compress is not None:
            _make_encoder(compress)
        if isinstance(trailers, Mapping):
            encode_trailers({name: "" if callable(value) else value for name, value in trailers.items()})
        elif trailers is not None and not callable(trailers):
            raise UsageError(f"trailers must be a mapping or a function, not {trailers!r}", argument="trailers")
        self.data = data
        self.progress = progress
        self.compress = compress
        self.trailers = trailers

    def __repr__(self) -> str:
        more = [name for name in ("progress", "compress", "trailers") if getattr(self, name)]
        return f"<Upload of {type(self.data).__name__}{' with ' if more else ''}{', '.join(more)}>"


class UploadBody:
    """The `Body` of an `Upload`, around `inner`, the body of its data."""

    def __init__(self, upload: Upload, inner: bytes | Body) -> None:
        self._inner = inner
        self._coding = upload.compress
        self._trailers = upload.trailers
        self._meter: Meter | None = None
        self._total: int | None = None  # as it was measured when the head was written: a file may grow after that
        self._ready: bytes | None = None  # compressed beforehand
        if upload.progress is not None and upload.progress is not False:
            from .progress import Meter

            self._meter = Meter(upload.progress)
        if self._coding is not None and isinstance(inner, bytes) and len(inner) <= _AT_ONCE:
            encoder = _make_encoder(self._coding)
            self._ready = encoder.encode(inner) + encoder.flush()

    def describe(self, headers: HttpHeaders) -> None:
        """Add the fields that go with this body.  Raises `UsageError` where `headers` contradict it."""
        if not isinstance(self._inner, bytes):
            describe_body(self._inner, headers)
        if self._coding is not None:
            if "content-encoding" in headers:
                raise UsageError("headers hold a Content-Encoding, and compress would add another", argument="compress")
            headers["Content-Encoding"] = self._coding.lower()
        if self._trailers is not None:
            if "content-length" in headers:
                raise UsageError("headers hold a Content-Length, and trailers need a chunked body", argument="trailers")
            if isinstance(self._trailers, Mapping):
                announced = {name for value in headers.get_list("trailer") for name in split_list(value)}
                if missing := [name for name in self._trailers if name.lower() not in announced]:
                    headers.add("Trailer", ", ".join(missing))

    def size(self) -> int | None:
        """Its length as it is sent; None if it is compressed on the way, or followed by trailers."""
        self._total = len(self._inner) if isinstance(self._inner, bytes) else self._inner.size()
        if self._trailers is not None:
            return None
        if self._ready is not None:
            return len(self._ready)
        return None if self._coding is not None else self._total

    def replayable(self) -> bool:
        """Whether the data can be had again; the progress begins again then."""
        return isinstance(self._inner, bytes) or self._inner.replayable()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The bytes as they are sent.  What was given out has been taken when the next is asked for."""
        meter, total = self._meter, self._total
        encoder = None
        if self._coding is not None and self._ready is None:
            from ..net.encoding import encode

            encoder = _make_encoder(self._coding)
        done = 0
        try:
            if meter is not None:
                meter.tell(0, total)
            async with aclosing(self._given()) as pieces:
                async for piece in pieces:
                    if self._ready is not None:
                        if self._ready:
                            yield self._ready
                    elif encoder is None:
                        yield piece
                    elif coded := await encode(encoder, piece):
                        yield coded
                    done += len(piece)
                    del piece  # or it is held while the next is read
                    if meter is not None:
                        meter.report(done, total)
            if encoder is not None:
                yield encoder.flush()
            if meter is not None:
                meter.tell(done, total)
        finally:
            if meter is not None:
                meter.close()

    async def _given(self) -> AsyncGenerator[bytes, None]:
        inner = self._inner
        if not isinstance(inner, bytes):
            async with aclosing(inner.pieces()) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    yield piece
                    del piece
        elif self._ready is not None:
            yield inner
        else:
            for at in range(0, len(inner), _PIECE):
                yield inner[at : at + _PIECE]

    def trailers(self) -> bytes:
        """The field lines that follow the body, which has ended.  Raises what the caller's functions raise, `InvalidHeader`."""
        given = self._trailers
        if given is None:
            return b""
        if isinstance(given, Mapping):
            return encode_trailers({name: value() if callable(value) else value for name, value in given.items()})
        return encode_trailers(given())

    async def close(self) -> None:
        """Close what the data opened."""
        if not isinstance(self._inner, bytes):
            await self._inner.close()


def _make_encoder(coding: str) -> Encoder:
    from ..protocol.codings import make_encoder

    try:
        return make_encoder(coding)
    except UsageError as error:
        error.argument = "compress"
        raise
