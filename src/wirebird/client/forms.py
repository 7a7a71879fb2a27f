"""Forms with files: the body of a multipart/form-data request, streamed (RFC 7578).

A form is a list of parts.  The head of a part is made, and checked, when the part is added; its data is a source, which is read
when the form is sent.  The form can be sent again if each of its sources can be read again.
"""

from __future__ import annotations

import secrets
import stat
from contextlib import aclosing
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ..errors import BodyConsumed, UsageError
from ..models.form_encoding import FormLike, form_fields
from ..models.numbers import check_count
from ..protocol.multipart import PART_END, closing_delimiter, multipart_type, part_head
from .sources import FileSource, PathSource, Source, is_file, make_source

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator

    from ..models.headers import HeadersLike

__all__ = ["MultipartForm", "make_form"]

_SMALL = 65_536  # pieces below this leave together


class MultipartForm:
    """A multipart/form-data body (RFC 7578).

    `boundary` is the text between the parts, 128 random bits.  The form is a `Body`: it may be sent any number of times while it
    is `replayable()`; `close()` closes the files it was given, as the client does after the request.
    """

    def __init__(self) -> None:
        self.boundary = secrets.token_hex(16)
        self._parts: list[tuple[bytes, Source]] = []  # the delimiter and head, and the data
        self._sent = False

    def __repr__(self) -> str:
        return f"<MultipartForm of {len(self._parts)} parts>"

    def add_field(
        self,
        name: str,
        value: Any,
        filename: str | None = None,
        content_type: str | None = None,
        headers: HeadersLike | None = None,
    ) -> None:
        """Add a part: text, bytes, a number, an open file, or a sync or async iterator of bytes.

        A file's `filename` is its own name unless another is given.  A part with a file name has the Content-Type that its
        extension stands for, application/octet-stream if none, others have none unless it is given.  `headers` are further
        part headers.  A file object is sent from its current position; a text file is sent as UTF-8.

        Raises `UsageError` for a value that cannot be sent, `InvalidHeader` for CR, LF, NUL and other controls in the strings.
        """
        if filename is None and is_file(value):
            filename = _name_of(value) or name
        head = self._head(name, filename, content_type, headers)
        self._parts.append((head, make_source(value, "value")))

    def add_file(
        self, name: str, file_path: str | os.PathLike[str], filename: str | None = None, content_type: str | None = None
    ) -> None:
        """Add the file at `file_path`, to be opened when the form is sent and closed right after.

        `filename` is the last part of the path unless another is given.  Raises `UsageError` where there is no regular file
        that can be read, now or when it is sent.
        """
        try:
            path = Path(file_path).absolute()
            if not stat.S_ISREG(path.stat().st_mode):
                raise UsageError(f"file_path must be a regular file, not {str(path)!r}", argument="file_path")
            path.open("rb").close()
        except (OSError, TypeError, ValueError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"file_path cannot be read: {error}", argument="file_path") from error
        head = self._head(name, path.name if filename is None else filename, content_type, None)
        self._parts.append((head, PathSource(path, "file_path")))

    def size(self) -> int | None:
        """The length of the body in bytes, None if a part's is not known.  A file may grow after that, but not shrink."""
        total = len(closing_delimiter(self.boundary))
        known = True
        for head, source in self._parts:
            size = source.size()
            known = known and size is not None
            total += len(head) + (size or 0) + len(PART_END)
        return total if known else None

    def get_headers(self, size: int | None = None) -> dict[str, str]:
        """Content-Type with the boundary, and Content-Length if `size` is given."""
        headers = {"Content-Type": multipart_type(self.boundary)}
        if size is not None:
            check_count("size", size, 0, "a number of bytes")
            headers["Content-Length"] = str(size)
        return headers

    async def get_buffer(self) -> AsyncGenerator[bytes, None]:
        """The body from its beginning, in pieces; never more bytes than `size()` said.

        Raises `BodyConsumed` where the body was sent before and cannot be had again, `UsageError` where a file is shorter now
        than it was, or an iterator gives something other than bytes.
        """
        if self._sent and not self.replayable():
            raise BodyConsumed("the form was sent, and a part of it can be read only once", argument="data")
        self._sent = True
        parts = list(self._parts)
        for _, source in parts:
            if isinstance(source, FileSource):
                source.mark()  # before another part moves it, if it is the same file
        pending: list[bytes] = []
        length = 0
        for head, source in parts:
            pending.append(head)
            length += len(head)
            async with aclosing(source.pieces()) as pieces:
                async for piece in pieces:
                    large = len(piece) >= _SMALL
                    if not large:
                        pending.append(piece)
                        length += len(piece)
                    if pending and (large or source.live or length >= _SMALL):
                        yield b"".join(pending)
                        pending.clear()
                        length = 0
                    if large:
                        yield piece
                    del piece  # or it is held while the next is read
            pending.append(PART_END)
            length += len(PART_END)
        yield b"".join((*pending, closing_delimiter(self.boundary)))

    async def get_body_size(self) -> tuple[bytes, int]:
        """The whole body in memory, and its length in bytes."""
        body = b"".join([piece async for piece in self.get_buffer()])
        return body, len(body)

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """The same as `get_buffer()`."""
        return self.get_buffer()

    def replayable(self) -> bool:
        """Whether the body can be had more than once."""
        return all(source.replayable() for _, source in self._parts)

    async def close(self) -> None:
        """Close the files of the form, those that it was given too."""
        for _, source in self._parts:
            await source.close()

    def _head(self, name: str, filename: str | None, content_type: str | None, headers: HeadersLike | None) -> bytes:
        default = None if filename is None else _type_of(filename)
        return part_head(self.boundary, name, filename=filename, content_type=content_type, default_type=default, headers=headers)


def make_form(data: FormLike | None = None, files: FormLike | None = None) -> MultipartForm:
    """A form of the fields in `data`, where lists of values repeat their name, and of `files`.

    Each value of `files` is a file object or bytes, or a tuple `(filename, value[, content_type[, headers]])`; lists repeat.
    Raises what `MultipartForm.add_field` raises.
    """
    form = MultipartForm()
    for name, value in form_fields(data, "data") if data is not None else ():
        form.add_field(name, value)
    for name, value in form_fields(files, "files", repeat=(list,)) if files is not None else ():
        if not isinstance(value, tuple):
            form.add_field(name, value, None if is_file(value) else name)
        elif 2 <= len(value) <= 4:
            form.add_field(name, value[1], value[0], *value[2:])
        else:
            raise UsageError(f"files[{name!r}] must have 2 to 4 members, not {len(value)}", argument="files")
    return form


def _name_of(file: Any) -> str | None:
    """The file's own name without its folders; None for those that have none, or only a number or `<stdin>`."""
    name = getattr(file, "name", None)
    if isinstance(name, bytes):
        name = name.decode(errors="surrogateescape")
    if not isinstance(name, str) or name[:1] == "<":
        return None
    return PurePath(name).name or None


def _type_of(filename: str) -> str:
    """The media type that the extension stands for."""
    import mimetypes  # reads the system's tables when it is first asked

    kind, encoding = mimetypes.guess_type("x" + PurePath(filename).suffix) if isinstance(filename, str) else (None, None)
    return kind if kind and not encoding else "application/octet-stream"
