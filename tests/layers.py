"""The checker behind `test_layers.py`: reads source files as syntax trees, never imports them, and lists what breaks a rule.

Ranks, from docs/architecture.md.  A module may import a lower rank, or its own package without a cycle; never the same rank in
another package, and never a higher one.  Imports inside functions and under `TYPE_CHECKING` count like any other.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

RANKS = {
    "_version": 0,
    "errors": 0,
    "models": 1,
    "pipeline": 2,
    "protocol": 2,
    "net": 3,
    "client": 4,
    "server": 4,
    "web": 5,
    "compat": 6,
    "testing": 6,
    "cli": 7,
    "__main__": 8,
}
SANS_IO = ("_version", "errors", "models", "pipeline", "protocol")
# Input and output, clocks and randomness: to those packages they are arguments.
FORBIDDEN = frozenset(
    {
        *("asyncio", "concurrent", "io", "multiprocessing", "os", "pathlib", "random", "secrets", "select", "selectors"),
        *("signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "uuid"),
    }
)
MAX_LINES = 500
_VAGUE = re.compile(r"utils?|helpers?|common|misc", re.IGNORECASE).fullmatch
_VAGUE_CLASS = re.compile(r"_?(?:Base[A-Z].*|.*Manager|.*Util(?:s|ity)?|.*Helpers?)").fullmatch
_FREE_STRIPS = frozenset({"strip", "lstrip", "rstrip", "splitlines", "split"})


class Import(NamedTuple):
    """One imported module, absolute; `line` is where, `typing_only` whether it is under `if TYPE_CHECKING`."""

    module: str
    line: int
    typing_only: bool


class Source(NamedTuple):
    """One file of the package: its dotted name, its path, its text and tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def part(self) -> str:
        """The package under the root that it belongs to, or the module right under the root; empty for the root itself."""
        return self.name.partition(".")[2].partition(".")[0]


def read_sources(root: Path) -> list[Source]:
    """Every module of the package in the folder `root`."""
    sources = []
    for path in sorted(root.rglob("*.py")):
        parts = [root.name, *path.relative_to(root).with_suffix("").parts]
        if parts[-1] == "__init__":
            parts.pop()
        text = path.read_text("utf-8")
        sources.append(Source(".".join(parts), path, text, ast.parse(text)))
    return sources


def imports_of(source: Source, known: Collection[str]) -> Iterator[Import]:
    """Everything that the module imports, wherever the statement stands; `known` are the names of the modules that exist."""
    package = source.name if source.path.name == "__init__.py" else source.name.rpartition(".")[0]
    for node, typing_only in _statements(source.tree, False):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, typing_only)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                module = ".".join([*above, module] if module else above)
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                yield Import(whole if whole in known else module, node.lineno, typing_only)


def _statements(node: ast.AST, typing_only: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Every node below, and whether only a type checker gets there."""
    for child in ast.iter_child_nodes(node):
        hidden = typing_only
        if isinstance(node, ast.If) and child in node.body and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            hidden = True
        yield child, hidden
        yield from _statements(child, hidden)


def check_ranks(sources: list[Source]) -> list[str]:
    """Imports that go sideways or upwards, and parts without a rank.  The root names everything, so nothing may import it."""
    faults = []
    known = {source.name for source in sources}
    root = min(known, key=len)
    for source in sources:
        if not source.part:
            continue
        rank = RANKS.get(source.part)
        if rank is None:
            faults.append(f"{source.name} has no rank")
            continue
        for module, line, _ in imports_of(source, known):
            top, _, rest = module.partition(".")
            part = rest.partition(".")[0]
            if top != root or part == source.part:
                continue
            if not part:
                faults.append(f"{source.name}:{line} imports the root")
            elif RANKS.get(part, rank) >= rank:
                faults.append(f"{source.name}:{line} (rank {rank}) imports {module} (rank {RANKS.get(part)})")
    return faults


def find_cycles(sources: list[Source], *, typing: bool) -> set[tuple[str, ...]]:
    """The groups of modules that import each other in a circle, each sorted; with or without imports for type checking only."""
    names = {source.name for source in sources}
    edges = {
        source.name: {
            found.module
            for found in imports_of(source, names)
            if found.module in names and found.module != source.name and (typing or not found.typing_only)
        }
        for source in sources
        if source.part
    }
    reach = {name: _reachable(edges, name) for name in edges}
    return {
        tuple(sorted(other for other in reach[name] if name in reach.get(other, ()))) for name in edges if name in reach[name]
    }


def _reachable(edges: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    todo = list(edges.get(start, ()))
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += edges.get(name, ())
    return seen


def check_sans_io(sources: list[Source]) -> list[str]:
    """Input, output, clocks and randomness where they do not belong."""
    return [
        f"{source.name}:{found.line} imports {found.module}"
        for source in sources
        if source.part in SANS_IO
        for found in imports_of(source, ())
        if found.module.split(".")[0] in FORBIDDEN
    ]


def check_form(sources: list[Source]) -> list[str]:
    """Files that are too long, `assert` statements, and names that say nothing."""
    faults = []
    for source in sources:
        lines = source.text.count("\n")
        if lines > MAX_LINES:
            faults.append(f"{source.name}: {lines} lines, at most {MAX_LINES}")
        if source.part != "compat" and any(_VAGUE(part) for part in source.name.split(".")):  # there, names are others'
            faults.append(f"{source.name}: a name that says nothing")
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Assert):
                faults.append(f"{source.name}:{node.lineno} assert, which python -O removes")
            elif source.part != "compat" and isinstance(node, ast.ClassDef) and _VAGUE_CLASS(node.name):
                faults.append(f"{source.name}:{node.lineno} class {node.name}")
    return faults


def check_wire_parsing(sources: list[Source], allowed: frozenset[tuple[str, str]] = frozenset()) -> list[str]:
    """In models and protocol: `\\d`, `\\w` or `\\s` in a pattern, and `strip`, `split` or `splitlines` without an argument.

    They accept more than ASCII.  `allowed` holds pairs of a module and the text of a call that is known to be harmless.
    """
    faults = []
    for source in sources:
        if source.part not in ("models", "protocol"):
            continue
        documentation = {id(text) for text in _docstrings(source.tree)}
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in documentation:
                text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
                escapes = re.findall(r"\\[dDwWsS]", text.replace("\\\\", ""))
                faults += [f"{source.name}:{node.lineno} {escape} in a pattern" for escape in escapes]
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in _FREE_STRIPS
                and not node.args
                and not node.keywords
                and (source.name, ast.unparse(node)) not in allowed
            ):
                faults.append(f"{source.name}:{node.lineno} {ast.unparse(node)}")
    return faults


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Strings that stand alone: docstrings, of modules, classes, functions and names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value
