"""`aiohttp.web_request`: requests as a handler sees them, over those of wirebird (`web/request.py`)."""

from __future__ import annotations

import asyncio
import io
import json as _json
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property as reify
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final

from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy
from yarl import URL

from ...errors import LimitExceeded
from ...web import exceptions as _exceptions
from ...web import request as _request
from ...web import uploads as _uploads
from ...web.forms import FormLimits, read_form
from . import hdrs
from .app_keys import RequestKey, warn_of_text
from .helpers import ETAG_ANY, ChainMapProxy, ETag, sentinel
from .http import HttpVersion
from .multipart import MultipartReader
from .payload_writer import StreamWriter
from .stream_response import StreamResponse, read_date
from .streams import EMPTY_PAYLOAD, StreamReader
from .web_exceptions import HTTPRequestEntityTooLarge, of_web
from .web_protocol import BodySource, RequestHandler

if TYPE_CHECKING:
    from ...server.exchange import Exchange

__all__ = ["BaseRequest", "FileField", "Request", "RequestKey"]

_POSTED: Final = frozenset({"PATCH", "POST", "PUT", "TRACE", "DELETE"})
_etag = re.compile(r'(W/)?"([^"]*)"').fullmatch
_etags = re.compile(r'[ \t]*((?:W/)?"[^"]*"|[^,]+)[ \t]*(?:,|$)')
_range = re.compile(r"bytes=([0-9]*)-([0-9]*)", re.IGNORECASE).fullmatch
_pair = re.compile(
    r"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)="
    r"([!#$%&'*+.^_`|~0-9A-Za-z:-]+|\"(?:\\.|[^\"\\])*\"(?::[0-9]{1,5})?)[ \t]*"
)
_quoted_pair = re.compile(r"\\(.)")


@dataclass(frozen=True)
class FileField:
    """A file that came with a form: `file` is open at its beginning, and closed when the request ends."""

    name: str
    filename: str
    file: io.BufferedReader
    content_type: str
    headers: CIMultiDictProxy[str]


class RequestHeaders(CIMultiDictProxy[str]):
    """The fields of a request, which cannot be changed."""

    __slots__ = ()

    def get_list(self, name: str) -> list[str]:
        """Every value of `name`."""
        return self.getall(name, [])


class BaseRequest(_request.Request):
    """A request.  `clone` gives a copy with other values; `app` and `match_info` are of `Request` only."""

    POST_METHODS: ClassVar = _POSTED
    _seen_str_keys: ClassVar[set[Any]] = set()
    _read_bytes: bytes | None = None
    _post: MultiDictProxy[Any] | None = None
    has_receivers = False

    def __init__(
        self,
        exchange: Exchange,
        *,
        client_max_size: int = 1024**2,
        client_max_fields: int = 1000,
        state: dict[Any, Any] | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(exchange)
        self._changes = changes or {}
        self._kept = {} if state is None else state
        self._client_max_size = client_max_size
        self._client_max_fields = client_max_fields
        self.max_body_size = client_max_size or sys.maxsize
        self._task = _current_task()
        if changes:
            self.method = changes.get("method", self.method)

    def __repr__(self) -> str:
        path = self.path.encode("ascii", "backslashreplace").decode("ascii")
        return f"<{type(self).__name__} {self.method} {path} >"

    def clone(
        self,
        *,
        method: Any = sentinel,
        rel_url: Any = sentinel,
        headers: Any = sentinel,
        scheme: Any = sentinel,
        host: Any = sentinel,
        remote: Any = sentinel,
        client_max_size: Any = sentinel,
        client_max_fields: Any = sentinel,
    ) -> Any:
        """A copy with other values.  Raises `RuntimeError` once the body was read."""
        if self._read_bytes:
            raise RuntimeError("Cannot clone request after reading its content")
        given = {"method": method, "rel_url": rel_url, "headers": headers, "scheme": scheme, "host": host, "remote": remote}
        changes = {**self._changes, **{name: value for name, value in given.items() if value is not sentinel}}
        if rel_url is not sentinel:
            changes["rel_url"] = URL(rel_url)
        if headers is not sentinel:
            changes["headers"] = RequestHeaders(CIMultiDict(headers))
        copy = type(self)(
            self.exchange,
            client_max_size=self._client_max_size if client_max_size is sentinel else client_max_size,
            client_max_fields=self._client_max_fields if client_max_fields is sentinel else client_max_fields,
            state=dict(self._kept or {}),
            changes=changes,
        )
        if "content" in self.__dict__:
            copy.__dict__["content"] = self.content
        copy.__dict__["writer"] = self.writer
        return copy

    # -- where it is ---------------------------------------------------------------------------------------------------

    @property
    def task(self) -> Any:
        """The task that it is handled in."""
        return self._task

    @reify
    def protocol(self) -> RequestHandler:
        """Its connection."""
        return RequestHandler(self.exchange)

    @reify
    def writer(self) -> StreamWriter:
        """The way back."""
        return StreamWriter(self.exchange)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop."""
        warnings.warn("request.loop property is deprecated", DeprecationWarning, stacklevel=2)
        return asyncio.get_running_loop()

    @property
    def client_max_size(self) -> int:
        """Bytes of a body that are taken, 0 for any number."""
        return self._client_max_size

    @property
    def client_max_fields(self) -> int:
        """Fields of a form that are taken, 0 for any number."""
        return self._client_max_fields

    def __setitem__(self, key: Any, value: Any) -> None:
        warn_of_text(key, "RequestKey", BaseRequest._seen_str_keys)
        super().__setitem__(key, value)

    # -- what was asked for --------------------------------------------------------------------------------------------

    @reify
    def rel_url(self) -> URL:
        """Path and query."""
        changed = self._changes.get("rel_url")
        return super().rel_url if changed is None else URL(changed)

    @property
    def raw_path(self) -> str:
        """The target as it was sent."""
        changed = self._changes.get("rel_url")
        return super().raw_path if changed is None else str(changed)

    @property
    def path(self) -> str:
        """The path, decoded."""
        return self.rel_url.path

    @property
    def query(self) -> MultiDictProxy[str]:
        """The parameters of the query."""
        return self.rel_url.query

    @reify
    def version(self) -> HttpVersion:  # type: ignore[override]
        """The version of HTTP."""
        return HttpVersion(1, self.head.minor)

    @reify
    def scheme(self) -> str:
        """`http` or `https`."""
        return self._changes.get("scheme") or super().scheme

    @reify
    def host(self) -> str:
        """The value of Host: what the client says."""
        changed = self._changes.get("host")
        return super().host if changed is None else changed

    @reify
    def remote(self) -> str | None:
        """The client's address."""
        changed: str | None = self._changes.get("remote")
        if changed is not None:
            return changed
        if self.protocol.transport is None:
            return super().remote
        peer = self.protocol.peername
        return str(peer[0]) if isinstance(peer, list | tuple) else None if peer is None else str(peer)

    @reify
    def url(self) -> URL:
        """The whole URL, with what the client says for a host."""
        return URL.build(scheme=self.scheme, authority=self.host).join(self.rel_url)

    @reify
    def headers(self) -> RequestHeaders:  # type: ignore[override]
        """The fields."""
        changed: RequestHeaders | None = self._changes.get("headers")
        return RequestHeaders(self.head.fields) if changed is None else changed

    @reify
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:  # type: ignore[override]
        """The fields as they were sent."""
        if "headers" in self._changes:
            return tuple((name.encode(), value.encode()) for name, value in self.headers.items())
        return tuple(super().raw_headers)

    @reify
    def cookies(self) -> Mapping[str, str]:
        """The cookies that the client sent."""
        from ...web.cookies import read_cookies

        return MappingProxyType(dict(read_cookies(self.headers.getall(hdrs.COOKIE, []))))

    @reify
    def forwarded(self) -> tuple[Mapping[str, str], ...]:
        """What proxies say that they were asked: the elements of Forwarded (RFC 7239), the first proxy's first.  Not to be
        trusted."""
        elements: list[Mapping[str, str]] = []
        for value in self.headers.getall(hdrs.FORWARDED, ()):
            at, after = 0, False
            element: dict[str, str] = {}
            elements.append(MappingProxyType(element))
            while 0 <= at < len(value):
                if value[at] == ",":
                    element, after = {}, False
                    elements.append(MappingProxyType(element))
                    at += 1
                elif value[at] in "; \t":
                    after = after and value[at] != ";"
                    at += 1
                elif (found := _pair.match(value, at)) is not None and not after:
                    text, quote, port = found[2].rpartition('"') if found[2][0] == '"' else (found[2], "", "")
                    element[found[1].lower()] = _quoted_pair.sub(r"\1", text[1:]) + port if quote else text
                    at, after = found.end(), True
                else:  # no pair: the rest of the element is left out
                    at = value.find(",", at)
        return tuple(elements)

    # -- conditions ----------------------------------------------------------------------------------------------------

    @reify
    def if_modified_since(self) -> datetime | None:
        """The value of If-Modified-Since."""
        return read_date(self.headers.get(hdrs.IF_MODIFIED_SINCE))

    @reify
    def if_unmodified_since(self) -> datetime | None:
        """The value of If-Unmodified-Since."""
        return read_date(self.headers.get(hdrs.IF_UNMODIFIED_SINCE))

    @reify
    def if_range(self) -> datetime | None:
        """The value of If-Range, if it is a date."""
        return read_date(self.headers.get(hdrs.IF_RANGE))

    @reify
    def if_match(self) -> tuple[ETag, ...] | None:
        """The tags of If-Match."""
        return _read_tags(self.headers.get(hdrs.IF_MATCH))

    @reify
    def if_none_match(self) -> tuple[ETag, ...] | None:
        """The tags of If-None-Match."""
        return _read_tags(self.headers.get(hdrs.IF_NONE_MATCH))

    @reify
    def http_range(self) -> slice:
        """The value of Range.  Raises `ValueError` for what is not one range of bytes."""
        value = self.headers.get(hdrs.RANGE)
        if value is None:
            return slice(None, None, 1)
        found = _range(value)
        if found is None:
            raise ValueError("range not in acceptable format")
        start, end = (int(text) if text else None for text in found.groups())
        if start is None and end is None:
            raise ValueError("No start or end of range specified")
        if start is None:
            return slice(-end, None, 1)  # type: ignore[operator]
        if end is not None and start > end:
            raise ValueError("start cannot be after end")
        return slice(start, None if end is None else end + 1, 1)

    # -- the body ------------------------------------------------------------------------------------------------------

    @reify
    def content(self) -> StreamReader:  # type: ignore[override]
        """The body as a stream, decoded."""
        if self.head.length == 0:
            return EMPTY_PAYLOAD
        return StreamReader.over(BodySource(self.exchange.body, self._codings()), self._changes.get("read_bufsize", 2**16))

    def _codings(self) -> list[str]:
        return super()._codings() if self._changes.get("auto_decompress", True) else []

    @property
    def can_read_body(self) -> bool:
        """Whether there is something to read."""
        return not self.content.at_eof()

    @property
    def has_body(self) -> bool:
        """The older name of `can_read_body`."""
        warnings.warn("Deprecated, use .can_read_body #2005", DeprecationWarning, stacklevel=2)
        return self.can_read_body

    async def release(self) -> None:
        """Read the rest of the body, for nobody."""
        while not self.content.at_eof():
            await self.content.readany()

    async def read(self, max_size: int | None = None) -> bytes:
        """The whole body.  May be called again.  Raises `HTTPRequestEntityTooLarge`; `max_size` stands for `client_max_size`."""
        if self._read_bytes is None:
            limit = (self._client_max_size if max_size is None else max_size) or 0
            if "content" not in self.__dict__ and not self._codings():
                try:
                    self._read_bytes = await self.exchange.body.collect(limit or None)
                except LimitExceeded as error:
                    if error.limit != "max_body_size":
                        raise
                    raise HTTPRequestEntityTooLarge(limit) from error.with_traceback(
                        None
                    )  # which leads to the body, that keeps it
                return self._read_bytes
            body = bytearray()
            while piece := await self.content.readany():
                body += piece
                if 0 < limit < len(body):
                    raise HTTPRequestEntityTooLarge(limit)
            self._read_bytes = bytes(body)
        return self._read_bytes

    async def text(self) -> str:
        """The body as text, by its charset, or UTF-8."""
        body = await self.read()
        return body.decode(self.charset or "utf-8")

    async def json(self, *, loads: Callable[[str], Any] = _json.loads) -> Any:
        """The body decoded as JSON."""
        return loads(await self.text())

    async def multipart(self) -> MultipartReader:  # type: ignore[override]
        """The parts of the body as they come."""
        return MultipartReader(
            self.headers,
            self.content,
            client_max_size=self._client_max_size or sys.maxsize,
            max_size_error_cls=HTTPRequestEntityTooLarge,
        )

    async def post(self) -> MultiDictProxy[Any]:  # type: ignore[override]
        """The fields of a form: str, bytes for other types, `FileField` for files.  Empty for anything else.

        Raises `HTTPRequestEntityTooLarge`, and `HTTPBadRequest` for what is no form.
        """
        if self._post is None:
            self._post = MultiDictProxy(await self._read_form() if self.method in _POSTED else MultiDict())
        return self._post

    async def _read_form(self) -> MultiDict[Any]:
        plain = _request.Request(self.exchange)
        plain.max_body_size = self.max_body_size
        most = self._client_max_fields if self._client_max_fields > 0 else sys.maxsize
        if "content" in self.__dict__ or self.content_type == "application/x-www-form-urlencoded":
            plain._body = await self.read()
        try:
            self.form = await read_form(plain, FormLimits(fields=most, files=most, field_size=self.max_body_size or sys.maxsize))
        except _exceptions.HTTPException as error:
            if not isinstance(error, _exceptions.HTTPRequestEntityTooLarge):
                raise of_web(error) from error
            if error.max_size == most:
                said = f"Maximum number of form fields {most} exceeded."
                raise HTTPRequestEntityTooLarge(most, text=said) from error
            raise HTTPRequestEntityTooLarge(self._client_max_size) from error
        self._read_bytes = plain.read_already()
        found: MultiDict[Any] = MultiDict()
        for name, value in self.form.items():
            if isinstance(value, _uploads.FileField):
                found.add(name, _file_field(value) if value.filename else await _empty_name(value))
            else:
                found.add(name, bytearray(value) if isinstance(value, bytes) else value)
        return found

    async def _prepare_hook(self, response: StreamResponse) -> None:
        return


class Request(BaseRequest):
    """A request to an application."""

    match_info: Any = None

    def clone(self, **changes: Any) -> Request:
        """A copy with other values; it has no `app` before it was resolved."""
        copy: Request = super().clone(**changes)
        copy.match_info = self.match_info
        return copy

    @property
    def app(self) -> Any:  # type: ignore[override]
        """The application, or the one below it, whose middleware or handler asks."""
        return self.match_info.current_app

    @property
    def config_dict(self) -> ChainMapProxy:
        """What this application keeps, and those above it."""
        apps = self.match_info.apps
        return ChainMapProxy(reversed(apps[: apps.index(self.app) + 1]))

    @property
    def has_receivers(self) -> bool:  # type: ignore[override]
        """Whether an application wants to hear of the response."""
        return self.match_info is not None and any(app.on_response_prepare for app in self.match_info.apps)

    async def _prepare_hook(self, response: StreamResponse) -> None:
        if self.match_info is not None:
            for app in self.match_info.apps:
                if app.on_response_prepare:
                    await app.on_response_prepare.send(self, response)


def _current_task() -> Any:
    try:
        return asyncio.current_task()
    except RuntimeError:  # made for a test, outside of a loop
        return None


def _read_tags(value: str | None) -> tuple[ETag, ...] | None:
    if not value:
        return None
    return (ETag(ETAG_ANY),) if value == ETAG_ANY else tuple(_tags(value))


def _tags(value: str) -> Iterator[ETag]:
    for found in _etags.finditer(value):
        tag = _etag(found[1])
        if tag is None:
            return
        yield ETag(tag[2], tag[1] is not None)


def _file_field(value: _uploads.FileField) -> FileField:
    file: Any = value.file
    return FileField(value.name, value.filename, file, value.content_type, CIMultiDictProxy(value.headers))


async def _empty_name(value: _uploads.FileField) -> Any:
    """Where no file was chosen: what a field without a file name would be."""
    data = await value.read()
    said = value.headers.get("content-type", "text/plain")
    return data.decode() if said.startswith("text/") else bytearray(data)
