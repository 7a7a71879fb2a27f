"""permessage-deflate: the vectors and the tables of RFC 7692, hostile payloads (W1, W8), and two other implementations beside."""

from __future__ import annotations

import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wirebird
from effort import examples
from wirebird.errors import InvalidResponse, WebSocketError
from wirebird.protocol import websocket_deflate
from wirebird.protocol.websocket_deflate import Agreed, Deflate, Deflater, Inflater
from wirebird.protocol.websocket_extensions import parse_extensions

HELLO = bytes.fromhex("f248cdc9c90700")
TAIL = b"\x00\x00\xff\xff"
NAME = "permessage-deflate"
TEXT = b"".join(b'{"id": %d, "name": "item %d", "tags": ["a", "b"]}' % (n, n * 7) for n in range(2000))
NOISE = random.Random(7).randbytes(40_000)

BITS = st.none() | st.integers(8, 15)
DEFLATES = st.builds(
    Deflate,
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    server_max_window_bits=BITS,
    client_max_window_bits=BITS,
    level=st.integers(-1, 9),
    mem_level=st.integers(1, 9),
)


def inflate(*payloads: bytes, bits: int = 15, takeover: bool = True, limit: int | None = None) -> list[bytes]:
    inflater = Inflater(bits, takeover)
    return [inflater.inflate(payload, limit) for payload in payloads]


def finished(data: bytes) -> bytes:
    """`data` as blocks of which the last one says so, up to the end of its byte."""
    raw = zlib.compressobj(6, zlib.DEFLATED, -15)
    return raw.compress(data) + raw.flush()


def close_code(call: Callable[[], object]) -> int:
    with pytest.raises(WebSocketError) as caught:
        call()
    return caught.value.code


# -- RFC 7692 7.2.3 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ("f248cdc9c90700", b"Hello"),  # 7.2.3.1, one block
        ("000500faff48656c6c6f00", b"Hello"),  # 7.2.3.3, a block without compression
        ("f348cdc9c9070000", b"Hello"),  # 7.2.3.4, a final block
        ("f248050000 00ffff cac9c90700", b"Hello"),  # 7.2.3.5, two blocks
        ("00", b""),  # 7.2.3.6
        ("0200", b""),  # 7.2.3.6
        ("f348cdc9c90700 f348cdc9c90700 00", b"HelloHello"),  # 7.2.1: several final blocks
        ("f348cdc9c90700 f248cdc9c90700", b"HelloHello"),  # and one that is not behind one that is
        ("0300 0300 0300 00", b""),
        ("01", b""),  # 7.2.1: the block without compression at the end may be a final one
        ("f348cdc9c9070001", b"Hello"),
    ],
)
def test_the_vectors_inflate(payload: str, message: bytes, takeover: bool) -> None:
    assert inflate(bytes.fromhex(payload), HELLO, takeover=takeover) == [message, b"Hello"]


def test_the_vectors_deflate() -> None:
    deflater = Deflater(15, True)
    assert [deflater.deflate(b"Hello"), deflater.deflate(b"Hello")] == [HELLO, bytes.fromhex("f200110000")]  # 7.2.3.2
    deflater = Deflater(15, False)
    assert [deflater.deflate(b"Hello"), deflater.deflate(b"Hello")] == [HELLO, HELLO]
    assert [deflater.deflate(b""), deflater.deflate(b"")] == [b"\x00", b"\x00"]
    stored = Deflater(15, True, level=0)
    assert stored.deflate(b"Hello") == bytes.fromhex("000500faff48656c6c6f00")


def test_a_window_is_shared_only_where_that_was_agreed() -> None:
    second = bytes.fromhex("f200110000")
    assert inflate(HELLO, second) == [b"Hello", b"Hello"]
    inflater = Inflater(15, False)
    assert inflater.inflate(HELLO, None) == b"Hello"
    assert close_code(lambda: inflater.inflate(second, None)) == 1007


# -- the server's answer (RFC 7692 7.1) --------------------------------------------------------------------------------------


def agreed(server_takeover: bool = True, client_takeover: bool = True, server_bits: int = 15, client_bits: int = 15) -> Agreed:
    return Agreed(server_takeover, client_takeover, server_bits, client_bits)


@pytest.mark.parametrize(
    ("wish", "fields", "answer", "outcome"),
    [
        (Deflate(), [NAME], NAME, agreed()),
        (Deflate(), ["Permessage-DEFLATE"], NAME, agreed()),
        (Deflate(), [f"{NAME}; client_max_window_bits"], NAME, agreed()),
        (Deflate(), [f"{NAME}; Server_Max_Window_Bits=9"], f"{NAME}; server_max_window_bits=9", agreed(server_bits=9)),
        (Deflate(), [f'{NAME}; server_max_window_bits="1\\0"'], f"{NAME}; server_max_window_bits=10", agreed(server_bits=10)),
        (Deflate(), [f"{NAME}; server_max_window_bits=8"], f"{NAME}; server_max_window_bits=8", agreed(server_bits=8)),
        (Deflate(), [f"{NAME}; client_max_window_bits=8"], f"{NAME}; client_max_window_bits=8", agreed(client_bits=8)),
        (Deflate(), [f"{NAME}; server_no_context_takeover"], f"{NAME}; server_no_context_takeover", agreed(False)),
        (Deflate(), [f"{NAME}; client_no_context_takeover"], f"{NAME}; client_no_context_takeover", agreed(True, False)),
        (Deflate(server_no_context_takeover=True), [NAME], f"{NAME}; server_no_context_takeover", agreed(False)),
        (Deflate(client_no_context_takeover=True), [NAME], f"{NAME}; client_no_context_takeover", agreed(True, False)),
        (Deflate(server_max_window_bits=12), [NAME], f"{NAME}; server_max_window_bits=12", agreed(server_bits=12)),
        (
            Deflate(server_max_window_bits=12),
            [f"{NAME}; server_max_window_bits=10"],
            f"{NAME}; server_max_window_bits=10",
            agreed(server_bits=10),
        ),
        (
            Deflate(server_max_window_bits=12),
            [f"{NAME}; server_max_window_bits=15"],
            f"{NAME}; server_max_window_bits=12",
            agreed(server_bits=12),
        ),
        # A client that does not say that it can limit its window may not be told to.
        (Deflate(client_max_window_bits=12), [NAME], NAME, agreed()),
        (
            Deflate(client_max_window_bits=12),
            [f"{NAME}; client_max_window_bits"],
            f"{NAME}; client_max_window_bits=12",
            agreed(client_bits=12),
        ),
        (
            Deflate(client_max_window_bits=12),
            [f"{NAME}; client_max_window_bits=11"],
            f"{NAME}; client_max_window_bits=11",
            agreed(client_bits=11),
        ),
        (
            Deflate(client_max_window_bits=12),
            [f"{NAME}; client_max_window_bits=13"],
            f"{NAME}; client_max_window_bits=12",
            agreed(client_bits=12),
        ),
        # The next offer, in the same field or another.
        (Deflate(), [f"x-a; b, {NAME}; nonsense, {NAME}"], NAME, agreed()),
        (Deflate(), ["x-a", f"{NAME}; server_max_window_bits=7", f"{NAME}; server_max_window_bits=9, {NAME}"], None, None),
    ],
)
def test_the_server_answers(wish: Deflate, fields: list[str], answer: str | None, outcome: Agreed | None) -> None:
    taken = wish.answer(fields)
    assert taken is not None
    if outcome is None:
        assert taken == (agreed(server_bits=9), f"{NAME}; server_max_window_bits=9")
    else:
        assert taken == (outcome, answer)


BAD_PARAMETERS = [
    *("server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=99", "server_max_window_bits=16"),
    *("server_max_window_bits=08", "server_max_window_bits=010", "server_max_window_bits=+9", "server_max_window_bits=9.0"),
    *("server_max_window_bits=-9", "server_max_window_bits=0", "server_max_window_bits=1_0", "server_max_window_bits=0xa"),
    *("client_max_window_bits=7", "client_max_window_bits=99", "client_max_window_bits=16", "client_max_window_bits=09"),
    *("server_no_context_takeover=1", "client_no_context_takeover=true", "server_no_context_takeover=server_no_context_takeover"),
    *("nonsense", "nonsense=1", "max_window_bits=9", "server_max_window_bits=9; nonsense"),
    *("server_max_window_bits=9; server_max_window_bits=9", "server_max_window_bits=9; SERVER_max_window_bits=10"),
    *("client_max_window_bits=9; client_max_window_bits=9", "client_max_window_bits; client_max_window_bits"),
    *("server_no_context_takeover; server_no_context_takeover", "client_no_context_takeover; client_no_context_takeover"),
]


@pytest.mark.parametrize("parameters", BAD_PARAMETERS)
def test_the_server_declines_what_is_wrong(parameters: str) -> None:
    assert Deflate().answer([f"{NAME}; {parameters}"]) is None
    assert Deflate().answer([f"{NAME}; {parameters}, {NAME}"]) == (agreed(), NAME)


@pytest.mark.parametrize("fields", [[], [""], ["x-webkit-deflate-frame"], ["permessage-bzip2; x", "y"], ["permessage-deflat"]])
def test_the_server_declines_what_it_does_not_know(fields: list[str]) -> None:
    assert Deflate().answer(fields) is None


# -- what the client accepts -------------------------------------------------------------------------------------------------


def test_offers() -> None:
    assert Deflate().offer() == f"{NAME}; client_max_window_bits"
    whole = Deflate(True, True, 10, 11)
    assert whole.offer() == (
        f"{NAME}; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=11"
    )


@pytest.mark.parametrize(
    ("wish", "answer", "outcome"),
    [
        (Deflate(), NAME, agreed()),
        (Deflate(), "PERMESSAGE-deflate", agreed()),
        # What a server may ask for although nobody offered it (7.1.1.1, 7.1.1.2, 7.1.2.1).
        (Deflate(), f"{NAME}; server_no_context_takeover", agreed(False)),
        (Deflate(), f"{NAME}; client_no_context_takeover", agreed(True, False)),
        (Deflate(), f"{NAME}; server_max_window_bits=8", agreed(server_bits=8)),
        (Deflate(), f"{NAME}; client_max_window_bits=8", agreed(client_bits=8)),
        (Deflate(), f'{NAME};client_max_window_bits="15" ; server_max_window_bits = 15', agreed()),
        (Deflate(client_no_context_takeover=True), NAME, agreed(True, False)),
        (Deflate(server_no_context_takeover=True), f"{NAME}; server_no_context_takeover", agreed(False)),
        (Deflate(client_max_window_bits=10), NAME, agreed(client_bits=10)),
        (Deflate(client_max_window_bits=10), f"{NAME}; client_max_window_bits=9", agreed(client_bits=9)),
        (Deflate(server_max_window_bits=10), f"{NAME}; server_max_window_bits=10", agreed(server_bits=10)),
        (Deflate(server_max_window_bits=10), f"{NAME}; server_max_window_bits=9", agreed(server_bits=9)),
    ],
)
def test_the_client_accepts(wish: Deflate, answer: str, outcome: Agreed) -> None:
    assert wish.accept([answer]) == outcome


@pytest.mark.parametrize("fields", [[], [""], [" , "]])
def test_the_client_takes_no_for_an_answer(fields: list[str]) -> None:
    assert Deflate(True, True, 9, 9).accept(fields) is None


@pytest.mark.parametrize(
    ("wish", "answer", "message"),
    [
        *((Deflate(), f"{NAME}; {parameters}", "answered permessage-deflate with") for parameters in BAD_PARAMETERS[:-3]),
        (Deflate(), f"{NAME}; client_max_window_bits", "without a value"),
        (Deflate(), f"{NAME}, {NAME}", "more than once"),
        (Deflate(), f"{NAME}; server_no_context_takeover; server_no_context_takeover", "takeover more than once"),
        (Deflate(), "x-other", "not offered: 'x-other'"),
        (Deflate(), f"{NAME}, x-other; a=b", "not offered: 'x-other'"),
        (Deflate(server_no_context_takeover=True), NAME, "lacks server_no_context_takeover"),
        (Deflate(server_no_context_takeover=True), f"{NAME}; client_no_context_takeover", "lacks server_no_context_takeover"),
        (Deflate(server_max_window_bits=10), NAME, "server_max_window_bits=None, asked for was 10"),
        (Deflate(server_max_window_bits=10), f"{NAME}; server_max_window_bits=11", "=11, asked for was 10"),
        (Deflate(client_max_window_bits=10), f"{NAME}; client_max_window_bits=11", "=11, offered was 10"),
    ],
)
def test_the_client_refuses(wish: Deflate, answer: str, message: str) -> None:
    with pytest.raises(InvalidResponse, match=message):
        wish.accept([answer])


def test_an_answer_in_two_fields_is_refused_like_one_in_a_list() -> None:
    with pytest.raises(InvalidResponse, match="more than once"):
        Deflate().accept([NAME, NAME])


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        *(({"server_max_window_bits": bits}, "server_max_window_bits") for bits in (7, 16, 0, True, "9", 9.0)),
        *(({"client_max_window_bits": bits}, "client_max_window_bits") for bits in (7, 99, False, "", b"9")),
        *(({"server_no_context_takeover": flag}, "server_no_context_takeover") for flag in (1, None, "no")),
        ({"client_no_context_takeover": 0}, "client_no_context_takeover"),
        *(({"level": level}, "level") for level in (-2, 10, True, "1", None)),
        *(({"mem_level": level}, "mem_level") for level in (0, 10, 1.5)),
        *(({"threshold": size}, "threshold") for size in (-1, 1.5, None, True)),
    ],
)
def test_wishes_that_cannot_be(arguments: dict[str, Any], argument: str) -> None:
    with pytest.raises(wirebird.UsageError) as caught:
        Deflate(**arguments)
    assert caught.value.argument == argument


@given(DEFLATES, DEFLATES)
def test_both_sides_agree_on_the_same(client: Deflate, server: Deflate) -> None:
    taken = server.answer([client.offer()])
    assert taken is not None
    found = client.accept([taken[1]])
    assert found is not None
    of_server, of_client = taken[0], found
    for name in ("server_takeover", "client_takeover", "server_bits", "client_bits"):
        assert getattr(of_server, name) == getattr(of_client, name)
    assert (of_server.level, of_server.mem_level) == (server.level, server.mem_level)
    assert (of_client.level, of_client.mem_level) == (client.level, client.mem_level)
    for wish in (client, server):
        assert of_client.server_takeover <= (not wish.server_no_context_takeover)
        assert of_client.client_takeover <= (not wish.client_no_context_takeover)
        assert of_client.server_bits <= (wish.server_max_window_bits or 15)
        assert of_client.client_bits <= (wish.client_max_window_bits or 15)


# -- messages there and back -------------------------------------------------------------------------------------------------


def messages() -> list[bytes]:
    return [b"Hello", b"Hello", b"", b"", TEXT[:300], TEXT[:2100], TEXT, b"a" * 70_000, NOISE, NOISE, TEXT, b"x"]


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("bits", range(8, 16))
def test_there_and_back_for_every_parameter(bits: int, takeover: bool) -> None:
    """With every window, for each role; the other direction has other parameters, so that a mix-up would show."""
    for server in (True, False):
        parameters = (takeover, not takeover, bits, 23 - bits)
        if not server:
            parameters = (not takeover, takeover, 23 - bits, bits)
        both = agreed(*parameters)
        deflater = both.deflater(server=server)
        payloads = [deflater.deflate(message) for message in messages()]
        inflater = both.inflater(server=not server)
        assert [inflater.inflate(payload, 2**20) for payload in payloads] == messages()
        assert [TAIL in payload[-4:] for payload in payloads] == [False] * len(payloads)
        assert (payloads[0] == payloads[1]) is not (takeover and bits > 8)
        for payload in payloads:
            assert payload


@pytest.mark.parametrize("bits", range(8, 16))
def test_no_window_is_larger_than_was_agreed(bits: int) -> None:
    """zlib keeps exactly the window only between calls: it is given a byte at a time, and gives one at a time."""
    deflater = Deflater(bits, True, level=9, mem_level=9)
    reader = zlib.decompressobj(-bits)
    message = NOISE[:600] + NOISE[:100] + NOISE[500:700] + TEXT[:6000] + NOISE[:2000] + TEXT[:3000] + b"a" * 2000
    for _ in range(2):
        out = b""
        for byte in deflater.deflate(message) + TAIL:
            rest = bytes([byte])
            while piece := reader.decompress(rest, 1):
                out += piece
                rest = reader.unconsumed_tail
        assert out == message


def test_the_check_of_the_window_can_fail() -> None:
    wide = Deflater(15, True, level=9).deflate(NOISE[:300] + NOISE[:300]) + TAIL
    reader = zlib.decompressobj(-8)
    with pytest.raises(zlib.error, match="distance"):
        for byte in wide:
            rest = bytes([byte])
            while reader.decompress(rest, 1):
                rest = reader.unconsumed_tail


@pytest.mark.parametrize("level", range(-1, 10))
def test_every_level(level: int) -> None:
    for mem_level in (1, 5, 9):
        deflater = Deflater(15, True, level, mem_level)
        payloads = [deflater.deflate(message) for message in (TEXT, b"", TEXT, b"Hello")]
        assert inflate(*payloads) == [TEXT, b"", TEXT, b"Hello"]


@settings(max_examples=examples(60))
@given(
    DEFLATES,
    DEFLATES,
    st.lists(st.binary(max_size=600) | st.builds(lambda n, b: b * n, st.integers(0, 900), st.binary(max_size=9))),
)
def test_any_messages_with_any_wishes(client: Deflate, server: Deflate, texts: list[bytes]) -> None:
    taken = server.answer([client.offer()])
    assert taken is not None
    found = client.accept([taken[1]])
    assert found is not None
    for sender, receiver, role in ((found, taken[0], False), (taken[0], found, True)):
        deflater, inflater = sender.deflater(server=role), receiver.inflater(server=not role)
        for text in texts:
            assert inflater.inflate(deflater.deflate(text), len(text)) == text


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("size", [1, 100, 2047, 2048, 2049, 40_000])
@pytest.mark.parametrize("final", [False, True])
def test_sizes_and_limits_to_the_byte(size: int, final: bool, takeover: bool) -> None:
    """The payload is about as large as the message, so both sides of the bound for small ones are met."""
    message = NOISE[:size]
    payload = finished(message) + b"\x00" if final else Deflater(15, takeover).deflate(message)
    for limit in (None, size, size + 1, 2**62, 2**63 - 1, 2**64):
        assert inflate(payload, payload, takeover=takeover and final, limit=limit) == [message, message]
    for limit in (0, 1, size // 2, size - 1):
        if limit < size:
            assert close_code(lambda: inflate(payload, takeover=takeover, limit=limit)) == 1009


def test_sets_of_data_in_one_message() -> None:
    """Final blocks of every size, at both sides of the bound for small payloads; the window lives on from the last set."""
    for takeover in (True, False):
        for sizes in ((5, 5, 5), (3000, 10), (10, 3000), (40_000, 40_000), (0, 0, 1), (255, 256, 257, 1000)):
            parts = [NOISE[:size] for size in sizes]
            payload = b"".join(map(finished, parts))
            whole = b"".join(parts)
            deflater = Deflater(15, takeover)
            behind = [deflater.deflate(TEXT[:500]) for _ in range(2)]
            inflater = Inflater(15, takeover)
            assert inflater.inflate(payload + behind[0], len(whole) + 500) == whole + TEXT[:500]
            assert inflater.inflate(behind[1], 500) == TEXT[:500]
            for limit in (len(whole) - 1, len(whole) // 2, 0):
                assert close_code(lambda: inflate(payload + b"\x00", takeover=takeover, limit=limit)) == 1009


# -- what is no DEFLATE ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x07",  # block type 3
        b"\x01\x04\x00\xfb\xff",  # what is put behind it becomes a block's content
        b"\x01\x06\x00\xf9\xffab",
        finished(b"Hello") + b"\x01\x0a\x00\xf5\xff",
        b"\xff" * 10,
        b"\xff" * 5000,
        bytes.fromhex("0005000000") + b"Hello\x00",  # a length and its complement
        bytes.fromhex("4b04040000"),  # a distance before the beginning
        finished(b"Hello"),  # nothing behind a final block
        finished(b"Hello")[:-1],  # of which the last bits are missing, and found in what is put behind it
        finished(NOISE),
        finished(NOISE)[:-1],
        finished(b"Hello") + finished(b"Hello"),
        finished(b"Hello") + finished(b"Hello")[:-1],
        finished(b"Hello") + b"\x01\x04\x00\xfb\xff",  # what is put behind it becomes a final block's content
        finished(b"Hello") + b"\xff",
        finished(NOISE) + b"\xff" * 3000,
    ],
)
def test_what_is_no_deflate(payload: bytes, takeover: bool) -> None:
    assert close_code(lambda: inflate(payload, takeover=takeover, limit=2**20)) == 1007


@pytest.mark.parametrize("payload", [HELLO + TAIL, HELLO[:-1], HELLO[:-1] + b"\x06", finished(b"Hello") + HELLO[:4]])
def test_what_ends_in_the_middle_of_something(payload: bytes) -> None:
    """Where the window lives on, zlib cannot be asked whether a message was whole: it shows by the next one."""
    assert close_code(lambda: inflate(payload, takeover=False)) == 1007
    assert close_code(lambda: inflate(payload, HELLO)) == 1007


@pytest.mark.parametrize(("message", "whole"), [(b"Hello", 0), (TEXT[:3000], 0), (NOISE[:3000], 2)])
def test_a_message_that_is_cut_short(message: bytes, whole: int) -> None:
    """Where no window lives on it is noticed: at every byte but the headers of stored blocks, behind which a message may end."""
    payload = Deflater(15, False, level=6).deflate(message)
    for at in range(len(payload)):
        try:
            [found] = inflate(payload[:at], takeover=False)
        except WebSocketError as error:
            assert error.code == 1007
        else:
            assert message.startswith(found)
            assert payload[at - 1] == 0
            whole -= 1
    assert whole == 0


@given(st.binary(max_size=3000), st.booleans(), st.integers(8, 15), st.integers(0, 5000))
def test_any_bytes_are_a_message_or_an_error(payload: bytes, takeover: bool, bits: int, limit: int) -> None:
    inflater = Inflater(bits, takeover)
    for _ in range(2):
        try:
            message = inflater.inflate(payload, limit)
        except WebSocketError as error:
            assert error.code in (1007, 1009)
            assert 0 < len(error.reason.encode()) <= 123
            return
        assert len(message) <= limit


# -- bombs (W1, W8) ----------------------------------------------------------------------------------------------------------


def bomb(size: int) -> bytes:
    """A payload of about `size` bytes that inflates to a thousand times as much."""
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    unit = raw.compress(bytes(2**20)) + raw.flush(zlib.Z_FULL_FLUSH)
    units = size // len(unit)
    assert units * 2**20 > 900 * size
    return unit * units + b"\x00"


class Counted:
    """A decompressor that adds up what goes in, what comes out, and what of the input is copied to be kept."""

    taken = 0
    given = 0
    copied = 0
    made = 0
    calls = 0

    def __init__(self, window: int) -> None:
        self._raw = _decompressobj(window)
        Counted.made += 1

    def decompress(self, data: bytes, most: int) -> bytes:
        out = self._raw.decompress(data, most)
        Counted.calls += 1
        Counted.taken += len(data)
        Counted.given += len(out)
        Counted.copied += len(self._raw.unconsumed_tail) + len(self._raw.unused_data)
        return out

    @property
    def eof(self) -> bool:
        return self._raw.eof

    @property
    def unused_data(self) -> bytes:
        return self._raw.unused_data


_decompressobj = zlib.decompressobj


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Counted]]:
    Counted.taken = Counted.given = Counted.copied = Counted.made = Counted.calls = 0
    monkeypatch.setattr(websocket_deflate.zlib, "decompressobj", Counted)
    yield Counted


@pytest.mark.parametrize("takeover", [True, False])
def test_a_bomb_is_not_inflated_beyond_the_limit(takeover: bool, counted: type[Counted]) -> None:
    payload = bomb(2**20)
    assert close_code(lambda: inflate(payload, takeover=takeover, limit=2**20)) == 1009
    assert counted.given == 2**20 + 1
    assert counted.taken == len(payload)
    assert counted.copied < len(payload)


@pytest.mark.parametrize("takeover", [True, False])
def test_a_bomb_of_final_blocks(takeover: bool, counted: type[Counted]) -> None:
    payload = finished(bytes(2**20)) * 1000 + b"\x00"
    assert close_code(lambda: inflate(payload, takeover=takeover, limit=2**22)) == 1009
    assert counted.given == 2**22 + 1
    assert counted.taken < 2 * len(payload)
    assert counted.copied < 2 * len(payload)


@pytest.mark.parametrize("takeover", [True, False])
def test_a_bomb_takes_the_memory_of_the_limit(takeover: bool) -> None:
    payload = bomb(2**20)
    limit = 2**18
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        assert close_code(lambda: inflate(payload, takeover=takeover, limit=limit)) == 1009
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    # The rest of the payload is copied once by zlib; the pieces of what came out are joined once.
    assert limit < peak < len(payload) + 3 * limit


@pytest.mark.parametrize("takeover", [True, False])
def test_final_blocks_without_end(takeover: bool, counted: type[Counted]) -> None:
    """Each needs a decompressor, for two bytes of input: they are counted, and zlib copies no more than a piece of the rest."""
    payload = b"\x03\x00" * 4096 + b"\x00"
    assert inflate(payload, takeover=takeover, limit=10) == [b""]
    assert counted.made == 4097
    assert counted.copied < 5 * len(payload) + 4096 * 256
    counted.made = counted.copied = 0
    payload = b"\x03\x00" * 2**19 + b"\x00"
    assert close_code(lambda: inflate(payload, takeover=takeover, limit=10)) == 1009
    assert counted.made == 4097
    assert counted.copied < len(payload) + 4096 * 256


@pytest.mark.parametrize("takeover", [True, False])
def test_a_large_set_of_data_takes_few_steps(takeover: bool, counted: type[Counted]) -> None:
    payload = finished(b"Hello") + finished(NOISE) + b"\x00"
    assert inflate(payload, takeover=takeover) == [b"Hello" + NOISE]
    assert counted.calls < 15


def test_nothing_is_held_before_the_first_message() -> None:
    both = agreed(True, False)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        held = [(both.deflater(server=True), both.inflater(server=True)) for _ in range(20)]
        assert tracemalloc.get_traced_memory()[0] - before < 20 * 1000
        deflater, inflater = held[0]
        deflater.deflate(b"")
        assert tracemalloc.get_traced_memory()[0] - before < 20 * 1000
        inflater.inflate(deflater.deflate(b"Hello"), None)
        # The client's window does not live on, so nothing is held for it; the server's compressor is.
        assert 100_000 < tracemalloc.get_traced_memory()[0] - before < 170_000
    finally:
        tracemalloc.stop()


# -- beside other implementations --------------------------------------------------------------------------------------------


def factory_of(wish: Deflate, *, server: bool) -> Any:
    module = pytest.importorskip("websockets.extensions.permessage_deflate")
    arguments = (wish.server_no_context_takeover, wish.client_no_context_takeover, wish.server_max_window_bits)
    if server:
        return module.ServerPerMessageDeflateFactory(*arguments, wish.client_max_window_bits)
    return module.ClientPerMessageDeflateFactory(*arguments, wish.client_max_window_bits or True)


def spoken_of(extension: Any, *, server: bool) -> tuple[bool, bool, int, int]:
    """What `websockets` agreed on, in the order of `Agreed`."""
    local = (not extension.local_no_context_takeover, extension.local_max_window_bits)
    remote = (not extension.remote_no_context_takeover, extension.remote_max_window_bits)
    of_server, of_client = (local, remote) if server else (remote, local)
    return (of_server[0], of_client[0], of_server[1], of_client[1])


def ours(found: Agreed | None) -> tuple[bool, bool, int, int] | None:
    return found and (found.server_takeover, found.client_takeover, found.server_bits, found.client_bits)


# zlib's 8, which that library does not do for what it sends, is not among these.
NINES = (None, 9, 12, 15)
WISHES = [Deflate(*one) for one in product((False, True), (False, True), NINES, NINES)]
ANSWERS = st.lists(
    st.tuples(
        st.sampled_from(["server_max_window_bits", "client_max_window_bits"]),
        st.sampled_from([None, "7", "9", "09", "12", "15", "16"]),
    )
    | st.tuples(st.sampled_from(["server_no_context_takeover", "client_no_context_takeover", "x"]), st.sampled_from([None, "1"])),
    max_size=4,
)


@settings(max_examples=examples(300))
@given(st.sampled_from(WISHES), ANSWERS)
def test_negotiation_is_that_of_websockets(wish: Deflate, parameters: list[tuple[str, str | None]]) -> None:
    exceptions = pytest.importorskip("websockets.exceptions")
    text = "; ".join([NAME, *(name if value is None else f"{name}={value}" for name, value in parameters)])
    # as a client, of such an answer
    theirs: tuple[bool, bool, int, int] | None
    try:
        theirs = spoken_of(factory_of(wish, server=False).process_response_params(parameters, []), server=False)
    except exceptions.NegotiationError:
        theirs = None
    try:
        found = ours(wish.accept([text]))
    except InvalidResponse:
        found = None
    assert found == theirs
    # as a server, of such an offer
    answer: dict[str, str | None] | None
    try:
        pairs, extension = factory_of(wish, server=True).process_request_params(parameters, [])
        theirs, answer = spoken_of(extension, server=True), dict(pairs)
    except exceptions.NegotiationError:
        theirs = answer = None
    taken = wish.answer([text])
    assert (taken and ours(taken[0])) == theirs
    assert (taken and dict(parse_extensions([taken[1]], InvalidResponse)[0].parameters)) == answer


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("bits", [9, 12, 15])
def test_messages_to_and_from_websockets(bits: int, takeover: bool) -> None:
    module = pytest.importorskip("websockets.extensions.permessage_deflate")
    frames = pytest.importorskip("websockets.frames")
    there = module.PerMessageDeflate(not takeover, not takeover, bits, bits)
    deflater, inflater = Deflater(bits, takeover), Inflater(bits, takeover)
    for message in messages():
        frame = there.encode(frames.Frame(frames.Opcode.BINARY, message))
        assert inflater.inflate(bytes(frame.data), len(message)) == message
        back = there.decode(frames.Frame(frames.Opcode.BINARY, deflater.deflate(message), rsv1=True))
        assert bytes(back.data) == message


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("bits", [9, 12, 15])
@pytest.mark.parametrize("server", [True, False])
def test_negotiation_and_messages_with_wsproto(server: bool, bits: int, takeover: bool) -> None:
    module = pytest.importorskip("wsproto.extensions")
    protocol = pytest.importorskip("wsproto.frame_protocol")
    there = module.PerMessageDeflate(not takeover, bits, not takeover, bits)
    wish = Deflate()
    if server:  # we are
        taken = wish.answer([f"{NAME}; {there.offer()}"])
        assert taken is not None
        found: Agreed | None = taken[0]
        there.finalize(taken[1])
    else:
        found = wish.accept([f"{NAME}; {there.accept(wish.offer())}"])
    assert found is not None

    class Side:
        client = server

    deflater, inflater = found.deflater(server=server), found.inflater(server=server)
    for message in messages():
        rsv, data = there.frame_outbound(Side, protocol.Opcode.BINARY, protocol.RsvBits(False, False, False), message, True)
        assert rsv.rsv1
        assert inflater.inflate(data, len(message)) == message
        there.frame_inbound_header(Side, protocol.Opcode.BINARY, protocol.RsvBits(True, False, False), 0)
        got = there.frame_inbound_payload_data(Side, deflater.deflate(message))
        got += there.frame_inbound_complete(Side, True)
        assert got == message
