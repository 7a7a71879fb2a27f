"""How a request of aiohttp's server is answered, whatever its handler does."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from html import escape
from http import HTTPStatus
from time import monotonic
from traceback import format_exception
from typing import Any

from ...errors import ProtocolError, UsageError, WirebirdError
from ...web import exceptions as _exceptions
from .abc import AbstractAccessLogger
from .log import server_logger
from .web_exceptions import HTTPException, of_web
from .web_protocol import RequestPayloadError
from .web_request import BaseRequest
from .web_response import Response

__all__ = ["respond"]


async def respond(
    request: BaseRequest,
    handler: Callable[[Any], Any],
    log: AbstractAccessLogger | None,
    logger: Any = server_logger,
    *,
    debug: bool = False,
) -> None:
    """Answer `request` by `handler`: what it raises is an answer too, and what is none is a 500, logged with its traceback."""
    exchange = request.exchange
    begun = monotonic()
    response: Any = None
    try:
        response = await _answered(request, handler)
        await _deliver(request, response)
    except Exception as error:
        if isinstance(error, RequestPayloadError | ConnectionError) and isinstance(error.__cause__, WirebirdError):
            raise _cause_of(error) from None  # the client is at fault, and the connection knows what to say
        if isinstance(error, ProtocolError) and not isinstance(error, UsageError):
            raise
        logger.exception("Error handling request from %s", request.remote, exc_info=error)
        if exchange.raised is not None:
            exchange.raised(error)
        if not exchange.is_unsent():
            exchange.connection.abort()
            return
        response = _failure(request, error, show=debug)
        exchange.restart()
        await response.deliver(request)
    finally:
        if request.form is not None:
            await request.form.close()
        if log is not None and log.enabled and response is not None:
            log.log(request, response, monotonic() - begun)
        if isinstance(response, HTTPException):
            response._request = response._writer = None  # which keep it, by the route that has raised it
        response = None  # what it came of has a traceback, which leads here


class _NoResponse(RuntimeError):
    """A handler has returned something else."""


def _cause_of(error: Exception) -> BaseException:
    """What `error` came of; it does not know it any more, or they would keep each other."""
    cause, error.__cause__ = error.__cause__, None
    return cause or error


async def _answered(request: BaseRequest, handler: Callable[[Any], Any]) -> Any:
    try:
        response = await handler(request)
    except HTTPException as error:
        return error.with_traceback(None)  # which leads to where it is kept
    except _exceptions.HTTPException as error:  # of a middleware, or a session, of wirebird
        return of_web(error)
    if isinstance(response, HTTPException):
        warnings.warn(
            "returning HTTPException object is deprecated (#2415) and will be removed, please raise the exception instead",
            DeprecationWarning,
            stacklevel=2,
        )
    return response


async def _deliver(request: BaseRequest, response: Any) -> None:
    deliver = getattr(response, "deliver", None)
    if deliver is None:
        said = f"Web-handler should return a response instance, got {response!r}"
        raise _NoResponse("Missing return statement on request handler" if response is None else said)
    try:
        await deliver(request)
    except HTTPException as error:  # of `on_response_prepare`
        if not request.exchange.is_unsent():
            raise
        await error.deliver(request)


def _failure(request: BaseRequest, error: Exception, *, show: bool) -> Response:
    """500, with the traceback where that is wanted; 504 for a handler that has waited for too long."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    title = f"{status.value} {status.phrase}"
    said = "".join(format_exception(error)) if show else ""
    if isinstance(error, TimeoutError):
        response = Response(status=504, content_type="text/plain")
    elif isinstance(error, _NoResponse) and not show:
        response = Response(status=500, text=f"{status.value}: {status.phrase}")
    elif "text/html" in request.headers.get("Accept", ""):
        body = f"<h2>Traceback:</h2>\n<pre>{escape(said)}</pre>" if said else status.description
        text = f"<html><head><title>{title}</title></head><body>\n<h1>{title}</h1>\n{body}\n</body></html>\n"
        response = Response(status=500, text=text, content_type="text/html")
    else:
        response = Response(status=500, text=f"{title}\n\n{said or status.description}", content_type="text/plain")
    response.force_close()
    return response
