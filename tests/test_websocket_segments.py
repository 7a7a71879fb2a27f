"""The engine of a WebSocket gives the same outcome for every segmentation, and what a slow and simple reader would give."""

from __future__ import annotations

from codecs import utf_8_decode
from itertools import repeat
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effort import examples
from wirebird.protocol.websocket import Protocol
from wirebird.protocol.websocket_frames import encode_frame
from wirebird.protocol.websocket_messages import Close, Message, MessageType, Ping, Pong

KEY = b"\x01\x82\xf3\x44"
LIMIT = 70_000


def engine(*, server: bool) -> Protocol:
    return Protocol(server=server, masks=repeat(KEY), max_size=LIMIT, max_fragments=8)


def outcome(protocol: Protocol, pieces: list[bytes], pad: int = 0) -> tuple[Any, ...]:
    """What comes of the pieces, each in a buffer that is used again, and has other bytes behind it."""
    buffer = bytearray(max(map(len, pieces), default=0) + pad)
    events: list[Any] = []
    for piece in pieces:
        buffer[: len(piece)] = piece
        events += protocol.receive(buffer, len(piece))
        while protocol.pending:
            events += protocol.proceed()
        buffer[:] = b"\x81" * len(buffer)
    error = protocol.error
    return events, (error.code, error.message) if error else None, bytes(protocol.replies), protocol.close_received


def plain(data: bytes, *, server: bool) -> tuple[list[Any], int | None]:
    """A reader of whole frames with no fast way: the events, and the close code of the first fault."""
    events: list[Any] = []
    kind, message, fragments, pos = 0, b"", 0, 0
    while len(data) - pos >= 2:
        first, second = data[pos], data[pos + 1]
        opcode, length, start = first & 15, second & 127, pos + 2
        if first & 0x70 or bool(second & 128) is not server or opcode not in (0, 1, 2, 8, 9, 10):
            return events, 1002
        if opcode >= 8 and (first < 128 or length > 125):
            return events, 1002
        if opcode < 8 and (opcode == 0) is not bool(kind):
            return events, 1002
        if length > 125:
            wide = 2 if length == 126 else 8
            if len(data) < start + wide:
                break
            length, start = int.from_bytes(data[start : start + wide], "big"), start + wide
            if length >> 63 or length < (126 if wide == 2 else 65536):
                return events, 1002
        if opcode < 8 and (fragments >= 8 or length + len(message) > LIMIT):
            return events, 1009
        start += 4 if server else 0
        if len(data) < start + length:
            break
        payload = data[start : start + length]
        if server:
            keys = (data[start - 4 : start] * (length // 4 + 1))[:length]
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(length, "big")
        pos = start + length
        if opcode >= 8:
            if opcode == 8:
                if length == 1 or (length > 1 and int.from_bytes(payload[:2], "big") not in range(1000, 1004)):
                    return events, 1002
                events.append(Close(int.from_bytes(payload[:2], "big") if payload else 1005, payload[2:].decode()))
                return events, None
            events.append((Ping if opcode == 9 else Pong)(payload))
            continue
        kind, message, fragments = kind or opcode, message + payload, fragments + 1
        if kind == 1:
            try:
                text = utf_8_decode(message, "strict", first >= 128)[0]
            except UnicodeDecodeError:
                return events, 1007
        if first >= 128:
            events.append(Message(MessageType.TEXT, text) if kind == 1 else Message(MessageType.BINARY, message))
            kind, message, fragments = 0, b"", 0
    return events, None


def frame(opcode: int, payload: bytes, *, server: bool, fin: bool = True) -> bytes:
    return encode_frame(opcode, payload, key=KEY if server else None, fin=fin)


payloads = st.one_of(
    st.binary(max_size=10),
    st.text(max_size=8).map(str.encode),
    st.sampled_from([0, 1, 124, 125, 126, 127, 128, 255, 256, 65535, 65536, 66000]).map(lambda size: b"a" * size),
)
frames = st.tuples(
    st.sampled_from([1, 1, 1, 2, 2, 0, 9, 10, 8, 3]),
    payloads,
    st.sampled_from([True, True, True, False]),
    st.sampled_from([0, 0, 0, 0, 0, 0x40, 0x10]),
    st.booleans(),
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bool, bytes]:
    """What a peer may send, most of it right: and the role of the one who reads it."""
    server = draw(st.booleans())
    data = b""
    for opcode, payload, fin, bits, flip in draw(st.lists(frames, max_size=7)):
        if opcode == 8:
            payload = b"\x03\xe8" + payload[:1]
            payload = payload if payload.isascii() or payload[2:].isascii() else payload[:2]
        one = bytearray(frame(opcode, payload[:125] if opcode >= 8 else payload, server=server, fin=fin or opcode >= 8))
        one[0] |= bits
        if flip and draw(st.integers(0, 9)) == 0:
            one[1] ^= 0x80
        data += one
    return server, data[: len(data) - draw(st.sampled_from([0, 0, 0, 1, 2, 5]))]


@settings(max_examples=examples(120), deadline=None)
@given(streams(), st.data())
def test_every_segmentation_gives_what_a_plain_reader_gives(stream: tuple[bool, bytes], data: st.DataObject) -> None:
    server, wire = stream
    whole = outcome(engine(server=server), [wire], data.draw(st.sampled_from([0, 1, 200])))
    events, code = plain(wire, server=server)
    assert (whole[0], whole[1] and whole[1][0]) == (events, code)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert outcome(engine(server=server), pieces, 3) == whole
    if len(wire) < 150:
        assert outcome(engine(server=server), [wire[at : at + 1] for at in range(len(wire))]) == whole


@pytest.mark.parametrize("server", [False, True])
@pytest.mark.parametrize("size", [0, 5, 125, 126, 127, 133, 300, 65535, 65536])
def test_a_frame_with_the_wrong_mask_bit_is_a_fault_also_where_its_length_would_do(size: int, server: bool) -> None:
    wire = frame(1, b"a" * size, server=not server) + b"a" * 200
    assert outcome(engine(server=server), [wire])[:2] == (
        [],
        (1002, "a client's frame is not masked" if server else "a server's frame is masked"),
    )


@pytest.mark.parametrize("server", [False, True])
@pytest.mark.parametrize("head", [b"\x81\x7e\x00\x05", b"\x81\x7e\x00\x7d", b"\x82\x7f" + bytes(7) + b"\x7e"])
def test_a_length_that_is_longer_than_it_needs_to_be_is_a_fault(head: bytes, server: bool) -> None:
    wire = bytes([head[0], head[1] | (0x80 if server else 0)]) + head[2:] + bytes(200)
    for pieces in ([wire], [wire[:3], wire[3:]], [wire[:1], wire[1:]]):
        assert outcome(engine(server=server), pieces)[:2] == ([], (1002, "a frame length that is longer than it needs to be"))


@pytest.mark.parametrize("server", [False, True])
@pytest.mark.parametrize(
    "last", [frame(1, b"\xff\xff", server=False), frame(8, b"\x03\xe8", server=False)], ids=["fault", "close"]
)
def test_nothing_is_read_behind_the_end_however_it_arrives(last: bytes, server: bool) -> None:
    if server:
        last = encode_frame(last[0] & 15, last[2:], key=KEY)
    wire = frame(1, b"before", server=server) + last + frame(1, b"behind", server=server) * 2
    events = {str(outcome(engine(server=server), [wire[:cut], wire[cut:]])) for cut in range(len(wire))}
    assert len(events) == 1
    assert "before" in events.pop()
    assert "behind" not in str(events)
