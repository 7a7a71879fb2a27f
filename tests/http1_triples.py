"""What is received, and the events or the error it must give: HTTP/1.1 as a table, for the parser's tests."""

from __future__ import annotations

from typing import Any, NamedTuple

from wirebird.errors import IncompleteBody, InvalidRequest, InvalidResponse, LimitExceeded
from wirebird.models.limits import DEFAULT_LIMITS, Limits
from wirebird.protocol.http1_events import END, End


class Triple(NamedTuple):
    role: str
    method: bytes
    data: bytes
    events: list[Any]  # what must come, before an error too
    error: tuple[Any, ...] | None = None
    eof: bool = False
    switching: bool = False
    leftover: bytes = b""
    limits: Limits = DEFAULT_LIMITS


def _client(data: bytes, *events: Any, method: bytes = b"GET", **more: Any) -> Triple:
    return Triple("client", method, data, list(events), **more)


def _server(data: bytes, *events: Any, **more: Any) -> Triple:
    return Triple("server", b"", data, list(events), **more)


def _bad_response(data: bytes, **more: Any) -> Triple:
    return _client(data, error=(InvalidResponse, None), **more)


def _bad_request(data: bytes, status: int = 400, *events: Any, **more: Any) -> Triple:
    return _server(data, *events, error=(InvalidRequest, status), **more)


def _cut_short(data: bytes, received: int = 0, expected: int | None = None, **more: Any) -> Triple:
    return _client(data, error=(IncompleteBody, received, expected), eof=True, **more)


def _cut_request(data: bytes, received: int = 0, expected: int | None = None, *events: Any) -> Triple:
    return _server(data, *events, error=(IncompleteBody, received, expected), eof=True)


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
POST_CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
A_CHUNKED_POST = "POST / 1.1 keep chunked host=a"
A_GET = "GET / 1.1 keep 0 host=a"

RESPONSES = {
    # -- status line (RFC 9112 4)
    "plain": _client(OK + b"Content-Length: 5\r\n\r\nhello", "200 OK 1.1 keep 5", b"hello", END),
    "length-zero": _client(OK + b"Content-Length: 0\r\n\r\n", "200 OK 1.1 keep 0", END),
    "length-leading-zeros": _client(OK + b"Content-Length: 005\r\n\r\nhello", "200 OK 1.1 keep 5", b"hello", END),
    "length-18-digits": _client(
        OK + b"Content-Length: 999999999999999999\r\n\r\nhello", "200 OK 1.1 keep 999999999999999999", b"hello"
    ),
    "length-19-digits": _bad_response(OK + b"Content-Length: 1000000000000000000\r\n\r\n"),
    "no-reason": _client(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200  1.1 keep 0", END),
    "empty-reason": _client(b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "200  1.1 keep 0", END),
    "long-reason": _client(b"HTTP/1.1 404 Not  Found \r\nContent-Length: 0\r\n\r\n", "404 Not  Found  1.1 keep 0", END),
    "obs-text-reason": _client(b"HTTP/1.1 200 \xc3\xa9\xff\r\nContent-Length: 0\r\n\r\n", "200 \xc3\xa9\xff 1.1 keep 0", END),
    "tab-reason": _client(b"HTTP/1.1 200 O\tK\r\nContent-Length: 0\r\n\r\n", "200 O\tK 1.1 keep 0", END),
    "status-599": _client(b"HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n", "599 X 1.1 keep 0", END),
    "status-999": _client(b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", "999 X 1.1 keep 0", END),
    "minor-version-7": _client(b"HTTP/1.7 200 OK\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 keep 0", END),
    "status-099": _bad_response(b"HTTP/1.1 099 X\r\n\r\n"),
    "status-two-digits": _bad_response(b"HTTP/1.1 20 OK\r\n\r\n"),
    "status-four-digits": _bad_response(b"HTTP/1.1 2000 OK\r\n\r\n"),
    "status-letters": _bad_response(b"HTTP/1.1 2o0 OK\r\n\r\n"),
    "status-missing": _bad_response(b"HTTP/1.1\r\n\r\n"),
    "two-spaces-before-status": _bad_response(b"HTTP/1.1  200 OK\r\n\r\n"),
    "tab-before-status": _bad_response(b"HTTP/1.1\t200 OK\r\n\r\n"),
    "no-space-before-reason": _bad_response(b"HTTP/1.1 200OK\r\n\r\n"),
    "version-2": _bad_response(b"HTTP/2 200\r\n\r\n"),
    "version-2.0": _bad_response(b"HTTP/2.0 200 OK\r\n\r\n"),
    "version-0.9": _bad_response(b"HTTP/0.9 200 OK\r\n\r\n"),
    "version-1.10": _bad_response(b"HTTP/1.10 200 OK\r\n\r\n"),
    "version-lower-case": _bad_response(b"http/1.1 200 OK\r\n\r\n"),
    "not-http": _bad_response(b"<html>hello</html>"),
    "icy": _bad_response(b"ICY 200 OK\r\n\r\n"),
    "tls-alert": _bad_response(b"\x15\x03\x01\x00\x02\x02\x46"),
    "empty-line-first": _bad_response(b"\r\nHTTP/1.1 200 OK\r\n\r\n"),
    # -- header fields (RFC 9112 5)
    "no-space-after-colon": _client(OK + b"Content-Length:5\r\n\r\nhello", "200 OK 1.1 keep 5", b"hello", END),
    "white-space-around-value": _client(OK + b"Content-Length: \t 5 \t\r\n\r\nhello", "200 OK 1.1 keep 5", b"hello", END),
    "names-in-any-case": _client(OK + b"cOnTeNt-LeNgTh: 5\r\n\r\nhello", "200 OK 1.1 keep 5", b"hello", END),
    "odd-token-name": _client(OK + b"!#$%&'*+-.^_`|~09: x\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 keep 0", END),
    "empty-value": _client(OK + b"X:\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 keep 0", END),
    "name-that-contains-one": _client(OK + b"X-Content-Length: 7\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 keep 0", END),
    "name-in-a-value": _client(OK + b"X: content-length: 7\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 keep 0", END),
    "folded": _bad_response(OK + b"X: a\r\n b\r\n\r\n"),
    "folded-by-tab": _bad_response(OK + b"X: a\r\n\tb\r\n\r\n"),
    "space-before-first-name": _bad_response(OK + b" X: a\r\n\r\n"),
    "space-before-colon": _bad_response(OK + b"X : a\r\n\r\n"),
    "no-colon": _bad_response(OK + b"X\r\n\r\n"),
    "empty-name": _bad_response(OK + b": x\r\n\r\n"),
    "bare-lf-everywhere": _bad_response(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    "bare-lf-in-value": _bad_response(OK + b"X: a\nY: b\r\n\r\n"),
    "bare-cr-in-value": _bad_response(OK + b"X: a\rY: b\r\n\r\n"),
    "nul-in-value": _bad_response(OK + b"X: a\0b\r\n\r\n"),
    # -- framing (RFC 9112 6.3)
    "until-eof": _client(OK + b"\r\nhello", "200 OK 1.1 keep eof", b"hello", END, eof=True),
    "until-eof-open": _client(OK + b"\r\nhello", "200 OK 1.1 keep eof", b"hello"),
    "until-eof-empty": _client(OK + b"\r\n", "200 OK 1.1 keep eof", END, eof=True),
    "until-eof-close": _client(OK + b"Connection: close\r\n\r\nhello", "200 OK 1.1 close eof", b"hello", END, eof=True),
    "until-eof-like-a-head": _client(OK + b"\r\n" + OK + b"\r\n", "200 OK 1.1 keep eof", OK + b"\r\n", END, eof=True),
    "head": _client(OK + b"Content-Length: 5\r\n\r\n", "200 OK 1.1 keep 5", END, method=b"HEAD"),
    "head-chunked": _client(CHUNKED, "200 OK 1.1 keep chunked", END, method=b"HEAD"),
    "head-without-length": _client(OK + b"\r\n", "200 OK 1.1 keep eof", END, method=b"HEAD"),
    "head-with-a-body": _client(
        OK + b"Content-Length: 5\r\n\r\nhello", "200 OK 1.1 keep 5", END, method=b"HEAD", leftover=b"hello"
    ),
    "lower-case-head-is-another-method": _client(
        OK + b"Content-Length: 5\r\n\r\nhello", "200 OK 1.1 keep 5", b"hello", END, method=b"head"
    ),
    "204": _client(b"HTTP/1.1 204 No Content\r\n\r\n", "204 No Content 1.1 keep 0", END),
    "204-with-length": _client(
        b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "204 No Content 1.1 keep 0", END, leftover=b"hello"
    ),
    "204-chunked": _client(b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "204 No Content 1.1 keep 0", END),
    "304-with-length": _client(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", "304 Not Modified 1.1 keep 0", END),
    "304-chunked": _client(
        b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "304 Not Modified 1.1 keep 0", END
    ),
    "205-has-a-body-like-others": _client(b"HTTP/1.1 205 R\r\nContent-Length: 2\r\n\r\nhi", "205 R 1.1 keep 2", b"hi", END),
    "equal-lengths": _client(OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "200 OK 1.1 keep 5", b"hello", END),
    "equal-lengths-in-a-list": _client(OK + b"Content-Length: 5, 5\r\n\r\nhello", "200 OK 1.1 keep 5", b"hello", END),
    "equal-lengths-both-ways": _client(
        OK + b"Content-Length: 5,5\r\nX: y\r\ncontent-length: 5\r\n\r\nhello", "200 OK 1.1 keep 5", b"hello", END
    ),
    "different-lengths": _bad_response(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    "different-lengths-in-a-list": _bad_response(OK + b"Content-Length: 5, 6\r\n\r\nhello"),
    "equal-numbers-spelled-differently": _bad_response(OK + b"Content-Length: 5\r\nContent-Length: 05\r\n\r\nhello"),
    "length-list-with-a-gap": _bad_response(OK + b"Content-Length: 5,,5\r\n\r\nhello"),
    "length-empty": _bad_response(OK + b"Content-Length:\r\n\r\n"),
    "length-empty-twice": _bad_response(OK + b"Content-Length:\r\nContent-Length:\r\n\r\n"),
    "length-signed": _bad_response(OK + b"Content-Length: +5\r\n\r\nhello"),
    "length-and-chunked": _bad_response(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello"),
    "chunked-and-length": _bad_response(OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello"),
    "coding-gzip": _bad_response(OK + b"Transfer-Encoding: gzip\r\n\r\n"),
    "coding-gzip-chunked": _bad_response(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n"),
    "coding-twice": _bad_response(OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "coding-empty": _bad_response(OK + b"Transfer-Encoding:\r\n\r\n"),
    "coding-any-case": _client(OK + b"transfer-encoding: \tChunKED \r\n\r\n0\r\n\r\n", "200 OK 1.1 keep chunked", END),
    # -- HTTP/1.0 and persistence (RFC 9112 9.3)
    "http-1.0": _client(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "200 OK 1.0 close 2", b"hi", END),
    "http-1.0-until-eof": _client(b"HTTP/1.0 200 OK\r\n\r\nhi", "200 OK 1.0 close eof", b"hi", END, eof=True),
    "http-1.0-keep-alive": _client(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", "200 OK 1.0 keep 2", b"hi", END
    ),
    "http-1.0-keep-alive-any-case": _client(
        b"HTTP/1.0 200 OK\r\nconnection:Keep-Alive\r\nContent-Length: 0\r\n\r\n", "200 OK 1.0 keep 0", END
    ),
    "http-1.0-keep-alive-and-close": _client(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "200 OK 1.0 close 0",
        END,
    ),
    "http-1.0-chunked-is-read-to-the-end": _client(
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "200 OK 1.0 close eof", b"0\r\n\r\n", END, eof=True
    ),
    "http-1.0-chunked-and-length": _bad_response(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
    "close": _client(OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 close 0", END),
    "close-any-case": _client(OK + b"CONNECTION:\tCLOSE\t\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 close 0", END),
    "close-in-a-list": _client(OK + b"Connection: x, close ,y\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 close 0", END),
    "close-in-a-second-line": _client(
        OK + b"Connection: keep-alive\r\nX: y\r\nConnection: , close\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 close 0", END
    ),
    "close-in-a-first-line": _client(
        OK + b"Connection: close\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 close 0", END
    ),
    "closed-is-not-close": _client(OK + b"Connection: closed, x-close\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 keep 0", END),
    "keep-alive-list": _client(OK + b"Connection: keep-alive, x\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 keep 0", END),
    "keep-alive-then-close-in-a-list": _client(
        OK + b"Connection: keep-alive, close\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 close 0", END
    ),
    # -- interim responses (RFC 9110 15.2)
    "100": _client(
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi",
        "100 Continue 1.1 keep 0",
        "200 OK 1.1 keep 2",
        b"hi",
        END,
    ),
    "several-1xx": _client(
        b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\nLink: </x>; rel=preload\r\n\r\n" + OK + b"\r\nhi",
        "100 C 1.1 keep 0",
        "102 P 1.1 keep 0",
        "103 E 1.1 keep 0",
        "200 OK 1.1 keep eof",
        b"hi",
        END,
        eof=True,
    ),
    "1xx-with-length": _client(
        b"HTTP/1.1 103 E\r\nContent-Length: 9\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n",
        "103 E 1.1 keep 0",
        "200 OK 1.1 keep 0",
        END,
    ),
    "1xx-with-close": _client(
        b"HTTP/1.1 100 C\r\nConnection: close\r\n\r\nHTTP/1.1 204 N\r\n\r\n", "100 C 1.1 close 0", "204 N 1.1 keep 0", END
    ),
    "1xx-before-head": _client(
        b"HTTP/1.1 103 E\r\n\r\n" + OK + b"Content-Length: 9\r\n\r\n",
        "103 E 1.1 keep 0",
        "200 OK 1.1 keep 9",
        END,
        method=b"HEAD",
    ),
    "1xx-alone": _client(b"HTTP/1.1 100 C\r\n\r\n", "100 C 1.1 keep 0"),
    "199": _client(b"HTTP/1.1 199 X\r\n\r\nHTTP/1.1 204 N\r\n\r\n", "199 X 1.1 keep 0", "204 N 1.1 keep 0", END),
    "16-of-1xx": _client(
        b"HTTP/1.1 103 E\r\n\r\n" * 16 + b"HTTP/1.1 204 N\r\n\r\n", *["103 E 1.1 keep 0"] * 16, "204 N 1.1 keep 0", END
    ),
    "17-of-1xx": _client(b"HTTP/1.1 103 E\r\n\r\n" * 17, error=(LimitExceeded, 400, "informational")),
    "101-unasked": _bad_response(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
    "101": _client(
        b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n\x81\x00 frames",
        "101 S 1.1 keep 0",
        b"\x81\x00 frames",
        switching=True,
    ),
    "101-with-nothing-behind": _client(b"HTTP/1.1 101 S\r\n\r\n", "101 S 1.1 keep 0", switching=True, eof=True),
    "101-behind-100": _client(
        b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 101 S\r\n\r\nx", "100 C 1.1 keep 0", "101 S 1.1 keep 0", b"x", switching=True
    ),
    "101-asked-but-declined": _client(OK + b"Content-Length: 2\r\n\r\nhi", "200 OK 1.1 keep 2", b"hi", END, switching=True),
    # -- CONNECT (RFC 9110 9.3.6)
    "connect": _client(OK + b"\r\n\x16\x03\x01", "200 OK 1.1 keep tunnel", b"\x16\x03\x01", method=b"CONNECT"),
    "connect-with-length": _client(
        OK + b"Content-Length: 5\r\n\r\nhello!", "200 OK 1.1 keep tunnel", b"hello!", method=b"CONNECT"
    ),
    "connect-chunked": _client(CHUNKED + b"x", "200 OK 1.1 keep tunnel", b"x", method=b"CONNECT"),
    "connect-both-lengths": _client(
        OK + b"Transfer-Encoding: gzip\r\nContent-Length: x\r\n\r\nyz", "200 OK 1.1 keep tunnel", b"yz", method=b"CONNECT"
    ),
    "connect-refused-both-lengths": _bad_response(
        b"HTTP/1.1 403 F\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n", method=b"CONNECT"
    ),
    "connect-204": _client(b"HTTP/1.1 204 N\r\n\r\nxyz", "204 N 1.1 keep 0", b"xyz", method=b"CONNECT"),
    "connect-refused": _client(
        b"HTTP/1.1 407 P\r\nContent-Length: 2\r\n\r\nno", "407 P 1.1 keep 2", b"no", END, method=b"CONNECT"
    ),
    "connect-refused-chunked": _client(
        b"HTTP/1.1 502 B\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
        "502 B 1.1 keep chunked",
        b"no",
        END,
        method=b"CONNECT",
    ),
    "connect-established-reason": _client(
        b"HTTP/1.0 200 Connection established\r\n\r\n", "200 Connection established 1.0 close tunnel", method=b"CONNECT"
    ),
    # -- chunked (RFC 9112 7.1)
    "chunked": _client(CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "200 OK 1.1 keep chunked", b"hello world", END),
    "chunked-empty": _client(CHUNKED + b"0\r\n\r\n", "200 OK 1.1 keep chunked", END),
    "chunked-hex": _client(
        CHUNKED + b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "200 OK 1.1 keep chunked", b"0123456789" * 2, END
    ),
    "chunked-16-digits": _client(
        CHUNKED + b"0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", "200 OK 1.1 keep chunked", b"hello", END
    ),
    "chunked-data-like-framing": _client(
        CHUNKED + b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "200 OK 1.1 keep chunked", b"\r\n0\r\n\r\n", END
    ),
    "chunk-extensions": _client(CHUNKED + b'5;a=b;c="d;e";f\r\nhello\r\n0;z\r\n\r\n', "200 OK 1.1 keep chunked", b"hello", END),
    "chunk-extension-empty": _client(CHUNKED + b"1;\r\nx\r\n0\r\n\r\n", "200 OK 1.1 keep chunked", b"x", END),
    "chunk-extension-obs-text": _client(CHUNKED + b"1;\xff\t \r\nx\r\n0\r\n\r\n", "200 OK 1.1 keep chunked", b"x", END),
    "chunk-extension-256": _client(CHUNKED + b"1;" + b"e" * 256 + b"\r\nx\r\n0\r\n\r\n", "200 OK 1.1 keep chunked", b"x", END),
    "chunk-extension-257": _client(
        CHUNKED + b"1;" + b"e" * 257 + b"\r\nx\r\n0\r\n\r\n", error=(LimitExceeded, 400, "chunk_extension")
    ),
    "chunk-extension-300": _client(
        CHUNKED + b"1;" + b"e" * 300 + b"\r\nx\r\n0\r\n\r\n", error=(LimitExceeded, 400, "chunk_extension")
    ),
    "chunk-extension-300-bad-early": _bad_response(CHUNKED + b"1;\x00" + b"e" * 300 + b"\r\nx\r\n0\r\n\r\n"),
    "chunk-size-300-letters": _bad_response(CHUNKED + b"z" * 300 + b"\r\n"),
    "chunk-extension-bare-lf": _bad_response(CHUNKED + b"1;a\nb\r\nx\r\n0\r\n\r\n"),
    "chunk-extension-bare-cr": _bad_response(CHUNKED + b"1;a\rb\r\nx\r\n0\r\n\r\n"),
    "chunk-size-17-digits": _bad_response(CHUNKED + b"00000000000000005\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-empty": _bad_response(CHUNKED + b"\r\nhello"),
    "chunk-size-only-extension": _bad_response(CHUNKED + b";a\r\nhello"),
    "chunk-size-bare-lf": _bad_response(CHUNKED + b"5\nhello\r\n0\r\n\r\n"),
    "chunk-size-two-cr": _bad_response(CHUNKED + b"5\r\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-then-space": _bad_response(CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n"),
    "chunk-end-missing": _bad_response(CHUNKED + b"5\r\nhello0\r\n\r\n"),
    "chunk-end-bare-lf": _bad_response(CHUNKED + b"5\r\nhello\n0\r\n\r\n"),
    "chunk-end-cr-cr": _bad_response(CHUNKED + b"5\r\nhello\r\r0\r\n\r\n"),
    "chunked-empty-then-more": _client(CHUNKED + b"0\r\n\r\nmore", "200 OK 1.1 keep chunked", END, leftover=b"more"),
    # -- trailers (RFC 9110 6.5)
    "trailers": _client(
        CHUNKED + b"1\r\nx\r\n0\r\nA: b\r\nDigest:  c \r\n\r\n",
        "200 OK 1.1 keep chunked",
        b"x",
        End(b"A: b\r\nDigest:  c \r\n"),
    ),
    "trailers-forbidden": _client(
        CHUNKED + b"0\r\nContent-Length: 5\r\nHOST: b\r\ntransfer-encoding: x\r\nSet-Cookie: a=b\r\n\r\n",
        "200 OK 1.1 keep chunked",
        END,
    ),
    "trailers-mixed": _client(
        CHUNKED + b"0\r\nHost: b\r\nX: y\r\nAuthorization: z\r\nHost-Id: kept\r\n\r\n",
        "200 OK 1.1 keep chunked",
        End(b"X: y\r\nHost-Id: kept\r\n"),
    ),
    "trailers-folded": _bad_response(CHUNKED + b"0\r\nX: y\r\n z\r\n\r\n"),
    "trailers-bare-lf": _bad_response(CHUNKED + b"0\r\nX: y\nZ: z\r\n\r\n"),
    "trailers-ended-by-bare-lf": _bad_response(CHUNKED + b"0\r\n\n"),
    "trailers-ended-by-cr-cr": _bad_response(CHUNKED + b"0\r\n\r\r\n\r\n"),
    "trailers-no-colon": _bad_response(CHUNKED + b"0\r\nHTTP/1.1 200 OK\r\n\r\n"),
    "trailers-space-before-colon": _bad_response(CHUNKED + b"0\r\nX : y\r\n\r\n"),
    # -- the end of the connection (RFC 9112 8)
    "eof-first": _cut_short(b""),
    "eof-in-status-line": _cut_short(b"HTTP/1.1 20"),
    "eof-in-head": _cut_short(OK + b"Content-Le"),
    "eof-before-the-empty-line": _cut_short(OK + b"Content-Length: 0\r\n\r"),
    "eof-behind-1xx": _cut_short(b"HTTP/1.1 100 C\r\n\r\n"),
    "eof-in-head-of-head": _cut_short(OK, method=b"HEAD"),
    "eof-in-sized-body": _cut_short(OK + b"Content-Length: 5\r\n\r\nhel", 3, 5),
    "eof-before-sized-body": _cut_short(OK + b"Content-Length: 5\r\n\r\n", 0, 5),
    "eof-before-chunk-size": _cut_short(CHUNKED),
    "eof-in-chunk-size": _cut_short(CHUNKED + b"1"),
    "eof-in-chunk-line-end": _cut_short(CHUNKED + b"5;a\r"),
    "eof-in-chunk-data": _cut_short(CHUNKED + b"5\r\nhel", 3),
    "eof-before-chunk-end": _cut_short(CHUNKED + b"5\r\nhello", 5),
    "eof-in-chunk-end": _cut_short(CHUNKED + b"5\r\nhello\r", 5),
    "eof-behind-chunk": _cut_short(CHUNKED + b"5\r\nhello\r\n", 5),
    "eof-before-trailers": _cut_short(CHUNKED + b"5\r\nhello\r\n0\r\n", 5),
    "eof-in-trailers": _cut_short(CHUNKED + b"0\r\nX: y"),
    "eof-before-last-empty-line": _cut_short(CHUNKED + b"0\r\nX: y\r\n"),
    "eof-in-last-empty-line": _cut_short(CHUNKED + b"0\r\n\r"),
    "eof-behind-message": _client(OK + b"Content-Length: 0\r\n\r\n", "200 OK 1.1 keep 0", END, eof=True),
    "eof-in-tunnel": _client(OK + b"\r\nx", "200 OK 1.1 keep tunnel", b"x", method=b"CONNECT", eof=True),
}

REQUESTS = {
    # -- request line (RFC 9112 3)
    "get": _server(GET + b"\r\n", A_GET, END),
    "no-eof-problem-between-requests": _server(GET + b"\r\n", A_GET, END, eof=True),
    "post": _server(POST + b"Content-Length: 5\r\n\r\nhello", "POST / 1.1 keep 5 host=a", b"hello", END),
    "post-length-zero": _server(POST + b"Content-Length: 0\r\n\r\n", "POST / 1.1 keep 0 host=a", END),
    "post-without-length": _server(POST + b"\r\n", "POST / 1.1 keep 0 host=a", END),
    "get-with-body": _server(GET + b"Content-Length: 2\r\n\r\nhi", "GET / 1.1 keep 2 host=a", b"hi", END),
    "odd-method": _server(b"!X-y_z HTTP/1.1\r\n", eof=True, error=(IncompleteBody, 0, None)),
    "own-method": _server(b"P-URGE~1 /x HTTP/1.1\r\n" + HOST + b"\r\n", "P-URGE~1 /x 1.1 keep 0 host=a", END),
    "lower-case-method": _server(b"get / HTTP/1.1\r\n" + HOST + b"\r\n", "get / 1.1 keep 0 host=a", END),
    "minor-version-9": _server(b"GET / HTTP/1.9\r\n" + HOST + b"\r\n", A_GET, END),
    "query": _server(b"GET /a%20b?c=d&e=%zz HTTP/1.1\r\n" + HOST + b"\r\n", "GET /a%20b?c=d&e=%zz 1.1 keep 0 host=a", END),
    "odd-but-visible-target": _server(
        b'GET /<>"{}|^`[]? HTTP/1.1\r\n' + HOST + b"\r\n", 'GET /<>"{}|^`[]? 1.1 keep 0 host=a', END
    ),
    "two-slashes": _server(b"GET //evil/ HTTP/1.1\r\n" + HOST + b"\r\n", "GET //evil/ 1.1 keep 0 host=a", END),
    "absolute-form": _server(
        b"GET http://a.test:80/x?y HTTP/1.1\r\nHost: a.test:80\r\n\r\n", "GET http://a.test:80/x?y 1.1 keep 0 host=a.test:80", END
    ),
    "absolute-form-any-case": _server(
        b"GET HTTP://A.test HTTP/1.1\r\nHost: a.TEST\r\n\r\n", "GET HTTP://A.test 1.1 keep 0 host=a.TEST", END
    ),
    "absolute-form-https": _server(
        b"GET https://[::1]:8/ HTTP/1.1\r\nHost: [::1]:8\r\n\r\n", "GET https://[::1]:8/ 1.1 keep 0 host=[::1]:8", END
    ),
    "absolute-form-query": _server(b"GET http://a?b HTTP/1.1\r\n" + HOST + b"\r\n", "GET http://a?b 1.1 keep 0 host=a", END),
    "absolute-form-1.0": _server(b"GET http://a/ HTTP/1.0\r\n\r\n", "GET http://a/ 1.0 close 0 host=a", END),
    "absolute-form-other-host": _bad_request(b"GET http://b/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "absolute-form-other-port": _bad_request(b"GET http://a:81/ HTTP/1.1\r\nHost: a:80\r\n\r\n"),
    "absolute-form-user": _bad_request(b"GET http://u@a/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "absolute-form-no-host": _bad_request(b"GET http:/// HTTP/1.1\r\n" + HOST + b"\r\n"),
    "absolute-form-ftp": _bad_request(b"GET ftp://a/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "absolute-form-fragment": _bad_request(b"GET http://a/#b HTTP/1.1\r\n" + HOST + b"\r\n"),
    "authority-form": _server(
        b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n\x16\x03", "CONNECT a:443 1.1 keep 0 host=a:443", b"\x16\x03"
    ),
    "authority-form-ipv6": _server(
        b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n", "CONNECT [::1]:443 1.1 keep 0 host=[::1]:443"
    ),
    "authority-form-and-length": _server(
        b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 3\r\n\r\nabcde", "CONNECT a:1 1.1 keep 3 host=a:1", b"abcde"
    ),
    "authority-form-no-port": _bad_request(b"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"),
    "authority-form-empty-port": _bad_request(b"CONNECT a: HTTP/1.1\r\nHost: a\r\n\r\n"),
    "authority-form-ipv6-no-port": _bad_request(b"CONNECT [::1] HTTP/1.1\r\nHost: a\r\n\r\n"),
    "authority-form-path": _bad_request(b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "authority-form-big-port": _bad_request(b"CONNECT a:65536 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "asterisk-form": _server(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", "OPTIONS * 1.1 keep 0 host=a", END),
    "options-path": _server(b"OPTIONS /x HTTP/1.1\r\n" + HOST + b"\r\n", "OPTIONS /x 1.1 keep 0 host=a", END),
    "asterisk-form-of-get": _bad_request(b"GET * HTTP/1.1\r\n" + HOST + b"\r\n"),
    "http-2": _bad_request(b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "http-2-preface": _bad_request(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "http-0.9": _bad_request(b"GET / HTTP/0.9\r\n" + HOST + b"\r\n", 505),
    "http-0.9-line": _bad_request(b"GET /\r\n\r\n"),
    "empty-line-first": _server(b"\r\n" + GET + b"\r\n", A_GET, END),
    "two-empty-lines-first": _bad_request(b"\r\n\r\n" + GET + b"\r\n"),
    "three-empty-lines-first": _bad_request(b"\r\n\r\n\r\n" + GET + b"\r\n"),
    "two-empty-lines-allowed": _server(b"\r\n\r\n" + GET + b"\r\n", A_GET, END, limits=Limits(empty_lines=2)),
    "three-empty-lines-of-two": _bad_request(b"\r\n\r\n\r\n" + GET + b"\r\n", limits=Limits(empty_lines=2)),
    "empty-line-where-none-may-be": _bad_request(b"\r\n" + GET + b"\r\n", limits=Limits(empty_lines=0)),
    "empty-line-alone": _server(b"\r\n", eof=True),
    "cr-first": _bad_request(b"\r" + GET + b"\r\n"),
    "cr-cr-lf-first": _bad_request(b"\r\r\n" + GET + b"\r\n"),
    "lf-first": _bad_request(b"\n" + GET + b"\r\n"),
    "space-first": _bad_request(b" " + GET + b"\r\n"),
    "client-hello": _bad_request(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"),
    # -- Host (RFC 9112 3.2)
    "no-host": _bad_request(b"GET / HTTP/1.1\r\n\r\n"),
    "empty-host": _bad_request(b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    "two-hosts": _bad_request(b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
    "no-host-1.0": _server(b"GET / HTTP/1.0\r\n\r\n", "GET / 1.0 close 0 host=", END),
    "host-with-port": _server(b"GET / HTTP/1.1\r\nHost: a.b:8080\r\n\r\n", "GET / 1.1 keep 0 host=a.b:8080", END),
    "host-in-white-space": _server(b"GET / HTTP/1.1\r\nHost:\t a \r\n\r\n", A_GET, END),
    # -- persistence
    "close": _server(GET + b"Connection: close\r\n\r\n", "GET / 1.1 close 0 host=a", END),
    "keep-alive-1.0": _server(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "GET / 1.0 keep 0 host=a", END),
    "keep-alive-1.0-over-two-lines": _server(
        b"GET / HTTP/1.0\r\nConnection: x\r\nConnection: y,Keep-Alive\r\n\r\n", "GET / 1.0 keep 0 host=", END
    ),
    # -- framing
    "chunked": _server(POST_CHUNKED + b"2;x=y\r\nhi\r\n0\r\n\r\n", A_CHUNKED_POST, b"hi", END),
    "chunked-trailers": _server(POST_CHUNKED + b"0\r\nX: y\r\nHost: z\r\n\r\n", A_CHUNKED_POST, End(b"X: y\r\n")),
    "chunked-bad-trailers": _bad_request(POST_CHUNKED + b"0\r\nX: y\r\nGET / HTTP/1.1\r\n\r\n"),
    "chunked-in-1.0": _bad_request(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "length-and-chunked": _bad_request(POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "equal-lengths": _bad_request(POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    "equal-lengths-in-a-list": _bad_request(POST + b"Content-Length: 5, 5\r\n\r\nhello"),
    "coding-unknown": _bad_request(POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    # -- Expect and Upgrade (RFC 9110 10.1.1 and 7.8)
    "expect": _server(
        POST + b"Expect: 100-Continue\r\nContent-Length: 2\r\n\r\nhi", "POST / 1.1 keep 2 host=a expect", b"hi", END
    ),
    "expect-1.0": _server(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", "POST / 1.0 close 0 host=", END),
    "expect-else": _bad_request(POST + b"Expect: tea\r\n\r\n", 417),
    "expect-else-1.0": _server(b"POST / HTTP/1.0\r\nExpect: tea\r\n\r\n", "POST / 1.0 close 0 host=", END),
    "upgrade": _server(GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", A_GET + " upgrade=websocket", END),
    "upgrade-in-a-list": _server(
        GET + b"Connection: keep-alive, upgrade\r\nUpgrade: a/1, b\r\n\r\n", A_GET + " upgrade=a/1, b", END
    ),
    "upgrade-not-in-connection": _server(GET + b"Upgrade: websocket\r\n\r\n", A_GET, END),
    "upgrade-without-protocol": _server(GET + b"Connection: upgrade\r\n\r\n", A_GET, END),
    "upgrade-1.0": _server(b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "GET / 1.0 close 0 host=", END),
    "upgrade-with-body": _server(
        POST + b"Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nhi" + GET + b"\r\n",
        "POST / 1.1 keep 2 host=a upgrade=x",
        b"hi",
        END,
        A_GET,
        END,
    ),
    # -- pipelining (RFC 9112 9.3.2)
    "pipeline": _server((GET + b"\r\n") * 3, *[A_GET, END] * 3),
    "pipeline-with-bodies": _server(
        POST + b"Content-Length: 2\r\n\r\nhi" + POST_CHUNKED + b"1\r\nx\r\n0\r\n\r\n" + GET + b"\r\n",
        "POST / 1.1 keep 2 host=a",
        b"hi",
        END,
        A_CHUNKED_POST,
        b"x",
        END,
        A_GET,
        END,
    ),
    "pipeline-with-empty-lines": _server(b"\r\n".join([GET + b"\r\n"] * 3) + b"\r\n", *[A_GET, END] * 3),
    "pipeline-with-two-empty-lines": _bad_request(GET + b"\r\n\r\n\r\n" + GET + b"\r\n", 400, A_GET, END),
    "pipeline-behind-an-error": _bad_request(GET + b"\r\n" + b"GET / HTTP/1.1\r\n\r\n" + GET + b"\r\n", 400, A_GET, END),
    # -- the end of the connection
    "eof-first": _server(b"", eof=True),
    "eof-in-request-line": _cut_request(b"GET /"),
    "eof-in-head": _cut_request(GET),
    "eof-in-leading-cr": _cut_request(b"\r"),
    "eof-in-second-head": _cut_request(GET + b"\r\nGE", 0, None, A_GET, END),
    "eof-in-sized-body": _cut_request(POST + b"Content-Length: 5\r\n\r\nhell", 4, 5),
    "eof-in-chunked-body": _cut_request(POST_CHUNKED + b"5\r\nhello\r\n0\r\n", 5),
}
