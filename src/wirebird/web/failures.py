"""What an exception says, taken once, bounded, and as plain text: the chain that it ends, frames with their code, variables.

Nothing of it keeps a frame alive, or makes a page of megabytes: of a recursion without end both ends are taken, of a long chain
the exceptions nearest to the last.  Values are written as Python would, cut short, and without what is secret by its name: a
variable, a key of a mapping at any depth, a parameter or a password within a text.

A source line that holds a secret shows it: one reason why all this is for whoever writes the program, and for nobody else.
"""

from __future__ import annotations

import linecache
import reprlib
import sysconfig
import traceback
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, NamedTuple

from ..models.redaction import HIDDEN, hidden_text, is_secret, printable, read_hide

__all__ = ["Failure", "Frame", "explain", "show_value"]

_MOST_FAILURES: Final = 12
_MOST_FRAMES: Final = 60
_MOST_VARIABLES: Final = 40
_LONGEST_VALUE: Final = 400
_LONGEST_MESSAGE: Final = 4000
_LONGEST_LINE: Final = 300
_AROUND: Final = 4  # lines of code before and behind the one that runs

_SECRETS: Final = read_hide(True)

_LIBRARIES: Final = tuple(
    str(Path(place).resolve())
    for place in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    if place
)
_OURS: Final = str(Path(__file__).resolve().parents[1])

Trim = Callable[[TracebackType | None], TracebackType | None]


class Frame(NamedTuple):
    """One call, with the numbered `lines` around the one that runs; `own` says that it is the application's, not a library's."""

    file: str
    line: int
    function: str
    own: bool
    lines: list[tuple[int, str]]
    variables: list[tuple[str, str]]


class Failure(NamedTuple):
    """One exception.  `relation` says what those before it are to it: its "cause", its "context", its "group", or "" nothing."""

    kind: str
    message: str
    relation: str
    frames: list[Frame]

    @property
    def text(self) -> str:
        """As Python would print it, with one line of code for each frame."""
        lines = ["Traceback (most recent call last):\n"] if self.frames else []
        for frame in self.frames:
            lines.append(f'  File "{frame.file}", line {frame.line}, in {frame.function}\n')
            lines += [f"    {printable(code.strip())}\n" for number, code in frame.lines if number == frame.line]
        said = "\n".join(printable(line, _LONGEST_MESSAGE) for line in self.message.split("\n"))
        lines.append(f"{self.kind}: {said}\n" if said else f"{self.kind}\n")
        return "".join(lines)


def explain(error: BaseException, *, variables: bool = False, trim: Trim | None = None) -> list[Failure]:
    """The chain of exceptions that ends with `error`, which comes last; those of a group come before it.

    `variables` are taken only if they are asked for.  `trim` takes from a traceback what nobody wants to see.
    """
    found: list[Failure] = []
    _collect(error, found, set(), variables, trim)
    return found


def _collect(error: BaseException, found: list[Failure], seen: set[int], variables: bool, trim: Trim | None) -> None:
    """Add what `error` came of, and then itself."""
    seen.add(id(error))
    before = len(found)
    relation = ""
    if isinstance(error, BaseExceptionGroup):
        sources, relation = list(error.exceptions), "group"
    elif error.__cause__ is not None:
        sources, relation = [error.__cause__], "cause"
    elif error.__context__ is not None and not error.__suppress_context__:
        sources, relation = [error.__context__], "context"
    else:
        sources = []
    for source in sources:
        if id(source) not in seen and len(seen) < _MOST_FAILURES:
            _collect(source, found, seen, variables, trim)
    found.append(_failure(error, relation if len(found) > before else "", variables, trim))


def _failure(error: BaseException, relation: str, variables: bool, trim: Trim | None) -> Failure:
    kind = type(error).__qualname__
    if type(error).__module__ != "builtins":
        kind = f"{type(error).__module__}.{kind}"
    trace = error.__traceback__ if trim is None else trim(error.__traceback__)
    frames = [_frame(frame, line, variables) for frame, line in _both_ends(list(traceback.walk_tb(trace)))]
    if isinstance(error, SyntaxError) and error.filename:
        line = error.lineno or 0
        frames.append(Frame(error.filename, line, "", True, _code(error.filename, line, None), []))
    return Failure(kind, _message(error), relation, frames)


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as fault:
        return f"<its text cannot be had: {type(fault).__name__}>"
    return hidden_text(text[:_LONGEST_MESSAGE], _SECRETS)


def _both_ends(frames: list[tuple[FrameType, int]]) -> list[tuple[FrameType, int]]:
    if len(frames) <= _MOST_FRAMES:
        return frames
    half = _MOST_FRAMES // 2
    return [*frames[:half], *frames[-half:]]


def _frame(frame: FrameType, line: int, variables: bool) -> Frame:
    code = frame.f_code
    file = code.co_filename
    own = not file.startswith((*_LIBRARIES, _OURS, "<"))
    name: str = getattr(code, "co_qualname", code.co_name)
    return Frame(file, line, name, own, _code(file, line, frame.f_globals), _variables(frame) if variables else [])


def _code(file: str, line: int, names: dict[str, Any] | None) -> list[tuple[int, str]]:
    linecache.checkcache(file)
    lines = linecache.getlines(file, names)
    first, last = max(1, line - _AROUND), min(len(lines), line + _AROUND)
    return [(number, lines[number - 1].rstrip("\r\n")[:_LONGEST_LINE]) for number in range(first, last + 1)]


def _variables(frame: FrameType) -> list[tuple[str, str]]:
    names = dict(frame.f_locals)
    if frame.f_locals is frame.f_globals:  # a module's, most of which are imports and functions
        names = {name: value for name, value in names.items() if not name.startswith("__") and not callable(value)}
    shown = [
        (name, HIDDEN if is_secret(name, _SECRETS) else show_value(value))
        for name, value in islice(names.items(), _MOST_VARIABLES)
    ]
    if len(names) > _MOST_VARIABLES:
        shown.append(("…", f"and {len(names) - _MOST_VARIABLES} more"))
    return shown


class _Shown(reprlib.Repr):
    """`repr` within bounds, and without the values of secret keys."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxstring = self.maxother = self.maxlong = _LONGEST_VALUE
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = self.maxarray = 20

    def repr_dict(self, x: Mapping[Any, Any], level: int) -> str:
        """A mapping, of whatever kind."""
        if not x:
            return "{}"
        if level <= 0:
            return "{...}"
        pieces = []
        for key in islice(x, self.maxdict):
            secret = is_secret(key, _SECRETS) if isinstance(key, str) else False
            pieces.append(f"{self.repr1(key, level - 1)}: {HIDDEN if secret else self.repr1(x[key], level - 1)}")
        if len(x) > self.maxdict:
            pieces.append("...")
        return f"{{{', '.join(pieces)}}}"

    def repr_str(self, x: str, level: int) -> str:
        """A text, which may be a URL or a form."""
        return super().repr_str(hidden_text(x[: 2 * self.maxstring], _SECRETS), level)

    def repr_tuple(self, x: tuple[Any, ...], level: int) -> str:
        """A tuple, which may be a name and a value."""
        if len(x) == 2 and isinstance(x[0], str | bytes) and is_secret(_text(x[0]), _SECRETS):
            return f"({x[0]!r}, {HIDDEN})"
        return super().repr_tuple(x, level)

    def repr_instance(self, x: Any, level: int) -> str:
        """Anything else."""
        if isinstance(x, Mapping):
            return f"<{type(x).__name__} {self.repr_dict(x, level)}>"
        try:
            text = repr(x)
        except Exception as error:
            return f"<{type(x).__name__}, whose repr raises {type(error).__name__}>"
        text = hidden_text(text[: 4 * self.maxother], _SECRETS)
        return text if len(text) <= self.maxother else text[: self.maxother] + "…"


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("latin-1")


_shown = _Shown()


def show_value(value: object) -> str:
    """The value as Python would write it, cut short, without secrets; what its `repr` raises is said in its place."""
    try:
        text = _shown.repr(value)
    except Exception as error:
        text = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"
