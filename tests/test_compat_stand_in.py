"""The façade under aiohttp's own name: `stand_in()`, and `python -m wirebird.compat.aiohttp`."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from wirebird.compat.aiohttp.__main__ import main
from wirebird.compat.aiohttp.substitution import _LATER, _PATHS, stand_in
from wirebird.errors import UsageError

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "wirebird" / "compat" / "aiohttp"


def python(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "dev", "-W", "error", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, cwd=folder)


def said(program: str) -> list[str]:
    """The lines that a program prints; it must end well."""
    ended = python("-c", program)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


def test_it_is_the_facade_under_another_name():
    program = """import sys, importlib
from wirebird.compat.aiohttp.substitution import stand_in
assert "aiohttp" not in sys.modules
stand_in()
import aiohttp, aiohttp.client_exceptions
from aiohttp import hdrs
from aiohttp.typedefs import LooseHeaders
import wirebird.compat.aiohttp as facade
assert aiohttp is facade
assert aiohttp.ClientError is facade.client_exceptions.ClientError is aiohttp.client_exceptions.ClientError
stand_in()
for name, module in list(sys.modules.items()):
    if name.startswith("aiohttp.") and module is not None:
        assert module is importlib.import_module("wirebird.compat." + name), name
        print(name)
# Slack's SDK, for one, warns its users of an aiohttp that is older than 3.7.
assert aiohttp.__version__.startswith("3.14.")
for name in ("substitution", "__main__", "none"):
    try:
        importlib.import_module("aiohttp." + name)
    except ModuleNotFoundError:
        print("no", name)
"""
    lines = said(program)
    assert lines[-3:] == ["no substitution", "no __main__", "no none"]
    assert {"aiohttp.client_exceptions", "aiohttp.hdrs", "aiohttp.typedefs", "aiohttp.connector"} <= set(lines)


def test_it_comes_before_aiohttp_itself(monkeypatch: pytest.MonkeyPatch):
    """And before any module of it; nothing is changed then."""
    pytest.importorskip("aiohttp")
    with pytest.raises(UsageError, match=r"^aiohttp\S* has been imported already"):
        stand_in()
    for name in [name for name in sys.modules if name.partition(".")[0] == "aiohttp"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiohttp.hdrs", sys)
    with pytest.raises(UsageError, match=r"^aiohttp\.hdrs has been imported already"):
        stand_in()
    assert "aiohttp" not in sys.modules


def test_the_paths_are_aiohttps():
    """What the façade has under a name of aiohttp's is offered under it, and nothing else."""
    aiohttp = pytest.importorskip("aiohttp")
    theirs = {found.name for found in pkgutil.iter_modules(aiohttp.__path__) if found.name[0] != "_"}
    ours = {path.stem for path in PACKAGE.glob("[!_]*.py")}
    assert {name for name in ours if name in _PATHS or name == _LATER or name.startswith("web")} == ours & theirs


def test_modules_have_the_names_that_are_imported_from_them():
    pytest.importorskip("aiohttp")
    for module in (
        "client",
        "client_exceptions",
        "connector",
        "cookiejar",
        "formdata",
        "helpers",
        "multipart",
        "payload",
        "tracing",
    ):
        theirs, ours = importlib.import_module(f"aiohttp.{module}"), importlib.import_module(f"wirebird.compat.aiohttp.{module}")
        assert [name for name in theirs.__all__ if not hasattr(ours, name)] == [], module
    assert not hasattr(importlib.import_module("wirebird.compat.aiohttp.client"), "nothing")


def test_a_program_is_run(tmp_path: Path):
    """With its arguments, its folder, and its exit status."""
    (tmp_path / "beside.py").write_text("import aiohttp\nname = aiohttp.__name__\n")
    program = "import sys, aiohttp, beside\nprint(__name__, sys.argv[1:], aiohttp.__name__, beside.name)\nsys.exit(3)\n"
    (tmp_path / "program.py").write_text(program)
    ended = python("-m", "wirebird.compat.aiohttp", str(tmp_path / "program.py"), "--one", "2")
    told = "__main__ ['--one', '2'] wirebird.compat.aiohttp wirebird.compat.aiohttp\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, told, "")


def test_a_program_is_run_without_its_folder(tmp_path: Path):
    """`-P` keeps the folder of the program off the path, as for every program."""
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')\n")
    (tmp_path / "program.py").write_text("import json, aiohttp\nprint(aiohttp.__name__)\n")
    ended = python("-P", "-m", "wirebird.compat.aiohttp", str(tmp_path / "program.py"))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "wirebird.compat.aiohttp\n", "")


def test_a_module_is_run(tmp_path: Path):
    (tmp_path / "program.py").write_text("import sys, aiohttp\nprint(__name__, sys.argv[1:], aiohttp.__name__)\n")
    ended = python("-m", "wirebird.compat.aiohttp", "-m", "program", "-m", "x", folder=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "__main__ ['-m', 'x'] wirebird.compat.aiohttp\n", "")


@pytest.mark.parametrize("arguments", [[], ["-m"], ["--help"]])
def test_what_cannot_be_run_is_explained(arguments: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["-m", *arguments])
    with pytest.raises(SystemExit, match=r"^usage: "):
        main()


def test_a_program_that_is_not_there():
    ended = python("-m", "wirebird.compat.aiohttp", "nowhere.py")
    assert ended.returncode == 1
    assert "nowhere.py" in ended.stderr
