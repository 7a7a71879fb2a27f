"""Opening one connection: every way it can succeed, every way it can fail, and nothing left open when it does not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import struct
from pathlib import Path

import pytest
import trustme

from wirebird.errors import ConnectError, ConnectTimeout, DNSError, TLSError, UsageError
from wirebird.net.dial import Target, dial, peer_name, read_connect_to, start_tls
from wirebird.net.resolver import NameCache
from wirebird.net.tls import tls_context

LOOPS = ["asyncio", "uvloop"]
AUTHORITY = trustme.CA()

pytestmark = pytest.mark.parametrize("kind", LOOPS)


def run(kind, main):
    """Run the coroutine `main()` on the named kind of loop; nothing may be reported to its exception handler."""
    factory = pytest.importorskip("uvloop").new_event_loop if kind == "uvloop" else asyncio.new_event_loop
    reports = []

    def report(loop, context):
        if "incoming connection" not in context["message"]:  # the server's side of a handshake that was to fail
            reports.append(context)

    async def watched():
        asyncio.get_running_loop().set_exception_handler(report)
        async with asyncio.timeout(20):
            return await main()

    with asyncio.Runner(loop_factory=factory) as runner:
        result = runner.run(watched())
    gc.collect()
    assert reports == []
    return result


class Table:
    """A resolver with a fixed list of names."""

    def __init__(self, **names):
        self.names = names

    async def resolve(self, host, port=0, family=0):
        if host not in self.names:
            raise OSError(f"{host} is not in the table")
        return [{"host": address} for address in self.names[host]]

    async def close(self):
        pass


class Recorder(asyncio.Protocol):
    """Writes down what happens to it."""

    def __init__(self):
        self.events = []
        self.changed = asyncio.Event()

    def note(self, *event):
        self.events.append(event)
        self.changed.set()

    def connection_made(self, transport):
        self.transport = transport
        self.note("made")

    def data_received(self, data):
        self.note("data", data)

    def eof_received(self):
        self.note("eof")

    def connection_lost(self, exc):
        self.note("lost", exc)

    async def until(self, kind):
        while kind not in [event[0] for event in self.events]:
            self.changed.clear()
            await self.changed.wait()
        return next(event for event in self.events if event[0] == kind)


class BufferedRecorder(Recorder, asyncio.BufferedProtocol):
    """The same with a buffer of its own, and a small one."""

    def get_buffer(self, sizehint):
        self.buffer = bytearray(7)
        return self.buffer

    def buffer_updated(self, nbytes):
        self.note("data", bytes(self.buffer[:nbytes]))


class Echo(asyncio.Protocol):
    """A server that answers with what it gets."""

    def __init__(self, serving):
        self.serving = serving

    def connection_made(self, transport):
        self.transport = transport
        self.serving.transports.append(transport)
        self.serving.peers.append(transport.get_extra_info("peername"))

    def data_received(self, data):
        self.transport.write(data)


class Serving:
    """An echo server, its address, and whom it saw."""

    def __init__(self):
        self.transports = []
        self.peers = []
        self.names = []


@contextlib.asynccontextmanager
async def serving(host="127.0.0.1", *, path=None, tls=None, protocol=Echo):
    self = Serving()
    loop = asyncio.get_running_loop()
    if tls is not None:
        tls.sni_callback = lambda sslobj, name, context: self.names.append(name)
    if path is not None:
        server = await loop.create_unix_server(lambda: protocol(self), path, ssl=tls)
    else:
        server = await loop.create_server(lambda: protocol(self), host, 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
    try:
        yield self
    finally:
        server.close()
        for transport in self.transports:
            transport.abort()
        await server.wait_closed()


def server_tls(*identities, authority=AUTHORITY, ask=False):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*identities).configure_cert(context)
    if ask:
        context.verify_mode = ssl.CERT_REQUIRED
        AUTHORITY.configure_trust(context)
    return context


@pytest.fixture
def cafile(tmp_path):
    path = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def trusting(cafile):
    return tls_context(cafile=cafile)


async def echoes(target, **options):
    """Dial, say something, hear it back; gives the transport's interesting sides."""
    names = options.pop("names", None) or NameCache(Table())
    factory = options.pop("factory", Recorder)
    transport, protocol = await dial(asyncio.get_running_loop(), factory, target, names=names, timeout=10, **options)
    try:
        assert protocol.transport is transport
        assert protocol.events == [("made",)]
        transport.write(b"hello")
        assert await protocol.until("data") == ("data", b"hello")
        sock = transport.get_extra_info("socket")
        nodelay = sock.family != socket.AF_UNIX and sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        return transport.get_extra_info("peername"), bool(nodelay), transport.get_extra_info("ssl_object")
    finally:
        transport.abort()
        await protocol.until("lost")


async def fails(target, error, **options):
    """Dial, and give the error of that class that comes; no protocol may have seen a connection."""
    made = []

    def factory():
        made.append(Recorder())
        return made[-1]

    names = options.pop("names", None) or NameCache(Table())
    options.setdefault("timeout", 10)
    with pytest.raises(error) as caught:
        await dial(asyncio.get_running_loop(), factory, target, names=names, **options)
    assert type(caught.value) is error
    assert [event for protocol in made for event in protocol.events] == []
    return caught.value


def open_sockets():
    """How many sockets this process holds (of files, libuv keeps one in reserve from its first stream on)."""
    count = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists the folder
            count += path.readlink().name.startswith("socket:")
    return count


async def settled(before):
    """The number of open files once it is down to `before`, or what it is after plenty of turns."""
    for _ in range(2000):
        if open_sockets() <= before:
            break
        await asyncio.sleep(0)
    return open_sockets()


def free_port(host="127.0.0.1"):
    with socket.socket() as sock:
        sock.bind((host, 0))
        return sock.getsockname()[1]


@pytest.fixture
def ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError as exc:
        pytest.skip(f"no IPv6 loopback: {exc}")


@contextlib.contextmanager
def mute_port():
    """A port where the kernel accepts and nobody answers."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


# -- TCP -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", [Recorder, BufferedRecorder])
def test_ipv4(kind, factory):
    async def main():
        async with serving() as server:
            peername, nodelay, ssl_object = await echoes(Target("127.0.0.1", server.port), factory=factory)
            assert peername == ("127.0.0.1", server.port)
            assert nodelay
            assert ssl_object is None

    run(kind, main)


def test_ipv6(kind, ipv6):
    async def main():
        async with serving("::1") as server:
            peername, nodelay, _ = await echoes(Target("::1", server.port))
            assert peername[:2] == ("::1", server.port)
            assert nodelay

    run(kind, main)


def test_localhost_through_the_system(kind):
    async def main():
        async with serving() as server:
            await echoes(Target("localhost", server.port), names=NameCache())

    run(kind, main)


@pytest.mark.parametrize("delay", [0.25, None, 0])
def test_an_address_that_refuses_gives_way_to_the_next(kind, ipv6, delay):
    async def main():
        async with serving() as server:
            names = NameCache(Table(both=["::1", "127.0.0.1"]))
            peername, _, _ = await echoes(Target("both", server.port), names=names, happy_eyeballs_delay=delay)
            assert peername[0] == "127.0.0.1"

    run(kind, main)


def test_the_families_take_turns(kind, ipv6):
    class Noting:
        """The loop, writing down whom it connects to."""

        def __init__(self, loop):
            self.loop = loop
            self.tried = []

        def __getattr__(self, name):
            return getattr(self.loop, name)

        async def sock_connect(self, sock, address):
            self.tried.append(address[0])
            await self.loop.sock_connect(sock, address)

    async def main():
        port = free_port()
        for delay in (None, 0.25):
            noting = Noting(asyncio.get_running_loop())
            names = NameCache(Table(name=["::1", "fe80::1%1", "127.0.0.1", "127.0.0.2"]))
            with pytest.raises(ConnectError):
                await dial(noting, Recorder, Target("name", port), names=names, happy_eyeballs_delay=delay, timeout=10)
            assert noting.tried == ["::1", "127.0.0.1", "fe80::1", "127.0.0.2"]

    run(kind, main)


def test_a_slow_address_is_overtaken(kind):
    """The first address hangs, as a lost route does: the next is tried beside it, and the first socket is closed."""

    async def main():
        loop = asyncio.get_running_loop()
        real = loop.sock_connect

        class Slow:
            """The loop, but for one address nobody answers on."""

            def __getattr__(self, name):
                return getattr(loop, name)

            async def sock_connect(self, sock, address):
                if address[0] == "127.0.0.9":
                    await loop.create_future()
                await real(sock, address)

        async with serving() as server:
            before = open_sockets()
            names = NameCache(Table(name=["127.0.0.9", "127.0.0.1"]))
            transport, protocol = await dial(
                Slow(), Recorder, Target("name", server.port), names=names, happy_eyeballs_delay=0.01, timeout=10
            )
            assert transport.get_extra_info("peername")[0] == "127.0.0.1"
            transport.abort()
            await protocol.until("lost")
            assert await settled(before) == before

    run(kind, main)


def test_refused(kind):
    async def main():
        port = free_port()
        error = await fails(Target("127.0.0.1", port), ConnectError)
        assert (error.peer, error.phase) == (f"127.0.0.1:{port}", "connecting")
        assert isinstance(error.__cause__, OSError)
        assert "refused" in str(error)

    run(kind, main)


def test_refused_by_every_address_names_a_few(kind):
    async def main():
        port = free_port()
        names = NameCache(Table(many=[f"127.0.0.{i}" for i in range(1, 10)]))
        error = await fails(Target("many", port), ConnectError, names=names)
        assert error.peer == f"many:{port}"
        assert "127.0.0.1" in error.message
        assert "and 5 more" in error.message
        assert len(error.message) < 400

    run(kind, main)


def test_unknown_name(kind):
    async def main():
        error = await fails(Target("nowhere.example", 80), DNSError)
        assert (error.peer, error.phase) == ("nowhere.example", "resolving")
        assert "not in the table" in str(error.__cause__)

    run(kind, main)


def test_local_address(kind):
    async def main():
        port = free_port()
        async with serving() as server:
            await echoes(Target("127.0.0.1", server.port, local_addr=("127.0.0.1", port)))
            assert server.peers == [("127.0.0.1", port)]
            error = await fails(Target("127.0.0.1", server.port, local_addr=("192.0.2.1", 0)), ConnectError)
            assert error.peer == f"127.0.0.1:{server.port}"
            await fails(Target("127.0.0.1", server.port, local_addr=("::1", 0)), ConnectError)

    run(kind, main)


def test_connect_to(kind):
    async def main():
        async with serving() as server:
            there = {("example.org", 80): ("127.0.0.1", server.port)}
            assert (await echoes(Target("Example.org", 80), connect_to=there))[0] == ("127.0.0.1", server.port)
            await fails(Target("example.org", 81), DNSError, connect_to=there)

    run(kind, main)


def test_read_connect_to(kind):
    assert read_connect_to(None) == {}
    assert read_connect_to({"Example.org:443": "[::1]:8443", ("a", 1): ("b", 2)}) == {
        ("example.org", 443): ("::1", 8443),
        ("a", 1): ("b", 2),
    }
    for bad in (
        "example.org",
        "example.org:",
        "example.org:0",
        "a:65536",
        "a:٨٠",
        "a:+80",
        ":80",
        "::1:80",
        ("a",),
        ("a", "80"),
        7,
        None,
    ):
        for mapping in ({bad: "a:1"}, {"a:1": bad}):
            with pytest.raises(UsageError) as caught:
                read_connect_to(mapping)
            assert caught.value.argument == "connect_to"


def test_peer_name(kind):
    assert peer_name("example.org", 80) == "example.org:80"
    assert Target("::1", 443).peer == "[::1]:443"
    assert hash(Target("a", 1)) == hash(Target("a", 1))


# -- Unix sockets ----------------------------------------------------------------------------------------------------------------


def test_unix_socket(kind, tmp_path, trusting):
    async def main():
        path = str(tmp_path / "s")
        async with serving(path=path):
            _, _, ssl_object = await echoes(Target("example.org", 80, uds=path))
            assert ssl_object is None
        path = str(tmp_path / "t")
        async with serving(path=path, tls=server_tls("example.org")) as server:
            await echoes(Target("example.org", 443, trusting, uds=path))
            assert server.names == ["example.org"]
            await fails(Target("example.net", 443, trusting, uds=path), TLSError)

    run(kind, main)


def test_no_unix_socket(kind, tmp_path):
    async def main():
        path = str(tmp_path / "none")
        error = await fails(Target("example.org", 80, uds=path), ConnectError)
        assert (error.peer, error.phase) == ("example.org:80", "connecting")
        assert path in error.message
        assert isinstance(error.__cause__, OSError)

    run(kind, main)


# -- TLS -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", [Recorder, BufferedRecorder])
def test_tls(kind, trusting, factory):
    async def main():
        async with serving(tls=server_tls("example.org")) as server:
            names = NameCache(Table(**{"example.org": ["127.0.0.1"], "example.org.": ["127.0.0.1"]}))
            for host in ("example.org", "example.org."):
                target = Target(host, server.port, trusting)
                peername, nodelay, ssl_object = await echoes(target, names=names, factory=factory)
                assert peername == ("127.0.0.1", server.port)
                assert nodelay
                assert ssl_object.version() == "TLSv1.3"
            assert server.names == ["example.org", "example.org"]

    run(kind, main)


def test_addresses_are_verified_and_not_sent_as_sni(kind, trusting, ipv6):
    async def main():
        for address, other in (("127.0.0.1", "127.0.0.2"), ("::1", "::2")):
            async with serving(address, tls=server_tls(address)) as server:
                await echoes(Target(address, server.port, trusting))
                assert server.names == [None]
            async with serving(address, tls=server_tls(other, "localhost")) as server:
                error = await fails(Target(address, server.port, trusting), TLSError)
                assert "IP address mismatch" in error.message

    run(kind, main)


def test_wrong_name(kind, trusting):
    async def main():
        async with serving(tls=server_tls("example.org")) as server:
            names = NameCache(Table(**{"example.net": ["127.0.0.1"]}))
            error = await fails(Target("example.net", server.port, trusting), TLSError, names=names)
            assert (error.peer, error.phase) == (f"example.net:{server.port}", "handshaking")
            assert "Hostname mismatch" in error.message
            assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
            # the name to verify can be given apart from the name to connect to
            assert await echoes(Target("example.net", server.port, trusting, server_hostname="example.org"), names=names)
            assert server.names[-1] == "example.org"

    run(kind, main)


def test_unknown_authority_is_refused_unless_told_otherwise(kind, trusting):
    async def main():
        async with serving(tls=server_tls("127.0.0.1", authority=trustme.CA())) as server:
            for context in (trusting, tls_context()):
                error = await fails(Target("127.0.0.1", server.port, context), TLSError)
                assert "certificate" in error.message
                assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
            await echoes(Target("127.0.0.1", server.port, tls_context(False)))
            await fails(Target("127.0.0.1", server.port, trusting), TLSError)

    run(kind, main)


def test_connect_to_keeps_name_and_verification(kind, trusting):
    async def main():
        async with serving(tls=server_tls("example.org")) as server:
            there = ("127.0.0.1", server.port)
            connect_to = {("example.org", 443): there, ("example.net", 443): there}
            await echoes(Target("example.org", 443, trusting), connect_to=connect_to)
            assert server.names == ["example.org"]
            error = await fails(Target("example.net", 443, trusting), TLSError, connect_to=connect_to)
            assert error.peer == "example.net:443"

    run(kind, main)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificate(kind, cafile, tmp_path, version):
    chain = tmp_path / "client.pem"
    AUTHORITY.issue_cert("client@example.org").private_key_and_cert_chain_pem.write_to_path(chain)

    async def main():
        server_context = server_tls("127.0.0.1", ask=True)
        server_context.maximum_version = version
        async with serving(tls=server_context) as server:
            await echoes(Target("127.0.0.1", server.port, tls_context(cafile=cafile, certfile=chain)))
            # Without one the handshake fails in TLS 1.2; in 1.3 it is over when the server says no, in most cases.
            try:
                transport, protocol = await dial(
                    asyncio.get_running_loop(),
                    Recorder,
                    Target("127.0.0.1", server.port, tls_context(cafile=cafile)),
                    names=NameCache(Table()),
                    timeout=10,
                )
            except TLSError as exc:
                assert exc.phase == "handshaking"
            else:
                assert version is ssl.TLSVersion.TLSv1_3
                error = (await protocol.until("lost"))[1]
                assert error is None or isinstance(error, (ssl.SSLError, ConnectionError))
                assert "data" not in [event[0] for event in protocol.events]
                transport.abort()

    run(kind, main)


def test_what_is_said_before_the_handshake_is_not_overheard(kind, trusting):
    """A server that speaks first speaks no TLS, even if it goes on with a handshake: dropping its words would be a way in."""

    class Talker(Echo):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.write(b"220 this is a mail server, and it speaks first\r\n")
            self.task = asyncio.create_task(self.go_on())

        async def go_on(self):
            with contextlib.suppress(OSError):
                await asyncio.get_running_loop().start_tls(
                    self.transport, asyncio.Protocol(), server_tls("127.0.0.1"), server_side=True
                )

    async def main():
        async with serving(protocol=Talker) as server:
            error = await fails(Target("127.0.0.1", server.port, trusting), TLSError)
            assert (error.peer, error.phase) == (f"127.0.0.1:{server.port}", "handshaking")

    run(kind, main)


def test_a_transport_closed_in_the_handshake(kind, trusting):
    """asyncio ends such a handshake without an error, and without a transport."""

    async def main():
        loop = asyncio.get_running_loop()
        with mute_port() as port:
            for turns in range(4):
                transport, _ = await loop.create_connection(Recorder, "127.0.0.1", port)
                made = []
                task = asyncio.create_task(
                    start_tls(loop, transport, lambda: made.append(1), trusting, "a.example", peer="a.example:1")
                )
                for _ in range(turns):
                    await asyncio.sleep(0)
                transport.abort()
                with pytest.raises(TLSError) as caught:
                    await task
                assert caught.value.peer == "a.example:1"
                assert made == []

    run(kind, main)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("when", ["at once", "after the hello"])
def test_server_that_leaves_in_the_handshake(kind, trusting, reset, when):
    class Leaver(Echo):
        def connection_made(self, transport):
            super().connection_made(transport)
            if when == "at once":
                self.leave()

        def data_received(self, data):
            self.leave()

        def leave(self):
            if reset:
                sock = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()

    async def main():
        async with serving(protocol=Leaver) as server:
            before = open_sockets()
            error = await fails(Target("127.0.0.1", server.port, trusting), TLSError)
            assert (error.peer, error.phase) == (f"127.0.0.1:{server.port}", "handshaking")
            assert await settled(before) <= before

    run(kind, main)


@pytest.mark.parametrize("name", ["", ".", ".example.org", "a..b", "a" * 64 + ".example", "a\0b", "b\xfccher.example", "%1"])
def test_a_name_that_cannot_be_verified_is_refused_first(kind, trusting, name):
    """asyncio takes an empty name for none, and then accepts the certificate of anybody: it must never see one."""

    async def main():
        async with serving(tls=server_tls("example.org")) as server:
            for target in (Target("127.0.0.1", server.port, trusting, server_hostname=name), Target(name, server.port, trusting)):
                error = await fails(target, UsageError, connect_to={(name, server.port): ("127.0.0.1", server.port)})
                assert error.argument == "server_hostname"
            assert server.transports == server.names == []

    run(kind, main)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("factory", [Recorder, BufferedRecorder])
def test_what_the_server_says_with_its_handshake_is_not_lost(kind, trusting, factory, version):
    """In TLS 1.2 the server's Finished is the last word of the handshake, and what it adds arrives with it."""

    class Talker(Echo):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.write(b"first words, and some more")

    async def main():
        context = server_tls("127.0.0.1")
        context.maximum_version = version
        async with serving(tls=context, protocol=Talker) as server:
            for _ in range(5):
                transport, protocol = await dial(
                    asyncio.get_running_loop(), factory, Target("127.0.0.1", server.port, trusting), names=NameCache(), timeout=10
                )
                while sum(len(event[1]) for event in protocol.events[1:]) < 26:
                    protocol.changed.clear()
                    await protocol.changed.wait()
                assert protocol.events[0] == ("made",)
                assert b"".join(event[1] for event in protocol.events[1:]) == b"first words, and some more"
                transport.abort()
                await protocol.until("lost")

    run(kind, main)


def test_tls_inside_a_transport_that_is_already_open(kind, trusting):
    """What a proxy's tunnel needs: the upgrade of a connection that has spoken in clear, TLS within TLS included."""

    class Tunnel(asyncio.Protocol):
        """Answers the first message, then joins the client to `port`."""

        def __init__(self, serving):
            self.serving = serving
            self.other = None
            self.waiting = b""

        def connection_made(self, transport):
            self.transport = transport
            self.serving.transports.append(transport)

        def data_received(self, data):
            if self.other is None:
                self.other = ()
                self.task = asyncio.create_task(self.join())
            elif self.other == ():
                self.waiting += data
            else:
                self.other.write(data)

        async def join(self):
            inside = Recorder()
            inside.data_received = lambda data: self.transport.write(data)
            self.other, _ = await asyncio.get_running_loop().create_connection(lambda: inside, "127.0.0.1", self.serving.origin)
            self.serving.transports.append(self.other)
            self.other.write(self.waiting)
            self.transport.write(b"open")

    async def main():
        loop = asyncio.get_running_loop()
        async with serving(tls=server_tls("example.org")) as origin:
            for outer in (None, server_tls("127.0.0.1")):
                async with serving(protocol=Tunnel, tls=outer) as proxy:
                    proxy.origin = origin.port
                    target = Target("127.0.0.1", proxy.port, None if outer is None else trusting)
                    transport, plain = await dial(loop, Recorder, target, names=NameCache(), timeout=10)
                    transport.write(b"CONNECT")
                    assert await plain.until("data") == ("data", b"open")
                    secured, protocol = await start_tls(
                        loop, transport, Recorder, trusting, "example.org", peer="example.org:443"
                    )
                    secured.write(b"hello")
                    assert await protocol.until("data") == ("data", b"hello")
                    secured.abort()
                    await protocol.until("lost")

    run(kind, main)


# -- the limit -------------------------------------------------------------------------------------------------------------------


def test_a_handshake_without_an_answer_ends_at_the_limit(kind, trusting):
    async def main():
        with mute_port() as port:
            before = open_sockets()
            error = await fails(Target("127.0.0.1", port, trusting), ConnectTimeout, timeout=0.05)
            assert (error.limit, error.peer, error.phase) == (0.05, f"127.0.0.1:{port}", "connecting")
            assert isinstance(error, TimeoutError)
            assert "TLS" in error.message
            assert await settled(before) == before

    run(kind, main)


def test_a_lookup_without_an_answer_ends_at_the_limit(kind):
    class Silent(Table):
        async def resolve(self, host, port=0, family=0):
            await asyncio.get_running_loop().create_future()

    async def main():
        names = NameCache(Silent())
        error = await fails(Target("example.org", 80), ConnectTimeout, names=names, timeout=0.02)
        assert "resolving" in error.message
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    run(kind, main)


@pytest.mark.parametrize("limit", [None, 0])
def test_no_limit(kind, trusting, limit):
    async def main():
        async with serving(tls=server_tls("127.0.0.1")) as server:
            transport, protocol = await dial(
                asyncio.get_running_loop(),
                Recorder,
                Target("127.0.0.1", server.port, trusting),
                names=NameCache(),
                timeout=limit,
            )
            transport.abort()
            await protocol.until("lost")

    run(kind, main)


def test_an_outer_limit_stays_the_outers(kind, trusting):
    async def main():
        with mute_port() as port:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.02):
                    await dial(
                        asyncio.get_running_loop(), Recorder, Target("127.0.0.1", port, trusting), names=NameCache(), timeout=10
                    )
            assert type(caught.value) is TimeoutError

    run(kind, main)


# -- nothing stays open ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
@pytest.mark.parametrize("case", ["tcp", "race", "tls", "unix", "unix tls", "mute"])
def test_a_dial_cancelled_anywhere_leaves_nothing(kind, case, trusting, tmp_path, ipv6):
    async def main():
        loop = asyncio.get_running_loop()
        path = str(tmp_path / "s") if "unix" in case else None
        tls = server_tls("example.org") if "tls" in case else None
        context = trusting if "tls" in case or case == "mute" else None
        names = NameCache(Table(**{"example.org": ["::1", "127.0.0.1", "127.0.0.2"] if case == "race" else ["127.0.0.1"]}), ttl=0)
        finished = 0
        async with serving(path=path, tls=tls) as server:
            with mute_port() as mute:
                port = 80 if path else mute if case == "mute" else server.port
                target = Target("example.org", port, context, uds=path)
                gc.collect()
                before = open_sockets()
                for turn in range(41):
                    task = asyncio.create_task(dial(loop, Recorder, target, names=names, happy_eyeballs_delay=1e-6, timeout=10))
                    for _ in range(turn):
                        await asyncio.sleep(0)
                    if task.cancel():
                        # It was not done, so it must end cancelled: nobody may swallow it.
                        with pytest.raises(asyncio.CancelledError):
                            await task
                    else:
                        finished += 1
                        transport, protocol = task.result()
                        transport.abort()
                        await protocol.until("lost")
                    for transport in server.transports:
                        transport.abort()
                    server.transports.clear()
                    assert await settled(before) <= before, f"after {turn} turns"
        assert (finished > 0) == (case != "mute")

    run(kind, main)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
def test_failed_handshakes_leave_nothing(kind, trusting):
    async def main():
        async with serving(tls=server_tls("example.org")) as server:
            before = open_sockets()
            for _ in range(20):
                await fails(Target("127.0.0.1", server.port, trusting), TLSError)
                await fails(Target("127.0.0.1", free_port(), trusting), ConnectError)
            assert await settled(before) <= before

    run(kind, main)


def test_a_factory_that_fails_leaves_nothing(kind, trusting):
    class Broken(TimeoutError):  # which the limit of the dial must not take for its own
        pass

    def factory():
        raise Broken

    async def main():
        async with serving() as plain, serving(tls=server_tls("127.0.0.1")) as secure:
            before = open_sockets()
            for target in (Target("127.0.0.1", plain.port), Target("127.0.0.1", secure.port, trusting)):
                with pytest.raises(Broken):
                    await dial(asyncio.get_running_loop(), factory, target, names=NameCache(), timeout=10)
            for transport in plain.transports + secure.transports:
                transport.abort()
            assert await settled(before) <= before

    run(kind, main)
