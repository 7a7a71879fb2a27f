"""`aiohttp.web_response`: responses, of which one that is here whole may have a body of anything that there is a payload for."""

from __future__ import annotations

import json as _json
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final

from ...errors import ConnectionLost
from ...models.headers import HeadersLike
from ...net.encoding import encode_whole
from ...protocol.codings import make_encoder
from . import hdrs
from .app_keys import ResponseKey
from .client_exceptions import ClientConnectionResetError
from .helpers import sentinel
from .payload import PAYLOAD_REGISTRY, LookupError, Payload
from .payload_writer import StreamWriter
from .stream_response import ContentCoding, StreamResponse

__all__ = ["ContentCoding", "Response", "ResponseKey", "StreamResponse", "json_bytes_response", "json_response"]

_EMPTY: Final = frozenset({204, 304})


class Response(StreamResponse):
    """A response that is here whole; `body` may be bytes, or what there is a payload for: a file, an async iterable, a form.

    Raises `ValueError` for both a body and a text, and for a charset in `content_type`.
    """

    _body: bytes | bytearray | Payload | None = None
    _early = False

    def __init__(
        self,
        *,
        body: Any = None,
        status: int = 200,
        reason: str | None = None,
        text: str | None = None,
        headers: HeadersLike | None = None,
        content_type: str | None = None,
        charset: str | None = None,
        zlib_executor_size: int | None = None,
        zlib_executor: Executor | None = None,
    ) -> None:
        if body is not None and text is not None:
            raise ValueError("body and text are not allowed together")
        if content_type is not None and "charset" in content_type:
            raise ValueError("charset must not be in content_type argument")
        super().__init__(status=status, reason=reason, headers=headers)
        own = self._headers
        if hdrs.CONTENT_TYPE in own:
            if content_type or charset:
                raise ValueError("passing both Content-Type header and content_type or charset params is forbidden")
            if text is not None:
                self.text = text
                return
        elif text is not None:
            if not isinstance(text, str):
                raise TypeError(f"text argument must be str ({type(text)!r})")
            charset = charset or "utf-8"
            own[hdrs.CONTENT_TYPE] = f"{content_type or 'text/plain'}; charset={charset}"
            body = text.encode(charset)
        elif content_type is not None:
            own[hdrs.CONTENT_TYPE] = content_type if charset is None else f"{content_type}; charset={charset}"
        self.body = body

    @property
    def body(self) -> Any:
        """The body: bytes, a `Payload`, or None."""
        return self._body

    @body.setter
    def body(self, body: Any) -> None:
        if body is None or isinstance(body, bytes | bytearray):
            self._body = body
            return
        try:
            self._body = payload = PAYLOAD_REGISTRY.get(body)
        except LookupError:
            raise ValueError(f"Unsupported body type {type(body)!r}") from None
        self._headers.setdefault(hdrs.CONTENT_TYPE, payload.content_type)
        for name, value in payload.headers.items():
            self._headers.setdefault(name, value)

    @property
    def text(self) -> str | None:
        """The body as text, None if there is none."""
        body = self._body
        return None if body is None else body.decode(self.charset or "utf-8")

    @text.setter
    def text(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"text argument must be str ({type(text)!r})")
        if self.content_type == "application/octet-stream":
            self.content_type = "text/plain"
        if self.charset is None:
            self.charset = "utf-8"
        self._body = text.encode(self.charset or "utf-8")

    @property
    def content_length(self) -> int | None:
        """The length of the body, None if it is not known before."""
        if self._chunked:
            return None
        if hdrs.CONTENT_LENGTH in self._headers:
            return int(self._headers[hdrs.CONTENT_LENGTH])
        return None if isinstance(self._body, Payload) else len(self._body or b"")

    @content_length.setter
    def content_length(self, value: int | None) -> None:
        raise RuntimeError("Content length is set automatically")

    def _size(self, request: Any) -> int | None:
        if self._chunked:
            return super()._size(request)
        body = self._body
        if hdrs.CONTENT_LENGTH not in self._headers and isinstance(body, Payload) and self._encoder is None:
            return body.size
        return None if self._encoder is not None else self.content_length

    async def prepare(self, request: Any) -> StreamWriter | None:  # type: ignore[override]
        """Send the head; idempotent.  The body follows with `write_eof`."""
        if self._compression and isinstance(self._body, bytes | bytearray) and not self._chunked and not self.prepared:
            coding = self._choose_coding(request)
            self._compression = False
            if coding is not None:
                self._body = await encode_whole(make_encoder(coding), bytes(self._body))
                self._headers[hdrs.CONTENT_ENCODING] = coding
                self._headers.pop(hdrs.CONTENT_LENGTH, None)
        return await super().prepare(request)

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the body, and the end; idempotent."""
        if self.eof_sent:
            return
        if data:
            raise RuntimeError(f"data arg is not supported, got {data!r}")
        body = self._body
        if body is not None and self._request is not None and self._request.exchange.has_body():
            if isinstance(body, Payload):
                try:
                    await body.write(self)
                finally:
                    await body.close()
            else:
                await self.write(body)
        await super().write_eof()

    async def deliver(self, request: Any) -> None:
        """Send what of it was not sent yet: in one write, unless something about it is unusual."""
        if (
            self.prepared
            or isinstance(self._body, Payload)
            or self._chunked
            or self._compression
            or self.coding is not None
            or hdrs.CONTENT_LENGTH in self._headers
        ):
            await super().deliver(request)
            return
        await self._announce(request)
        body = bytes(self._body or b"")
        if body and hdrs.CONTENT_TYPE not in self._headers and self._status not in _EMPTY:
            self._headers[hdrs.CONTENT_TYPE] = "application/octet-stream"
        self.prepared = self.eof_sent = True
        try:
            await self._send_whole(request, body)
        except ConnectionLost as error:
            raise ClientConnectionResetError("Cannot write to closing transport") from error


def json_response(
    data: Any = sentinel,
    *,
    text: str | None = None,
    body: bytes | None = None,
    status: int = 200,
    reason: str | None = None,
    headers: HeadersLike | None = None,
    content_type: str = "application/json",
    dumps: Callable[[Any], str] = _json.dumps,
) -> Response:
    """A response of JSON: `data`, encoded by `dumps`, or a `text` or `body` that is JSON already."""
    if data is not sentinel:
        if text or body:
            raise ValueError("only one of data, text, or body should be specified")
        text = dumps(data)
    return Response(text=text, body=body, status=status, reason=reason, headers=headers, content_type=content_type)


def json_bytes_response(
    data: Any = sentinel,
    *,
    dumps: Callable[[Any], bytes],
    body: bytes | None = None,
    status: int = 200,
    reason: str | None = None,
    headers: HeadersLike | None = None,
    content_type: str = "application/json",
) -> Response:
    """A response of JSON by an encoder that gives bytes."""
    if data is not sentinel:
        if body is not None:
            raise ValueError("only one of data or body should be specified")
        body = dumps(data)
    return Response(body=body, status=status, reason=reason, headers=headers, content_type=content_type)
