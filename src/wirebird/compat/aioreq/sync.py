"""`aioreq.get` and the like: a request from code that has no event loop, or must block the one it has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Thread
from typing import Any

from .http import Client
from .messages import Response

__all__ = ["delete", "get", "head", "options", "patch", "post", "put"]


def _blocking(method: str) -> Callable[..., Response]:
    def send(url: str, *arguments: Any, **keywords: Any) -> Response:
        async def main() -> Response:
            async with Client() as client:
                response: Response = await getattr(client, method)(url, *arguments, **keywords)
                return response

        outcome: list[Response] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                outcome.append(asyncio.run(main()))
            except BaseException as error:
                errors.append(error)

        # In a thread, because the caller's may run a loop already.
        thread = Thread(target=run, name=f"aioreq.{method}")
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return outcome[0]

    send.__name__ = send.__qualname__ = method
    send.__doc__ = f"{method.upper()}, and wait for the response; see `Client.get`."
    return send


get = _blocking("get")
head = _blocking("head")
options = _blocking("options")
post = _blocking("post")
put = _blocking("put")
patch = _blocking("patch")
delete = _blocking("delete")
