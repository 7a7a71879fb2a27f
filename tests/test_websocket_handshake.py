"""The opening handshake of WebSocket, both roles: RFC 6455 4, what breaks it, and two other implementations at the other end."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wirebird
from wirebird.errors import InvalidResponse
from wirebird.models.headers import HttpHeaders, encode_fields
from wirebird.models.message import RequestHead
from wirebird.protocol.http1_events import END
from wirebird.protocol.http1_heads import parse_request_head, parse_response_head
from wirebird.protocol.http1_parser import Parser
from wirebird.protocol.websocket_deflate import Agreed, Deflate
from wirebird.protocol.websocket_handshake import (
    SAME_ORIGIN,
    Accepted,
    ClientHandshake,
    Refusal,
    ServerHandshake,
    accept_key,
)

# RFC 6455 1.3
SAMPLE = "dGhlIHNhbXBsZSBub25jZQ=="
SAMPLE_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
NONCE = b"the sample nonce"
NAME = "permessage-deflate"

REQUEST = {
    "Host": "server.example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": SAMPLE,
    "Sec-WebSocket-Version": "13",
}
ANSWER = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": SAMPLE_ACCEPT}


def request(*more: tuple[str, str], start: str = "GET /chat HTTP/1.1", **changed: str | None) -> RequestHead:
    """A request like that of RFC 6455 1.2, fields changed or left out (None) by name, `more` added."""
    names = {name.lower().replace("-", "_"): name for name in REQUEST}
    fields = [(name, changed.get(key, REQUEST[name])) for key, name in names.items()]
    assert changed.keys() <= names.keys()
    block = encode_fields([(name, value) for name, value in fields if value is not None] + list(more))
    return parse_request_head(start.encode() + b"\r\n" + block + b"\r\n")


def accepted(head: RequestHead, server: ServerHandshake | None = None) -> Accepted:
    answer = (server or ServerHandshake()).answer(head)
    assert isinstance(answer, Accepted), answer
    return answer


def refused(head: RequestHead, server: ServerHandshake | None = None) -> Refusal:
    answer = (server or ServerHandshake()).answer(head)
    assert isinstance(answer, Refusal), answer
    return answer


def answer(*more: tuple[str, str], leave: str = "", **changed: str) -> HttpHeaders:
    fields = HttpHeaders({**ANSWER, **{name.replace("_", "-"): value for name, value in changed.items()}})
    fields.extend(more)
    if leave:
        del fields[leave]
    return fields


# -- the example of RFC 6455 1.2 and 1.3 -------------------------------------------------------------------------------------


def test_the_key_of_the_rfc() -> None:
    assert accept_key(SAMPLE) == SAMPLE_ACCEPT


def test_what_a_client_sends() -> None:
    assert ClientHandshake(NONCE).fields() == [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", SAMPLE),
        ("Sec-WebSocket-Version", "13"),
    ]
    whole = ClientHandshake(NONCE, ["chat", "superchat"], Deflate(server_max_window_bits=10))
    assert whole.fields()[4:] == [
        ("Sec-WebSocket-Protocol", "chat, superchat"),
        ("Sec-WebSocket-Extensions", f"{NAME}; server_max_window_bits=10; client_max_window_bits"),
    ]


def test_what_a_server_answers() -> None:
    assert accepted(request()) == Accepted(None, None, tuple(ANSWER.items()))
    head = request(("Sec-WebSocket-Protocol", "chat, superchat"), ("Sec-WebSocket-Extensions", NAME))
    whole = accepted(head, ServerHandshake(["superchat", "chat"], Deflate()))
    assert whole.subprotocol == "superchat"
    assert whole.agreed == Agreed()
    assert whole.fields[3:] == (("Sec-WebSocket-Protocol", "superchat"), ("Sec-WebSocket-Extensions", NAME))


# -- the client checks the answer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        answer(),
        answer(Upgrade="WebSocket"),
        answer(Upgrade=" ,\twebSOCKET ,"),
        answer(Connection="upgrade"),
        answer(Connection="keep-alive, UPGRADE"),
        answer(("Connection", "x, upgrade"), Connection="Keep-Alive"),
        answer(("Sec-WebSocket-Extensions", " , ")),
        answer(("X-Other", "1"), ("Content-Length", "0"), ("Sec-WebSocket-Version", "8")),
        HttpHeaders({name.upper(): value for name, value in ANSWER.items()}),
    ],
)
def test_a_good_answer(headers: HttpHeaders) -> None:
    assert ClientHandshake(NONCE, ["chat"], Deflate()).check(101, headers) == Accepted(None, None)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (answer(leave="Upgrade"), "something else than WebSocket, Upgrade: none"),
        (answer(Upgrade=""), 'Upgrade: ""'),
        (answer(Upgrade="h2c"), 'Upgrade: "h2c"'),
        (answer(Upgrade="websocket, h2c"), 'Upgrade: "websocket, h2c"'),
        (answer(("Upgrade", "h2c")), 'Upgrade: "websocket, h2c"'),
        (answer(Upgrade="websocket/13"), 'Upgrade: "websocket/13"'),
        (answer(Upgrade="web socket"), 'Upgrade: "web socket"'),
        (answer(leave="Connection"), "without Connection: Upgrade, but with none"),
        (answer(Connection="close"), 'but with "close"'),
        (answer(("Connection", "x"), Connection="Keep-Alive"), 'but with "Keep-Alive, x"'),
        (answer(Connection="not-upgrade"), 'but with "not-upgrade"'),
        (answer(Connection="upgrade websocket"), 'but with "upgrade websocket"'),
        (answer(leave="Sec-WebSocket-Accept"), "no Sec-WebSocket-Accept"),
        (answer(("Sec-WebSocket-Accept", SAMPLE_ACCEPT)), "2 Sec-WebSocket-Accept"),
        (answer(Sec_WebSocket_Accept=""), 'does not answer the key: ""'),
        (answer(Sec_WebSocket_Accept=SAMPLE), f'does not answer the key: "{SAMPLE}"'),
        (answer(Sec_WebSocket_Accept=SAMPLE_ACCEPT.lower()), "does not answer the key"),
        (answer(Sec_WebSocket_Accept=SAMPLE_ACCEPT.rstrip("=")), "does not answer the key"),
        (answer(Sec_WebSocket_Accept=f'"{SAMPLE_ACCEPT}"'), "does not answer the key"),
        (answer(Sec_WebSocket_Accept=f"{SAMPLE_ACCEPT}, {SAMPLE_ACCEPT}"), "does not answer the key"),
        (answer(Sec_WebSocket_Accept="x" * 5000), "…"),
        (answer(Sec_WebSocket_Protocol="chat"), 'not offered: "chat"'),
        (answer(Sec_WebSocket_Protocol=""), 'not offered: ""'),
        (answer(Sec_WebSocket_Extensions=NAME), f'extension that was not offered: "{NAME}"'),
        (answer(Sec_WebSocket_Extensions="x-foo; bar"), 'extension that was not offered: "x-foo"'),
        (answer(Sec_WebSocket_Extensions="a b"), "malformed Sec-WebSocket-Extensions"),
    ],
)
def test_a_bad_answer(headers: HttpHeaders, message: str) -> None:
    with pytest.raises(InvalidResponse) as caught:
        ClientHandshake(NONCE).check(101, headers)
    assert message in caught.value.message
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("status", [100, 102, 200, 204, 301, 400, 401, 404, 500])
def test_another_status(status: int) -> None:
    with pytest.raises(InvalidResponse, match=f"handshake with {status} instead of 101$"):
        ClientHandshake(NONCE).check(status, answer())


def test_a_version_that_is_not_spoken() -> None:
    with pytest.raises(InvalidResponse, match=r'with 426 instead of 101, it speaks the versions "8, 7, 25"'):
        ClientHandshake(NONCE).check(426, answer(("Sec-WebSocket-Version", "8, 7"), ("Sec-WebSocket-Version", "25")))
    with pytest.raises(InvalidResponse, match=r"instead of 101$"):
        ClientHandshake(NONCE).check(426, answer())


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        (["chat"], "chat"),
        (["superchat"], "superchat"),
        (["Chat"], 'not offered: "Chat"'),
        (["other"], 'not offered: "other"'),
        ([""], 'not offered: ""'),
        (["chat, superchat"], 'not offered: "chat, superchat"'),
        (["chat,"], 'not offered: "chat,"'),
        (["chat", "superchat"], 'more than one subprotocol: "chat, superchat"'),
        (["chat", "chat"], 'more than one subprotocol: "chat, chat"'),
    ],
)
def test_the_subprotocol_is_one_and_was_offered(values: list[str], outcome: str) -> None:
    client = ClientHandshake(NONCE, ("chat", "superchat"))
    headers = answer(*(("Sec-WebSocket-Protocol", value) for value in values))
    if outcome in client.protocols:
        assert client.check(101, headers) == Accepted(outcome, None)
    else:
        with pytest.raises(InvalidResponse) as caught:
            client.check(101, headers)
        assert outcome in caught.value.message


@pytest.mark.parametrize("bits", ["7", "99", "", '""', "09", "8.0"])
def test_bad_window_bits_fail_the_handshake(bits: str) -> None:
    """W8: an error of the handshake, and no other."""
    for name in ("server_max_window_bits", "client_max_window_bits"):
        with pytest.raises(InvalidResponse):
            ClientHandshake(NONCE, (), Deflate()).check(101, answer(Sec_WebSocket_Extensions=f"{NAME}; {name}={bits}"))


FIELDS = st.tuples(st.sampled_from([*ANSWER, "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"]), st.text(max_size=20))


@given(st.lists(FIELDS, max_size=4))
def test_any_fields_are_no_answer(fields: list[tuple[str, str]]) -> None:
    """Nobody guesses the key; and what is wrong besides is no other error."""
    client = ClientHandshake(NONCE, ["a"], Deflate())
    with pytest.raises(InvalidResponse):
        client.check(101, HttpHeaders(fields))
    good = HttpHeaders([*ANSWER.items(), *(field for field in fields if field[0] not in ANSWER)])
    try:
        found = client.check(101, good)
    except InvalidResponse:
        return
    assert found.subprotocol in (None, "a")


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        *(({"key": key}, "key") for key in (b"", b"k" * 15, b"k" * 17, "k" * 16, SAMPLE.encode(), None)),
        *(({"protocols": names}, "protocols") for names in ("chat", None, 7, ["a", "b", "a"], [""], ["a b"], ["a,b"], ["a", 1])),
        *(({"protocols": names}, "protocols") for names in (['"a"'], ["a/b"], ["é"], ["a\r\nX: y"], [b"a"])),
    ],
)
def test_what_a_caller_may_not_offer(arguments: dict[str, Any], argument: str) -> None:
    with pytest.raises(wirebird.UsageError) as caught:
        ClientHandshake(**{"key": NONCE, **arguments})
    assert caught.value.argument == argument
    if argument == "protocols":
        with pytest.raises(wirebird.UsageError):
            ServerHandshake(**arguments)


# -- the server checks the request -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        request(upgrade="WebSocket"),
        request(upgrade="h2c, webSOCKET"),
        request(("Upgrade", "websocket"), upgrade="h2c"),
        request(connection="keep-alive, UPGRADE"),
        request(("Content-Length", "0")),
        request(("Sec-WebSocket-Extensions", "")),
        request(("Sec-WebSocket-Protocol", "")),
        request(("Sec-WebSocket-Protocol", "chat, , other")),
        request(("Sec-WebSocket-Extensions", f"x-other, {NAME}; nonsense")),
        request(start="GET http://server.example.com/chat HTTP/1.1"),
        request(sec_websocket_key="AQIDBAUGBwgJCgsMDQ4PEC=="),  # as RFC 6455 4.1 has it, with bits behind the last byte
    ],
)
def test_a_good_request(head: RequestHead) -> None:
    found = accepted(head)
    assert (found.subprotocol, found.agreed) == (None, None)
    assert dict(found.fields)["Sec-WebSocket-Accept"] == accept_key(head.fields["sec-websocket-key"])


SWITCH = (("Upgrade", "websocket"), ("Connection", "Upgrade"))


@pytest.mark.parametrize(
    ("head", "status", "fields", "message"),
    [
        (request(start="POST /chat HTTP/1.1"), 405, (("Allow", "GET"),), "is a GET"),
        (request(start="HEAD /chat HTTP/1.1"), 405, (("Allow", "GET"),), "is a GET"),
        (request(start="get /chat HTTP/1.1"), 405, (("Allow", "GET"),), "is a GET"),
        (request(start="GET /chat HTTP/1.0"), 400, (), "needs HTTP/1.1"),
        (request(upgrade=None), 426, SWITCH, "not a WebSocket handshake"),
        (request(upgrade="notupgrade"), 426, SWITCH, "not a WebSocket handshake"),
        (request(upgrade="websocket/13"), 426, SWITCH, "not a WebSocket handshake"),
        (request(connection=None), 426, SWITCH, "not a WebSocket handshake"),
        (request(connection="keep-alive"), 426, SWITCH, "not a WebSocket handshake"),
        (request(connection="notupgrade"), 426, SWITCH, "not a WebSocket handshake"),
        (request(("Content-Length", "5")), 400, (), "with a body"),
        (request(("Transfer-Encoding", "chunked")), 400, (), "with a body"),
        (request(sec_websocket_version=None), 426, (*SWITCH, ("Sec-WebSocket-Version", "13")), "no version of WebSocket"),
        (request(sec_websocket_version="8"), 426, (*SWITCH, ("Sec-WebSocket-Version", "13")), 'version "8" of WebSocket'),
        (request(sec_websocket_version="13, 8"), 426, (*SWITCH, ("Sec-WebSocket-Version", "13")), 'version "13, 8"'),
        (request(sec_websocket_version="013"), 426, (*SWITCH, ("Sec-WebSocket-Version", "13")), 'version "013"'),
        (request(("Sec-WebSocket-Version", "13")), 400, (), "2 Sec-WebSocket-Version"),
        (request(sec_websocket_key=None), 400, (), "no Sec-WebSocket-Key"),
        (request(("Sec-WebSocket-Key", SAMPLE)), 400, (), "2 Sec-WebSocket-Key"),
        (request(sec_websocket_key=""), 400, (), 'base64: ""'),
        (request(sec_websocket_key="x"), 400, (), 'base64: "x"'),
        (request(sec_websocket_key=base64.b64encode(b"k" * 15).decode()), 400, (), "not 16 bytes"),
        (request(sec_websocket_key=base64.b64encode(b"k" * 17).decode()), 400, (), "not 16 bytes"),
        (request(sec_websocket_key=base64.b64encode(b"k" * 18).decode()), 400, (), "not 16 bytes"),
        (request(sec_websocket_key=SAMPLE.rstrip("=")), 400, (), "not 16 bytes"),
        (request(sec_websocket_key=SAMPLE[:10] + " " + SAMPLE[11:]), 400, (), "not 16 bytes"),
        (request(sec_websocket_key=base64.urlsafe_b64encode(b"\xff" * 16).decode()), 400, (), "not 16 bytes"),
        (request(sec_websocket_key="é" * 22 + "=="), 400, (), "not 16 bytes"),
        (request(sec_websocket_key=f"{SAMPLE}, {SAMPLE}"), 400, (), "not 16 bytes"),
        (request(("Sec-WebSocket-Protocol", "a b")), 400, (), 'no token: "a b"'),
        (request(("Sec-WebSocket-Protocol", 'a, "b"')), 400, (), "no token"),
        (request(("Sec-WebSocket-Protocol", "a\xa0")), 400, (), "no token"),
        (request(("Sec-WebSocket-Protocol", "a, b, a")), 400, (), 'offered twice, among "a, b, a"'),
        (request(("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "a")), 400, (), "offered twice"),
        (request(("Sec-WebSocket-Extensions", "a b")), 400, (), "malformed Sec-WebSocket-Extensions"),
        (request(("Sec-WebSocket-Extensions", f"{NAME};")), 400, (), "malformed Sec-WebSocket-Extensions"),
    ],
)
def test_a_bad_request(head: RequestHead, status: int, fields: tuple[tuple[str, str], ...], message: str) -> None:
    for server in (ServerHandshake(), ServerHandshake(["a"], Deflate(), None)):
        found = refused(head, server)
        assert (found.status, found.fields) == (status, fields)
        assert message in found.message
        assert len(found.message) < 200


@pytest.mark.parametrize(
    ("own", "offered", "chosen"),
    [
        (["a", "b"], ["b, a"], "a"),
        (["b", "a"], ["a, b"], "b"),
        (["b", "a"], ["c", "a"], "a"),
        (["x"], ["a, b"], None),
        ([], ["a"], None),
        (["a"], [], None),
        (["a"], ["A"], None),
    ],
)
def test_the_server_prefers_in_its_own_order(own: list[str], offered: list[str], chosen: str | None) -> None:
    head = request(*(("Sec-WebSocket-Protocol", value) for value in offered))
    found = accepted(head, ServerHandshake(own))
    assert found.subprotocol == chosen
    assert dict(found.fields).get("Sec-WebSocket-Protocol") == chosen


def test_the_first_good_offer_of_compression() -> None:
    head = request(
        ("Sec-WebSocket-Extensions", f"x-other, {NAME}; server_max_window_bits=7"),
        ("Sec-WebSocket-Extensions", f"{NAME}; client_max_window_bits, {NAME}"),
    )
    found = accepted(head, ServerHandshake((), Deflate(client_max_window_bits=9)))
    assert found.agreed == Agreed(client_bits=9)
    assert dict(found.fields)["Sec-WebSocket-Extensions"] == f"{NAME}; client_max_window_bits=9"


# -- S33: a body behind a handshake ------------------------------------------------------------------------------------------

SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: server.example.com\r\n\r\n"


@pytest.mark.parametrize("upgrade", ["websocket", "notupgrade"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_no_request(upgrade: str, chunked: bool) -> None:
    """S33: the handshake is refused, and what came as its body is its body still, for every cut."""
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(SMUGGLED)))
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED) if chunked else SMUGGLED
    whole = request(framing, upgrade=upgrade).raw + body
    for cut in range(len(whole) + 1):
        parser = Parser(server=True)
        events = parser.receive(whole[:cut], cut) + parser.receive(whole[cut:], len(whole) - cut)
        head = events[0]
        assert isinstance(head, RequestHead)
        assert refused(head).status == (400 if upgrade == "websocket" else 426)
        assert b"".join(event for event in events if isinstance(event, bytes)) == SMUGGLED
        assert events[-1] == END
        assert not parser.leftover


# -- S98: pages of others ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "origin", "same"),
    [
        ("example.org", "http://example.org", True),
        ("example.org", "https://example.org", True),
        ("example.org:443", "https://example.org", True),
        ("example.org", "https://example.org:443", True),
        ("example.org:", "https://example.org", True),
        ("EXAMPLE.org", "https://example.ORG", True),
        ("example.org:8080", "http://example.org:8080", True),
        ("[::1]:8080", "http://[::1]:8080", True),
        ("[::1]", "http://[::1]", True),
        ("example.org:80", "https://example.org", False),
        ("example.org:8080", "http://example.org", False),
        ("example.org", "http://example.org:8080", False),
        ("example.org", "http://evil.example", False),
        ("example.org", "http://example.org.evil.example", False),
        ("example.org", "http://evil-example.org", False),
        ("example.org", "http://sub.example.org", False),
        ("example.org", "http://example.org@evil.example", False),
        ("example.org", "http://example.org/", False),
        ("example.org", "http://example.org http://evil.example", False),
        ("example.org", "http://evil.example, http://example.org", False),
        ("example.org", "example.org", False),
        ("example.org", "null", False),
        ("null", "null", False),
        ("example.org", "", False),
        ("example.org", "file://", False),
        ("example.org", "http://", False),
        ("example.org", SAME_ORIGIN, False),
        ("[::1]:8080", "http://[::1]", False),
    ],
)
def test_pages_of_the_same_origin(host: str, origin: str, same: bool) -> None:
    """S98, the default: a browser sends the cookies of a user whatever page asks."""
    head = request(("Origin", origin), host=host)
    if same:
        accepted(head)
    else:
        found = refused(head)
        assert (found.status, found.fields) == (403, ())
        assert "may not connect, Origin:" in found.message
    accepted(head, ServerHandshake(origins=None))
    assert refused(head, ServerHandshake(origins=[])).status == 403


def test_who_is_no_page_names_no_origin() -> None:
    for origins in (None, [], [SAME_ORIGIN], ["https://example.org"]):
        accepted(request(), ServerHandshake(origins=origins))


def test_no_host_is_no_origin() -> None:
    head = request(("Origin", "null"))
    head.host = b""
    assert refused(head).status == 403


def test_two_origins() -> None:
    head = request(("Origin", "http://server.example.com"), ("Origin", "http://evil.example"))
    assert refused(head).status == 400


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example", True),
        ("https://APP.example:443", True),
        ("HTTPS://app.example", True),
        ("http://app.example", False),
        ("https://app.example:444", False),
        ("https://app.example.evil.example", False),
        ("null", False),
        ("http://server.example.com", False),
        ("moz-extension://0a1b-2c", True),
        ("http://port.example:8080", True),
        ("http://port.example", False),
    ],
)
def test_origins_by_name(origin: str, allowed: bool) -> None:
    names = ["https://app.example", "moz-extension://0a1b-2c", "HTTP://port.example:8080"]
    head = request(("Origin", origin))
    assert isinstance(ServerHandshake(origins=names).answer(head), Accepted) is allowed
    both = ServerHandshake(origins={*names, SAME_ORIGIN, "null"})
    own = origin in ("null", "http://server.example.com")
    assert isinstance(both.answer(head), Accepted) is (allowed or own)


NO_ORIGINS = ["", "*", "example.org", "https://", "https://example.org/", "https://*.example.org", "https://a@b", None, b"null"]


@pytest.mark.parametrize("origins", ["https://example.org", 7, *([origin] for origin in NO_ORIGINS)])
def test_what_is_no_origin(origins: Any) -> None:
    with pytest.raises(wirebird.UsageError) as caught:
        ServerHandshake(origins=origins)
    assert caught.value.argument == "origins"


# -- both roles, and others --------------------------------------------------------------------------------------------------

TOKENS = st.text(st.sampled_from("abAB-.1"), min_size=1, max_size=3)
NAMES = st.lists(TOKENS, unique=True, max_size=4)
BITS = st.none() | st.integers(8, 15)
WISHES = st.none() | st.builds(Deflate, st.booleans(), st.booleans(), BITS, BITS)


@given(st.binary(min_size=16, max_size=16), NAMES, NAMES, WISHES, WISHES)
def test_client_and_server_come_to_the_same(key: bytes, wanted: list[str], spoken: list[str], one: Any, other: Any) -> None:
    client, server = ClientHandshake(key, wanted, one), ServerHandshake(spoken, other)
    head = parse_request_head(b"GET / HTTP/1.1\r\nHost: a\r\n" + encode_fields(client.fields()) + b"\r\n")
    there = accepted(head, server)
    here = client.check(101, HttpHeaders(there.fields))
    assert here.subprotocol == there.subprotocol == next((name for name in spoken if name in wanted), None)
    assert here.agreed == there.agreed
    assert (here.agreed is not None) is (one is not None and other is not None)


@pytest.mark.parametrize("deflate", [None, Deflate(), Deflate(True, True, 10, 11)])
@pytest.mark.parametrize("protocols", [(), ("b", "a")])
def test_with_a_server_of_websockets(protocols: tuple[str, ...], deflate: Deflate | None) -> None:
    module = pytest.importorskip("websockets.server")
    extensions = pytest.importorskip("websockets.extensions.permessage_deflate")
    factory = extensions.ServerPerMessageDeflateFactory(server_max_window_bits=12)
    there = module.ServerProtocol(extensions=[factory], subprotocols=["a", "c"] if protocols else None)
    client = ClientHandshake(NONCE, protocols, deflate)
    there.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n" + encode_fields(client.fields()) + b"\r\n")
    [asked] = there.events_received()
    there.send_response(there.accept(asked))
    head = parse_response_head(b"".join(there.data_to_send()))
    found = client.check(head.status, head.fields)
    assert found.subprotocol == ("a" if protocols else None)
    assert (found.agreed is None) is (deflate is None)
    if deflate is not None:
        assert found.agreed is not None
        assert found.agreed.server_bits == min(12, deflate.server_max_window_bits or 15)


@pytest.mark.parametrize("protocols", [None, ["b", "a"]])
@pytest.mark.parametrize("compressed", [False, True])
def test_with_a_client_of_websockets(compressed: bool, protocols: list[str] | None) -> None:
    module = pytest.importorskip("websockets.client")
    uri = pytest.importorskip("websockets.uri")
    extensions = pytest.importorskip("websockets.extensions.permessage_deflate")
    there = module.ClientProtocol(
        uri.parse_uri("ws://server.example.com/x"),
        origin="http://server.example.com",
        subprotocols=protocols,
        extensions=[extensions.ClientPerMessageDeflateFactory(server_max_window_bits=11)] if compressed else None,
    )
    there.send_request(there.connect())
    head = parse_request_head(b"".join(there.data_to_send()))
    found = accepted(head, ServerHandshake(["a", "c"], Deflate(server_max_window_bits=12, client_max_window_bits=10)))
    there.receive_data(b"HTTP/1.1 101 Switching Protocols\r\n" + encode_fields(found.fields) + b"\r\n")
    assert there.handshake_exc is None
    assert there.subprotocol == found.subprotocol == ("a" if protocols else None)
    assert found.agreed == (Agreed(server_bits=11, client_bits=10) if compressed else None)


def test_with_both_sides_of_wsproto() -> None:
    wsproto = pytest.importorskip("wsproto")
    events = pytest.importorskip("wsproto.events")
    extensions = pytest.importorskip("wsproto.extensions")
    client = ClientHandshake(NONCE, ["b", "a"], Deflate())
    there = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    there.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n" + encode_fields(client.fields()) + b"\r\n")
    assert len(list(there.events())) == 1
    raw = there.send(events.AcceptConnection(subprotocol="a", extensions=[extensions.PerMessageDeflate()]))
    head = parse_response_head(raw)
    found = client.check(head.status, head.fields)
    assert found.subprotocol == "a"
    assert found.agreed is not None
    there = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    deflate = extensions.PerMessageDeflate(server_max_window_bits=10)
    raw = there.send(events.Request(host="a", target="/", subprotocols=["b", "a"], extensions=[deflate]))
    answered = accepted(parse_request_head(raw), ServerHandshake(["a"], Deflate()))
    there.receive_data(b"HTTP/1.1 101 Switching Protocols\r\n" + encode_fields(answered.fields) + b"\r\n")
    [event] = there.events()
    assert isinstance(event, events.AcceptConnection)
    assert event.subprotocol == answered.subprotocol == "a"
    assert answered.agreed == Agreed(server_bits=10)


def test_what_is_shown_of_them() -> None:
    assert repr(ClientHandshake(NONCE, ["a"])) == "<ClientHandshake protocols=('a',) deflate=None>"
    assert repr(ServerHandshake(["a"])) == "<ServerHandshake protocols=('a',) deflate=None>"
    assert SAMPLE not in repr(ClientHandshake(NONCE))
