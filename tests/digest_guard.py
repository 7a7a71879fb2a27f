"""A server's side of Digest, for `Origin`: strict, and written from RFC 7616 without a look at the client's.

    guard = Guard(algorithm="SHA-256", qop="auth")
    origin.on("/secret", guard.handle)

A request without an answer gets a 401 with a challenge.  One with an answer is checked to the letter: every parameter there,
none twice, the nonce one of ours, its count never used before, the uri the target of the request, the response right.  What is
wrong is kept in `faults`.  `once` makes every nonce good for one request only, and `old` are those that get stale=true.
"""

from __future__ import annotations

import hashlib
import re
from itertools import count
from typing import Any
from urllib.parse import unquote

from origin import Asked, Wire

__all__ = ["Guard", "read_answer"]

HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
_parameter = re.compile(r'([a-z]+\*?)=(?:"((?:[^"\\]|\\.)*)"|([^" ,]+))(?:, |$)')


def read_answer(value: str) -> dict[str, str]:
    """The parameters of a Digest answer; raises for anything that is not written as RFC 7616 writes it."""
    scheme, _, rest = value.partition(" ")
    if scheme != "Digest":
        raise ValueError(f"not Digest: {value}")
    found: dict[str, str] = {}
    at = 0
    while at < len(rest):
        match = _parameter.match(rest, at)
        if match is None or match[1] in found:
            raise ValueError(f"bad parameter in {value}")
        found[match[1]] = re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
        at = match.end()
    return found


class Guard:
    """Asks for `user` and `password` with one algorithm, or with a challenge for each of several."""

    def __init__(
        self,
        algorithm: str | None = "MD5",
        qop: str | None = "auth",
        *,
        user: str = "user",
        password: str = "secret",
        realm: str = "the realm",
        more: str = "",
        once: bool = False,
        tell: bool = True,
        nextnonce: bool = False,
        before: str = "",
        rspauth: str | None = None,
    ) -> None:
        self.algorithm = algorithm
        self.qop = qop
        self.user = user
        self.password = password
        self.realm = realm
        self.more = more
        self.once = once
        self.tell = tell  # say stale=true
        self.nextnonce = nextnonce
        self.before = before
        self.rspauth = rspauth  # in place of the right one
        self.numbers = count(1)
        self.nonces: dict[str, tuple[str, set[int]]] = {}
        self.sessions: dict[str, str] = {}  # H(A1) of each nonce, for -sess
        self.old: set[str] = set()
        self.faults: list[str] = []
        self.accepted: list[dict[str, str]] = []
        self.refused = 0

    def hash(self, data: bytes) -> str:
        name = (self.algorithm or "MD5").removesuffix("-sess")
        return hashlib.new(HASHES[name], data).hexdigest()

    def nonce(self) -> str:
        number = next(self.numbers)
        nonce = f"nonce/{number}=="
        self.nonces[nonce] = f"opaque {number}", set()
        return nonce

    def challenge(self, stale: bool = False) -> str:
        nonce = self.nonce()
        parts = [f'realm="{self.realm}"', f'nonce="{nonce}"', f'opaque="{self.nonces[nonce][0]}"']
        parts += [f"algorithm={self.algorithm}"] if self.algorithm else []
        parts += [f'qop="{self.qop}"'] if self.qop else []
        parts += ["stale=true"] if stale else []
        return f"{self.before}Digest {', '.join(parts)}{self.more}"

    def fault(self, asked: Asked, given: dict[str, str]) -> str | None:
        """What is wrong, "stale" for an old nonce, "password" for a wrong one; None if nothing is."""
        uses_qop = self.qop is not None
        session = bool(self.algorithm) and str(self.algorithm).endswith("-sess")
        wanted = {"realm", "nonce", "uri", "response", "opaque", "username*" if "username*" in given else "username"}
        wanted |= {"algorithm"} if self.algorithm else set()
        wanted |= {"qop", "nc", "cnonce"} if uses_qop else {"cnonce"} if session else set()
        wanted |= {"userhash"} if "userhash=true" in self.more else set()
        if given.keys() != wanted:
            return f"parameters {sorted(given.keys() ^ wanted)}"
        known = self.nonces.get(given["nonce"])
        if known is None:
            return "stale"
        if given["realm"] != self.realm or given.get("algorithm") != self.algorithm or given["uri"] != asked.target:
            return f"realm, algorithm or uri: {given}"
        if uses_qop:
            if given["qop"] not in str(self.qop).split(", ") or not re.fullmatch("[0-9a-f]{8}", given["nc"]):
                return f"qop or nc: {given}"
            number = int(given["nc"], 16)
            if number in known[1] or number < 1:
                return f"count {number} used twice"
            known[1].add(number)
        user = given["username"] if "username" in given else unquote(given["username*"].removeprefix("UTF-8''"))
        if user != (self.hash(f"{self.user}:{self.realm}".encode()) if "userhash=true" in self.more else self.user):
            return f"username {user}"
        if given["response"] != self.response(given, asked, f"{asked.method}:{asked.target}", asked.body):
            return "password"
        if given["opaque"] != known[0] and not self.nextnonce:
            return f"opaque {given['opaque']}"
        if given["nonce"] in self.old or (self.once and len(known[1]) > 1):
            return "stale"
        return None

    def response(self, given: dict[str, str], asked: Asked, a2: str, body: bytes) -> str:
        a1 = self.hash(f"{self.user}:{self.realm}:{self.password}".encode())
        if str(self.algorithm).endswith("-sess"):
            # RFC 7616 3.4.2: of the first request with this nonce, and so it stays.
            first = self.hash(f"{a1}:{given['nonce']}:{given['cnonce']}".encode())
            a1 = self.sessions.setdefault(given["nonce"], first)
        if given.get("qop") == "auth-int":
            a2 += ":" + self.hash(body)
        middle = f"{given['nc']}:{given['cnonce']}:{given['qop']}:" if self.qop else ""
        return self.hash(f"{a1}:{given['nonce']}:{middle}{self.hash(a2.encode())}".encode())

    async def handle(self, asked: Asked, wire: Wire) -> None:
        values = asked.headers.get_list("authorization")
        stale = False
        if values:
            try:
                given = read_answer(values[0])
                fault = self.fault(asked, given)
            except ValueError as error:
                fault = str(error)
            if fault is None:
                self.accepted.append(given)
                await wire.respond(200, self.information(asked, given), asked.body or b"welcome")
                return
            stale = fault == "stale"
            if not stale and fault != "password":
                self.faults.append(fault)
        self.refused += 1
        await wire.respond(401, [("WWW-Authenticate", self.challenge(stale and self.tell))], b"who are you?")

    def information(self, asked: Asked, given: dict[str, str]) -> list[tuple[str, str]]:
        parts: list[Any] = []
        if given.get("qop") == "auth":
            proof = self.rspauth if self.rspauth is not None else self.response(given, asked, f":{asked.target}", b"")
            parts += [f'rspauth="{proof}"', f'cnonce="{given["cnonce"]}"', f"nc={given['nc']}", "qop=auth"]
        if self.nextnonce:
            self.old.add(given["nonce"])
            parts.append(f'nextnonce="{self.nonce()}"')
        return [("Authentication-Info", ", ".join(parts))] if parts else []
