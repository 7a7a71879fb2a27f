"""`aiohttp.web_log`: the access log, in a format of one's own.

What comes from the client is made printable, so that nobody writes records of his own (CWE-117).
"""

from __future__ import annotations

import logging
import os
import re
from datetime import datetime, timedelta
from typing import Any, ClassVar

from ...models.redaction import printable
from .abc import AbstractAccessLogger

__all__ = ["AccessLogger"]


class AccessLogger(AbstractAccessLogger):
    """Logs requests in a format like Apache's: `%a` client, `%t` when it began, `%P` process, `%r` request line, `%s` status,
    `%b` bytes of body, `%T` `%Tf` `%D` duration in seconds, with a fraction, and in microseconds, `%{X}i` and `%{X}o` fields of
    request and response, `%{X}e` of the environment."""

    LOG_FORMAT_MAP: ClassVar = {
        "a": "remote_address",
        "t": "request_start_time",
        "P": "process_id",
        "r": "first_request_line",
        "s": "response_status",
        "b": "response_size",
        "T": "request_time",
        "Tf": "request_time_frac",
        "D": "request_time_micro",
        "i": "request_header",
        "o": "response_header",
        "e": "environ",
    }
    LOG_FORMAT = '%a %t "%r" %s %b "%{Referer}i" "%{User-Agent}i"'
    FORMAT_RE = re.compile(r"%(?:\{([A-Za-z0-9\-_]+)\}([ioe])|(Tf|[atPrsbTD]))")

    def __init__(self, logger: logging.Logger, log_format: str = LOG_FORMAT) -> None:
        super().__init__(logger, log_format=log_format)
        self._atoms = [(found[3] or found[2], found[1]) for found in self.FORMAT_RE.finditer(log_format)]
        literals = [text.replace("%%", "%").replace("%", "%%") for text in self.FORMAT_RE.split(log_format)[::4]]
        self._log_format = "%s".join(literals)

    @property
    def enabled(self) -> bool:
        """Whether anybody reads the log."""
        return self.logger.isEnabledFor(logging.INFO)

    def log(self, request: Any, response: Any, time: float) -> None:
        """Log a request; what goes wrong with that is logged as well."""
        try:
            values: list[Any] = []
            extra: dict[str, Any] = {}
            for atom, name in self._atoms:
                value = self._value(atom, name, request, response, time)
                values.append(value)
                if name:
                    extra.setdefault(self.LOG_FORMAT_MAP[atom], {})[name] = value
                else:
                    extra[self.LOG_FORMAT_MAP[atom]] = value
            self.logger.info(self._log_format % tuple(values), extra=extra)
        except Exception:
            self.logger.exception("Error in logging")

    def _value(self, atom: str, name: str, request: Any, response: Any, time: float) -> Any:
        match atom:
            case "a":
                return request.remote or "-"
            case "t":
                return (datetime.now().astimezone() - timedelta(seconds=time)).strftime("[%d/%b/%Y:%H:%M:%S %z]")
            case "P":
                return f"<{os.getpid()}>"
            case "r":
                version = request.version
                return printable(f"{request.method} {request.path_qs} HTTP/{version.major}.{version.minor}")
            case "s":
                return response.status
            case "b":
                return response.body_length
            case "T":
                return str(round(time))
            case "Tf":
                return f"{time:06f}"
            case "D":
                return str(round(time * 1000000))
            case "i":
                return _shown(request.headers.get(name, "-"))
            case "o":
                return _shown(response.headers.get(name, "-"))
        return os.environ.get(name, "-")


def _shown(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value
