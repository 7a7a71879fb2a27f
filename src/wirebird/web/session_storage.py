"""Where sessions are between requests: all in a cookie, signed or encrypted, or here, with a random name for a cookie.

A cookie is the client's, and so is what it says: it is believed if it was made here, is not too old, and was made for a cookie of
this name; else the session is a new one, whatever was in it.  A name that this side did not give out is never taken over (session
fixation).  What is kept is JSON, which can be read without running anything.

Every kept session has an end, a browser's own idea of when a session is over aside: `max_age` seconds after it was saved, or
`LIFETIME` where there is no such number.  So an old cookie that was copied somewhere is worth nothing for ever.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256
from secrets import token_urlsafe
from time import time
from typing import TYPE_CHECKING, Any, Final

from ..errors import UsageError
from ..models.numbers import check_count
from .cookies import ResponseCookies
from .session import Session

if TYPE_CHECKING:
    from .request import Request
    from .response import StreamResponse

__all__ = ["LIFETIME", "EncryptedCookieStorage", "MemoryStorage", "SignedCookieStorage", "Storage"]

LIFETIME: Final = 14 * 24 * 3600
"""Seconds that a session without a `max_age` is believed after it was saved."""

# Browsers drop a cookie whose name and value are longer together (RFC 6265 6.1).
_LONGEST: Final = 4096

_is_base64 = re.compile(r"[A-Za-z0-9_\-]+={0,2}").fullmatch

# Clocks of several servers that share a secret differ by no more than this, seconds.
_SKEW: Final = 60


class Storage:
    """Where sessions are kept; to be derived from: `read`, `write` and `forget` are what one has to say.

    cookie_name  the name of the cookie, `session`
    max_age      seconds that a session lives after it was saved; None for as long as the browser is open, and `LIFETIME` at most
    domain, path, httponly, samesite   of the cookie (RFC 6265 4.1); `/`, True and `Lax` by default
    secure       send it over TLS only; None for where the request came by TLS

    Raises `UsageError` for a bad argument, naming it.  `clock` gives POSIX seconds.
    """

    keeps_identity = True  # whether a cookie names a session, rather than being it

    def __init__(
        self,
        *,
        cookie_name: str = "session",
        max_age: int | None = None,
        domain: str | None = None,
        path: str = "/",
        secure: bool | None = None,
        httponly: bool = True,
        samesite: str | None = "Lax",
        clock: Callable[[], float] = time,
    ) -> None:
        if max_age is not None:
            check_count("max_age", max_age, 1, "None or a number of seconds")
        ResponseCookies().set(
            cookie_name, "", domain=domain, path=path, secure=secure is not False, httponly=httponly, samesite=samesite
        )
        self.cookie_name = cookie_name
        self.max_age = max_age
        self.domain = domain
        self.path = path
        self.secure = secure
        self.httponly = httponly
        self.samesite = samesite
        self.clock = clock

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.cookie_name}>"

    # -- what a storage has to say -------------------------------------------------------------------------------------

    async def read(self, token: str) -> str | None:
        """What was written under the `token` of a cookie; None if there is nothing, or nothing that can be trusted."""
        raise NotImplementedError

    async def write(self, token: str | None, record: str, seconds: int) -> str | None:
        """Keep `record` for so many seconds, in place of what `token` stands for, or under a new one: the token of the cookie.

        None if there was something under `token` and is no more, as it was forgotten meanwhile: then nothing is kept.
        """
        raise NotImplementedError

    async def forget(self, token: str) -> None:
        """Let `token` stand for nothing."""
        raise NotImplementedError

    # -- what all storages do ------------------------------------------------------------------------------------------

    async def load(self, request: Request) -> Session:
        """The session of the request, a new one if it brings none that is valid."""
        token = request.cookies.get(self.cookie_name)
        record = await self.read(token) if token else None
        kept = self._decode(record) if record is not None else None
        if kept is None:
            return self.create()
        return Session(
            kept["values"],
            created=kept["created"],
            max_age=kept["max_age"],
            identity=token if self.keeps_identity else None,
            new=False,
        )

    def create(self) -> Session:
        """A new session."""
        return Session(created=int(self.clock()))

    def _decode(self, record: str) -> dict[str, Any] | None:
        """What a record holds, None if its time is over, or it is of another time than this library's."""
        try:
            kept = json.loads(record)
            if kept["name"] != self.cookie_name or type(kept["values"]) is not dict:
                return None
            limit = kept["max_age"] or self.max_age or LIFETIME
            age = self.clock() - kept["saved"]
            return kept if -_SKEW <= age < limit and kept["created"] >= 0 else None
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    async def save(self, request: Request, response: StreamResponse, session: Session) -> bool:
        """Keep the session, if there is something to keep, and set or delete its cookie: whether it did.

        Raises `UsageError` for a session that does not fit, or holds what JSON cannot.
        """
        if not session.is_changed:
            return False
        token = request.cookies.get(self.cookie_name)
        known = session.identity if self.keeps_identity else None
        if token and (session.new or session.is_renewed or not session):
            await self.forget(token)
            known = None
        if not session:
            if token is None:
                return False
            self._delete_cookie(response)
            return True
        record = self._record(session)
        limit = session.max_age or self.max_age
        written = await self.write(known, record, limit or LIFETIME)
        if written is None:
            self._delete_cookie(response)
            return True
        size = len(self.cookie_name) + len(written)
        if size > _LONGEST:
            raise UsageError(
                f"the session takes {size} bytes as a cookie, and browsers keep {_LONGEST}: keep less, or keep it elsewhere",
                argument="session",
            )
        response.set_cookie(self.cookie_name, written, max_age=limit, **self._attributes(request))
        return True

    def _record(self, session: Session) -> str:
        head = {"name": self.cookie_name, "created": session.created, "saved": int(self.clock()), "max_age": session.max_age}
        return f'{json.dumps(head, separators=(",", ":"))[:-1]},"values":{session.encode()}}}'

    def _attributes(self, request: Request) -> dict[str, Any]:
        return {
            "domain": self.domain,
            "path": self.path,
            "secure": request.secure if self.secure is None else self.secure,
            "httponly": self.httponly,
            "samesite": self.samesite,
        }

    def _delete_cookie(self, response: StreamResponse) -> None:
        secure = True if self.samesite is not None and self.samesite.lower() == "none" else self.secure
        response.del_cookie(
            self.cookie_name, domain=self.domain, path=self.path, secure=secure, httponly=self.httponly, samesite=self.samesite
        )


class MemoryStorage(Storage):
    """Sessions in the memory of this process, for as long as it lives; the cookie holds a random name of 256 bits.

    max_sessions  sessions at once, 10,000: then the one that was not used for the longest time is forgotten
    max_size      bytes of JSON of one session, 65,536
    options       of `Storage`

    What is invalidated is gone for every request, those under way too.
    """

    def __init__(self, *, max_sessions: int = 10_000, max_size: int = 65_536, **options: Any) -> None:
        super().__init__(**options)
        check_count("max_sessions", max_sessions, 1)
        check_count("max_size", max_size, 1, "a number of bytes")
        self.max_sessions = max_sessions
        self.max_size = max_size
        self._kept: OrderedDict[str, tuple[str, float]] = OrderedDict()  # the record, and when its time is over

    def __len__(self) -> int:
        return len(self._kept)

    def __bool__(self) -> bool:
        return True

    async def read(self, token: str) -> str | None:
        """What is kept under `token`."""
        kept = self._kept.get(token)
        if kept is None:
            return None
        record, over = kept
        if self.clock() >= over:
            del self._kept[token]
            return None
        self._kept.move_to_end(token)
        return record

    async def write(self, token: str | None, record: str, seconds: int) -> str | None:
        """Keep it.  Raises `UsageError` for a record of more than `max_size`."""
        if len(record) > self.max_size:
            raise UsageError(f"the session takes {len(record)} bytes, and {self.max_size} are allowed", argument="session")
        if token is None:
            token = token_urlsafe(32)
        elif token not in self._kept:
            return None
        self._kept[token] = record, self.clock() + seconds
        self._kept.move_to_end(token)
        if len(self._kept) > self.max_sessions:
            self._kept.popitem(last=False)
        return token

    async def forget(self, token: str) -> None:
        """Forget it."""
        self._kept.pop(token, None)


class SignedCookieStorage(Storage):
    """Sessions in a cookie that is signed: the user can read it, and cannot change it.  Needs the extra `wirebird[sessions]`.

    secret   what it is signed with, random and of 32 bytes or more (`secrets.token_bytes(32)`), str or bytes; or several of
             them, the first of which signs, and all of which are believed, so that a secret can be changed while sessions last
    options  of `Storage`

    A session that was ended lives on in a copy of its cookie until its time is over: `MemoryStorage` is without that.  Raises
    `UsageError` for an empty secret, and where itsdangerous is missing.
    """

    keeps_identity = False

    def __init__(self, secret: str | bytes | Sequence[str | bytes], **options: Any) -> None:
        super().__init__(**options)
        try:
            from itsdangerous import BadData, URLSafeSerializer
        except ImportError as error:
            raise UsageError(
                "SignedCookieStorage needs itsdangerous: pip install wirebird[sessions]", argument="secret"
            ) from error
        secrets = [secret] if isinstance(secret, str | bytes) else list(secret)
        if not secrets or not all(isinstance(one, str | bytes) and one for one in secrets):
            raise UsageError("secret must be str or bytes and not empty, or several of them", argument="secret")
        self._bad: type[Exception] = BadData
        self._signer = URLSafeSerializer(
            [one.encode() if isinstance(one, str) else one for one in reversed(secrets)],  # it signs with the last
            salt=f"wirebird.session.{self.cookie_name}",
            signer_kwargs={"key_derivation": "hmac", "digest_method": sha256},
        )

    async def read(self, token: str) -> str | None:
        """What is in the cookie, if its signature is right."""
        try:
            record = self._signer.loads(token)
        except self._bad:
            return None
        return record if isinstance(record, str) else None

    async def write(self, token: str | None, record: str, seconds: int) -> str:
        """The cookie that holds it."""
        signed = self._signer.dumps(record)
        return signed if isinstance(signed, str) else signed.decode()

    async def forget(self, token: str) -> None:
        """There is nothing here to forget."""


class EncryptedCookieStorage(Storage):
    """Sessions in a cookie that is encrypted: the user can neither read nor change it.  Needs the extra `wirebird[sessions]`.

    key      a key of Fernet: 32 bytes, or 44 characters as `cryptography.fernet.Fernet.generate_key()` gives them; or several,
             the first of which encrypts, and all of which decrypt
    options  of `Storage`

    Raises `UsageError` for what is no key, and where cryptography is missing.
    """

    keeps_identity = False

    def __init__(self, key: str | bytes | Sequence[str | bytes], **options: Any) -> None:
        super().__init__(**options)
        try:
            from cryptography.fernet import InvalidToken, MultiFernet
        except ImportError as error:
            raise UsageError(
                "EncryptedCookieStorage needs cryptography: pip install wirebird[sessions]", argument="key"
            ) from error
        keys = [key] if isinstance(key, str | bytes) else list(key)
        if not keys:
            raise UsageError("key must be a key, or several of them", argument="key")
        self._bad: type[Exception] = InvalidToken
        self._box = MultiFernet([_fernet(one) for one in keys])

    async def read(self, token: str) -> str | None:
        """What is in the cookie, if one of the keys opens it."""
        if not _is_base64(token):  # what else is in it would be skipped
            return None
        try:
            return self._box.decrypt(token.encode()).decode()
        except (self._bad, ValueError):
            return None

    async def write(self, token: str | None, record: str, seconds: int) -> str:
        """The cookie that holds it."""
        return self._box.encrypt(record.encode()).decode()

    async def forget(self, token: str) -> None:
        """There is nothing here to forget."""


def _fernet(key: Any) -> Any:
    from base64 import urlsafe_b64encode

    from cryptography.fernet import Fernet

    if isinstance(key, Fernet):
        return key
    if isinstance(key, bytes) and len(key) == 32:
        key = urlsafe_b64encode(key)
    try:
        return Fernet(key)
    except (ValueError, TypeError):
        raise UsageError("key must be 32 bytes, or 44 characters of URL-safe base64", argument="key") from None
