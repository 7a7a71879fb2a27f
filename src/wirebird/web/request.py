"""A request as a handler sees it (RFC 9110): what arrived, looked at when somebody asks, and a place to keep things."""

from __future__ import annotations

import json as _json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from multidict import MultiDictProxy
from yarl import URL

from ..errors import BodyConsumed, InvalidRequest, LimitExceeded
from ..models.charset import charset_of, media_type_of
from ..models.headers import HttpHeaders
from ..models.message import RequestHead
from ..models.url import destination
from ..server.peer import UNIX
from .keeping import Keeping

if TYPE_CHECKING:
    from ..server.exchange import Exchange
    from .app import Application
    from .content import Content
    from .forms import FormData, FormLimits
    from .multipart import MultipartReader
    from .routing import MatchInfo

__all__ = ["Request"]

# The usual methods as text.
_METHODS: Final = {method.encode(): method for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}


class Request(Keeping):
    """One request.  As a mapping it keeps what middlewares and handlers want to tell each other: `request["user"] = user`.

    method        the method, in upper case as it was sent
    match_info    what the route found in the path, a mapping that cannot be changed
    app           the innermost application that handles it
    """

    __slots__ = (
        "_body",
        "_content",
        "_cookies",
        "_kept",
        "_path",
        "_query",
        "_target",
        "_url",
        "app",
        "exchange",
        "form",
        "head",
        "match_info",
        "max_body_size",
        "method",
    )

    app: Application
    match_info: MatchInfo
    _cookies: Mapping[str, str]
    _path: str
    _query: MultiDictProxy[str]
    _target: URL
    _url: URL

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.head: RequestHead = exchange.head
        method = self.head.method
        self.method = _METHODS.get(method) or method.decode()
        self.max_body_size: int | None = None  # of `read`, `text`, `json` and `post`; None for the application's
        self.form: FormData | None = None  # what `post` has read
        self._kept = None
        self._body: bytes | None = None
        self._content: Content | None = None

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.raw_path}>"

    # -- what was asked for --------------------------------------------------------------------------------------------

    @property
    def raw_path(self) -> str:
        """The target as it was sent, path and query (RFC 9112 3.2)."""
        return self.head.target.decode("ascii")

    @property
    def rel_url(self) -> URL:
        """Path and query."""
        try:
            return self._target
        except AttributeError:
            target = self.raw_path
            if not target.startswith("/"):
                target = "/" if target == "*" else destination(URL(target, encoded=True)).target
            if target.startswith("//"):  # by itself that would name a host
                self._target = URL(f"http://here{target}", encoded=True).relative()
            else:
                self._target = URL(target, encoded=True)
        return self._target

    @property
    def url(self) -> URL:
        """The whole URL.  Its host is what the client said: `Host`, or what a trusted proxy says."""
        try:
            return self._url
        except AttributeError:
            self._url = self.exchange.where.url
        return self._url

    @property
    def path(self) -> str:
        """The path, percent-decoded, but for `%2F`, which separates nothing."""
        try:
            return self._path
        except AttributeError:
            self._path = decode_path(self.rel_url.raw_path)
        return self._path

    @property
    def path_qs(self) -> str:
        """Path and query, as text."""
        return str(self.rel_url)

    @property
    def query(self) -> MultiDictProxy[str]:
        """The parameters of the query, decoded."""
        try:
            return self._query
        except AttributeError:
            self._query = self.rel_url.query
        return self._query

    @property
    def query_string(self) -> str:
        """The query, decoded, without the `?`."""
        return self.rel_url.query_string

    @property
    def version(self) -> str:
        """`1.0` or `1.1`."""
        return f"1.{self.head.minor}"

    @property
    def scheme(self) -> str:
        """`http` or `https`, as the client spoke it, to a trusted proxy if there is one."""
        return self.exchange.scheme

    @property
    def secure(self) -> bool:
        """Whether the client spoke TLS."""
        return self.scheme == "https"

    @property
    def host(self) -> str:
        """The host that was asked for, with its port if it was named.  The client says it: do not trust it."""
        return self.exchange.where.authority

    @property
    def remote(self) -> str | None:
        """The address of the client, without its port, as a trusted proxy saw it if there is one; None over a Unix socket."""
        remote = self.exchange.remote
        return None if remote == UNIX else remote

    # -- its fields ----------------------------------------------------------------------------------------------------

    @property
    def headers(self) -> HttpHeaders:
        """The fields.  Shared with other requests of the same head: not to be changed."""
        return self.head.fields

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The fields as they were sent."""
        return self.head.raw_fields

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies that the client sent (RFC 6265 5.4); of two with one name the first, which has the longer path."""
        try:
            return self._cookies
        except AttributeError:
            from .cookies import read_cookies

            self._cookies = read_cookies(self.headers.get_list("cookie"))
        return self._cookies

    @property
    def content_type(self) -> str:
        """The media type of the body, in lower case; `application/octet-stream` if the client did not say."""
        return media_type_of(self.headers.get("content-type", "")) or "application/octet-stream"

    @property
    def charset(self) -> str | None:
        """The `charset` parameter of Content-Type."""
        return charset_of(self.headers.get("content-type", ""))

    @property
    def content_length(self) -> int | None:
        """The length of the body, where the client said it."""
        length = self.head.length
        return length if length > 0 or "content-length" in self.headers else None

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to use the connection again."""
        return self.head.keep_alive

    # -- its body ------------------------------------------------------------------------------------------------------

    @property
    def body_exists(self) -> bool:
        """Whether it has a body, be it empty."""
        return self.head.length != 0

    @property
    def can_read_body(self) -> bool:
        """Whether there is something of a body that nobody has read."""
        return self.head.length != 0 and not self.content.at_eof()

    @property
    def content(self) -> Content:
        """The body as a stream."""
        if self._content is None:
            from .content import Content

            self._content = Content(self.exchange.body, self._codings())
        return self._content

    async def read(self, max_size: int | None = None) -> bytes:
        """The whole body, decoded where it has a Content-Encoding.  May be called again.

        Raises `HTTPRequestEntityTooLarge` for more than `max_size` bytes (by default what the application allows),
        `HTTPUnsupportedMediaType` for a coding that is not known, `HTTPBadRequest` for a body that is not what it says, and
        `BodyConsumed` if a part of it was read from `content` before.
        """
        if self._body is None:
            if self.head.length == 0:
                self._body = b""
            elif self._content is not None and self._content.is_begun:
                raise BodyConsumed("the body, or a part of it, was read in pieces before")
            else:
                self._body = await self._collect(self.body_limit() if max_size is None else max_size)
        return self._body

    def body_limit(self) -> int | None:
        """How many bytes of a body are taken, None for as many as the server takes."""
        return self.max_body_size if self.max_body_size is not None else self.app.max_body_size

    def _codings(self) -> list[str]:
        headers = self.headers
        return headers.get_list("content-encoding") if "content-encoding" in headers else []

    async def _collect(self, limit: int | None) -> bytes:
        codings = self._codings()
        body = self.exchange.body
        if not codings:
            try:
                return await body.collect(limit)
            except LimitExceeded as error:
                from .content import refusal

                raise refusal(error) from error
        from .content import collect

        return await collect(body, codings, limit)

    async def text(self) -> str:
        """The whole body as text: by its charset, UTF-8 if it names none.  Raises `HTTPUnsupportedMediaType` for one that Python
        does not know, `HTTPBadRequest` for bytes that do not fit, and what `read` raises."""
        from .content import decode_text

        return decode_text(await self.read(), self.charset or "utf-8")

    async def json(self, *, loads: Callable[[str], Any] = _json.loads) -> Any:
        """The whole body decoded as JSON.  Raises what `loads` raises, and what `text` raises."""
        return loads(await self.text())

    def read_already(self) -> bytes | None:
        """The whole body, if `read` has read it."""
        return self._body

    async def post(self, limits: FormLimits | None = None) -> FormData:
        """The fields of a form, URL-encoded or multipart, files as `FileField`.  Empty for any other body.  May be called again.

        `limits` are those of `FormLimits`, besides `max_body_size`, which is for the whole.  The files are closed when the
        request ends.  Raises `HTTPBadRequest` for what is no form, `HTTPRequestEntityTooLarge` for more than is allowed,
        `HTTPUnsupportedMediaType` for a charset or coding that is not known, `BodyConsumed` if the body was read as a stream.
        """
        if self.form is None:
            from .forms import DEFAULT_FORM_LIMITS, read_form

            self.form = await read_form(self, limits or DEFAULT_FORM_LIMITS)
        return self.form

    async def multipart(self) -> MultipartReader:
        """The parts of a multipart body of any kind, one after the other as they come.

        Raises `HTTPUnsupportedMediaType` if it is none, `HTTPBadRequest` if it does not say what stands between them, and
        `BodyConsumed` if a part of it was read before.
        """
        from .forms import multipart_reader

        return multipart_reader(self)

    # -- its way -------------------------------------------------------------------------------------------------------

    @property
    def transport(self) -> Any:
        """The transport of its connection, None once that is closed."""
        return self.exchange.transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport knows: `peername`, `sslcontext`, `peercert`…"""
        transport = self.transport
        return default if transport is None else transport.get_extra_info(name, default)


def decode_path(raw: str) -> str:
    """A path as routes match it: percent-decoded, with `%2F` left as it is.  Raises `InvalidRequest` if it is not UTF-8."""
    if "%" not in raw:
        return raw
    parts = re.split("(%2[Ff])", raw)
    try:
        return "".join(part if index % 2 else unquote_to_bytes(part).decode() for index, part in enumerate(parts))
    except UnicodeDecodeError:
        raise InvalidRequest("a path that is not UTF-8") from None
