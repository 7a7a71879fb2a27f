"""The demo runs, as `make demo` runs it but smaller, and every answer in it is checked by the demo itself."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from demo.origin import make_certificate
from demo.table import Row, render_table

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "demo", "--requests", "500", "--megabytes", "8"]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_demo_ends_in_its_table(loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed")
    run = subprocess.run([*COMMAND, "--loop", loop], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert run.returncode == 0, run.stderr
    table = run.stdout[run.stdout.index("what ") :]
    for line in ("GET small, 500 callers at once", "GET small, 50 callers", "POST JSON, echoed", "download 8 MB, streamed"):
        assert line in table
    for line in ("file of 4 MB, cut twice and resumed", "500 Server-Sent Events", "100 messages over 10 WebSockets"):
        assert line in table
    for error in ("ConnectError", "ReadTimeout", "IncompleteBody", "InvalidResponse", "LimitExceeded", "TooManyRedirects"):
        assert re.search(rf" {error}: ", run.stdout)
    assert "0 connections in use" in run.stdout
    assert re.search(r"every answer checked, in [0-9.]+ s\.\n$", run.stdout)
    assert "500 of 500" in run.stderr
    assert "Traceback" not in run.stderr


def test_on_a_terminal_there_is_a_bar() -> None:
    here, there = pty.openpty()
    with subprocess.Popen(COMMAND, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=there, stdin=subprocess.DEVNULL) as process:
        os.close(there)
        seen = b""
        try:
            while piece := os.read(here, 65536):
                seen += piece
        except OSError:  # Linux says so when the other end is closed
            pass
        os.close(here)
        assert process.wait(50) == 0, seen
    assert seen.count(b"\r") > 5
    assert b"GET small, 50 callers" in seen
    assert b"100%" in seen


def test_nonsense_is_refused() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "demo", "--requests", "0"], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert run.returncode == 2
    assert "there must be something to do" in run.stderr


def test_a_certificate_is_made_without_trustme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    made = make_certificate(tmp_path)
    if made is None:
        pytest.skip("no openssl here")
    assert b"BEGIN CERTIFICATE" in made[0].read_bytes()
    monkeypatch.setenv("PATH", "")
    assert make_certificate(tmp_path) is None


def test_the_table_is_aligned() -> None:
    lines = render_table([Row("a", 1000, 0.5, 2_000_000, 3 * 2**20), Row("something longer", 1, 2.0)]).splitlines()
    assert lines == [
        "what              requests  seconds  per second  MB/s  memory +MiB",
        "----------------  --------  -------  ----------  ----  -----------",
        "a                    1,000     0.50       2,000     4          3.0",
        "something longer         1     2.00                            0.0",
    ]
