"""Cookies: the jar's into each request, each response's into the jar (RFC 6265)."""

from __future__ import annotations

from time import time

from ...models.cookies import CookieJar
from ...models.message import Request
from ...pipeline import Handler, Middleware
from ..response import HttpResponse

__all__ = ["handle_cookies"]


def handle_cookies(jar: CookieJar | None) -> Middleware[Request, HttpResponse]:
    """A middleware that adds the `Cookie` field: the jar's cookies, overridden by the call's own.  No jar: only the latter."""

    no_jar = CookieJar(public_suffix=_nothing)

    async def cookies(request: Request, handler: Handler[Request, HttpResponse]) -> HttpResponse:
        url = request.destination.url
        extra = request.options.cookies
        header = (jar if jar is not None else no_jar).header(url, time(), extra)
        own = request.headers.getall("cookie", [])
        if header is not None:
            request.headers["Cookie"] = "; ".join([*own, header])  # RFC 6265 5.4: one field
        try:
            response = await handler(request)
        finally:
            if header is not None:
                # The next hop of a redirect, or a retry, begins with what the caller gave.
                request.headers.popall("cookie", None)
                for value in own:
                    request.headers.add("Cookie", value)
        if jar is not None and (values := response.headers.get_list("set-cookie")):
            jar.store(url, values, time())
        return response

    return cookies


def _nothing(domain: str) -> bool:
    return False
