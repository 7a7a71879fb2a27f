"""Where the bytes of a request body come from: data that is here, an open file, a path, an iterator.

Each is a `Body`: it has a size where that can be known, gives its bytes in pieces, and can give them again if it is replayable,
as a redirect or a retry needs: data always, a file that can seek from the position it had at first, a path by being opened
anew; what an iterator gave is gone.  `live` says that the pieces come when they come and should not wait for each other.

Files are read in a thread, a block at a time.  A thread is never left alone with a file that is being moved or closed: the block
it reads is waited for, or the close is put off until it has read it.  A source gives no more than the size it said; a file
that became shorter is an error, after which the connection is of no use.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import BodyConsumed, UsageError
from ..models.form_encoding import field_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

__all__ = ["DataSource", "FileSource", "IteratorSource", "PathSource", "Source", "is_file", "make_source"]

_BLOCK = 524_288  # one read: the way to a thread and back costs as much CPU as copying 64 KiB four times

Source: TypeAlias = "DataSource | FileSource | PathSource | IteratorSource"


def is_file(value: Any) -> bool:
    """Whether `value` is an open file: something with `read`, which is not an async iterator."""
    return callable(getattr(value, "read", None)) and not isinstance(value, AsyncIterable)


def make_source(value: Any, name: str) -> Source:
    """The source for `value`: text, bytes or a number, an open file, a sync or async iterator of bytes.

    `name` stands for it in errors.  Raises `UsageError` for anything else.
    """
    if is_file(value):
        return FileSource(value, name)
    if isinstance(value, (str, bytes, bytearray, memoryview)) or not isinstance(value, (AsyncIterable, Iterable)):
        return DataSource(field_bytes(value, name))
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        raise UsageError(f"{name} must be one value, not {type(value).__name__}", argument=name)
    return IteratorSource(value, name)


class DataSource:
    """Bytes that are here."""

    live = False

    def __init__(self, data: bytes) -> None:
        self._data = data

    def size(self) -> int | None:
        return len(self._data)

    def replayable(self) -> bool:
        return True

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The data, in one piece."""
        if self._data:
            yield self._data

    async def close(self) -> None:
        pass


class IteratorSource:
    """A sync or async iterator of bytes, which can be read once."""

    live = True

    def __init__(self, iterator: AsyncIterable[Any] | Iterable[Any], name: str) -> None:
        self._started = False
        self._iterator = iterator
        self._name = name

    def size(self) -> int | None:
        return None

    def replayable(self) -> bool:
        return False

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        if self._started:
            raise BodyConsumed(f"{self._name} was sent, and an iterator can be read only once", argument=self._name)
        self._started = True
        iterator = self._iterator
        try:
            if isinstance(iterator, AsyncIterable):
                async for piece in iterator:
                    if data := self._checked(piece):
                        yield data
            else:
                for piece in iterator:
                    if data := self._checked(piece):
                        yield data
        finally:
            if callable(aclose := getattr(iterator, "aclose", None)):
                await aclose()

    def _checked(self, piece: Any) -> bytes:
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            raise UsageError(f"{self._name} must give bytes, not {type(piece).__name__}", argument=self._name)
        return bytes(piece)

    async def close(self) -> None:
        if isinstance(self._iterator, AsyncIterable):
            if not self._started and callable(aclose := getattr(self._iterator, "aclose", None)):
                await aclose()
        elif callable(close := getattr(self._iterator, "close", None)):
            close()


class FileSource:
    """An open file, from the position it had at first; read in a thread if it is one of the operating system's.

    A text file is sent in `encoding`, and its size is not known.
    """

    def __init__(self, file: Any, name: str, encoding: str = "utf-8") -> None:
        if getattr(file, "closed", False):
            raise UsageError(f"{name} is a closed file", argument=name)
        if callable(readable := getattr(file, "readable", None)) and not readable():
            raise UsageError(f"{name} is a file that is not open for reading", argument=name)
        self._started = False
        self._file = file
        self._name = name
        self._text = hasattr(file, "encoding")
        self._encoding = encoding
        self._encoder: codecs.IncrementalEncoder | None = None  # one for the whole file: some begin with a byte order mark
        seekable = getattr(file, "seekable", None)
        try:
            self._seekable = bool(seekable()) if callable(seekable) else hasattr(file, "seek") and hasattr(file, "tell")
        except AttributeError:  # what tarfile has of an archive that is a stream asks the stream, which cannot say
            self._seekable = False
        self.live = self._text or not self._seekable
        try:
            self._blocks = isinstance(file.fileno(), int)
        except (AttributeError, OSError, ValueError):
            self._blocks = False
        self._reading: asyncio.Future[None] | None = None  # what a thread is doing with the file
        self._start: Any = None  # the position at first; a number, for text an opaque one
        self._length: int | None = None  # from there to the end, when it was last measured
        self._promised: int | None = None  # what size() said, until that was sent
        self._turn = 0  # counts the readers: only the last one may go on

    @property
    def path(self) -> str | None:
        """Where the file is, if it says so."""
        name = getattr(self._file, "name", None)
        return name if isinstance(name, str) and self._blocks and name[:1] != "<" else None

    def size(self) -> int | None:
        if self._seekable and not self._is_busy():  # and if it is busy, it was measured before
            self.mark()
            if not self._text:
                position = self._file.tell()
                self._file.seek(0, 2)
                self._length = max(0, self._file.tell() - self._start)
                self._file.seek(position)
        self._promised = self._length
        return self._length

    def mark(self) -> None:
        """The first time, take the position where the file is now as the beginning of what is sent."""
        self._check_open()
        if self._start is None and self._seekable:
            self._start = self._file.tell()

    def rewind(self) -> None:
        """Go back to the beginning of what is sent, if the file can seek."""
        self.mark()
        if self._seekable:
            self._file.seek(self._start)
        self._encoder = None

    def promise(self, size: int) -> None:
        """Give `size` bytes next time, whatever the length is now."""
        self._promised = size

    def is_spent(self) -> bool:
        """Whether it was read, or begun, and cannot be read again."""
        return (self._started and not self._seekable) or bool(getattr(self._file, "closed", False))

    def replayable(self) -> bool:
        return self._seekable and not getattr(self._file, "closed", False)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        self._check_open()
        if self._started and not self._seekable:
            raise BodyConsumed(f"{self._name} was sent, and a file that cannot seek can be read only once", argument=self._name)
        self._started = True
        self._turn += 1
        turn = self._turn
        if self._reading is not None and not self._reading.done():
            await asyncio.wait([self._reading])
        size = self.size() if self._promised is None else self._promised
        self._promised = None
        self.rewind()
        sent = 0
        while size is None or sent < size:
            self._check_turn(turn)
            block = await self._read(_BLOCK if size is None else min(_BLOCK, size - sent))
            self._check_turn(turn)
            if not block:
                if size is None:
                    return
                raise UsageError(f"{self._name} is a file that shrank: {sent} bytes instead of {size}", argument=self._name)
            sent += len(block)
            yield block
            del block  # or two blocks are held while the next is read

    async def _read(self, size: int) -> bytes:
        """At most `size` bytes (characters, for text); b"" at the end of the file."""
        try:
            if self._blocks:
                # Handed over in a list, since futures would hold the block while the next is read.
                handed: list[Any] = []
                loop = asyncio.get_running_loop()
                self._reading = loop.run_in_executor(None, lambda: handed.append(self._file.read(size)))
                # A thread that has begun cannot be cancelled, so it must not be forgotten.
                await asyncio.shield(self._reading)
                block = handed.pop()
            else:
                block = self._file.read(size)
        except ValueError:
            self._check_open()
            raise
        if isinstance(block, str):
            return self._encoded(block)
        if not isinstance(block, (bytes, bytearray, memoryview)):
            raise UsageError(f"{self._name} is a file that gives {type(block).__name__}, not bytes", argument=self._name)
        return block if type(block) is bytes and len(block) <= size else bytes(block[:size])

    def _encoded(self, text: str) -> bytes:
        if self._encoding == "utf-8":
            return field_bytes(text, self._name)
        if self._encoder is None:
            self._encoder = codecs.getincrementalencoder(self._encoding)()
        try:
            return self._encoder.encode(text)
        except UnicodeEncodeError as error:
            raise UsageError(f"{self._name} must be text that {self._encoding} can encode", argument=self._name) from error

    async def close(self) -> None:
        if self._reading is not None and self._is_busy():
            self._reading.add_done_callback(self._close_after)
        elif callable(close := getattr(self._file, "close", None)):
            close()

    def _close_after(self, reading: asyncio.Future[None]) -> None:
        if not reading.cancelled():
            reading.exception()  # nobody else asks
        self._file.close()

    def _is_busy(self) -> bool:
        return self._reading is not None and not self._reading.done()

    def _check_turn(self, turn: int) -> None:
        if self._turn != turn:
            raise UsageError(f"{self._name} is one file and was sent twice at the same time", argument=self._name)

    def _check_open(self) -> None:
        if getattr(self._file, "closed", False):
            raise BodyConsumed(f"{self._name} is a file that was closed", argument=self._name)


class PathSource:
    """A regular file that is opened each time it is sent, and closed right after."""

    live = False

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._promised: int | None = None
        self._opened: set[FileSource] = set()

    def size(self) -> int | None:
        try:
            self._promised = self._path.stat().st_size
        except OSError as error:
            raise self._unreadable(error) from error
        return self._promised

    def replayable(self) -> bool:
        return True

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        source = self._open()
        self._opened.add(source)
        try:
            async with aclosing(source.pieces()) as pieces:
                async for piece in pieces:
                    yield piece
                    del piece
        finally:
            self._opened.discard(source)
            await source.close()

    def _open(self) -> FileSource:
        try:
            source = FileSource(self._path.open("rb"), self._name)
        except OSError as error:
            raise self._unreadable(error) from error
        if self._promised is not None:
            source.size()
            source.promise(self._promised)
            self._promised = None
        return source

    def _unreadable(self, error: OSError) -> UsageError:
        return UsageError(f"{self._name} cannot be read: {error}", argument=self._name)

    async def close(self) -> None:
        for source in list(self._opened):
            await source.close()
