"""What there is to see of a session: its settings, as it was made with them."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict, istr

from .connector import BaseConnector
from .cookiejar import AbstractCookieJar
from .helpers import BasicAuth
from .http import HttpVersion
from .response import ClientResponse
from .timeout import ClientTimeout

if TYPE_CHECKING:
    from .tracing import TraceConfig

__all__ = ["SessionView"]


class SessionView:
    """The properties of a `ClientSession`, which fills the attributes."""

    # A session that was not made whole has nothing to say when it is collected.
    _connector: BaseConnector | None = None
    _cookie_jar: AbstractCookieJar
    _version: HttpVersion
    _requote_redirect_url: bool
    _loop: asyncio.AbstractEventLoop | None
    _timeout: ClientTimeout
    _default_headers: CIMultiDict[str]
    _skip_auto_headers: frozenset[istr]
    _default_auth: BasicAuth | None
    _json_serialize: Callable[[Any], str]
    _connector_owner: bool
    _raise_for_status: bool | Callable[[ClientResponse], Awaitable[None]]
    _auto_decompress: bool
    _trust_env: bool
    _trace_configs: list[TraceConfig]

    @property
    def closed(self) -> bool:
        """Whether the session is of no more use."""
        return self._connector is None or self._connector.closed

    @property
    def connector(self) -> BaseConnector | None:
        """The connector."""
        return self._connector

    @property
    def cookie_jar(self) -> AbstractCookieJar:
        """The cookies."""
        return self._cookie_jar

    @property
    def version(self) -> HttpVersion:
        """The HTTP version."""
        return self._version

    @property
    def requote_redirect_url(self) -> bool:
        """Whether to quote in a Location what may not stand in a URL."""
        return self._requote_redirect_url

    @requote_redirect_url.setter
    def requote_redirect_url(self, val: bool) -> None:
        warnings.warn("session.requote_redirect_url modification is deprecated", DeprecationWarning, stacklevel=2)
        self._requote_redirect_url = val

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop in which the session was made; deprecated."""
        warnings.warn("client.loop property is deprecated", DeprecationWarning, stacklevel=2)
        return self._loop

    @property
    def timeout(self) -> ClientTimeout:
        """The time limits."""
        return self._timeout

    @property
    def headers(self) -> CIMultiDict[str]:
        """The fields that every request is sent with; they may be changed."""
        return self._default_headers

    @property
    def skip_auto_headers(self) -> frozenset[istr]:
        """The fields that are not added by themselves."""
        return self._skip_auto_headers

    @property
    def auth(self) -> BasicAuth | None:
        """The credentials."""
        return self._default_auth

    @property
    def json_serialize(self) -> Callable[[Any], str]:
        """What makes text of `json=`."""
        return self._json_serialize

    @property
    def connector_owner(self) -> bool:
        """Whether the connector is closed with the session."""
        return self._connector_owner

    @property
    def raise_for_status(self) -> bool | Callable[[ClientResponse], Awaitable[None]]:
        """Whether a status of 400 and above is an error."""
        return self._raise_for_status

    @property
    def auto_decompress(self) -> bool:
        """Whether content codings are taken off."""
        return self._auto_decompress

    @property
    def trust_env(self) -> bool:
        """Whether the environment is asked for proxies and credentials."""
        return self._trust_env

    @property
    def trace_configs(self) -> list[TraceConfig]:
        """What is told of every phase."""
        return self._trace_configs
