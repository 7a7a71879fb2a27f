"""A file that is not complete yet: `name.part` beside the place it is for, and `name.part.json` that says what it is a part of.

Nothing is ever written under the final name: a complete file is moved there in one step.  What is not complete, or not right,
stays beside it.  A part without its record, or with one for another URL, is of no use and is begun anew.  The record is written
only when the part is empty, and removed before it is emptied: at no moment does it describe bytes of another state of the file.

One process writes a part at a time.  A lock of the operating system on the open file tells others, and is gone with the process
that held it; where there is none (Windows), only this process is kept from opening a part twice.

Everything here blocks, and is called in threads, one call after the other.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import threading
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..protocol.ranges import Version, version_from

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows
    _has_locks = False
else:
    _has_locks = True

__all__ = ["PartialFile", "target_of"]

_BLOCK = 1024 * 1024  # one read of what is hashed again
_SMALL = 16384  # pieces below this on average are joined before they are written
_RECORD_SIZE = 65536  # no record is larger

# A link that somebody else has put there is not followed, and a pipe is not waited for.
_FLAGS = os.O_RDWR | os.O_CREAT | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))

_TRIES = 10  # to open a part that others keep moving away

_guard = threading.Lock()
_in_use: set[str] = set()


def target_of(path: str | os.PathLike[str], name: str) -> tuple[Path, bool]:
    """Where the file is to be, and whether its name was taken from `name`, because `path` is a folder.

    Raises `UsageError` for a name that is none, or that would be hidden or elsewhere; and for a path to something that is no
    file, such as a device.
    """
    target = Path(path).absolute()  # whatever becomes the working directory meanwhile
    named = target.is_dir()
    if named:
        if not name or name[0] == "." or set(name) & set("/\\") or not name.isprintable() or name != Path(name).name:
            raise UsageError(f"path is a folder, and {name!r} in the URL is no name for a file", argument="path")
        target /= name
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return target, named
    if not stat.S_ISREG(mode):
        raise UsageError(f"path must be a regular file, not {os.fspath(target)!r}", argument="path")
    return target, named


class PartialFile:
    """The part of `target` that is there, and what it is a part of.

    `source` names the URL.  `size` is how many bytes are there, `version` of which state of the file; both are set by `open`.
    """

    def __init__(self, target: Path, source: str, *, overwrite: bool, fsync: bool) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self.record = target.with_name(target.name + ".part.json")
        self.size = 0
        self.version = Version()
        self._source = source
        self._overwrite = overwrite
        self._fsync = fsync
        self._key = ""
        self._handle = -1
        self._ours = False  # open, locked, and what it should be
        self._unwanted = False
        self._broken = False  # a write failed: what would follow it does not follow what is there
        self._whole: dict[str, Any] = {}  # hash objects over the file
        self._message: dict[str, Any] = {}  # and over one answer

    def __repr__(self) -> str:
        return f"<PartialFile {self.path.name} {self.size} bytes>"

    def open(self, resume: bool) -> None:
        """Open the part, or make one; read what it is a part of.  Without `resume`, what is there does not count.

        Raises `UsageError` if it is being downloaded already, `FileExistsError` if the target is there and may not be replaced,
        and any other `OSError` of the file system.
        """
        if not self._overwrite and os.path.lexists(self.target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(self.target))
        key = os.path.join(os.path.realpath(self.path.parent), self.path.name)  # noqa: PTH118 - pathlib's is slower and no clearer
        with _guard:
            if key in _in_use:
                raise self._busy()
            _in_use.add(key)
        self._key = key
        for _ in range(_TRIES):
            self._close()
            self._handle = os.open(self.path, _FLAGS, 0o666)
            status = os.fstat(self._handle)
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"path {os.fspath(self.path)!r} is there, and no regular file", argument="path")
            if not self._is_locked():
                continue  # it was moved to its final place just before
            self._ours = status.st_nlink == 1
            if self._ours:
                break
            # It is another file too, such as the target of a process that was killed in `_move_without_replacing`.
            self.path.unlink()
        else:
            raise self._busy()
        status = os.fstat(self._handle)
        version = self._read_record() if resume and status.st_size else None
        if version is not None and version.validator and (version.size is None or status.st_size <= version.size):
            self.size = status.st_size
            self.version = version

    def _is_locked(self) -> bool:
        if not _has_locks:
            return True
        try:
            flock(self._handle, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise self._busy() from None
        except OSError:
            return True  # a file system without locks
        return self._is_in_place()

    def _is_in_place(self) -> bool:
        """Whether what is open is what has the name: nobody put another file there, such as one whose own name that is."""
        try:
            return os.path.samestat(os.fstat(self._handle), os.stat(self.path, follow_symlinks=False))  # noqa: PTH116
        except FileNotFoundError:
            return False

    def _busy(self) -> UsageError:
        return UsageError(f"path {os.fspath(self.target)!r} is being downloaded already", argument="path")

    def _read_record(self) -> Version | None:
        try:
            with self.record.open("rb") as file:
                record = json.loads(file.read(_RECORD_SIZE))
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(record, dict) or record.get("source") != self._source:
            return None
        return version_from(record)

    # -- its bytes -----------------------------------------------------------------------------------------------------

    def begin(self, version: Version) -> None:
        """Throw away what is there, and note that `version` comes."""
        self.record.unlink(missing_ok=True)
        os.ftruncate(self._handle, 0)
        os.lseek(self._handle, 0, os.SEEK_SET)
        self.size = 0
        self.version = version
        self._whole = {}
        if version.validator:
            text = json.dumps({"source": self._source, **asdict(version)})
            with self.record.open("x", encoding="ascii") as file:  # a new file: nothing that is there is followed or written to
                file.write(text)

    def prepare(self, whole: Iterable[str], message: Iterable[str]) -> None:
        """An answer begins: keep these digests, as `hashlib` names them, of the file and of the answer."""
        self._message = {name: hashlib.new(name, usedforsecurity=False) for name in message}
        new = {name: hashlib.new(name, usedforsecurity=False) for name in whole if name not in self._whole}
        self._whole |= new
        os.lseek(self._handle, 0, os.SEEK_SET)
        at = 0
        while new and at < self.size:
            block = os.read(self._handle, min(_BLOCK, self.size - at))
            if self._unwanted:
                return
            if not block:
                raise OSError(errno.EIO, "the partial file became shorter", os.fspath(self.path))
            at += len(block)
            for one in new.values():
                one.update(block)
        os.lseek(self._handle, self.size, os.SEEK_SET)

    def write(self, pieces: list[bytes]) -> None:
        """Append `pieces`.  On an `OSError`, `size` is what was written, and nothing more can be."""
        self._broken = True
        if len(pieces) > 1 and sum(map(len, pieces)) < _SMALL * len(pieces):
            pieces = [b"".join(pieces)]
        for piece in pieces:
            view = memoryview(piece)
            while view:
                written = os.write(self._handle, view)
                self.size += written
                view = view[written:]
            for one in self._whole.values():
                one.update(piece)
            for one in self._message.values():
                one.update(piece)
        self._broken = False

    def digest(self, name: str) -> str:
        """The digest of the file, in hexadecimal."""
        text: str = self._whole[name].hexdigest()
        return text

    def message_digest(self, name: str) -> str:
        """The digest of the last answer, in hexadecimal."""
        text: str = self._message[name].hexdigest()
        return text

    # -- the end -------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Move the complete file to its place.

        Raises `FileExistsError` if that was taken meanwhile and may not be replaced, `FileNotFoundError` if the part is gone.
        """
        self._check_place()
        os.ftruncate(self._handle, self.size)
        if self._fsync:
            os.fsync(self._handle)
        if os.name == "nt":
            self._close()  # there an open file cannot be moved
        if self._overwrite:
            self.path.replace(self.target)
        else:
            self._move_without_replacing()
        self.record.unlink(missing_ok=True)
        self._release()
        if self._fsync and os.name != "nt":
            folder = os.open(self.target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _check_place(self) -> None:
        if not self._is_in_place():
            self.record.unlink(missing_ok=True)  # it does not describe what is there now
            raise FileNotFoundError(errno.ENOENT, "the partial file was moved away", os.fspath(self.path))

    def _move_without_replacing(self) -> None:
        try:
            os.link(self.path, self.target)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if os.path.lexists(self.target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(self.target)) from None
            self.path.replace(self.target)
        else:
            self.path.unlink()

    def set_aside(self) -> Path:
        """Keep what is there under a name that is not continued, `name.corrupt`; it is given back."""
        self._check_place()
        aside = self.target.with_name(self.target.name + ".corrupt")
        self.record.unlink(missing_ok=True)
        if os.name == "nt":
            self._close()
        self.path.replace(aside)
        self._release()
        return aside

    def hurry(self) -> None:
        """From any thread: what is being read for a digest is not wanted any more."""
        self._unwanted = True

    def leave(self, rest: list[bytes]) -> None:
        """Let go of the part after writing `rest`; it stays, unless it is empty.  May be called in any state, and again."""
        if self._handle < 0 or not self._ours:
            self._release()
            return
        try:
            if rest and not self._broken:
                self.write(rest)
        finally:
            in_place = self._is_in_place()
            if not in_place or not os.fstat(self._handle).st_size:
                self.record.unlink(missing_ok=True)
                if in_place:
                    self.path.unlink(missing_ok=True)
            self._release()

    def _close(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def _release(self) -> None:
        self._close()
        if self._key:
            with _guard:
                _in_use.discard(self._key)
            self._key = ""
