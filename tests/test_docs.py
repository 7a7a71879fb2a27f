"""Every example in README.md and docs/ runs, and every page is what it should be.

The rules, as simple as they can be:

  - a block that is fenced as `python` is a program; the blocks of a page run in order, in one namespace, and may `await`;
  - a block that calls `asyncio.run` runs in a thread, where there is no event loop yet;
  - a line `expression  # => result` is checked: the `repr` of the expression is the result;
  - a line `expression  # raises Name` is checked: that error is raised;
  - `<!-- not run: reason -->` above a block excuses it, and there are only so many of them;
  - the working directory is an empty folder with what `docs_origin.py` puts there, and the hosts are those it knows.
"""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import inspect
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import wirebird
import wirebird.testing
from docs_origin import DocsOrigin, DocsResolver, prepare_folder

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# Written by `make bench`, and holds no examples.
PAGES = [ROOT / "README.md", *sorted(page for page in DOCS.rglob("*.md") if page != DOCS / "benchmarks.md")]
TEXTS = [*PAGES, ROOT / "VALUES.md", ROOT / "THREATS.md", *sorted((ROOT / "CHANGES.d").glob("*.md"))]
MOST_EXCUSES = 2

_block = re.compile(
    r"^(?P<excuse><!-- not run: (?P<reason>[^\n]+) -->\n\n?)?```python\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_expected = re.compile(r"^(?P<code>[^#]*\S)\s+# (?P<kind>=>|raises) (?P<result>.+)$")


class Block(NamedTuple):
    """One example: the line before its first, its text, and why it does not run (empty if it does)."""

    line: int
    text: str
    excuse: str


def blocks_of(page: str) -> list[Block]:
    found = []
    for match in _block.finditer(page):
        line = page.count("\n", 0, match.start("text"))
        found.append(Block(line, match["text"], match["reason"] or ""))
    return found


async def run_block(block: Block, path: str, names: dict[str, Any]) -> None:
    """Run one example; the lines of a traceback are those of the page."""
    text = "\n" * block.line + block.text
    lines = text.split("\n")
    for statement in ast.parse(text, path).body:
        match = _expected.match(lines[(statement.end_lineno or 1) - 1])
        if match and isinstance(statement, ast.Expr):
            await check_expression(statement, match["kind"], match["result"].strip(), path, names)
            continue
        code = compile(ast.Module([statement], []), path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        await evaluate(code, names)


async def evaluate(code: Any, names: dict[str, Any]) -> Any:
    value = eval(code, names)
    return await value if code.co_flags & inspect.CO_COROUTINE else value


async def check_expression(statement: ast.Expr, kind: str, result: str, path: str, names: dict[str, Any]) -> None:
    code = compile(ast.Expression(statement.value), path, "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    where = f"{path}:{statement.lineno}"
    if kind == "=>":
        value = await evaluate(code, names)
        assert repr(value) == result, f"{where} gives {value!r}"
        return
    error = eval(result, {"wirebird": wirebird}, vars(wirebird) | {name: getattr(wirebird, name) for name in wirebird.__all__})
    try:
        await evaluate(code, names)
    except error:
        return
    pytest.fail(f"{where} does not raise {result}")


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DocsOrigin]:
    with DocsOrigin(tmp_path_factory.mktemp("d")) as origin:
        prepare_folder(origin.folder)
        origin.prepared = {entry.name for entry in origin.folder.iterdir()}
        yield origin


@pytest.fixture
def place(origin: DocsOrigin, monkeypatch: pytest.MonkeyPatch) -> DocsOrigin:
    """The working directory, the hosts, and the certification authority."""
    monkeypatch.chdir(origin.folder)
    for left in origin.folder.iterdir():
        if left.name not in origin.prepared:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    monkeypatch.setattr("wirebird.net.resolver.DefaultResolver", DocsResolver)
    monkeypatch.setenv("SSL_CERT_FILE", str(origin.folder / "ca.pem"))
    monkeypatch.setenv("BACKEND_PORT", str(DocsResolver.ports["*", 80]))
    origin.flaky = 0
    return origin


def run_page(page: str, path: str) -> None:
    async def main() -> None:
        names: dict[str, Any] = {"__name__": "__main__"}
        for block in blocks_of(page):
            if block.excuse:
                continue
            if "asyncio.run(" in block.text:
                await asyncio.to_thread(lambda: exec(compile("\n" * block.line + block.text, path, "exec"), names))
            else:
                await run_block(block, path, names)

    asyncio.run(main())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_example_runs(path: Path, place: DocsOrigin, capsys: pytest.CaptureFixture[str]) -> None:
    run_page(path.read_text("utf-8"), str(path))
    faults = [error for one in place.origins for error in one.faults]
    assert faults == []
    assert "Traceback" not in capsys.readouterr().err


def test_few_examples_are_excused() -> None:
    excuses = [f"{path.name}: {block.excuse}" for path in PAGES for block in blocks_of(path.read_text("utf-8")) if block.excuse]
    assert len(excuses) <= MOST_EXCUSES, excuses


def test_blocks_are_python_text_or_commands() -> None:
    """A block of another kind would be an example that nobody runs."""
    for path in TEXTS:
        above = path.read_text("utf-8").partition("<!-- Below this line: generated")[0]
        kinds = re.findall(r"^```(\w*)\n.*?^```$", above, re.MULTILINE | re.DOTALL)
        assert set(kinds) <= {"python", "sh", "text"}, path
        assert above.count("\n```") % 2 == 0, path


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```python\n1 + 1  # => 2\nx = 3\nx  # => 3\n```", None),
        ("```python\n1 + 1  # => 3\n```", AssertionError),
        ("```python\nimport asyncio\nawait asyncio.sleep(0, 'a')  # => 'b'\n```", AssertionError),
        ("```python\n1 / 0\n```", ZeroDivisionError),
        ("text\n\n```python\nimport wirebird\nwirebird.Timeouts(sock_read=-1)  # raises UsageError\n```", None),
        ("```python\nimport wirebird\nwirebird.Timeouts(sock_read=1)  # raises UsageError\n```", pytest.fail.Exception),
        ("<!-- not run: it would divide by nothing -->\n```python\n1 / 0\n```", None),
        ("```python\nimport asyncio\nasyncio.run(asyncio.sleep(0))\n```", None),
        ("```text\n1 / 0\n```", None),
    ],
)
def test_the_rules_hold(text: str, error: type[BaseException] | None) -> None:
    if error is None:
        run_page(text, "page.md")
    else:
        with pytest.raises(error):
            run_page(text, "page.md")


def test_a_traceback_names_the_line_of_the_page() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run_page("one\n\n```python\nx = 1\n1 / 0\n```\n", "page.md")
    assert caught.traceback[-1].path == Path("page.md").absolute() or str(caught.traceback[-1].path) == "page.md"
    assert caught.traceback[-1].lineno == 4  # counted from 0: the fifth line


def test_hosts_outside_do_not_resolve(place: DocsOrigin) -> None:
    async def main() -> None:
        async with wirebird.HTTPClient() as client:
            with pytest.raises(wirebird.DNSError):
                await client.get("http://elsewhere.test/")

    asyncio.run(main())


# -- the reference, the links, and what is named ---------------------------------------------------------------------------


def load_generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()


@pytest.mark.parametrize("page", GENERATOR.PAGES)
def test_the_reference_is_that_of_the_source(page: str) -> None:
    text = (DOCS / "reference" / f"{page}.md").read_text("utf-8")
    above, marker, below = text.partition(GENERATOR.MARKER)
    assert marker
    assert "```python" in above, "a page begins with an example"
    assert below.strip() == GENERATOR.generate(page).strip(), "run: python docs/generate.py"


def test_every_public_name_is_in_the_reference() -> None:
    headings = {
        heading
        for page in GENERATOR.PAGES
        for heading in re.findall(r"^## (\w+)$", (DOCS / "reference" / f"{page}.md").read_text("utf-8"), re.MULTILINE)
    }
    assert {*wirebird.__all__, *wirebird.testing.__all__} - {"__version__"} <= headings


def test_every_page_can_be_reached_from_the_index() -> None:
    seen: set[Path] = set()
    todo = [DOCS / "index.md"]
    while todo:
        page = todo.pop()
        if page in seen:
            continue
        seen.add(page)
        todo += [target for target, _ in links_of(page) if target.suffix == ".md" and target.is_file()]
    assert set(DOCS.rglob("*.md")) - {DOCS / "benchmarks.md"} <= seen


def links_of(page: Path) -> Iterator[tuple[Path, str]]:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield ((page.parent / path).resolve() if path else page, anchor)


def test_every_link_leads_somewhere() -> None:
    for page in TEXTS:
        for target, anchor in links_of(page):
            # Written when the benchmark has run.
            assert target.exists() or target == DOCS / "benchmarks.md", f"{page.name} links to {target}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
                anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in anchors, f"{page.name} links to {target.name}#{anchor}"


def test_files_that_are_named_exist() -> None:
    """`tests/x.py::test_y`, `client/z.py` and the like, wherever a page names them."""
    for page in TEXTS:
        text = page.read_text("utf-8")
        for file, _, test in re.findall(r"`(tests/[\w/]+\.py)(::(\w+))?`", text):
            path = ROOT / file
            assert path.is_file(), f"{page.name} names {file}"
            assert not test or re.search(rf"^(async )?def {test}\(", path.read_text("utf-8"), re.MULTILINE), (
                f"{page.name}: {test}"
            )
        for file in re.findall(r"`((?:models|protocol|net|client|testing|compat)/[\w/]+\.py)`", text):
            assert (ROOT / "src" / "wirebird" / file).is_file(), f"{page.name} names {file}"


def test_every_file_of_the_source_is_in_the_table() -> None:
    """But for those of a façade, which are named together."""
    named = set(re.findall(r"`([\w/]+\.py)`", (DOCS / "architecture.md").read_text("utf-8")))
    source = ROOT / "src" / "wirebird"
    files = {path.relative_to(source).as_posix() for path in source.rglob("[!_]*.py")}
    assert {file for file in files if not file.startswith("compat/")} - named == set()


def test_the_index_names_each_page_once() -> None:
    targets = [target for target, _ in links_of(DOCS / "index.md")]
    assert len(set(targets)) == len(targets)


def test_every_threat_names_its_test() -> None:
    rows = [line for line in (ROOT / "THREATS.md").read_text("utf-8").splitlines() if re.match(r"\| [A-Z]\d", line)]
    assert len(rows) > 25
    ids = [row.split()[1] for row in rows]
    assert len(set(ids)) == len(ids), "an id is given twice"
    for row in rows:
        assert re.search(r"`tests/[\w/]+\.py::\w+`", row), row


def test_pages_are_plain_text_of_bounded_width() -> None:
    for page in TEXTS:
        for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
            assert not re.search(r"(?<![\w.])/(?:root|home/\w+|tmp|work)/", line), (
                f"{page.name}:{number} has a path of one machine"
            )
            assert "\t" not in line, f"{page.name}:{number} has a tab"
