"""What a client adds to each call: URL, fields, body, settings and credentials make the `Request` that its pipeline carries."""

from __future__ import annotations

import ssl as _ssl
from collections.abc import Callable, Mapping
from functools import cache
from os import environ
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from yarl import URL

from .._version import VERSION
from ..errors import InvalidHeader, UsageError
from ..models.headers import HeadersLike, HttpHeaders, encode_fields
from ..models.message import Body, Request, describe_body
from ..models.numbers import check_count
from ..models.url import Destination, ParamsLike, as_http, destination, extend_params, join_url, parse_url
from ..net.timeouts import Timeouts
from ..protocol.codings import accept_encoding
from .options import Options

if TYPE_CHECKING:
    from ..net.proxy import Proxy, ProxyLike
    from ..net.proxy_environment import EnvironmentProxies
    from .auth import Auth, AuthLike
    from .retry import Retry

__all__ = ["Defaults", "check_cookies", "check_timeouts", "override"]

# URLs whose destinations are remembered.
_KNOWN = 1024

# Keywords of a call that do not make its options differ from the client's.
_NO_OPTIONS = frozenset(
    {"headers", "params", "data", "json", "json_serializer", "multipart", "files", "follow", "max_redirects", "raise_for_status"}
)

_SOMEWHERE = URL("http://localhost/")


class Defaults:
    """The arguments of a client that say what its requests are like, checked and made ready.

    `settings` are the `Options` of a call that says nothing of its own.  The arguments are those of `HTTPClient`; `over_unix`
    says that its connections go to a Unix socket, where there is no proxy.
    """

    def __init__(
        self,
        *,
        base_url: str | URL | None,
        headers: HeadersLike | Mapping[str, str | None] | None,
        params: ParamsLike | None,
        auth: AuthLike | Literal[False] | None,
        timeouts: Timeouts,
        verify: bool,
        proxy: ProxyLike | None,
        trust_env: bool,
        over_unix: bool,
        retries: Retry | int | None,
        json_serializer: Callable[[Any], str | bytes],
        json_decoder: Callable[..., Any],
        auto_decompress: bool,
        max_body_size: int | None,
    ) -> None:
        check_timeouts(timeouts)
        if max_body_size is not None:
            check_count("max_body_size", max_body_size)
        if params is not None:
            extend_params(_SOMEWHERE, params)
        self.base = as_http(parse_url(base_url, "base_url")) if base_url is not None else None
        if self.base is not None:
            destination(self.base, "base_url")
        self.cookies: dict[str, str] | None = None  # of every call, whatever its origin
        self._known: dict[str | URL, Destination] = {}
        self._params = params
        self._over_unix = over_unix
        self._json_serializer = json_serializer
        self._headers = HttpHeaders({"User-Agent": f"wirebird/{VERSION}", "Accept": "*/*"})
        if auto_decompress:
            self._headers["Accept-Encoding"] = accept_encoding()
        if headers is not None:
            own = HttpHeaders()
            override(own, _leave_out(self._headers, headers))
            encode_fields(own.items())
            self._headers.update(own)
        self.auth: Auth | None = None
        if auth is not None:
            from .auth import read_auth

            self.auth = read_auth(auth)
        elif trust_env:
            from .netrc_auth import environment_netrc

            self.auth = environment_netrc()
        self.settings = Options(
            timeouts,
            verify=verify,
            auto_decompress=auto_decompress,
            json_decoder=json_decoder,
            max_body_size=max_body_size,
            proxy=self._read_proxy(proxy, trust_env),
            retries=_retries(retries),
        )

    def prepare(self, method: str, url: str | URL, given: Mapping[str, Any]) -> Request:
        """The request that a call stands for, complete but for what the pipeline adds.  Raises `UsageError`."""
        where = self._known.get(url) if "params" not in given else None
        if where is None:
            where = self._destination(url, given.get("params"))
        headers = HttpHeaders(self._headers)
        if (own := given.get("headers")) is not None:
            override(headers, own)
        body: bytes | Body | None = None
        if "data" in given or "json" in given or "files" in given or "multipart" in given:
            body, kind = _content_maker()(
                given.get("data"),
                given.get("json"),
                given.get("files"),
                given.get("multipart", False),
                given.get("json_serializer") or self._json_serializer,
            )
            if kind is not None and "content-type" not in headers:
                headers["Content-Type"] = kind
            if body is not None and not isinstance(body, bytes):
                describe_body(body, headers)
        if given.get("auth") is not None:
            headers.popall("authorization", None)  # what the call says of credentials is all there is
        elif where.credentials and "authorization" not in headers:
            headers["Authorization"] = where.credentials
        if given.keys() <= _NO_OPTIONS and not self.cookies and self.auth is None:
            options = self.settings
        else:
            options = self._options(given, where, "authorization" in headers)
        return Request(method, headers, body, where, options, options.timeouts.after(monotonic(), options.timeouts.total))

    def _destination(self, url: str | URL, params: ParamsLike | None) -> Destination:
        """Where `url` leads, with the client's base and parameters; remembered, for most URLs are asked for again."""
        target = parse_url(url)
        if self.base is not None:
            target = join_url(self.base, target)
        if self._params is not None:
            target = extend_params(target, self._params)
        if params is not None:
            return destination(extend_params(target, params))
        where = destination(target)
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[url] = where
        return where

    def _options(self, given: Mapping[str, Any], where: Destination, authorized: bool) -> Options:
        """The settings of a call; `authorized` if its headers hold credentials, which the client's do not replace then."""
        settings = self.settings
        timeouts = given.get("timeouts", settings.timeouts)
        check_timeouts(timeouts)
        ssl = given.get("ssl")
        if ssl is not None and not isinstance(ssl, _ssl.SSLContext):
            raise UsageError(f"ssl must be an ssl.SSLContext, not {ssl!r}", argument="ssl")
        cookies = given.get("cookies")
        if cookies is not None:
            check_cookies(cookies)
        if self.cookies:
            cookies = {**self.cookies, **(cookies or {})}
        return Options(
            timeouts,
            ssl,
            settings.verify and given.get("verify", True),
            settings.auto_decompress,
            settings.json_decoder,
            settings.max_body_size,
            cookies,
            self._credentials(given.get("auth"), where, authorized),
            self._call_proxy(given.get("proxy")),
            retries=settings.retries if (retries := given.get("retries")) is None else _retries(retries),
            upgrade=given.get("upgrade"),
        )

    def _read_proxy(self, proxy: object, trust_env: bool = False) -> Proxy | EnvironmentProxies | None:
        """What stands between this client and origins, for a connection over TCP.  Raises `UsageError`."""
        if proxy is not None:
            from ..net.proxy import read_proxy

            if self._over_unix:
                raise UsageError("a proxy and a connector with uds exclude each other", argument="proxy")
            return read_proxy(proxy)
        if not trust_env or self._over_unix:
            return None
        from ..net.proxy_environment import read_environment

        return read_environment(environ)

    def _call_proxy(self, proxy: object) -> Proxy | EnvironmentProxies | None:
        """The call's proxy: its own, none for False, or the client's."""
        return self.settings.proxy if proxy is None else None if proxy is False else self._read_proxy(proxy)

    def _credentials(self, auth: AuthLike | Literal[False] | None, where: Destination, authorized: bool) -> Auth | None:
        """The call's credentials, or the client's where they belong."""
        if auth is not None:
            from .auth import read_auth

            return read_auth(auth)
        if authorized or (self.base is not None and where.origin != destination(self.base).origin):
            return None
        return self.auth


@cache
def _content_maker() -> Callable[..., tuple[bytes | Body | None, str | None]]:
    """`make_content`, which a program that sends no body need not load."""
    from .content import make_content

    return make_content


def _leave_out(defaults: HttpHeaders, own: HeadersLike | Mapping[str, str | None]) -> HeadersLike:
    """The client's fields without those that are None, which `defaults` are then without too."""
    if not isinstance(own, Mapping):
        return own
    without = [name for name, value in own.items() if value is None and isinstance(name, str)]
    for name in without:
        defaults.popall(name, None)
    return [(name, value) for name, value in own.items() if name not in without]  # type: ignore[misc]


def override(headers: HttpHeaders, own: HeadersLike) -> None:
    """Put the fields of `own` in place of those of the same names.  Raises `UsageError` for what is no fields of str."""
    try:
        fields = HttpHeaders(own)
    except (TypeError, ValueError) as error:
        raise UsageError(f"headers must be a mapping or pairs of str: {error}", argument="headers") from error
    for name, value in fields.items():
        if not isinstance(value, str):
            raise InvalidHeader(f"headers[{name!r}] must be str, not {type(value).__name__}", argument="headers")
    headers.update(fields)


def _retries(retries: Retry | int | None) -> Retry | None:
    if retries is None:
        return None
    from .retry import read_retries

    return read_retries(retries)


def check_timeouts(timeouts: object) -> None:
    """Raise `UsageError` unless these are `Timeouts`, or None."""
    if timeouts is not None and not isinstance(timeouts, Timeouts):
        raise UsageError(f"timeouts must be Timeouts, not {timeouts!r}", argument="timeouts")


def check_cookies(cookies: Mapping[str, str]) -> None:
    """Raise `UsageError` unless these are cookies that can be sent."""
    if not isinstance(cookies, Mapping):
        raise UsageError(f"cookies must be a mapping, not {type(cookies).__name__}", argument="cookies")
    from ..models.cookies import check_cookie

    for name, value in cookies.items():
        check_cookie(name, value)
