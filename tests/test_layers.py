"""The layers of docs/architecture.md, and the house rules on form, enforced on the sources and proved on small wrong trees."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from layers import (
    MAX_LINES,
    RANKS,
    Source,
    check_form,
    check_ranks,
    check_sans_io,
    check_wire_parsing,
    find_cycles,
    imports_of,
    read_sources,
)

ROOT = Path(__file__).resolve().parents[1] / "src" / "wirebird"


@cache
def sources() -> list[Source]:
    """Not read at import: collecting the suite takes long enough."""
    return read_sources(ROOT)


_WEB = ("app", "byte_stream", "content", "error_page", "exceptions", "forms", "multipart", "request", "response", "routing")

# Groups of modules that name each other's classes in annotations only.  Nothing of this exists when the program runs; the list
# may become shorter, and not longer.
TYPED_CIRCLES = {
    ("wirebird.client.call", "wirebird.client.client", "wirebird.client.plain", "wirebird.client.verbs"),
    # `Request.app` is an `Application`, and `StreamResponse.prepare` takes a `Request`: who type-checks an application, or a
    # response of another kind, wants both to be just that, and no protocol.  The others are here by what those two are made of.
    tuple(f"wirebird.web.{name}" for name in _WEB),
}

# Calls without an argument on text that is known to be ASCII: (module, call), each with its reason.
HARMLESS_CALLS: frozenset[tuple[str, str]] = frozenset()


def tree_of(folder: Path, **files: str) -> list[Source]:
    """A package `wirebird` with these files; `a__b` stands for `a/b.py`."""
    root = folder / "wirebird"
    root.mkdir()
    (root / "__init__.py").write_text("")
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)
    return read_sources(root)


def test_every_module_imports_downward_only() -> None:
    assert len(sources()) > 30
    assert check_ranks(sources()) == []


def test_no_module_imports_in_a_circle_when_it_runs() -> None:
    assert find_cycles(sources(), typing=False) == set()


def test_circles_of_annotations_do_not_become_more() -> None:
    assert find_cycles(sources(), typing=True) <= TYPED_CIRCLES


def test_protocols_and_what_is_below_do_no_io() -> None:
    assert check_sans_io(sources()) == []


def test_files_have_a_decent_form() -> None:
    assert check_form(sources()) == []


def test_wire_data_is_read_with_explicit_ascii_sets() -> None:
    assert check_wire_parsing(sources(), HARMLESS_CALLS) == []


def test_every_harmless_call_still_exists() -> None:
    found = check_wire_parsing(sources())
    for module, call in HARMLESS_CALLS:
        assert any(fault.startswith(f"{module}:") and fault.endswith(call) for fault in found)


# -- the checker can fail ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("models__url", "from ..net.pool import SmartPool", "wirebird.models.url:1 (rank 1) imports wirebird.net.pool (rank 3)"),
        ("client__a", "from ..server.b import B", "wirebird.client.a:1 (rank 4) imports wirebird.server.b (rank 4)"),
        ("protocol__a", "import wirebird.pipeline", "wirebird.protocol.a:1 (rank 2) imports wirebird.pipeline (rank 2)"),
        ("net__a", "def f():\n    from ..client import client", "wirebird.net.a:2 (rank 3) imports wirebird.client (rank 4)"),
        (
            "net__a",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..client.client import HTTPClient",
            "wirebird.net.a:3 (rank 3) imports wirebird.client.client (rank 4)",
        ),
        ("client__a", "from .. import HTTPClient", "wirebird.client.a:1 imports the root"),
        ("client__a", "from ..other import thing", "wirebird.client.a:1 (rank 4) imports wirebird.other (rank None)"),
        ("other", "", "wirebird.other has no rank"),
        ("errors", "from ._version import VERSION", "wirebird.errors:1 (rank 0) imports wirebird._version (rank 0)"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, name: str, text: str, fault: str) -> None:
    assert check_ranks(tree_of(tmp_path, **{name: text})) == [fault]


def test_right_imports_pass(tmp_path: Path) -> None:
    sources = tree_of(
        tmp_path,
        errors="",
        models__url="from ..errors import X\nfrom yarl import URL",
        net__pool="from .. import errors\nfrom ..models import url\nfrom . import dial",
        net__dial="import socket",
        client__deep="from ..net.pool import P\nfrom .._version import V",
    )
    assert check_ranks(sources) == []
    assert find_cycles(sources, typing=True) == set()


def test_circles_are_found_and_told_apart(tmp_path: Path) -> None:
    sources = tree_of(
        tmp_path,
        net__a="from .b import B",
        net__b="def f():\n    from .c import C",
        net__c="from .a import A",
        net__d="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .e import E\nelse:\n    from .f import F",
        net__e="from .d import D",
        net__f="",
    )
    circle = ("wirebird.net.a", "wirebird.net.b", "wirebird.net.c")
    assert find_cycles(sources, typing=False) == {circle}
    assert find_cycles(sources, typing=True) == {circle, ("wirebird.net.d", "wirebird.net.e")}


@pytest.mark.parametrize(
    "statement", ["import asyncio", "from ssl import SSLContext", "def f():\n    import time", "import os.path"]
)
def test_io_in_a_protocol_is_found(tmp_path: Path, statement: str) -> None:
    assert len(check_sans_io(tree_of(tmp_path, protocol__a=statement, net__a=statement))) == 1


def test_bad_form_is_found(tmp_path: Path) -> None:
    sources = tree_of(
        tmp_path,
        net__long="x = 1\n" * (MAX_LINES + 1),
        net__fits="x = 1\n" * MAX_LINES,
        net__utils="",
        net__names="class BaseStream: ...\nclass Basement: ...\nclass PoolManager: ...",
        net__sure="def f(x):\n    assert x",
    )
    assert sorted(check_form(sources)) == [
        f"wirebird.net.long: {MAX_LINES + 1} lines, at most {MAX_LINES}",
        "wirebird.net.names:1 class BaseStream",
        "wirebird.net.names:3 class PoolManager",
        "wirebird.net.sure:2 assert, which python -O removes",
        "wirebird.net.utils: a name that says nothing",
    ]


LENIENT = r'''r"""Not \d here."""
import re
a = re.compile(rb"\d+")
b = value.strip()
c = value.strip(" ")
d = text.splitlines()
'''


def test_lenient_parsing_is_found(tmp_path: Path) -> None:
    sources = tree_of(tmp_path, models__a=LENIENT, client__a=LENIENT)
    found = [
        "wirebird.models.a:3 \\d in a pattern",
        "wirebird.models.a:4 value.strip()",
        "wirebird.models.a:6 text.splitlines()",
    ]
    assert sorted(check_wire_parsing(sources)) == found
    allowed = frozenset({("wirebird.models.a", "value.strip()")})
    assert sorted(check_wire_parsing(sources, allowed)) == [found[0], found[2]]


def test_relative_imports_are_resolved(tmp_path: Path) -> None:
    sources = {
        source.name: source
        for source in tree_of(tmp_path, net__a="from . import b\nfrom .b import c\nfrom ..x import y", net__b="")
    }
    found = [item.module for item in imports_of(sources["wirebird.net.a"], sources)]
    assert found == ["wirebird.net.b", "wirebird.net.b", "wirebird.x"]


def test_the_ranks_are_those_of_the_document() -> None:
    document = (ROOT.parents[1] / "docs" / "architecture.md").read_text("utf-8")
    table = {
        name.strip(" `"): int(rank)
        for line in document.splitlines()
        if (cells := line.strip("| ").split("|")) and len(cells) == 3 and (rank := cells[0].strip()).isdigit()
        for name in cells[1].split(",")
    }
    assert table == RANKS
