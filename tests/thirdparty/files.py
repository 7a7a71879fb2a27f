"""fsspec's http file system, as a program that reads and writes files would use it.  Prints what it saw, as JSON."""

import asyncio
import json
import pickle
import sys
import tempfile
import threading
from pathlib import Path

import fsspec
from aiohttp import BasicAuth, ClientResponseError, ClientSession, ClientTimeout
from fsspec.implementations.http import HTTPFileSystem

seen = {}
base = sys.argv[1]
data = b"".join(b"%07x " % number for number in range(40_000))  # what the server has at /files/data.bin


def blocking():
    fs = fsspec.filesystem("http", block_size=50_000)
    seen["ls"] = sorted(fs.ls(f"{base}/files/", detail=False))
    seen["types"] = sorted((one["name"], one["type"]) for one in fs.ls(f"{base}/files/"))
    seen["glob"] = fs.glob(f"{base}/files/*.txt")
    seen["find"] = sorted(fs.find(f"{base}/files/"))
    seen["exists"] = [fs.exists(f"{base}/files/a.txt"), fs.exists(f"{base}/files/none.txt"), fs.isdir(f"{base}/files/sub/")]
    info = fs.info(f"{base}/files/data.bin")
    seen["info"] = {name: info[name] for name in ("size", "mimetype", "ETag", "type")}
    seen["cat"] = fs.cat(f"{base}/files/a.txt").decode()
    seen["cat_many"] = sorted(text.decode() for text in fs.cat([f"{base}/files/a.txt", f"{base}/files/b.txt"]).values())
    seen["moved"] = fs.cat(f"{base}/moved").decode()
    assert fs.cat_file(f"{base}/files/data.bin", start=1000, end=2000) == data[1000:2000]
    assert fs.cat_file(f"{base}/files/data.bin", start=-100) == data[-100:]
    ranges = [(0, 10), (100_000, 200_000), (len(data) - 5, len(data))]
    paths, starts, ends = [f"{base}/files/data.bin"] * 3, [one[0] for one in ranges], [one[1] for one in ranges]
    assert fs.cat_ranges(paths, starts, ends) == [data[start:end] for start, end in ranges]
    try:
        fs.cat(f"{base}/files/none.txt")
    except FileNotFoundError as error:
        seen["missing"] = str(error) == f"{base}/files/none.txt"
    try:
        fs.cat(f"{base}/broken")
    except Exception as error:
        seen["cut"] = [one.__name__ for one in type(error).__mro__ if one.__module__.startswith(("aiohttp", "wirebird"))][-1]

    for cache in ("bytes", "readahead", "blockcache", "none"):
        with fs.open(f"{base}/files/data.bin", cache_type=cache) as file:
            assert file.read(10) == data[:10]
            file.seek(150_000)
            assert file.read(60_000) == data[150_000:210_000]
            file.seek(-7, 2)
            assert file.read() == data[-7:]
    with fs.open(f"{base}/files/data.bin", block_size=0) as stream:
        pieces = []
        while piece := stream.read(30_000):
            pieces.append(piece)
        assert b"".join(pieces) == data
    with fs.open(f"{base}/files/lines.csv", "rt", encoding="utf-8") as file:
        seen["lines"] = [line.rstrip("\n") for line in file]
    with fsspec.open(f"{base}/files/packed.txt.gz", "rt", compression="gzip") as file:
        seen["packed"] = file.read()

    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, "own.bin")
        fs.get(f"{base}/files/data.bin", str(own))
        assert own.read_bytes() == data
        fs.put_file(str(own), f"{base}/files/new.bin", method="put")
        fs.put_file(str(own), f"{base}/posted", method="post")
    seen["put"] = fs.info(f"{base}/files/new.bin")["size"]
    fs.pipe_file(f"{base}/files/piped.txt", b"piped")
    seen["piped"] = fs.cat(f"{base}/files/piped.txt").decode()


def odd_servers():
    """Servers that refuse HEAD, ranges or everything, compress what they send, or send one elsewhere."""
    fs = fsspec.filesystem("http")
    try:
        fs.exists(f"{base}/status/401", strict=True)
    except ClientResponseError as error:
        seen["strict"] = [error.status, str(error.request_info.url) == f"{base}/status/401"]
    seen["elsewhere"] = fs.info(f"{base}/moved")["url"]
    with fs.open(f"{base}/packed") as file:
        seen["packed_size"] = [type(file).__name__, file.size, len(file.read())]
    with fs.open(f"{base}/whole") as file:
        seen["whole"] = [type(file).__name__, file.read(5).decode()]
    with fs.open(f"{base}/files/data.bin") as file:
        again = pickle.loads(pickle.dumps(file))
        assert again.read(100) == file.read(100) == data[:100]
    mapper = fsspec.get_mapper(f"{base}/files/")
    seen["mapper"] = [sorted(mapper), mapper["a.txt"].decode()]
    cached = fsspec.filesystem("simplecache", target_protocol="http")
    seen["cached"] = [cached.cat(f"{base}/files/a.txt").decode() for _ in range(2)]


def in_another_thread():
    """The file system's own loop runs beside, and is asked from several threads at once."""
    fs = fsspec.filesystem("http")
    found = []
    threads = [threading.Thread(target=lambda: found.append(fs.cat(f"{base}/files/b.txt").decode())) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen["threads"] = found


async def with_a_session_of_ones_own():
    async def make(loop, **keywords):
        return ClientSession(timeout=ClientTimeout(total=5), auth=BasicAuth("user", "word"), **keywords)

    fs = HTTPFileSystem(asynchronous=True, get_client=make)
    seen["own"] = json.loads(await fs._cat_file(f"{base}/echo"))["headers"]["authorization"]
    await (await fs.set_session()).close()


def with_credentials():
    """What `client_kwargs` says goes to the session."""
    fs = HTTPFileSystem(client_kwargs={"headers": {"Authorization": "Bearer word"}, "cookies": {"a": "1"}})
    seen["told"] = json.loads(fs.cat(f"{base}/echo"))["headers"].get("authorization")
    seen["cookie"] = json.loads(fs.cat(f"{base}/echo"))["headers"].get("cookie")


async def without_blocking():
    fs = HTTPFileSystem(asynchronous=True)
    session = await fs.set_session()
    found = await asyncio.gather(*[fs._cat_file(f"{base}/files/data.bin", start=at, end=at + 9) for at in range(0, 900, 9)])
    assert b"".join(found) == data[:900]
    file = await fs.open_async(f"{base}/files/data.bin")
    assert await file.read(20) == data[:20]
    await file.close()
    seen["lives"] = (await fs._cat_file(f"{base}/files/a.txt")).decode()
    await session.close()


blocking()
odd_servers()
in_another_thread()
with_credentials()
asyncio.run(without_blocking())
asyncio.run(with_a_session_of_ones_own())
print(json.dumps(seen, indent=1))
