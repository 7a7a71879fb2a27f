"""`wirebird.compat.aiohttp`'s payloads: the same assertions for aiohttp's own and for ours; and as bodies of a client."""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import io
import json
import warnings
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from aiohttp_sink import Sink
from origin import Asked, Origin, Wire, run
from wirebird import BodyConsumed, HTTPClient, InvalidHeader, Request, UsageError
from wirebird.compat.aiohttp import payload as ours
from wirebird.compat.aiohttp.formdata import FormData
from wirebird.compat.aiohttp.payload_body import PayloadBody, body_of, written
from wirebird.models.headers import HttpHeaders

theirs = importlib.import_module("aiohttp.payload")
BOTH = [theirs, ours]


@pytest.fixture(params=BOTH, ids=["aiohttp", "wirebird"])
def module(request: pytest.FixtureRequest) -> Any:
    return request.param


async def sent(payload: Any, size: Any = ...) -> bytes:
    sink = Sink()
    await (payload.write(sink) if size is ... else payload.write_with_length(sink, size))
    return sink.data


async def numbers() -> AsyncIterator[bytes]:
    for number in range(3):
        yield b"%d" % number


class Named(io.BytesIO):
    name = "/folder/report.xls"


VALUES: dict[str, Any] = {
    "bytes": lambda: b"ab",
    "bytearray": lambda: bytearray(b"ab"),
    "memoryview": lambda: memoryview(b"ab"),
    "text": lambda: "ä",
    "StringIO": lambda: io.StringIO("ä\n"),
    "BytesIO": lambda: io.BytesIO(b"ab"),
    "named BytesIO": lambda: Named(b"ab"),
    "async iterable": numbers,
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"content_type": "a/b"},
        {"content_type": "text/plain; charset=latin-1"},
        {"encoding": "latin-1"},
        {"filename": "x.tar.gz"},
        {"headers": {"X-A": "b", "Content-Type": "c/d"}},
    ],
    ids=str,
)
def test_what_a_value_becomes(value: str, keywords: dict[str, Any]) -> None:
    async def look(module: Any) -> Any:
        payload = module.get_payload(VALUES[value](), **keywords)
        facts = (
            type(payload).__name__,
            payload.size,
            payload.filename,
            payload.encoding,
            payload.content_type,
            list(payload.headers.items()),
            payload._binary_headers,
            payload.consumed,
            payload.autoclose,
        )
        return (*facts, await sent(payload), payload.consumed)

    assert asyncio.run(look(ours)) == asyncio.run(look(theirs))


def test_files_of_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "report.xls"
    path.write_bytes(b"0123456789" * 100_000)

    async def look(module: Any) -> Any:
        with path.open("rb") as file:
            file.seek(10)
            payload = module.get_payload(file)
            facts = type(payload).__name__, payload.size, payload.filename, list(payload.headers.items())
            first = await sent(payload)
            assert await sent(payload) == first
            assert len(await sent(payload, 1000)) == 1000
            assert await payload.as_bytes() == first
            assert payload.decode() == first.decode()
            return facts, first

    assert asyncio.run(look(ours)) == asyncio.run(look(theirs))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_text_files(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "text"
    path.write_text("ä\n" * 300_000, encoding="utf-8")

    async def look() -> None:
        with path.open(encoding="utf-8") as file:
            payload = ours.get_payload(file, encoding=encoding)
            assert isinstance(payload, ours.TextIOPayload)
            assert payload.content_type == f"text/plain; charset={encoding}"
            assert payload.size is None
            expected = ("ä\n" * 300_000).encode(encoding)
            assert await sent(payload) == expected
            assert await sent(payload) == expected
            assert await payload.as_bytes() == expected
            assert payload.decode() == "ä\n" * 300_000

    asyncio.run(look())


def test_text_that_the_encoding_has_not(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("日", encoding="utf-8")
    with path.open(encoding="utf-8") as file, pytest.raises(UsageError):
        asyncio.run(sent(ours.TextIOPayload(file, encoding="latin-1")))


def test_a_file_that_cannot_seek(module: Any) -> None:
    import os

    async def look() -> None:
        read, write = os.pipe()
        os.write(write, b"abc")
        os.close(write)
        with os.fdopen(read, "rb") as file:
            payload = module.get_payload(file)
            assert payload.size is None or module is theirs
            assert not payload.consumed
            assert await sent(payload) == b"abc"
            assert payload.consumed

    asyncio.run(look())


def test_closing(module: Any, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"1")

    async def look() -> None:
        file = path.open("rb")
        payload = module.get_payload(file)
        await sent(payload)
        await payload.close()
        await payload.close()
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        while not file.closed:
            await asyncio.sleep(0)
        assert payload.consumed
        memory = io.BytesIO(b"1")
        await module.get_payload(memory).close()
        assert not memory.closed

    asyncio.run(look())


def test_async_iterables_once_or_kept(module: Any) -> None:
    async def look() -> None:
        payload = module.get_payload(numbers())
        with pytest.raises(TypeError):
            payload.decode()
        assert await sent(payload) == b"012"
        assert payload.consumed
        assert await sent(payload) == b""
        payload = module.get_payload(numbers())
        assert await payload.as_bytes() == b"012"
        assert payload.decode() == "012"
        assert not payload.consumed
        assert await sent(payload, 2) == b"01"
        with pytest.raises(TypeError):
            module.AsyncIterablePayload(1)

    asyncio.run(look())


class Stream:
    """As much of a `StreamReader` as is asked for; its lines are not what is to be sent."""

    def iter_any(self) -> AsyncIterator[bytes]:
        return numbers()

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError


def test_streams() -> None:
    payload = ours.get_payload(Stream())
    assert type(payload) is ours.StreamReaderPayload
    assert asyncio.run(sent(payload)) == b"012"


def test_json(module: Any) -> None:
    async def look() -> None:
        payload = module.JsonPayload({"ä": 1})
        assert await sent(payload) == json.dumps({"ä": 1}).encode()
        assert (payload.content_type, payload.encoding) == ("application/json", "utf-8")
        assert await sent(module.JsonPayload([1], "utf-16", "a/b", lambda value: "x")) == "x".encode("utf-16")
        assert await sent(module.JsonBytesPayload([1], lambda value: b"y")) == b"y"

    asyncio.run(look())


def test_writing_no_more_than_so_much(module: Any) -> None:
    async def look() -> None:
        for make in (lambda: b"abc", lambda: "abc", lambda: io.BytesIO(b"abc"), numbers):
            assert len(await sent(module.get_payload(make()), 2)) == 2
            assert len(await sent(module.get_payload(make()), 9)) == 3
            assert len(await sent(module.get_payload(make()), None)) == 3

    asyncio.run(look())


def test_the_registry(module: Any) -> None:
    registry = module.PayloadRegistry()

    class A:
        pass

    class B(A):
        pass

    class P(module.BytesPayload):  # type: ignore[misc, name-defined]
        def __init__(self, value: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(b"x", *args, **kwargs)

    class Q(P):
        pass

    with pytest.raises(module.LookupError):
        registry.get(A())
    registry.register(P, A, order=module.Order.try_last)
    assert type(registry.get(B())) is P
    registry.register(Q, A)
    assert type(registry.get(B())) is Q
    registry.register(P, B, order=module.Order.try_first)
    assert type(registry.get(B())) is P
    payload = P(1)
    assert registry.get(payload) is payload
    with pytest.raises(ValueError, match="order"):
        registry.register(P, A, order="never")
    with pytest.raises(module.LookupError):
        module.get_payload(object())
    assert str(module.Order.normal) == "Order.normal"

    @module.payload_type(A)
    class R(P):
        pass

    assert type(module.get_payload(B())) is R


def test_content_disposition(module: Any) -> None:
    payload = module.BytesPayload(b"")
    payload.set_content_disposition("form-data", name="ä", filename="ä b")
    assert payload.headers["Content-Disposition"] == "form-data; name*=utf-8''%C3%A4; filename=\"%C3%A4%20b\""
    for bad in (("x y", {}), ("", {}), ("x", {"a b": "c"})):
        with pytest.raises(ValueError, match=r"."):
            payload.set_content_disposition(bad[0], **bad[1])


def test_nobody_can_add_a_header(module: Any) -> None:
    for fields in ({"X": "a\r\nY: b"}, {"X": "\0"}, {"X\n": "a"}):
        with pytest.raises(ValueError, match=r"."):
            module.BytesPayload(b"", headers=fields)._binary_headers
    with pytest.raises(ValueError, match=r"."):
        module.BytesPayload(b"", content_type="a/b\r\nX: y")._binary_headers
    with pytest.raises(InvalidHeader):
        ours.BytesPayload(b"").set_content_disposition("form-data", quote_fields=False, name="a\r\nb")


def test_what_is_no_value(module: Any) -> None:
    with pytest.raises(TypeError):
        module.BytesPayload("text")


def test_nothing_is_said_of_large_bytes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours.BytesPayload(b"x" * 2_000_000)


def test_the_streamer() -> None:
    for package in ("aiohttp", "wirebird.compat.aiohttp"):
        streamer = importlib.import_module(f"{package}.payload_streamer").streamer
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)

            @streamer
            async def counting(writer: Any, count: int = 2) -> None:
                for number in range(count):
                    await writer.write(b"%d" % number)

        get = importlib.import_module(f"{package}.payload").get_payload
        assert asyncio.run(sent(get(counting(3)))) == b"012"
        assert asyncio.run(sent(get(counting))) == b"01"
        with pytest.raises(TypeError):
            get(counting).decode()


def test_the_shape_is_that_of_aiohttp() -> None:
    for name in theirs.__all__:
        expected, found = getattr(theirs, name), getattr(ours, name)
        if not inspect.isclass(expected):
            continue
        assert [base.__name__ for base in found.__mro__] == [base.__name__ for base in expected.__mro__]
        for method in ("__init__", "write", "write_with_length", "decode", "as_bytes", "close", "set_content_disposition"):
            if method in vars(found) and hasattr(expected, method):
                one, other = (inspect.signature(getattr(cls, method)).parameters.values() for cls in (expected, found))
                assert [(p.name, p.kind) for p in other] == [(p.name, p.kind) for p in one], (name, method)


# -- as bodies -----------------------------------------------------------------------------------------------------------------


async def mirror(asked: Asked, wire: Wire) -> None:
    fields = [("X-Type", asked.headers.get("content-type", "")), ("X-Length", asked.headers.get("content-length", ""))]
    await wire.respond(200, fields, asked.body)


def test_bytes_are_bytes() -> None:
    for value in (b"ab", bytearray(b"ab"), memoryview(b"ab"), "ab", io.StringIO("ab")):
        assert body_of(ours.get_payload(value)) == b"ab"
    assert body_of(ours.JsonPayload(1)) == b"1"
    assert isinstance(body_of(ours.get_payload(io.BytesIO(b"ab"))), PayloadBody)


def test_small_forms_are_bytes_and_others_leave_in_few_pieces() -> None:
    async def look() -> None:
        form = FormData({f"field{number}": "value" for number in range(50)}, default_to_multipart=True)()
        assert body_of(form) == await form.as_bytes()
        assert len(await form.as_bytes()) == form.size
        for value, most in ((io.BytesIO(b"1" * 1000), 1), ("x" * 100_000, 3), (numbers(), 5)):
            made = FormData({f"field{number}": "value" for number in range(50)}, default_to_multipart=True)
            made.add_field("more", value)
            body = body_of(made())
            assert isinstance(body, PayloadBody)
            pieces = [piece async for piece in body.pieces()]
            assert len(pieces) <= most
            assert body.size() in (None, sum(map(len, pieces)))

    asyncio.run(look())


def test_a_class_that_writes_differently_is_asked() -> None:
    class Loud(ours.BytesPayload):
        async def write(self, writer: Any) -> None:
            await writer.write(self._value.upper())

    class Cut(ours.BytesPayload):
        async def write_with_length(self, writer: Any, content_length: int | None) -> None:
            await writer.write(self._value[:1])

    async def look() -> None:
        for cls, expected in ((Loud, b"AB"), (Cut, b"a")):
            body = body_of(cls(b"ab"))
            assert isinstance(body, PayloadBody)
            assert b"".join([piece async for piece in body.pieces()]) == expected

    asyncio.run(look())


def test_headers_are_added_where_there_are_none() -> None:
    payload = ours.get_payload(io.BytesIO(b"1"), content_type="a/b", headers={"X-A": "1", "X-B": "2"})
    headers = HttpHeaders({"content-type": "c/d"})
    PayloadBody(payload, skip={"X-B"}).describe(headers)
    assert list(headers.items()) == [("content-type", "c/d"), ("X-A", "1")]


class Pipe(ours.Payload):
    """Writes a piece, waits, and writes another."""

    def __init__(self, steps: list[str] | None = None) -> None:
        super().__init__(None)
        self.steps = steps if steps is not None else []

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return ""

    async def write(self, writer: Any) -> None:
        try:
            await writer.write(b"one")
            self.steps.append("first")
            await asyncio.sleep(0)
            async with asyncio.timeout(5):
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)
            await writer.write(bytearray(b"two"))
            await writer.write(memoryview(b"three"))
            await writer.write(b"")
            await writer.drain()
            await writer.write_eof(b"!")
            self.steps.append("last")
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            self.steps.append("cancelled")
            raise
        finally:
            self.steps.append("over")


def test_writing_waits_until_more_is_wanted() -> None:
    async def look() -> None:
        steps: list[str] = []
        pieces = PayloadBody(Pipe(steps)).pieces()
        assert await anext(pieces) == b"one"
        assert steps == []
        assert await anext(pieces) == b"two"
        assert steps == ["first"]
        assert [piece async for piece in pieces] == [b"three", b"!"]
        assert steps == ["first", "last", "over"]

    asyncio.run(look())


def test_who_is_not_asked_any_more_is_cancelled() -> None:
    async def look() -> None:
        steps: list[str] = []
        pieces = PayloadBody(Pipe(steps)).pieces()
        await anext(pieces)
        await pieces.aclose()
        assert steps == ["cancelled", "over"]
        steps.clear()
        await PayloadBody(Pipe(steps)).pieces().aclose()
        assert steps == []

    asyncio.run(look())


def test_a_cancellation_arrives_where_it_waits() -> None:
    async def look() -> None:
        seen: list[str] = []

        async def write(writer: Any) -> None:
            await writer.write(b"1")
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        async def consume() -> None:
            async for _ in written(write):
                pass

        task = asyncio.create_task(consume())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["cancelled"]

    asyncio.run(look())


def test_another_task_cannot_write() -> None:
    async def look() -> None:
        async def split(writer: Any) -> None:
            await writer.write(b"1")
            await asyncio.gather(writer.write(b"2"))

        pieces = written(split)
        assert await anext(pieces) == b"1"
        with pytest.raises(UsageError):
            await anext(pieces)

    asyncio.run(look())


def test_a_time_limit_around_a_piece() -> None:
    async def look() -> None:
        async def limited(writer: Any) -> None:
            async with asyncio.timeout(0.01):
                await writer.write(b"1")

        async def consume() -> None:
            async with aclosing(written(limited)) as pieces:
                async for _ in pieces:
                    await asyncio.get_running_loop().create_future()  # a peer that takes nothing

        with pytest.raises(TimeoutError):
            await asyncio.create_task(consume())

    asyncio.run(look())


def test_what_it_raises_is_raised() -> None:
    async def look() -> None:
        async def fail(writer: Any) -> None:
            await writer.write(b"1")
            await asyncio.sleep(0)
            raise KeyError("x")

        async def rubbish(writer: Any) -> None:
            await writer.write("text")

        async def stop(writer: Any) -> None:
            await writer.write(b"1")
            raise StopIteration

        pieces = written(fail)
        assert await anext(pieces) == b"1"
        with pytest.raises(KeyError):
            await anext(pieces)
        with pytest.raises(UsageError):
            await anext(written(rubbish))
        with pytest.raises(RuntimeError):
            async for _ in written(stop):
                pass

    asyncio.run(look())


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_bodies_over_the_network(loop: str, tmp_path: Path) -> None:
    path = tmp_path / "f.bin"
    path.write_bytes(b"x" * 1_000_000)

    async def put(request: Request, handler: Any) -> Any:
        request.body = bodies.pop()
        request.body.describe(request.headers)
        return await handler(request)

    bodies: list[PayloadBody] = []

    async def look() -> None:
        async with Origin() as origin, HTTPClient(middlewares=[put]) as client:
            origin.on("/mirror", mirror)
            form = FormData({"a": "1", "f": io.BytesIO(b"2")})()
            with path.open("rb") as file:
                for payload, expected, length in (
                    (ours.get_payload(file), b"x" * 1_000_000, "1000000"),
                    (ours.get_payload(numbers()), b"012", ""),
                    (Pipe(), b"onetwothree!", ""),
                    (form, await form.as_bytes(), str(form.size)),
                ):
                    bodies.append(PayloadBody(payload))
                    response = await client.post(origin.url("/mirror"))
                    assert await response.content() == expected
                    assert response.headers["x-type"] == payload.content_type
                    assert response.headers["x-length"] == length
            assert file.closed

    run(look, loop)


def test_what_can_be_sent_again() -> None:
    async def look() -> None:
        body = PayloadBody(ours.get_payload(io.BytesIO(b"12")))
        for _ in range(2):
            assert body.replayable()
            assert b"".join([piece async for piece in body.pieces()]) == b"12"
        once = PayloadBody(ours.get_payload(numbers()))
        assert not once.replayable()
        assert b"".join([piece async for piece in once.pieces()]) == b"012"
        with pytest.raises(BodyConsumed):
            once.pieces()
        kept = ours.get_payload(numbers())
        await kept.as_bytes()
        assert PayloadBody(kept).replayable()
        form = FormData({"f": io.BytesIO(b"1")})()
        assert PayloadBody(form).replayable()
        form = FormData(default_to_multipart=True)
        form.add_field("n", numbers())
        assert not PayloadBody(form()).replayable()

    asyncio.run(look())


def test_nothing_is_left_behind() -> None:
    async def look() -> None:
        pieces = written(Pipe().write)
        await anext(pieces)
        del pieces
        gc.collect()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(look())
