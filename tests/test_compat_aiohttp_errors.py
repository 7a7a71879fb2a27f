"""What `wirebird.compat.aiohttp` raises, beside what aiohttp raises: the tree of classes, and what each fault comes to."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import socket
import ssl
from typing import Any

import aiohttp
import aiohttp.client_exceptions as their_errors
import pytest
import trustme
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

import wirebird
from origin import Asked, Origin, Wire, run
from wirebird.compat import aiohttp as ours
from wirebird.compat.aiohttp import client_exceptions as our_errors

LIBRARIES = {"aiohttp": aiohttp, "wirebird": ours}

both = pytest.mark.parametrize("lib", list(LIBRARIES.values()), ids=list(LIBRARIES))

NAMES = [name for name in their_errors.__all__ if isinstance(getattr(their_errors, name), type)]


# -- the tree ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, "UnixClientConnectorError"])
def test_a_class_has_the_bases_and_arguments_that_it_has_in_aiohttp(name: str) -> None:
    theirs, mine = getattr(their_errors, name), getattr(our_errors, name)
    assert [base.__name__ for base in mine.__mro__] == [base.__name__ for base in theirs.__mro__]
    assert {base for base in mine.__mro__ if base.__module__ in ("builtins", "ssl")} == {
        base for base in theirs.__mro__ if base.__module__ in ("builtins", "ssl")
    }
    expected = [(one.name, one.kind, one.default) for one in inspect.signature(theirs.__init__).parameters.values()]
    assert [(one.name, one.kind, one.default) for one in inspect.signature(mine.__init__).parameters.values()] == expected
    public = {attribute for attribute in dir(theirs) if attribute[0] != "_"}
    assert {attribute for attribute in dir(mine) if attribute[0] != "_"} == public


def test_every_name_is_there() -> None:
    assert set(their_errors.__all__) <= set(our_errors.__all__)
    for name in NAMES:
        if hasattr(aiohttp, name):
            assert getattr(ours, name) is getattr(our_errors, name)


def _made(lib: Any) -> dict[str, BaseException]:
    request_class = lib.RequestInfo
    info = request_class(URL("http://a/b"), "GET", CIMultiDictProxy(CIMultiDict()), URL("http://a/b#c"))
    key_class = lib.client_reqrep.ConnectionKey
    key = key_class("a", 80, False, True, None, None, None)
    secure = key_class("a", 443, True, True, None, None, None)
    lookup = socket.gaierror(socket.EAI_NONAME, "unknown")
    return {
        "plain": lib.ClientResponseError(info, ()),
        "response": lib.ClientResponseError(info, (), status=404, message="Not Found", headers={"a": "b"}),
        "type": lib.ContentTypeError(info, (), status=200, message="no json"),
        "os": lib.ClientOSError(111, "refused"),
        "connector": lib.ClientConnectorError(key, OSError(111, "refused")),
        "dns": lib.ClientConnectorDNSError(key, lookup),
        "unix": lib.client_exceptions.UnixClientConnectorError("/a/b", key, OSError(2, "none")),
        "certificate": lib.ClientConnectorCertificateError(secure, ssl.CertificateError("bad")),
        "odd certificate": lib.ClientConnectorCertificateError(secure, ValueError("bad")),
        "disconnected": lib.ServerDisconnectedError(),
        "disconnected with": lib.ServerDisconnectedError("so there"),
        "timeout": lib.ServerTimeoutError("late"),
        "fingerprint": lib.ServerFingerprintMismatch(b"a", b"b", "host", 443),
        "url": lib.InvalidURL("http://["),
        "url with": lib.InvalidUrlClientError(URL("http://a"), "because"),
    }


@pytest.mark.parametrize("name", _made(aiohttp))
def test_an_error_looks_the_same(name: str) -> None:
    theirs, mine = _made(aiohttp)[name], _made(ours)[name]
    assert str(mine) == str(theirs)
    assert repr(mine) == repr(theirs)
    for attribute in ("status", "message", "errno", "strerror", "host", "port", "path", "url", "description", "expected", "got"):
        assert getattr(mine, attribute, "none") == getattr(theirs, attribute, "none")
    assert len(mine.args) == len(theirs.args)
    if name in ("os", "connector", "dns", "disconnected", "disconnected with", "timeout", "fingerprint", "url", "url with"):
        assert type(pickle.loads(pickle.dumps(mine))) is type(mine)


def test_code_is_an_old_name_of_status() -> None:
    info = ours.RequestInfo(URL("http://a"), "GET", CIMultiDictProxy(CIMultiDict()))
    assert info.real_url == URL("http://a")
    with pytest.warns(DeprecationWarning):
        error = ours.ClientResponseError(info, (), code=404)
    assert error.status == 404
    with pytest.warns(DeprecationWarning):
        assert error.code == 404
    with pytest.warns(DeprecationWarning):
        error.code = 405
    assert error.status == 405
    with pytest.raises(ValueError):
        ours.ClientResponseError(info, (), code=404, status=404)


# -- what a fault comes to -----------------------------------------------------------------------------------------------------


def closing(data: bytes) -> Any:
    async def handler(asked: Asked, wire: Wire) -> None:
        await wire.send(data)
        wire.close()

    return handler


FAULTS: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "request", "ServerDisconnectedError"),
    "no http": (b"SSH-2.0-x\r\n\r\n", "request", "ClientResponseError"),
    "half a head": (b"HTTP/1.1 200 OK\r\nA: b\r\n", "request", "ServerDisconnectedError"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "request", "ClientResponseError"),
    "a long line": (b"HTTP/1.1 200 " + b"x" * 9000 + b"\r\n\r\n", "request", "ClientResponseError"),
    "many fields": (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", "request", "ClientResponseError"),
    "short body": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", "body", "ClientPayloadError"),
    "short chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", "body", "ClientPayloadError"),
    "bad coding": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", "body", "ClientPayloadError"),
}


@both
@pytest.mark.parametrize("how", ["read", "content"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_peer(lib: Any, name: str, how: str) -> None:
    data, where, expected = FAULTS[name]

    async def main() -> None:
        async with Origin() as origin, lib.ClientSession() as session:
            origin.on("/fault", closing(data))
            if where == "request":
                with pytest.raises(lib.ClientError) as info:
                    await session.post(origin.url("/fault"))
                assert type(info.value) is getattr(lib, expected)
                if expected == "ClientResponseError":
                    assert info.value.status == 400
                    assert info.value.request_info.method == "POST"
                else:
                    assert not isinstance(info.value, OSError)
            else:
                response = await session.get(origin.url("/fault"))
                with pytest.raises(lib.ClientError) as info:
                    await (response.read() if how == "read" else response.content.read())
                assert type(info.value) is getattr(lib, expected)
                with pytest.raises(lib.ClientError):
                    await response.content.read()
                assert response.content.exception() is not None
                response.close()
            async with session.get(origin.url("/bytes/1")) as response:
                assert await response.read() == b"0"

    run(main)


@both
def test_a_reset_connection(lib: Any) -> None:
    async def main() -> None:
        async with Origin() as origin, lib.ClientSession() as session:

            async def reset(asked: Asked, wire: Wire) -> None:
                sock = wire.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                wire.abort()

            origin.on("/reset", reset)
            with pytest.raises(lib.ClientOSError) as info:
                await session.post(origin.url("/reset"))
            assert isinstance(info.value, OSError)
            assert info.value.errno == 104

    run(main)


@both
def test_no_connection(lib: Any) -> None:
    class Nowhere:
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> Any:
            raise OSError(None, "unknown name")

        async def close(self) -> None:
            pass

    async def main() -> None:
        async with lib.ClientSession() as session:
            with pytest.raises(lib.ClientConnectorError) as info:
                await session.get("http://127.0.0.1:1/")
            error = info.value
            assert type(error) is lib.ClientConnectorError
            assert (error.host, error.port, error.ssl, error.errno) == ("127.0.0.1", 1, True, 111)
            assert isinstance(error.os_error, ConnectionRefusedError)
            assert str(error).startswith("Cannot connect to host 127.0.0.1:1 ssl:default [Connect call failed")
        async with lib.ClientSession(connector=lib.TCPConnector(resolver=Nowhere())) as session:
            with pytest.raises(lib.ClientConnectorDNSError) as info:
                await session.get("https://nowhere.example/")
            assert (info.value.host, info.value.port) == ("nowhere.example", 443)
        async with lib.ClientSession(connector=lib.UnixConnector("/no/such/socket")) as session:
            with pytest.raises(lib.client_exceptions.UnixClientConnectorError) as info:
                await session.get("http://localhost/")
            assert (info.value.path, info.value.errno) == ("/no/such/socket", 2)
            assert str(info.value).startswith("Cannot connect to unix socket /no/such/socket ssl:default [")

    run(main)


@both
def test_certificates(lib: Any) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def main() -> None:
        async with Origin(tls=server) as origin:
            url = origin.url("/anything", "localhost")
            async with lib.ClientSession() as session:
                with pytest.raises(lib.ClientConnectorCertificateError) as info:
                    await session.get(url)
                assert isinstance(info.value, ssl.CertificateError)
                assert isinstance(info.value, lib.ClientSSLError)
                assert isinstance(info.value.certificate_error, ssl.SSLCertVerificationError)
                assert (info.value.host, info.value.port, info.value.ssl) == ("localhost", origin.port, True)
                for accepted in (False, trusting):
                    async with session.get(url, ssl=accepted) as response:
                        assert response.status == 200
                with pytest.raises(lib.ClientConnectorCertificateError):
                    await session.get(origin.url("/anything"), ssl=trusting)
                async with session.get(origin.url("/anything"), ssl=trusting, server_hostname="localhost") as response:
                    assert response.status == 200
                with pytest.raises(lib.ClientConnectorCertificateError):
                    await session.get(origin.url("/anything"), ssl=trusting)  # on a connection of its own
            async with lib.ClientSession(connector=lib.TCPConnector(ssl=trusting)) as session:
                async with session.get(url) as response:
                    assert response.status == 200
        async with Origin() as origin, lib.ClientSession() as session:
            with pytest.raises(lib.ClientConnectorSSLError) as info:
                await session.get(origin.url("/").replace("http:", "https:"))
            assert isinstance(info.value, ssl.SSLError)

    run(main)


@both
def test_fingerprints(lib: Any) -> None:
    import hashlib

    authority = trustme.CA()
    certificate = authority.issue_cert("somewhere.example")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(server)
    der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
    digest = hashlib.sha256(der).digest()

    async def main() -> None:
        async with Origin(tls=server) as origin:
            async with lib.ClientSession() as session:
                async with session.get(origin.url("/anything"), ssl=lib.Fingerprint(digest)) as response:
                    assert response.status == 200
                with pytest.raises(lib.ServerFingerprintMismatch) as info:
                    await session.get(origin.url("/anything"), ssl=lib.Fingerprint(bytes(32)))
                assert (info.value.expected, info.value.got) == (bytes(32), digest)
                assert (info.value.host, info.value.port) == ("127.0.0.1", origin.port)
            async with lib.ClientSession(connector=lib.TCPConnector(ssl=lib.Fingerprint(digest))) as session:
                async with session.get(origin.url("/anything")) as response:
                    assert response.status == 200
        for size in (16, 20, 31):
            with pytest.raises(ValueError):
                lib.Fingerprint(bytes(size))
        assert lib.Fingerprint(digest).fingerprint == digest

    run(main)


@both
def test_old_names_of_ssl(lib: Any) -> None:
    async def main() -> None:
        context = ssl.create_default_context()
        for arguments in ({"verify_ssl": False}, {"ssl_context": context}, {"fingerprint": bytes(32)}):
            with pytest.warns(DeprecationWarning):
                connector = lib.TCPConnector(**arguments)
            await connector.close()
            with pytest.raises(ValueError), pytest.warns(DeprecationWarning):
                lib.TCPConnector(ssl=False, **arguments)
            async with Origin() as origin, lib.ClientSession() as session:
                with pytest.warns(DeprecationWarning):
                    async with session.get(origin.url("/anything"), **arguments) as response:
                        assert response.status == 200
        with pytest.raises(TypeError):
            lib.TCPConnector(ssl="yes")

    run(main)


@both
def test_a_body_that_fails(lib: Any) -> None:
    async def broken() -> Any:
        yield b"some"
        raise LookupError("no more")

    async def missing() -> Any:
        yield b"some"
        raise OSError(5, "disk")

    async def main() -> None:
        async with Origin() as origin, lib.ClientSession() as session:
            with pytest.raises(lib.ClientConnectionError) as info:
                await session.post(origin.url("/anything"), data=broken())
            assert isinstance(info.value.__cause__, LookupError)
            with pytest.raises(lib.ClientOSError) as info:
                await session.post(origin.url("/anything"), data=missing())
            assert info.value.errno == 5
            async with session.get(origin.url("/anything")) as response:
                assert response.status == 200

    run(main)


@both
def test_errors_of_a_proxy(lib: Any) -> None:
    async def main() -> None:
        heads = []

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 407 Who Are You\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, lib.ClientSession() as session:
            with pytest.raises(lib.ClientProxyConnectionError) as info:
                await session.get("http://example.org/", proxy="http://127.0.0.1:1")
            assert info.value.errno == 111
            assert (info.value.host, info.value.port, info.value.args[0].proxy) == ("127.0.0.1", 1, None)
            assert "Cannot connect to host 127.0.0.1:1 ssl:default" in str(info.value)
            with pytest.raises(lib.ClientProxyConnectionError):
                await session.get("http://example.org/", proxy="socks5h://127.0.0.1:1")
            with pytest.raises(lib.ClientConnectorDNSError) as info:
                await session.get("https://example.org/", proxy="http://user:word@nowhere.invalid:8080")
            assert (info.value.host, info.value.port) == ("nowhere.invalid", 8080)
            assert "word" not in repr(info.value)
            fields = {"Proxy-Authorization": "Basic YTpi", "X-Proxy": "1"}
            with pytest.raises(lib.ClientHttpProxyError) as info:
                await session.get("https://example.org/", proxy=proxy, proxy_headers=fields, headers={"X-Origin": "1"})
            assert info.value.status == 407
            # A proxy that was given credentials may repeat them in its reason.
            assert info.value.message == ("Who Are You" if lib is not ours else "Proxy Authentication Required")
            assert info.value.headers["proxy-authenticate"] == "Basic"
            assert heads[0].startswith(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org")
            assert b"Proxy-Authorization: Basic YTpi\r\n" in heads[0]
            assert b"X-Proxy: 1\r\n" in heads[0]
            assert b"X-Origin" not in heads[0]
            async with session.get("http://example.org/a?b", proxy=proxy, proxy_headers=fields) as response:
                assert response.status == 407
            assert heads[1].startswith(b"GET http://example.org/a?b HTTP/1.1\r\n")

    run(main)


def test_nothing_is_lost_in_translation() -> None:
    async def main() -> None:
        async with ours.ClientSession() as session:
            with pytest.raises(ours.ClientConnectorError) as info:
                await session.get("http://127.0.0.1:1/")
            assert isinstance(info.value.__cause__, wirebird.ConnectError)
        async with Origin() as origin, ours.ClientSession() as session:
            origin.on("/fault", closing(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"))
            response = await session.get(origin.url("/fault"))
            with pytest.raises(ours.ClientPayloadError) as info:
                await response.read()
            assert isinstance(info.value.__cause__, wirebird.IncompleteBody)

    run(main)


@both
def test_a_cancelled_request_frees_its_connection(lib: Any) -> None:
    async def main() -> None:
        async with Origin() as origin, lib.ClientSession(connector=lib.TCPConnector(limit=1)) as session:
            task = asyncio.create_task(session.get(origin.url("/silent")))
            await origin.until(lambda: len(origin.asked) == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with session.get(origin.url("/anything")) as response:
                assert response.status == 200

    run(main)
