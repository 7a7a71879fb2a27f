"""Responses that can be raised: one class for each status (RFC 9110 15)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from yarl import URL

from ..errors import UsageError
from ..models.headers import HeadersLike
from .response import Response, phrase

__all__ = [
    "HTTPAccepted",
    "HTTPBadGateway",
    "HTTPBadRequest",
    "HTTPClientError",
    "HTTPConflict",
    "HTTPCreated",
    "HTTPError",
    "HTTPException",
    "HTTPExpectationFailed",
    "HTTPFailedDependency",
    "HTTPForbidden",
    "HTTPFound",
    "HTTPGatewayTimeout",
    "HTTPGone",
    "HTTPInsufficientStorage",
    "HTTPInternalServerError",
    "HTTPLengthRequired",
    "HTTPMethodNotAllowed",
    "HTTPMisdirectedRequest",
    "HTTPMove",
    "HTTPMovedPermanently",
    "HTTPMultipleChoices",
    "HTTPNetworkAuthenticationRequired",
    "HTTPNoContent",
    "HTTPNonAuthoritativeInformation",
    "HTTPNotAcceptable",
    "HTTPNotExtended",
    "HTTPNotFound",
    "HTTPNotImplemented",
    "HTTPNotModified",
    "HTTPOk",
    "HTTPPartialContent",
    "HTTPPaymentRequired",
    "HTTPPermanentRedirect",
    "HTTPPreconditionFailed",
    "HTTPPreconditionRequired",
    "HTTPProxyAuthenticationRequired",
    "HTTPRedirection",
    "HTTPRequestEntityTooLarge",
    "HTTPRequestHeaderFieldsTooLarge",
    "HTTPRequestRangeNotSatisfiable",
    "HTTPRequestTimeout",
    "HTTPRequestURITooLong",
    "HTTPResetContent",
    "HTTPSeeOther",
    "HTTPServerError",
    "HTTPServiceUnavailable",
    "HTTPSuccessful",
    "HTTPSystemError",
    "HTTPTemporaryRedirect",
    "HTTPTooManyRequests",
    "HTTPUnauthorized",
    "HTTPUnavailableForLegalReasons",
    "HTTPUnprocessableEntity",
    "HTTPUnsupportedMediaType",
    "HTTPUpgradeRequired",
    "HTTPUseProxy",
    "HTTPVariantAlsoNegotiates",
    "HTTPVersionNotSupported",
]


class HTTPException(Response, Exception):
    """A response that a handler may raise, or return.

    headers, reason, body, text, content_type   as for `Response`; by default the text says the status and the reason
    """

    status_code: ClassVar[int] = -1
    empty_body: ClassVar[bool] = False

    def __init__(
        self,
        *,
        headers: HeadersLike | None = None,
        reason: str | None = None,
        body: bytes | None = None,
        text: str | None = None,
        content_type: str | None = None,
    ) -> None:
        status = type(self).status_code
        if status < 0:
            raise UsageError(f"{type(self).__name__} has no status of its own: use one of its classes", argument="status")
        if body is None and text is None and not self.empty_body:
            text = f"{status}: {phrase(status) if reason is None else reason}"
        Response.__init__(self, status=status, headers=headers, reason=reason, body=body, text=text, content_type=content_type)
        Exception.__init__(self, self.reason)


class HTTPError(HTTPException):
    """A status of 400 or more."""


class HTTPRedirection(HTTPException):
    """A status from 300 to 399."""


class HTTPSuccessful(HTTPException):
    """A status from 200 to 299."""


class HTTPClientError(HTTPError):
    """A status from 400 to 499: the client is at fault."""


class HTTPServerError(HTTPError):
    """A status from 500 to 599: the server is."""


class HTTPSystemError(HTTPError):
    """The answer to what the server itself does not accept; its status is that of the fault."""

    def __init__(self, status: int, message: str) -> None:
        Response.__init__(self, status=status, text=f"{status}: {message}")
        Exception.__init__(self, message)

    @classmethod
    def for_status(cls, status: int, message: str) -> HTTPSystemError:
        """The answer with `status`, which says `message`."""
        return cls(status, message)


class HTTPMove(HTTPRedirection):
    """A redirect to `location`, a path or a URL; what is not ASCII in it is quoted.  Raises `UsageError` for an empty one."""

    def __init__(self, location: str | URL, **options: Any) -> None:
        url = URL(location)
        if not str(url):  # as of nothing but spaces and controls, too
            raise UsageError("location must say where to", argument="location")
        super().__init__(**options)
        self.location = url
        self.headers["Location"] = str(self.location)


class HTTPOk(HTTPSuccessful):
    """200."""

    status_code = 200


class HTTPCreated(HTTPSuccessful):
    """201."""

    status_code = 201


class HTTPAccepted(HTTPSuccessful):
    """202."""

    status_code = 202


class HTTPNonAuthoritativeInformation(HTTPSuccessful):
    """203."""

    status_code = 203


class HTTPNoContent(HTTPSuccessful):
    """204."""

    status_code = 204
    empty_body = True


class HTTPResetContent(HTTPSuccessful):
    """205."""

    status_code = 205
    empty_body = True


class HTTPPartialContent(HTTPSuccessful):
    """206."""

    status_code = 206


class HTTPMultipleChoices(HTTPMove):
    """300."""

    status_code = 300


class HTTPMovedPermanently(HTTPMove):
    """301."""

    status_code = 301


class HTTPFound(HTTPMove):
    """302."""

    status_code = 302


class HTTPSeeOther(HTTPMove):
    """303."""

    status_code = 303


class HTTPUseProxy(HTTPMove):
    """305."""

    status_code = 305


class HTTPTemporaryRedirect(HTTPMove):
    """307."""

    status_code = 307


class HTTPPermanentRedirect(HTTPMove):
    """308."""

    status_code = 308


class HTTPNotModified(HTTPRedirection):
    """304."""

    status_code = 304
    empty_body = True


class HTTPBadRequest(HTTPClientError):
    """400."""

    status_code = 400


class HTTPUnauthorized(HTTPClientError):
    """401."""

    status_code = 401


class HTTPPaymentRequired(HTTPClientError):
    """402."""

    status_code = 402


class HTTPForbidden(HTTPClientError):
    """403."""

    status_code = 403


class HTTPNotFound(HTTPClientError):
    """404."""

    status_code = 404


class HTTPNotAcceptable(HTTPClientError):
    """406."""

    status_code = 406


class HTTPProxyAuthenticationRequired(HTTPClientError):
    """407."""

    status_code = 407


class HTTPRequestTimeout(HTTPClientError):
    """408."""

    status_code = 408


class HTTPConflict(HTTPClientError):
    """409."""

    status_code = 409


class HTTPGone(HTTPClientError):
    """410."""

    status_code = 410


class HTTPLengthRequired(HTTPClientError):
    """411."""

    status_code = 411


class HTTPPreconditionFailed(HTTPClientError):
    """412."""

    status_code = 412


class HTTPRequestURITooLong(HTTPClientError):
    """414."""

    status_code = 414


class HTTPUnsupportedMediaType(HTTPClientError):
    """415."""

    status_code = 415


class HTTPRequestRangeNotSatisfiable(HTTPClientError):
    """416."""

    status_code = 416


class HTTPExpectationFailed(HTTPClientError):
    """417."""

    status_code = 417


class HTTPMisdirectedRequest(HTTPClientError):
    """421."""

    status_code = 421


class HTTPUnprocessableEntity(HTTPClientError):
    """422."""

    status_code = 422


class HTTPFailedDependency(HTTPClientError):
    """424."""

    status_code = 424


class HTTPUpgradeRequired(HTTPClientError):
    """426."""

    status_code = 426


class HTTPPreconditionRequired(HTTPClientError):
    """428."""

    status_code = 428


class HTTPTooManyRequests(HTTPClientError):
    """429."""

    status_code = 429


class HTTPRequestHeaderFieldsTooLarge(HTTPClientError):
    """431."""

    status_code = 431


class HTTPMethodNotAllowed(HTTPClientError):
    """405: the path is known, and not with `method`; `Allow` says which methods it has."""

    status_code = 405

    def __init__(self, method: str, allowed_methods: Iterable[str], **options: Any) -> None:
        super().__init__(**options)
        self.method = method.upper()
        self.allowed_methods = set(allowed_methods)
        self.headers["Allow"] = ",".join(sorted(self.allowed_methods))


class HTTPRequestEntityTooLarge(HTTPClientError):
    """413: the body is longer than `max_size`."""

    status_code = 413

    def __init__(self, max_size: float, actual_size: float, **options: Any) -> None:
        options.setdefault("text", f"413: a body of more than {max_size} bytes")
        super().__init__(**options)
        self.max_size = max_size
        self.actual_size = actual_size


class HTTPUnavailableForLegalReasons(HTTPClientError):
    """451: `link` names who demands it (RFC 7725)."""

    status_code = 451

    def __init__(self, link: str | URL | None, **options: Any) -> None:
        super().__init__(**options)
        self.link = URL(link) if link else None
        if self.link is not None:
            self.headers["Link"] = f'<{self.link}>; rel="blocked-by"'


class HTTPInternalServerError(HTTPServerError):
    """500."""

    status_code = 500


class HTTPNotImplemented(HTTPServerError):
    """501."""

    status_code = 501


class HTTPBadGateway(HTTPServerError):
    """502."""

    status_code = 502


class HTTPServiceUnavailable(HTTPServerError):
    """503."""

    status_code = 503


class HTTPGatewayTimeout(HTTPServerError):
    """504."""

    status_code = 504


class HTTPVersionNotSupported(HTTPServerError):
    """505."""

    status_code = 505


class HTTPVariantAlsoNegotiates(HTTPServerError):
    """506."""

    status_code = 506


class HTTPInsufficientStorage(HTTPServerError):
    """507."""

    status_code = 507


class HTTPNotExtended(HTTPServerError):
    """510."""

    status_code = 510


class HTTPNetworkAuthenticationRequired(HTTPServerError):
    """511."""

    status_code = 511
