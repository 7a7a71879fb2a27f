"""`aioreq.errors.parser`: what is wrong with a URL."""

from __future__ import annotations

from ....errors import InvalidURL as UrlParsingError

__all__ = ["UrlParsingError"]
