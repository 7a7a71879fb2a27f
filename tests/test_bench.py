# ruff: noqa: E402 - bench lies beside the tests, not on the path
"""`make bench` on a small scale, and the arithmetic of its report."""

import gc
import importlib.util
import os
import signal
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
from bench.frames import Counting, accept, frame, unmask
from bench.imports import ImportCost
from bench.report import Circumstances, render
from bench.results import Results
from bench.server import read_head
from bench.serving import measure_server
from bench.targets import judge
from bench.tree import family, open_files, processor_seconds, resident_size
from bench.turns import workloads_named
from bench.workloads import BINARY, MESSAGE_BLOCK, WORKLOADS, message
from bench.wrk import Load, find_wrk, read_report

from effort import only_with_all

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


@pytest.mark.parametrize("only", ["ws_echo_64", pytest.param("ws_echo_64k", marks=only_with_all)])
def test_echoes_of_websockets_against_the_embedded_server(only):
    names = ("wirebird", "aiosonic", "aiohttp", "pure", "websockets", "picows")
    done = bench("--only", only, "--contenders", ",".join(names), "--seconds", "0.03", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    rows = rows_of(done.stdout, names)
    assert list(rows) == [name for name in names if name != "aiosonic"]  # those that have no WebSockets are not asked
    for name, row in rows.items():
        if "not installed" not in row[-1]:
            assert row[-1] == "", f"{name}: {row[-1]}\n{done.stderr}"
            assert float(row[0].replace(",", "")) > 0
    assert "messages/s" in done.stdout
    assert "≤ 0.6 × websockets's" in done.stdout


@pytest.mark.parametrize("only", ["ws_receive", pytest.param("ws_send", marks=only_with_all)])
def test_messages_in_one_direction_against_the_embedded_server(only):
    done = bench("--only", only, "--contenders", "wirebird,aiohttp", "--seconds", "0.01", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    for row in rows_of(done.stdout, ("wirebird", "aiohttp")).values():
        assert row[-1] == "", done.stderr
        assert float(row[0].replace(",", "")) > 1000


def test_pure_is_without_what_others_have_compiled():
    program = (
        "from bench.contenders import load; load('pure'); import wirebird.protocol.websocket_frames as f; print(f.apply_mask)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert "mask_in_python" in done.stdout


def masked(data):
    """A server's frame as a client sends it."""
    start = 2 if data[1] < 126 else 4 if data[1] == 126 else 10
    key = b"\x01\x82\xf3\x44"
    body = bytes(byte ^ key[index % 4] for index, byte in enumerate(data[start:]))
    return bytes([data[0], data[1] | 128]) + data[2:start] + key + body


@pytest.mark.parametrize("payload", ["", "é", "x" * 125, b"x" * 126, b"x" * 65535, BINARY], ids=len)
def test_frames_come_out_as_they_went_in(payload):
    data = masked(frame(payload))
    assert unmask(data) == (frame(payload), len(data))
    assert unmask(data + data) == (frame(payload), len(data))
    assert [unmask(data[:size]) for size in (0, 1, 2, 5, len(data) - 1)] == [None] * 5


def test_the_frames_of_the_server_are_what_others_read():
    assert frame("Hello") == b"\x81\x05Hello"  # RFC 6455 5.7
    assert frame(b"\x00" * 256)[:4] == b"\x82\x7e\x01\x00"
    assert frame(b"\x00" * 65536)[:10] == b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"
    head = b"GET /chat HTTP/1.1\r\nHost: a\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in accept(head)  # RFC 6455 1.3
    assert {len(message(number)) for number in range(MESSAGE_BLOCK)} == {64}


class Wire:
    """A transport that remembers."""

    def __init__(self):
        self.written = b""
        self.ended = ""

    def write(self, data):
        self.written += data

    def close(self):
        self.ended = "closed"

    def abort(self):
        self.ended = "aborted"


def feed(protocol, data):
    protocol.get_buffer(-1)[: len(data)] = data
    protocol.buffer_updated(len(data))


def test_a_client_that_sends_the_wrong_frame_is_cut_off():
    good, bad = Wire(), Wire()
    right, wrong = masked(frame("right")), masked(frame("wrong"))
    counting = Counting(good, "right", 3)
    for data in (right[:-1], right[-1:] + right, right):
        feed(counting, data)
    assert (good.written, good.ended) == (b"\x88\x02\x03\xe8", "")
    feed(counting, masked(b"\x88\x02\x03\xe8"))
    assert (good.written, good.ended) == (b"\x88\x02\x03\xe8", "closed")
    feed(Counting(bad, "right", 3), wrong)
    assert (bad.written, bad.ended) == (b"", "aborted")


@pytest.mark.parametrize(("cpu", "met"), [(0.6, (True, True)), (0.61, (True, False)), (1.01, (False, False))])
def test_websockets_are_judged_by_the_processor(cpu, met):
    results = Results()
    results.cells["ws_echo_64", "uvloop", "wirebird"].runs.append(run(cpu=cpu))
    for rival in ("aiohttp", "websockets"):
        results.cells["ws_echo_64", "uvloop", rival].runs.append(run(cpu=1.0))
    verdicts = [verdict for verdict in judge(results) if "message" in verdict.limit]
    assert tuple(verdict.met for verdict in verdicts) == met
    assert verdicts[0].measured == f"{cpu:.2f} ({cpu * 10000:.1f} against 10000.0 µs)"
    results.cells["ws_send_200k", "uvloop", "wirebird"].failures.append("lost")
    (missing,) = [verdict for verdict in judge(results) if "sent" in verdict.target and "aiohttp" in verdict.limit]
    assert (missing.met, "lost" in missing.measured) == (None, True)


WRK = """Running 1s test @ http://127.0.0.1:8080/
  1 threads and 50 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    81.35ms   20.87ms 102.62ms   81.44%
    Req/Sec   595.82    149.60     1.01k    90.91%
  652 requests in 1.10s, 156.63KB read
{}Requests/sec:    592.30
Transfer/sec:    142.29KB
"""


def test_what_wrk_reports():
    assert read_report(WRK.format("")) == Load(652, 1.1, {})
    troubled = "  Socket errors: connect 0, read 7, write 0, timeout 2\n  Non-2xx or 3xx responses: 650\n"
    assert read_report(WRK.format(troubled)).errors == {
        "status other than 2xx or 3xx": 650,
        "read errors": 7,
        "timeout errors": 2,
    }
    with pytest.raises(ValueError, match="no report of wrk: 'unable to connect"):
        read_report("unable to connect to 127.0.0.1:1 Connection refused")


@pytest.mark.skipif(find_wrk() is None, reason="wrk is not installed")
def test_servers_are_measured_and_those_that_are_not_there_are_said_to_be():
    done = bench("--only", "server_text", "--contenders", "wirebird,sanic", "--rounds", "1", "--seconds", "1")
    assert done.returncode == 0, done.stderr
    rows = rows_of(done.stdout, ("wirebird", "sanic"))
    assert rows["wirebird"][-1] == "", done.stderr
    requests, *_, resident, each, _ = (cell.replace(",", "") for cell in rows["wirebird"])
    assert float(requests) > 100
    assert 10 < float(resident) < 200
    assert 0.5 < float(each) < 50
    if importlib.util.find_spec("sanic") is None:
        assert rows["sanic"][-1] == "failed: not installed: No module named 'sanic'"


def measured(name, limit=20.0):
    return measure_server(name, WORKLOADS["server_asgi_50"], "asyncio", 1.0, limit, (None, None), os.environ)


def test_without_wrk_the_rows_say_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert measured("wirebird") == {"failed": "not installed: wrk (Debian: wrk)"}


@pytest.mark.skipif(find_wrk() is None, reason="wrk is not installed")
def test_a_server_that_does_not_come_is_a_row_that_says_why():
    assert measured("nobody") == {"failed": "not installed: No module named 'bench.servers.nobody'"}
    assert "does not listen" in measured("wirebird", limit=0.0)["failed"]


def test_a_server_does_not_outlive_the_harness():
    command = [sys.executable, "-m", "bench.served", "bare", "serve_text", "asyncio", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True) as process:
        try:
            process.stdin.close()
            assert process.wait(20) in (1, -signal.SIGKILL)
        finally:
            process.kill()


def test_a_server_that_wrk_held_up_is_judged_by_the_processor():
    results = Results()
    results.cells["server_text_50", "uvloop", "bare"].runs.append(run(200, cpu=0.5))
    results.cells["server_text_50", "uvloop", "wirebird"].runs.append(run(180, cpu=0.9))
    verdict = next(verdict for verdict in judge(results) if "65%" in verdict.limit)
    assert (verdict.measured, verdict.met) == ("50% by CPU (held up by wrk or others; speed 90%)", False)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc as Linux has it")
def test_what_a_process_has():
    gc.collect()  # what other tests have left open
    files, resident = open_files(os.getpid()), resident_size(os.getpid())
    with open(os.devnull) as one, open(os.devnull) as other:
        assert open_files(os.getpid()) == files + 2, (one, other)
    assert 10 * 2**20 < resident < 2**30
    assert processor_seconds(os.getpid()) >= 0.01
    assert family(os.getpid())[0] == os.getpid()
    assert (processor_seconds(2**22 + 1), resident_size(2**22 + 1), open_files(2**22 + 1)) == (0, 0, 0)


def test_what_servers_have_promised():
    results = Results()
    for name, rate, each in (("bare", 1000, 1024), ("wirebird", 650, 7 * 1024), ("uvicorn", 501, 0), ("aiohttp", 406, 0)):
        results.cells["server_text_50", "uvloop", name].runs.append(run(rate, per_idle=each))
    assert [(verdict.limit, verdict.met) for verdict in judge(results)] == [
        ("≥ 65% of the bare loop", True),
        ("≥ 1.3 × uvicorn", False),
        ("≥ 1.6 × aiohttp", True),
        ("≤ 6 KiB beyond the bare protocol's", True),
    ]
