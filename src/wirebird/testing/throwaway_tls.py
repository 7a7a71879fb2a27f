"""Certificates for one test: an authority that is made on the spot, and forgotten with it."""

from __future__ import annotations

import ssl

from ..errors import UsageError

__all__ = ["ThrowawayTLS"]


class ThrowawayTLS:
    """A certificate for `names`, and the authority behind it, made by the package `trustme`.

    `server` is the `ssl.SSLContext` of a server that is these names, `client` that of a client that trusts it and nobody else.
    The names are "localhost", "127.0.0.1" and "::1" unless others are given.  Raises `UsageError` if `trustme` is not installed.
    """

    def __init__(self, *names: str) -> None:
        try:
            import trustme
        except ImportError as error:
            raise UsageError("a ThrowawayTLS needs the extra wirebird[testing], which is the package trustme") from error
        self.names = names or ("localhost", "127.0.0.1", "::1")
        authority = trustme.CA()
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.server.set_alpn_protocols(["http/1.1"])
        authority.issue_cert(*self.names).configure_cert(self.server)
        self.client = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
        self.client.set_alpn_protocols(["http/1.1"])

    def __repr__(self) -> str:
        return f"<ThrowawayTLS {', '.join(self.names)}>"
