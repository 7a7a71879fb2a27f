"""The byte matrix: one test for each class of attack, B1 to B23, as far as a parser decides about it.

Every input runs whole, cut at every byte, and with a good message behind it, which must not be read once something was wrong.
"""

from __future__ import annotations

import tracemalloc

import pytest

from http1_triples import A_CHUNKED_POST, A_GET, CHUNKED, GET, HOST, OK, POST, POST_CHUNKED
from refusals import both_refuse, incomplete, outcome, refused_request, refused_response, request, response
from wire import Driver, every_byte, run
from wirebird.protocol.http1_events import END, End, State

CONTROLS = [bytes([i]) for i in (*range(0x09), *range(0x0B, 0x0D), *range(0x0E, 0x20), 0x7F)]  # but HTAB, LF and CR
UNICODE_DIGITS = [*(digit.encode() for digit in "\u0660\u0665\u0669\uff15\u096b\U0001d7d9"), b"5\0", b"\xe5", b"\xb2", b"\xb9"]

# -- the matrix --------------------------------------------------------------------------------------------------------

LENGTH_AND_CODING = [
    b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    b"content-length:4\r\nX: y\r\nTRANSFER-ENCODING:CHUNKED\r\n",
    b"Content-Length: 4\r\nTransfer-Encoding: identity\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\nContent-Length: 4\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: x\r\n",
]


@pytest.mark.parametrize("fields", LENGTH_AND_CODING)
def test_b1_length_and_coding(fields: bytes) -> None:
    both_refuse(fields, b"0\r\n\r\n", 400, 501)


CODINGS = [
    b"xchunked",
    b"chunkedx",
    b"chunked123",
    b"chunked;q=1",
    b"chunked;x",
    b"\x0bchunked",
    b"\x0cchunked",
    b"chunked\x0b",
    b"\xa0chunked",
    b"chunked\xa0",
    b"\xc2\xa0chunked",
    b"identity",
    b"identity, chunked",
    b"chunked, identity",
    b"chunked, chunked",
    b"chunked,",
    b",chunked",
    b"gzip, chunked",
    b"chunked, gzip",
    b"gzip",
    b"chun ked",
    b"'chunked'",
    b'"chunked"',
    b"",
    b"cow",
    "chun\u212aed".encode(),  # KELVIN SIGN, which str.lower() turns into a k
]


@pytest.mark.parametrize("coding", CODINGS)
def test_b2_obfuscated_coding(coding: bytes) -> None:
    both_refuse(b"Transfer-Encoding: " + coding + b"\r\n", b"0\r\n\r\n", 400, 501)
    both_refuse(b"Transfer-Encoding: " + coding + b"\r\nContent-Length: 5\r\n", b"0\r\n\r\n", 400, 501)


@pytest.mark.parametrize("other", [b"chunked", b"x", b"identity", b""])
def test_b2_two_codings(other: bytes) -> None:
    both_refuse(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: " + other + b"\r\n", b"0\r\n\r\n", 400, 501)
    both_refuse(b"Transfer-Encoding: " + other + b"\r\nX: y\r\ntransfer-encoding: chunked\r\n", b"0\r\n\r\n", 400, 501)


@pytest.mark.parametrize("coding", [b"chunked", b"gzip, chunked", b"identity"])
def test_b3_coding_in_http_1_0(coding: bytes) -> None:
    refused_request(b"POST / HTTP/1.0\r\nTransfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n", 400, 501)
    # A client reads such a response to the end of the connection, and never uses that again (RFC 9112 6.1).
    if coding == b"chunked":
        data = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        assert outcome("client", data).state is State.TO_EOF
    else:
        refused_response(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: " + coding + b"\r\n\r\n")


@pytest.mark.parametrize("values", [(b"5", b"6"), (b"5", b"05"), (b"5", b""), (b"", b"5"), (b"5, 6",), (b"5,",), (b"5, 5", b"6")])
def test_b4_different_lengths(values: tuple[bytes, ...]) -> None:
    both_refuse(b"".join(b"Content-Length: %b\r\n" % value for value in values), b"hello")


@pytest.mark.parametrize("values", [(b"5", b"5"), (b"5, 5",), (b"5,5", b"5"), (b"5", b"5", b"5")])
def test_b4_equal_lengths(values: tuple[bytes, ...]) -> None:
    fields = b"".join(b"Content-Length: %b\r\n" % value for value in values)
    refused_request(request(fields, b"hello"))
    assert outcome("client", response(fields, b"hello")).events == ["200 OK 1.1 keep 5", b"hello", END]


LENGTHS = [
    b"+5",
    b"-5",
    b"-1",
    b"5_0",
    b"0x5",
    b"5 5",
    b"5.0",
    b"5e0",
    b"",
    b"x",
    b"5;",
    b"9" * 5000,
    b"0" * 5000,
    *UNICODE_DIGITS,
]


@pytest.mark.parametrize("value", LENGTHS)
def test_b5_grammar_of_lengths(value: bytes) -> None:
    both_refuse(b"Content-Length: " + value + b"\r\n", b"hello")


@pytest.mark.parametrize("odd", [b"\x0b", b"\x0c", b"\xa0", b"\x85", b"\xc2\x85", b"\xe2\x80\x89", b"\x1c", b"\x00"])
def test_b5_only_spaces_and_tabs_are_stripped(odd: bytes) -> None:
    both_refuse(b"Content-Length: " + odd + b"5\r\n", b"hello")
    both_refuse(b"Content-Length: 5" + odd + b"\r\n", b"hello")
    for good in (b" \t5", b"5\t ", b"\t5 "):
        assert outcome("client", response(b"Content-Length:" + good + b"\r\n", b"hello")).events[1:] == [b"hello", END]
        assert outcome("server", request(b"Content-Length:" + good + b"\r\n", b"hello")).events[1:] == [b"hello", END]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET\n / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        POST_CHUNKED + b"5\nhello\r\n0\r\n\r\n",
        POST_CHUNKED + b"5\r\nhello\n0\r\n\r\n",
        POST_CHUNKED + b"5\r\nhello\r\n0\n\r\n",
        POST_CHUNKED + b"5\r\nhello\r\n0\r\n\n",
        POST_CHUNKED + b"5\r\nhello\r\n0\r\nX: y\n\r\n",
        POST_CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n\n",
    ],
)
def test_b6_bare_lf(data: bytes) -> None:
    refused_request(data)
    if data.startswith(b"GET / "):
        data = data.replace(b"GET / HTTP/1.1", b"HTTP/1.1 200 OK")
    elif data.startswith(POST_CHUNKED):
        data = data.replace(POST_CHUNKED, CHUNKED)
    refused_response(data)


@pytest.mark.parametrize("field", [b"X: a\rb", b"X: a\r", b"X: \rContent-Length: 5", b"X\r: a", b"\rX: a", b"X:\r a", b"\r"])
def test_b7_bare_cr(field: bytes) -> None:
    both_refuse(field + b"\r\n")


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\rHost: a\r\n\r\n", b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"]
)
def test_b7_bare_cr_in_a_start_line(data: bytes) -> None:
    refused_request(data)
    refused_response(data.replace(b"GET /", b"HTTP/1.1 200 OK").replace(b" HTTP/1.1\r", b" x\r"))


@pytest.mark.parametrize("control", [*CONTROLS, b"\r", b"\n"])
def test_b8_controls(control: bytes) -> None:
    for field in (b"X%b: a", b"%bX: a", b"X: a%bb", b"X: %ba", b"X: a%b", b"X:%b"):
        both_refuse(field % control + b"\r\n")
    for line in (b"GE%bT / HTTP/1.1", b"GET /%b HTTP/1.1", b"GET /a%bb HTTP/1.1", b"GET / HTTP/%b1.1", b"GET / HTTP/1.1%b"):
        refused_request(line % control + b"\r\nHost: a\r\n\r\n")
    for line in (b"HTTP/1.1 200 %b", b"HTTP/1.1 200 O%bK", b"HTTP/1.1%b 200 OK", b"HTTP/1.1 20%b0 OK", b"HTTP/1.1 200%b"):
        refused_response(line % control + b"\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("fold", [b"X: a\r\n b", b"X: a\r\n\tb", b"X:\r\n b", b"Content-Length:\r\n 5", b"X: a\r\n "])
def test_b9_folding(fold: bytes) -> None:
    both_refuse(fold + b"\r\n", b"hello")
    both_refuse(b"Y: z\r\n" + fold + b"\r\nZ: z\r\n", b"hello")


@pytest.mark.parametrize(
    "field", [b"Host : a", b"Content-Length : 5", b"X\t: a", b"X : a", b" X: a", b"\tX: a", b"Transfer-Encoding : chunked"]
)
def test_b10_space_before_colon(field: bytes) -> None:
    refused_request(b"POST / HTTP/1.1\r\n" + field + b"\r\nHost: a\r\n\r\nhello")
    refused_response(OK + field + b"\r\n\r\nhello")
    both_refuse(field + b"\r\n", b"hello")


@pytest.mark.parametrize(
    "field",
    [
        *(b": x", b"a b: c", b"Content-Encoding?: x", b"\xe9: x", b"\xc3\xa9: x"),
        *rb""": a a(b:c a/b:c "a":b a@b:c [a]:b {a}:b a;b:c a=b:c <a>:b a\b:c a,b:c""".split(),
    ],
)
def test_b11_names(field: bytes) -> None:
    both_refuse(field + b"\r\n")


REQUEST_LINES = b"""GET  / HTTP/1.1|GET /  HTTP/1.1|GET\t/ HTTP/1.1|GET /\tHTTP/1.1|GET / http/1.1|GET / Http/1.1|GET / HTTP/1.10
GET / HTTP/1.|GET / HTTP/.1|GET / HTTP/1|GET / HTTP/11|GET / HTTP/1.1.1|GET / HTTP/+1.1|GET / HTTP/1.-1|GET / HTTP/ 1.1
GET / HTTP/1.1 |GET / HTTP/1.1 x|GET / x HTTP/1.1|GET / HTTPS/1.1|GET / ICAP/1.1|GET /|GET HTTP/1.1|GET| GET / HTTP/1.1
GET/ HTTP/1.1|GET/: HTTP/1.1|G(T / HTTP/1.1|G\xc9T / HTTP/1.1|"GET" / HTTP/1.1|GET / HTTP/1,1|GET / HTTP 1.1
\xef\xbb\xbfGET / HTTP/1.1"""


@pytest.mark.parametrize("line", REQUEST_LINES.replace(b"\n", b"|").split(b"|"))
def test_b12_request_line(line: bytes) -> None:
    refused_request(line + b"\r\n" + HOST + b"\r\n")
    refused_request(b"\r\n" + line + b"\r\n" + HOST + b"\r\n")


@pytest.mark.parametrize("number", range(2, 6))
def test_b12_empty_lines(number: int) -> None:
    refused_request(b"\r\n" * number + GET + b"\r\n")
    refused_request(GET + b"\r\n" + b"\r\n" * number + GET + b"\r\n", before=[A_GET, END])


@pytest.mark.parametrize("version", [b"2.0", b"3.0", b"0.9", b"9.9"])
def test_b12_other_versions(version: bytes) -> None:
    refused_request(b"GET / HTTP/" + version + b"\r\n" + HOST + b"\r\n", 505)


TARGETS = rb"""@evil @evil.com/ evil.com/ evil.com * ** */ a:80 [::1]:80 /a#b /# # \\evil /\evil /a\b ?a http: http:/a http://
    http:///x http://a@b/ http://a:b@c/ http://a\b/ http://a/#b http://b/ http://a:x/ http://a:99999/ file:///etc/passwd
    javascript:x data:,x ws://a/""".split()


@pytest.mark.parametrize("target", [*TARGETS, b"", b"/\xc3\xa9", b"/\xff", b"/\x80", b"/\x7f", b"http://\xe9/"])
def test_b13_targets(target: bytes) -> None:
    if target == b"//":
        assert outcome("server", b"GET // HTTP/1.1\r\nHost: a\r\n\r\n").error is None  # a path like another; who redirects beware
        return
    refused_request(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    refused_request(b"POST " + target + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    refused_request(b"CONNECT " + target.replace(b":80", b"") + b" HTTP/1.1\r\nHost: a\r\n\r\n")


HOSTS = rb"""a/b a? a?x a# a#x a@b a,b a:b a:99999 a:123456 a:+1 a:-1 a:80:80 :80 [::1 ::1 [::1]x [::1]:x [g] [] a\b <a>
    'a" a|b a^b {a} http://a""".split()


@pytest.mark.parametrize("host", [*HOSTS, b"", b"a b", b"a\tb", b"a\x00b", b"a\x7f", b"\xc3\xa9", b"a:\xd9\xa5"])
def test_b14_hosts(host: bytes) -> None:
    refused_request(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    if host:
        refused_request(b"GET / HTTP/1.0\r\nHost: " + host + b"\r\n\r\n")


def test_b14_number_of_hosts() -> None:
    refused_request(b"GET / HTTP/1.1\r\n\r\n")
    refused_request(b"GET / HTTP/1.1\r\nX: y\r\n\r\n")
    refused_request(b"GET http://a/ HTTP/1.1\r\n\r\n")
    for second in (b"a", b"b", b""):
        refused_request(b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nHOST: " + second + b"\r\n\r\n")
        refused_request(b"GET / HTTP/1.0\r\nHost: a\r\nHost: " + second + b"\r\n\r\n")


SIZES = b"+5 -5 -0 0x5 0X5 5_0 a_0 +a 0xa g 5g 5h 5. 5,5".split()
SIZES += [
    b"",
    b" 5",
    b"5 ",
    b"\t5",
    b"5\t",
    b" a",
    b"5\0",
    b"\x0b5",
    b"\xa05",
    b"F" * 17,
    b"0" * 16 + b"5",
    b"0" * 1000,
    b"f" * 1000,
]
SIZES += UNICODE_DIGITS


@pytest.mark.parametrize("size", SIZES)
def test_b15_chunk_size(size: bytes) -> None:
    body = size + b"\r\nhello\r\n0\r\n\r\n"
    refused_request(POST_CHUNKED + body)
    refused_response(CHUNKED + body)
    refused_request(POST_CHUNKED + b"1\r\nx\r\n" + body)
    refused_response(CHUNKED + b"1\r\nx\r\n" + body)
    refused_request(POST_CHUNKED + size + b";a=b\r\nhello\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "extension", [b";a\nb", b";a\n", b";\0", b";a\x0b", b";\x7f", b";a\rb", b";a\r", b";\r;", b" ;a", b"\t;a", b":a", b",a"]
)
def test_b16_chunk_extension(extension: bytes) -> None:
    body = b"5" + extension + b"\r\nhello\r\n0\r\n\r\n"
    refused_request(POST_CHUNKED + body)
    refused_response(CHUNKED + body)
    refused_request(POST_CHUNKED + b"5\r\nhello\r\n0" + extension + b"\r\n\r\n")


def test_b16_long_chunk_extension() -> None:
    for size in (257, 300, 1000, 1 << 20):
        body = b"5;" + b"e" * size + b"\r\nhello\r\n0\r\n\r\n"
        refused_request(POST_CHUNKED + body, 400, 413)
        refused_response(CHUNKED + body)
        refused_request(POST_CHUNKED + body[: size - 1], 400, 413) if size > 400 else None


def test_b16_many_chunk_extensions() -> None:
    """16 KiB for one body, of however many chunks; the next body starts anew."""
    chunk = b"1;" + b"e" * 128 + b"\r\nx\r\n"
    refused_request(POST_CHUNKED + chunk * 129 + b"0\r\n\r\n", 400, 413)
    refused_response(CHUNKED + chunk * 129 + b"0\r\n\r\n")
    good = POST_CHUNKED + chunk * 128 + b"0\r\n\r\n"
    assert outcome("server", good * 2).events == [A_CHUNKED_POST, b"x" * 128, END] * 2


@pytest.mark.parametrize(
    "end",
    [b"XX", b"\n", b"\r", b"", b"!\r\n", b"\n\r", b"\r\r\n", b"\r\n\r\n", b"\0\0", b" \r\n"],
)
def test_b17_chunk_data_end(end: bytes) -> None:
    body = b"5\r\nhello" + end + b"0\r\n\r\n"
    refused_request(POST_CHUNKED + body)
    refused_response(CHUNKED + body)


@pytest.mark.parametrize(
    "cut", [b"5\r\nhello\r\n0\r\n", b"5\r\nhello\r\n0\r\n\r", b"5\r\nhello\r\n0", b"5\r\nhello\r\n", b"5\r\nhe", b""]
)
def test_b17_no_final_line(cut: bytes) -> None:
    incomplete("server", POST_CHUNKED + cut)
    incomplete("client", CHUNKED + cut)


FORBIDDEN_TRAILERS = b"""Content-Length:5 TRANSFER-ENCODING:chunked host:evil Authorization:x Set-Cookie:a=b Cookie:a
    Connection:close Content-Type:x Content-Encoding:gzip Trailer:x Expect:100-continue Proxy-Authorization:x TE:x
    Content-Range:x Cache-Control:no-store Max-Forwards:1""".split()


@pytest.mark.parametrize("field", FORBIDDEN_TRAILERS)
def test_b18_forbidden_trailers(field: bytes) -> None:
    for start, role in ((POST_CHUNKED, "server"), (CHUNKED, "client")):
        assert outcome(role, start + b"0\r\n" + field + b"\r\n\r\n").events[1:] == [END]
        kept = b"X-%b\r\n" % field
        events = outcome(role, start + b"0\r\nA: b\r\n" + field + b"\r\n" + kept + field + b"\r\n\r\n").events
        assert events[1:] == [End(b"A: b\r\n" + kept)]


@pytest.mark.parametrize(
    "block", [b"X: y" * 20_000, b"X: y\r\n" * 20_000, b"X: y\r\n" * 129 + b"\r\n", b"X: " + b"y" * 65536 + b"\r\n\r\n"]
)
def test_b18_endless_trailers(block: bytes) -> None:
    refused_request(POST_CHUNKED + b"0\r\n" + block, 431)
    refused_response(CHUNKED + b"0\r\n" + block)


def test_b18_no_final_line() -> None:
    for cut in (b"0\r\nX: y\r\n", b"0\r\nX: y\r\n\r", b"0\r\nX: y", b"0\r\n\r"):
        incomplete("server", POST_CHUNKED + cut)
        incomplete("client", CHUNKED + cut)


def test_b19_framing_by_the_end_of_the_connection() -> None:
    incomplete("client", response(b"Content-Length: 6\r\n", b"hello"))
    incomplete("server", request(b"Content-Length: 6\r\n", b"hello"))
    for behind in (b"!", b"\r\n", OK + b"Content-Length: 0\r\n\r\n"):
        found = outcome("client", response(b"Content-Length: 5\r\n", b"hello" + behind))
        assert found.events == ["200 OK 1.1 keep 5", b"hello", END]
        assert found.leftover == behind
        driver = Driver("client")
        driver.receive(response(b"Content-Length: 5\r\n", b"hello" + behind))
        with pytest.raises(RuntimeError):
            driver.parser.expect(b"GET")
    everything = run("client", every_byte(response(b"", b"hello" + OK + b"\r\n")), eof=True)
    assert everything.events == ["200 OK 1.1 keep eof", b"hello" + OK + b"\r\n", END]


@pytest.mark.parametrize(
    ("method", "line"),
    [(b"GET", b"204 N"), (b"GET", b"304 N"), (b"HEAD", b"200 OK"), (b"HEAD", b"404 N"), (b"POST", b"204 N"), (b"HEAD", b"204 N")],
)
def test_b20_bodies_that_may_not_be(method: bytes, line: bytes) -> None:
    for fields in (b"Content-Length: 5\r\n", b"", b"Transfer-Encoding: chunked\r\n"):
        head, end = b"HTTP/1.1 " + line + b"\r\n" + fields + b"\r\n", b"5\r\nhello\r\n0\r\n\r\n"
        found = outcome("client", head + end, method)
        assert len(found.events) == 2 and found.events[1] == END
        assert found.leftover == end


def test_b20_interim_responses() -> None:
    refused_response(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000 + OK + b"Content-Length: 0\r\n\r\n")
    refused_response(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    refused_response(
        b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello" + OK + b"\r\n"
    )  # it has no body, whatever it says
    events = outcome("client", b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 204 N\r\n\r\n").events
    assert events == ["100 Continue 1.1 keep 0", "204 N 1.1 keep 0", END]


BAD_REQUESTS = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n",
    POST + b"Content-Length: x\r\n\r\n",
    POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
    POST_CHUNKED + b"x\r\n",
    POST_CHUNKED + b"1\r\nxyz",
]


@pytest.mark.parametrize("bad", BAD_REQUESTS)
def test_b21_pipelining_behind_an_error(bad: bytes) -> None:
    refused_request(bad)
    refused_request(GET + b"\r\n" + bad, before=[A_GET, END])
    refused_request((GET + b"\r\n") * 3 + bad + GET + b"\r\n", before=[A_GET, END] * 3)


def test_b22_upgrade_with_a_body() -> None:
    """The body is framed as ever; what is upgraded to is for the server to decide, behind it."""
    smuggled = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
    data = POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: %d\r\n\r\n" % len(smuggled) + smuggled
    events = outcome("server", data).events
    assert events == [f"POST / 1.1 keep {len(smuggled)} host=a upgrade=websocket", smuggled, END]


def test_b22_h2c() -> None:
    refused_request(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 505)
    data = GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    assert outcome("server", data).events == [A_GET + " upgrade=h2c", END]  # still HTTP/1.1 until somebody agrees
    refused_response(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")


def test_b23_unread_body() -> None:
    """A body is handed on as it comes: nobody who ignores one makes the parser keep it."""
    driver = Driver("server")
    driver.receive(request(b"Content-Length: 100000000\r\n"))
    piece = bytes(65536)
    driver.parser.receive(piece, len(piece))
    tracemalloc.start()
    try:
        for _ in range(200):
            driver.parser.receive(piece, len(piece))
        assert tracemalloc.get_traced_memory()[1] < 4 * len(piece)
    finally:
        tracemalloc.stop()
