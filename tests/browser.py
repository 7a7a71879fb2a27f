"""Chromium without a window, driven through its DevTools protocol, over a WebSocket of our own.

async with Browser(folder) as browser:
    page = await browser.open("http://127.0.0.1:8080/")
    await page.until("document.title === 'Items'")

Chromium runs as one process group of its own, which is ended by its id.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import wirebird

__all__ = ["CHROMIUM", "Browser", "Page"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# How long a page may take to become what is waited for, seconds.
LIMIT = 10.0

_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio"),
    *("--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-default-apps", "--metrics-recording-only", "--no-proxy-server", "--hide-scrollbars"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*", "--disable-features=Translate,OptimizationHints,MediaRouter"),
)


class Browser:
    """One browser with a profile of its own, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._client = wirebird.HTTPClient()
        self._socket: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}

    async def __aenter__(self) -> Browser:
        assert CHROMIUM is not None
        self._folder.mkdir(exist_ok=True)
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [CHROMIUM, *_FLAGS, f"--user-data-dir={self._folder}", "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "HOME": str(self._folder)},
            )
        try:
            port, path = await self._address()
            self._socket = await self._client.websocket(f"ws://127.0.0.1:{port}{path}", max_size=None, compression=False)
            self._reader = asyncio.create_task(self._read())
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _address(self) -> tuple[int, str]:
        """What it writes down once it listens."""
        place = self._folder / "DevToolsActivePort"
        async with asyncio.timeout(LIMIT):
            while not (place.exists() and len(lines := place.read_text().splitlines()) == 2):
                if self._process is not None and self._process.poll() is not None:
                    raise RuntimeError(
                        f"{CHROMIUM} did not start: {(self._folder / 'log').read_text('utf-8', 'replace')[-2000:]}"
                    )
                await asyncio.sleep(0.02)
        return int(lines[0]), lines[1]

    async def __aexit__(self, *_: object) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        if self._socket is not None:
            self._socket.abort()
        await self._client.close()
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)  # the group that it leads
            except ProcessLookupError:
                pass
            self._process.wait()

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                said = json.loads(message.data)
                waiting = self._answers.pop(said.get("id", 0), None)
                if waiting is not None and not waiting.done():
                    if "error" in said:
                        waiting.set_exception(LookupError(said["error"]["message"]))
                    else:
                        waiting.set_result(said["result"])
        finally:
            for waiting in self._answers.values():
                waiting.cancel()

    async def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """One command; its result.  Raises `LookupError` with what it was refused for."""
        number = next(self._numbers)
        waiting = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json(
            {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        )
        async with asyncio.timeout(LIMIT):
            answer: dict[str, Any] = await waiting
        return answer

    async def open(self, url: str, *, width: int = 1000, height: int = 700) -> Page:
        """A new page."""
        target = (await self.call("Target.createTarget", url="about:blank", newWindow=True, width=width, height=height))[
            "targetId"
        ]
        session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = Page(self, session)
        await page.call("Page.enable")
        await page.call("Page.navigate", url=url)
        return page


class Page:
    """One page."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command for this page."""
        return await self._browser.call(method, self._session, **parameters)

    async def value(self, expression: str) -> Any:
        """What an expression gives in the page; None while it is being loaded."""
        try:
            found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        except LookupError:
            return None  # there is another document by now
        return None if "exceptionDetails" in found else found["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until it gives something true; that."""
        try:
            async with asyncio.timeout(LIMIT):
                while not (value := await self.value(expression)):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            shown = await self.value("document.documentElement.outerHTML")
            raise AssertionError(f"never true: {expression}, in\n{shown}") from None
        return value

    async def picture(self) -> bytes:
        """A picture of it, PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])
