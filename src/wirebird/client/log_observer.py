"""One log record for each exchange.

What comes from the peer or the caller is made printable, so that nobody writes records of his own or commands for a terminal
(CWE-117).  Credentials are never in a record: no header field is, nor a password of the URL, and parameters of the query are
hidden by their names.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from ..errors import InvalidResponse, UsageError, WirebirdError
from ..models.redaction import HideLike, printable, read_hide, shown_url
from ..net.dial import peer_name
from .exchange import Exchange

__all__ = ["LogObserver"]

_LONGEST_ERROR = 300
_quoted = re.compile(r": b(?:'.*'|\".*\")")


class LogObserver:
    """An observer that logs each exchange when it is done: at `level`, or at `failures` if it failed.

    logger    a `logging.Logger`, or its name; `"wirebird"`
    level     of the records, `logging.INFO`
    failures  of the records of exchanges that failed, `logging.WARNING`; those that were cancelled, or whose body was let go of,
              did not
    hide      which parameters of a query are not shown: True for well-known names of secrets (`token`, `api_key`, `password`, …),
              a collection of names for those besides, False for none

    Every record has these attributes, as `extra` gives them: `http_method`, `http_url`, `http_status` (None without a response),
    `http_outcome` (see `Exchange.outcome`), `http_error` (None if there was none), `http_duration` (seconds), `http_timings` (a
    dict of seconds), `http_sent` and `http_received` (bytes of body), `http_connection` (its number, or None), `http_reused`,
    `http_attempt`, `http_remote` (`host:port`, or None).

    Raises `UsageError` for a bad argument, naming it.
    """

    def __init__(
        self,
        logger: logging.Logger | str | None = None,
        level: int = logging.INFO,
        *,
        failures: int = logging.WARNING,
        hide: HideLike = True,
    ) -> None:
        for name, value in (("level", level), ("failures", failures)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise UsageError(f"{name} must be a level of logging, not {value!r}", argument=name)
        if isinstance(logger, str) or logger is None:
            logger = logging.getLogger(logger or "wirebird")
        # A LoggerAdapter would do as well; what it is asked for is this.
        if not callable(getattr(logger, "isEnabledFor", None)) or not callable(getattr(logger, "log", None)):
            raise UsageError(f"logger must be a logging.Logger or a name, not {logger!r}", argument="logger")
        self._logger = logger
        self._level = level
        self._failures = failures
        self._hide = read_hide(hide)

    def __repr__(self) -> str:
        return f"<LogObserver {self._logger.name}>"

    def __call__(self, exchange: Exchange, phase: str) -> None:
        """Log the exchange, if it is done."""
        if phase != "done":
            return
        outcome = exchange.outcome
        level = self._failures if outcome == "failed" else self._level
        if not self._logger.isEnabledFor(level):
            return
        method = printable(exchange.request.method, 50)
        url = shown_url(exchange.request.destination, self._hide)
        status = exchange.response.status_code if exchange.response is not None else None
        error = None if exchange.error is None or outcome != "failed" else _shown_error(exchange.error)
        came_to = " ".join(str(part) for part in (status, None if outcome == "complete" else outcome) if part is not None)
        fields = {
            "http_method": method,
            "http_url": url,
            "http_status": status,
            "http_outcome": outcome,
            "http_error": error,
            **_facts(exchange),
        }
        self._logger.log(
            level,
            "%s %s %s in %.1f ms, %d bytes sent, %d received%s",
            *(method, url, came_to, exchange.duration * 1000, exchange.sent, exchange.received, f": {error}" if error else ""),
            extra=fields,
        )


def _facts(exchange: Exchange) -> dict[str, Any]:
    connection = exchange.connection
    remote = connection.remote if connection is not None else None
    return {
        "http_duration": exchange.duration,
        "http_timings": exchange.timings,
        "http_sent": exchange.sent,
        "http_received": exchange.received,
        "http_connection": connection.id if connection is not None else None,
        "http_reused": exchange.reused,
        "http_attempt": exchange.attempt,
        "http_remote": peer_name(*remote) if remote is not None else None,
    }


def _shown_error(error: BaseException) -> str:
    """The kind of an error, and what it says if that is about the network or the peer.

    What is said of an argument may quote it, a credential with a line break for one; what is said of a malformed head quotes the
    line at fault, perhaps one that sets a cookie; and what the caller's own code raises may say anything.
    """
    name = type(error).__name__
    if isinstance(error, UsageError):
        return f"{name} ({printable(error.argument, 50)})" if error.argument else name
    if not isinstance(error, WirebirdError):
        return name
    text = str(error)
    if isinstance(error, InvalidResponse):
        text = _quoted.sub("", text)
    return f"{name}: {printable(text, _LONGEST_ERROR)}"
