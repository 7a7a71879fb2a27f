"""Sessions: what is kept for a user from one request to the next.

    from wirebird.web import sessions

    sessions.setup(app, sessions.SignedCookieStorage(secret))

    async def handler(request):
        session = await sessions.get_session(request)
        session["visits"] = session.get("visits", 0) + 1

A session is loaded when a handler first asks for it, and saved when the head of the response is sent, whatever response that is:
one that is streamed, a redirect that was raised, a WebSocket.  An unhandled exception saves nothing.

A response that depends on a session says `Vary: Cookie`, and one that sets its cookie is kept out of caches, which would hand it
to others (`Cache-Control: no-store`, unless it says `private` or `no-store` itself).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError
from ..models.headers import add_vary, split_list
from .keys import AppKey
from .session import Session
from .session_storage import LIFETIME, EncryptedCookieStorage, MemoryStorage, SignedCookieStorage, Storage

if TYPE_CHECKING:
    from .app import Application
    from .request import Request
    from .response import StreamResponse

__all__ = [
    "LIFETIME",
    "EncryptedCookieStorage",
    "MemoryStorage",
    "Session",
    "SignedCookieStorage",
    "Storage",
    "get_session",
    "new_session",
    "setup",
]

_STORAGE: AppKey[Storage] = AppKey("wirebird.sessions", Storage)

# Where the session of a request is.
_SESSION = "wirebird.session"


def setup(app: Application, storage: Storage) -> None:
    """Have `app`, and the applications below it that have none of their own, keep sessions in `storage`.

    Raises `UsageError` for what is no storage, or if the application has one.
    """
    if not isinstance(storage, Storage):
        raise UsageError(f"storage must be a sessions.Storage, not {storage!r}", argument="storage")
    if _STORAGE in app:
        raise UsageError("app has a storage of sessions already", argument="app")
    app[_STORAGE] = storage

    async def save_session(request: Request, response: StreamResponse) -> None:
        session = request.get(_SESSION)
        if session is not None and _storage_of(request) is storage:
            await _save(request, response, session, storage)

    app.on_response_prepare.append(save_session)


async def get_session(request: Request) -> Session:
    """The session of the request, the same one however often it is asked for.  Raises `RuntimeError` without `setup`."""
    session = request.get(_SESSION)
    if session is None:
        loaded = await _storage_of(request).load(request)
        if request.exchange.begun:  # nobody will save it any more
            loaded.seal()
        session = request.setdefault(_SESSION, loaded)  # another task of this request may have been faster
    return session  # type: ignore[no-any-return]


async def new_session(request: Request) -> Session:
    """A new session in place of the one that the request brings, which is forgotten.  Raises `RuntimeError` without `setup`,
    and once the head of the response was sent."""
    before = request.get(_SESSION)
    if before is not None:
        before.invalidate()
    session = _storage_of(request).create()
    if request.exchange.begun:
        session.seal()
    session.changed()
    request[_SESSION] = session
    return session


def _storage_of(request: Request) -> Storage:
    for app in reversed(request.match_info.apps):
        if _STORAGE in app:
            return app[_STORAGE]
    raise RuntimeError("there are no sessions: sessions.setup(app, storage) comes first")


async def _save(request: Request, response: StreamResponse, session: Session, storage: Storage) -> None:
    add_vary(response.headers, "Cookie")
    if session.is_sealed:  # an earlier response was, which could not be sent
        return
    saved = await storage.save(request, response, session)
    session.seal()
    if saved:
        headers = response.headers
        directives = {one for value in headers.get_list("cache-control") for one in split_list(value)}
        if "private" not in directives and "no-store" not in directives:
            headers["Cache-Control"] = "no-store"
