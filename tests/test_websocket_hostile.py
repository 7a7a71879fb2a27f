"""What a hostile peer may send to a WebSocket: the rows W1 to W8 of the advisories, in both roles.

Nothing here is timed.  What has to be refused "at once" is refused before its payload was sent; what has to be linear is done
with counts at which anything else would not end.
"""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest

from effort import some
from websocket_subject import ROLES, Subject
from websocket_wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    RSV1,
    TEXT,
    Frame,
    Squeezer,
    at_random,
    binary,
    chops,
    close,
    encode,
    judge,
    more,
    octets,
    ping,
    pong,
    split,
    text,
)
from wirebird.protocol.websocket_deflate import Agreed

pytestmark = pytest.mark.parametrize("role", ROLES)

MIB = 2**20


def fails(subject: Subject, code: int) -> None:
    """It has failed the connection with `code`, has said so, holds nothing of what came, and reads no more."""
    assert subject.code == code
    *_, last = subject.sent()
    assert (last.opcode, last.payload[:2]) == (CLOSE, code.to_bytes(2, "big"))
    assert str(subject.protocol.error) and "\n" not in str(subject.protocol.error)
    assert subject.protocol.missing == 0 and not subject.protocol.pending
    subject.is_silent()


def header(subject: Subject, frame: Frame, claim: int) -> bytes:
    """A header that claims so many bytes, and none of them."""
    return subject.wire(frame._replace(payload=b""), claim=claim)


# -- W2, W3: sizes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("claim", [2**20 + 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1])
def test_a_frame_beyond_the_limit_is_refused_by_its_header(role: str, opcode: int, claim: int) -> None:
    """W2, W3: not a byte of the payload has to come, and none is kept."""
    for cut in (chops, lambda data, _: octets(data)):
        subject = Subject(role)
        subject.feed(cut(header(subject, Frame(opcode), claim), 64))
        fails(subject, 1009)


@pytest.mark.parametrize("first", [b"", b"x" * 1000])
def test_fragments_are_added_up_before_they_come(role: str, first: bytes) -> None:
    """W3: the header with which the sum passes the limit is the last thing that is read."""
    for step in (1, 100, 1000):
        subject = Subject(role, max_size=10_000)
        subject.send(binary(first, fin=False))
        left = 10_000 - len(first)
        for _ in range(left // step):
            subject.send(more(b"y" * step))
        assert subject.code == 0
        subject.feed(header(subject, more(b""), left % step + 1))
        fails(subject, 1009)
        assert not subject.events


def test_the_limit_itself_is_allowed(role: str) -> None:
    subject = Subject(role, max_size=1000, echo=False)
    subject.send(binary(b"x" * 1000), *split(binary(b"y" * 1000), 1), *split(text("z" * 1000), 333))
    assert subject.events == [("binary", b"x" * 1000), ("binary", b"y" * 1000), ("text", "z" * 1000)]
    subject.send(*split(binary(b"y" * 1000), 1)[:-1])
    subject.feed(header(subject, more(b"", fin=True), 2))
    fails(subject, 1009)


@pytest.mark.parametrize("size", [0, 1, 100, 125])
def test_a_small_limit_holds_for_small_frames(role: str, size: int) -> None:
    """Frames of less than 126 bytes take a short way."""
    subject = Subject(role, max_size=size)
    subject.send(binary(b"x" * size))
    assert subject.sent() == [binary(b"x" * size)]
    subject.feed(header(subject, binary(b""), size + 1))
    fails(subject, 1009)
    subject = Subject(role, max_size=size)
    subject.send(binary(b"x" * (size + 1)))
    fails(subject, 1009)


def test_pings_are_no_part_of_a_message(role: str) -> None:
    subject = Subject(role, max_size=10, max_fragments=2)
    subject.send(binary(b"12345", fin=False), *(ping(b"x" * 125) for _ in range(10)), more(b"67890", fin=True))
    assert subject.events[-1] == ("binary", b"1234567890")
    subject.send(binary(b"", fin=False), more(b""), ping(), more(b""))
    fails(subject, 1009)


@pytest.mark.parametrize("claim", [2**63, 2**63 + 5, 2**64 - 1])
def test_the_top_bit_of_a_length(role: str, claim: int) -> None:
    """W8: RFC 6455 5.2, "the most significant bit MUST be 0"."""
    for opcode in (TEXT, BINARY):
        subject = Subject(role)
        subject.feed(header(subject, Frame(opcode), claim))
        fails(subject, 1002)


@pytest.mark.parametrize(
    ("width", "length"), [(2, 0), (2, 1), (2, 125), (8, 0), (8, 1), (8, 125), (8, 126), (8, 127), (8, 65535)]
)
def test_a_length_in_more_bytes_than_it_needs(role: str, width: int, length: int) -> None:
    """RFC 6455 5.2: "the minimal number of bytes MUST be used"."""
    for frames in ([binary(b"x" * length)], [text("a", fin=False), more("x" * length, fin=True)]):
        for cut in (1, 7, 10**6):
            subject = Subject(role)
            wrong = subject.wire(frames[-1], width=width)
            subject.feed(chops(b"".join(map(subject.wire, frames[:-1])) + wrong, cut))
            fails(subject, 1002)


@pytest.mark.parametrize("length", [126, 127, 128, 65535, 65536, 65537])
def test_lengths_that_need_their_bytes(role: str, length: int) -> None:
    subject = Subject(role)
    subject.send(binary(b"x" * length))
    assert subject.sent() == [binary(b"x" * length)]
    subject.closes_well()


# -- W5: reserved bits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG, CLOSE])
def test_reserved_bits_without_an_extension(role: str, opcode: int, rsv: int) -> None:
    """W5: nothing is inflated that was not agreed upon."""
    squeezed = Squeezer().squeeze(b"Hello") if opcode in (TEXT, BINARY) else b""
    subject = Subject(role)
    subject.send(Frame(opcode, squeezed, rsv=rsv))
    fails(subject, 1002)
    assert not subject.events


@pytest.mark.parametrize(
    "frames",
    [
        [Frame(PING, b"", rsv=RSV1)],
        [Frame(PONG, b"", rsv=RSV1)],
        [Frame(CLOSE, b"", rsv=RSV1)],
        [text("a", fin=False), more("b", fin=True, rsv=RSV1)],
        [text(Squeezer().squeeze(b"a"), fin=False, rsv=RSV1), more("b", rsv=RSV1)],
        *([Frame(TEXT, b"", rsv=rsv)] for rsv in (1, 2, 3, 5, 6, 7)),
    ],
    ids=repr,
)
def test_reserved_bits_where_compression_was_agreed(role: str, frames: list[Frame]) -> None:
    """RFC 7692 6: RSV1 is for the first frame of a message; the other bits mean nothing still."""
    subject = Subject(role, deflate=Agreed())
    subject.send(*frames)
    fails(subject, 1002)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_unknown_opcodes(role: str, opcode: int) -> None:
    for frames in ([Frame(opcode)], [text("a", fin=False), Frame(opcode)], [Frame(opcode, fin=False)]):
        subject = Subject(role)
        subject.send(*frames)
        fails(subject, 1002)


# -- W6: fragments, masks, control frames ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frames",
    [
        [more("a")],
        [more("a", fin=True)],
        [text("a"), more("b", fin=True)],
        [text("a", fin=False), more("b", fin=True), more("c", fin=True)],
        [text("a", fin=False), ping(), text("b")],
        [text("a", fin=False), text("b", fin=False)],
        [binary(b"a", fin=False), more("b"), binary(b"c")],
        [text("a", fin=False), binary(b"b")],
    ],
    ids=repr,
)
def test_fragments_out_of_place(role: str, frames: list[Frame]) -> None:
    """W6: a continuation of nothing, and a message inside another."""
    for trail in ([], [text("x"), ping()]):
        subject = Subject(role)
        subject.feed(b"".join(map(subject.wire, [*frames, *trail])))
        fails(subject, 1002)
        assert all(event[0] == "ping" or event[1] in ("a", "ab") for event in subject.events)


@pytest.mark.parametrize("frame", [text("a"), text("a" * 200), binary(b""), ping(), close(1000), more("a")], ids=repr)
def test_a_mask_where_none_may_be_and_none_where_it_must(role: str, frame: Frame) -> None:
    """T25, B6: what a client sends is masked, what a server sends is not; RFC 6455 5.1 has no mercy."""
    subject = Subject(role)
    subject.feed(encode(frame, None if role == "server" else b"\0\0\0\0"))
    fails(subject, 1002)
    assert not subject.events


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_control_frames_that_are_too_long_or_in_fragments(role: str, opcode: int) -> None:
    for frame in (Frame(opcode, bytes(126)), Frame(opcode, bytes(70000)), Frame(opcode, b"", fin=False)):
        subject = Subject(role)
        subject.feed(subject.wire(frame)[:2])  # it shows in the first two bytes
        fails(subject, 1002)


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 5001, 65535])
def test_close_codes_that_may_not_be_sent(role: str, code: int) -> None:
    for frame in (close(code), close(code, "why")):
        subject = Subject(role)
        subject.send(frame)
        fails(subject, 1002)
        assert subject.protocol.close_received is None


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999])
def test_close_codes_that_may_be_sent(role: str, code: int) -> None:
    subject = Subject(role)
    subject.send(close(code, "why \u20ac"))
    assert subject.events == [("close", code, "why \u20ac")]
    assert subject.sent() == [close(code)] and subject.code == 0
    subject.is_silent()


def test_half_a_close_code(role: str) -> None:
    subject = Subject(role)
    subject.send(Frame(CLOSE, b"\x03"))
    fails(subject, 1002)


@pytest.mark.parametrize("reason", [b"\xff", b"\xce", b"\xed\xa0\x80", b"ok\xc0\x80", b"\xf4\x90\x80\x80"])
def test_a_reason_that_is_not_utf8(role: str, reason: bytes) -> None:
    subject = Subject(role)
    subject.send(close(1000, reason))
    fails(subject, 1007)
    assert not subject.events


def test_data_behind_a_close_frame(role: str) -> None:
    """RFC 6455 1.4, 5.5.1: it is discarded, in the same segment or a later one, and wrong data too."""
    random = Random(6)
    for trail in ([text("a")], [ping(b"a")], [close(1001)], [more("wrong")], [Frame(15)], [text(b"\xff")]):
        subject = Subject(role)
        stream = b"".join(map(subject.wire, [text("before"), close(1000), *trail]))
        for pieces in ([stream], octets(stream), at_random(stream, random)):
            subject = Subject(role, echo=False)
            subject.feed(pieces)
            assert subject.events == [("text", "before"), ("close", 1000, "")]
            assert subject.sent() == [close(1000)]
            subject.is_silent()


def test_what_comes_behind_a_close_frame_of_ours(role: str) -> None:
    """We closed first: what is on its way is still read, and pings are answered until the peer's close frame (RFC 6455 5.5.2)."""
    subject = Subject(role)
    subject.out += subject.protocol.close(1000)
    subject.send(text("on its way"), ping(b"alive"), close(1000), ping(b"too late"))
    assert subject.events == [("text", "on its way"), ("ping", b"alive"), ("close", 1000, "")]
    assert subject.sent() == [close(1000), pong(b"alive")]
    subject.is_silent()


def test_what_is_wrong_behind_a_close_frame_of_ours(role: str) -> None:
    """A mistake in it ends the reading, with no second close frame."""
    subject = Subject(role)
    subject.out += subject.protocol.close(1000)
    subject.send(text("on its way"), more("wrong"))
    assert subject.events == [("text", "on its way")] and subject.code == 1002
    assert subject.sent() == [close(1000)]
    subject.is_silent()


# -- W1, W4, W7: memory and time ---------------------------------------------------------------------------------------


def _tiny(role: str, count: int) -> bytes:
    """A message of so many fragments of a byte each, but for its last."""
    mask, key = (0x80, b"\0\0\0\0") if role == "server" else (0, b"")
    return bytes([BINARY, mask | 1]) + key + b"a" + (bytes([CONTINUATION, mask | 1]) + key + b"b") * (count - 1)


def test_a_million_tiny_fragments_take_linear_time(role: str) -> None:
    """W7: were all that came so far copied with each, it would be 500 GB."""
    count = some(10**6, 10**5)
    subject = Subject(role, max_size=None, max_fragments=count + 1, echo=False)
    subject.feed(chops(_tiny(role, count), 65536))
    assert subject.events == [] and subject.code == 0
    subject.send(more(b"c", fin=True))
    ((kind, data),) = subject.events
    assert (kind, len(data), data[:2], data[-2:]) == ("binary", count + 1, b"ab", b"bc")


@pytest.mark.parametrize("most", [1, 2, 1024])
def test_fragments_are_counted(role: str, most: int) -> None:
    """W7: however small they are, and empty ones too; a message of exactly so many is one."""
    for payload in (b"", b"a"):
        fragments = split(binary(b"a" * most), 1)
        fragments = [frame._replace(payload=payload) for frame in fragments]
        subject = Subject(role, max_fragments=most)
        subject.send(*fragments)
        assert subject.sent() == [binary(payload * most)]
        subject.out.clear()
        subject.send(*(frame._replace(fin=False) for frame in fragments))
        assert subject.code == 0
        subject.feed(header(subject, more(b""), 1))
        fails(subject, 1009)


def test_fragments_without_end(role: str) -> None:
    """What no caller has changed counts them too."""
    subject = Subject(role)
    empty = subject.wire(more(b""))
    subject.send(text("", fin=False))
    for _ in range(40):
        subject.feed(empty * 10_000)
        assert not subject.protocol.missing
        if subject.code:
            break
    fails(subject, 1009)


def test_a_frame_byte_by_byte_takes_its_own_size(role: str) -> None:
    """W4: a frame that is dribbled in takes little more than what came of it; so do fragments of a byte."""
    size = 16 * 1024
    frame = Subject(role).wire(binary(bytes(2 * size)))[:size]
    for pieces in (octets(frame), chops(_tiny(role, size), 40)):
        subject = Subject(role, max_fragments=MIB, echo=False)
        tracemalloc.start()
        try:
            subject.feed(pieces)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert subject.events == [] and subject.code == 0
        assert peak < 2 * size + 16 * 1024


def test_a_bomb_is_not_inflated(role: str) -> None:
    """W1: it is given up where the limit is passed, in one frame or in many that are small each."""
    bomb = Squeezer(level=1).squeeze(bytes(32 * MIB))
    for frames in ([binary(bomb, rsv=RSV1)], split(binary(bomb, rsv=RSV1), 10_000)):
        subject = Subject(role, deflate=Agreed())
        tracemalloc.start()
        try:
            subject.send(*frames)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        fails(subject, 1009)
        assert not subject.events
        assert peak < 4 * MIB


def test_sizes_of_compressed_messages(role: str) -> None:
    """What a header says may be a little more than the limit, as what cannot be compressed becomes longer; and no more."""
    noise = Random(1).randbytes(10_001)
    for size, frames in ((10_000, 1), (10_000, 3000), (10_001, 1), (10_001, 3000)):
        message = binary(Squeezer().squeeze(noise[:size]), rsv=RSV1)
        assert len(message.payload) > size
        subject = Subject(role, deflate=Agreed(), max_size=10_000, echo=False)
        subject.send(*split(message, frames if frames > 1 else 10**6))
        if size == 10_000:
            assert subject.events == [("binary", noise[:size])]
            subject.closes_well()
        else:
            fails(subject, 1009)
    for claim in (10_500, 2**62):
        for first in ([], [binary(b"", fin=False, rsv=RSV1)]):
            subject = Subject(role, deflate=Agreed(), max_size=10_000)
            subject.send(*first)
            subject.feed(header(subject, more(b"") if first else binary(b"", rsv=RSV1), claim))
            fails(subject, 1009)


def test_messages_that_inflate_are_not_all_inflated_at_once(role: str) -> None:
    """A thousand small frames in one segment, each of a megabyte when inflated: `proceed` takes them up one after the other."""
    squeezer = Squeezer(takeover=False)
    squeezed = squeezer.squeeze(bytes(MIB))
    subject = Subject(role, deflate=Agreed(), echo=False)
    stream = subject.wire(binary(squeezed, rsv=RSV1)) * 1000
    protocol = subject.protocol
    events = protocol.receive(stream, len(stream))
    count = 0
    while events:
        assert sum(len(event.data) for event in events) <= 3 * MIB
        count += len(events)
        events = protocol.proceed() if protocol.pending else []
        if count > 20:
            return
    pytest.fail(f"only {count}")


def test_what_is_no_deflate(role: str) -> None:
    """RFC 7692 7.2.2 leaves the code open; what a payload is not, it cannot be consistent with: 1007."""
    for payload in (b"\xff" * 20, b"\x06\x06", b"Hello"):
        subject = Subject(role, deflate=Agreed())
        subject.send(binary(payload, rsv=RSV1))
        fails(subject, 1007)


def test_text_is_text_when_it_is_inflated(role: str) -> None:
    squeezer = Squeezer()
    subject = Subject(role, deflate=Agreed())
    subject.send(text(squeezer.squeeze(b"good"), rsv=RSV1), text(squeezer.squeeze(b"bad \xff"), rsv=RSV1))
    fails(subject, 1007)
    assert subject.events == [("text", "good")]


# -- the short way is no other way -------------------------------------------------------------------------------------


def test_wrong_frames_between_right_ones(role: str) -> None:
    """Every kind of mistake behind and before frames that take the short way, whole and cut: what a plain reader says."""
    wrong = [
        *(Frame(opcode) for opcode in (0, 3, 7, 11, 15)),
        *(text("x", rsv=rsv) for rsv in range(1, 8)),
        *(text(b"\xff"), text(b"\xce"), text(b"\xed\xa0\x80", fin=False)),
        *(Frame(PING, b"x", fin=False), close(1005), Frame(CLOSE, b"x"), close(1000, b"\xff")),
    ]
    random = Random(4)
    for frame in wrong:
        subject = Subject(role)
        stream = b"".join(map(subject.wire, [text("a"), binary(b"b"), frame, text("c"), ping(b"d")]))
        verdict = judge(stream, server=role == "server")
        assert verdict.code and verdict.events == [("text", "a"), ("binary", b"b")]
        for pieces in ([stream], octets(stream), *(at_random(stream, random, most=5) for _ in range(5))):
            subject = Subject(role, echo=False)
            subject.feed(pieces)
            assert (subject.events, subject.code) == (verdict.events, verdict.code)
            fails(subject, verdict.code)
