"""Properties of the WebSocket engine: any frames, any bytes, any cuts; and what two other libraries make of them.

`judge` of `websocket_wire.py` is a reader that has everything at once and looks at it plainly.  The engine must agree with it,
for every segmentation.  `websockets` and `wsproto` are asked about whole frames, and where they differ it is said why.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, repeat
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from effort import examples
from websocket_subject import ROLES, Subject, outcome
from websocket_wire import (
    BINARY,
    CLOSE,
    CLOSE_CODES,
    CONTINUATION,
    PING,
    PONG,
    RSV1,
    TEXT,
    Expander,
    Frame,
    Squeezer,
    at_random,
    close,
    decode,
    judge,
    octets,
    ping,
    pong,
)
from wirebird.errors import UsageError
from wirebird.protocol.websocket import Protocol
from wirebird.protocol.websocket_deflate import Agreed
from wirebird.protocol.websocket_frames import apply_mask, encode_frame, mask_in_python

each = settings(max_examples=examples(100))
roles = st.sampled_from(ROLES)
seeds = st.integers(0, 2**32)

# -- strategies --------------------------------------------------------------------------------------------------------

words = st.text("ab \xe9\u20ac\U0001f426", max_size=12) | st.sampled_from(["", "x" * 125, "x" * 126, "\u20ac" * 50, "y" * 70000])
blobs = st.binary(max_size=12) | st.sampled_from([b"", b"\xff" * 125, b"\xff" * 126, b"\x00" * 65535, b"\x00" * 65536])
small = st.binary(max_size=125)


@st.composite
def messages(draw: st.DrawFn) -> list[Frame]:
    """One message, in one frame or in some, cut anywhere: in the middle of a letter too."""
    kind, payload = draw(words.map(lambda each: (TEXT, each.encode())) | blobs.map(lambda each: (BINARY, each)))
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    bounds = [0, *cuts, len(payload)]
    pieces = [payload[start:end] for start, end in pairwise(bounds)]
    return [Frame(CONTINUATION if i else kind, piece, i == len(pieces) - 1) for i, piece in enumerate(pieces)]


controls = st.builds(ping, small) | st.builds(pong, small)
closes = st.just(close()) | st.builds(close, st.sampled_from(sorted(CLOSE_CODES)), st.text("ab\u20ac", max_size=40))


@st.composite
def conversations(draw: st.DrawFn) -> list[Frame]:
    """Messages, with pings and pongs between them and between their fragments; perhaps a close frame at the end."""
    frames = [frame for message in draw(st.lists(messages(), max_size=4)) for frame in message]
    for control in draw(st.lists(controls, max_size=4)):
        frames.insert(draw(st.integers(0, len(frames))), control)
    return frames + draw(st.lists(closes, max_size=1))


# Right more often than not, so that some of it is read.
anything = st.builds(
    Frame,
    st.sampled_from([TEXT, BINARY, CONTINUATION, PING, PONG, CLOSE]) | st.integers(0, 15),
    st.sampled_from([b"", b"a", b"\xe2\x82", b"\xac", b"\xff", b"\x03", b"\x03\xe8", b"\x03\xe8\xff", b"\x03\xf7", b"x" * 126])
    | small,
    st.booleans() | st.just(True),
    st.just(0) | st.just(0) | st.integers(0, 7),
)


@st.composite
def mistakes(draw: st.DrawFn) -> list[Frame]:
    """A conversation, with frames among it that may be anything."""
    frames = draw(conversations())
    for frame in draw(st.lists(anything, min_size=1, max_size=3)):
        frames.insert(draw(st.integers(0, len(frames))), frame)
    return frames


# Beginnings of frames, and pieces that make one out of what is before.
PIECES = [
    *(b"\x81\x00", b"\x81\x80\0\0\0\0", b"\x81\x81\0\0\0\0a", b"\x82\x01a", b"\x01\x81\0\0\0\0a", b"\x01\x01a", b"\x80\x00"),
    *(b"\x80\x81\1\2\3\4a", b"\x81\xfe\x00\x7e", b"\x81\x7e\x00\x7e", b"\x82\x7f\0\0\0\0\0\1\0\0", b"\x82\xff\0\0\0\0\0\1\0\0"),
    *(b"\x82\xff\x7f", b"\x82\x7f\x80", b"\x88\x00", b"\x88\x80\0\0\0\0", b"\x88\x02\x03\xe8", b"\x88\x82\0\0\0\0\x03\xe8"),
    *(b"\x89\x00", b"\x89\x80\0\0\0\0", b"\x8a\x00", b"\xc1\x81\0\0\0\0a", b"\xc1\x01a", b"\x83\x80", b"\x09\x80", b"a" * 126),
]
wild = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=12).map(b"".join))


def bytes_of(frames: list[Frame], role: str) -> bytes:
    subject = Subject(role)
    return b"".join(map(subject.wire, frames))


def outcomes(role: str, stream: bytes, seed: int, **options: Any) -> Iterator[tuple[list[tuple[Any, ...]], int, bytes]]:
    """What comes of it whole, cut at random, with payloads that are put together elsewhere, and octet by octet."""
    random = Random(seed)
    yield outcome(role, [stream], **options)
    yield outcome(role, at_random(stream, random), **options)
    yield outcome(role, at_random(stream, random), landing=random.choice((0, 3, 100)), **options)
    if len(stream) < 600:
        yield outcome(role, octets(stream), **options)


# -- what is right -----------------------------------------------------------------------------------------------------


@each
@given(roles, conversations(), seeds)
def test_what_is_right_is_received(role: str, frames: list[Frame], seed: int) -> None:
    """The messages, whole; the pongs, in order and with what the pings had; the close frame, with its code back."""
    stream = bytes_of(frames, role)
    verdict = judge(stream, server=role == "server")
    assert verdict.code == 0 and not verdict.rest
    answers = [pong(frame.payload) for frame in frames if frame.opcode == PING]
    answers += [close(int.from_bytes(frame.payload[:2], "big") or None) for frame in frames if frame.opcode == CLOSE]
    for events, code, out in outcomes(role, stream, seed):
        assert (events, code) == (verdict.events, 0)
        assert decode(out, masked=role == "client") == answers


@each
@given(roles, conversations(), seeds, st.booleans(), st.booleans())
def test_what_is_right_and_compressed_is_received(
    role: str, frames: list[Frame], seed: int, server_takeover: bool, client_takeover: bool
) -> None:
    """Some messages are compressed and some are not, whole, before they are cut into fragments."""
    agreed = Agreed(server_takeover=server_takeover, client_takeover=client_takeover)
    takeover = client_takeover if role == "server" else server_takeover
    squeezer = Squeezer(takeover=takeover)
    random = Random(seed)
    squeezed: list[Frame] = []
    for frame in frames:
        if frame.opcode in (TEXT, BINARY) and frame.fin and random.random() < 0.7:
            payload = squeezer.squeeze(frame.payload)
            half = random.randrange(len(payload) + 1)
            squeezed += [
                Frame(frame.opcode, payload[:half], fin=False, rsv=RSV1),
                Frame(PING, b"between"),
                Frame(CONTINUATION, payload[half:]),
            ]
        else:
            squeezed.append(frame)
    stream = bytes_of(squeezed, role)
    verdict = judge(stream, server=role == "server", expander=Expander(takeover=takeover))
    plain = judge(bytes_of(frames, role), server=role == "server")
    assert verdict.code == 0
    assert [event for event in verdict.events if event[1] != b"between"] == [e for e in plain.events if e[1] != b"between"]
    for events, code, _ in outcomes(role, stream, seed, deflate=agreed):
        assert (events, code) == (verdict.events, 0)


@each
@given(roles, st.lists(words | blobs, max_size=5), seeds, st.sampled_from([None, True, False]), st.booleans())
def test_what_one_sends_the_other_receives(
    role: str, data: list[str | bytes], seed: int, compress: bool | None, deflate: bool
) -> None:
    """Two engines, one of either role, and the plain reader between them."""
    agreed = Agreed() if deflate else None
    sender = Subject(role, deflate=agreed).protocol
    receiver = Subject("client" if role == "server" else "server", deflate=agreed, echo=False)
    stream = b"".join(sender.message(each, compress=compress if deflate else None) for each in data)
    expected = [("text" if isinstance(each, str) else "binary", each) for each in data]
    expander = Expander() if deflate else None
    assert judge(stream, server=role == "client", expander=expander) == (expected, 0, False)
    receiver.feed(at_random(stream, Random(seed)))
    assert receiver.events == expected
    # In fragments, and with control frames.
    receiver.events.clear()
    stream = b""
    for each in data:
        stream += (
            sender.fragment(each[:1], first=True, last=False)
            + sender.ping(b"p")
            + sender.fragment(each[1:2], first=False, last=False)
        )
        stream += sender.pong(b"q") + sender.fragment(each[2:], first=False, last=True)
    stream += sender.close(1001, "\u20ac")
    assert all(not frame.rsv for frame in decode(stream, masked=role == "client"))
    receiver.feed(at_random(stream, Random(seed)))
    rest = [event for each in expected for event in (("ping", b"p"), ("pong", b"q"), each)]
    assert receiver.events == [*rest, ("close", 1001, "\u20ac")]


# -- what is not -------------------------------------------------------------------------------------------------------


@each
@given(roles, mistakes(), seeds, st.sampled_from([2**20, 130, 10, 0]), st.sampled_from([4096, 3, 1]))
def test_a_mistake_is_found_where_it_is(role: str, frames: list[Frame], seed: int, max_size: int, max_fragments: int) -> None:
    """The events before it, its code, and nothing of what is behind it."""
    stream = bytes_of(frames, role)
    verdict = judge(stream, server=role == "server", max_size=max_size, max_fragments=max_fragments)
    for events, code, out in outcomes(role, stream, seed, max_size=max_size, max_fragments=max_fragments):
        assert (events, code) == (verdict.events, verdict.code)
        sent = decode(out, masked=role == "client")
        assert [frame.opcode for frame in sent].count(CLOSE) == bool(code or (events and events[-1][0] == "close"))
        assert not code or sent[-1].payload[:2] == code.to_bytes(2, "big")


@each
@given(roles, mistakes(), seeds)
def test_a_mistake_among_compressed_messages(role: str, frames: list[Frame], seed: int) -> None:
    """Some messages are compressed, some say that they are and are not, and some frames say so that may not."""
    squeezer = Squeezer()
    random = Random(seed)
    for i, frame in enumerate(frames):
        if frame.opcode in (TEXT, BINARY) and frame.fin and random.random() < 0.6:
            frames[i] = frame._replace(payload=squeezer.squeeze(frame.payload), rsv=RSV1)
        elif random.random() < 0.1:
            frames[i] = frame._replace(rsv=RSV1)
    stream = bytes_of(frames, role)
    verdict = judge(stream, server=role == "server", expander=Expander())
    for events, code, _ in outcomes(role, stream, seed, deflate=Agreed()):
        assert (events, code) == (verdict.events, verdict.code)


@settings(max_examples=examples(200))
@given(roles, wild, seeds, st.booleans())
@example("client", b"\x82\x7f\0\0\0\0\0\1\0\0" + b"a" * 65536 + b"\x81\x00\x83", 1, False)
@example("server", b"\x82\xfe\x00\x7e\1\2\3\4" + b"a" * 126 + b"\x88\x80\0\0\0\0\x81", 1, True)
def test_any_bytes_give_events_or_an_error(role: str, data: bytes, seed: int, deflate: bool) -> None:
    """Nothing is raised, and what comes of it is what the plain reader says, for every cut."""
    agreed = Agreed() if deflate else None
    verdict = judge(data, server=role == "server", expander=Expander() if deflate else None)
    for events, code, _ in outcomes(role, data, seed, deflate=agreed):
        assert (events, code) == (verdict.events, verdict.code)


@each
@given(roles, mistakes(), seeds)
def test_without_automatic_pongs(role: str, frames: list[Frame], seed: int) -> None:
    """Pings and pongs are messages then, and nothing is answered; all the rest is the same."""
    stream = bytes_of(frames, role)
    verdict = judge(stream, server=role == "server")
    for events, code, out in outcomes(role, stream, seed, auto_pong=False):
        assert (events, code) == (verdict.events, verdict.code)
        assert all(frame.opcode == CLOSE for frame in decode(out, masked=role == "client"))


# -- the codec ---------------------------------------------------------------------------------------------------------


@each
@given(st.binary(max_size=700), st.binary(min_size=4, max_size=4))
def test_masks(data: bytes, key: bytes) -> None:
    """RFC 6455 5.3, byte by byte."""
    expected = bytes(byte ^ key[i % 4] for i, byte in enumerate(data))
    assert apply_mask(data, key) == mask_in_python(data, key) == expected
    assert apply_mask(bytearray(data), bytearray(key)) == mask_in_python(bytearray(data), bytearray(key)) == expected
    assert mask_in_python(expected, key) == data


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 2**20])
@pytest.mark.parametrize("key", [None, b"\1\2\3\4"])
def test_encoded_frames(size: int, key: bytes | None) -> None:
    payload = Random(size).randbytes(size)
    for fin in (True, False):
        for rsv1 in (True, False):
            wire = encode_frame(BINARY, payload, key=key, fin=fin, rsv1=rsv1)
            assert decode(wire, masked=key is not None) == [Frame(BINARY, payload, fin, RSV1 * rsv1)]


def test_close_codes_that_can_be_sent() -> None:
    """Those that can be received, and no other (RFC 6455 7.4)."""
    for code in (*range(-1, 5100), 65535, 65536, 2**31):
        protocol = Protocol(server=True, masks=repeat(b"\0\0\0\0"))
        if code in CLOSE_CODES:
            assert decode(protocol.close(code, ""), masked=False) == [close(code)]
        else:
            with pytest.raises(UsageError):
                protocol.close(code, "")
            assert protocol.close_sent is None


# -- other libraries ---------------------------------------------------------------------------------------------------


def ask_websockets(stream: bytes, role: str) -> tuple[list[tuple[Any, ...]], int]:
    """`websockets`, without I/O.  It gives out frames: messages are put together here, and their text decoded."""
    from websockets.frames import Close
    from websockets.protocol import OPEN, Side
    from websockets.protocol import Protocol as Theirs

    theirs = Theirs(Side.SERVER if role == "server" else Side.CLIENT, state=OPEN, max_size=2**20)
    theirs.receive_data(stream)
    sent = [frame for data in theirs.data_to_send() for frame in decode(data, masked=role == "client")]
    code = next((int.from_bytes(frame.payload[:2], "big") for frame in sent if frame.opcode == CLOSE), 0)
    events: list[tuple[Any, ...]] = []
    kind, pieces = 0, b""
    for frame in theirs.events_received():
        opcode = int(frame.opcode)
        if opcode == CLOSE:
            closed = Close.parse(frame.data)
            events.append(("close", int(closed.code), closed.reason))
        elif opcode >= 8:
            events.append(("ping" if opcode == PING else "pong", bytes(frame.data)))
        else:
            kind, pieces = opcode or kind, pieces + bytes(frame.data)
            if kind == TEXT:
                try:
                    text = pieces.decode()
                except UnicodeDecodeError as error:
                    if frame.fin or error.reason != "unexpected end of data":
                        return events, 1007
            if frame.fin:
                events.append(("text", text) if kind == TEXT else ("binary", pieces))
                pieces = b""
    return events, 0 if theirs.parser_exc is None else code


def ask_wsproto(stream: bytes, role: str) -> tuple[list[tuple[Any, ...]], int]:
    """`wsproto`.  It gives out pieces of messages, and says what is wrong in the same way as a close frame."""
    from wsproto.connection import Connection, ConnectionState, ConnectionType
    from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

    theirs = Connection(ConnectionType.SERVER if role == "server" else ConnectionType.CLIENT)
    theirs.receive_data(stream)
    events: list[tuple[Any, ...]] = []
    text, blob = "", b""
    for event in theirs.events():
        if isinstance(event, CloseConnection):
            if theirs.state is not ConnectionState.REMOTE_CLOSING:
                return events, int(event.code)
            events.append(("close", int(event.code), event.reason or ""))
        elif isinstance(event, Ping | Pong):
            events.append(("ping" if isinstance(event, Ping) else "pong", bytes(event.payload)))
        elif isinstance(event, TextMessage):
            text += event.data
            if event.message_finished:
                events.append(("text", text))
                text = ""
        elif isinstance(event, BytesMessage):
            blob += event.data
            if event.message_finished:
                events.append(("binary", blob))
                blob = b""
    return events, 0


def inside_a_message(frames: list[Frame]) -> bool:
    """Whether the first close frame comes between fragments."""
    begun = False
    for frame in frames:
        if frame.opcode == CLOSE:
            return begun
        if frame.opcode < 8:
            begun = not frame.fin
    return False


@each
@given(roles, conversations() | mistakes())
def test_websockets_agrees(role: str, frames: list[Frame]) -> None:
    """`websockets` 14 to 17.  It fails a close frame between fragments, which RFC 6455 5.4 and 5.5 do not forbid, with 1002."""
    stream = bytes_of(frames, role)
    ours = outcome(role, [stream])[:2]
    theirs = ask_websockets(stream, role)
    if inside_a_message(frames) and theirs[1] == 1002:
        assert ours[0][: len(theirs[0])] == theirs[0]
    else:
        assert ours == theirs


@each
@given(roles, conversations() | mistakes())
def test_wsproto_agrees(role: str, frames: list[Frame]) -> None:
    """`wsproto` 1.2 and 1.3.  They do not know the close code 1014, which IANA registered later."""
    stream = bytes_of(frames, role)
    ours = outcome(role, [stream])[:2]
    theirs = ask_wsproto(stream, role)
    if ours[0] and ours[0][-1][:2] == ("close", 1014):
        assert theirs == (ours[0][:-1], 1002)
    else:
        assert ours == theirs
