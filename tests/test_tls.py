"""TLS contexts: one per configuration, verified unless told otherwise, and told apart by serial numbers."""

from __future__ import annotations

import gc
import ssl
import subprocess
import sys

import pytest
import trustme

from wirebird.errors import UsageError
from wirebird.net.tls import context_serial, server_name, tls_context

AUTHORITY = trustme.CA()


def handshake(client: ssl.SSLContext, host: str, *identities: str) -> ssl.SSLObject:
    """A whole handshake in memory against a server whose certificate names `identities`."""
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert(*identities).configure_cert(server_context)
    server_context.set_alpn_protocols(["h2", "http/1.1"])
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=server_name(host))
    far = server_context.wrap_bio(to_server, to_client, server_side=True)
    waiting = {near, far}
    for _ in range(10):
        for side in (near, far):
            try:
                side.do_handshake()
                waiting.discard(side)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    return near


@pytest.fixture
def cafile(tmp_path):
    path = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return path


def test_same_configuration_gives_the_same_context(cafile):
    assert tls_context() is tls_context()
    assert tls_context() is tls_context(True)
    assert tls_context(cafile=cafile) is tls_context(cafile=str(cafile))
    assert tls_context(cafile=cafile) is not tls_context()
    assert tls_context(alpn=("h2", "http/1.1")) is not tls_context()


def test_default_context_verifies():
    context = tls_context()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(context, "example.org", "example.org")  # signed, but by nobody known


def test_unverified_context_is_another_one_and_leaves_the_first_alone(cafile):
    unverified = tls_context(False)
    assert unverified is tls_context(verify=False)
    assert unverified is not tls_context()
    assert (unverified.check_hostname, unverified.verify_mode) == (False, ssl.CERT_NONE)
    assert tls_context().verify_mode is ssl.CERT_REQUIRED
    handshake(unverified, "example.org", "example.net")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tls_context(cafile=cafile), "example.org", "example.net")


def test_alpn_offers_http_1_1_only(cafile):
    assert handshake(tls_context(cafile=cafile), "example.org", "example.org").selected_alpn_protocol() == "http/1.1"
    both = tls_context(cafile=cafile, alpn=("h2", "http/1.1"))
    assert handshake(both, "example.org", "example.org").selected_alpn_protocol() == "h2"


@pytest.mark.parametrize("host", ["example.org", "example.org.", "127.0.0.1", "::1", "fe80::1%7"])
def test_names_and_addresses_are_verified(cafile, host):
    context = tls_context(cafile=cafile)
    handshake(context, host, server_name(host))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(context, host, "other.example", "127.0.0.9")


def test_an_address_is_no_dns_name(cafile):
    """A certificate for the DNS name `*.0.0.1` or for a host does not cover the address 127.0.0.1."""
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tls_context(cafile=cafile), "127.0.0.1", "localhost", "*.0.0.1")


def test_server_name():
    assert server_name("example.org") == "example.org"
    assert server_name("example.org.") == "example.org"
    assert server_name("fe80::1%eth0") == "fe80::1"
    assert server_name("192.0.2.1") == "192.0.2.1"
    assert server_name("_srv.xn--bcher-kva.example") == "_srv.xn--bcher-kva.example"
    for host in (
        "",
        ".",
        "..",
        "a..",
        ".a",
        "a..b",
        "%1",
        "a b",
        "a\n",
        "a\0b",
        "b\xfccher.example",
        "a" * 64,
        "a." * 127 + "a",
        None,
        b"a",
    ):
        with pytest.raises(UsageError) as caught:
            server_name(host)
        assert caught.value.argument == "server_hostname"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_an_empty_variable_means_the_default(monkeypatch, variable):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    known = tls_context().cert_store_stats()["x509_ca"]
    monkeypatch.setenv(variable, "")
    context = tls_context()
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert context.cert_store_stats()["x509_ca"] == known
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(context, "example.org", "example.org")


def test_ssl_cert_file_names_the_store(monkeypatch, cafile):
    monkeypatch.setenv("SSL_CERT_FILE", str(cafile))
    assert tls_context().cert_store_stats()["x509_ca"] == 1
    handshake(tls_context(), "example.org", "example.org")


def test_certifi_stands_in_for_an_empty_system_store(monkeypatch, tmp_path):
    certifi = pytest.importorskip("certifi")
    monkeypatch.setenv("SSL_CERT_FILE", "")  # makes the store that OpenSSL loads an empty one
    monkeypatch.setenv("SSL_CERT_DIR", "")
    nothing = str(tmp_path / "none")
    paths = ssl.get_default_verify_paths()._replace(openssl_cafile=nothing, openssl_capath=nothing)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    context = tls_context(alpn=("certifi-test",))
    expected = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    expected.load_verify_locations(certifi.where())
    assert context.cert_store_stats()["x509_ca"] == expected.cert_store_stats()["x509_ca"] > 0
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_an_empty_store_that_was_named_stays_empty(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", "")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert tls_context().cert_store_stats()["x509_ca"] == 0


def test_a_certificate_for_another_name_only_where_that_is_asked_for(cafile):
    trusting = tls_context(cafile=cafile, check_hostname=False)
    assert trusting is not tls_context(cafile=cafile)
    assert (trusting.check_hostname, trusting.verify_mode) == (False, ssl.CERT_REQUIRED)
    handshake(trusting, "example.org", "example.net")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tls_context(check_hostname=False), "example.org", "example.org")  # signed by nobody known
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tls_context(cafile=cafile), "example.org", "example.net")


def test_a_keylog_is_written(cafile, tmp_path):
    log = tmp_path / "own keys"
    context = tls_context(cafile=cafile, keylog=log)
    assert context is tls_context(cafile=cafile, keylog=str(log)) is not tls_context(cafile=cafile)
    handshake(context, "example.org", "example.org")
    assert "CLIENT_TRAFFIC_SECRET_0" in log.read_text()
    assert tls_context(cafile=cafile).keylog_filename is None
    with pytest.raises(UsageError, match="keylog"):
        tls_context(cafile=cafile, keylog=tmp_path / "nowhere" / "keys")


def test_sslkeylogfile_is_honoured(monkeypatch, cafile, tmp_path):
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    handshake(tls_context(cafile=cafile), "example.org", "example.org")
    assert "CLIENT_HANDSHAKE_TRAFFIC_SECRET" in log.read_text()
    monkeypatch.delenv("SSLKEYLOGFILE")
    assert tls_context(cafile=cafile).keylog_filename is None


def test_client_certificate_is_loaded(tmp_path, cafile):
    chain = tmp_path / "client.pem"
    AUTHORITY.issue_cert("client@example.org").private_key_and_cert_chain_pem.write_to_path(chain)
    assert tls_context(cafile=cafile, certfile=chain) is tls_context(cafile=cafile, certfile=chain)
    assert tls_context(cafile=cafile, certfile=chain) is not tls_context(cafile=cafile)


@pytest.mark.parametrize("argument", ["cafile", "capath", "certfile"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_cannot_be_used_is_the_callers_error(tmp_path, argument, content):
    path = tmp_path / "file.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError) as caught:
        tls_context(**{argument: path})
    assert caught.value.argument == argument


def test_a_missing_password_is_not_asked_on_the_terminal(tmp_path):
    cryptography = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    leaf = AUTHORITY.issue_cert("client@example.org")
    key = cryptography.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    keyfile, certfile = tmp_path / "key.pem", tmp_path / "cert.pem"
    keyfile.write_bytes(
        key.private_bytes(
            cryptography.Encoding.PEM,
            cryptography.PrivateFormat.PKCS8,
            cryptography.BestAvailableEncryption(b"secret"),
        )
    )
    leaf.cert_chain_pems[0].write_to_path(certfile)
    with pytest.raises(UsageError):
        tls_context(certfile=certfile, keyfile=keyfile)
    assert isinstance(tls_context(certfile=certfile, keyfile=keyfile, password="secret"), ssl.SSLContext)


def test_contradictions_are_refused(cafile):
    with pytest.raises(UsageError) as caught:
        tls_context(False, cafile=cafile)
    assert caught.value.argument == "cafile"
    with pytest.raises(UsageError) as caught:
        tls_context(keyfile=cafile)
    assert caught.value.argument == "keyfile"


def test_serials_are_stable_and_never_used_again():
    contexts = [ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) for _ in range(3)]
    serials = [context_serial(context) for context in contexts]
    assert len(set(serials)) == 3
    assert [context_serial(context) for context in contexts] == serials
    seen = set(serials)
    for _ in range(10):
        contexts.clear()
        gc.collect()
        contexts.append(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))  # likely at the address of one that is gone
        serial = context_serial(contexts[0])
        assert serial not in seen
        seen.add(serial)


def test_nothing_is_built_on_import():
    code = (
        "import ssl\n"
        "def refuse(*a, **k): raise SystemExit('a context was built on import')\n"
        "ssl.create_default_context = refuse\n"
        "import wirebird.net.tls, wirebird.net.dial, wirebird.net.resolver, sys\n"
        "for name in ('aiohappyeyeballs', 'aiodns', 'certifi'):\n"
        "    if name in sys.modules: raise SystemExit(name + ' was imported')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
