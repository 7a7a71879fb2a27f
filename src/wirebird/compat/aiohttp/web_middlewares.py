"""`aiohttp.web_middlewares`: `@middleware`, and the one that redirects to the path that was meant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from yarl import URL

from ...errors import UsageError
from ...web.middlewares import meant_paths, middleware
from .web_exceptions import HTTPMove, HTTPPermanentRedirect
from .web_response import StreamResponse

__all__ = ["middleware", "normalize_path_middleware"]


def normalize_path_middleware(
    *,
    append_slash: bool = True,
    remove_slash: bool = False,
    merge_slashes: bool = True,
    redirect_class: type[HTTPMove] = HTTPPermanentRedirect,
) -> Callable[[Any, Any], Awaitable[StreamResponse]]:
    """A middleware that redirects to the path that was meant, where only that has a route.

    Raises `ValueError` for both `append_slash` and `remove_slash`.
    """
    if append_slash and remove_slash:
        raise UsageError("Cannot both remove and append slash", argument="remove_slash")

    @middleware
    async def normalize(request: Any, handler: Any) -> StreamResponse:
        if request.match_info.http_exception is not None:
            path, mark, query = request.raw_path.partition("?")
            for meant in meant_paths(path, append_slash=append_slash, remove_slash=remove_slash, merge_slashes=merge_slashes):
                url = URL(meant, encoded=True)
                found = await request.app.router.resolve(request.clone(rel_url=url))
                if found.http_exception is None:
                    raise redirect_class(URL(meant + mark + query, encoded=True))
        response: StreamResponse = await handler(request)
        return response

    return normalize
