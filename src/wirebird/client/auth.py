"""Credentials as flows: generators that are given a request, yield requests to send, and are sent the responses to them.

A flow does no I/O, so it is tested without a loop; `client/middleware/auth.py` drives it.  It never changes the request that it
was given, it yields copies.  The last response of a flow is the response of the call.

    def flow(self, request):
        outgoing = request.copy()
        outgoing.headers["Authorization"] = ...
        response = yield outgoing

Credentials belong to the origin of the URL that the call names, and are left behind where a redirect leads elsewhere.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from ..errors import InvalidHeader, UsageError
from ..models.headers import check_value
from ..models.message import Request

if TYPE_CHECKING:
    from .response import HttpResponse

__all__ = ["Auth", "AuthLike", "BasicAuth", "BearerAuth", "FunctionAuth", "read_auth"]

Flow: TypeAlias = "Generator[Request, HttpResponse, None]"


@runtime_checkable
class Auth(Protocol):
    """Anything that makes flows."""

    def flow(self, request: Request) -> Flow:
        """The exchanges that authenticate `request`."""


AuthLike: TypeAlias = "Auth | tuple[str, str] | Callable[[Request], Request | None]"


class _FixedAuth:
    """Credentials that are the same for every request."""

    def __init__(self, value: str) -> None:
        self._value = value

    def flow(self, request: Request) -> Flow:
        """One request, with the `Authorization` field."""
        outgoing = request.copy()
        outgoing.headers["Authorization"] = self._value
        yield outgoing


class BasicAuth(_FixedAuth):
    """User and password with every request, in UTF-8 (RFC 7617).

    Raises `InvalidHeader` for a colon in the user, or a control character in either.
    """

    def __init__(self, user: str, password: str = "") -> None:
        check_value(user, "user")
        check_value(password, "password")
        if ":" in user:
            raise InvalidHeader("user must not hold a colon (RFC 7617 2)", argument="user")
        self.user = user
        super().__init__(f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}")

    def __repr__(self) -> str:
        return f"BasicAuth({self.user!r}, …)"


class BearerAuth(_FixedAuth):
    """A token with every request (RFC 6750 2.1).  Raises `InvalidHeader` for white space or a control character in it."""

    def __init__(self, token: str) -> None:
        check_value(token, "token")
        if not token or " " in token or "\t" in token:
            raise InvalidHeader("token must be one word (RFC 6750 2.1)", argument="token")
        super().__init__(f"Bearer {token}")

    def __repr__(self) -> str:
        return "BearerAuth(…)"


class FunctionAuth:
    """A function that changes a copy of the request, or gives another request."""

    def __init__(self, function: Callable[[Request], Any]) -> None:
        self._function = function

    def __repr__(self) -> str:
        return f"FunctionAuth({self._function!r})"

    def flow(self, request: Request) -> Flow:
        """One request, as the function leaves it."""
        outgoing = request.copy()
        result = self._function(outgoing)
        if result is not None and not isinstance(result, Request):
            raise UsageError(f"an auth function must give a Request or None, not {type(result).__name__}", argument="auth")
        yield result if result is not None else outgoing


def read_auth(auth: object) -> Auth:
    """`auth` as a caller may give it.  Raises `UsageError` for what is none."""
    if isinstance(auth, Auth):
        return auth
    if isinstance(auth, tuple) and len(auth) == 2:
        return BasicAuth(*auth)
    if callable(auth) and not isinstance(auth, type):
        return FunctionAuth(auth)
    raise UsageError(f"auth must be (user, password), an Auth or a function, not {auth!r}", argument="auth")
