"""A client as those see it who ask it for one thing more than once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from yarl import URL

    from ..models.message import Request
    from .pauses import Pauses
    from .response import HttpResponse

__all__ = ["Caller"]


class Caller(Protocol):
    """What an event stream needs of its client, and a WebSocket."""

    @property
    def closed(self) -> bool:
        """Whether there will be no more connections."""

    @property
    def pauses(self) -> Pauses:
        """Where to wait for the next one."""

    def prepare(self, method: str, url: str | URL, given: Mapping[str, Any]) -> Request:
        """The request that a call stands for."""

    async def perform(self, method: str, url: str | URL, given: Mapping[str, Any]) -> HttpResponse:
        """The response to it."""
