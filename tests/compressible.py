"""Things to compress, made up: a JSON document, a picture, prose, a page of HTML, a PDF.  The same in every run."""

from __future__ import annotations

import json
import zlib
from functools import lru_cache
from random import Random

from websocket_wire import BINARY, TEXT

_SYLLABLES = ("ba", "do", "fen", "gra", "hu", "kil", "lo", "mer", "no", "pi", "ra", "sul", "te", "ven", "wa", "zi")


@lru_cache
def compressible(name: str) -> tuple[int, bytes]:
    """The opcode that Autobahn sends such a thing with, and some 100 to 300 KB of it."""
    makers = {"json": _json, "bitmap": _bitmap, "prose": _prose, "html": _html, "pdf": _pdf}
    return TEXT if name in ("json", "html") else BINARY, makers[name](Random(name))


def _words(random: Random, count: int) -> list[str]:
    """Words of which few are frequent and most are not, as in any language."""
    lexicon = ["".join(random.choices(_SYLLABLES, k=random.randint(1, 4))) for _ in range(3000)]
    return random.choices(lexicon, weights=[1 / rank for rank in range(1, 3001)], k=count)


def _json(random: Random) -> bytes:
    words = iter(_words(random, 20000))
    rows = [
        {
            "id": number,
            "name": f"{next(words)} {next(words)}".title(),
            "tags": [next(words) for _ in range(random.randint(1, 5))],
            "position": [round(random.uniform(-180, 180), 6), round(random.uniform(-90, 90), 6)],
            "active": random.random() < 0.5,
            "parent": None,
        }
        for number in range(1200)
    ]
    return json.dumps(rows, indent=1).encode()


def _bitmap(random: Random) -> bytes:
    """512 by 512 grey pixels: a slope with some noise on it."""
    noise = random.randbytes(512 * 512)
    return b"BM" + bytes(1076) + bytes((x // 4 + y // 4 + noise[y * 512 + x] % 8) & 255 for y in range(512) for x in range(512))


def _prose(random: Random) -> bytes:
    words = _words(random, 40000)
    return "\r\n".join(" ".join(words[i : i + 11]).capitalize() + "." for i in range(0, len(words), 11)).encode()


def _html(random: Random) -> bytes:
    words = _words(random, 24000)
    items = (
        f'<li class="entry {words[i]}"><a href="/{words[i + 1]}/{i}">{words[i + 2]}</a> {" ".join(words[i + 3 : i + 10])}</li>\n'
        for i in range(0, len(words) - 10, 10)
    )
    return f"<!doctype html>\n<title>List</title>\n<ul>\n{''.join(items)}</ul>\n".encode()


def _pdf(random: Random) -> bytes:
    """Streams that are compressed already, with some words between them."""
    prose = _prose(random)
    parts = []
    for number in range(12):
        body = zlib.compress(prose[number * 20000 : (number + 1) * 20000] + random.randbytes(4000))
        parts.append(
            b"%d 0 obj\n<< /Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream\nendobj\n" % (number, len(body), body)
        )
    return b"%PDF-1.5\n" + b"".join(parts) + b"%%EOF\n"
