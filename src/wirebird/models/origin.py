"""Origins, as browsers name the site of a page that asks for something (RFC 6454 6.2, WHATWG HTML 7.1.1)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["normal_authority", "normal_origin"]

# As browsers write it: names in their ASCII form, so nothing that looks like a pattern.
_origin = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*+)://([A-Za-z0-9\-._]++|\[[0-9A-Fa-f:.]++\])(?::([0-9]{1,5}))?").fullmatch
_authority = re.compile(r"(.*?)(?::([0-9]*))?", re.DOTALL).fullmatch
_DEFAULT_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443"}


def normal_origin(text: str) -> str | None:
    """The origin in lower case and without the port that its scheme has anyway; None if it is none.  `null` is one."""
    if text == "null":
        return text
    match = _origin(text)
    if match is None:
        return None
    scheme = match[1].lower()
    return f"{scheme}://{_place(match[2], match[3], scheme)}"


def normal_authority(host: str, scheme: str) -> str:
    """`host[:port]` in the same form, for a page of this scheme."""
    match = _authority(host)
    return _place(match[1], match[2], scheme) if match is not None else ""


def _place(host: str, port: str | None, scheme: str) -> str:
    return host.lower() if not port or port == _DEFAULT_PORTS.get(scheme) else f"{host.lower()}:{port}"
