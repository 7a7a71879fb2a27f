"""A URL as a file: resumed where it was cut, checked, and put into its place in one step.

Each turn of `_Transfer.run` is one request.  What its answer means is decided in `protocol/ranges.py`, and what happens to the
file in `client/partial.py`; here the two are driven: pieces are collected to about a mebibyte and written in a thread while the
next are received, so that the disk does not hold up the loop, and memory stays flat.

A thread is never left alone with the file: whoever is cancelled waits for the write that is under way, and the file is let go of
behind it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeVar

from ..errors import (
    CorruptBody,
    DecodingError,
    IncompleteBody,
    InvalidResponse,
    NetworkError,
    ProtocolError,
    TimeoutError,
    UsageError,
)
from ..models.headers import HttpHeaders
from ..models.message import Request
from ..models.numbers import check_count
from ..protocol.ranges import Answer, Step, judge, range_fields, read_digests
from .partial import PartialFile, target_of
from .response import HttpResponse, status_error
from .response_source import is_decoded

if TYPE_CHECKING:
    from yarl import URL

    from .pauses import Pauses
    from .progress import Meter, Progress

__all__ = ["BATCH", "Download", "fetch"]

# Bytes that are collected before a thread is sent to write them, and seconds after which fewer will do.
BATCH: Final = 1024 * 1024
LINGER: Final = 1.0

# Once this much has come in less than so many seconds, it is received in larger pieces, which takes half the CPU.  Before that,
# and from slow servers, in pieces as they come, so that progress is told and what a cut leaves is all there is.
FAST: Final = 4 * 1024 * 1024
FAST_TIME: Final = 0.5
PIECE: Final = 262_144

# Seconds to wait before the second, third … attempt in a row that brought nothing new; the first is made at once.
PAUSES: tuple[float, ...] = (0, 0.5, 1, 2, 4, 8)

# A transfer that ends so was cut, and the rest may be asked for.
_CUT = (IncompleteBody, NetworkError, TimeoutError)

_PYTHON_NAMES: Final = {"sha-256": "sha256", "sha-512": "sha512"}
_BODY: Final = ("data", "json", "files", "multipart")

_Fault = TypeVar("_Fault", bound=ProtocolError)


@dataclass(frozen=True, slots=True)
class Download:
    """A file that was downloaded, complete and in its place.

    path          where it is
    size          its length in bytes
    response      the last response, its body used up; `status_code` is 416 where nothing was missing any more
    etag          the strong entity tag of the file, empty if it has none
    resumed_from  bytes that an earlier call had left and that were kept, 0 if none
    resumptions   how often the transfer was cut and went on in this call
    digest        `"name:hex"` if `digest` was asked for, else empty
    """

    path: Path
    size: int
    response: HttpResponse
    etag: str
    resumed_from: int
    resumptions: int
    digest: str

    @property
    def status_code(self) -> int:
        """The status of the last response: 200, 206 after a resumption, 416 if nothing was missing."""
        return self.response.status_code


class Asker(Protocol):
    """The part of a client that a download uses."""

    @property
    def pauses(self) -> Pauses:
        """Where to wait for the next attempt."""

    def prepare(self, method: str, url: str | URL, given: Mapping[str, Any]) -> Request:
        """The request that a call stands for."""

    def request(self, url: str | URL, method: str, **options: Any) -> Awaitable[HttpResponse]:
        """Send it."""


async def fetch(
    client: Asker,
    url: str | URL,
    path: str | os.PathLike[str],
    *,
    resume: bool,
    progress: Progress | bool | None,
    digest: str | None,
    size: int | None,
    overwrite: bool | None,
    attempts: int,
    fsync: bool,
    options: Mapping[str, Any],
) -> Download:
    """`Verbs.download`, where the arguments are explained."""
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str) or not os.fspath(path):
        raise UsageError(f"path must be a str or a path, not {path!r}", argument="path")
    for name, number in (("size", size), ("attempts", attempts)):
        if number is not None:
            check_count(name, number)
    algorithm, expected = _read_digest(digest) if digest is not None else ("", "")
    if given := [name for name in _BODY if options.get(name)]:
        raise UsageError(f"{given[0]} is given, and a download is a GET without a body", argument=given[0])
    first = client.prepare("GET", url, {name: options[name] for name in ("headers", "params") if options.get(name) is not None})
    for name in ("range", "if-range"):
        if name in first.headers:
            raise UsageError(f"headers hold {name}, which a download sets itself", argument="headers")
    headers = HttpHeaders(options.get("headers") or ())
    headers["Accept-Encoding"] = "identity"  # a range counts bytes as they are sent
    settings = {**options, "raise_for_status": False}
    meter = None
    if progress is not None and progress is not False:
        from .progress import Meter

        meter = Meter(progress)

    def ask(more: Mapping[str, str]) -> Awaitable[HttpResponse]:
        return client.request(url, "GET", **{**settings, "headers": [*headers.items(), *more.items()]})

    target, named = await asyncio.to_thread(target_of, path, first.url.name)
    if overwrite is None:
        overwrite = not named  # a name that the caller did not choose replaces nothing
    # A digest in place of the URL, which may hold secrets, and the record can be read by whoever can read the file.
    source = hashlib.sha256(str(first.url.with_fragment(None)).encode()).hexdigest()
    file = PartialFile(target, source, overwrite=overwrite, fsync=fsync)
    return await _Transfer(ask, client.pauses, file, size, (algorithm, expected), attempts, meter).run(resume)


class _Transfer:
    """One download under way.  `_furthest` is how far it ever came, `_failures` counts the attempts since then."""

    def __init__(
        self,
        ask: Callable[[Mapping[str, str]], Awaitable[HttpResponse]],
        pauses: Pauses,
        file: PartialFile,
        size: int | None,
        digest: tuple[str, str],
        attempts: int,
        meter: Meter | None,
    ) -> None:
        self._ask = ask
        self._pauses = pauses
        self._file = file
        self._size = size
        self._algorithm, self._expected = digest
        self._attempts = attempts
        self._meter = meter
        self._work: asyncio.Future[Any] | None = None  # what a thread is doing with the file
        self._batch: list[bytes] = []  # received, and not given to a thread yet
        self._resumed_from = 0
        self._begun = False  # the server had a file to give, in this call
        self._anew = False  # the next request asks for the whole
        self._furthest = 0
        self._failures = 0

    async def run(self, resume: bool) -> Download:
        """All of it: requests until the file is complete, and its way to its place."""
        file = self._file
        resumptions = 0
        try:
            await self._do(file.open, resume)
            self._anew = self._size is not None and file.version.size not in (None, self._size)
            self._furthest = self._resumed_from = 0 if self._anew else file.size
            while True:
                try:
                    response, complete = await self._turn()
                except _CUT:
                    await self._flush()
                    if not self._begun or not self._may_go_on():
                        raise
                else:
                    if complete:
                        break
                    continue
                resumptions += 1
                await self._pauses.wait(self, asyncio.sleep(self._pause()))
            await self._check(response)
            await self._do(file.finish)
            if self._meter is not None:
                self._meter.tell(file.size, file.size)
        finally:
            try:
                if self._meter is not None:
                    self._meter.close()
            finally:
                await self._leave()
        digest = f"{self._algorithm}:{file.digest(self._algorithm)}" if self._algorithm else ""
        return Download(file.target, file.size, response, file.version.etag, self._resumed_from, resumptions, digest)

    async def _turn(self) -> tuple[HttpResponse, bool]:
        """One request and what it brings; whether the file is complete then."""
        file = self._file
        offset = file.size if file.version.validator and not self._anew else 0
        response = await self._ask(range_fields(offset, file.version) if offset else {})
        coded = bool([coding for coding in response.head.codings() if coding.strip(" \t").lower() != "identity"])
        length = None if coded or response.head.length < 0 else response.head.length
        answer = judge(response.status_code, response.headers, length, offset, file.version)
        if answer.step is Step.REFUSED and response.status_code != 206:
            raise status_error(response)  # which is left open, so that its body can be read
        try:
            if coded and answer.step is not Step.COMPLETE:
                answer = self._judge_coded(response, answer)
            if answer.step is Step.REFUSED:
                raise _fault(InvalidResponse, response, "the answer is a part of the file, and the whole was asked for")
            if answer.step is Step.ANEW:
                self._anew = True
                return response, False
            self._begun = True
            await self._take(response, answer, coded)
            return response, answer.version.size is None or file.size >= answer.version.size
        finally:
            await response.close()

    async def _take(self, response: HttpResponse, answer: Answer, coded: bool) -> None:
        """There is something for the file in this response."""
        file = self._file
        total = answer.version.size
        if self._size is not None and total is not None and total != self._size:
            message = f"the file has {total} bytes, not {self._size}"
            raise _fault(CorruptBody, response, message, expected=self._size, actual=total)
        if answer.step is Step.BEGIN:
            self._anew = False
            self._resumed_from = 0
            await self._do(file.begin, answer.version)
        file.version = answer.version
        # RFC 9530 means the bytes as they were sent, and those of a coded body are not here.
        whole = {} if coded else read_digests([answer.version.digest])
        message_digests = {} if coded else read_digests(response.headers.get_list("content-digest"))
        names = [_PYTHON_NAMES[name] for name in whole]
        if self._algorithm:
            names.append(self._algorithm)
        await self._do(file.prepare, names, [_PYTHON_NAMES[name] for name in message_digests])
        if answer.step is Step.COMPLETE:
            return
        await self._receive(response, answer.end)
        for name, digest in message_digests.items():
            if (actual := file.message_digest(_PYTHON_NAMES[name])) != digest.hex():
                await self._set_aside(response, f"the body is not what its Content-Digest says ({name})", digest.hex(), actual)
        if not coded and not file.version.digest and (late := response.trailers.get_list("repr-digest")):
            file.version = replace(file.version, digest=", ".join(late))
            await self._do(file.prepare, [_PYTHON_NAMES[name] for name in read_digests(late)], ())

    def _judge_coded(self, response: HttpResponse, answer: Answer) -> Answer:
        """A server that codes what was asked for as it is: its bytes are counted otherwise, so nothing can be continued."""
        if answer.step is Step.APPEND:
            return Answer(Step.ANEW)
        if answer.step is Step.BEGIN:
            if not is_decoded(response) and response._setting("auto_decompress", True):
                codings = ", ".join(response.head.codings())
                raise _fault(DecodingError, response, f"the file came in a coding that is not known: {codings}")
            return Answer(Step.BEGIN)
        return answer

    async def _receive(self, response: HttpResponse, end: int | None) -> None:
        """The body into the file; up to `end`, where that is known."""
        file, meter = self._file, self._meter
        done, total = file.size, file.version.size
        most = end if end is not None else self._size
        held = 0
        batch = self._batch
        written_at = monotonic()
        if meter is not None:
            meter.tell(done, total)
        async with aclosing(_pieces(response)) as pieces:
            async for piece in pieces:
                done += len(piece)
                if most is not None and done > most:
                    whose = "that it announced" if end is not None else "that were expected"
                    await self._set_aside(response, f"the answer is longer than the {most} bytes {whose}", most, done)
                batch.append(piece)
                held += len(piece)
                del piece  # it is in the batch, and need not be held while the next is received
                if held >= BATCH or monotonic() - written_at > LINGER:
                    await self._settle()
                    self._begin_work(file.write, batch)
                    batch = self._batch = []
                    held = 0
                    written_at = monotonic()
                if meter is not None:
                    meter.report(done, total)
        await self._flush()
        if end is not None and done < end:
            message = f"the answer ended after {done} of {end} bytes"
            raise _fault(IncompleteBody, response, message, received=done, expected=end)

    # -- whether it is right -------------------------------------------------------------------------------------------

    async def _check(self, response: HttpResponse) -> None:
        """The file is complete: its length, and every digest that there is for it."""
        file = self._file
        if self._size is not None and file.size != self._size:
            await self._set_aside(response, f"the file has {file.size} bytes, not {self._size}", self._size, file.size)
        if self._expected and (actual := file.digest(self._algorithm)) != self._expected:
            await self._set_aside(response, f"the {self._algorithm} of the file is not that expected", self._expected, actual)
        for name, digest in read_digests([file.version.digest]).items():
            if (actual := file.digest(_PYTHON_NAMES[name])) != digest.hex():
                await self._set_aside(response, f"the file is not what its Repr-Digest says ({name})", digest.hex(), actual)

    async def _set_aside(self, response: HttpResponse, message: str, expected: object, actual: object) -> NoReturn:
        self._batch = []
        path = await self._do(self._file.set_aside)
        raise _fault(CorruptBody, response, message, expected=expected, actual=actual, path=path)

    # -- cuts ----------------------------------------------------------------------------------------------------------

    def _may_go_on(self) -> bool:
        """After a cut: whether there was something new not too many attempts ago."""
        if self._file.size > self._furthest:
            self._furthest = self._file.size
            self._failures = 0
        self._failures += 1
        return self._failures <= self._attempts

    def _pause(self) -> float:
        """Seconds to wait before the next attempt."""
        return PAUSES[min(self._failures, len(PAUSES)) - 1] * random.uniform(0.5, 1)

    # -- threads -------------------------------------------------------------------------------------------------------

    def _begin_work(self, work: Callable[..., Any], *arguments: Any) -> None:
        self._work = asyncio.get_running_loop().run_in_executor(None, work, *arguments)

    async def _settle(self) -> Any:
        """Wait for the thread, and give back what its work gave."""
        work = self._work
        if work is None:
            return None
        if not work.done():
            await asyncio.wait([work])  # which leaves it alone if it is cancelled itself
        self._work = None
        return work.result()

    async def _do(self, work: Callable[..., Any], *arguments: Any) -> Any:
        await self._settle()
        self._begin_work(work, *arguments)
        return await self._settle()

    async def _flush(self) -> None:
        """All that was received, into the file."""
        batch, self._batch = self._batch, []
        if batch:
            await self._do(self._file.write, batch)
        else:
            await self._settle()

    async def _leave(self) -> None:
        """Let go of the file, once the thread has."""
        work, self._work = self._work, None
        if work is not None and not work.done():
            self._file.hurry()
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError:
                # Once more: then nobody waits for the thread, and the file is let go of behind it.
                work.add_done_callback(self._let_go_after)
                raise
        if work is not None:
            work.exception()  # which was raised already, or matters no more
        self._begin_work(_let_go, self._file, self._batch)
        await self._settle()

    def _let_go_after(self, work: asyncio.Future[Any]) -> None:
        work.exception()
        _let_go(self._file, [])


async def _pieces(response: HttpResponse) -> AsyncGenerator[bytes, None]:
    """The body; also what of it came before an error."""
    received, began = 0, monotonic()
    async with aclosing(response.iter_bytes()) as pieces:  # type: ignore[type-var]
        async for piece in pieces:
            received += len(piece)
            yield piece
            if received >= FAST:
                if monotonic() - began < FAST_TIME:
                    break
                received, began = 0, monotonic()
        else:
            return
    try:
        async with aclosing(response.iter_bytes(PIECE)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield piece
    except _CUT:
        if rest := response._take_rest():
            yield rest
        raise


def _let_go(file: PartialFile, rest: list[bytes]) -> None:
    try:
        file.leave(rest)
    except OSError:
        pass  # there is an error to be raised already, and this is no better one


def _fault(kind: type[_Fault], response: HttpResponse, message: str, **more: Any) -> _Fault:
    return kind(message, peer=response.request.destination.authority, phase="downloading", **more)


def _read_digest(text: str) -> tuple[str, str]:
    """`name` or `name:hex`, as the two."""
    name, _, value = text.partition(":") if isinstance(text, str) else ("", "", "")
    name, value = name.lower().replace("-", ""), value.lower()
    name = {"sha3256": "sha3_256", "sha3512": "sha3_512", "sha3384": "sha3_384", "sha3224": "sha3_224"}.get(name, name)
    if name not in hashlib.algorithms_guaranteed or not (size := hashlib.new(name, usedforsecurity=False).digest_size):
        raise UsageError(f"digest must be a name that hashlib knows, or name:hex, not {text!r}", argument="digest")
    if (":" in text) and (len(value) != 2 * size or set(value) - set("0123456789abcdef")):
        raise UsageError(f"digest must hold {2 * size} hexadecimal digits for {name}, not {value!r}", argument="digest")
    return name, value
