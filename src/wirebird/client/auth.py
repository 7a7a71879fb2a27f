"""Credentials as flows: generators that are given a request, yield requests to send, and are sent the responses to them.

A flow does no I/O, so it is tested without a loop; `client/middleware/auth.py` drives it.  It never changes the request that it
was given, it yields copies.  The last response of a flow is the response of the call.  Where a flow needs the body of a message,
it yields a `ReadBody`.

    def flow(self, request):
        outgoing = request.copy()
        outgoing.headers["Authorization"] = ...
        response = yield outgoing

Credentials belong to the origin of the URL that the call names, and are left behind where a redirect leads elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from ..errors import InvalidHeader, UsageError
from ..models.headers import check_value
from ..models.message import Request
from ..models.url import basic_value

if TYPE_CHECKING:
    from .response import HttpResponse

__all__ = ["Auth", "AuthLike", "BasicAuth", "BearerAuth", "Flow", "FunctionAuth", "ReadBody", "check_name", "read_auth"]

# Requests and `ReadBody` come out; responses and the bytes of bodies go in.
Flow: TypeAlias = Generator[Any, Any, None]


@runtime_checkable
class Auth(Protocol):
    """Anything that makes flows: a class of your own needs one method."""

    def flow(self, request: Request) -> Flow:
        """The exchanges that authenticate `request`: a generator that yields requests and is sent their responses."""


AuthLike: TypeAlias = "Auth | tuple[str, str] | Callable[[Request], Request | None]"


class ReadBody:
    """What a flow yields to have the body of a message read, for it cannot await.

    message  a response that the flow was sent, or the request that it was given
    into     a function that is called with each piece, as for a hash; None has the flow sent the whole as bytes

    A request body that can be read only once is `BodyConsumed`.
    """

    __slots__ = ("into", "message")

    def __init__(self, message: Request | HttpResponse, into: Callable[[bytes], object] | None = None) -> None:
        self.message = message
        self.into = into


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
        check_name(user, "user")
        check_name(password, "password")
        if ":" in user:
            raise InvalidHeader("user must not hold a colon (RFC 7617 2)", argument="user")
        self.user = user
        super().__init__(basic_value(user, password))

    def __repr__(self) -> str:
        return f"BasicAuth({self.user!r}, …)"


class BearerAuth(_FixedAuth):
    """A token with every request (RFC 6750 2.1).  Raises `InvalidHeader` for white space or a control character in it."""

    def __init__(self, token: str) -> None:
        check_name(token, "token")
        if not token or " " in token or "\t" in token:
            raise InvalidHeader("token must be one word (RFC 6750 2.1)", argument="token")
        super().__init__(f"Bearer {token}")

    def __repr__(self) -> str:
        return "BearerAuth(…)"


class FunctionAuth:
    """A function that changes a copy of the request, or gives another request.

    It is called before each request, and must not be a coroutine function: what has to wait is a middleware.
    """

    def __init__(self, function: Callable[[Request], Any]) -> None:
        if iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
            raise UsageError("auth must not be a coroutine function: write a middleware, or an Auth", argument="auth")
        self._function = function

    def __repr__(self) -> str:
        return f"FunctionAuth({self._function!r})"

    def flow(self, request: Request) -> Flow:
        """One request, as the function leaves it."""
        outgoing = request.copy()
        result = self._function(outgoing)
        if result is not None and not isinstance(result, Request):
            if iscoroutine(result):
                result.close()  # or it is reported as never awaited
            kind = "an awaitable" if isawaitable(result) else type(result).__name__
            raise UsageError(f"an auth function must give a Request or None, not {kind}", argument="auth")
        yield result if result is not None else outgoing


def read_auth(auth: object) -> Auth | None:
    """`auth` as a caller may give it; None for False, which stands for no credentials.  Raises `UsageError` for what is none."""
    if auth is False:
        return None
    if not isinstance(auth, type):
        if isinstance(auth, Auth):
            return auth
        if isinstance(auth, tuple) and len(auth) == 2:
            return BasicAuth(*auth)
        if callable(auth):
            return FunctionAuth(auth)
    # A tuple or string may hold a password, which does not belong in a log.
    kind = auth.__name__ if isinstance(auth, type) else type(auth).__name__
    what = f"the class {kind}" if isinstance(auth, type) else kind
    raise UsageError(f"auth must be (user, password), an Auth or a function, not {what}", argument="auth")


def check_name(text: str, argument: str) -> str:
    """Return a user, password or token, or raise `InvalidHeader` naming `argument`, and never showing it."""
    try:
        check_value(text, argument)
        text.encode()
    except (InvalidHeader, UnicodeEncodeError):
        pass  # these hold the text, and would be the context of what is raised here
    else:
        return text
    what = "text without control characters (RFC 9110 5.5)" if isinstance(text, str) else f"str, not {type(text).__name__}"
    raise InvalidHeader(f"{argument} must be {what}", argument=argument)
