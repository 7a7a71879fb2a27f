"""`aioreq.errors.response`: what is wrong with a response."""

from __future__ import annotations

from ....errors import ConnectionLost as ClosedConnectionWithoutResponse
from ....errors import ProtocolError as InvalidResponseData

__all__ = ["ClosedConnectionWithoutResponse", "InvalidResponseData"]
