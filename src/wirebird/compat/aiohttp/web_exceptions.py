"""`aiohttp.web_exceptions`: responses that can be raised, one class for each status.

The classes are those of `wirebird.web`, by name, place and status, over this façade's `Response`.  Four take arguments of their
own, and are written out.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, ClassVar

from yarl import URL

from ...models.headers import HeadersLike
from ...web import exceptions as _exceptions
from .app_keys import NotAppKeyWarning
from .web_response import Response

__all__ = ["HTTPException", "NotAppKeyWarning", "of_web"]


class HTTPException(Response, Exception):
    """A response that a handler may raise; by default its text says the status and the reason."""

    status_code: ClassVar[int] = -1
    empty_body: ClassVar[bool] = False

    def __init__(
        self,
        *,
        headers: HeadersLike | None = None,
        reason: str | None = None,
        body: Any = None,
        text: str | None = None,
        content_type: str | None = None,
    ) -> None:
        if body is not None:
            warnings.warn("body argument is deprecated for http web exceptions", DeprecationWarning, stacklevel=2)
        Response.__init__(
            self, status=self.status_code, headers=headers, reason=reason, body=body, text=text, content_type=content_type
        )
        Exception.__init__(self, self.reason)
        if self.body is None and not self.empty_body:
            self.text = f"{self.status}: {self.reason}"


class HTTPError(HTTPException):
    """A status of 400 or more."""


class HTTPRedirection(HTTPException):
    """A status from 300 to 399."""


class HTTPClientError(HTTPError):
    """A status from 400 to 499."""


class HTTPMove(HTTPRedirection):
    """A redirect to `location`, a path or a URL.  Raises `ValueError` for an empty one."""

    def __init__(self, location: str | URL, **options: Any) -> None:
        if not location:
            raise ValueError("HTTP redirects need a location to redirect to.")
        super().__init__(**options)
        self.headers["Location"] = str(URL(location))
        self.location = location


class HTTPMethodNotAllowed(HTTPClientError):
    """405; `Allow` says which methods there are."""

    status_code = 405

    def __init__(self, method: str, allowed_methods: Iterable[str], **options: Any) -> None:
        super().__init__(**options)
        self.allowed_methods: set[str] = set(allowed_methods)
        self.headers["Allow"] = ",".join(sorted(self.allowed_methods))
        self.method = method.upper()


class HTTPRequestEntityTooLarge(HTTPClientError):
    """413."""

    status_code = 413

    def __init__(self, max_size: float, actual_size: float = 0, **options: Any) -> None:
        options.setdefault("text", f"Maximum request body size {max_size} exceeded.")
        super().__init__(**options)


class HTTPUnavailableForLegalReasons(HTTPClientError):
    """451; `link` names who demands it (RFC 7725)."""

    status_code = 451

    def __init__(self, link: str | URL | None, **options: Any) -> None:
        super().__init__(**options)
        self._link = None
        if link:
            self._link = URL(link)
            self.headers["Link"] = f'<{self._link}>; rel="blocked-by"'

    @property
    def link(self) -> URL | None:
        """Who demands it."""
        return self._link


def _take_over() -> None:
    """The classes of `wirebird.web` that are not written out above."""
    made = globals()
    for name, theirs in vars(_exceptions).items():  # in the order of their definition: a class after its base
        if name in made or name == "HTTPSystemError" or name not in _exceptions.__all__:
            continue
        members = {
            "__doc__": theirs.__doc__,
            "__module__": __name__,
            "status_code": theirs.status_code,
            "empty_body": theirs.empty_body,
        }
        made[name] = type(name, (made[theirs.__bases__[0].__name__],), members)
    __all__.extend(name for name in _exceptions.__all__ if name not in ("HTTPException", "HTTPSystemError"))


_take_over()


def __getattr__(name: str) -> Any:
    # For type checkers: the others are there when the module is.
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def of_web(error: _exceptions.HTTPException) -> HTTPException:
    """The same response, by the class of that name here; for what wirebird raises in place of aiohttp."""
    made = globals().get(type(error).__name__)
    if made is None:
        made = next((one for one in globals().values() if getattr(one, "status_code", None) == error.status), HTTPException)
    found: HTTPException = made.__new__(made)
    Response.__init__(found, status=error.status, reason=error.reason, headers=error.headers, body=error.body)
    Exception.__init__(found, found.reason)
    for name in ("allowed_methods", "method", "location"):
        if hasattr(error, name):
            setattr(found, name, getattr(error, name))
    return found
