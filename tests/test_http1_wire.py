"""The wire is the test: what was received, and the events it must give, however it was cut."""

from __future__ import annotations

import pytest

from http1_triples import A_GET, GET, OK, POST, REQUESTS, RESPONSES, Triple
from wire import Driver, every_byte, every_two, run, whole
from wirebird.errors import IncompleteBody, InvalidRequest, InvalidResponse
from wirebird.protocol.http1_events import END, End, State
from wirebird.protocol.http1_parser import Parser

TRIPLES = [pytest.param(triple, id=f"response-{name}") for name, triple in RESPONSES.items()] + [
    pytest.param(triple, id=f"request-{name}") for name, triple in REQUESTS.items()
]


def _check(triple: Triple, pieces: list[bytes], *, in_place: bool = False) -> None:
    events, error, leftover, state = run(
        triple.role,
        pieces,
        triple.method,
        eof=triple.eof,
        switching=triple.switching,
        limits=triple.limits,
        in_place=in_place,
    )
    assert (events, error) == (triple.events, triple.error), pieces
    if error is None:
        assert leftover == triple.leftover, pieces
    else:
        assert state is State.FAILED, pieces


@pytest.mark.parametrize("triple", TRIPLES)
def test_whole(triple: Triple) -> None:
    _check(triple, whole(triple.data))


@pytest.mark.parametrize("triple", TRIPLES)
def test_split_at_every_byte(triple: Triple) -> None:
    _check(triple, every_byte(triple.data))
    _check(triple, every_byte(triple.data), in_place=True)


@pytest.mark.parametrize("triple", TRIPLES)
def test_split_in_two_at_every_position(triple: Triple) -> None:
    for pieces in every_two(triple.data):
        _check(triple, pieces)
        _check(triple, pieces, in_place=True)


@pytest.mark.parametrize("triple", TRIPLES)
def test_with_empty_receives(triple: Triple) -> None:
    _check(triple, [piece for byte in every_byte(triple.data) for piece in (b"", byte, b"")])


def _ends_by_itself(triple: Triple) -> bool:
    """Whether the last byte of the triple says that the message ends (or is wrong), and not the end of the connection."""
    if triple.error is not None:
        return not triple.eof
    return bool(triple.events) and isinstance(triple.events[-1], End) and not triple.eof


@pytest.mark.parametrize("triple", [param for param in TRIPLES if _ends_by_itself(param.values[0])])
def test_with_data_behind(triple: Triple) -> None:
    """A message ends where it ends: what follows is another request, or stays behind, or does not mend an error."""
    behind = GET + b"\r\n"
    expected = triple
    if triple.role == "client":
        expected = triple._replace(leftover=triple.leftover + behind)
    elif not triple.error:
        expected = triple._replace(events=[*triple.events, A_GET, END])
    _check(expected, [triple.data, behind])
    _check(expected, [triple.data + behind])
    _check(expected, every_byte(triple.data + behind))


def test_there_are_many() -> None:
    assert len(TRIPLES) >= 150


def test_fields_as_they_were_sent() -> None:
    driver = Driver("client")
    lines = [
        b"Content-Length: 0",
        b"X-A:one",
        b"x-a: \t two  words\t",
        b"Empty:",
        b"Utf: caf\xc3\xa9",
        b"Latin: caf\xe9",
        b"Nb: \xa0x\xa0",
    ]
    driver.receive(OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n")
    head = driver.heads[0]
    assert head.raw_fields == [
        (b"Content-Length", b"0"),
        (b"X-A", b"one"),
        (b"x-a", b"two  words"),
        (b"Empty", b""),
        (b"Utf", b"caf\xc3\xa9"),
        (b"Latin", b"caf\xe9"),
        (b"Nb", b"\xa0x\xa0"),
    ]
    assert head.fields.get_list("x-a") == ["one", "two  words"]
    assert head.fields["utf"] == "café"
    assert head.fields["latin"] == "café"


def test_one_response_after_the_other() -> None:
    parser = Parser(server=False)
    first = OK + b"X: 1\r\nContent-Length: 2\r\n\r\n"
    second = OK + b"X: 2\r\nContent-Length: 2\r\n\r\n"
    heads = []
    for data in (first + b"a1", first + b"b2", second + b"c3", first + b"d4"):
        parser.expect(b"GET")
        head, body, end = parser.receive(data, len(data))
        heads.append(head)
        assert body == data[-2:]
        assert end is END
    assert [head.fields["x"] for head in heads] == ["1", "1", "2", "1"]
    assert heads[0] is heads[1]  # the same bytes, the same head


def test_the_remembered_head_is_the_head_and_nothing_but() -> None:
    """A response whose second segment begins like the last response is not that response."""
    parser = Parser(server=False)
    data = OK + b"Content-Length: 0\r\n\r\n"
    parser.expect(b"GET")
    parser.receive(data, len(data))
    parser.expect(b"GET")
    opening = OK + b"X: "
    assert parser.receive(opening, len(opening)) == []
    (head, end) = parser.receive(data, len(data))
    assert head.fields["x"] == "HTTP/1.1 200 OK"
    assert end is END
    assert parser.leftover == b""
    parser.expect(b"GET")  # nor is it the one to be remembered in place of what it interrupted
    (head, end) = parser.receive(data, len(data))
    assert "x" not in head.fields


def test_the_remembered_head_is_not_used_where_framing_differs() -> None:
    parser = Parser(server=False)
    data = OK + b"Content-Length: 2\r\n\r\n"
    parser.expect(b"GET")
    assert parser.receive(data + b"hi", len(data) + 2)[1:] == [b"hi", END]
    parser.expect(b"HEAD")
    assert parser.receive(data, len(data))[1:] == [END]
    parser.expect(b"CONNECT")
    assert parser.receive(data + b"hi", len(data) + 2)[1:] == [b"hi"]
    assert parser.state is State.TUNNEL


def test_a_body_received_in_place() -> None:
    parser = Parser(server=False)
    parser.expect(b"GET")
    data = OK + b"Content-Length: 10\r\n\r\nabc"
    head, piece = parser.receive(data, len(data))
    assert (head.length, piece) == (10, b"abc")
    assert parser.state is State.SIZED
    assert (parser.left, parser.received) == (7, 3)
    assert parser.advance(6) == []
    assert (parser.left, parser.received) == (1, 9)
    assert parser.advance(1) == [END]
    assert parser.state is State.DONE
    parser.expect(b"GET")


def test_the_end_of_the_connection_in_a_body_received_in_place() -> None:
    parser = Parser(server=False)
    parser.expect(b"GET")
    data = OK + b"Content-Length: 10\r\n\r\n"
    parser.receive(data, len(data))
    parser.advance(4)
    with pytest.raises(IncompleteBody) as caught:
        parser.eof()
    assert (caught.value.received, caught.value.expected) == (4, 10)
    assert "4 of 10" in str(caught.value)


def test_no_second_response_is_read_from_what_nobody_asked_for() -> None:
    """Bytes behind a response are never taken for the answer to the next request."""
    parser = Parser(server=False)
    parser.expect(b"GET")
    data = OK + b"Content-Length: 0\r\n\r\n"
    parser.receive(data * 2, len(data) * 2)
    assert parser.leftover == data
    with pytest.raises(RuntimeError, match="not ready"):
        parser.expect(b"GET")


def test_bytes_on_an_idle_connection_are_kept_apart() -> None:
    parser = Parser(server=False)
    assert parser.receive(b"HTTP/1.1 408 Timeout\r\n\r\n", 24) == []
    assert parser.leftover
    with pytest.raises(RuntimeError):
        parser.expect(b"GET")


@pytest.mark.parametrize("server", [False, True], ids=["client", "server"])
def test_the_next_message_is_asked_for_too_early(server: bool) -> None:
    parser = Parser(server=server)
    if not server:
        parser.expect(b"GET")
    with pytest.raises(RuntimeError):
        _ = parser.proceed() if server else parser.expect(b"GET")


@pytest.mark.parametrize("role", ["client", "server"])
def test_an_error_is_for_good(role: str) -> None:
    driver = Driver(role)
    error = InvalidRequest if role == "server" else InvalidResponse
    with pytest.raises(error):
        driver.receive(b"\0\0")
    with pytest.raises(error):
        driver.receive(OK + b"\r\n" if role == "client" else GET + b"\r\n")
    assert driver.events == []
    assert driver.parser.eof() == []
    with pytest.raises(RuntimeError):
        driver.parser.proceed() if role == "server" else driver.parser.expect(b"GET")


def test_representations() -> None:
    """They are the debug log."""
    parser = Parser(server=True)
    assert repr(parser) == "<Parser server HEAD left=0 leftover=0>"
    data = POST + b"Content-Length: 5\r\n\r\nhe"
    head, _ = parser.receive(data, len(data))
    assert repr(parser) == "<Parser server SIZED left=3 leftover=0>"
    assert repr(head) == "<RequestHead POST / length=5>"
    parser = Parser(server=False)
    parser.expect(b"GET")
    assert repr(parser.receive(OK + b"\r\n", len(OK) + 2)) == "[<ResponseHead 200 length=-2 keep_alive=True>]"
    assert (repr(END), repr(End(b"A: b\r\n"))) == ("END", "End(b'A: b\\r\\n')")
    assert END != b"" and End(b"") == END and End(b"A: b\r\n") != END


def test_untouched_until_the_first_byte() -> None:
    """A request may be sent again as long as nothing of its answer came."""
    for method in (b"GET", b"HEAD"):
        parser = Parser(server=False)
        assert not parser.untouched()
        for piece in (b"H", b"HTTP/1.1 103 E\r\n\r\n"):
            parser = Parser(server=False)
            parser.expect(method)
            assert parser.untouched()
            parser.receive(piece, len(piece))
            assert not parser.untouched()
            rest = (b"TTP/1.1" if piece == b"H" else b"HTTP/1.1") + b" 204 N\r\n\r\n"
            parser.receive(rest, len(rest))
            assert not parser.untouched()
            parser.expect(method)
            assert parser.untouched()


@pytest.mark.parametrize("following", [b"GET", b"HEAD"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_an_offer_to_switch_is_for_one_request(method: bytes, following: bytes) -> None:
    parser = Parser(server=False)
    parser.expect(method, switching=True)
    declined = OK + b"Content-Length: 0\r\n\r\n"
    parser.receive(declined, len(declined))
    parser.expect(following)
    with pytest.raises(InvalidResponse):
        parser.receive(b"HTTP/1.1 101 S\r\n\r\n", 18)
