"""What a command is told to serve, found: `package.module:name`, `file.py:name`, or a folder.

`name` may be an application (a `web.Application`, an ASGI application, anything with `serve`), or a function that makes one, sync
or async.  Without a name the usual ones are tried.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any, Final

import click

from ..server.asgi import AsgiApp
from ..server.server import Served
from ..web.app import Application

__all__ = [
    "Interrupted",
    "LoadError",
    "Target",
    "find_object",
    "folder_app",
    "load",
    "make_served",
    "own_traceback",
    "read_target",
    "report",
    "without_caller",
]

_LIFESPANS: Final[dict[str, Any]] = {"auto": "auto", "on": True, "off": False}

# Names that are tried where none is given.
_USUAL: Final = ("app", "application", "create_app", "make_app")

# Where the frames of a traceback are that only say how the application's code was called.
_CALLERS: Final = (
    str(Path(__file__).resolve().parents[1]),
    *(str(Path(place).parent) for place in (asyncio.__file__, click.__file__)),
    *("<frozen ", "uvloop/"),
)


class LoadError(Exception):
    """There is nothing to serve.  Its text is for people; its cause, if there is one, is what the application's code raised."""


class Interrupted(LoadError):
    """A signal has come while the application's code was doing something that no event loop can end."""


@dataclass(frozen=True)
class Target:
    """What is to be served.

    folder  where it is: what is served itself if `module` is empty, else what is put in front of `sys.path`
    module  the module's dotted name, or the path of a file that no name leads to
    name    the attribute, dotted; "" for a usual one
    """

    folder: Path
    module: str = ""
    name: str = ""

    @property
    def is_folder(self) -> bool:
        """Whether the folder itself is served."""
        return not self.module

    def __str__(self) -> str:
        return f"{self.module}:{self.name}".rstrip(":") if self.module else str(self.folder)


def read_target(text: str, app_dir: Path | None = None) -> Target:
    """Find out what is meant, without importing anything.  Raises `LoadError`."""
    base = (app_dir or Path()).resolve()
    path = base / text
    if path.is_dir() and not (":" not in text and text.isidentifier() and (path / "__init__.py").exists()):
        return Target(path.resolve())
    place, colon, name = text.rpartition(":") if ":" in text else (text, "", "")
    if colon and (not place or not all(part.isidentifier() for part in name.split("."))):
        raise LoadError(f"{text!r} is neither a folder nor module:name nor file.py:name")
    if place.endswith(".py"):
        return _read_file(base / place, name)
    if not all(part.isidentifier() for part in place.split(".")):
        reason = "there is no such folder, and it is no name of a module" if not colon else f"{place!r} is no name of a module"
        raise LoadError(f"{text!r} cannot be served: {reason}")
    return Target(base, place, name)


def _read_file(path: Path, name: str) -> Target:
    """A file, as a module of the package that it is in, if it is in one."""
    path = path.resolve()
    if not path.is_file():
        raise LoadError(f"there is no file {path}")
    parts = [path.stem] if path.stem != "__init__" else []
    folder = path.parent
    while (folder / "__init__.py").exists() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    if not parts or not all(part.isidentifier() for part in parts) or parts[0] in sys.stdlib_module_names | {"wirebird"}:
        return Target(path.parent, str(path), name)
    return Target(folder, ".".join(parts), name)


def find_object(target: Target) -> Any:
    """Import what `target` names.  Raises `LoadError`, with what the code raised as its cause."""
    folder = str(target.folder)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = _import(target)
    names = [target.name] if target.name else [name for name in _USUAL if hasattr(module, name)]
    if not names:
        raise LoadError(f"{target.module} has none of {', '.join(_USUAL)}: say which{_candidates(module, target.module)}")
    found: Any = module
    for part in names[0].split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise LoadError(f"{target.module} has no {names[0]!r}{_candidates(module, target.module)}") from None
    return found


def _import(target: Target) -> ModuleType:
    try:
        if target.module.endswith(".py"):
            stem = Path(target.module).stem
            if stem in sys.modules:
                stem = f"{stem} of the command line"  # others need theirs
            spec = spec_from_file_location(stem, target.module)
            if spec is None or spec.loader is None:
                raise LoadError(f"{target.module} cannot be imported")
            module = module_from_spec(spec)
            sys.modules[stem] = module
            spec.loader.exec_module(module)
            return module
        return import_module(target.module)
    except ModuleNotFoundError as error:
        if error.name is not None and (target.module == error.name or target.module.startswith(f"{error.name}.")):
            raise LoadError(
                f"there is no module {error.name!r}, neither in {target.folder} nor installed (--app-dir says where else to look)"
            ) from None
        raise LoadError(f"{target.module} cannot be imported: {error}") from error
    except LoadError:
        raise
    except (Exception, SystemExit) as error:
        raise LoadError(f"{target.module} cannot be imported: {type(error).__name__}: {error}") from error


def _candidates(module: ModuleType, place: str) -> str:
    """What there is in the module that could have been meant."""
    found = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and (isinstance(value, Application) or getattr(value, "__module__", "") == module.__name__)
        if isinstance(value, Application)
        or (callable(value) and not isinstance(value, type) and (_takes(value, 0) or _takes(value, 3)))
    ]
    return f"; there is {', '.join(f'{place}:{name}' for name in found[:5])}" if found else ""


async def load(target: Target, options: dict[str, Any], *, in_worker: bool = False) -> Served:
    """Find and make what is to be served.  Raises `LoadError`; `in_worker` says what is wrong, and raises `SystemExit`."""
    try:
        if target.is_folder:
            return folder_app(target.folder, listing=not options["no_listing"])
        with interruptible():
            found = find_object(target)
        return await make_served(found, target, root_path=options["root_path"], lifespan=_LIFESPANS[options["lifespan"]])
    except LoadError as error:
        if not in_worker:
            raise
        report(error)
        raise SystemExit(1) from None


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM end what the application's code does meanwhile: as long as that takes, no event loop can.

    Raises `Interrupted` then.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    own = {}
    if threading.current_thread() is threading.main_thread():
        own = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    waiting = {
        number: handler for number, handler in own.items() if callable(handler) and handler is not signal.default_int_handler
    }
    for number in waiting:
        signal.signal(number, end)
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("interrupted") from None
    finally:
        for number, handler in waiting.items():
            signal.signal(number, handler)


def folder_app(folder: Path, prefix: str = "/", *, listing: bool = True) -> Served:
    """An application that serves a folder, below `prefix`."""
    from .. import web

    app = web.Application()
    app.add_routes([web.static(prefix, folder, show_index=listing, index="index.html")])
    return app


async def make_served(found: Any, target: Target, *, root_path: str = "", lifespan: Any = "auto") -> Served:
    """What `find_object` has found as something that a server can serve; a function that makes it is called, within the loop.

    Raises `LoadError`, with what that function raised as its cause.
    """
    for _ in range(3):  # a function that makes a function that makes it
        if not isinstance(found, type) and all(callable(getattr(found, one, None)) for one in ("serve", "startup", "shutdown")):
            return found  # type: ignore[no-any-return]
        if (complaint := _foreign(found)) is not None:
            raise LoadError(f"{target} {complaint}")
        if not callable(found):
            raise LoadError(f"{target} is a {type(found).__name__}, and no application")
        if _takes(found, 3):
            return AsgiApp(found, root_path=root_path, lifespan=lifespan)
        if not _takes(found, 0):
            wanted = "scope, receive and send, as an ASGI application does, nor can be called without anything, to make one"
            raise LoadError(f"{target} neither takes {wanted}")
        found = await _call(found, target)
    raise LoadError(f"{target} makes nothing but functions")


async def _call(factory: Callable[[], Any], target: Target) -> Any:
    try:
        with interruptible():
            made = factory()
        return await made if inspect.isawaitable(made) else made
    except LoadError:
        raise
    except Exception as error:
        raise LoadError(f"{target} made no application: {type(error).__name__}: {error}") from error


def _foreign(found: Any) -> str | None:
    """What is wrong with an application of another kind."""
    kind = type(found)
    if kind.__module__.partition(".")[0] == "aiohttp":
        return "is an application of aiohttp: import wirebird.compat.aiohttp.web in place of aiohttp.web"
    if callable(found) and not isinstance(found, type) and hasattr(found, "wsgi_app"):
        return "is a WSGI application: wrap it for ASGI, as with a2wsgi.WSGIMiddleware"
    return None


def _takes(function: Any, count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # written in C, and silent about it
        return count == 3
    return True


def report(error: LoadError) -> None:
    """Say on standard error why there is nothing to serve: with the traceback, where the application's code raised."""
    if error.__cause__ is not None:
        print(own_traceback(error.__cause__), file=sys.stderr, end="")
    print(f"wirebird: {error}", file=sys.stderr, flush=True)


def own_traceback(error: BaseException) -> str:
    """The traceback of what an application's code raised, without the frames of how it was called."""
    return "".join(traceback.format_exception(type(error), error, without_caller(error.__traceback__)))


def without_caller(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that begins in the application's code, None if there is none."""
    at = trace
    while at is not None:
        name = at.tb_frame.f_code.co_filename
        if not name.startswith(_CALLERS) and not name.endswith("importlib/__init__.py"):
            return at
        at = at.tb_next
    return None
