"""Content codings: every stack gives back what went in, nothing is cut short in silence, and no bomb goes off."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tracemalloc
import types
import zlib
from contextlib import contextmanager
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import ALL, examples
from wirebird.errors import DecodingError, LimitExceeded, UsageError
from wirebird.protocol import coding_streams, codings
from wirebird.protocol.codings import (
    DEFAULT_CODING_LIMITS,
    STEP,
    CodingLimits,
    accept_encoding,
    decode_body,
    make_decoder,
    make_encoder,
)

MIB = 1024 * 1024
CODINGS = [name for name in ("gzip", "deflate", "br", "zstd") if coding_streams.is_usable(name)]
needs_br = pytest.mark.skipif("br" not in CODINGS, reason="no brotli library is installed")
needs_zstd = pytest.mark.skipif("zstd" not in CODINGS, reason="no zstd library is installed")


def encode(data: bytes, *stack: str) -> bytes:
    for coding in stack:
        encoder = make_encoder(coding)
        data = encoder.encode(data) + encoder.flush()
    return data


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


def decode(coding, pieces, size=STEP, **limits) -> bytes:
    decoder = make_decoder(coding, **limits)
    assert decoder is not None
    out = []
    for piece in pieces:
        decoder.feed(piece)
        while got := decoder.pull(size):
            assert len(got) <= min(size, STEP)
            out.append(got)
    decoder.finish()
    return b"".join(out)


@contextmanager
def memory(most: int):
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak} bytes were held"


# ---------------------------------------------------------------------------------------------------------- what comes out

BODIES = st.binary(max_size=400) | st.builds(
    lambda part, times: part * times, st.binary(min_size=1, max_size=9), st.integers(0, 40_000)
)
SIZES = st.lists(st.integers(0, 5000), max_size=12)


@settings(max_examples=examples(150), deadline=None)
@given(
    BODIES,
    st.lists(st.sampled_from(CODINGS), min_size=1, max_size=5),
    SIZES,
    st.sampled_from([1, 7, 1000, 32752, STEP, 10 * STEP]),
)
def test_any_stack_any_cut(data, stack, sizes, size):
    wire = encode(data, *stack)
    if size < 1000:
        data, wire = data[:2000], encode(data[:2000], *stack)
    assert decode(", ".join(stack), cut(wire, sizes), size) == data
    assert decode_body(wire, stack) == data


@pytest.mark.parametrize("coding", CODINGS)
def test_one_byte_at_a_time(coding):
    data = b"one byte at a time, " * 200
    wire = encode(data, coding)
    assert decode(coding, [wire[at : at + 1] for at in range(len(wire))], 1) == data


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_callers_buffer_is_not_kept(kind):
    wire = encode(b"x" * 1000, "gzip")
    decoder = make_decoder("gzip")
    buffer = bytearray(wire)
    decoder.feed(bytes(buffer) if kind is bytes else kind(buffer))
    buffer[:] = bytes(len(buffer))
    assert b"".join(iter(decoder.pull, b"")) == b"x" * 1000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("gzip", ("gzip",)),
        ("GZip", ("gzip",)),
        ("x-gzip", ("gzip",)),
        ("X-GZIP , Deflate", ("gzip", "deflate")),
        (["deflate", "gzip"], ("deflate", "gzip")),
        (["deflate, identity", ", ,", "gzip"], ("deflate", "gzip")),
        ("identity", None),
        ("", None),
        ([], None),
        ("compress", None),
        ("gzip, x-deflate", None),
        ("unknown, gzip", None),
        ("gzip;q=1", None),
        ("\x0bgzip", None),
        ("gzip\x0b", None),
        ("ｇｚｉｐ", None),
    ],
)
def test_the_list(value, expected):
    decoder = make_decoder(value)
    assert (decoder and decoder.codings) == expected
    if decoder:
        assert decoder.decode_whole(encode(b"listed", *expected)) == b"listed"
    else:
        assert decode_body(b"as it is", value) == b"as it is"


def test_the_list_is_limited():
    assert make_decoder("gzip, " * 5) is not None
    assert make_decoder("gzip, " * 5 + "identity, " * 50) is not None
    for value in ("gzip, " * 6, ["gzip"] * 1000, "x, " * 6):
        with pytest.raises(LimitExceeded) as caught:
            make_decoder(value)
        assert (caught.value.limit, caught.value.maximum) == ("content codings", 5)
    with pytest.raises(LimitExceeded):
        decode_body(b"", "gzip, " * 6)


@pytest.mark.parametrize("coding", [*CODINGS, ", ".join(CODINGS)])
def test_an_empty_body_is_empty(coding):
    decoder = make_decoder(coding)
    decoder.feed(b"")
    assert decoder.pull() == b""
    decoder.finish()
    assert decode_body(b"", coding) == b""
    assert decode_body(encode(b"", *coding.split(", ")), coding) == b""


def test_gzip_members():
    wire = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")
    for sizes in ([], [1] * len(wire), [len(gzip.compress(b"one "))]):
        assert decode("gzip", cut(wire, sizes)) == b"one two"
    assert decode_body(wire, "gzip") == b"one two"
    assert decode_body(wire + bytes(1000), "gzip") == b"one two"
    assert decode("gzip", [wire + bytes(3), bytes(40_000), b"\0"]) == b"one two"
    assert decode_body(wire + bytes(8) + gzip.compress(b"!"), "gzip") == b"one two!"


def test_zeros_alone_are_no_gzip():
    with pytest.raises(DecodingError):
        decode_body(bytes(100), "gzip")


@needs_zstd
def test_zstd_frames():
    skippable = b"\x50\x2a\x4d\x18\x05\0\0\0hello"
    wire = encode(b"one ", "zstd") + skippable + encode(b"two", "zstd")
    for sizes in ([], [1] * len(wire)):
        assert decode("zstd", cut(wire, sizes)) == b"one two"


@pytest.mark.parametrize("behind", [b"x", b"\r\n", b"\x1f", b"\x1f\x8b", bytes(1) + b"x", b"\xff" * 5000])
@pytest.mark.parametrize("coding", CODINGS)
def test_bytes_behind_the_end(coding, behind):
    wire = encode(b"the body", coding)
    for pieces in ([wire + behind], [wire, behind], [wire, *(behind[at : at + 1] for at in range(min(len(behind), 9)))]):
        with pytest.raises(DecodingError) as caught:
            decode(coding, pieces)
        assert caught.value.coding == coding
    with pytest.raises(DecodingError):
        decode_body(wire + behind, coding)


@given(st.binary(max_size=3000), st.integers(0, 4))
def test_raw_deflate(data, first):
    wire = raw_deflate(data)
    assert decode("deflate", cut(wire, [first])) == data
    assert decode("deflate", cut(wire, [first]), 1) == data
    assert decode_body(wire, "deflate") == data


def test_output_that_waits_inside_the_stream():
    assert decode("deflate", [raw_deflate(b"x" * 5000)], 1) == b"x" * 5000
    encoder = make_encoder("gzip")
    decoder = make_decoder("gzip")
    decoder.feed(encoder.encode(b"x" * 5000) + encoder.flush(final=False))
    assert b"".join(iter(lambda: decoder.pull(1), b"")) == b"x" * 5000


# ------------------------------------------------------------------------------------------------- what must not pass silently


@pytest.mark.parametrize("data", [b"a", b"truncated " * 30, bytes(range(256))], ids=["one", "text", "bytes"])
@pytest.mark.parametrize("coding", [*CODINGS, "raw deflate", "gzip, deflate", ", ".join(CODINGS)])
def test_truncated_at_every_byte(coding, data):
    wire = raw_deflate(data) if coding == "raw deflate" else encode(data, *coding.split(", "))
    coding = coding.removeprefix("raw ")
    assert decode_body(wire, coding) == data
    for end in range(1, len(wire), 1 if ALL else 1 + len(wire) // 100):
        with pytest.raises(DecodingError):
            decode(coding, [wire[:end]])
        with pytest.raises(DecodingError):
            decode_body(wire[:end], coding)
        with pytest.raises(DecodingError):
            decode(coding, [wire[at : at + 1] for at in range(end)])


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_every_flipped_bit_is_found(coding):
    data = b"flipped bits " * 5
    wire = encode(data, coding)
    for at in range(len(wire) * 8):
        broken = bytearray(wire)
        broken[at // 8] ^= 1 << at % 8
        try:
            assert decode_body(bytes(broken), coding) == data  # bits of gzip's mtime, OS and the like mean nothing
        except DecodingError as error:
            assert error.coding == coding


@settings(max_examples=examples(150), deadline=None)
@given(st.sampled_from(CODINGS), st.binary(min_size=1, max_size=300), SIZES)
def test_garbage_raises_nothing_else(coding, garbage, sizes):
    for data in (garbage, encode(b"good", coding)[:6] + garbage):
        try:
            decode(coding, cut(data, sizes))
        except DecodingError as error:
            assert error.coding == coding


def test_a_decoder_is_dropped_after_an_error():
    decoder = make_decoder("gzip")
    decoder.feed(b"no gzip at all")
    with pytest.raises(DecodingError):
        decoder.pull()
    for again in (decoder.pull, decoder.finish, lambda: decoder.feed(b"x")):
        with pytest.raises(DecodingError, match="dropped"):
            again()
    assert "dropped" in repr(decoder)


def test_no_memory_drops_the_stream(monkeypatch):
    calls = []

    class Stream:
        unconsumed_tail = unused_data = b""
        eof = False

        def decompress(self, data, size):
            calls.append(size)
            raise MemoryError

    monkeypatch.setattr(coding_streams.zlib, "decompressobj", lambda window: Stream())
    decoder = make_decoder("deflate")
    decoder.feed(b"xxx")
    with pytest.raises(MemoryError):
        decoder.pull()
    with pytest.raises(DecodingError, match="dropped"):
        decoder.pull()
    assert len(calls) == 1


def test_finish_wants_everything_pulled():
    decoder = make_decoder("gzip")
    decoder.feed(encode(b"x" * 10, "gzip"))
    with pytest.raises(UsageError):
        decoder.finish()
    assert decoder.pull(3) == b"xxx"
    with pytest.raises(UsageError):
        decoder.finish()
    assert decoder.pull() + decoder.pull() == b"x" * 7
    decoder.finish()
    with pytest.raises(UsageError) as caught:
        decoder.pull(0)
    assert caught.value.argument == "size"


# --------------------------------------------------------------------------------------------------------------------- bombs


def endless_gzip(times: int) -> bytes:
    """A gzip body of `times` * 64 MiB zeros; its end, which nobody gets to, is missing."""
    stream = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = stream.compress(b"") + stream.flush(zlib.Z_FULL_FLUSH)
    part = b"".join([*(stream.compress(bytes(MIB)) for _ in range(64)), stream.flush(zlib.Z_FULL_FLUSH)])
    return head + part * times


TEN_GIB = endless_gzip(160)


@cache
def bomb(coding: str) -> bytes:
    if coding == "gzip":
        return TEN_GIB
    encoder = make_encoder(coding)
    return b"".join([*(encoder.encode(bytes(MIB)) for _ in range(128)), encoder.flush()])


@pytest.mark.parametrize("coding", CODINGS)
def test_reading_a_little_of_a_bomb_holds_a_little(coding):
    wire = bomb(coding)
    with memory(MIB):
        decoder = make_decoder(coding)
        decoder.feed(wire)
        for size in (1024, 1, STEP, 1024):
            piece = decoder.pull(size)
            assert 1 <= len(piece) <= size
            assert not any(piece)
    with memory(MIB):
        decoder = make_decoder(coding)
        pieces = decoder.decode(wire)
        assert sum(len(next(pieces)) for _ in range(100)) <= 100 * STEP


@pytest.mark.parametrize("coding", CODINGS)
def test_a_size_that_was_set(coding):
    wire = bomb(coding)
    with memory(2 * MIB + MIB // 2), pytest.raises(LimitExceeded) as caught:
        decode_body(wire, coding, max_size=MIB)
    error = caught.value
    assert (error.limit, error.maximum, error.status) == ("max_body_size", MIB, 413)


@pytest.mark.parametrize("coding", CODINGS)
def test_the_size_to_the_byte(coding):
    for size in (0, 1, 1000, STEP - 1, STEP, STEP + 1, 200_000):
        wire = encode(bytes(size), coding)
        assert decode_body(wire, coding, max_size=size) == bytes(size)
        for pull in (100_000, 900):
            assert decode(coding, [wire], pull, max_size=size) == bytes(size)
        if size:
            with pytest.raises(LimitExceeded):
                decode_body(wire, coding, max_size=size - 1)
            with pytest.raises(LimitExceeded):
                decode(coding, [wire], 900, max_size=size - 1)


@pytest.mark.parametrize("coding", CODINGS)
def test_one_byte_too_many_is_enough(coding):
    decoder = make_decoder(coding, max_size=1000)
    decoder.feed(bomb(coding))
    with pytest.raises(LimitExceeded):
        decoder.pull()
    assert decoder.produced == 1001


@pytest.mark.parametrize("coding", CODINGS)
def test_the_default_limit(coding):
    decoder = make_decoder(coding)
    decoder.feed(bomb(coding)[: 2 * MIB])
    total = 0
    with memory(MIB), pytest.raises(LimitExceeded) as caught:
        while piece := decoder.pull():
            total += len(piece)
    assert (caught.value.limit, caught.value.maximum) == ("decompressed body", 100 * MIB)
    assert 99 * MIB < total <= 100 * MIB


def test_the_ratio_counts_what_was_received():
    limits = CodingLimits(ratio=10, free=1000)
    wire = encode(bytes(range(256)) * 4 + bytes(30_000), "deflate")
    assert 3000 < 10 * len(wire) < 31_024
    with pytest.raises(LimitExceeded) as caught:
        decode_body(wire, "deflate", limits=limits)
    assert caught.value.maximum == 10 * len(wire)
    assert decode_body(encode(bytes(1000), "gzip"), "gzip", limits=limits) == bytes(1000)
    assert len(decode_body(wire, "deflate", limits=CodingLimits(ratio=100, free=0))) == 31_024


@pytest.mark.parametrize("outer", CODINGS)
def test_bombs_inside_bombs(outer):
    wire = encode(TEN_GIB[: 4 * MIB], *[outer] * 3)
    assert len(wire) < 100_000
    with memory(2 * MIB), pytest.raises(LimitExceeded):
        for _ in make_decoder(["gzip", *[outer] * 3], max_size=MIB).decode(wire):
            pass


@pytest.mark.parametrize("outer", CODINGS)
def test_a_body_that_grows_only_in_the_middle(outer):
    empty = b"\0\0\0\xff\xff"  # a stored block without data
    inner = gzip.compress(b"")[:10] + empty * (4 * MIB)
    wire = encode(inner, outer)
    with memory(2 * MIB), pytest.raises(LimitExceeded) as caught:
        decode_body(wire, ["gzip", outer], max_size=MIB)
    assert caught.value.maximum <= MIB + STEP


@pytest.mark.parametrize("coding", [name for name in CODINGS if name in ("gzip", "zstd")])
def test_members_are_counted(coding):
    part = encode(b"", coding)
    assert decode_body(part * 10_000, coding) == b""
    with pytest.raises(LimitExceeded) as caught:
        decode_body(part * 200_000, coding)
    assert (caught.value.limit, caught.value.maximum) == ("members", 10_000)
    with pytest.raises(LimitExceeded):
        decode_body(part * 4, coding, limits=CodingLimits(members=3))


@needs_zstd
def test_zstd_windows_are_limited():
    library = coding_streams.load_zstd()
    options = {library.CompressionParameter.window_log: 24}
    compressor = library.ZstdCompressor(options=options)
    wire = compressor.compress(b"x" * 1000) + compressor.flush()
    with pytest.raises(DecodingError):
        decode_body(wire, "zstd")
    encoder = make_encoder("zstd", 20)
    assert decode_body(encoder.encode(b"x" * 1000) + encoder.flush(), "zstd") == b"x" * 1000


def test_limits_are_checked():
    for name, value in (("ratio", -1), ("free", 1.5), ("codings", 0), ("members", True)):
        with pytest.raises(UsageError) as caught:
            CodingLimits(**{name: value})
        assert caught.value.argument == name
    assert CodingLimits(10, 100 * MIB, 5, 10_000) == DEFAULT_CODING_LIMITS


# --------------------------------------------------------------------------------------------------------------- libraries


@pytest.fixture
def fresh_libraries():
    caches = (coding_streams.load_brotli, coding_streams.load_zstd, coding_streams.errors_of, coding_streams.is_installed)
    for cached in (*caches, accept_encoding):
        cached.cache_clear()
    yield
    for cached in (*caches, accept_encoding):
        cached.cache_clear()


def test_accept_encoding():
    assert accept_encoding() == ", ".join(CODINGS)


def test_missing_libraries(monkeypatch, fresh_libraries):
    for name in ("brotli", "brotlicffi", "backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    assert make_decoder("br") is None
    assert make_decoder("gzip, zstd") is None
    assert decode_body(b"as it is", "br") == b"as it is"
    assert "br" not in accept_encoding()
    for coding in ("br", "zstd"):
        with pytest.raises(UsageError, match=r"wirebird\[compression\]"):
            make_encoder(coding)


def test_a_brotli_without_an_output_limit_is_refused(monkeypatch, fresh_libraries):
    old = types.ModuleType("brotli")
    old.Decompressor = type("Decompressor", (), {"process": lambda self, data: data})
    monkeypatch.setitem(sys.modules, "brotli", old)
    monkeypatch.setitem(sys.modules, "brotlicffi", None)
    assert make_decoder("br") is None
    assert "br" not in accept_encoding()


def test_brotlicffi(monkeypatch, fresh_libraries):
    pytest.importorskip("brotlicffi")
    monkeypatch.setitem(sys.modules, "brotli", None)
    data = b"through the other binding " * 4000
    wire = encode(data, "br")
    assert coding_streams.load_brotli().__name__ == "brotlicffi"
    for size in (1000, STEP):
        assert decode("br", [wire], size) == data
        assert decode("br", [wire[at : at + 1] for at in range(len(wire))], size) == data
    for broken in (wire[:-1], wire + b"x", b"\xff" * 9):
        with pytest.raises(DecodingError):
            decode_body(broken, "br")
    with memory(MIB):
        decoder = make_decoder("br")
        decoder.feed(wire := encode(bytes(MIB // 4), "br"))
        assert decoder.pull(1024) == bytes(1024)
    with pytest.raises(LimitExceeded):
        decode_body(wire, "br", max_size=MIB // 4 - 1)


def test_nothing_is_loaded_before_it_is_needed():
    program = (
        "import sys, wirebird.protocol.codings as codings\n"
        "codings.make_decoder('gzip').decode_whole(b'')\n"
        "loaded = [name for name in sys.modules if 'brotli' in name or 'zstd' in name]\n"
        "sys.exit(str(loaded) if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------------------------------------------------- encoders


@pytest.mark.parametrize("coding", CODINGS)
def test_levels(coding):
    data = b"levels and levels " * 100
    low, high = codings._LEVELS[coding]
    make_encoder(coding, high)
    for level in (None, low, min(high, 11)):  # beyond it zstd takes its time
        encoder = make_encoder(coding.upper(), level)
        assert decode_body(encoder.encode(data) + encoder.flush(), coding) == data
    for level in (low - 1, high + 1, True, 1.5, "6"):
        with pytest.raises(UsageError) as caught:
            make_encoder(coding, level)
        assert caught.value.argument == "level"


@pytest.mark.parametrize("coding", ["identity", "compress", "", "gzip, br", None])
def test_unknown_codings(coding):
    with pytest.raises(UsageError) as caught:
        make_encoder(coding)
    assert caught.value.argument == "coding"


@pytest.mark.parametrize("coding", CODINGS)
def test_what_was_encoded_can_be_had_at_once(coding):
    encoder = make_encoder(coding)
    decoder = make_decoder(coding)
    for part in (b"first", b"second" * 1000, b"third"):
        got = b"".join(decoder.decode(encoder.encode(part) + encoder.flush(final=False)))
        assert got == part
    assert b"".join(decoder.decode(encoder.flush())) == b""
    decoder.finish()
    assert (decoder.produced, decoder.received > 0) == (6010, True)
    for again in (encoder.flush, lambda: encoder.encode(b"x"), lambda: encoder.flush(final=False)):
        with pytest.raises(UsageError):
            again()


def test_gzip_is_the_same_every_time():
    assert encode(b"x", "x-gzip") == encode(b"x", "gzip")
    assert encode(b"x", "gzip")[4:8] == bytes(4)  # no time of day in it
