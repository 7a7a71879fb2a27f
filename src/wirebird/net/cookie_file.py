"""The cookie jar as a file: JSON and nothing else, readable by its owner alone, and never half written.

The calls block for as long as the disk takes; from a running loop call them through `asyncio.to_thread`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..models.cookies import CookieJar
from .private_file import write_private

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["load_cookies", "save_cookies"]


def save_cookies(jar: CookieJar, path: str | os.PathLike[str]) -> None:
    """Write every cookie of `jar`, session cookies included, to `path`; a file that is there is replaced in one step.

    The file has the mode 0600: who can read it can be you.  Raises `OSError` if the folder cannot be written to, and then
    leaves the old file as it was.
    """
    write_private(path, jar.to_json())


def load_cookies(path: str | os.PathLike[str], *, public_suffix: Callable[[str], bool] | None = None) -> CookieJar:
    """The jar that `save_cookies` wrote to `path`; `public_suffix` is as for `CookieJar`.

    Raises `UsageError` if the file holds anything else, `OSError` if it cannot be read.
    """
    try:
        return CookieJar.from_json(Path(path).read_bytes().decode(), public_suffix=public_suffix)
    except ValueError as error:  # UnicodeDecodeError, and the UsageError of from_json
        raise UsageError(f"path {os.fspath(path)!r} is not a saved cookie jar: {error}", argument="path") from error
