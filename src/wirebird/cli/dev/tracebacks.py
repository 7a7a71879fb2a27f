"""What an exception says, as plain text to be shown: its chain, the frames with a few lines of their code, and local variables.

Everything is taken at once, and bounded, so that nothing of it keeps a frame alive or makes a page of megabytes.  Variables whose
names are those of secrets are not shown.
"""

from __future__ import annotations

import linecache
import reprlib
import sysconfig
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from ...models.redaction import HIDDEN, is_secret
from ..loading import without_caller

__all__ = ["Failure", "Frame", "explain", "show_value"]

_MOST_FAILURES: Final = 12
_MOST_FRAMES: Final = 60
_MOST_LOCALS: Final = 40
_LONGEST_VALUE: Final = 400
_AROUND: Final = 4  # lines of code before and behind the one that runs

# As the names of variables, beside those that end as secrets do; `key` and `code` are too much else.
_SECRETS: Final = frozenset({"auth", "authorization", "bearer", "cookie", "cookies", "jwt", "otp", "passcode", "pwd"})

_LIBRARIES: Final = tuple(
    spelled
    for place in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    if place
    for spelled in (place, str(Path(place).resolve()))
)
_OURS: Final = str(Path(__file__).resolve().parents[2])

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _LONGEST_VALUE
_repr.maxdict = _repr.maxlist = _repr.maxtuple = _repr.maxset = _repr.maxfrozenset = _repr.maxdeque = _repr.maxarray = 20
_repr.maxlevel = 4


@dataclass(frozen=True)
class Frame:
    """One call.  `lines` are pairs of a number and the code, `own` says that it is the application's, not a library's."""

    file: str
    line: int
    function: str
    own: bool
    lines: list[tuple[int, str]] = field(default_factory=list)
    variables: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Failure:
    """One exception.  `relation` says how it came of the one before it: "cause", "context", "group", or "" for the first."""

    kind: str
    message: str
    relation: str
    frames: list[Frame]
    text: str


def explain(error: BaseException) -> list[Failure]:
    """The chain of exceptions that ends with `error`, which comes last; those of a group come before it."""
    found: list[Failure] = []
    _collect(error, "", found, set())
    return found


def _collect(error: BaseException, relation: str, found: list[Failure], seen: set[int]) -> None:
    """Add what `error` came of, and then itself."""
    if id(error) in seen or len(seen) >= _MOST_FAILURES:
        return
    seen.add(id(error))
    before = len(found)
    if error.__cause__ is not None:
        _collect(error.__cause__, "", found, seen)
        how = "cause"
    elif error.__context__ is not None and not error.__suppress_context__:
        _collect(error.__context__, "", found, seen)
        how = "context"
    else:
        how = ""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            _collect(one, "", found, seen)
        how = "group"
    found.append(_failure(error, relation or (how if len(found) > before else "")))


def _failure(error: BaseException, relation: str) -> Failure:
    try:
        message = str(error)
    except Exception as fault:
        message = f"<its text cannot be had: {type(fault).__name__}>"
    kind = type(error).__name__
    module = type(error).__module__
    trace = None if isinstance(error, SyntaxError) else without_caller(error.__traceback__)
    frames = [_frame(frame, line) for frame, line in _bounded(list(traceback.walk_tb(trace)))]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append(Frame(error.filename, error.lineno or 0, "", True, _code(error.filename, error.lineno or 0, None)))
    text = "".join(traceback.format_exception(type(error), error, trace, chain=False))
    return Failure(kind if module == "builtins" else f"{module}.{kind}", message, relation, frames, text)


def _bounded(frames: list[tuple[FrameType, int]]) -> list[tuple[FrameType, int]]:
    """Of a recursion without end both ends."""
    if len(frames) <= _MOST_FRAMES:
        return frames
    return [*frames[: _MOST_FRAMES // 2], *frames[-_MOST_FRAMES // 2 :]]


def _frame(frame: FrameType, line: int) -> Frame:
    code = frame.f_code
    path = code.co_filename
    own = not path.startswith((*_LIBRARIES, _OURS, "<"))
    return Frame(
        _shown(path),
        line,
        code.co_qualname if hasattr(code, "co_qualname") else code.co_name,
        own,
        _code(path, line, frame.f_globals),
        _variables(frame),
    )


def _shown(path: str) -> str:
    """A path as it is seen from the working directory, where it is below that."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _code(path: str, line: int, names: dict[str, Any] | None) -> list[tuple[int, str]]:
    linecache.checkcache(path)
    lines = linecache.getlines(path, names)
    first = max(1, line - _AROUND)
    return [(number, lines[number - 1].rstrip("\r\n")[:300]) for number in range(first, min(len(lines), line + _AROUND) + 1)]


def _variables(frame: FrameType) -> list[tuple[str, str]]:
    if frame.f_locals is frame.f_globals:  # of a module there would be too many
        names = {name: value for name, value in frame.f_locals.items() if not name.startswith("__") and not callable(value)}
    else:
        names = frame.f_locals
    shown = [
        (name, HIDDEN if is_secret(name, _SECRETS) else show_value(value)) for name, value in list(names.items())[:_MOST_LOCALS]
    ]
    if len(names) > _MOST_LOCALS:
        shown.append(("…", f"and {len(names) - _MOST_LOCALS} more"))
    return shown


def show_value(value: object) -> str:
    """The value as Python would write it, cut short; what its `repr` raises is said in its place."""
    try:
        text = _repr.repr(value)
    except Exception as error:
        text = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"
