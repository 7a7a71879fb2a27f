"""A server of one file that understands ranges to the letter (RFC 9110 13.1.5, 14), and can be told to misbehave.

    shelf = Shelf(BODY)
    async with Peer(shelf.serve) as peer:
        shelf.cuts = [1000]            # the first answer is cut after 1000 bytes of its body, the next ones are whole
        await client.download(peer.url("/file"), path)

`spoil(answer)` may change an `Answer` before it is sent; `between()` is called behind each answer, to change the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["OLD", "Answer", "Shelf", "parts"]

OLD = "Mon, 01 Jan 2024 00:00:00 GMT"
DATE = "Thu, 01 Aug 2024 00:00:00 GMT"


@dataclass
class Answer:
    """What is about to be sent; `start` is where in the file `body` begins."""

    status: int
    fields: dict[str, str]
    body: bytes
    start: int = 0
    framing: str = "length"  # or "chunked", "close", or "" where `fields` hold it


@dataclass
class Shelf:
    """`asked` holds the (Range, If-Range) of every request, empty strings where there was none."""

    body: bytes
    etag: str = '"one"'
    modified: str = ""
    cuts: list[int | None] = field(default_factory=list)
    spoil: Callable[[Answer], None] | None = None
    between: Callable[[], None] | None = None
    reset: bool = False  # a cut is a reset
    hang: bool = False  # a cut is silence
    asked: list[tuple[str, str]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)

    def answer(self, wanted: str, condition: str) -> Answer:
        """The right answer."""
        fields = {"ETag": self.etag} if self.etag else {}
        if self.modified:
            fields |= {"Last-Modified": self.modified, "Date": DATE}
        found = re.fullmatch(r"bytes=(\d+)-", wanted)
        matches = not condition or (condition == self.etag and not condition.startswith("W/")) or condition == self.modified
        if found is None or not matches:
            return Answer(200, fields, self.body)
        start, total = int(found[1]), len(self.body)
        if start >= total:
            return Answer(416, {**fields, "Content-Range": f"bytes */{total}"}, b"")
        return Answer(206, {**fields, "Content-Range": f"bytes {start}-{total - 1}/{total}"}, self.body[start:], start)

    async def serve(self, link) -> None:
        """The script of a `raw_peer.Peer`."""
        while await link.request():
            head = link.head.decode()
            self.heads.append(head)
            wanted, condition = (_field(head, name) for name in ("range", "if-range"))
            self.asked.append((wanted, condition))
            answer = self.answer(wanted, condition)
            if self.spoil is not None:
                self.spoil(answer)
            wire = _wire(answer)
            cut = self.cuts.pop(0) if self.cuts else None
            if self.between is not None:
                self.between()
            if cut is None or cut >= len(answer.body):
                await link.send(wire)
                if answer.framing == "close":
                    return
                continue
            await link.send(wire[: wire.index(b"\r\n\r\n") + 4 + cut])
            if self.hang:
                await link.gone()
            elif self.reset:
                link.reset()
            return


def _wire(answer: Answer) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in answer.fields.items())
    body = answer.body
    if answer.framing == "length":
        fields += f"Content-Length: {len(body)}\r\n"
    elif answer.framing == "chunked":
        fields += "Transfer-Encoding: chunked\r\n"
        sizes = range(0, len(body), 1000)
        body = b"".join(b"%x\r\n%b\r\n" % (len(body[at : at + 1000]), body[at : at + 1000]) for at in sizes) + b"0\r\n\r\n"
    return f"HTTP/1.1 {answer.status} Said\r\n{fields}\r\n".encode() + body


def _field(head: str, name: str) -> str:
    found = re.search(rf"\r\n{name}: ([^\r]*)\r\n", head, re.IGNORECASE)
    return found[1] if found else ""


def parts(folder) -> list[str]:
    """The names of the files in a folder."""
    return sorted(entry.name for entry in folder.iterdir())
