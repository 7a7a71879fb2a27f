"""Redirects (RFC 9110 15.4): what is asked next, and what of the request may go there.

The next request is built from the one before, never edited in place.  Where the origin changes (scheme, host or port, so https
to http as well), everything that was meant for the old origin stays behind: every Authorization, Cookie and Proxy-Authorization
field, every other one with the name of a secret, as `X-Api-Key`, the cookies of the call, and a Host field of its own.  Once gone
they stay gone, wherever the chain leads.

The handshake of a WebSocket is redirected to ws and wss URLs as well, which stand for http and https, and never from TLS to a
connection without.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from yarl import URL

from ...errors import BodyConsumed, InvalidResponse, InvalidURL, TooManyRedirects, WirebirdError
from ...models.headers import HttpHeaders, split_list
from ...models.message import Request
from ...models.redaction import is_secret, read_hide
from ...models.url import as_http, destination, parse_url
from ...pipeline import Handler, Middleware
from ..response import HttpResponse

__all__ = ["follow_redirects", "next_request", "redirected"]

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# Beside those that are named like secrets: authorization, cookie, proxy-authorization and more.
_OF_THE_ORIGIN: Final = ("host", "www-authenticate")
_SECRET_NAMES: Final = read_hide(True)
_ABOUT_CONTENT: Final = (
    "content-length",
    "content-type",
    "content-encoding",
    "content-language",
    "content-location",
    "content-range",
    "content-md5",
    "transfer-encoding",
    "expect",
    "digest",
    "content-digest",
    "repr-digest",
    "trailer",
)


def follow_redirects(limit: int) -> Middleware[Request, HttpResponse]:
    """A middleware that follows up to `limit` redirects; the next raises `TooManyRedirects`."""

    async def redirects(request: Request, handler: Handler[Request, HttpResponse]) -> HttpResponse:
        history: list[HttpResponse] = []
        while True:
            response = await handler(request)
            try:
                following = next_request(request, response)
            except WirebirdError:
                await response.close()  # nobody gets to see it
                raise
            if following is None:
                response.history = tuple(history)
                return response
            response.history = tuple(history)
            history.append(response)
            await response.close()
            if len(history) > limit:
                raise TooManyRedirects(
                    f"more than {limit} redirects",
                    history=history,
                    url=following.url,
                    peer=request.destination.authority,
                    phase="following redirects",
                )
            request = following

    return redirects


def next_request(request: Request, response: HttpResponse) -> Request | None:
    """The request that `response` redirects `request` to; None if it is no redirect that is followed.

    Raises `InvalidResponse` for a Location that is no http(s) URL, `BodyConsumed` for a body that would have to be sent again
    and cannot be.
    """
    if response.status_code not in _REDIRECTS:
        return None
    locations = response.headers.get_list("location")
    if not locations or not locations[0]:
        return None
    return redirected(request, response.status_code, locations[0])


def redirected(request: Request, status: int, location: str, *, requote: bool = True) -> Request:
    """The request that comes after `request` was answered with `status` and `location`.

    `requote`: quote in the location what may not stand in a URL; without it the URL is asked for as it is written.  Raises what
    `next_request` does.
    """
    try:
        reference = parse_url(location.strip(" \t"), "Location")
        if not requote:
            reference = URL(location.strip(" \t"), encoded=True)
        url = _resolve(request.url, reference)
        if request.options.upgrade is not None:
            url = as_http(url)
        where = destination(url, "Location")
    except InvalidURL as error:
        raise InvalidResponse(
            f"a redirect that cannot be followed: {error.message}",
            peer=request.destination.authority,
            phase="following redirects",
        ) from error
    headers = HttpHeaders(request.headers)
    options = request.options
    if options.upgrade is not None and request.destination.secure and not where.secure:
        # What is said next is the program's own, for as long as the connection lasts, and it asked for TLS.
        raise InvalidResponse(
            "a redirect of a WebSocket from wss to ws, which is not followed",
            peer=request.destination.authority,
            phase="following redirects",
        )
    method, body = request.method, request.body
    # RFC 9110 15.4.2 to 15.4.4: POST becomes GET by custom, and 303 asks for it; 307 and 308 forbid it.
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", None
        for name in _ABOUT_CONTENT:
            headers.popall(name, None)
    elif body is not None and not isinstance(body, bytes) and not body.replayable():
        raise BodyConsumed(
            f"a {status} redirect asks for the body again, and it can be read only once",
            argument="data",
            peer=request.destination.authority,
            phase="following redirects",
        )
    if where.origin != request.destination.origin:
        _leave_secrets(headers)
        options = options.for_another_origin()
    if where.credentials:
        headers["Authorization"] = where.credentials
        options = replace(options, auth=None)  # the newer ones count
    return Request(method, headers, body, where, options, request.deadline)


def _leave_secrets(headers: HttpHeaders) -> None:
    for name in {*_OF_THE_ORIGIN, *(name for name in headers if is_secret(name, _SECRET_NAMES))}:
        headers.popall(name, None)
    for value in headers.popall("connection", []):
        # Fields that were nominated for one hop were nominated for that origin's (RFC 9110 7.6.1).
        if kept := [token for token in split_list(value) if token == "close"]:
            headers.add("Connection", ", ".join(kept))


def _resolve(base: URL, reference: URL) -> URL:
    """RFC 9110 10.2.2: relative to the URL requested, and its fragment is inherited."""
    url = base.join(reference)
    if not reference.raw_fragment and base.raw_fragment:
        url = url.with_fragment(base.raw_fragment)
    return url
