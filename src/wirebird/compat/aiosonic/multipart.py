"""`aiosonic.multipart`: forms with files."""

from __future__ import annotations

import os

from ...client.forms import MultipartForm as _MultipartForm
from ...errors import UsageError

__all__ = ["MultipartForm"]


class MultipartForm(_MultipartForm):
    """A multipart/form-data body.  Files are streamed, and closed when the request is over."""

    def add_file(
        self, name: str, file_path: str | os.PathLike[str], filename: str | None = None, content_type: str | None = None
    ) -> None:
        """Add the file at `file_path`.  Raises `OSError` where `open` would, as aiosonic does."""
        try:
            super().add_file(name, file_path, filename, content_type)
        except UsageError as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__
            raise
