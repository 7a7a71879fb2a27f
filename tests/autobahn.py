"""The cases of the Autobahn testsuite (its last release, 0.8.2), by their numbers: what is sent, and what must come back.

Groups 1 to 7, 9, 10, 12 and 13.  There is no group 11, and no case in group 8; group 0 never had one either.  The peer is
Autobahn's part: it sends `frames`, and the subject, in either role, echoes every message.  When all `answers` have come the peer
closes with 1000 and gets a close frame in return, unless the case says how the connection ends:

  - `fails` is the code with which the subject must fail the connection;
  - `closes` is what the subject's close frame may say, where a close frame is among `frames`.

`chop` is how Autobahn cuts up the stream.  It never makes a difference, so the tests cut in other ways too.

Autobahn tells "non-strict" from "ok" in three places, and this is what is asked here.

  - A message before a mistake (3.2 to 3.4, 4.1.3 to 4.1.5, 4.2.3 to 4.2.5, 5.15): its echo may be missing where both came in one
    segment, as the connection fails before anything is sent.  That the message was received is asked in any case.
  - A message before a close frame (7.1.6): likewise.
  - Invalid UTF-8 in the middle of a message (6.4.1 to 6.4.4): see `FAIL_FAST`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from websocket_wire import CLOSE, PING, PONG, Frame, binary, close, more, ping, pong, text

FRAME: Final = "frame"  # a segment for each frame


class Case(NamedTuple):
    id: str
    what: str
    frames: tuple[Frame, ...]
    answers: tuple[Frame, ...] = ()
    fails: int = 0
    closes: tuple[Frame, ...] = ()
    chop: str | int | None = None  # FRAME, or so many bytes to a segment
    early: bool = False  # there is a mistake, or a close frame, behind messages: their echo may be missing

    @property
    def group(self) -> int:
        return int(self.id.partition(".")[0])


def _numbered(prefix: str, rows: Iterable[Case], start: int = 1) -> list[Case]:
    return [row._replace(id=f"{prefix}.{number}") for number, row in enumerate(rows, start)]


def _echoed(what: str, *frames: Frame, pongs: tuple[Frame, ...] = (), chop: str | int | None = None) -> Case:
    """One message, perhaps in fragments, that comes back whole; the pongs before it."""
    data = [frame for frame in frames if frame.opcode < 8]
    whole = Frame(data[0].opcode, b"".join(frame.payload for frame in data))
    return Case("", what, frames, (*pongs, whole), chop=chop)


def _fails(what: str, *frames: Frame, echo: Frame | None = None, code: int = 1002, chop: str | int | None = None) -> Case:
    answers = () if echo is None else (echo,)
    return Case("", what, frames, answers, code, chop=chop, early=echo is not None)


HELLO: Final = "Hello, world!"
BYTES: Final = bytes.fromhex("00fffefdfcfb00ff")

# -- 1: framing --------------------------------------------------------------------------------------------------------

_SIZES = [(0, None), (125, None), (126, None), (127, None), (128, None), (65535, None), (65536, None), (65536, 997)]

_framing = [
    *_numbered("1.1", (_echoed(f"text of {size}", text("*" * size), chop=chop) for size, chop in _SIZES)),
    *_numbered("1.2", (_echoed(f"binary of {size}", binary(b"\xfe" * size), chop=chop) for size, chop in _SIZES)),
]

# -- 2: pings and pongs ------------------------------------------------------------------------------------------------

_TEN = tuple(ping(b"payload-%d" % number) for number in range(10))
_TEN_BACK = tuple(pong(each.payload) for each in _TEN)

_pings = _numbered(
    "2",
    [
        Case("", "an empty ping", (ping(),), (pong(),)),
        Case("", "a ping with text", (ping(HELLO.encode()),), (pong(HELLO.encode()),)),
        Case("", "a ping with bytes", (ping(BYTES),), (pong(BYTES),)),
        Case("", "a ping of 125", (ping(b"\xfe" * 125),), (pong(b"\xfe" * 125),)),
        _fails("a ping of 126", ping(b"\xfe" * 126)),
        Case("", "a ping of 125, by octets", (ping(b"\xfe" * 125),), (pong(b"\xfe" * 125),), chop=1),
        Case("", "an unsolicited pong, empty", (pong(),)),
        Case("", "an unsolicited pong, not empty", (pong(b"unsolicited"),)),
        Case("", "an unsolicited pong, then a ping", (pong(b"unsolicited"), ping(b"asked")), (pong(b"asked"),)),
        Case("", "ten pings", _TEN, _TEN_BACK),
        Case("", "ten pings, by octets", _TEN, _TEN_BACK, chop=1),
    ],
)

# -- 3: reserved bits --------------------------------------------------------------------------------------------------

_reserved = _numbered(
    "3",
    [
        _fails("RSV 1 in a text", text(HELLO, rsv=1)),
        _fails("RSV 2 in the second text", text(HELLO), text(HELLO, rsv=2), ping(), echo=text(HELLO)),
        _fails("RSV 3, by frames", text(HELLO), text(HELLO, rsv=3), ping(), echo=text(HELLO), chop=FRAME),
        _fails("RSV 4, by octets", text(HELLO), text(HELLO, rsv=4), ping(), echo=text(HELLO), chop=1),
        _fails("RSV 5 in a binary", binary(BYTES, rsv=5)),
        _fails("RSV 6 in a ping", Frame(PING, HELLO.encode(), rsv=6)),
        _fails("RSV 7 in a close", Frame(CLOSE, close(1000).payload, rsv=7)),
    ],
)

# -- 4: opcodes --------------------------------------------------------------------------------------------------------


def _opcodes(first: int) -> list[Case]:
    """The five reserved opcodes from `first` on: two that come first, three behind a text."""
    then = [Frame(first + 2), Frame(first + 3, b"reserved opcode"), Frame(first + 4, b"reserved opcode")]
    return [
        _fails(f"opcode {first}", Frame(first)),
        _fails(f"opcode {first + 1} with a payload", Frame(first + 1, b"reserved opcode")),
        *(
            _fails(f"opcode {bad.opcode} behind a text", text(HELLO), bad, ping(), echo=text(HELLO), chop=chop)
            for bad, chop in zip(then, (None, None, 1), strict=True)
        ),
    ]


_reserved_opcodes = [*_numbered("4.1", _opcodes(3)), *_numbered("4.2", _opcodes(11))]

# -- 5: fragmentation --------------------------------------------------------------------------------------------------

_TWO = (text("fragment1", fin=False), more("fragment2", fin=True))
_PINGED = (_TWO[0], ping(b"in between"), _TWO[1])
_FIVE = (
    text("fragment1", fin=False),
    more("fragment2"),
    ping(b"first"),
    more("fragment3"),
    more("fragment4"),
    ping(b"second"),
    more("fragment5", fin=True),
)
_CHOPS: tuple[str | int | None, ...] = (None, FRAME, 1)

_fragmentation = _numbered(
    "5",
    [
        _fails("a ping in two fragments", Frame(PING, b"fragment1", fin=False), more("fragment2", fin=True)),
        _fails("a pong in two fragments", Frame(PONG, b"fragment1", fin=False), more("fragment2", fin=True)),
        *(_echoed("a text in two fragments", *_TWO, chop=chop) for chop in _CHOPS),
        *(_echoed("a ping between two", *_PINGED, pongs=(pong(b"in between"),), chop=chop) for chop in _CHOPS),
        *(_fails("a last continuation of nothing", more("of nothing", fin=True), text(HELLO), chop=chop) for chop in _CHOPS),
        *(_fails("a continuation of nothing", more("of nothing"), text(HELLO), chop=chop) for chop in _CHOPS),
        _fails("a continuation behind a message", *_TWO, more("fragment3"), text("x"), echo=text("fragment1fragment2")),
        _fails("twice: a continuation of nothing, a text in two", *(more("fragment0"), *_TWO) * 2),
        _fails("twice: a last continuation of nothing, a text in two", *(more("fragment0", fin=True), *_TWO) * 2),
        _fails("a text inside a text", text("fragment1", fin=False), text("fragment2")),
        _echoed("five fragments, two pings", *_FIVE, pongs=(pong(b"first"), pong(b"second"))),
        _echoed("five fragments, two pings, by frames", *_FIVE, pongs=(pong(b"first"), pong(b"second")), chop=FRAME),
    ],
)

# -- 6: UTF-8 ----------------------------------------------------------------------------------------------------------

GREEK: Final = "\u03ba\u1f79\u03c3\u03bc\u03b5".encode()  # kosme, which has letters of two bytes and one of three
UMLAUTS: Final = "Hello-\xb5@\xdf\xf6\xe4\xfc\xe0\xe1-UTF-8!!".encode()
SURROGATE: Final = bytes.fromhex("eda080")
EDITED: Final = b"edited"
# A code point behind the last, U+110000: the second of its four bytes says that it is one.
BEYOND: Final = GREEK + bytes.fromhex("f4908080") + EDITED

# Autobahn's "ok" for 6.4.x is to fail at the octet that makes a text invalid, "non-strict" to fail at the end of the message at
# the latest.  RFC 6455 8.1 asks for failing, and not when.  What this library does, in terms of the three parts: the part with
# which the connection is failed.
FAIL_FAST: Final = {
    "6.4.1": ((text(GREEK, fin=False), more(BEYOND[11:15]), more(EDITED, fin=True)), 2),
    "6.4.2": ((text(BEYOND[:12], fin=False), more(BEYOND[12:13]), more(BEYOND[13:], fin=True)), 2),
}
# The same parts, as pieces of one frame.
FAIL_FAST_CHOPS: Final = {"6.4.3": ((11, 15), 3), "6.4.4": ((12, 13), 3)}


def _octet_frames(data: bytes) -> list[Frame]:
    last = len(data) - 1
    return [Frame(0 if i else 1, data[i : i + 1], i == last) for i in range(len(data))]


_utf8_fragments = [
    *_numbered(
        "6.1",
        [
            _echoed("an empty text", text("")),
            _echoed("three empty fragments", text("", fin=False), more(""), more("", fin=True)),
            _echoed("three fragments, the middle not empty", text("", fin=False), more("middle"), more("", fin=True)),
        ],
    ),
    *_numbered(
        "6.2",
        [
            _echoed("valid, in one frame", text(UMLAUTS)),
            _echoed("valid, cut between code points", text(UMLAUTS[:12], fin=False), more(UMLAUTS[12:], fin=True)),
            _echoed("valid, in fragments of an octet", *_octet_frames(UMLAUTS)),
            _echoed("valid, in fragments of an octet", *_octet_frames(GREEK)),
        ],
    ),
    *_numbered(
        "6.3",
        [
            _fails("invalid, in one frame", text(GREEK + SURROGATE + EDITED), code=1007),
            _fails("invalid, in fragments of an octet", *_octet_frames(GREEK + SURROGATE + EDITED), code=1007),
        ],
    ),
    *_numbered(
        "6.4",
        [
            _fails("invalid in the second fragment", *FAIL_FAST["6.4.1"][0], code=1007, chop=FRAME),
            _fails("invalid with the second fragment's octet", *FAIL_FAST["6.4.2"][0], code=1007, chop=FRAME),
            _fails("invalid in the second piece of a frame", text(BEYOND), code=1007),
            _fails("invalid with the second piece's octet", text(BEYOND), code=1007),
        ],
    ),
]

# The sequences of Markus Kuhn's UTF-8 decoder test, in hexadecimal; those behind a "!" are not valid.
_UTF8 = {
    "6.5 some that are valid": (
        "68656c6c6f 24 776f726c64",
        "68656c6c6f c2a2 776f726c64",
        "68656c6c6f e282ac 776f726c64",
        "68656c6c6f f0a4ada2 776f726c64",
        "ceba e1bdb9 cf83 cebc ceb5",
    ),
    "6.6 all that a valid one begins with": (
        "!ce",
        "ceba",
        "!ceba e1",
        "!ceba e1bd",
        "ceba e1bdb9",
        "!ceba e1bdb9 cf",
        "ceba e1bdb9 cf83",
        "!ceba e1bdb9 cf83 ce",
        "ceba e1bdb9 cf83 cebc",
        "!ceba e1bdb9 cf83 cebc ce",
        "ceba e1bdb9 cf83 cebc ceb5",
    ),
    "6.7 the first of each length": ("00", "c280", "e0a080", "f0908080"),
    "6.8 the first of five and six": ("!f888808080", "!fc8480808080"),
    "6.9 the last of each length": ("7f", "dfbf", "efbfbf", "f48fbfbf"),
    "6.10 the last of four, five and six": ("!f7bfbfbf", "!fbbfbfbfbf", "!fdbfbfbfbfbf"),
    "6.11 other boundaries": ("ed9fbf", "ee8080", "efbfbd", "f48fbfbf", "!f4908080"),
    "6.12 unexpected continuations": (
        "!80",
        "!bf",
        "!80bf",
        "!80bf80",
        "!80bf80bf",
        "!80bf80bf80",
        "!80bf80bf80bf",
        "!" + bytes(range(0x80, 0xBF)).hex(),
    ),
    "6.13 lonely beginnings, each before a space": tuple(
        "!" + "".join(f"{byte:02x}20" for byte in range(first, end))
        for first, end in ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))
    ),
    "6.14 the last byte missing": (
        *("!c0", "!e080", "!f08080", "!f8808080", "!fc80808080"),
        *("!df", "!efbf", "!f7bfbf", "!fbbfbfbf", "!fdbfbfbfbf"),
    ),
    "6.15 all of those in a row": ("!c0 e080 f08080 f8808080 fc80808080 df efbf f7bfbf fbbfbfbf fdbfbfbfbf",),
    "6.16 bytes that never are": ("!fe", "!ff", "!fefeffff"),
    "6.17 a slash, too long": ("!c0af", "!e080af", "!f08080af", "!f8808080af", "!fc80808080af"),
    "6.18 the last that are too long": ("!c1bf", "!e09fbf", "!f08fbfbf", "!f887bfbfbf", "!fc83bfbfbfbf"),
    "6.19 NUL, too long": ("!c080", "!e08080", "!f0808080", "!f880808080", "!fc8080808080"),
    "6.20 single surrogates": ("!eda080", "!edadbf", "!edae80", "!edafbf", "!edb080", "!edbe80", "!edbfbf"),
    "6.21 pairs of surrogates": tuple(
        f"!{high}{low}" for high in ("eda080", "edadbf", "edae80", "edafbf") for low in ("edb080", "edbfbf")
    ),
    "6.22 code points that are no characters": (
        *("efbfbe", "efbfbf"),
        *(f"f0{second}bf{last}" for second in ("9f", "af", "bf") for last in ("be", "bf")),
        *(
            f"{first}{second}bf{last}"
            for first in ("f1", "f2", "f3")
            for second in ("8f", "9f", "af", "bf")
            for last in ("be", "bf")
        ),
        *("f48fbfbe", "f48fbfbf"),
    ),
    "6.23 specials": ("efbfb9", "efbfba", "efbfbb", "efbfbc", "efbfbd", "efbfbe", "efbfbf"),
}


def _sequence(title: str, notation: str) -> Case:
    data = text(bytes.fromhex(notation.lstrip("!")))
    return _fails(title, data, code=1007) if notation.startswith("!") else _echoed(title, data)


_utf8 = [
    *_utf8_fragments,
    *(
        case
        for title, sequences in _UTF8.items()
        for case in _numbered(title.partition(" ")[0], (_sequence(title.partition(" ")[2], each) for each in sequences))
    ),
]

# -- 7: closing --------------------------------------------------------------------------------------------------------

NORMAL: Final = (close(1000),)
# The answer to a close frame without a code.  Endpoints send the code that they got (RFC 6455 5.5.1), and here was none.
NO_CODE: Final = (close(), close(1000))
LONGEST: Final = "*" * 123


def _closed(what: str, *frames: Frame, closes: tuple[Frame, ...] = NORMAL, answers: tuple[Frame, ...] = ()) -> Case:
    return Case("", what, frames, answers, closes=closes, early=bool(answers))


_closing = [
    *_numbered(
        "7.1",
        [
            _echoed("a text, and a close frame", text(HELLO)),
            _closed("two close frames", close(1000), close()),
            _closed("a ping behind the close frame", close(1000), ping()),
            _closed("a text behind the close frame", close(1000), text(HELLO)),
            _closed("a close frame between fragments", text("fragment1", fin=False), close(1000), more("fragment2", fin=True)),
            _closed(
                "256 KiB, a text, a close frame, a ping",
                *(text(b"0123456789" * 26214 + b"0123"), text(HELLO), close(1000), ping()),
                answers=(text(b"0123456789" * 26214 + b"0123"), text(HELLO)),
            ),
        ],
    ),
    *_numbered(
        "7.3",
        [
            _closed("an empty close frame", close(), closes=NO_CODE),
            _fails("a close frame of one byte", Frame(CLOSE, b"a")),
            _closed("a close code", close(1000)),
            _closed("a close code and a reason", close(1000, HELLO), closes=(close(1000), close(1000, HELLO))),
            _closed("the longest reason", close(1000, LONGEST), closes=(close(1000), close(1000, LONGEST))),
            _fails("a reason of 124", close(1000, "*" * 124)),
        ],
    ),
    *_numbered("7.5", [_fails("a reason that is not UTF-8", close(1000, GREEK + SURROGATE + EDITED), code=1007)]),
    *_numbered(
        "7.7",
        (
            _closed(f"code {code}", close(code), closes=(close(code),))
            for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
        ),
    ),
    *_numbered("7.9", (_fails(f"code {code}", close(code)) for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999))),
    # Autobahn only reports what happens here; RFC 6455 7.4.2 leaves these codes to nobody.
    *_numbered("7.13", (_fails(f"code {code}", close(code)) for code in (5000, 65535))),
]

SMALL: Final = [*_framing, *_pings, *_reserved, *_reserved_opcodes, *_fragmentation, *_utf8, *_closing]

# -- 9 and 10: big messages, and many ----------------------------------------------------------------------------------


class Big(NamedTuple):
    """A message of `size` bytes, in fragments of `fragment` (0: in one frame), in segments of `chop` bytes (0: as they come)."""

    id: str
    opcode: int
    size: int
    fragment: int = 0
    chop: int = 0


class Many(NamedTuple):
    """1000 messages of `size` bytes, each sent when the one before has come back."""

    id: str
    opcode: int
    size: int


_KIB, _MIB = 2**10, 2**20
_WHOLE = (64 * _KIB, 256 * _KIB, _MIB, 4 * _MIB, 8 * _MIB, 16 * _MIB)
_FRAGMENTS = (64, 256, _KIB, 4 * _KIB, 16 * _KIB, 64 * _KIB, 256 * _KIB, _MIB, 4 * _MIB)
_SEGMENTS = (64, 128, 256, 512, 1024, 2048)

BIG: Final = [
    *(Big(f"9.{1 + kind}.{n}", 1 + kind, size) for kind in (0, 1) for n, size in enumerate(_WHOLE, 1)),
    *(Big(f"9.{3 + kind}.{n}", 1 + kind, 4 * _MIB, fragment=size) for kind in (0, 1) for n, size in enumerate(_FRAGMENTS, 1)),
    *(Big(f"9.{5 + kind}.{n}", 1 + kind, _MIB, chop=size) for kind in (0, 1) for n, size in enumerate(_SEGMENTS, 1)),
    Big("10.1.1", 1, 65536, fragment=1300),
]
MANY: Final = [
    Many(f"9.{7 + kind}.{n}", 1 + kind, size) for kind in (0, 1) for n, size in enumerate((0, 16, 64, 256, 1024, 4096), 1)
]

# -- 12 and 13: permessage-deflate -------------------------------------------------------------------------------------


class Compressed(NamedTuple):
    """Messages of `size` bytes out of `data`, compressed, in fragments of `fragment` bytes (0: in one frame).

    `offer` is what a client offers and `answer` what a server answers, where the peer is the one; what the subject says in the
    other role is the library's own doing.
    """

    id: str
    data: str
    size: int
    fragment: int
    offer: str
    answer: str


_MESSAGES = (
    *((size, 0) for size in (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072)),
    *((size, 256) for size in (8192, 16384, 32768, 65536, 131072)),
    *((131072, fragment) for fragment in (1024, 4096, 32768)),
)
# Autobahn's files are a JSON document, a grey bitmap, a play, a page of HTML and a PDF; ours are made to be like them.
DATA: Final = ("json", "bitmap", "prose", "html", "pdf")
_D: Final = "permessage-deflate"
# What a client demands of the server (13.x, subject: server), and what a server demands of the client (subject: client).
PARAMETERS: Final = (
    (_D, _D),
    (f"{_D}; server_no_context_takeover", f"{_D}; client_no_context_takeover"),
    (f"{_D}; server_max_window_bits=9", f"{_D}; client_max_window_bits=9"),
    (f"{_D}; server_max_window_bits=15", f"{_D}; client_max_window_bits=15"),
    (
        f"{_D}; server_no_context_takeover; server_max_window_bits=9",
        f"{_D}; client_no_context_takeover; client_max_window_bits=9",
    ),
    (
        f"{_D}; server_no_context_takeover; server_max_window_bits=15",
        f"{_D}; client_no_context_takeover; client_max_window_bits=15",
    ),
    (
        f"{_D}; server_no_context_takeover; server_max_window_bits=9, {_D}; server_no_context_takeover, {_D}",
        f"{_D}; client_no_context_takeover; client_max_window_bits=9",
    ),
)

COMPRESSED: Final = [
    *(
        Compressed(f"12.{j}.{i}", data, size, fragment, _D, _D)
        for j, data in enumerate(DATA, 1)
        for i, (size, fragment) in enumerate(_MESSAGES, 1)
    ),
    *(
        Compressed(f"13.{j}.{i}", "json", size, fragment, *parameters)
        for j, parameters in enumerate(PARAMETERS, 1)
        for i, (size, fragment) in enumerate(_MESSAGES, 1)
    ),
]

# How many cases Autobahn has in each group; `fuzzingclient` without 12 and 13 reports 301.
COUNTS: Final = {1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1, 12: 90, 13: 126}


def catalogue() -> list[str]:
    """All the numbers."""
    return [case.id for cases in (SMALL, BIG, MANY, COMPRESSED) for case in cases]
