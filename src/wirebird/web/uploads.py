"""Files that arrive with a form: in memory while they are small, on disk beyond, written by a thread.

A temporary file has no name (where the system can do that), and it is gone when the request ends.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final, cast

from ..errors import UsageError
from ..models.headers import HttpHeaders

__all__ = ["FileField", "Spool", "close_spools", "safe_filename"]

_BATCH: Final = 262144  # what a thread writes at once
_MOST_NAME: Final = 255  # bytes of a file name, on most systems
_UNSAFE: Final = str.maketrans(dict.fromkeys('<>:"|?*', "_"))
_DEVICES: Final = frozenset({"con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(10))})


def safe_filename(filename: str, default: str = "file") -> str:
    """What a client says that its file is called, made fit to be the name of a file in a directory of yours.

    Only what stands behind the last `/` or `\\` is kept, without control and invisible characters and without dots and spaces at
    its ends; `<>:"|?*` become `_`, and a name that is a device to Windows begins with `_`.  It is at most 255 bytes of UTF-8, its
    suffix kept, and `default` if nothing is left.  It need not be unique: two clients may send one name.
    """
    name = filename.replace("\\", "/").rpartition("/")[2]
    name = "".join([character for character in name if character.isprintable()]).translate(_UNSAFE).strip(". ")
    if name.partition(".")[0].rstrip(" ").lower() in _DEVICES:
        name = "_" + name
    encoded = name.encode("utf-8", "ignore")
    if len(encoded) > _MOST_NAME:
        suffix = PurePosixPath(name).suffix.encode("utf-8", "ignore")[:32]
        encoded = encoded[: _MOST_NAME - len(suffix)] + suffix
    return encoded.decode("utf-8", "ignore").rstrip(". ") or default


@dataclass(frozen=True, slots=True)
class FileField:
    """A file that came with a form.

    name          the name of its field
    filename      what the client calls it; not to be trusted, see `safe_filename`
    file          a binary file, open, at its beginning; closed when the request ends
    content_type  what the client says it is
    headers       the header fields of its part
    size          its bytes
    """

    name: str
    filename: str
    file: BinaryIO
    content_type: str
    headers: HttpHeaders
    size: int = 0

    @property
    def safe_filename(self) -> str:
        """The name made fit for a file of yours."""
        return safe_filename(self.filename)

    async def read(self) -> bytes:
        """All of it, from its beginning."""
        if isinstance(self.file, BytesIO):
            return self.file.getvalue()
        return await asyncio.to_thread(self._read)

    def _read(self) -> bytes:
        self.file.seek(0)
        return self.file.read()

    async def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Copy it to `path`, in a thread.  Raises `FileExistsError` if there is a file and `overwrite` is not set, and other
        `OSError`; then nothing is left at `path` that was not there before, unless it was overwritten."""
        if not isinstance(path, str | os.PathLike):
            raise UsageError(f"path must be a path, not {path!r}", argument="path")
        await asyncio.to_thread(self._save, Path(path), overwrite)

    def _save(self, path: Path, overwrite: bool) -> None:
        with path.open("wb" if overwrite else "xb") as target:
            try:
                self.file.seek(0)
                shutil.copyfileobj(self.file, target, _BATCH)
            except BaseException:
                path.unlink(missing_ok=True)
                raise


class Spool:
    """A file that is being received: in memory up to `limit` bytes, then in a temporary file."""

    __slots__ = ("_batch", "_file", "_held", "_limit", "_work", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batch: list[bytes] = []
        self._held = 0
        self._file: BinaryIO | None = None
        self._work: asyncio.Future[Any] | None = None
        self.size = 0

    @property
    def in_memory(self) -> bool:
        """Whether there is no file to close."""
        return self._file is None

    async def write(self, piece: bytes) -> None:
        """Take the next piece.  Raises what the disk raises."""
        self._batch.append(piece)
        self._held += len(piece)
        self.size += len(piece)
        if self._held > (self._limit if self._file is None else _BATCH):
            await self._flush()

    async def finish(self) -> BinaryIO:
        """All of it is here: the file, at its beginning."""
        if self._file is None:
            return BytesIO(b"".join(self._batch))
        await self._flush()
        await self._do(self._file.seek, 0)
        return self._file

    async def _flush(self) -> None:
        if self._file is None:
            await self._do(self._open)
        batch, self._batch = self._batch, []
        self._held = 0
        if batch:
            await self._do(self._file.writelines, batch)  # type: ignore[union-attr]

    def _open(self) -> None:
        self._file = cast(BinaryIO, TemporaryFile(buffering=_BATCH))  # noqa: SIM115  (`close` closes it)

    async def _do(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Have a thread do it.  A thread that has begun cannot be cancelled, so it is not forgotten."""
        self._work = asyncio.get_running_loop().run_in_executor(None, work, *arguments)
        await asyncio.wait([self._work])  # which leaves it alone if it is cancelled itself
        self._work.result()

    async def close(self) -> None:
        """Let go of what was received, once the thread has."""
        self._batch = []
        if self._work is not None:
            await asyncio.wait([self._work])
            if not self._work.cancelled():
                self._work.exception()  # which was raised already, or matters no more
        if self._file is not None:
            with suppress(OSError):  # what was still to be written is wanted no more
                # To give back many blocks takes the disk its time.
                await asyncio.get_running_loop().run_in_executor(None, self._file.close)


async def close_spools(spools: Iterable[Spool]) -> None:
    """Close them all, whether or not somebody waits for the end of it."""
    closing = [asyncio.ensure_future(spool.close()) for spool in spools]
    if closing:
        await asyncio.wait(closing)
