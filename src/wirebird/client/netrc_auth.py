"""Credentials from a netrc file, by the name of the host and nothing else.

The host is that of the parsed URL, never a part of its text: in `http://evil.test:@good.test/` it is `good.test`.  The port and
the scheme play no part, for the file knows neither.  The file is read when it is first needed, and again after it changed, but
only when a server refused what it said: no request waits for a disk.
"""

from __future__ import annotations

import os
import stat
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import InvalidHeader, UsageError
from ..models.message import Request
from ..models.url import basic_value
from .auth import Flow, check_name

if TYPE_CHECKING:
    from .response import HttpResponse

__all__ = ["NetrcAuth", "environment_netrc"]

MOST_BYTES: Final = 131_072

# What tells one state of a file from another: device, inode, size, time of change in nanoseconds.
_State = tuple[int, int, int, int]


class NetrcAuth:
    """User and password (Basic) by host, from a netrc file; hosts that are not in it get none.

    file  the path; None for the environment variable NETRC, or `~/.netrc`

    A `default` entry stands for every host that has none of its own.  The file is read at the first request.  It is read again
    if it changed and a server answered 401; if it then has other credentials, the request is sent once more.

    A file that is missing, cannot be read or is no netrc file makes each request raise `UsageError`, which names it.
    """

    def __init__(self, file: str | os.PathLike[str] | None = None) -> None:
        if file is not None and not isinstance(file, str | os.PathLike):
            raise UsageError(f"file must be a path, not {type(file).__name__}", argument="file")
        self._path = Path(file) if file is not None else _usual_path()
        self._state: _State | None = None
        self._entries: dict[str, tuple[str, str | None, str | None]] | None = None

    def __repr__(self) -> str:
        return f"NetrcAuth({str(self._path)!r})"

    def flow(self, request: Request) -> Flow:
        """One request; two if it was refused and the file has changed."""
        host = request.destination.host
        if self._entries is None:
            self._read()
        value = self._look_up(host)
        response: HttpResponse = yield _with_credentials(request, value)
        if response.status_code == 401 and self._has_changed():
            self._read()
            newer = self._look_up(host)
            if newer is not None and newer != value:
                yield _with_credentials(request, newer)

    def credentials(self, host: str) -> str | None:
        """The value of `Authorization` for `host`, None if there is none.  Raises `UsageError` for a file that cannot be used."""
        if self._entries is None or self._has_changed():
            self._read()
        return self._look_up(host)

    def _look_up(self, host: str) -> str | None:
        """The value of `Authorization` for `host`."""
        entries = self._entries or {}
        found = entries.get(host) or entries.get("default")
        if found is None:
            return None
        login, _, password = found
        try:
            user = check_name(login or "", "login")
            if ":" in user:
                raise InvalidHeader("login must not hold a colon (RFC 7617 2)")
            return basic_value(user, check_name(password or "", "password"))
        except InvalidHeader as error:
            raise self._refuse(f"in the entry for {host}, {error.message}") from error

    def _has_changed(self) -> bool:
        try:
            return self._stat() != self._state
        except UsageError:
            return False  # it is gone: that credentials were refused says more

    def _read(self) -> None:
        """Read the file, which must be a small regular one: a pipe would hold up everything."""
        state = self._stat()
        try:
            hosts = netrc(self._path).hosts
        except (NetrcParseError, UnicodeDecodeError) as error:
            # The parser quotes the word that it stumbled over, which may be a password.
            line = f"line {error.lineno}" if isinstance(error, NetrcParseError) else "it is not text"
            raise self._refuse(f"it is no netrc file: {line}") from None
        except OSError as error:
            raise self._refuse(error.strerror or str(error)) from error
        self._entries = {name.lower(): entry for name, entry in hosts.items()}
        self._state = state

    def _stat(self) -> _State:
        try:
            found = self._path.stat()
        except (OSError, ValueError) as error:
            raise self._refuse(getattr(error, "strerror", None) or str(error)) from error
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
            raise self._refuse("it is no regular file of at most 128 KiB")
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _refuse(self, why: str) -> UsageError:
        return UsageError(f"netrc file {str(self._path)!r} cannot be used: {why}", argument="file")


def environment_netrc() -> NetrcAuth | None:
    """What a client that trusts the environment uses: the file that NETRC names, else `~/.netrc` if there is one, else None.

    Raises nothing; a file that cannot be used makes the requests raise `UsageError`.
    """
    return NetrcAuth() if os.environ.get("NETRC") or os.path.exists(_usual_path()) else None  # noqa: PTH110 - never raises


def _usual_path() -> Path:
    path = Path(os.environ.get("NETRC") or "~/.netrc")
    try:
        return path.expanduser()
    except RuntimeError:  # nobody's home
        return path


def _with_credentials(request: Request, value: str | None) -> Request:
    outgoing = request.copy()
    if value is not None:
        outgoing.headers["Authorization"] = value
    return outgoing
