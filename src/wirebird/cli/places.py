"""Certificates, and what is said where a server cannot listen."""

from __future__ import annotations

import errno
import socket as _socket
import ssl as _ssl
from pathlib import Path

from ..server.runner import Place

__all__ = ["describe_failure", "make_context"]


def make_context(cert: Path | None, key: Path | None) -> _ssl.SSLContext | None:
    """The TLS context for a certificate chain and its key, which may be one file; None for none.  Raises `ValueError`."""
    if cert is None:
        if key is not None:
            raise ValueError("--ssl-key needs --ssl-cert")
        return None
    context = _ssl.create_default_context(_ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key)
    except _ssl.SSLError as error:
        where = f"{cert} and {key} are" if key is not None else f"{cert} is"
        raise ValueError(f"{where} no certificate and key that belong together: {error.reason or error}") from None
    return context


def describe_failure(error: OSError, place: Place) -> str:
    """Why nobody can listen there, in a sentence."""
    where = error.filename or place
    if error.errno == errno.EADDRINUSE:
        advice = "--uds chooses another" if place.path is not None else "--port chooses another"
        return f"{where} is in use by another program; {advice}"
    if error.errno == errno.EACCES:
        return f"{where} is not for this user" + (": ports below 1024 need privileges" if place.path is None else "")
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: this machine has no such address"
    if isinstance(error, _socket.gaierror):
        return f"{where}: that name is not known"
    return f"{where}: {error.strerror or error}"
