"""What wirebird has promised for HTTP/1.1 and WebSockets, and whether it keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .imports import ImportCost
from .results import Cell, Results
from .workloads import WORKLOADS

__all__ = ["Verdict", "judge"]

_MIB = 2**20
_NOISE = 1.05  # what two runs of the same code may differ by
_BUSY = 0.85  # below this share of a core a client with many callers was held up by something else, and its speed means nothing


@dataclass(frozen=True)
class Verdict:
    """One target: what was promised, what was measured, and whether that is enough; `met` is `None` if it was not measured."""

    target: str
    loop: str
    limit: str
    measured: str
    met: bool | None


def judge(results: Results) -> list[Verdict]:
    """All targets, on every loop on which they were measured."""
    verdicts: list[Verdict] = []
    for workload, title, rivals in _SPEED:
        for loop in results.loops(workload):
            for rival, factor in rivals:
                verdicts.append(_speed(results, workload, title, loop, rival, factor))
    verdicts.extend(_no_slower(results))
    verdicts.extend(_processor(results))
    for workload, title in (("stream_100mb", "100 MB streamed"), ("upload_100mb", "100 MB uploaded")):
        for loop in results.loops(workload):
            verdicts.extend(_bulk(results, workload, title, loop))
    verdicts.extend(_events(results, loop) for loop in results.loops("sse_100k"))
    for row in WORKLOADS.values():
        if row.websocket:
            for loop in results.loops(row.name):
                verdicts.extend(_messages(results, row.name, row.title, loop))
    verdicts.extend(_memory(results))
    cost = results.imports.get("wirebird")
    if isinstance(cost, ImportCost):
        milliseconds = cost.seconds * 1000
        verdicts.append(Verdict("`import wirebird`", "–", "< 60 ms", f"{milliseconds:.0f} ms", milliseconds < 60))
    elif cost is not None:
        verdicts.append(Verdict("`import wirebird`", "–", "< 60 ms", f"not measured: {cost}", None))
    return verdicts


_SPEED: tuple[tuple[str, str, tuple[tuple[str, float], ...]], ...] = (
    ("get_small_50", "small GET, 50 connections", (("bare", 0.65), ("wreq", 1.5), ("aiohttp", 4.5))),
    ("get_varying_50", "the same with a varying head", (("bare", 0.65), ("wreq", 1.5), ("aiohttp", 4.5))),
    ("get_small_1", "sequential GET, one connection", (("bare", 0.80),)),
    ("post_json_50", "POST of JSON, 50 connections", (("aiohttp", 3.5),)),
    ("tls_get_50", "TLS keep-alive GET, 50 connections", (("bare", 0.65),)),
    ("get_1mb", "1 MiB GET into memory", (("bare", 0.80), ("wreq", 1.0))),
    ("server_text_50", "server: routed text handler", (("bare", 0.65), ("uvicorn", 1.3), ("aiohttp", 1.6))),
    ("server_asgi_50", "server: ASGI function", (("uvicorn", 1.0),)),
)


def _missing(title: str, loop: str, limit: str, *cells: Cell) -> Verdict:
    reasons = [cell.remarks() for cell in cells if not cell.runs]
    return Verdict(title, loop, limit, "not measured" + "".join(f"; {reason}" for reason in reasons if reason), None)


def _speed(results: Results, workload: str, title: str, loop: str, rival: str, factor: float) -> Verdict:
    ours, theirs = results.cell(workload, loop, "wirebird"), results.cell(workload, loop, rival)
    limit = f"≥ {factor:.0%} of the bare loop" if rival == "bare" else f"≥ {factor:g} × {rival}"
    mine, other, my_cpu, other_cpu = ours.rate(), theirs.rate(), ours.cpu(), theirs.cpu()
    if not (mine and other and my_cpu and other_cpu):
        return _missing(title, loop, limit, ours, theirs)
    speed, by_cpu = mine / other, other_cpu / my_cpu
    form = ".0%" if rival == "bare" else ".2f"
    peer = "wrk" if WORKLOADS[workload].served else "server"
    if WORKLOADS[workload].callers > 1 and min(ours.busy() or 0, theirs.busy() or 0) < _BUSY:
        return Verdict(
            title, loop, limit, f"{by_cpu:{form}} by CPU (held up by {peer} or others; speed {speed:{form}})", by_cpu >= factor
        )
    return Verdict(title, loop, limit, f"{speed:{form}} (by CPU {by_cpu:{form}})", speed >= factor)


def _no_slower(results: Results) -> Iterator[Verdict]:
    for workload, title, _ in _SPEED:
        for loop in results.loops(workload):
            ours, earlier = (results.cell(workload, loop, name).least_cpu() for name in ("wirebird", "before"))
            if ours and earlier:
                limit = f"least CPU per request ≤ {_NOISE:g} × before"
                yield Verdict(title, loop, limit, f"{ours / earlier:.2f}", ours / earlier <= _NOISE)


def _processor(results: Results) -> Iterator[Verdict]:
    pairs = (
        ("get_small_1000", "get_small_50", "1,000 callers over 100 connections", "that of 50 callers", 1.3),
        ("idle_10000", "idle_10", "10,000 idle connections in the pool", "that with 10", 1.1),
    )
    for workload, usual, title, what, factor in pairs:
        for loop in results.loops(workload):
            limit = f"CPU per request ≤ {factor:g} × {what}"
            ours, before = results.cell(workload, loop, "wirebird"), results.cell(usual, loop, "wirebird")
            mine, other = ours.cpu(), before.cpu()
            if not (mine and other):
                yield _missing(title, loop, limit, ours, before)
                continue
            measured = f"{mine / other:.2f}"
            bare, bare_before = results.cell(workload, loop, "bare").cpu(), results.cell(usual, loop, "bare").cpu()
            if bare and bare_before:
                measured += f" (the bare loop: {bare / bare_before:.2f})"
            yield Verdict(title, loop, limit, measured, mine / other <= factor)


def _bulk(results: Results, workload: str, title: str, loop: str) -> Iterator[Verdict]:
    ours, theirs = results.cell(workload, loop, "wirebird"), results.cell(workload, loop, "pyreqwest")
    limit = "CPU-s/GB ≤ pyreqwest's"
    mine, other = ours.cpu(), theirs.cpu()
    if mine and other:
        yield Verdict(title, loop, limit, f"{mine * 10:.2f} against {other * 10:.2f}", mine <= other)
    else:
        yield _missing(title, loop, limit, ours, theirs)
    growth = ours.get("growth")
    if growth is None:
        yield _missing(title, loop, "peak growth < 8 MiB", ours)
    else:
        yield Verdict(title, loop, "peak growth < 8 MiB", f"{growth / _MIB:.1f} MiB", growth < 8 * _MIB)


def _events(results: Results, loop: str) -> Verdict:
    """By the clock and by the processor: it has to be both."""
    ours, theirs = results.cell("sse_100k", loop, "wirebird"), results.cell("sse_100k", loop, "httpx")
    title, limit = "100,000 Server-Sent Events", "≥ 3 × httpx with httpx-sse"
    mine, other, my_cpu, other_cpu = ours.rate(), theirs.rate(), ours.cpu(), theirs.cpu()
    if not (mine and other and my_cpu and other_cpu):
        return _missing(title, loop, limit, ours, theirs)
    speed, by_cpu = mine / other, other_cpu / my_cpu
    return Verdict(title, loop, limit, f"{speed:.1f} (by CPU {by_cpu:.1f})", min(speed, by_cpu) >= 3)


def _messages(results: Results, workload: str, title: str, loop: str) -> Iterator[Verdict]:
    ours = results.cell(workload, loop, "wirebird")
    for rival, factor in (("aiohttp", 1.0), ("websockets", 0.6)):
        theirs = results.cell(workload, loop, rival)
        limit = f"CPU per message ≤ {factor:g} × {rival}'s"
        mine, other = ours.cpu(), theirs.cpu()
        if mine and other:
            measured = f"{mine / other:.2f} ({mine * 1e6:.1f} against {other * 1e6:.1f} µs)"
            yield Verdict(title, loop, limit, measured, mine / other <= factor)
        else:
            yield _missing(title, loop, limit, ours, theirs)


def _memory(results: Results) -> Iterator[Verdict]:
    for loop in results.loops("server_text_50"):
        yield _idle(results, "server_text_50", loop, "server: memory per idle connection")
    if "asyncio" in results.loops("get_small_50"):
        ours = results.cell("get_small_50", "asyncio", "wirebird")
        size = ours.get("rss")
        title, limit = "resident with 50 connections", "≤ 30 MB"
        if size is None:
            yield _missing(title, "asyncio", limit, ours)
        else:
            yield Verdict(title, "asyncio", limit, f"{size / 1e6:.1f} MB, this harness included", size <= 30e6)
    if "asyncio" in results.loops("idle_10000"):
        yield _idle(results, "idle_10000", "asyncio", "memory per idle connection")


def _idle(results: Results, workload: str, loop: str, title: str) -> Verdict:
    ours, bare = results.cell(workload, loop, "wirebird"), results.cell(workload, loop, "bare")
    each, own = ours.get("per_idle"), bare.get("per_idle")
    limit = "≤ 6 KiB beyond the bare protocol's"
    if each is None or own is None:
        return _missing(title, loop, limit, ours, bare)
    return Verdict(title, loop, limit, f"{(each - own) / 1024:.1f} KiB", each - own <= 6 * 1024)
