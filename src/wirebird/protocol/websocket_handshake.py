"""The opening handshake of WebSocket, for both roles: fields in, fields out, no I/O (RFC 6455 4).

    handshake = ClientHandshake(os.urandom(16), ["chat"], Deflate())
    handshake.fields()                       ->  what to send along with a GET
    handshake.check(head.status, fields)     ->  Accepted; or InvalidResponse says what was wrong

    ServerHandshake(["chat"], Deflate()).answer(head)   ->  Accepted, with the fields of the 101; or a Refusal

Lists of tokens are read as lists and without case, where the RFC says so; subprotocols are compared as they are.  What a server
chooses was offered, or the client fails the handshake.
"""

from __future__ import annotations

import hashlib
import re
from binascii import b2a_base64
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..errors import InvalidRequest, InvalidResponse, UsageError
from ..models.headers import HttpHeaders, check_token, split_list
from ..models.origin import normal_authority, normal_origin
from ..models.redaction import printable
from .websocket_deflate import Agreed, Deflate
from .websocket_extensions import EXTENSIONS, is_token, parse_extensions

if TYPE_CHECKING:
    from ..models.message import RequestHead

__all__ = ["SAME_ORIGIN", "VERSION", "Accepted", "ClientHandshake", "Refusal", "ServerHandshake", "accept_key"]

VERSION: Final = "13"
"""The one version of the protocol (RFC 6455 4.1)."""

SAME_ORIGIN: Final = "same-origin"
"""In the `origins` of a `ServerHandshake`: pages of the host that the request names."""

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SHOWN: Final = 60

_KEY: Final = "Sec-WebSocket-Key"
_VERSION: Final = "Sec-WebSocket-Version"
_ACCEPT: Final = "Sec-WebSocket-Accept"
_PROTOCOL: Final = "Sec-WebSocket-Protocol"
_SWITCH: Final = (("Upgrade", "websocket"), ("Connection", "Upgrade"))

# 16 bytes in base64.  The bits behind the last byte may be anything: those of the example in RFC 6455 4.1 are not zero.
_is_key = re.compile(r"[A-Za-z0-9+/]{22}==").fullmatch


def accept_key(key: str) -> str:
    """The value of Sec-WebSocket-Accept that answers this Sec-WebSocket-Key (RFC 6455 4.2.2)."""
    return _base64(hashlib.sha1((key + _GUID).encode("latin-1"), usedforsecurity=False).digest())


@dataclass(frozen=True, slots=True)
class Accepted:
    """A handshake that succeeded.

    `subprotocol` is the one that was chosen, None if none was; `agreed` the compression, None if messages go uncompressed.
    `fields` are those of a server's 101; a client has none.
    """

    subprotocol: str | None
    agreed: Agreed | None
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that a server does not take: `status` and `fields` to answer, and `message`, which says why."""

    status: int
    message: str
    fields: tuple[tuple[str, str], ...] = ()


class ClientHandshake:
    """One handshake as the client sees it.

    `key` are 16 random bytes, fresh for each handshake.  `protocols` are the subprotocols offered, the preferred one first, and
    `deflate` what is offered of compression, None for none.  Raises `UsageError` for a key of another size, for subprotocols that
    are not tokens, and for one that is repeated.
    """

    __slots__ = ("deflate", "key", "protocols")

    def __init__(self, key: bytes, protocols: Sequence[str] = (), deflate: Deflate | None = None) -> None:
        if not isinstance(key, bytes) or len(key) != 16:
            raise UsageError("key must be 16 random bytes", argument="key")
        self.key = _base64(key)
        self.protocols = _check_protocols(protocols)
        self.deflate = deflate

    def __repr__(self) -> str:
        return f"<ClientHandshake protocols={self.protocols!r} deflate={self.deflate!r}>"

    def fields(self) -> list[tuple[str, str]]:
        """The fields that make a GET a handshake, Host and Origin aside."""
        fields = [*_SWITCH, (_KEY, self.key), (_VERSION, VERSION)]
        if self.protocols:
            fields.append((_PROTOCOL, ", ".join(self.protocols)))
        if self.deflate is not None:
            fields.append((EXTENSIONS, self.deflate.offer()))
        return fields

    def check(self, status: int, headers: HttpHeaders) -> Accepted:
        """What the server agreed to, in the answer with this status and these fields (RFC 6455 4.1).

        Raises `InvalidResponse`, which says what is wrong with it.
        """
        if status != 101:
            versions = ", ".join(headers.get_list(_VERSION)) if status == 426 else ""
            hint = f", it speaks the versions {_quoted(versions)}" if versions else ""
            raise InvalidResponse(f"the server answered the WebSocket handshake with {status} instead of 101{hint}")
        upgrade = _members(headers, "upgrade")
        if upgrade != ["websocket"]:
            raise InvalidResponse(f"the server switched to something else than WebSocket, Upgrade: {_shown(headers, 'upgrade')}")
        if "upgrade" not in _members(headers, "connection"):
            raise InvalidResponse(f"a 101 without Connection: Upgrade, but with {_shown(headers, 'connection')}")
        accepts = headers.get_list(_ACCEPT)
        if len(accepts) != 1:
            raise InvalidResponse(f"a 101 with {len(accepts) or 'no'} {_ACCEPT} fields")
        if accepts[0] != accept_key(self.key):
            raise InvalidResponse(f"a {_ACCEPT} that does not answer the key: {_quoted(accepts[0])}")
        return Accepted(self._subprotocol(headers.get_list(_PROTOCOL)), self._agreed(headers.get_list(EXTENSIONS)))

    def _subprotocol(self, chosen: list[str]) -> str | None:
        if not chosen:
            return None
        if len(chosen) > 1:
            raise InvalidResponse(f"the server chose more than one subprotocol: {_quoted(', '.join(chosen))}")
        if chosen[0] not in self.protocols:
            raise InvalidResponse(f"the server chose a subprotocol that was not offered: {_quoted(chosen[0])}")
        return chosen[0]

    def _agreed(self, values: list[str]) -> Agreed | None:
        if self.deflate is not None:
            return self.deflate.accept(values)
        for extension in parse_extensions(values, InvalidResponse):
            raise InvalidResponse(f"the server answered with an extension that was not offered: {_quoted(extension.name)}")
        return None


class ServerHandshake:
    """What a server says to handshakes; one serves any number of requests.

    protocols   the subprotocols it speaks, the preferred one first: its first that the client offers is chosen, and none if the
                client offers none of them
    deflate     what it wishes of compression, None for none
    origins     whose pages may connect, as `scheme://host[:port]`, `"null"`, or `SAME_ORIGIN`, which is the default; None for
                anybody's.  Browsers send cookies along whatever page asks, and name it in Origin, so this is what keeps others
                from speaking in a user's name.  A request without Origin comes from no page, and is taken.

    The same origin is told by host and port: whether it was asked by TLS is not known behind a proxy.  Behind one that changes
    Host too, origins must be named.  Raises `UsageError` for subprotocols that are not tokens or are repeated, and for what is no
    origin.
    """

    __slots__ = ("_origins", "deflate", "protocols")

    def __init__(
        self,
        protocols: Sequence[str] = (),
        deflate: Deflate | None = None,
        origins: Collection[str] | None = (SAME_ORIGIN,),
    ) -> None:
        self.protocols = _check_protocols(protocols)
        self.deflate = deflate
        self._origins = None if origins is None else _check_origins(origins)

    def __repr__(self) -> str:
        return f"<ServerHandshake protocols={self.protocols!r} deflate={self.deflate!r}>"

    def answer(self, head: RequestHead, authority: str | None = None) -> Accepted | Refusal:
        """What to answer (RFC 6455 4.2): the 101 with the fields of `Accepted`, or the `Refusal`.

        `authority` is `host[:port]` as the client asked for it, where that is known better than from the Host field, which a
        proxy may have changed.  After a refusal of a request with a body, that body is still to come, and is no request.
        """
        fields = head.fields
        refusal = _refuse_request(head) or _refuse_version(fields)
        if refusal is None:
            refusal = self._refuse_origin(fields, head.host.decode("latin-1") if authority is None else authority)
        if refusal is not None:
            return refusal
        keys = fields.get_list(_KEY)
        if len(keys) != 1:
            return Refusal(400, f"{len(keys) or 'no'} {_KEY} fields")
        if not _is_key(keys[0]):
            return Refusal(400, f"a {_KEY} that is not 16 bytes in base64: {_quoted(keys[0])}")
        try:
            subprotocol = self._choose(fields.get_list(_PROTOCOL))
            agreed, extensions = self._negotiate(fields.get_list(EXTENSIONS))
        except InvalidRequest as error:
            return Refusal(error.status, error.message)
        answer = [*_SWITCH, (_ACCEPT, accept_key(keys[0]))]
        if subprotocol is not None:
            answer.append((_PROTOCOL, subprotocol))
        if extensions:
            answer.append((EXTENSIONS, extensions))
        return Accepted(subprotocol, agreed, tuple(answer))

    def _refuse_origin(self, fields: HttpHeaders, authority: str) -> Refusal | None:
        sent = fields.get_list("origin")
        if self._origins is None or not sent:
            return None
        if len(sent) > 1:
            return Refusal(400, f"{len(sent)} Origin fields")
        origin = normal_origin(sent[0])
        if origin is not None:
            if origin in self._origins:
                return None
            scheme, _, place = origin.partition("://")
            if SAME_ORIGIN in self._origins and place and place == normal_authority(authority, scheme):
                return None
        return Refusal(403, f"a page that may not connect, Origin: {_quoted(sent[0])}")

    def _choose(self, values: list[str]) -> str | None:
        offered: list[str] = []
        for value in values:
            offered += [member for part in value.split(",") if (member := part.strip(" \t"))]
        for name in offered:
            if not is_token(name):
                raise InvalidRequest(f"a subprotocol that is no token: {_quoted(name)}")
        known = set(offered)
        if len(known) != len(offered):
            raise InvalidRequest(f"a subprotocol that is offered twice, among {_quoted(', '.join(offered))}")
        return next((name for name in self.protocols if name in known), None)

    def _negotiate(self, values: list[str]) -> tuple[Agreed | None, str]:
        if self.deflate is None:
            parse_extensions(values, InvalidRequest)
            return None, ""
        return self.deflate.answer(values) or (None, "")


def _refuse_request(head: RequestHead) -> Refusal | None:
    if head.method != b"GET":
        return Refusal(405, "a WebSocket handshake is a GET", (("Allow", "GET"),))
    if head.minor != 1:
        return Refusal(400, "a WebSocket handshake needs HTTP/1.1")
    if not head.upgrade or "websocket" not in _members(head.fields, "upgrade"):
        return Refusal(426, "not a WebSocket handshake: it lacks Upgrade: websocket, Connection: Upgrade", _SWITCH)
    if head.length:
        return Refusal(400, "a WebSocket handshake with a body")
    return None


def _refuse_version(fields: HttpHeaders) -> Refusal | None:
    versions = fields.get_list(_VERSION)
    if len(versions) > 1:
        return Refusal(400, f"{len(versions)} {_VERSION} fields")
    if versions != [VERSION]:
        asked = f"version {_quoted(versions[0])}" if versions else "no version"
        return Refusal(426, f"{asked} of WebSocket is spoken here but {VERSION}", (*_SWITCH, (_VERSION, VERSION)))
    return None


def _check_protocols(protocols: Sequence[str]) -> tuple[str, ...]:
    if isinstance(protocols, str) or not isinstance(protocols, Iterable):
        raise UsageError(f"protocols must be a sequence of names, not {protocols!r}", argument="protocols")
    names = tuple(protocols)
    for name in names:
        check_token(name, "protocols")
    if len(set(names)) != len(names):
        raise UsageError(f"protocols must not repeat a name: {names!r}", argument="protocols")
    return names


def _check_origins(origins: Collection[str]) -> frozenset[str]:
    if isinstance(origins, str) or not isinstance(origins, Iterable):
        raise UsageError(f"origins must be a collection of origins, not {origins!r}", argument="origins")
    found = set()
    for origin in origins:
        normal = SAME_ORIGIN if origin == SAME_ORIGIN else normal_origin(origin) if isinstance(origin, str) else None
        if normal is None:
            raise UsageError(
                f"origins must hold scheme://host[:port], 'null' or {SAME_ORIGIN!r}, not {origin!r}", argument="origins"
            )
        found.add(normal)
    return frozenset(found)


def _members(headers: HttpHeaders, name: str) -> list[str]:
    return [member for value in headers.get_list(name) for member in split_list(value)]


def _shown(headers: HttpHeaders, name: str) -> str:
    values = headers.get_list(name)
    return _quoted(", ".join(values)) if values else "none"


def _quoted(text: str) -> str:
    return f'"{printable(text, _SHOWN)}"'


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()
