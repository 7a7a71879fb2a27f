"""`aioreq.errors`: Aioreq's names for what wirebird raises.  Each is the class that is raised in that case."""

from __future__ import annotations

from . import base, parser, requests, response

__all__ = ["base", "parser", "requests", "response"]
