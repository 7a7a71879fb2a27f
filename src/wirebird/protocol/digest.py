"""Digest access authentication (RFC 7616, and RFC 2617 where a server offers no `qop`): the arithmetic, and what is written.

A challenge is read into a `DigestChallenge`; a `DigestKey` is what user and password become for it; `DigestKey.answer` makes the
value of `Authorization`.  Randomness is an argument: `cnonce` is made by the caller, who also counts the uses of a nonce.

    response = H( H(A1) : nonce : nc : cnonce : qop : H(A2) )       without qop: H( H(A1) : nonce : H(A2) )
    A1 = user : realm : password                                    -sess: H(that) : nonce : cnonce, those of the first answer
    A2 = method : uri                                               auth-int: … : H(body)

User, password and realm are hashed as UTF-8, in the normal form C if the server says `charset=UTF-8` (RFC 7616 4).
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, Final
from urllib.parse import quote as percent_encode

from ..models.headers import split_list
from .challenges import Challenge, parse_challenges, quote

__all__ = ["DigestChallenge", "DigestKey", "choose_challenge", "read_challenge"]

# RFC 7616 6.1, the strongest first; the names that hashlib knows them by.
_HASHES: Final = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
_STRENGTH: Final = {name: len(_HASHES) - index for index, name in enumerate(_HASHES)}
_SESSION: Final = "-SESS"


@dataclass(frozen=True, slots=True)
class DigestChallenge:
    """A challenge that can be answered.

    `algorithm` is a key of the registry in upper case without `-sess`, which is `session`; `spelled` is as the server wrote it,
    None if it did not.  `qops` are those offered that are known here, none for RFC 2069.  `domain` is the URIs as one text.
    """

    realm: str
    nonce: str
    opaque: str | None
    algorithm: str
    spelled: str | None
    session: bool
    qops: tuple[str, ...]
    stale: bool
    utf8: bool
    userhash: bool
    domain: str

    def choose_qop(self, wanted: str) -> str | None:
        """`wanted` if it is offered, else what is; None if no qop is."""
        if not self.qops:
            return None
        return wanted if wanted in self.qops else self.qops[0]

    def hash(self) -> Any:
        """A new hash object of the algorithm."""
        return hashlib.new(_HASHES[self.algorithm])


def read_challenge(challenge: Challenge) -> DigestChallenge | None:
    """What `challenge` says; None if it is not for Digest, lacks what it must have, or wants what is not known here."""
    if challenge.scheme != "digest":
        return None
    get = challenge.parameters.get
    realm, nonce, spelled = get("realm"), get("nonce"), get("algorithm")
    if realm is None or not nonce or (spelled is not None and not spelled.isascii()):
        return None
    algorithm = "MD5" if spelled is None else spelled.upper()
    session = algorithm.endswith(_SESSION)
    algorithm = algorithm.removesuffix(_SESSION)
    offered = split_list(get("qop", ""))
    qops = tuple(qop for qop in ("auth", "auth-int") if qop in offered)
    if not _is_available(algorithm) or (offered and not qops):
        return None
    return DigestChallenge(
        realm,
        nonce,
        get("opaque"),
        algorithm,
        spelled,
        session,
        qops,
        get("stale", "").lower() == "true",
        get("charset", "").lower() == "utf-8",
        get("userhash", "").lower() == "true",
        get("domain", ""),
    )


def choose_challenge(fields: Iterable[str]) -> DigestChallenge | None:
    """The strongest of the challenges in `WWW-Authenticate` values, of equals the first; None if there is none to answer."""
    best: DigestChallenge | None = None
    for challenge in parse_challenges(fields):
        found = read_challenge(challenge)
        if found is not None and (best is None or _STRENGTH[found.algorithm] > _STRENGTH[best.algorithm]):
            best = found
    return best


def _is_available(algorithm: str) -> bool:
    """Whether it is known, and the interpreter's OpenSSL has it: some are built without MD5 or SHA-512-256."""
    if algorithm not in _HASHES:
        return False
    try:
        hashlib.new(_HASHES[algorithm])
    except ValueError:
        return False
    return True


class DigestKey:
    """H(A1) for one challenge, and the answers made with it."""

    __slots__ = ("_a1", "_username", "challenge")

    def __init__(self, challenge: DigestChallenge, user: str, password: str, cnonce: str) -> None:
        if challenge.utf8:
            user, password = unicodedata.normalize("NFC", user), unicodedata.normalize("NFC", password)
        self.challenge = challenge
        self._a1 = self._hash(f"{user}:{challenge.realm}:{password}")
        if challenge.session:
            self._a1 = self._hash(f"{self._a1}:{challenge.nonce}:{cnonce}")
        if challenge.userhash:
            self._username = f'username="{self._hash(f"{user}:{challenge.realm}")}"'
        elif challenge.utf8 and not user.isascii():
            self._username = f"username*=UTF-8''{percent_encode(user, safe='')}"  # RFC 7616 3.4, RFC 8187
        else:
            self._username = f"username={quote(user)}"

    def __repr__(self) -> str:
        return f"<DigestKey {self.challenge.algorithm} {self.challenge.realm!r}>"

    def answer(self, method: str, uri: str, nonce: str, count: int, cnonce: str, qop: str | None, body: str = "") -> str:
        """The value of `Authorization` for one request; `body` is the hash of its body in hexadecimal, for `auth-int`."""
        challenge = self.challenge
        nc = f"{count:08x}"
        response = self._response(f"{method}:{uri}", nonce, nc, cnonce, qop, body)
        parts = [
            self._username,
            f"realm={quote(challenge.realm)}",
            f"nonce={quote(nonce)}",
            f"uri={quote(uri)}",
            f'response="{response}"',
        ]
        if challenge.spelled is not None:
            parts.append(f"algorithm={challenge.spelled}")
        if qop is not None:
            parts += [f"qop={qop}", f"nc={nc}"]
        if qop is not None or challenge.session:
            parts.append(f"cnonce={quote(cnonce)}")
        if challenge.opaque is not None:
            parts.append(f"opaque={quote(challenge.opaque)}")
        if challenge.userhash:
            parts.append("userhash=true")
        return "Digest " + ", ".join(parts)

    def proves(self, rspauth: str, uri: str, nonce: str, count: int, cnonce: str) -> bool:
        """Whether `rspauth` can only come from who knows the password (RFC 7616 3.5; qop `auth`)."""
        expected = self._response(f":{uri}", nonce, f"{count:08x}", cnonce, "auth", "")
        return compare_digest(expected.encode(), rspauth.lower().encode())

    def _response(self, a2: str, nonce: str, nc: str, cnonce: str, qop: str | None, body: str) -> str:
        if qop is None:
            return self._hash(f"{self._a1}:{nonce}:{self._hash(a2)}")
        if qop == "auth-int":
            a2 += f":{body}"
        return self._hash(f"{self._a1}:{nonce}:{nc}:{cnonce}:{qop}:{self._hash(a2)}")

    def _hash(self, text: str) -> str:
        found = self.challenge.hash()
        found.update(text.encode())
        digest: str = found.hexdigest()
        return digest
