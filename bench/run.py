"""One measurement in a process of its own: `python -m bench.run JSON`, which prints one JSON line.

The argument holds `contender`, `workload`, `loop`, `seconds`, `warm_up`, `urls`, `authority` and `upload`.
The line holds `requests`, `seconds`, `cpu` (seconds, of all threads of the process), `rss` (resident bytes at the end), `growth`
(of the peak, in bytes), `per_idle` (bytes per idle connection), `open` (how many there are), `fill` (the seconds to open them),
`errors`, or only `failed`, the reason why there is no figure.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from .limits import raise_open_files
from .loops import new_loop
from .memory import peak_size, reset_peak, resident_size
from .workloads import WORKLOADS, Workload

__all__ = ["main"]


async def measure(task: dict[str, Any], contestants: list[Any]) -> dict[str, Any]:
    """Do what `task` says; what must not be closed before the end of the process is put into `contestants`."""
    workload = WORKLOADS[task["workload"]]
    contestant = build(task, workload)
    contestants.append(contestant)
    result: dict[str, Any] = {}
    if workload.idle:
        gc.collect()
        before = resident_size()
        started = time.perf_counter()
        await contestant.fill()
        result["fill"] = time.perf_counter() - started
        gc.collect()
        result["open"] = await count_open(task["urls"]["open"])
        result["per_idle"] = (resident_size() - before) / max(1, result["open"])
    if workload.operation in ("ws_receive", "ws_send"):
        await build(task, WORKLOADS["ws_echo_64"]).turn(0.05)
    elif workload.long:
        await build(task, WORKLOADS["get_small_1"], contestant).turn(0.02)
        gc.collect()
        reset_peak()
        before = resident_size()
    else:
        await contestant.turn(task["warm_up"])
    clock, cpu = time.perf_counter(), time.process_time()
    requests, errors = await contestant.turn(task["seconds"])
    result |= {"cpu": time.process_time() - cpu, "seconds": time.perf_counter() - clock, "requests": requests, "errors": errors}
    result["rss"] = resident_size()
    if workload.bulk:
        result["growth"] = max(0, peak_size() - before)
    if not requests:
        return {"failed": next(iter(errors), "no request was answered")}
    return result


async def count_open(url: str) -> int:
    """How many connections of the contender the embedded server sees."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
    writer.close()
    return int(body) - 1  # this one


def build(task: dict[str, Any], workload: Workload, other: Any = None) -> Any:
    """What has `fill` and `turn`: the bare loop, or callers on a client, which may be that of `other`."""
    urls = task["urls"]
    if workload.target not in urls:
        raise LookupError(f"the origin has no {workload.target!r}: trustme is not installed")
    authority = task["authority"] if workload.target == "tls" else None
    if task["contender"] == "bare":
        from .contenders.bare import Bare

        return Bare(workload, urls[workload.target], authority, task["upload"])
    from .callers import Callers
    from .contenders import Setup, load

    if workload.websocket:
        from .talk import Talk

        return Talk(workload, load(task["contender"])(Setup(1, 1, None)), urls)
    if other is not None:
        client = other.client
    else:
        client = load(task["contender"])(Setup(workload.connections, workload.callers, authority))
    return Callers(workload, client, urls, task["upload"])


async def measure_and_leave(task: dict[str, Any]) -> None:
    """End the process without closing what is open: 10,000 polite farewells are not what is measured."""
    contestants: list[Any] = []
    leave(await measure(task, contestants))


def main() -> None:
    raise_open_files()
    task = json.loads(sys.argv[1])
    try:
        with asyncio.Runner(loop_factory=new_loop(task["loop"])) as runner:
            runner.run(measure_and_leave(task))
    except ModuleNotFoundError as error:
        leave({"failed": f"not installed: {error}"})
    except Exception as error:
        leave({"failed": f"{type(error).__name__}: {error}"[:300]})


def leave(result: dict[str, Any]) -> None:
    print(json.dumps(result), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
