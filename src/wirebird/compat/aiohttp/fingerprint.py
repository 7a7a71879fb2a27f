"""`aiohttp.Fingerprint`, and what `ssl=` and its older names come to."""

from __future__ import annotations

import ssl as _ssl
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

from ...net.tls import pinned_context, tls_context

__all__ = ["Fingerprint", "SSLLike", "merge_ssl", "read_ssl"]


class Fingerprint:
    """The SHA-256 digest of the certificate that a server must have, whoever signed it.  Raises `ValueError`."""

    def __init__(self, fingerprint: bytes) -> None:
        if len(fingerprint) in (16, 20):
            raise ValueError("fingerprint must be made with SHA-256: MD5 and SHA-1 prove nothing")
        if len(fingerprint) != 32:
            raise ValueError("fingerprint must be the 32 bytes of a SHA-256 digest")
        self._fingerprint = bytes(fingerprint)

    @property
    def fingerprint(self) -> bytes:
        """The digest."""
        return self._fingerprint


SSLLike: TypeAlias = "_ssl.SSLContext | bool | Fingerprint"


def merge_ssl(ssl: Any, verify_ssl: bool | None, ssl_context: Any, fingerprint: bytes | None, level: int = 3) -> SSLLike:
    """One value out of `ssl` and the three deprecated parameters.  Raises `ValueError` for two of them, `TypeError`."""
    merged = True if ssl is None else ssl
    older: list[tuple[str, str, Callable[[], Any]]] = []
    if verify_ssl is not None and not verify_ssl:
        older.append(("verify_ssl", "ssl=False", lambda: False))
    if ssl_context is not None:
        older.append(("ssl_context", "ssl=context", lambda: ssl_context))
    if fingerprint is not None:
        older.append(("fingerprint", "ssl=Fingerprint(fingerprint)", lambda: Fingerprint(fingerprint)))
    for name, newer, value in older:
        warnings.warn(f"{name} is deprecated, use {newer} instead", DeprecationWarning, stacklevel=level)
        if merged is not True:
            raise ValueError("verify_ssl, ssl_context, fingerprint and ssl exclude each other")
        merged = value()
    if not isinstance(merged, _ssl.SSLContext | bool | Fingerprint):
        raise TypeError(f"ssl must be an SSLContext, a bool, a Fingerprint or None, not {merged!r}")
    return merged


def read_ssl(own: SSLLike, connector: SSLLike) -> tuple[_ssl.SSLContext | None, bool]:
    """The context and whether to verify, as wirebird's options: by the request's own `ssl`, or else the connector's."""
    chosen = own if own is not True else connector
    if isinstance(chosen, _ssl.SSLContext):
        return chosen, True
    if isinstance(chosen, Fingerprint):
        return pinned_context(chosen.fingerprint), True
    return None if chosen else tls_context(False), chosen
