"""TLS contexts: built once per configuration, on first use (building one costs some 15 ms), and told apart by serial numbers.

A context that verifies and one that does not are never the same object, and nothing in the environment turns verification off:
an empty SSL_CERT_FILE or SSL_CERT_DIR means the system's own store, not an empty one.  SSLKEYLOGFILE is honoured, for debugging.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import ssl
import threading
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

from ..errors import CertificateMismatch, UsageError

__all__ = ["check_pin", "context_serial", "pinned_context", "server_name", "tls_context"]

# OpenSSL and the standard library read these while a context is built, so they are part of its configuration.
_ENVIRONMENT = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


class _Configuration(NamedTuple):
    verify: bool
    cafile: str | None
    capath: str | None
    certfile: str | None
    keyfile: str | None
    password: str | None
    alpn: tuple[str, ...]
    check_hostname: bool
    keylog: str | None
    environment: tuple[str | None, ...]


# Labels of one to 63 octets (RFC 1035 2.3.4) without controls; an IPv6 address looks like one of them.
_LABEL = r"[!-\-/-~]{1,63}"
_is_name = re.compile(rf"{_LABEL}(?:\.{_LABEL})*").fullmatch

_contexts: dict[_Configuration, ssl.SSLContext] = {}
_serials: WeakKeyDictionary[ssl.SSLContext, int] = WeakKeyDictionary()
_pinned: dict[bytes, ssl.SSLContext] = {}
_pins: WeakKeyDictionary[ssl.SSLContext, bytes] = WeakKeyDictionary()
_next_serial = itertools.count(1)
_lock = threading.Lock()


def tls_context(
    verify: bool = True,
    *,
    cafile: str | os.PathLike[str] | None = None,
    capath: str | os.PathLike[str] | None = None,
    certfile: str | os.PathLike[str] | None = None,
    keyfile: str | os.PathLike[str] | None = None,
    password: str | None = None,
    alpn: tuple[str, ...] = ("http/1.1",),
    check_hostname: bool = True,
    keylog: str | os.PathLike[str] | None = None,
) -> ssl.SSLContext:
    """The client context for one configuration: the same object for the same arguments, so its files are read once a process.

    `verify`: False accepts any certificate for any name.  `cafile`, `capath`: the certification authorities to trust, in place
    of the system's.  `certfile`, `keyfile`, `password`: the client's own certificate.  `alpn`: protocols to offer (RFC 7301).
    `check_hostname`: False accepts a certificate for any name, if somebody trusted signed it.  `keylog`: a file that the secrets
    of every connection are appended to, in the format of SSLKEYLOGFILE, for debugging.
    Raises `UsageError` for a file that cannot be read or does not hold what it should.
    """
    if not verify and (cafile is not None or capath is not None):
        raise UsageError("verify=False and a CA file or path contradict each other", argument="cafile" if cafile else "capath")
    if certfile is None and keyfile is not None:
        raise UsageError("keyfile needs a certfile", argument="keyfile")
    configuration = _Configuration(
        bool(verify),
        _path(cafile),
        _path(capath),
        _path(certfile),
        _path(keyfile),
        password,
        tuple(alpn),
        bool(check_hostname),
        _path(keylog),
        tuple(map(os.environ.get, _ENVIRONMENT)),
    )
    context = _contexts.get(configuration)
    if context is None:
        context = _contexts.setdefault(configuration, _build(configuration))
    return context


def pinned_context(digest: bytes) -> ssl.SSLContext:
    """A client context that accepts the one certificate whose SHA-256 digest is `digest`, whoever signed it for whatever name.

    The same object for the same digest.  `check_pin` does the accepting, which no setting of a context can.  Raises `UsageError`
    for what is not 32 bytes.
    """
    if not isinstance(digest, bytes) or len(digest) != 32:
        raise UsageError("digest must be the 32 bytes of a SHA-256 digest", argument="digest")
    with _lock:
        context = _pinned.get(digest)
        if context is None:
            if len(_pinned) >= 1024:
                _pinned.clear()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.set_alpn_protocols(["http/1.1"])
            _pinned[digest] = context
            _pins[context] = digest
    return context


def check_pin(context: ssl.SSLContext, tls: ssl.SSLObject | None, peer: str) -> None:
    """Raise `CertificateMismatch` if `context` is a pinned one, and the certificate of the connection `tls` is another."""
    expected = _pins.get(context) if _pins else None
    if expected is None:
        return
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    got = hashlib.sha256(certificate or b"").digest()
    if got != expected:
        message = f"the certificate of {peer} is not the pinned one: {got.hex()}"
        raise CertificateMismatch(message, expected=expected, got=got, peer=peer, phase="handshaking")


def context_serial(context: ssl.SSLContext) -> int:
    """A small number for `context`, always the same, and never another context's: unlike `id()` it is not used again."""
    serial = _serials.get(context)
    if serial is None:
        with _lock:
            serial = _serials.setdefault(context, next(_next_serial))
    return serial


def server_name(host: str) -> str:
    """`host` as the name to verify and to send as SNI: no trailing dot (RFC 6066 3), no IPv6 zone (RFC 4007 11.2).

    For an IP address OpenSSL sends no SNI and checks the certificate's iPAddress names.
    Raises `UsageError` for what is no name: asyncio reads an empty one as None, and would then check none at all.
    """
    name = host.partition("%")[0].removesuffix(".") if isinstance(host, str) else ""
    if len(name) > 253 or not _is_name(name):
        raise UsageError(
            f"server_hostname must be a host name in its IDNA form or an IP address, not {host!r}", argument="server_hostname"
        )
    return name


def _path(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)


def _build(configuration: _Configuration) -> ssl.SSLContext:
    cafile, capath = configuration.cafile, configuration.capath
    if capath is not None and not Path(capath).is_dir():
        raise UsageError(f"capath {capath!r} is no directory", argument="capath")
    try:
        context = ssl.create_default_context(cafile=cafile, capath=capath)
    except (OSError, ValueError) as exc:
        argument = "cafile" if cafile is not None else "SSLKEYLOGFILE"
        raise UsageError(f"{argument} cannot be used: {exc}", argument=argument) from exc
    if cafile is None and capath is None and configuration.verify:
        _fill_store(context)
    if not (configuration.verify and configuration.check_hostname):
        context.check_hostname = False  # before verify_mode: the other order is refused
    if not configuration.verify:
        context.verify_mode = ssl.CERT_NONE
    if configuration.keylog is not None:
        try:
            context.keylog_filename = configuration.keylog
        except OSError as exc:
            raise UsageError(f"keylog cannot be written: {exc}", argument="keylog") from exc
    if configuration.certfile is not None:
        password = configuration.password
        try:
            # A function, because without one OpenSSL asks for a missing password on the terminal.
            context.load_cert_chain(configuration.certfile, configuration.keyfile, lambda: password or "")
        except (OSError, ValueError) as exc:
            raise UsageError(f"certfile or keyfile cannot be loaded: {exc}", argument="certfile") from exc
    if configuration.alpn:
        context.set_alpn_protocols(configuration.alpn)
    return context


def _fill_store(context: ssl.SSLContext) -> None:
    """Find certification authorities where the default store came out empty."""
    if context.cert_store_stats()["x509_ca"]:
        return
    paths = ssl.get_default_verify_paths()
    file, directory = os.environ.get(paths.openssl_cafile_env), os.environ.get(paths.openssl_capath_env)
    if file or directory:
        return  # the user named a store: that one counts, even if it is empty or holds hashed files, which are read on demand
    if Path(paths.openssl_cafile).is_file():
        context.load_verify_locations(cafile=paths.openssl_cafile)
    if Path(paths.openssl_capath).is_dir() and any(Path(paths.openssl_capath).iterdir()):
        context.load_verify_locations(capath=paths.openssl_capath)
    elif not context.cert_store_stats()["x509_ca"]:
        try:
            import certifi
        except ImportError:
            return  # every verification will fail, and say why
        context.load_verify_locations(cafile=certifi.where())
