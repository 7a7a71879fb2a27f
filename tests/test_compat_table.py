"""The table of docs/compat.md: every row of the seed documents has its place in it, and every test that it names is there."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

from test_layers import sources

ROOT = Path(__file__).resolve().parents[1]
SEEDS = [folder / "shared" / "seeds" for folder in ROOT.parents[:2]]
ROWS = {
    cells[0].strip(): cells[2].strip()
    for line in (ROOT / "docs" / "compat.md").read_text("utf-8").splitlines()
    if re.match(r"\| S[0-4]-[0-9]+ \|", line) and (cells := line.strip("|").split("|"))
}
# About the libraries' repositories, pages and installation: there is nothing that could be run.
WITHOUT = {"S0-10", "S0-11", "S0-12", "S0-22", "S0-23", "S1-73", "S2-2", *(f"S4-{number}" for number in (1, 2, 3, 4, 7, 45))}
COUNTS = {"S0": 84, "S1": 73, "S2": 22, "S3": 73, "S4": 45}


@cache
def names_in(file: str) -> set[str]:
    return set(re.findall(r"^(?:async )?def (\w+)\(", (ROOT / file).read_text("utf-8"), re.MULTILINE))


def seed(name: str) -> str:
    """One of the documents."""
    found = [folder / name for folder in SEEDS if (folder / name).is_file()]
    if not found:
        pytest.skip("the seed documents are not beside this folder")
    return found[0].read_text("utf-8")


def test_every_row_is_there():
    assert set(ROWS) == {f"{seed}-{number}" for seed, count in COUNTS.items() for number in range(1, count + 1)}


def test_the_rows_are_those_of_the_requirements():
    text = seed("REQUIREMENTS.md")
    assert set(ROWS) == set(re.findall(r"^\| (S[0-4]-[0-9]+)\b", text, re.MULTILINE))


def test_every_row_names_a_test_that_exists():
    for row, cell in ROWS.items():
        if row in WITHOUT:
            assert cell == "nothing to run", row
            continue
        for one in cell.split(", "):
            named = re.fullmatch(r"`(tests/\w+\.py)::(\w+)`", one)
            assert named is not None, row
            assert named[2] in names_in(named[1]), row


def test_every_example_of_the_documents_has_a_file_of_its_own():
    programs = {f"{path.parent.name}/{path.name}" for path in (ROOT / "tests" / "seed_programs").rglob("*.py")}
    run = {
        name
        for path in (ROOT / "tests").glob("test_program_*.py")
        for name in re.findall(r"\w+/\w+\.py|(?<=\")download\w+\.py", path.read_text("utf-8"))
    }
    of_aiohttp = {
        f"aiohttp/{name}.py"
        for path in (ROOT / "tests").glob("test_program_aiohttp_*.py")
        for name in re.findall(r"seed\.(?:run|type)\(\"(\w+)\"|\"(multipart_\w+)\"|(slides_countasync)", path.read_text("utf-8"))
        for name in name
        if name
    }
    assert {name if "/" in name else f"aiosonic/{name}" for name in run} | of_aiohttp == programs


def program_in(file: str) -> list[str]:
    """The words of the document's own program, with its misprints mended and its import lines changed."""
    if file.startswith("aioreq"):
        blocks = re.findall(r"^``` python\n(.*?)^```", seed("aioreq-readme.txt"), re.MULTILINE | re.DOTALL)
        text = blocks[["basic_usage", "context_manager", "hundred_requests", "stream"].index(Path(file).stem)]
        lines = text.splitlines()
        if any(line.startswith(">>>") for line in lines):  # what is not typed is what is shown
            lines = [line.removeprefix(">>>") for line in lines if line.startswith(">>>")]
        return " ".join(lines).replace("import aioreq", "from wirebird.compat import aioreq").split()
    text, mark = seed("aiosonic-0.9.3-manual.txt"), "```"
    match Path(file).stem:
        case "upload_file":
            text = seed("aiosonic-reference.txt")
            start, end = text.index("import asyncio import aiosonic"), text.index("\n- add_field(")
        case "resolver":
            text = "import aiosonic\n" + seed("aiosonic-reference.txt").partition("use Async resolver as follow\n")[2]
            start, end = 0, text.index("Then, pass")
        case name:
            said = {"getting_started": "HttpClient()", "concurrent_requests": "twitch", "chunked_requests": "b'foo'"}
            where = text.index(said.get(name, {"cookies_handling": "cookies_map["}.get(name, "dog_image")))
            start = text.rindex(mark, 0, where) + len(mark)
            end = text.index(mark, start)
            if name == "getting_started":  # it goes on on the next page
                after = text.index(mark, text.index("(continued from", end)) + len(mark)
                text = text[start:end] + text[after : text.index(mark, after)]
                start, end = 0, len(text)
    text = re.sub(r"aiohttp\.(HttpClient|ClientSession)\(\)", "aiosonic.HTTPClient()", text[start:end]).replace(
        "aiohttp", "aiosonic"
    )
    text = text.replace("from aiosonic.", "from wirebird.compat.aiosonic.")
    return text.replace("import aiosonic", "from wirebird.compat import aiosonic").split()


@pytest.mark.parametrize(
    "path",
    [path for path in sorted((ROOT / "tests" / "seed_programs").rglob("*.py")) if path.parent.name != "aiohttp"],
    ids=lambda path: path.stem,
)
def test_a_program_is_that_of_the_document(path: Path):
    """Word by word.  What the documents leave to the reader is the last line: to run `main`."""
    own = path.read_text("utf-8").split()
    theirs = program_in(f"{path.parent.name}/{path.name}")
    assert own in (theirs, [*theirs, "asyncio.run(main())"])


AIOHTTP = sorted((ROOT / "tests" / "seed_programs" / "aiohttp").glob("*.py"))
# What is not as it stands in the document: a misprint (S3-18), and a URL and a block that are left to the reader (S3-13).
MENDED = {
    "params_pairs": ("key=value1&key=value2", "key=value2&key=value1"),
    "without_context_manager": ("'http://httpbin.org/get'", "'...'"),
}


def words_of(path: Path) -> list[str]:
    """The statements of an example, each as its words with blanks between, as they stand in the document."""
    text = path.read_text("utf-8").replace("from wirebird.compat import aiohttp", "import aiohttp")
    text = text.replace("from wirebird.compat.aiohttp import web", "from aiohttp import web")
    if path.stem == "without_context_manager":
        text = text.replace("    ...\n", "\n")
    lines = text.replace(*MENDED.get(path.stem, ("", ""))).splitlines(keepends=True)
    starts = [one.lineno - 1 for one in ast.parse(path.read_text("utf-8")).body]
    return [" ".join("".join(lines[a:b]).split()) for a, b in pairwise([*starts, len(lines)])]


def document_of(path: Path) -> str:
    if path.stem.startswith("slides"):
        # A slide shows a line that is too long on two, and a blank between two lines.
        return " ".join(seed("aiohttp-slides.txt").split())
    return " ".join(seed("aiohttp-client-quickstart.txt").split())


@pytest.mark.parametrize("path", AIOHTTP, ids=lambda path: path.stem)
def test_an_example_of_aiohttp_is_that_of_the_document(path: Path):
    """Statement by statement, in the document's order; what is said in between is left out.

    The import line is that of the document's first example, for all that need it.
    """
    document, at = document_of(path), 0
    for words in words_of(path):
        if words == "import aiohttp":
            continue
        found = document.find(words, at)
        assert found >= 0, words
        at = found + len(words)


def test_no_example_of_aiohttp_is_left_out():
    """Without what has a file of its own, the quickstart has no code left, but for code within a sentence."""
    rest = " ".join(seed("aiohttp-client-quickstart.txt").split())
    for words in sorted((words for path in AIOHTTP if "slides" not in path.stem for words in words_of(path)), key=len)[::-1]:
        rest = rest.replace(words, "[]")
    rest = re.sub(r"``.*?``|:\w+:`.*?`", "", rest)
    left = re.findall(r"(?:await |async |with |def |assert |import |session\.|aiohttp\.)\S*[(:=']\S*", rest)
    assert left == []


def test_the_facades_are_typed():
    """S0-6: every parameter and every result of what is public has its type."""
    for source in sources():
        if source.part != "compat":
            continue
        public = set(getattr(import_module(source.name), "__all__", ()))
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.returns is not None, f"{source.name}.{node.name}"
                own = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                untyped = [one.arg for one in own if one.annotation is None and one.arg not in ("self", "cls")]
                assert untyped == [], f"{source.name}.{node.name}"
        assert public


def test_everything_that_is_offered_explains_itself():
    """What a façade offers explains itself, methods that are made in a row included."""
    for name in ("aiosonic.client.HTTPClient", "aioreq.http.Client", "aioreq.http.StreamClient"):
        path, _, attribute = name.rpartition(".")
        for method, function in inspect.getmembers(getattr(import_module(f"wirebird.compat.{path}"), attribute), callable):
            if method[0] != "_":
                assert inspect.getdoc(function), f"{name}.{method}"
