"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from .contenders import PEERS, WEBSOCKET_PEERS
from .imports import ImportCost
from .results import Cell, Results
from .servers import SERVERS
from .targets import judge
from .workloads import EVENTS, WORKLOADS, Workload

__all__ = ["Circumstances", "render"]

_PACKAGES = ("wirebird", *PEERS, "httpx-sse", *WEBSOCKET_PEERS, *SERVERS, "uvloop")


@dataclass(frozen=True)
class Circumstances:
    """Where, when and how it was measured."""

    machine: str
    server: str
    cores: tuple[int | None, int | None]
    date: str
    command: str
    seconds: float
    load: float


def render(results: Results, circumstances: Circumstances) -> str:
    """The whole document."""
    parts = ["# Benchmarks", "", *_introduction(results, circumstances), ""]
    for name in dict.fromkeys(workload for workload, _, _ in results.cells):
        parts.extend(_section(results, WORKLOADS[name]))
    if results.imports:
        parts.extend(_imports(results))
    parts.extend(_memory(results))
    parts.extend(_targets(results))
    return "\n".join(parts).rstrip() + "\n"


def _introduction(results: Results, around: Circumstances) -> Iterator[str]:
    yield f"Written by `{around.command}` on {around.date}. Read the ratios: the absolute figures belong to this machine."
    yield ""
    yield f"* Machine: {around.machine}."
    server, clients = around.cores
    if server is None:
        yield "* Cores: this system cannot pin processes; server and client share what there is."
    elif server == clients:
        yield "* Cores: **one only**, shared by server and client: the requests per second are those of both together."
    else:
        yield "* Cores: one for the server, one for the client process with all its threads, a Rust library's included."
    yield f"* Server: {around.server}."
    yield f"* Packages: {', '.join(f'{name} {_version(name)}' for name in _PACKAGES)}."
    yield (
        f"* {results.rounds} complete round(s); in each round the contenders took turns, every measurement in a fresh "
        f"process, {around.seconds:g} s long after a warm-up. Figures are medians; ± is half the distance from the slowest "
        "to the fastest run."
    )
    if around.load > 0.5:
        yield f"* **The machine was busy** when this began (load {around.load:.1f}): expect noise."
    yield (
        "* `bare` is no client: a `BufferedProtocol` that sends fixed bytes and counts what comes back. "
        "It is the limit of the event loop, and the yardstick."
    )
    yield (
        "* `busy` is the share of its core that the client used, or the server where servers are compared. With 50 callers it "
        "should be near 100%; where it is not, the "
        "server or another process was the limit, and the CPU per request is what tells the contenders apart."
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def _section(results: Results, workload: Workload) -> Iterator[str]:
    yield f"## {workload.title}"
    yield ""
    if workload.note:
        yield workload.note
        yield ""
    head, row = _BULK_HEAD, _bulk_row
    if workload.operation == "events":
        head, row = _EVENTS_HEAD, _events_row
    elif workload.served:
        head, row = _SERVED_HEAD, _served_row
    elif workload.websocket:
        head, row = _MESSAGES_HEAD, _messages_row
    elif not workload.bulk:
        head, row = _HEAD, _row
    for loop in results.loops(workload.name):
        yield f"| {loop} | " + " | ".join(head) + " |"
        yield "|---|" + "---:|" * (len(head) - 1) + "---|"
        cells = {name: results.cell(workload.name, loop, name) for name in results.contenders(workload.name, loop)}
        for name, cell in cells.items():
            yield f"| {name} | " + " | ".join(row(cell, cells.get("bare") or Cell(), cells.get("wirebird") or Cell())) + " |"
        yield ""


_HEAD = ("requests/s", "±", "CPU µs/request", "busy", "speed, of bare", "CPU, × bare", "wirebird's speed, × this", "remarks")
_SERVED_HEAD = (*_HEAD[:-1], "MB resident", "KiB per idle connection", _HEAD[-1])
_BULK_HEAD = ("MB/s", "±", "CPU-s/GB", "busy", "CPU, × bare", "its CPU, × wirebird's", "peak growth, MiB", "remarks")
_MESSAGES_HEAD = ("messages/s", "±", "CPU µs/message", "busy", "wirebird's speed, × this", "its CPU, × wirebird's", "remarks")
_EVENTS_HEAD = ("events/s", "±", "CPU µs/event", "busy", "wirebird's speed, × this", "its CPU, × wirebird's", "remarks")


def _row(cell: Cell, bare: Cell, ours: Cell) -> tuple[str, ...]:
    return (
        _number(cell.rate(), ",.0f"),
        _number(cell.spread(), ".0%"),
        _number(cell.cpu(), ".1f", 1e6),
        _number(cell.busy(), ".0%"),
        _ratio(cell.rate(), bare.rate(), ".1%"),
        _ratio(cell.cpu(), bare.cpu(), ".2f"),
        _ratio(ours.rate(), cell.rate(), ".2f"),
        cell.remarks() or ("" if cell.runs else "not run"),
    )


def _served_row(cell: Cell, bare: Cell, ours: Cell) -> tuple[str, ...]:
    *figures, remarks = _row(cell, bare, ours)
    return (*figures, _number(cell.get("rss"), ".1f", 1e-6), _number(cell.get("per_idle"), ".1f", 1 / 1024), remarks)


def _bulk_row(cell: Cell, bare: Cell, ours: Cell) -> tuple[str, ...]:
    return (
        _number(cell.rate(), ",.0f", 100),
        _number(cell.spread(), ".0%"),
        _number(cell.cpu(), ".2f", 10),
        _number(cell.busy(), ".0%"),
        _ratio(cell.cpu(), bare.cpu(), ".2f"),
        _ratio(cell.cpu(), ours.cpu(), ".2f"),
        _number(cell.get("growth"), ".1f", 1 / 2**20),
        cell.remarks() or ("" if cell.runs else "not run"),
    )


def _events_row(cell: Cell, bare: Cell, ours: Cell, each: int = EVENTS) -> tuple[str, ...]:
    return (
        _number(cell.rate(), ",.0f", each),
        _number(cell.spread(), ".0%"),
        _number(cell.cpu(), ".2f", 1e6 / each),
        _number(cell.busy(), ".0%"),
        _ratio(ours.rate(), cell.rate(), ".2f"),
        _ratio(cell.cpu(), ours.cpu(), ".2f"),
        cell.remarks() or ("" if cell.runs else "not run"),
    )


def _messages_row(cell: Cell, bare: Cell, ours: Cell) -> tuple[str, ...]:
    return _events_row(cell, bare, ours, 1)


def _number(value: float | None, form: str, factor: float = 1.0) -> str:
    return "–" if value is None else format(value * factor, form)


def _ratio(value: float | None, other: float | None, form: str) -> str:
    return "–" if value is None or not other else format(value / other, form)


def _imports(results: Results) -> Iterator[str]:
    yield "## Import"
    yield ""
    yield "In a fresh interpreter whose files are in the page cache; what a first GET needs besides shows in the last column."
    yield ""
    yield "| library | import, ms | modules loaded | import and first answer, ms | remarks |"
    yield "|---|---:|---:|---:|---|"
    for name, cost in results.imports.items():
        if isinstance(cost, ImportCost):
            yield f"| {name} | {cost.seconds * 1000:.0f} | {cost.modules:.0f} | {cost.first_answer * 1000:.0f} | |"
        else:
            yield f"| {name} | – | – | – | failed: {cost.replace('|', '')} |"
    yield ""


def _memory(results: Results) -> Iterator[str]:
    names = dict.fromkeys(name for workload in ("get_small_50", "idle_10000") for name in results.contenders(workload, "asyncio"))
    if not names:
        return
    yield "## Memory (asyncio)"
    yield ""
    yield (
        "Resident size of the whole process, interpreter and harness included, after the run with 50 connections; and per idle "
        "connection what the process has grown by after 10,050 concurrent requests, each on a connection of its own."
    )
    yield ""
    yield "| | MB with 50 connections | KiB per idle connection | beyond the bare protocol, KiB | connections open |"
    yield "|---|---:|---:|---:|---:|"
    own = results.cell("idle_10000", "asyncio", "bare").get("per_idle")
    for name in names:
        idle = results.cell("idle_10000", "asyncio", name)
        each = idle.get("per_idle")
        beyond = None if each is None or own is None else each - own
        size = results.cell("get_small_50", "asyncio", name).get("rss")
        figures = (
            _number(size, ".1f", 1e-6),
            _number(each, ".1f", 1 / 1024),
            _number(beyond, ".1f", 1 / 1024),
            _number(idle.get("open"), ",.0f"),
        )
        yield f"| {name} | " + " | ".join(figures) + " |"
    yield ""


def _targets(results: Results) -> Iterator[str]:
    yield "## Targets"
    yield ""
    yield "| workload | loop | target | measured | |"
    yield "|---|---|---|---|---|"
    words = {True: "met", False: "**missed**", None: "unknown"}
    for verdict in judge(results):
        yield f"| {verdict.target} | {verdict.loop} | {verdict.limit} | {verdict.measured} | {words[verdict.met]} |"
