"""A gibibyte each way, cut three times and continued: into a file on the way down, from an async generator on the way up.

How to ask what of an upload has come, HTTP leaves to the application: here by a GET, and what is missing goes behind it with a
Content-Range (RFC 9110 14.5).  A generator is begun anew from there, for what it gave before is not kept.

Client and server are processes of their own, so that only the client's memory is measured.  The client is a program as a user
would write it: it tells how much memory it took at most beyond what it had when the transfer began.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from effort import only_with_all
from flood import MIB, block_at

pytestmark = only_with_all

BLOCKS = 1024  # of a mebibyte

# Not at the edge of a block, nor of a page.
CUTS = (256 * MIB + 12_345, 512 * MIB + 1, 1000 * MIB - 7)

PROGRAM = """
import asyncio, os, sys
from pathlib import Path
import wirebird

STATUS = Path("/proc/self/status")

def field(name):
    return next(int(line.split()[1]) * 1024 for line in STATUS.read_text("ascii").splitlines() if line.startswith(name))

async def down(client, url, path):
    small = await client.download(url + "/4", path + ".small")   # what is loaded once, is loaded
    small.path.unlink()
    before = begin()
    done = await client.download(url + "/1024?cuts=" + sys.argv[5], path, digest="sha256")
    print(done.size, done.resumptions, done.digest, field("VmHWM:") - before)

async def up(client, url, path):
    from flood import MIB, block_at

    async def blocks(at, end):
        while at < end:
            number, within = divmod(at, MIB)
            yield block_at(number)[within:]
            at += MIB - within

    async def put(url, end):
        at = cuts = 0
        while True:
            fields = {"Content-Range": f"bytes {at}-{end - 1}/{end}"}
            try:
                response = await client.put(url, data=blocks(at, end), headers=fields)
            except wirebird.ConnectionLost:
                cuts += 1
                at = int(await (await client.get(url.partition("?")[0] + "/received")).text())
            else:
                return cuts, *(await response.text()).split()

    await put(url + f"?cuts={MIB + 1}", 4 * MIB)
    before = begin()
    done = await put(url + "?cuts=" + sys.argv[5], 1024 * MIB)
    print(*done, field("VmHWM:") - before)

def begin():
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    return field("VmRSS:")

async def main():
    async with wirebird.HTTPClient() as client:
        await globals()[sys.argv[2]](client, sys.argv[3], sys.argv[4])

if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    command = [sys.executable, str(Path(__file__).with_name("flood.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()
        process.wait(10)


def transfer(kind: str, direction: str, origin: str, path: Path, *more: str) -> list[str]:
    """Run the program; the words that it prints."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDEVMODE"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-c", PROGRAM, kind, direction, origin, str(path), *more]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, env=env, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return run.stdout.split()


@cache
def digest_of_all() -> str:
    whole = hashlib.sha256()
    for number in range(BLOCKS):
        whole.update(block_at(number))
    return whole.hexdigest()


def need_memory_figures() -> None:
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("the most memory that a process took cannot be told here")


@pytest.mark.timeout(120)
def test_a_gibibyte_down_cut_three_times(origin: str, tmp_path: Path) -> None:
    need_memory_figures()
    if shutil.disk_usage(tmp_path).free < 3 * BLOCKS * MIB:
        pytest.skip("there is no room for a file of 1 GiB")
    path = tmp_path / "file"
    try:
        size, resumptions, digest, grown = transfer("asyncio", "down", origin, path, ",".join(map(str, CUTS)))
        assert (int(size), int(resumptions)) == (BLOCKS * MIB, 3)
        assert digest == f"sha256:{digest_of_all()}"
        # Hashed as it arrived; read again, it is what the server made it of.
        with path.open("rb") as file:
            for number in range(BLOCKS):
                assert file.read(MIB) == block_at(number), number
            assert file.read(1) == b""
        print(f"down: {int(grown) / MIB:.1f} MiB")
        assert int(grown) < 12 * MIB
        assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    finally:
        path.unlink(missing_ok=True)
        path.with_name("file.part").unlink(missing_ok=True)


@pytest.mark.timeout(120)
def test_a_gibibyte_up_from_a_generator_cut_three_times(origin: str, tmp_path: Path) -> None:
    need_memory_figures()
    cuts, size, digest, grown = transfer("asyncio", "up", origin, tmp_path, ",".join(map(str, CUTS)))
    assert (int(cuts), int(size), digest) == (3, BLOCKS * MIB, digest_of_all())
    print(f"up: {int(grown) / MIB:.1f} MiB")
    assert int(grown) < 12 * MIB
