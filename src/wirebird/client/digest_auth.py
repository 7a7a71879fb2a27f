"""Digest credentials: what is remembered between requests, and the flow (RFC 7616 3.3 to 3.6).

    (nothing known)    request → 401 with a challenge → request with the answer
    (nonce known)      request with the answer, its count one higher
    (nonce too old)    … → 401 with stale=true → request with the answer to the new nonce

An answer to a fresh challenge that is refused without stale=true was refused for its password: the 401 is the response.  Three
requests are the most that one call can become.
"""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Final

from ..errors import BodyConsumed, InvalidHeader, InvalidResponse, InvalidURL, UsageError
from ..models.message import Request
from ..models.url import destination, join_url
from ..protocol.challenges import parse_parameters
from ..protocol.digest import DigestChallenge, DigestKey, choose_challenge
from .auth import Flow, ReadBody, check_name

if TYPE_CHECKING:
    from collections.abc import Generator

    from .response import HttpResponse

__all__ = ["DigestAuth"]

# Protection spaces and URIs of `domain` that are remembered; what is forgotten costs one more request.
MOST_SPACES: Final = 64
MOST_URIS: Final = 20


class DigestAuth:
    """User and password that are proved without being sent (RFC 7616, and RFC 2617 where a server has no `qop`).

    The first request to a server goes out bare, and its 401 says what to prove.  After that the nonce is used again, counted, so
    most requests are sent once.  One object may serve many tasks, clients and servers; it remembers 64 protection spaces.

    qop  "auth", or "auth-int" to cover the body too; for servers that offer both

    Of several challenges the strongest is answered: SHA-512-256, SHA-256, MD5, each also with `-sess`; never one for Basic.
    A response whose `rspauth` is wrong does not come from who knows the password: `InvalidResponse`.  A server that wants
    `auth-int` for a body that can be read only once: `BodyConsumed`.

    Raises `InvalidHeader` for a colon in the user, or a control character in either; `UsageError` for another `qop`.
    """

    def __init__(self, user: str, password: str, *, qop: str = "auth") -> None:
        if ":" in check_name(user, "user"):
            raise InvalidHeader("user must not hold a colon (RFC 7616 4)", argument="user")
        if qop not in ("auth", "auth-int"):
            raise UsageError(f"qop must be 'auth' or 'auth-int', not {qop!r}", argument="qop")
        self.user = user
        self._password = check_name(password, "password")
        self._qop = qop
        self._spaces: dict[tuple[str, str], _Space] = {}

    def __repr__(self) -> str:
        return f"DigestAuth({self.user!r}, …)"

    def flow(self, request: Request) -> Flow:
        """One request, or two, or three: see the top of this module."""
        space = self._find(request)
        answers = 0  # to challenges of this call
        while True:
            outgoing = request.copy()
            outgoing.headers.popall("authorization", None)
            proof: _Proof | None = None
            if space is not None:
                proof = yield from self._prove(space, request)
                outgoing.headers["Authorization"] = proof.value
            response: HttpResponse = yield outgoing
            if response.status_code != 401:
                if proof is not None and space is not None:
                    self._learn(space, proof, response, request.destination.authority)
                return
            challenge = choose_challenge(response.headers.get_list("www-authenticate"))
            if challenge is None or not _is_worthwhile(challenge, space, proof, answers):
                if space is not None and self._spaces.get(space.key) is space:
                    del self._spaces[space.key]
                return
            answers += 1
            space = self._enter(request, challenge)

    def _prove(self, space: _Space, request: Request) -> Generator[ReadBody, None, _Proof]:
        qop = space.challenge.choose_qop(self._qop)
        body = ""
        if qop == "auth-int":
            hashed = space.challenge.hash()
            if request.body is not None and not isinstance(request.body, bytes) and not request.body.replayable():
                raise BodyConsumed(
                    "the server wants the body to be covered (Digest qop=auth-int), and it can be read only once",
                    argument="data",
                    peer=request.destination.authority,
                    phase="authenticating",
                )
            yield ReadBody(request, hashed.update)
            body = hashed.hexdigest()
        # The session key is made of the first cnonce, and some servers compute it from that of each request.
        cnonce = space.cnonce if space.challenge.session else token_hex(16)
        return _Proof(space, request, cnonce, qop, body)

    # -- protection spaces ---------------------------------------------------------------------------------------------

    def _find(self, request: Request) -> _Space | None:
        """Where `request` belongs, as far as is known: the space with the longest URI in front of its target, or the latest."""
        where = request.destination
        best: _Space | None = None
        length = 0
        for (origin, _), space in self._spaces.items():
            if origin == where.origin and (covers := space.covers(where.target)) >= max(length, 1):
                best, length = space, covers
        return best

    def _enter(self, request: Request, challenge: DigestChallenge) -> _Space:
        """Remember what was learned of one; what was known of it before no longer holds."""
        cnonce = token_hex(16)
        key = (request.destination.origin, challenge.realm)
        answering = DigestKey(challenge, self.user, self._password, cnonce)
        space = _Space(key, answering, cnonce, _uris_of(challenge.domain, request))
        self._spaces.pop(key, None)
        self._spaces[key] = space
        if len(self._spaces) > MOST_SPACES:
            del self._spaces[next(iter(self._spaces))]
        return space

    def _learn(self, space: _Space, proof: _Proof, response: HttpResponse, peer: str) -> None:
        """RFC 7616 3.5: the server's own proof, and the nonce that it wants to see next."""
        information = parse_parameters(", ".join(response.headers.get_list("authentication-info")))
        if not information:
            return
        rspauth = information.get("rspauth")
        # For auth-int it covers a body that is not here yet; without qop RFC 2069 defines none.
        if rspauth is not None and proof.qop == "auth" and not proof.is_met_by(rspauth):
            raise InvalidResponse(
                "the server does not know the password: rspauth of Authentication-Info is wrong",
                peer=peer,
                phase="authenticating",
            )
        if following := information.get("nextnonce"):
            space.renew(following)


class _Space:
    """One protection space: who asks, the nonce and how often it was used, and where (RFC 7616 3.3, `domain`)."""

    __slots__ = ("answering", "cnonce", "count", "key", "nonce", "uris")

    def __init__(self, key: tuple[str, str], answering: DigestKey, cnonce: str, uris: tuple[str, ...]) -> None:
        self.key = key
        self.answering = answering
        self.nonce = answering.challenge.nonce
        self.cnonce = cnonce
        self.count = 0
        self.uris = uris

    @property
    def challenge(self) -> DigestChallenge:
        return self.answering.challenge

    def covers(self, target: str) -> int:
        """The length of the longest URI that `target` begins with, 0 if there is none."""
        return max((len(uri) for uri in self.uris if target.startswith(uri)), default=0)

    def renew(self, nonce: str) -> None:
        if nonce != self.nonce:
            self.nonce = nonce
            self.count = 0


class _Proof:
    """One answer: the value of the field, and what it takes to check the server's."""

    __slots__ = ("_arguments", "_key", "nonce", "qop", "value")

    def __init__(self, space: _Space, request: Request, cnonce: str, qop: str | None, body: str) -> None:
        space.count += 1  # nothing awaits between here and the use of it, so no two requests share a count
        target = request.destination.target
        self.qop = qop
        self.nonce = space.nonce
        self._key = space.answering
        self._arguments = (target, space.nonce, space.count, cnonce)
        self.value = self._key.answer(request.method, *self._arguments, qop, body)

    def is_met_by(self, rspauth: str) -> bool:
        return self._key.proves(rspauth, *self._arguments)


def _is_worthwhile(challenge: DigestChallenge, space: _Space | None, proof: _Proof | None, answers: int) -> bool:
    """Whether an answer to `challenge` can fare better than the last one did."""
    if proof is None or space is None:
        return True
    if answers:
        return answers == 1 and challenge.stale
    # An old nonce was refused.  It may have been forgotten without the server's saying so; the same one again was not.
    return challenge.stale or challenge.realm != space.challenge.realm or challenge.nonce != proof.nonce


def _uris_of(domain: str, request: Request) -> tuple[str, ...]:
    """The beginnings of targets that belong to a protection space: all of them, unless `domain` names some of this origin."""
    found = []
    for reference in domain.split(" ", MOST_URIS)[:MOST_URIS]:
        try:
            where = destination(join_url(request.url, reference)) if reference else None
        except InvalidURL:
            continue
        if where is not None and where.origin == request.destination.origin:
            found.append(where.target)
    return tuple(found) or ("/",)
