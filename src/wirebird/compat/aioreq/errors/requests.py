"""`aioreq.errors.requests`: what goes wrong before there is a response."""

from __future__ import annotations

from ....errors import ConnectTimeout as ConnectionTimeoutError
from ....errors import DNSError as InvalidDomainName
from ....errors import TimeoutError as RequestTimeoutError
from ....errors import WirebirdError as AsyncRequestsError

__all__ = ["AsyncRequestsError", "ConnectionTimeoutError", "InvalidDomainName", "RequestTimeoutError"]
