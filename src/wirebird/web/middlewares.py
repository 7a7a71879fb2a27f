"""Middlewares of the server: `async def middleware(request, handler) -> response`, and those that come with the library."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from yarl import URL

from ..models.numbers import check_count
from .compression import CODINGS, Compression, is_compressible
from .exceptions import HTTPException, HTTPMove, HTTPPermanentRedirect

if TYPE_CHECKING:
    from .request import Request
    from .response import StreamResponse
    from .routing import Handler

__all__ = ["compress_middleware", "meant_paths", "middleware", "normalize_path_middleware"]

_F = TypeVar("_F")


def middleware(function: _F) -> _F:
    """Mark a middleware.  It changes nothing: every coroutine function of a request and a handler is one."""
    function.__middleware_version__ = 1  # type: ignore[attr-defined]
    return function


def normalize_path_middleware(
    *,
    append_slash: bool = True,
    remove_slash: bool = False,
    merge_slashes: bool = True,
    redirect_class: type[HTTPMove] = HTTPPermanentRedirect,
) -> Callable[[Request, Handler], Awaitable[StreamResponse]]:
    """A middleware that redirects to the path that was meant, where only that has a route.

    append_slash    try it with a slash at the end
    remove_slash    or without; not both
    merge_slashes   try it with several slashes in a row made one
    redirect_class  the redirect, 308

    Several slashes at the beginning are always made one, for a Location that begins with two names another host.
    """
    from ..errors import UsageError

    if append_slash and remove_slash:
        raise UsageError("append_slash and remove_slash exclude each other", argument="remove_slash")

    async def normalize(request: Request, handler: Handler) -> StreamResponse:
        if request.match_info.route is not None:
            return await handler(request)
        path, mark, query = request.raw_path.partition("?")
        for candidate in meant_paths(path, append_slash=append_slash, remove_slash=remove_slash, merge_slashes=merge_slashes):
            if request.match_info.apps[0].has_route(request.method, candidate):
                raise redirect_class(URL(candidate + mark + query, encoded=True))
        return await handler(request)

    return normalize


def meant_paths(path: str, *, append_slash: bool, remove_slash: bool, merge_slashes: bool) -> list[str]:
    """The paths that may have been meant by `path`, the nearest first."""
    wanted = []
    merged = re.sub("//+", "/", path)
    if merge_slashes:
        wanted.append(merged)
    if append_slash and not path.endswith("/"):
        wanted.append(path + "/")
    if remove_slash and path.endswith("/"):
        wanted.append(path[:-1])
    if merge_slashes and append_slash and not merged.endswith("/"):
        wanted.append(merged + "/")
    if merge_slashes and remove_slash and merged.endswith("/"):
        wanted.append(merged[:-1])
    found = [re.sub("^//+", "/", candidate) for candidate in wanted]
    return [candidate for candidate in found if candidate and candidate != path]


def compress_middleware(
    *,
    min_size: int = 1024,
    codings: Sequence[str] = CODINGS,
    level: int | None = None,
    compressible: Callable[[str], bool] = is_compressible,
) -> Callable[[Request, Handler], Awaitable[StreamResponse]]:
    """A middleware that compresses what is worth it, for clients that say that they take it.

    min_size      bytes of a body from which on it is, 1024; one whose length is not known is
    codings       what is offered, the first where a client likes several the same: `zstd`, `br` (both with the extra
                  `wirebird[compression]`) and `gzip`; one that is not installed is left out
    level         the library's own, for one coding in `codings`; by default the one for which it is quick
    compressible  a function of the media type: text, JSON, XML, scripts and the like

    Left alone are responses that have a coding, `Cache-Control: no-transform` or a digest, parts of files, and event streams.
    A response that holds both a secret and something that an attacker chooses should not be compressed (BREACH): its length
    tells.

    Raises `UsageError`.
    """
    check_count("min_size", min_size, 0, "a number of bytes")
    compression = Compression(level=level, min_size=min_size, codings=() if isinstance(codings, str) else tuple(codings))

    def mark(response: StreamResponse) -> None:
        # What is no StreamResponse is not for a middleware to complain of.
        if getattr(response, "prepared", True) or response.coding is not None:
            return
        size = response.content_length
        if (size is None or size >= min_size) and compressible(response.content_type):
            response.coding = compression

    async def compress(request: Request, handler: Handler) -> StreamResponse:
        try:
            response = await handler(request)
        except HTTPException as error:
            mark(error)
            raise
        mark(response)
        return response

    return compress
