"""The grammar of heads, and the framing rule (RFC 9112 2 to 6).

A head is checked once, by one compiled pattern over the whole block, and split lazily.  Only the fields that decide where the
message ends and whether the connection lives on are looked up here.  Strict in both roles: CRLF line ends alone, no folding, no
space before a colon, no control bytes, one framing only.
"""

from __future__ import annotations

import re

from ..errors import InvalidRequest, InvalidResponse, ProtocolError
from ..models.message import CHUNKED, TUNNEL, UNTIL_CLOSE, RequestHead, ResponseHead

__all__ = [
    "body_length",
    "check_scheme",
    "check_trailers",
    "is_field_block",
    "is_forbidden_trailer",
    "parse_request_head",
    "parse_response_head",
]

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_TEXT = rb"[\t\x20-\x7e\x80-\xff]"
_FIELDS = rb"(?:" + _TOKEN + rb"++:" + _TEXT + rb"*+\r\n)*+\r\n"

_response = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: (" + _TEXT + rb"*+))?\r\n" + _FIELDS).fullmatch
_request = re.compile(rb"(" + _TOKEN + rb"++) ([\x21-\x7e]++) HTTP/([0-9])\.([0-9])\r\n" + _FIELDS).fullmatch
_fields_only = re.compile(_FIELDS).fullmatch

_digits = re.compile(rb"[0-9]{1,18}").fullmatch
_host = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+;=%]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?").fullmatch
_absolute = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#@\\]+)(?:[/?][^#\\]*)?").fullmatch
_origin_form = re.compile(rb"/[^#\\]*").fullmatch

# A second one of these could be read differently by the next hop (RFC 9110 5.3: they are not lists).
_ONCE = (b"\nhost:", b"\ncontent-length:", b"\ntransfer-encoding:", b"\ncontent-type:", b"\nauthorization:")
_FORBIDDEN_TRAILERS = re.compile(
    rb"^(?:content-length|transfer-encoding|host|authorization|proxy-authorization|cookie|set-cookie|content-encoding"
    rb"|content-type|content-range|trailer|te|connection|expect|cache-control|max-forwards):[^\n]*\n",
    re.IGNORECASE | re.MULTILINE,
)


def parse_response_head(raw: bytes, method: bytes = b"") -> ResponseHead:
    """Read the head of a response to `method`; `raw` ends with its empty line.

    What opens a tunnel may declare any length, and it means nothing (RFC 9110 9.3.6).  Raises `InvalidResponse` for anything else
    but clean HTTP/1.x.
    """
    found = _response(raw)
    if found is None:
        raise InvalidResponse(_blame(raw, b"HTTP/1."))
    version, code, reason = found.groups()
    status = int(code)
    minor = 0 if version == b"0" else 1  # RFC 9110 2.5: a higher minor version is read as the highest known
    low = raw.lower()
    if method == b"CONNECT" and 200 <= status < 300:
        length = TUNNEL
    else:
        length = _declared(low, UNTIL_CLOSE, minor, strict=False, error=InvalidResponse)
    if status < 200 or status == 204 or status == 304:
        length = 0
    return ResponseHead(status, reason or b"", minor, raw, raw.find(b"\n") + 1, length, _keep_alive(low, minor))


def parse_request_head(raw: bytes) -> RequestHead:
    """Read the head of a request; `raw` ends with its empty line.  Raises `InvalidRequest` with the status to answer."""
    found = _request(raw)
    if found is None:
        raise InvalidRequest(_blame(raw, b""))
    method, target, major, version = found.groups()
    if major != b"1":
        raise InvalidRequest(f"HTTP/{major.decode()} is not spoken here", status=505)
    minor = 0 if version == b"0" else 1
    low = raw.lower()
    for name in _ONCE:
        first = low.find(name)
        if first >= 0 and low.find(name, first + 1) >= 0:
            raise InvalidRequest(f"more than one {name[1:-1].decode()} field")
    host = _value(low, raw, b"\nhost:")
    if host is None:
        if minor == 1:
            raise InvalidRequest("an HTTP/1.1 request without Host (RFC 9112 3.2)")
        host = b""
    elif not _is_authority(host):
        raise InvalidRequest("a Host field that is not host[:port]")
    host = _check_target(method, target, host)
    length = _declared(low, 0, minor, strict=True, error=InvalidRequest)
    expect = _value(low, low, b"\nexpect:")
    if expect is not None and minor == 1 and expect != b"100-continue":
        raise InvalidRequest("an expectation other than 100-continue", status=417)
    upgrade = b""
    if minor == 1 and b"upgrade" in _connection_tokens(low):  # RFC 9110 7.8: not to be heeded from HTTP/1.0
        upgrade = _value(low, raw, b"\nupgrade:") or b""
    return RequestHead(
        method,
        target,
        minor,
        raw,
        raw.find(b"\n") + 1,
        length,
        _keep_alive(low, minor),
        host,
        expect is not None and minor == 1,
        upgrade,
    )


def is_field_block(block: bytes) -> bool:
    """Whether `block`, which ends with an empty line, is made of header fields."""
    return _fields_only(block) is not None


def check_trailers(block: bytes, error: type[ProtocolError]) -> bytes:
    """What may be kept of a trailer section: framing, routing and credential fields are dropped (RFC 9110 6.5.1)."""
    if not is_field_block(block):
        raise error("a trailer section that is not made of header fields")
    return _FORBIDDEN_TRAILERS.sub(b"", block[:-2])


def is_forbidden_trailer(name: str) -> bool:
    """Whether the field has no place in a trailer section: it would change framing, routing, credentials or the content."""
    return _FORBIDDEN_TRAILERS.match(f"{name}:\n".encode()) is not None


def body_length(head: ResponseHead, method: bytes) -> int:
    """Where the body of this response to `method` ends: the framing rule of RFC 9112 6.3, steps 1 and 2 over the declared one."""
    if method == b"HEAD":
        return 0
    if method == b"CONNECT" and 200 <= head.status < 300:
        return TUNNEL
    return head.length


def _declared(low: bytes, absent: int, minor: int, *, strict: bool, error: type[ProtocolError]) -> int:
    """Steps 3 to 8 of RFC 9112 6.3: what the fields say of the length.  `low` is the whole head in lower case."""
    coded = low.find(b"\ntransfer-encoding:")
    at = low.find(b"\ncontent-length:")
    if coded >= 0:
        if at >= 0:
            raise error("both Transfer-Encoding and Content-Length")
        end = low.find(b"\r", coded)
        coding = low[coded + 19 : end].strip(b" \t")
        if low.find(b"\ntransfer-encoding:", end) >= 0 or coding != b"chunked":
            raise _unknown_coding(error)
        if minor == 0:
            if strict:
                raise error("Transfer-Encoding in an HTTP/1.0 message")
            return UNTIL_CLOSE
        return CHUNKED
    if at < 0:
        return absent
    end = low.find(b"\r", at)
    value = low[at + 16 : end].strip(b" \t")
    if low.find(b"\ncontent-length:", end) >= 0 or not _digits(value):
        # RFC 9112 6.3 5: the same value said again may be folded by a recipient that is not deciding for others.
        values = [line[15:].strip(b" \t") for line in low.split(b"\r\n") if line.startswith(b"content-length:")]
        values = [part.strip(b" \t") for line in values for part in line.split(b",")]
        if strict or any(part != values[0] for part in values) or not _digits(values[0]):
            raise error("a Content-Length that is not one number")
        value = values[0]
    return int(value)


def _unknown_coding(error: type[ProtocolError]) -> ProtocolError:
    if issubclass(error, InvalidRequest):
        return InvalidRequest("a Transfer-Encoding other than chunked", status=501)
    return error("a Transfer-Encoding other than chunked")


def _keep_alive(low: bytes, minor: int) -> bool:
    at = low.find(b"\nconnection:")
    if at < 0:
        return minor == 1
    if low.startswith(b" keep-alive\r", at + 12) and low.find(b"\nconnection:", at + 12) < 0:
        return True
    tokens = _connection_tokens(low)
    if minor == 1:
        return b"close" not in tokens
    return b"keep-alive" in tokens and b"close" not in tokens


def _connection_tokens(low: bytes) -> list[bytes]:
    at = low.find(b"\nconnection:")
    tokens: list[bytes] = []
    while at >= 0:
        end = low.find(b"\r", at)
        tokens += [token.strip(b" \t") for token in low[at + 12 : end].split(b",")]
        at = low.find(b"\nconnection:", end)
    return tokens


def _value(low: bytes, raw: bytes, name: bytes) -> bytes | None:
    at = low.find(name)
    if at < 0:
        return None
    return raw[at + len(name) : raw.find(b"\r", at)].strip(b" \t")


def check_scheme(target: bytes) -> None:
    """Raise `InvalidRequest`, with 421, for an https URL: it was asked for in the clear (RFC 9110 7.4)."""
    if target[:6].lower() == b"https:":
        raise InvalidRequest("a request for an https URL that has not come over TLS", status=421)


def _check_target(method: bytes, target: bytes, host: bytes) -> bytes:
    """RFC 9112 3.2: origin-form, absolute-form whose authority equals Host, authority-form for CONNECT, `*` for OPTIONS.

    Gives the host that is asked for: a request of HTTP/1.0 may name it in the target alone.
    """
    if method == b"CONNECT":
        if not _is_authority(target) or not target[-1:].isdigit() or b":" not in target.rpartition(b"]")[2]:
            raise InvalidRequest("a CONNECT target that is not host:port")
        return host
    if _origin_form(target):
        return host
    if target == b"*" and method == b"OPTIONS":
        return host
    found = _absolute(target)
    if found is None or not _is_authority(found[1]):
        raise InvalidRequest("a request target in none of the four forms")
    if host and found[1].lower() != host.lower():
        raise InvalidRequest("a request target whose authority is not the Host field's")
    return host or found[1]


def _is_authority(text: bytes) -> bool:
    found = _host(text)
    return found is not None and (not found[1] or int(found[1]) <= 65535)


def _blame(raw: bytes, opening: bytes) -> str:
    """Say which line of a refused head is at fault, bounded and quoted, so that a log stays a log."""
    lines = raw[:-4].split(b"\r\n")
    first = lines[0]
    if not first.startswith(opening):
        return f"not an HTTP/1.x message: {first[:60]!r}"
    for line in lines[1:]:
        if not _fields_only(line + b"\r\n\r\n"):
            return f"a malformed header line: {line[:60]!r}"
    return f"a malformed start line: {first[:60]!r}"
