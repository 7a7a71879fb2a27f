"""One corpus for three parsers: where h11 or httptools read a message otherwise than we do, the reason is in the table below.

The corpus is every triple, and mutations of them from a seeded generator.  Each reason is a function whose docstring says who is
right and why; it looks at the bytes for what it speaks of.  A disagreement that no reason explains fails, and so does a reason
that explains nothing any more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

import pytest

from http1_triples import REQUESTS, RESPONSES
from peers import Reading, by_h11, by_httptools, ours
from wirebird.models.limits import DEFAULT_LIMITS

Case = tuple[str, bytes, bytes]  # role, method, data
Reason = Callable[[Case, Reading, Reading], bool]

PEERS: dict[str, Callable[[str, bytes, bytes], Reading]] = {"h11": by_h11, "httptools": by_httptools}
REASONS: dict[str, list[Reason]] = {"h11": [], "httptools": []}
MUTATIONS = 14  # of each triple

# -- the corpus --------------------------------------------------------------------------------------------------------

ODD = [b"\r", b"\n", b"\r\n", b" ", b"\t", b"\0", b":", b",", b";", b"0", b"5", b"a", b"Z", b"\x0b", b"\x7f", b"\x85", b"\xff"]
ODD += [b"(", b'"', b"/", b"*", b"@", b"#", b"[", b"\r\n ", b"\n\n", b"-", b"+", b"_", b"x", b"\r\n\r\n", b"HTTP/1.1"]
ENDS = [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r\n", b" \r\n", b"\x0b\r\n", b""]
LINES = [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: a\r\n", b"Connection: close\r\n", b"X: y\r\n"]


def mutated(data: bytes, random: Random) -> bytes:
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        at = random.randrange(len(data) + 1)
        match random.randrange(9):
            case 0 if at < len(data):
                data = data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]
            case 1:
                data = data[:at] + random.choice(ODD) + data[at:]
            case 2:
                data = data[:at] + data[at + 1 :]
            case 3:
                data = data[:at] + random.choice(ODD) + data[at + 1 :]
            case 4 if (end := data.find(b"\r\n", at)) >= 0:
                data = data[:end] + random.choice(ENDS) + data[end + 2 :]
            case 5 if (end := data.find(b"\n", at)) >= 0:
                data = data[: end + 1] + random.choice(LINES) + data[end + 1 :]
            case 6 if random.randrange(3) == 0:
                data = data[:at]
            case 7:
                data = data[:at] + data[at:].swapcase()
            case 8:
                data = data[: at + 12] + data[at:]
    return data


def corpus() -> Iterator[Case]:
    for name, triple in [*RESPONSES.items(), *REQUESTS.items()]:
        if not triple.switching and triple.limits == DEFAULT_LIMITS:
            yield triple.role, triple.method, triple.data
            random = Random(f"{triple.role} {name}")
            for _ in range(MUTATIONS):
                yield triple.role, triple.method, mutated(triple.data, random)


# -- the reasons -------------------------------------------------------------------------------------------------------


def known(*peers: str) -> Callable[[Reason], Reason]:
    def add(reason: Reason) -> Reason:
        for peer in peers:
            REASONS[peer].append(reason)
        return reason

    return add


def we_alone_refuse(we: Reading, they: Reading) -> bool:
    return we.verdict == "reject" and they.verdict != "reject"


def they_alone_refuse(we: Reading, they: Reading) -> bool:
    return they.verdict == "reject" and we.verdict != "reject"


def head_of(data: bytes) -> bytes:
    """The first head, as far as it goes, its end included.  Interim responses are left out."""
    while (found := re.match(rb"HTTP/1\.\d 1\d\d[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n", data)) and found.end() < len(data):
        data = data[found.end() :]
    end = data.find(b"\r\n\r\n")
    return data if end < 0 else data[: end + 4]


def values_of(data: bytes, name: bytes) -> list[bytes]:
    return re.findall(rb"(?i)\n" + name + rb":[ \t]*([^\r\n]*?)[ \t]*\r?(?=\n)", head_of(data))


def finished(data: bytes) -> bytes:
    """The data with what its head, or its trailers, lack at their end."""
    for end, lacking in ((b"\r\n\r", b"\n"), (b"\r\n", b"\r\n"), (b"\r", b"\n\r\n")):
        if data.endswith(end):
            return data + lacking
    return data + b"\r\n\r\n"


@known("h11", "httptools")
def a_bare_lf(case: Case, we: Reading, they: Reading) -> bool:
    """We refuse a line that ends in LF alone.  RFC 9112 2.2 lets a recipient accept it, and so opens a hole."""
    return we_alone_refuse(we, they) and re.search(rb"(?<!\r)\n", case[2]) is not None


@known("h11", "httptools")
def another_protocol(case: Case, we: Reading, they: Reading) -> bool:
    """We refuse the first byte that cannot be a response, or a request; they wait for a line, or take another major version."""
    role, _, data = case
    if role == "server":
        return we_alone_refuse(we, they) and re.match(rb"(?:\r\n)?[^A-Za-z0-9!#$%&'*+\-.^_`|~]", data) is not None
    start = head_of(data)
    return we_alone_refuse(we, they) and not start.startswith(b"HTTP/1."[: len(start)])


@known("h11", "httptools")
def another_version(case: Case, we: Reading, they: Reading) -> bool:
    """We speak no major version but 1 (RFC 9110 2.5); they leave that to the caller."""
    return we_alone_refuse(we, they) and re.match(rb"[^\r\n]* HTTP/[02-9]\.\d\r\n", case[2]) is not None


@known("h11", "httptools")
def a_folded_line(case: Case, we: Reading, they: Reading) -> bool:
    """We refuse obs-fold (RFC 9112 5.2 lets a server do so, and asks others to replace it)."""
    return we_alone_refuse(we, they) and re.search(rb"\r\n[ \t]", case[2]) is not None


@known("h11")
def a_length_and_a_coding(case: Case, we: Reading, they: Reading) -> bool:
    """We refuse both at once (RFC 9112 6.3: ought to be handled as an error)."""
    values = values_of(case[2], b"content-length"), values_of(case[2], b"transfer-encoding")
    return we_alone_refuse(we, they) and all(values)


@known("h11", "httptools")
def an_odd_length(case: Case, we: Reading, they: Reading) -> bool:
    """A server of ours refuses two equal lengths too; more than 18 digits nobody needs."""
    role, _, data = case
    values = [part.strip(b" \t") for value in values_of(data, b"content-length") for part in value.split(b",")]
    return we_alone_refuse(we, they) and ((role == "server" and len(values) > 1) or any(len(value) > 18 for value in values))


@known("h11", "httptools")
def a_coding_in_http_1_0(case: Case, we: Reading, they: Reading) -> bool:
    """It is faulty (RFC 9112 6.1): a server of ours refuses it, a client reads to the end of the connection."""
    role, _, data = case
    if not re.match(rb"[^\r\n]*HTTP/1\.0", head_of(data)) or not values_of(data, b"transfer-encoding"):
        return False
    return we.verdict == ("reject" if role == "server" else "partial")


@known("h11", "httptools")
def an_odd_chunk_line(case: Case, we: Reading, they: Reading) -> bool:
    """We refuse white space, more than 16 digits, control bytes and more than 256 bytes of extension in a chunk line, at once."""
    line = rb"(?:^|\r\n)(?:[0-9A-Fa-f]+(?:[ \t]|[^\r\n]{257}|[^\r\n]*[\0-\x08\x0b-\x1f\x7f][^\n])|[0-9A-Fa-f]{17}|[g-z]+\0)"
    odd = re.search(line, case[2][len(head_of(case[2])) - 2 :])
    return we_alone_refuse(we, they) and bool(values_of(case[2], b"transfer-encoding")) and odd is not None


@known("h11", "httptools")
def a_tunnel(case: Case, we: Reading, they: Reading) -> bool:
    """Behind a CONNECT there is no body (RFC 9110 9.3.6), whatever it declares; we hand out the bytes, they do otherwise."""
    asked = case[1] == b"CONNECT" or case[2].startswith(b"CONNECT ")
    lengths = values_of(case[2], b"content-length") or values_of(case[2], b"transfer-encoding")
    faulty = case[0] == "client" and they.verdict == "reject" and bool(lengths)  # and no length at all is looked at by us
    return asked and we.verdict == "partial" and (faulty or (we.start, we.fields) == (they.start, they.fields))


@known("h11", "httptools")
def an_odd_host(case: Case, we: Reading, they: Reading) -> bool:
    """We want a Host that is one host[:port] (RFC 9112 3.2); h11 only counts it, httptools does not look."""
    hosts = values_of(case[2], b"host")
    odd = not hosts or len(hosts) > 1 or not re.fullmatch(rb"(?:[\w\-.~!$&'()*+;=%]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?", hosts[0])
    return case[0] == "server" and we_alone_refuse(we, they) and odd


@known("h11", "httptools")
def an_odd_target(case: Case, we: Reading, they: Reading) -> bool:
    """We want one of the four forms of RFC 9112 3.2, no fragment, no backslash, and in absolute-form the Host's authority."""
    found = re.match(rb"(?:\r\n)?(\S+) (\S*) ", case[2])
    if case[0] != "server" or not we_alone_refuse(we, they) or found is None:
        return False
    if found[1] == b"CONNECT":
        return not re.fullmatch(rb"[\w.\-]+:\d+|\[[0-9a-f:]+\]:\d+", found[2]) or found[2].endswith(b":65536")
    if re.fullmatch(rb"/[^#\\]*", found[2]) or (found[1], found[2]) == (b"OPTIONS", b"*"):
        return False
    absolute = re.fullmatch(rb"(?i)https?://([\w.:\[\]]+)(?:[/?][^#\\]*)?", found[2])
    return absolute is None or [absolute[1].lower()] != [host.lower() for host in values_of(case[2], b"host")]


@known("h11", "httptools")
def another_expectation(case: Case, we: Reading, they: Reading) -> bool:
    """We answer 417 to an expectation other than 100-continue (RFC 9110 10.1.1)."""
    values = values_of(case[2], b"expect")
    return case[0] == "server" and we_alone_refuse(we, they) and bool(values) and values[0].lower() != b"100-continue"


@known("h11")
def refused_early(case: Case, we: Reading, they: Reading) -> bool:
    """We refuse a chunk line, or an end, as soon as it cannot become one; it does when the line is there."""
    role, method, data = case
    return we.verdict == "reject" and they.verdict == "partial" and by_h11(role, method, finished(data)).verdict == "reject"


@known("h11")
def an_empty_line_first(case: Case, we: Reading, they: Reading) -> bool:
    """We skip one empty line in front of a request, as RFC 9112 2.2 asks; h11 refuses it."""
    return case[0] == "server" and they_alone_refuse(we, they) and case[2].startswith(b"\r\n"[: len(case[2])])


@known("h11")
def controls_in_values(case: Case, we: Reading, they: Reading) -> bool:
    """h11 refuses NUL and white space alone; RFC 9110 5.5 calls all controls dangerous."""
    return we_alone_refuse(we, they) and re.search(rb"[\x01-\x08\x0e-\x1f\x7f]", case[2]) is not None


@known("h11", "httptools")
def forbidden_trailers(case: Case, we: Reading, they: Reading) -> bool:
    """They read framing fields in trailers, and choke on them; we drop them unread (RFC 9110 6.5.1)."""
    trailers = case[2].partition(b"\r\n0\r\n")[2].lower()
    return they_alone_refuse(we, they) and (b"transfer-encoding:" in trailers or b"content-length:" in trailers)


@known("httptools")
def not_looked_at_yet(case: Case, we: Reading, they: Reading) -> bool:
    """It looks at each byte as it comes, we look at lines when the head is there: then we refuse it too."""
    return we.verdict == "partial" and they.verdict == "reject" and ours(case[0], case[1], finished(case[2])).verdict == "reject"


METHODS = set(
    b"""GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PROPFIND LOCK LINK MERGE MOVE NOTIFY PROPPATCH PURGE REBIND
    REPORT SEARCH SOURCE SUBSCRIBE UNBIND UNLINK UNLOCK UNSUBSCRIBE ACL BIND CHECKOUT COPY MKACTIVITY MKCALENDAR MKCOL
    M-SEARCH QUERY""".split()
)


@known("httptools")
def a_method_of_ones_own(case: Case, we: Reading, they: Reading) -> bool:
    """It knows a list of methods; a method is a token (RFC 9110 9.1), and whether to serve it is for the application."""
    method = re.match(rb"(?:\r\n)?([!#$%&'*+\-.^_`|~0-9A-Za-z]+)", case[2])
    return case[0] == "server" and they_alone_refuse(we, they) and method is not None and method[1] not in METHODS


@known("httptools")
def a_minor_version(case: Case, we: Reading, they: Reading) -> bool:
    """It knows 1.0 and 1.1; a higher minor version is read as the highest known (RFC 9110 2.5)."""
    return they_alone_refuse(we, they) and re.search(rb"HTTP/1\.[2-9]", head_of(case[2])) is not None


@known("httptools")
def equal_lengths(case: Case, we: Reading, they: Reading) -> bool:
    """A client of ours folds equal lengths into one, as RFC 9112 6.3 allows."""
    values = [part.strip(b" \t") for value in values_of(case[2], b"content-length") for part in value.split(b",")]
    return case[0] == "client" and they_alone_refuse(we, they) and len(values) > 1 and len(set(values)) == 1


@known("httptools")
def an_odd_extension(case: Case, we: Reading, they: Reading) -> bool:
    """It parses chunk extensions by their grammar; we look them over and ignore them, as RFC 9112 7.1.1 asks."""
    return they_alone_refuse(we, they) and re.search(rb"\n[0-9A-Fa-f]+;[^\r\n]*\r\n", case[2]) is not None


@known("httptools")
def an_upgrade_with_a_body(case: Case, we: Reading, they: Reading) -> bool:
    """It stops behind the head of a request that offers an upgrade; we read the body that was declared (RFC 9110 7.8, S33)."""
    if case[0] != "server" or not values_of(case[2], b"upgrade") or they.verdict != "complete" or they.body:
        return False
    return we.verdict == "reject" or (we.start, we.fields) == (they.start, they.fields)


@known("httptools")
def an_interim_response_with_a_body(case: Case, we: Reading, they: Reading) -> bool:
    """It reads a body, or the end of the connection, behind a 1xx that declares one; there never is one (RFC 9112 6.3)."""
    framed = rb"(?i)HTTP/1\.\d 1[^\r\n]*\r\n(?:[^\r\n]+\r\n)*?(?:content-length|transfer-encoding|connection):"
    return they_alone_refuse(we, they) and re.search(framed, case[2]) is not None


@known("httptools")
def another_coding(case: Case, we: Reading, they: Reading) -> bool:
    """We know one transfer coding, chunked, once; it reads to the end of the connection, or takes the last (RFC 9112 6.3)."""
    values = [value.lower() for value in values_of(case[2], b"transfer-encoding")]
    return we_alone_refuse(we, they) and bool(values) and values != [b"chunked"]


@known("httptools")
def controls_in_reasons(case: Case, we: Reading, they: Reading) -> bool:
    """It takes any byte but CR and LF in a reason phrase."""
    odd = rb"HTTP/1\.\d \d\d\d [^\r\n]*[\0-\x08\x0b\x0c\x0e-\x1f\x7f]"
    return we_alone_refuse(we, they) and re.search(odd, case[2]) is not None


@known("httptools")
def a_switch_unasked(case: Case, we: Reading, they: Reading) -> bool:
    """It cannot know whether an upgrade was offered; an unasked 101 is an error (RFC 9110 15.2.2)."""
    return we_alone_refuse(we, they) and re.search(rb"HTTP/1\.\d 101", case[2]) is not None


@known("httptools")
def a_status_below_100(case: Case, we: Reading, they: Reading) -> bool:
    """A status code is 100 to 999 for us (RFC 9110 15)."""
    return we_alone_refuse(we, they) and re.match(rb"HTTP/1\.\d 0", case[2]) is not None


@known("httptools")
def no_version(case: Case, we: Reading, they: Reading) -> bool:
    """It reads a request line without a version as HTTP/0.9."""
    return case[0] == "server" and we_alone_refuse(we, they) and re.match(rb"(?:\r\n)?\S+ \S+\r\n", case[2]) is not None


@pytest.mark.parametrize("peer", PEERS)
def test_every_disagreement_has_a_known_reason(peer: str) -> None:
    used: Counter[str] = Counter()
    unexplained = []
    number = 0
    for case in corpus():
        role, method, data = case
        if peer == "httptools" and method in (b"HEAD", b"CONNECT"):
            continue  # it cannot be told what was asked
        number += 1
        we = ours(role, method, data)
        they = PEERS[peer](role, method, data)
        if we == they:
            continue
        for reason in REASONS[peer]:
            if reason(case, we, they):
                used[reason.__name__] += 1
                break
        else:
            unexplained.append((case, we, they))
    assert number > 2000
    assert not unexplained
    assert {reason.__name__ for reason in REASONS[peer]} == set(used)
