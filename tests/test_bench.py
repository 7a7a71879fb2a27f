# ruff: noqa: E402 - bench lies beside the tests, not on the path
"""`make bench` on a small scale, and the arithmetic of its report."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT / "bench" / "__main__.py").is_file():
    pytest.skip("bench is not part of the source distribution", allow_module_level=True)
if sys.platform == "win32":
    pytest.skip("bench needs a POSIX system", allow_module_level=True)
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from bench.__main__ import _shown as shown
from bench.before import environment_for
from bench.contenders import PEERS
from bench.contenders.pieces import pieces
from bench.imports import ImportCost
from bench.report import Circumstances, render
from bench.results import Results
from bench.server import read_head
from bench.targets import judge
from bench.turns import workloads_named

AROUND = Circumstances("a machine", "a server", (0, 1), "2026-11-20", "make bench", 0.5, 0.0)


def run(requests=100, seconds=1.0, cpu=0.95, **more):
    return {"requests": requests, "seconds": seconds, "cpu": cpu, "errors": {}, **more}


def bench(*arguments):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [sys.executable, "-m", "bench", "--embedded", "--loops", "asyncio", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def rows_of(document, first):
    return {
        cells[0]: cells[1:]
        for line in document.splitlines()
        if line.startswith("| ") and (cells := [cell.strip() for cell in line.strip("|").split("|")]) and cells[0] in first
    }


def test_smoke_against_the_embedded_server(tmp_path):
    output = tmp_path / "report.md"
    done = bench(
        "--only",
        "get_varying",
        "--contenders",
        "bare,wirebird,aiohttp",
        "--seconds",
        "0.03",
        "--rounds",
        "1",
        "--output",
        str(output),
    )
    assert done.returncode == 0, done.stderr
    assert output.read_text("utf-8").strip() == done.stdout.strip()
    rows = rows_of(done.stdout, ("bare", "wirebird", "aiohttp"))
    assert list(rows) == ["bare", "wirebird", "aiohttp"]
    for name, row in rows.items():
        assert row[-1] == "", f"{name}: {row[-1]}\n{done.stderr}"
        assert float(row[0].replace(",", "")) > 0
    assert str(ROOT) not in done.stdout.replace(str(tmp_path), "")


def test_the_contenders_are_those_of_the_documents():
    """Those of them that are asynchronous and maintained."""
    assert {"aiosonic", "aiohttp", "httpx"} <= set(PEERS)


def test_unknown_names_are_usage_errors():
    assert "there are bare, wirebird" in bench("--contenders", "nobody").stderr
    done = bench("--only", "nothing")
    assert done.returncode == 2
    assert "get_small_50" in done.stderr


def test_a_whole_name_is_not_the_beginning_of_another():
    assert [row.name for row in workloads_named(["get_small_1"])] == ["get_small_1"]
    assert [row.name for row in workloads_named(["get_small"])] == ["get_small_1", "get_small_50", "get_small_1000"]
    assert workloads_named(["import"]) == []


def test_medians_ratios_and_spread():
    results = Results()
    results.cells["get_small_50", "asyncio", "bare"].runs += [run(200), run(100), run(900)]
    results.cells["get_small_50", "asyncio", "wirebird"].runs += [run(150), run(150), run(10)]
    assert "| wirebird | 150 | 47% | 6333.3 | 95% | 75.0% | 1.33 | 1.00 |  |" in render(results, AROUND)
    cell = results.cell("get_small_50", "asyncio", "bare")
    assert cell.rate() == 200
    assert cell.spread() == pytest.approx(2.0)
    verdict = next(verdict for verdict in judge(results) if "65%" in verdict.limit)
    assert verdict.measured.startswith("75%")
    assert verdict.met


@pytest.mark.parametrize(("rate", "met"), [(129, False), (130, True)])
def test_a_target_is_met_at_its_limit(rate, met):
    results = Results()
    results.cells["get_small_50", "uvloop", "bare"].runs.append(run(200))
    results.cells["get_small_50", "uvloop", "wirebird"].runs.append(run(rate))
    verdict = next(verdict for verdict in judge(results) if "65%" in verdict.limit)
    assert (verdict.loop, verdict.met) == ("uvloop", met)


def test_a_speed_that_the_server_limited_is_not_judged():
    results = Results()
    results.cells["get_small_50", "asyncio", "bare"].runs.append(run(200, cpu=0.4))
    results.cells["get_small_50", "asyncio", "wirebird"].runs.append(run(190, cpu=0.9))
    verdict = next(verdict for verdict in judge(results) if "65%" in verdict.limit)
    assert verdict.measured == "42% by CPU (held up by server or others; speed 95%)"
    assert verdict.met is False


def test_a_failure_is_in_the_table_and_makes_the_target_unknown():
    results = Results()
    results.cells["get_small_50", "asyncio", "bare"].runs.append(run())
    results.cells["get_small_50", "asyncio", "wirebird"].runs.append(run())
    results.cells["get_small_50", "asyncio", "wreq"].failures.append("not installed: No module named 'wreq'")
    results.imports["wreq"] = "No module named 'wreq'"
    document = render(results, AROUND)
    assert "| wreq | – | – | – | – | – | – | – | failed: not installed: No module named 'wreq' |" in document
    assert "| wreq | – | – | – | failed: No module named 'wreq' |" in document
    verdict = next(verdict for verdict in judge(results) if "wreq" in verdict.limit)
    assert verdict.met is None
    assert "not installed" in verdict.measured


def test_errors_within_a_run_are_shown():
    results = Results()
    cell = results.cells["get_small_1", "asyncio", "httpx"]
    cell.runs += [run() | {"errors": {"ReadError: lost": 2}}, run() | {"errors": {"ReadError: lost": 1}}]
    cell.failures.append("no result within 8 s")
    assert cell.remarks() == "1 of 3 runs failed: no result within 8 s; 3 × ReadError: lost"


def test_bulk_and_memory_targets():
    results = Results()
    for name, cpu, growth in (("pyreqwest", 0.03, 14e6), ("wirebird", 0.02, 9 * 2**20)):
        results.cells["stream_100mb", "asyncio", name].runs.append(run(10, 1.0, cpu * 10, growth=growth))
    for name, each in (("bare", 3000), ("wirebird", 3000 + 6 * 1024)):
        results.cells["idle_10000", "asyncio", name].runs.append(run(per_idle=each, open=10050))
    results.imports["wirebird"] = ImportCost(0.061, 0.2, 100)
    verdicts = {verdict.limit: verdict for verdict in judge(results)}
    assert (verdicts["CPU-s/GB ≤ pyreqwest's"].measured, verdicts["CPU-s/GB ≤ pyreqwest's"].met) == ("0.20 against 0.30", True)
    assert (verdicts["peak growth < 8 MiB"].measured, verdicts["peak growth < 8 MiB"].met) == ("9.0 MiB", False)
    assert verdicts["≤ 6 KiB beyond the bare protocol's"].met
    assert verdicts["< 60 ms"].met is False
    assert "| wirebird | 61 | 100 | 200 | |" in render(results, AROUND)


@pytest.mark.parametrize(
    ("speed", "cpu", "met"), [(3.1, 3.1, True), (2.9, 5.0, False), (5.0, 2.9, False)], ids=["both", "too slow", "too dear"]
)
def test_events_are_judged_by_clock_and_processor(speed, cpu, met):
    results = Results()
    results.cells["sse_100k", "asyncio", "wirebird"].runs.append(run(1, 1.0, 0.5))
    results.cells["sse_100k", "asyncio", "httpx"].runs.append(run(1, speed, 0.5 * cpu))
    (verdict,) = [verdict for verdict in judge(results) if "Events" in verdict.target]
    assert (verdict.measured, verdict.met) == (f"{speed:.1f} (by CPU {cpu:.1f})", met)
    assert "| wirebird | 100,000 | – | 5.00 | 50% | 1.00 | 1.00 |  |" in render(results, AROUND)


def test_events_against_the_embedded_server():
    done = bench("--only", "sse", "--contenders", "wirebird,aiosonic", "--seconds", "0.03", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    rows = rows_of(done.stdout, ("wirebird", "aiosonic"))
    assert list(rows) == ["wirebird"]  # those that cannot read events are not asked
    assert rows["wirebird"][-1] == ""
    assert float(rows["wirebird"][0].replace(",", "")) > 1000


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n", (b"/small", 0)),
        (b"POST /echo HTTP/1.1\r\nhost: a\r\nCONTENT-LENGTH: 12\r\n\r\n", (b"/echo", 12)),
        (b"POST /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", (b"/upload", None)),
    ],
)
def test_the_embedded_server_reads_heads(head, expected):
    assert read_head(head) == expected


def test_pieces_are_the_file(tmp_path):
    path = tmp_path / "file"
    content = bytes(range(256)) * 2048
    path.write_bytes(content)
    assert b"".join(pieces(str(path))) == content


def test_an_earlier_state_is_measured_beside_todays(tmp_path):
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("not a git checkout")
    output = tmp_path / "report.md"
    arguments = ["--only", "get_small_1", "--contenders", "wirebird", "--seconds", "0.03", "--rounds", "1"]
    done = bench(*arguments, "--before", "HEAD", "--output", str(output))
    assert done.returncode == 0, done.stderr
    rows = rows_of(done.stdout, ("wirebird", "before"))
    assert list(rows)[:2] == ["wirebird", "before"]
    assert float(rows["before"][0].replace(",", "")) > 0
    assert "× before" in done.stdout
    assert bench(*arguments, "--before", "no-such-revision").returncode == 2


def test_the_earlier_state_is_found_first(tmp_path):
    assert environment_for("before", tmp_path)["PYTHONPATH"] == str(tmp_path)
    assert environment_for("wirebird", tmp_path).get("PYTHONPATH") == os.environ.get("PYTHONPATH")


def test_no_slower_than_before():
    results = Results()
    results.cells["get_small_50", "asyncio", "wirebird"].runs.append(run(cpu=1.0))
    results.cells["get_small_50", "asyncio", "before"].runs.append(run(cpu=0.99))
    results.cells["get_small_1", "asyncio", "wirebird"].runs.append(run(cpu=1.2))
    results.cells["get_small_1", "asyncio", "before"].runs.append(run(cpu=1.0))
    met = {verdict.target: verdict.met for verdict in judge(results) if "before" in verdict.limit}
    assert met == {"small GET, 50 connections": True, "sequential GET, one connection": False}


def test_where_results_go_is_not_written_down():
    arguments = ["--only", "get", "--json", "a.json", "--output=b.md", "--rounds", "1", "--output", "c.md", "--quick"]
    assert shown(arguments) == ["--only", "get", "--rounds", "1", "--quick"]
