"""Credentials that are sent only to a server that asks for them, in a scheme that it offers (RFC 9110 11.6.1)."""

from __future__ import annotations

from ...client.auth import BasicAuth, Flow
from ...client.digest_auth import DigestAuth
from ...models.message import Request
from ...protocol.challenges import parse_challenges

__all__ = ["ChallengeAuth"]


class ChallengeAuth:
    """User and password: proved by Digest to a server that offers it, and sent to one that offers nothing but Basic."""

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self._basic = BasicAuth(user, password)
        self._digest = DigestAuth(user, password)

    def __repr__(self) -> str:
        return f"ChallengeAuth({self.user!r}, …)"

    def flow(self, request: Request) -> Flow:
        """The request as it is, and again with credentials if they are asked for."""
        digest = self._digest.flow(request)
        step = next(digest)
        while True:
            answer = yield step
            try:
                step = digest.send(answer)
            except StopIteration:
                break
        if answer.status_code != 401:
            return
        offered = {challenge.scheme for challenge in parse_challenges(answer.headers.get_list("www-authenticate"))}
        if "basic" in offered and "digest" not in offered:
            yield from self._basic.flow(request)
