"""Credentials that are sent only to a server that asks for them, in a scheme that it offers (RFC 9110 11.6.1)."""

from __future__ import annotations

from ...client.auth import BasicAuth, Flow
from ...models.headers import split_list
from ...models.message import Request

__all__ = ["ChallengeAuth"]


class ChallengeAuth:
    """User and password for the first 401 that offers Basic."""

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self._basic = BasicAuth(user, password)

    def __repr__(self) -> str:
        return f"ChallengeAuth({self.user!r}, …)"

    def flow(self, request: Request) -> Flow:
        """The request as it is, and again with credentials if they are asked for."""
        response = yield request.copy()
        if response.status_code != 401:
            return
        offered = {
            member.partition(" ")[0] for value in response.headers.get_list("www-authenticate") for member in split_list(value)
        }
        if "basic" in offered:
            yield from self._basic.flow(request)
