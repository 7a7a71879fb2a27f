"""What a request carries through the pipeline beside the message itself."""

from __future__ import annotations

import json
import ssl as _ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..net.timeouts import Timeouts

if TYPE_CHECKING:
    from ..models.limits import Limits
    from ..net.proxy import Proxy
    from ..net.proxy_environment import EnvironmentProxies
    from ..protocol.codings import CodingLimits
    from .auth import Auth
    from .retry import Retry
    from .websocket_offer import Offer

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of one request: the client's, unless the call said otherwise.

    What they mean is documented at `HTTPClient` and its `request`.  `cookies` are the call's own and `auth` its credentials,
    meant for the origin that it names and no other, as is `server_hostname`, the name to verify and to send as SNI.  `proxy`
    chooses for each hop, None for none; `retries` is the policy, None to send once; `coding_limits` take the place of the usual
    ones, and `limits` of the connector's; `http10` has the request say HTTP/1.0.  `upgrade` is what the request offers to switch
    to, None for a request that stays with HTTP.  `duplex` gives a 2xx to the caller as soon as it begins, while the body of the
    request is still being sent; that body is closed when it was.
    """

    timeouts: Timeouts
    ssl: _ssl.SSLContext | None = None
    verify: bool = True
    auto_decompress: bool = True
    json_decoder: Callable[..., Any] = json.loads
    max_body_size: int | None = None
    cookies: Mapping[str, str] | None = None
    auth: Auth | None = None
    proxy: Proxy | EnvironmentProxies | None = None
    retries: Retry | None = None
    coding_limits: CodingLimits | None = None
    upgrade: Offer | None = None
    server_hostname: str | None = None
    limits: Limits | None = None
    http10: bool = False
    duplex: bool = False

    def for_another_origin(self) -> Options:
        """The same without what was meant for one origin only."""
        return replace(self, cookies=None, auth=None, server_hostname=None)
