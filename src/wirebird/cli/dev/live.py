"""The pages that are open in browsers: each holds a WebSocket, over which it learns what has changed.

A message is JSON.  `{"hello": "..."}` names this process: a page that had met another loads itself anew.  `{"css": [...]}` are
style sheets that it can exchange, `{"reload": [...]}` is what it cannot.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable
from pathlib import PurePath
from secrets import token_hex
from typing import Any, Final

from ...errors import WirebirdError
from ...net.websocket import WebSocket
from ...protocol.http1_responses import encode_response
from ...protocol.websocket_handshake import Refusal, ServerHandshake
from ...server.exchange import Exchange

__all__ = ["LivePages", "sort_changes"]

# What a process of the application has read, or may have: a change means a new process.  Not what programs write as well, data
# and logs: an application that does would be started anew for ever.
CODE: Final = frozenset({".py", ".pyi", ".pyx", ".toml", ".ini", ".cfg", ".env", ".yaml", ".yml"})
TEMPLATES: Final = frozenset({".html", ".htm", ".jinja", ".jinja2", ".j2", ".mako", ".tpl", ".tmpl"})
STYLES: Final = frozenset({".css"})
ASSETS: Final = frozenset(
    {
        *(".js", ".mjs", ".wasm", ".md", ".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".ico"),
        *(".woff", ".woff2", ".ttf", ".otf", ".webmanifest"),
    }
)


def sort_changes(paths: Iterable[str], *, is_folder: bool = False, also: Collection[str] = ()) -> dict[str, list[str]]:
    """Which changes need a new process (`restart`), which can be exchanged in the page (`css`), which need it anew (`reload`).

    `also` are suffixes that need a new process besides the known ones.  A served folder has no code, and pages of any kind.
    """
    found: dict[str, list[str]] = {"restart": [], "css": [], "reload": []}
    for path in sorted(set(paths)):
        name = PurePath(path).name.lower()
        suffix = PurePath(path).suffix.lower() or name  # `.env` is all suffix
        if suffix in STYLES:
            found["css"].append(path)
        elif is_folder:
            found["reload"].append(path)
        elif suffix in CODE or suffix in TEMPLATES or suffix in also:
            found["restart"].append(path)
        elif suffix in ASSETS:
            found["reload"].append(path)
    return found


class LivePages:
    """The WebSockets of the pages."""

    def __init__(self) -> None:
        self.name = token_hex(8)
        self._open: set[WebSocket] = set()
        self._handshake = ServerHandshake()  # pages of the same origin alone

    def __len__(self) -> int:
        return len(self._open)

    async def serve(self, exchange: Exchange) -> None:
        """Take a page in, until it leaves."""
        answer = self._handshake.answer(exchange.head)
        fields = [(name.encode(), value.encode()) for name, value in answer.fields]
        if isinstance(answer, Refusal):
            await exchange.begin(encode_response(answer.status, "", fields), 0)
            await exchange.finish()
            return
        page = exchange.accept_websocket(encode_response(101, "Switching Protocols", fields).raw, max_size=4096, heartbeat=60)
        self._open.add(page)
        try:
            await page.send_json({"hello": self.name})
            async for _ in page:
                pass  # it has nothing to say
        except WirebirdError:
            pass  # it went without a word
        finally:
            self._open.discard(page)

    async def tell(self, message: dict[str, Any]) -> None:
        """Tell all pages."""
        await asyncio.gather(*(self._tell(page, json.dumps(message)) for page in list(self._open)))

    async def _tell(self, page: WebSocket, text: str) -> None:
        try:
            async with asyncio.timeout(5):
                await page.send(text)
        except (WirebirdError, TimeoutError):
            page.abort()
