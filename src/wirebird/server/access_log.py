"""One log record for each exchange of a server: `Server(app, on_done=AccessLog())`.

What comes from the client is made printable, and what would end a quoted field is escaped, so that nobody writes records of his
own, or commands for the terminal of whoever reads them (CWE-117, CWE-150).  Parameters of a query that are secrets by their name
are not shown, and no header field is but the two of the combined format.

A server without a log does nothing for it, and one whose logger is not enabled makes no record.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from time import gmtime, monotonic, strftime, time
from typing import Any, Final, Literal

from ..errors import UsageError
from ..models.redaction import HideLike, hidden_params, printable, read_hide
from .exchange import Exchange

__all__ = ["AccessLog"]

# Of one value this much is shown.
_LONGEST: Final = 1000


class AccessLog:
    """Logs exchanges that are over, those too that were refused.

    format  "common" and "combined" are the formats of that name, as Apache and nginx write them, with times in UTC; "json" is an
            object on one line; "short" is for people: method, target, status, bytes and milliseconds
    logger  a `logging.Logger`, or its name; `"wirebird.access"`
    level   of the records, `logging.INFO`
    hide    which parameters of a query are not shown: True for well-known names of secrets (`token`, `api_key`, `password`, …), a
            collection of names for those besides, False for none

    Every record has these attributes, whatever the format, as `extra` gives them: `http_remote` (the client's address without its
    port), `http_method`, `http_target` and `http_version` (None for what was no request), `http_host`, `http_status` (0 if the
    client left before there was an answer), `http_sent` (bytes of body), `http_duration` (seconds from the head to the end),
    `http_referer` and `http_agent` (None if there was none).

    Raises `UsageError` for a bad argument, naming it.
    """

    def __init__(
        self,
        format: Literal["common", "combined", "json", "short"] = "combined",
        *,
        logger: logging.Logger | str | None = None,
        level: int = logging.INFO,
        hide: HideLike = True,
    ) -> None:
        line = _FORMATS.get(format)
        if line is None:
            raise UsageError(f"format must be one of {', '.join(_FORMATS)}, not {format!r}", argument="format")
        if not isinstance(level, int) or isinstance(level, bool):
            raise UsageError(f"level must be a level of logging, not {level!r}", argument="level")
        if isinstance(logger, str) or logger is None:
            logger = logging.getLogger(logger or "wirebird.access")
        if not callable(getattr(logger, "isEnabledFor", None)) or not callable(getattr(logger, "log", None)):
            raise UsageError(f"logger must be a logging.Logger or a name, not {logger!r}", argument="logger")
        self._line = line
        self._logger = logger
        self._level = level
        self._hide = read_hide(hide)

    def __repr__(self) -> str:
        return f"<AccessLog {self._logger.name}>"

    def __call__(self, exchange: Exchange) -> None:
        """Log the exchange."""
        if not self._logger.isEnabledFor(self._level):
            return
        fields = self._fields(exchange)
        extra = {f"http_{name}": value for name, value in fields.items()}
        self._logger.log(self._level, "%s", self._line(fields), extra=extra)

    def _fields(self, exchange: Exchange) -> dict[str, Any]:
        head = exchange.head
        there = bool(head.method)
        return {
            "remote": exchange.remote,
            "method": _shown(head.method) if there else None,
            "target": printable(hidden_params(head.target.decode("latin-1"), self._hide), _LONGEST) if there else None,
            "version": head.version if there else None,
            "host": _shown(head.host) or None,
            "status": exchange.status,
            "sent": exchange.sent,
            "duration": round(monotonic() - exchange.began, 6),
            "referer": self._field(exchange, b"referer"),
            "agent": self._field(exchange, b"user-agent"),
        }

    def _field(self, exchange: Exchange, name: bytes) -> str | None:
        for found, value in exchange.head.raw_fields if exchange.head.raw else ():
            if found.lower() == name:
                return printable(hidden_params(value.decode("latin-1"), self._hide), _LONGEST)
        return None


def _shown(raw: bytes) -> str:
    return printable(raw.decode("latin-1"), _LONGEST)


def _quoted(value: str | None) -> str:
    """A value between quotes, `-` for none; nothing in it ends them."""
    return '"-"' if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _request(fields: dict[str, Any]) -> str | None:
    return f"{fields['method']} {fields['target']} HTTP/{fields['version']}" if fields["method"] else None


def _common(fields: dict[str, Any]) -> str:
    moment = strftime("%d/%b/%Y:%H:%M:%S +0000", gmtime(time()))
    return f"{fields['remote']} - - [{moment}] {_quoted(_request(fields))} {fields['status']} {fields['sent'] or '-'}"


def _combined(fields: dict[str, Any]) -> str:
    return f"{_common(fields)} {_quoted(fields['referer'])} {_quoted(fields['agent'])}"


def _json(fields: dict[str, Any]) -> str:
    return json.dumps({"time": round(time(), 6), **fields})


def _short(fields: dict[str, Any]) -> str:
    asked = f"{fields['method']} {fields['target']}" if fields["method"] else "no request"
    return f"{asked} {fields['status']} {fields['sent']} B {fields['duration'] * 1000:.1f} ms"


_FORMATS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "common": _common,
    "combined": _combined,
    "json": _json,
    "short": _short,
}
