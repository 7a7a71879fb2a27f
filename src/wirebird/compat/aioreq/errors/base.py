"""`aioreq.errors.base`: the root of the errors."""

from __future__ import annotations

from ....errors import WirebirdError as AioreqError

__all__ = ["AioreqError", "UnexpectedError"]


class UnexpectedError(AioreqError):
    """For a middleware to raise: it is never tried again."""
