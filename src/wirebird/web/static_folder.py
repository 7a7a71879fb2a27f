"""A folder as a part of an application: what a path may name in it, and what it gives (`web.static`).

A name is looked at before anything is asked of the file system, so that nothing outside can be told from what is not there:
after one decoding it is names between single slashes, none of them `.` or `..`, hidden, or one that Windows takes for a device
or another host; with no backslash, no `%2F` and no NUL.  Then links are followed to their end, and that must be in the folder
too.

Who can write to the folder while it is served can put links where names were looked at: the last name is not followed any more
then.
"""

from __future__ import annotations

import asyncio
import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from yarl import URL

from ..errors import UsageError
from ..models.headers import HeadersLike, HttpHeaders, encode_fields
from ..models.numbers import check_count
from .exceptions import HTTPForbidden, HTTPMethodNotAllowed, HTTPNotFound, HTTPPermanentRedirect
from .files import CHUNK_SIZE, FileResponse
from .opened_file import OpenedFile, open_file, status_of
from .response import Response, StreamResponse
from .routing import MatchInfo, Resource, Route

if TYPE_CHECKING:
    from .app import Application
    from .request import Request
    from .routing import Router

__all__ = ["StaticFolder", "safe_names"]

# What a name is in a path as it is.
_PLAIN: Final = "!$&()*+,;=:@-._~"

# Entries of a folder that are listed.
_MOST_LISTED: Final = 10_000

# Versions of files that are remembered.
_MOST_VERSIONS: Final = 4096

# Windows opens a device for these, whatever ending or spaces follow; reading from one may never end.
_is_device = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9\xb9\xb2\xb3]|lpt[0-9\xb9\xb2\xb3])[ ]*(?:[.:].*)?", re.IGNORECASE
).fullmatch
# NUL, other controls, the backslash, which separates there too, a drive, and surrogates, as which `%2F` comes (`routing.py`).
_is_unsafe = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]|^[A-Za-z]:").search
# What else means something other than itself there; `GIT~1` is another name of `.git`.
_is_odd = re.compile(r'[:*?"<>|]|[. ]$|~[0-9]').search if os.name == "nt" else re.compile(r"(?!)").search


def safe_names(filename: str, *, hidden: bool) -> list[str] | None:
    """The names that a path below the folder is made of, the last one empty if it ends with a slash; None if it may not be asked.

    hidden  whether names may begin with a dot; `.well-known` may always, as the first (RFC 8615)
    """
    names = filename.split("/")
    for index, name in enumerate(names):
        if not name:
            if index < len(names) - 1:
                return None
        elif (
            name in (".", "..")
            or _is_unsafe(name)
            or _is_odd(name)
            or _is_device(name)
            or (name.startswith(".") and not hidden and (index or name != ".well-known"))
        ):
            return None
    return names


class StaticFolder(Resource):
    """The files of a folder below a prefix: GET and HEAD.

    router           the application's; None for whoever calls `answer`
    prefix           what paths begin with
    path             the folder
    name             what `router[name]` finds it by: `router[name].url_for(filename="app.js")`
    show_index       answer for a folder with a list of what is in it; else with 403
    index            names of files that answer for the folder that they are in, `"index.html"` say; none
    follow_symlinks  also out of the folder; whoever may make links in it may then publish every file
    append_version   have `url_for` add `?v=` and a hash of the file, so that a changed file has another URL
    hidden           serve files and folders whose names begin with a dot; `.well-known` is served anyway
    precompressed    send `app.js.br`, `.zst` or `.gz` in place of `app.js` to clients that like them better
    headers          fields of every file
    chunk_size       as for `FileResponse`

    A folder's URL ends with a slash; one without is redirected.  Raises `UsageError` for a folder that is none, and a bad prefix.
    """

    __slots__ = (
        "_answer",
        "_chunk_size",
        "_headers",
        "_index",
        "_refuse",
        "_root",
        "_route",
        "_versions",
        "append_version",
        "follow_symlinks",
        "hidden",
        "precompressed",
        "show_index",
    )

    # What a file, and a list of files, is sent as.
    file_response: ClassVar[type[FileResponse]] = FileResponse
    response: ClassVar[Callable[..., StreamResponse]] = Response

    def __init__(
        self,
        router: Router | None,
        prefix: str,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        show_index: bool = False,
        index: str | Sequence[str] = (),
        follow_symlinks: bool = False,
        append_version: bool = False,
        hidden: bool = False,
        precompressed: bool = True,
        headers: HeadersLike | None = None,
        chunk_size: int = 262144,
    ) -> None:
        if not isinstance(prefix, str) or not prefix.startswith("/") or "{" in prefix or "}" in prefix:
            raise UsageError(f"prefix must begin with a slash and have no patterns, not {prefix!r}", argument="prefix")
        super().__init__(prefix.rstrip("/") or "/", name)
        check_count("chunk_size", chunk_size, 1, "a number of bytes")
        self._root = _real(Path(path))
        if not self._root.is_dir():
            raise UsageError(f"path must be that of a folder, not {path!r}", argument="path")
        self._index = (index,) if isinstance(index, str) else tuple(index)
        for one in self._index:
            if not one or "/" in one or safe_names(one, hidden=True) is None:
                raise UsageError(f"index must be names of files, not {one!r}", argument="index")
        self._headers = HttpHeaders(headers) if headers is not None else None
        if self._headers is not None:
            encode_fields(tuple(self._headers.items()))
        self._chunk_size = chunk_size
        self._versions: dict[Path, tuple[tuple[int, int], str]] = {}
        self.show_index = show_index
        self.follow_symlinks = follow_symlinks
        self.append_version = append_version
        self.hidden = hidden
        self.precompressed = precompressed
        self._answer = self._serve  # composed with middlewares once, so these must stay the same
        self._refuse = self._refuse_method
        self._route: Route = self.add_route("GET", self._answer)
        if name is not None and router is not None:
            router.name(name, self)

    def __repr__(self) -> str:
        return f"<StaticFolder {self.canonical} of {self._root}>"

    # -- routes --------------------------------------------------------------------------------------------------------

    def match_below(self, method: str, path: str, apps: tuple[Application, ...]) -> MatchInfo | None:
        """The handler for a path below the prefix; None for one that cannot be in the folder."""
        filename = path[len(self.path.rstrip("/")) :].removeprefix("/")
        names = safe_names(filename, hidden=self.hidden)
        if names is None:
            return None
        found = {"filename": filename}
        if method in ("GET", "HEAD"):
            return MatchInfo(found, self._route, apps, apps[-1].router.compose_below(self._answer, apps))
        error = HTTPMethodNotAllowed(method, self.allowed())
        return MatchInfo(found, None, apps, apps[-1].router.compose_below(self._refuse, apps), error)

    def url_for(self, **parts: Any) -> URL:
        """The path of the file `filename`; with `append_version=True` or that of the folder, and a hash of it, which is read.

        Raises `UsageError` for a name that is never served.
        """
        unknown = parts.keys() - {"filename", "append_version"}
        if unknown or "filename" not in parts:
            raise UsageError(f"a static folder takes filename and append_version, not {sorted(parts)}", argument="parts")
        filename = os.fspath(parts["filename"]).replace(os.sep, "/").lstrip("/")
        names = safe_names(filename, hidden=self.hidden)
        if names is None:
            raise UsageError(f"filename must be one that is served, not {filename!r}", argument="filename")
        url = self._url_of(names)
        wanted = parts.get("append_version")
        if (self.append_version if wanted is None else wanted) and (version := self._version(names)) is not None:
            return url.with_query(v=version)
        return url

    def _url_of(self, names: list[str]) -> URL:
        """It begins with one slash, whatever was asked for: a second would make it a host."""
        prefix = URL(self.canonical).raw_path.rstrip("/")
        return URL(f"{prefix}/{'/'.join([quote(name, safe=_PLAIN) for name in names])}", encoded=True)

    def _version(self, names: list[str]) -> str | None:
        """A hash of the file, None if it is not there."""
        try:
            path = self._resolve(names)
            facts = path.stat()
            state = facts.st_mtime_ns, facts.st_size
            known = self._versions.get(path)
            if known is None or known[0] != state:
                with path.open("rb") as file:
                    digest = sha256()
                    while piece := file.read(CHUNK_SIZE):
                        digest.update(piece)
                if len(self._versions) >= _MOST_VERSIONS:
                    self._versions.clear()
                known = self._versions[path] = state, urlsafe_b64encode(digest.digest()).decode().rstrip("=")
            return known[1]
        except (OSError, HTTPNotFound):
            return None

    # -- requests ------------------------------------------------------------------------------------------------------

    async def _refuse_method(self, request: Request) -> StreamResponse:
        raise HTTPMethodNotAllowed(request.method, self.allowed())

    async def _serve(self, request: Request) -> StreamResponse:
        return await self.answer(request, request.match_info["filename"])

    async def answer(self, request: Request, filename: str) -> StreamResponse:
        """The file of that name, or what there is in its place.  Raises an `HTTPException` for what is not served."""
        names = safe_names(filename, hidden=self.hidden)
        if names is None:
            raise HTTPNotFound
        accept = request.headers.get_list("accept-encoding") if self.precompressed else None
        slash = request.rel_url.raw_path.endswith("/")
        try:
            # What is not taken of it any more, if this is cancelled, closes itself.
            found = await asyncio.get_running_loop().run_in_executor(None, self._look, names, slash, accept)
        except OSError as error:
            status = status_of(error)
            if status is None:
                raise
            raise (HTTPForbidden if status == 403 else HTTPNotFound)() from None
        if isinstance(found, OpenedFile):
            return self.file_response.of(found, headers=self._headers, chunk_size=self._chunk_size)
        if found is None:
            query = request.rel_url.raw_query_string
            path = str(self._url_of(names)).rstrip("/")
            raise HTTPPermanentRedirect(URL(f"{path}/{'?' if query else ''}{query}", encoded=True))
        return self._listing(names, found)

    def _look(self, names: list[str], slash: bool, accept: list[str] | None) -> OpenedFile | list[str] | None:
        """The file, the entries of the folder, None if the URL lacks the slash of a folder; in a thread."""
        path = self._resolve(names)
        if not path.is_dir():
            if slash:
                raise HTTPNotFound
            return self._open(path, names, accept)
        if not slash and (self._index or self.show_index):
            return None
        for name in self._index:
            try:
                return self._open(self._resolve([*names, name]), [*names, name], accept)
            except (FileNotFoundError, HTTPNotFound):
                continue
        if not self.show_index:
            raise HTTPForbidden
        return self._entries(path)

    def _open(self, path: Path, names: list[str], accept: list[str] | None) -> OpenedFile:
        opened = open_file(str(path), accept, follow=self.follow_symlinks)
        opened.path = str(self._root.joinpath(*names))  # its type goes by the name that was asked for
        return opened

    def _resolve(self, names: list[str]) -> Path:
        """Where that is; outside of the folder, nothing is."""
        path = self._root.joinpath(*names)
        if self.follow_symlinks:
            return path
        real = _real(path)
        if not real.is_relative_to(self._root):
            raise HTTPNotFound
        return real

    def _entries(self, path: Path) -> list[str]:
        """What may be asked for in the folder, folders first, and with a slash."""
        folders: list[str] = []
        files: list[str] = []
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if safe_names(name, hidden=self.hidden) is None or name == ".well-known":
                    continue
                try:
                    if entry.is_symlink() and not self.follow_symlinks and not _real(Path(entry.path)).is_relative_to(self._root):
                        continue
                    (folders if entry.is_dir() else files).append(name)
                except OSError:  # a link in a circle, or to where nobody may look
                    continue
                if len(folders) + len(files) == _MOST_LISTED:
                    break
        return [*(f"{name}/" for name in sorted(folders)), *sorted(files)]

    def _listing(self, names: list[str], entries: list[str]) -> StreamResponse:
        """A page that lists them.  Names are text in it, and paths from here: none can be markup, or a URL of another kind."""
        title = escape("/".join([self.canonical.rstrip("/"), *names]))
        lines = [f'<li><a href="./{escape(quote(name, safe=_PLAIN + "/"))}">{escape(name)}</a></li>' for name in entries]
        if any(names):
            lines.insert(0, '<li><a href="../">../</a></li>')
        text = (
            f'<!DOCTYPE html>\n<html>\n<head><meta charset="utf-8"><title>Index of {title}</title></head>\n'
            f"<body>\n<h1>Index of {title}</h1>\n<ul>\n{chr(10).join(lines)}\n</ul>\n</body>\n</html>\n"
        )
        headers = {"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"}
        response = self.response(text=text, content_type="text/html", charset="utf-8")
        response.headers.extend(headers)
        return response


def _real(path: Path) -> Path:
    """Where it is when links are followed, also in circles, which `Path.resolve` of Python 3.11 does not take."""
    return Path(os.path.realpath(path))
