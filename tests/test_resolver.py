"""Names to addresses: the two resolvers, and the cache in front of them."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys

import pytest

from wirebird.errors import DNSError, UsageError
from wirebird.net.resolver import AsyncResolver, DefaultResolver, NameCache, ThreadedResolver, literal_address

LOOPS = ["asyncio", "uvloop"]


def run(loop, main):
    """Run the coroutine `main()` on the named kind of loop."""
    factory = pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())


class Table:
    """A resolver that answers from a function, and counts."""

    def __init__(self, answer=lambda host, port: ["192.0.2.1"]):
        self.answer = answer
        self.calls = []
        self.cancelled = 0
        self.closed = 0
        self.gate = None  # an event: answers wait for it

    async def resolve(self, host, port=0, family=socket.AF_INET):
        self.calls.append((host, port, family))
        if self.gate is not None:
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return [
            {"hostname": host, "host": ip, "port": port, "family": 0, "proto": 0, "flags": 0} for ip in self.answer(host, port)
        ]

    async def close(self):
        self.closed += 1


def hosts(infos):
    return [info[4][0] for info in infos]


# -- ThreadedResolver ------------------------------------------------------------------------------------------------------------


def test_default_resolver_is_the_threaded_one():
    assert DefaultResolver is ThreadedResolver


@pytest.mark.parametrize("loop", LOOPS)
def test_threaded_resolver_answers_in_dicts(loop):
    async def main():
        resolver = ThreadedResolver()
        answers = await resolver.resolve("localhost", 8080)
        await resolver.close()
        return answers

    answers = run(loop, main)
    assert {
        "hostname": "localhost",
        "host": "127.0.0.1",
        "port": 8080,
        "family": socket.AF_INET,
        "proto": socket.IPPROTO_TCP,
        "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    } in answers
    assert {answer["family"] for answer in answers} == {socket.AF_INET}  # the default


@pytest.mark.parametrize("loop", LOOPS)
def test_threaded_resolver_gives_both_families_where_the_system_has_them(loop):
    expected = {info[4][0] for info in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}

    async def main():
        return await ThreadedResolver().resolve("localhost", 80, socket.AF_UNSPEC), await NameCache().lookup("localhost", 80)

    answers, infos = run(loop, main)
    assert {answer["host"] for answer in answers} == expected == set(hosts(infos))


@pytest.mark.parametrize("loop", LOOPS)
def test_threaded_resolver_says_which_name_failed(loop):
    async def main():
        with pytest.raises(DNSError) as caught:
            await ThreadedResolver().resolve("a" * 64 + ".invalid")
        return caught.value

    error = run(loop, main)
    assert error.phase == "resolving"
    assert error.peer == "a" * 64 + ".invalid"
    assert isinstance(error.__cause__, (OSError, UnicodeError))


@pytest.mark.parametrize("host", ["", "b\xfccher.example", "a b", "a\0b", "a\nb", "a\x7fb", None, b"localhost"])
def test_a_host_that_is_no_name_is_refused_before_any_lookup(host):
    table = Table()

    async def main():
        with pytest.raises(UsageError) as caught:
            await ThreadedResolver().resolve(host)
        assert caught.value.argument == "host"
        if isinstance(host, str):
            with pytest.raises(UsageError):
                await NameCache(table).lookup(host, 80)

    run("asyncio", main)
    assert table.calls == []


# -- AsyncResolver ---------------------------------------------------------------------------------------------------------------


class NameServer(asyncio.DatagramProtocol):
    """A DNS server (RFC 1035) that knows `known.example` (A and AAAA) and answers NXDOMAIN for the rest; `mute` says nothing."""

    def __init__(self, mute=False):
        self.mute = mute
        self.asked = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.asked.set()
        if self.mute:
            return
        end = data.index(b"\0", 12) + 5
        question = data[12:end]
        kind = int.from_bytes(question[-4:-2])
        record = {1: socket.inet_pton(socket.AF_INET, "192.0.2.7"), 28: socket.inet_pton(socket.AF_INET6, "2001:db8::7")}.get(
            kind
        )
        known = question.lower().startswith(b"\x05known\x07example\0") and record is not None
        head = data[:2] + (b"\x81\x80" if known else b"\x81\x83") + b"\0\1" + (b"\0\1" if known else b"\0\0") + b"\0\0\0\0"
        answer = b"\xc0\x0c" + question[-4:] + b"\0\0\0\x3c" + len(record).to_bytes(2) + record if known else b""
        self.transport.sendto(head + question + answer, addr)


async def name_server(mute=False):
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(mute), local_addr=("127.0.0.1", 0)
    )
    host, port = transport.get_extra_info("sockname")
    return transport, protocol, f"{host}:{port}"


@pytest.mark.parametrize("loop", LOOPS)
def test_async_resolver_asks_the_given_servers(loop):
    pytest.importorskip("aiodns")

    async def main():
        transport, _, address = await name_server()
        resolver = AsyncResolver(nameservers=[address])
        try:
            four = await resolver.resolve("known.example", 443)
            both = await NameCache(resolver).lookup("known.example", 443)
            with pytest.raises(DNSError) as caught:
                await resolver.resolve("unknown.example", 443)
        finally:
            await resolver.close()
            transport.close()
        await resolver.close()  # again does no harm
        return four, both, caught.value

    four, both, error = run(loop, main)
    assert four == [
        {
            "hostname": "known.example",
            "host": "192.0.2.7",
            "port": 443,
            "family": socket.AF_INET,
            "proto": socket.IPPROTO_TCP,
            "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        }
    ]
    assert set(hosts(both)) == {"192.0.2.7", "2001:db8::7"}
    assert (error.peer, error.phase) == ("unknown.example", "resolving")
    assert error.__cause__ is not None
    gc.collect()


@pytest.mark.parametrize("loop", LOOPS)
def test_async_resolver_can_be_cancelled_and_used_from_the_next_loop(loop):
    pytest.importorskip("aiodns")
    made = []

    async def cancelled():
        transport, server, address = await name_server(mute=True)
        resolver = AsyncResolver([address])
        made.append(resolver)
        task = asyncio.create_task(resolver.resolve("known.example"))
        await asyncio.wait_for(server.asked.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await resolver.close()
        transport.close()

    async def again():
        answers = await made[0].resolve("localhost", 1)
        await made[0].close()
        return answers

    run(loop, cancelled)
    assert "127.0.0.1" in [answer["host"] for answer in run(loop, again)]
    gc.collect()


def test_async_resolver_wants_addresses_of_servers():
    pytest.importorskip("aiodns")
    for good in (None, [], ["8.8.8.8", "8.8.4.4:53"], ("::1", "[::1]:5353", "127.0.0.1")):
        AsyncResolver(good)
    for bad in ("8.8.8.8", ["dns.example"], ["8.8.8.8:"], ["8.8.8.8:x"], [""]):
        with pytest.raises(UsageError) as caught:
            AsyncResolver(nameservers=bad)
        assert caught.value.argument == "nameservers"


def test_async_resolver_without_aiodns_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiodns", None)
    with pytest.raises(RuntimeError, match=r"pip install wirebird\[dns\]"):
        AsyncResolver()


# -- literals --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", ("127.0.0.1", 80)),
        ("::1", ("::1", 80, 0, 0)),
        ("2001:db8::1", ("2001:db8::1", 80, 0, 0)),
        ("fe80::1%3", ("fe80::1", 80, 0, 3)),
    ],
)
def test_literals_are_their_own_answer(host, address):
    table = Table()
    infos = run("asyncio", lambda: NameCache(table).lookup(host, 80))
    assert [info[4] for info in infos] == [address]
    assert infos[0][1:4] == (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    assert table.calls == []


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "2130706433",
        "0x7f000001",
        "127.0.0.1.",
        "[::1]",
        "localhost",
        "",
        "1.2.3.4%1",
        "fe80::1%",
        "fe80::1%nosuch",
        "a\0",
    ],
)
def test_what_is_no_literal(host):
    assert literal_address(host, 80) is None


# -- NameCache -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_a_hundred_callers_share_one_lookup(loop):
    async def main():
        table = Table()
        cache = NameCache(table)
        answers = await asyncio.gather(*(cache.lookup("example.org", 443) for _ in range(100)))
        assert table.calls == [("example.org", 443, socket.AF_UNSPEC)]
        assert all(hosts(infos) == ["192.0.2.1"] for infos in answers)
        await cache.lookup("EXAMPLE.org", 443)
        assert len(table.calls) == 1
        await cache.lookup("example.org", 444)
        assert len(table.calls) == 2

    run(loop, main)


def test_answers_live_as_long_as_told():
    async def main():
        now = [100.0]
        table = Table()
        cache = NameCache(table, ttl=10, clock=lambda: now[0])
        for moment, calls in ((100.0, 1), (109.9, 1), (110.0, 2), (119.9, 2), (1000.0, 3)):
            now[0] = moment
            await cache.lookup("example.org", 80)
            assert len(table.calls) == calls, moment
        cache.clear()
        await cache.lookup("example.org", 80)
        assert len(table.calls) == 4

    run("asyncio", main)


@pytest.mark.parametrize(("options", "calls"), [({"ttl": None}, 1), ({"ttl": 0}, 2), ({"use_cache": False}, 2)])
def test_for_ever_not_at_all_and_by_pass(options, calls):
    async def main():
        table = Table()
        now = [0.0]
        cache = NameCache(table, clock=lambda: now[0], **options)
        assert hosts(await cache.lookup("example.org", 80)) == ["192.0.2.1"]
        now[0] = 1e9
        await cache.lookup("example.org", 80)
        assert len(table.calls) == calls
        assert cache.size == (1 if options.get("ttl", 0) is None else 0)

    run("asyncio", main)


def test_five_thousand_names_leave_1024_the_newest():
    async def main():
        table = Table()
        cache = NameCache(table)
        for i in range(5000):
            await cache.lookup(f"h{i}.example", 80)
        assert cache.size == 1024
        await cache.lookup("h4999.example", 80)
        await cache.lookup(f"h{5000 - 1024}.example", 80)
        assert len(table.calls) == 5000
        await cache.lookup("h0.example", 80)
        assert len(table.calls) == 5001
        assert cache.size == 1024

    run("asyncio", main)


def test_failures_are_not_kept_and_each_caller_gets_its_own():
    async def main():
        cause = socket.gaierror(-2, "Name or service not known")

        def answer(host, port):
            raise cause

        table = Table(answer)
        cache = NameCache(table)
        errors = await asyncio.gather(*(cache.lookup("no.example", 80) for _ in range(3)), return_exceptions=True)
        assert len(table.calls) == 1
        assert len({id(error) for error in errors}) == 3
        for error in errors:
            assert isinstance(error, DNSError)
            assert error.__cause__ is cause
            assert (error.peer, error.phase) == ("no.example", "resolving")
            assert "Name or service not known" in str(error)
        table.answer = lambda host, port: ["192.0.2.1"]
        assert hosts(await cache.lookup("no.example", 80)) == ["192.0.2.1"]

    run("asyncio", main)


@pytest.mark.parametrize("loop", LOOPS)
def test_one_cancelled_caller_does_not_take_the_others_along(loop):
    async def main():
        table = Table()
        table.gate = asyncio.Event()
        cache = NameCache(table)
        tasks = [asyncio.create_task(cache.lookup("example.org", 80)) for _ in range(5)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks[0].cancel()  # the one that started the look-up
        tasks[3].cancel()
        await asyncio.sleep(0)
        table.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError, list, list, asyncio.CancelledError, list]
        assert len(table.calls) == 1
        assert table.cancelled == 0

    run(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_the_last_caller_to_leave_ends_the_lookup(loop):
    async def main():
        table = Table()
        table.gate = asyncio.Event()
        cache = NameCache(table)
        tasks = [asyncio.create_task(cache.lookup("example.org", 80)) for _ in range(5)]
        for _ in range(3):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        # Whoever comes in the turn in which the last one leaves gets another look-up, not the one that is being cancelled.
        late = asyncio.create_task(cache.lookup("example.org", 80))
        await asyncio.wait(tasks)
        table.gate.set()
        assert hosts(await late) == ["192.0.2.1"]
        assert table.cancelled == 1
        assert len(table.calls) == 2
        assert all(task.cancelled() for task in tasks)

    run(loop, main)


def test_a_failure_that_nobody_waits_for_is_not_reported():
    async def main():
        reports = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context))

        class Stubborn(Table):
            async def resolve(self, host, port=0, family=0):
                try:
                    return await super().resolve(host, port, family)
                except asyncio.CancelledError:
                    raise OSError("too late") from None

        table = Stubborn()
        table.gate = asyncio.Event()
        task = asyncio.create_task(NameCache(table).lookup("example.org", 80))
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(5):
            await asyncio.sleep(0)
        del task
        gc.collect()
        assert table.cancelled == 1
        assert reports == []

    run("asyncio", main)


def test_close_ends_lookups_and_only_the_own_resolver():
    async def main():
        table = Table()
        table.gate = asyncio.Event()
        cache = NameCache(table)
        task = asyncio.create_task(cache.lookup("example.org", 80))
        for _ in range(3):
            await asyncio.sleep(0)
        await cache.close()
        with pytest.raises(DNSError, match="abandoned"):
            await task
        assert table.closed == 0
        own = NameCache()
        closed = []
        own.resolver.close = lambda: closed.append(1) or asyncio.sleep(0)
        await own.close()
        assert closed == [1]

    run("asyncio", main)


@pytest.mark.parametrize("loop", LOOPS)
def test_another_loop_does_not_wait_for_the_first(loop):
    table = Table()
    table.gate = asyncio.Event()
    cache = NameCache(table)
    first = asyncio.new_event_loop()
    task = first.create_task(cache.lookup("example.org", 80))
    for _ in range(3):
        first.run_until_complete(asyncio.sleep(0))
    gate, table.gate = table.gate, None

    async def main():
        async with asyncio.timeout(5):
            return hosts(await cache.lookup("example.org", 80))

    assert run(loop, main) == ["192.0.2.1"]
    gate.set()
    assert hosts(first.run_until_complete(task)) == ["192.0.2.1"]
    first.close()
    assert len(table.calls) == 2


def test_addresses_take_turns_within_their_family():
    async def main():
        cache = NameCache(Table(lambda host, port: ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.1"]))
        first = hosts(await cache.lookup("example.org", 80))
        second = hosts(await cache.lookup("example.org", 80))
        third = hosts(await cache.lookup("example.org", 80))
        assert first == third == ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"]
        assert second == ["2001:db8::2", "2001:db8::1", "192.0.2.2", "192.0.2.1"]

    run("asyncio", main)


def test_thousands_of_addresses_are_cut():
    async def main():
        cache = NameCache(Table(lambda host, port: [f"10.0.{i // 250}.{i % 250}" for i in range(4000)] + ["::1"]))
        infos = await cache.lookup("example.org", 80)
        assert len(infos) == 17
        assert "::1" in hosts(infos)

    run("asyncio", main)


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [{"host": "other.example"}],
        [{"host": "127.1"}],
        [{"host": "127.0.0.1", "port": 70000}],
        [{"host": "127.0.0.1", "port": "80"}],
        [{"address": "127.0.0.1"}],
        [None],
        None,
        [{"host": 2130706433}],
    ],
)
def test_nonsense_from_a_resolver_is_a_dns_error(answers):
    class Nonsense(Table):
        async def resolve(self, host, port=0, family=0):
            return answers

    async def main():
        with pytest.raises(DNSError) as caught:
            await NameCache(Nonsense()).lookup("example.org", 80)
        assert caught.value.peer == "example.org"

    run("asyncio", main)


def test_a_resolver_may_answer_with_another_port_and_only_a_host():
    class Redirecting(Table):
        async def resolve(self, host, port=0, family=0):
            return [{"host": "127.0.0.1", "port": 8080}, {"host": "127.0.0.2"}]

    async def main():
        return [info[4] for info in await NameCache(Redirecting()).lookup("example.org", 80)]

    assert run("asyncio", main) == [("127.0.0.1", 8080), ("127.0.0.2", 80)]


def test_a_resolver_of_single_families_is_asked_again():
    class FourOnly(Table):
        async def resolve(self, hostname, port=0, family=socket.AF_INET):
            if family != socket.AF_INET:
                raise ValueError(family)
            return await super().resolve(hostname, port, family)

    async def main():
        table = FourOnly()
        assert hosts(await NameCache(table).lookup("example.org", 80)) == ["192.0.2.1"]
        assert table.calls == [("example.org", 80, socket.AF_INET)]

    run("asyncio", main)


def test_bad_arguments():
    with pytest.raises(UsageError) as caught:
        NameCache(object())
    assert caught.value.argument == "resolver"
    with pytest.raises(UsageError) as caught:
        NameCache(max_entries=0)
    assert caught.value.argument == "max_entries"
