"""The keywords that verbs pass on to `request`, for type checkers: what they mean is said there."""

from __future__ import annotations

import ssl as _ssl
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from ..models.headers import HeadersLike
from ..models.url import ParamsLike
from ..net.timeouts import Timeouts

if TYPE_CHECKING:
    from ..net.proxy import ProxyLike
    from .auth import AuthLike
    from .retry import Retry

__all__ = ["BodyOptions", "GetOptions", "HandshakeOptions", "MoreOptions"]


class MoreOptions(TypedDict, total=False):
    """The keywords of `request` that every verb takes beside those it names."""

    files: Any
    cookies: Mapping[str, str] | None
    max_redirects: int | None
    raise_for_status: bool | None
    auth: AuthLike | Literal[False] | None
    proxy: ProxyLike | None
    retries: Retry | int | None


class BodyOptions(MoreOptions, total=False):
    """The same for the verbs that seldom have a body."""

    data: Any
    json: Any
    json_serializer: Callable[[Any], str | bytes] | None
    multipart: bool


class GetOptions(MoreOptions, total=False):
    """The keywords of `get`, where there are others that come first."""

    headers: HeadersLike | None
    params: ParamsLike | None
    verify: bool
    ssl: _ssl.SSLContext | None
    timeouts: Timeouts | None
    follow: bool | None
    http2: bool


class HandshakeOptions(TypedDict, total=False):
    """The keywords of `get` that have a meaning for the handshake of a WebSocket, but for those that it names itself."""

    headers: HeadersLike | None
    params: ParamsLike | None
    verify: bool
    ssl: _ssl.SSLContext | None
    timeouts: Timeouts | None
    cookies: Mapping[str, str] | None
    max_redirects: int | None
    auth: AuthLike | Literal[False] | None
    proxy: ProxyLike | None
    retries: Retry | int | None
