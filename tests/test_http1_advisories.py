"""Published advisories of other libraries that a parser decides about, each with the input that shows us free of it.

The names are the rows: S for servers, C for clients.  See test_http1_matrix.py for the classes they belong to.
"""

from __future__ import annotations

import tracemalloc

import pytest

from http1_triples import A_CHUNKED_POST, A_GET, CHUNKED, GET, HOST, OK, POST, POST_CHUNKED
from refusals import both_refuse, incomplete, outcome, refused_request, refused_response, request, response
from wire import Driver, run, whole
from wirebird.errors import IncompleteBody, LimitExceeded
from wirebird.protocol.http1_events import END, End, State


def test_s2_bad_ipv6_target() -> None:
    for target in (b"http://[::1", b"http://[::1/", b"http://]/", b"http://[/", b"http://[::1]x/", b"[::1", b"http://[v1.x]/"):
        refused_request(b"GET " + target + b" HTTP/1.1\r\nHost: [::1]\r\n\r\n")


def test_s3_lone_cr_ends_no_field() -> None:
    for field in (b"X-A: \rxTransfer-Encoding: chunked", b"X-A: \rTransfer-Encoding: chunked", b"X-A: x\r\rContent-Length: 5"):
        both_refuse(field + b"\r\n", b"0\r\n\r\n")


@pytest.mark.parametrize("value", [b"+5", b"-5", b"5_0", b"0x5", b" 5 5", b"", b"\xef\xbc\x95", b"5\xc2\xa0", b"1e1"])
def test_s5_s57_s84_s88_lenient_lengths(value: bytes) -> None:
    both_refuse(b"Content-Length: " + value + b"\r\n", b"hello")


@pytest.mark.parametrize(
    "coding", [b"xchunked", b"chunked123", b"chunked, identity", b"chunked;x", b"gzip, chunked", b"identity, chunked"]
)
def test_s6_s64_s65_s68_s103_codings_never_fall_back_to_a_length(coding: bytes) -> None:
    both_refuse(b"Transfer-Encoding: " + coding + b"\r\nContent-Length: 5\r\n", b"hello", 400, 501)
    both_refuse(b"Content-Length: 5\r\nTransfer-Encoding: " + coding + b"\r\n", b"hello", 400, 501)
    both_refuse(b"Transfer-Encoding: " + coding + b"\r\n", b"hello", 400, 501)


@pytest.mark.parametrize("line", ["GET / HTTP/1ö1", "GET / HTTP/1.𝟙", "GET / HTTP/١.1", "GET/: HTTP/1.1", "G\u0395T / HTTP/1.1"])
def test_s8_request_lines_in_unicode(line: str) -> None:
    refused_request(line.encode() + b"\r\nHost: a\r\n\r\n")
    refused_request(line.encode("latin-1", "replace") + b"\r\nHost: a\r\n\r\n")


def test_s13_lf_in_a_chunk_extension() -> None:
    for body in (b"1;a\nb\r\nx\r\n0\r\n\r\n", b"2;\nxx\r\n4c\r\n0\r\n\r\n", b"0;\n\r\n\r\n"):
        refused_request(POST_CHUNKED + body)
        refused_response(CHUNKED + body)


def test_s14_s100_s101_trailers_are_no_request() -> None:
    data = POST_CHUNKED + b"0\r\nX: y\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
    events = outcome("server", data).events
    assert events == [A_CHUNKED_POST, End(b"X: y\r\n"), "GET /2 1.1 keep 0 host=a", END]
    refused_request(POST_CHUNKED + b"0\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")


@pytest.mark.parametrize("digit", [chr(i).encode() for i in (*range(0x660, 0x66A), *range(0xFF10, 0xFF1A))])
def test_s16_digits_are_ascii(digit: bytes) -> None:
    both_refuse(b"Content-Length: " + digit + b"\r\n", b"hello")
    both_refuse(b"Content-Length: 1" + digit + b"\r\n", b"hello")
    refused_request(POST_CHUNKED + digit + b"\r\n")
    refused_response(CHUNKED + digit + b"\r\n")
    refused_request(b"GET / HTTP/1." + digit + b"\r\nHost: a\r\n\r\n")
    refused_request(b"GET / HTTP/1.1\r\nHost: a:" + digit + b"\r\n\r\n")
    refused_response(b"HTTP/1.1 20" + digit + b" OK\r\n\r\n")
    refused_response(b"HTTP/1." + digit + b" 200 OK\r\n\r\n")


def test_s21_tiny_chunks_make_few_events() -> None:
    body = b"1\r\nx\r\n" * (1 << 17) + b"0\r\n\r\n"
    driver = Driver("server")
    driver.receive(POST_CHUNKED)
    events = 0
    for pos in range(0, len(body), 65536):
        events += len(driver.parser.receive(body[pos : pos + 65536], len(body[pos : pos + 65536])))
    assert driver.parser.state is State.DONE
    assert driver.parser.received == 1 << 17
    assert events <= len(body) // 65536 + 2


def test_s23_endless_fields() -> None:
    refused_request(GET + b"X: y\r\n" * 100_000, 431)
    refused_request(GET + b"X: " + b"y" * 1_000_000, 431)
    refused_response(OK + b"X: y\r\n" * 100_000)
    refused_response(OK + b"X: " + b"y" * 1_000_000)
    refused_request(POST_CHUNKED + b"0\r\n" + b"X: y\r\n" * 100_000, 431)


def test_s28_fields_that_may_come_once() -> None:
    for name in (b"Host", b"Content-Length", b"Transfer-Encoding", b"Content-Type", b"Authorization"):
        value = {b"Host": b"a", b"Content-Length": b"0", b"Transfer-Encoding": b"chunked"}.get(name, b"x")
        line = name + b": " + value + b"\r\n"
        own = b"GET / HTTP/1.1\r\n" + (b"" if name == b"Host" else HOST)
        assert outcome("server", own + line + b"\r\n" + (b"0\r\n\r\n" if name == b"Transfer-Encoding" else b"")).error is None
        refused_request(own + line + b"X: y\r\n" + line.upper() + b"\r\n", 400, 501)


def test_s30_request_line_over_many_segments() -> None:
    driver = Driver("server")
    received = 0
    with pytest.raises(LimitExceeded) as caught:
        for piece in [b"GET /", *[b"a" * 1024] * 100]:
            received += len(piece)
            driver.receive(piece)
    assert caught.value.status == 414
    assert received <= 8192 + 1024


def test_s33_only_a_connection_option_makes_an_upgrade() -> None:
    for fields in (
        b"Upgrade: websocket\r\n",
        b"Upgrade: websocket\r\nConnection: keep-alive\r\n",
        b"X-Connection: upgrade\r\nUpgrade: w\r\n",
    ):
        assert outcome("server", GET + fields + b"\r\n").events == [A_GET, END]
    assert outcome("server", GET + b"Connection: upgraded\r\nUpgrade: w\r\n\r\n").events == [A_GET, END]
    assert outcome("server", GET + b"Connection: Upgrade\r\nUpgrade: notupgrade\r\n\r\n").events == [
        A_GET + " upgrade=notupgrade",
        END,
    ]


def test_s38_any_two_bytes_behind_a_chunk() -> None:
    for a in (b"\r", b"\n", b"X", b"0", b"\0"):
        for b in (b"\r", b"\n", b"X", b"0", b"\0"):
            if a + b != b"\r\n":
                refused_request(POST_CHUNKED + b"5\r\nhello" + a + b + b"0\r\n\r\n")
                refused_response(CHUNKED + b"5\r\nhello" + a + b + b"0\r\n\r\n")


def test_s39_length_of_5000_digits() -> None:
    for digits in (b"1" + b"0" * 22, b"9" * 5000, b"0" * 4999 + b"5"):
        both_refuse(b"Content-Length: " + digits + b"\r\n", b"hello")


@pytest.mark.parametrize("host", [b"a/b", b"a?x", b"a#x", b"a@b", b"a b", b"a\tb", b"[::1", b"", b"a/x?y="])
def test_s45_host_that_rewrites_the_path(host: bytes) -> None:
    refused_request(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")


def test_s48_target_that_poisons_the_host() -> None:
    for target in (b"@evil.com", b"evil.com", b":80", b"*.evil", b".evil/", b"%2f"):
        refused_request(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")


def test_s66_forms_lists_and_cut_chunks() -> None:
    refused_request(b"GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n")
    refused_request(b"GET * HTTP/1.1\r\nHost: a\r\n\r\n")
    refused_request(request(b"Content-Length: 5, 5\r\n", b"hello"))
    refused_request(b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    refused_request(request(b"Content-Type: a\r\nContent-Type: b\r\n"))
    incomplete("server", POST_CHUNKED + b"5\r\nhello\r\n0\r\n")


def test_s67_lf_only() -> None:
    refused_request(POST.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n")
    refused_response(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n")


@pytest.mark.parametrize("odd", [b"\x0b", b"\x0c", b"\xa0", b"\xc2\xa0", b"\x85", b"\x1c"])
def test_s69_odd_white_space_in_codings(odd: bytes) -> None:
    both_refuse(b"Transfer-Encoding: " + odd + b"chunked\r\n", b"0\r\n\r\n", 400, 501)
    both_refuse(b"Transfer-Encoding: chunked" + odd + b"\r\n", b"0\r\n\r\n", 400, 501)
    both_refuse(b"Transfer-Encoding:" + odd + b"chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n", 400, 501)


def test_s70_s83_two_lengths_or_a_length_and_a_coding() -> None:
    refused_request(request(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"))
    refused_request(request(b"Content-Length: 0\r\nContent-Length: 5\r\n", b"hello"))
    both_refuse(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n")


def test_s72_signed_and_prefixed_sizes() -> None:
    for size in (b"+a", b"0xa", b" a", b"a_0", b"", b"-1"):
        refused_request(POST_CHUNKED + size + b"\r\n0123456789\r\n0\r\n\r\n")
        refused_response(CHUNKED + size + b"\r\n0123456789\r\n0\r\n\r\n")


def test_s92_many_fields_of_one_name() -> None:
    refused_request(GET + b"X: y\r\n" * 10_000 + b"\r\n", 431)
    refused_response(OK + b"X: y\r\n" * 10_000 + b"\r\n")


@pytest.mark.parametrize("odd", [b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e"])
def test_s96_what_unicode_takes_for_a_line_end(odd: bytes) -> None:
    both_refuse(b"X: a" + odd + b"Content-Length: 5\r\n", b"hello")
    both_refuse(b"X: a" + odd + b"\r\n", b"hello")


@pytest.mark.parametrize("odd", [b"\x85", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9"])
def test_s96_obs_text_ends_no_line(odd: bytes) -> None:
    """NEL and its like are obs-text (RFC 9110 5.5), parts of UTF-8 letters above all: they stay inside their one value."""
    driver = Driver("client")
    driver.receive(OK + b"X: a" + odd + b"Y: b" + odd + b"\r\nContent-Length: 0\r\n\r\n")
    head = driver.heads[0]
    assert head.raw_fields == [(b"X", b"a" + odd + b"Y: b" + odd), (b"Content-Length", b"0")]
    assert list(head.fields) == ["X", "Content-Length"]


def test_s103_white_space_before_a_colon_and_folding() -> None:
    both_refuse(b"Content-Length : 5\r\n", b"hello")
    both_refuse(b" X: y\r\n")
    both_refuse(b"A: b\r\n X: y\r\n")


@pytest.mark.parametrize("control", [bytes([i]) for i in range(32) if i != 9] + [b"\x7f"])
def test_c7_controls_in_response_values(control: bytes) -> None:
    refused_response(OK + b"X: a" + control + b"b\r\nContent-Length: 0\r\n\r\n")
    refused_response(b"HTTP/1.1 200 O" + control + b"K\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("role", "data"),
    [
        ("client", response(b"Content-Length: 1000000000000\r\n", b"x" * 10)),
        ("server", request(b"Content-Length: 999999999999999999\r\n", b"x" * 10)),
        ("client", CHUNKED + b"FFFFFFFFFFFFFFFF\r\n" + b"x" * 10),
        ("server", POST_CHUNKED + b"7fffffffffffffff\r\n" + b"x" * 10),
    ],
)
def test_c73_nothing_is_allocated_for_a_claimed_length(role: str, data: bytes) -> None:
    run(role, whole(data), eof=True)
    tracemalloc.start()
    try:
        error = run(role, whole(data), eof=True).error
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert error is not None and error[:2] == (IncompleteBody, 10)
