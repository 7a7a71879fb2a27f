"""What was asked and answered, as a file: JSON and nothing else, readable by its owner alone, replaced in one step.

    {"wirebird": "recording", "version": 1, "exchanges": [
        {"request": {"method": "GET", "url": "https://api.example/items", "headers": [["Accept", "*/*"]], "hidden": ["cookie"]},
         "response": {"status": 200, "reason": "OK", "headers": [["Content-Type", "application/json"]], "hidden": [],
                      "body": {"text": "[1, 2]"}, "complete": true, "trailers": []}}]}

A body is `{"text": ...}` if it is UTF-8, else `{"base64": ...}`, with its content codings on, and left out if it is empty.
`hidden` names the fields whose values were not kept.  `complete` is false for a body that was not read, or not sent, to its end.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import UsageError
from ..net.private_file import write_private

__all__ = ["Answered", "Asked", "Exchange", "load_recording", "save_recording"]

Pairs: TypeAlias = "list[tuple[str, str]]"


@dataclass(slots=True)
class Asked:
    """A request, as it is kept."""

    method: str
    url: str
    headers: Pairs
    hidden: list[str] = field(default_factory=list)
    body: bytes | bytearray = b""
    complete: bool = True


@dataclass(slots=True)
class Answered:
    """A response, as it is kept."""

    status: int
    reason: str
    headers: Pairs
    hidden: list[str] = field(default_factory=list)
    body: bytes | bytearray = b""
    complete: bool = True
    trailers: Pairs = field(default_factory=list)


@dataclass(slots=True)
class Exchange:
    """A request, and its response if there was one."""

    asked: Asked
    answered: Answered | None = None


def save_recording(path: str | PathLike[str], exchanges: Iterable[Exchange]) -> None:
    """Write `exchanges` to `path`, those without a response left out.  Raises `OSError` if that cannot be done."""
    kept = [
        {"request": _to_json(exchange.asked), "response": _to_json(exchange.answered)}
        for exchange in exchanges
        if exchange.answered is not None
    ]
    text = json.dumps({"wirebird": "recording", "version": 1, "exchanges": kept}, indent=1, ensure_ascii=False)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_private(path, text + "\n")


def load_recording(path: str | PathLike[str]) -> list[Exchange]:
    """What `save_recording` wrote to `path`.  Raises `UsageError` if there is no such file, or it holds anything else."""
    try:
        data = json.loads(Path(path).read_bytes())
        if data["wirebird"] != "recording" or data["version"] != 1:
            raise ValueError("of another kind or version")
        return [Exchange(_asked(one["request"]), _answered(one["response"])) for one in data["exchanges"]]
    except FileNotFoundError as error:
        message = f"there is no recording {fspath(path)!r} to replay: it has to be made with mode='record'"
        raise UsageError(message, argument="path") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"path {fspath(path)!r} is not a recording: {error!r}", argument="path") from error


def _to_json(kept: Asked | Answered) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(kept, name) for name in type(kept).__slots__ if name != "body"}
    if kept.body:
        try:
            found["body"] = {"text": kept.body.decode()}
        except UnicodeDecodeError:
            found["body"] = {"base64": b64encode(kept.body).decode()}
    return found


def _asked(data: dict[str, Any]) -> Asked:
    return Asked(
        _typed(data["method"], str),
        _typed(data["url"], str),
        _pairs(data["headers"]),
        _names(data["hidden"]),
        _body(data),
        _typed(data["complete"], bool),
    )


def _answered(data: dict[str, Any]) -> Answered:
    return Answered(
        _typed(data["status"], int),
        _typed(data["reason"], str),
        _pairs(data["headers"]),
        _names(data["hidden"]),
        _body(data),
        _typed(data["complete"], bool),
        _pairs(data["trailers"]),
    )


def _typed(value: Any, kind: type[Any]) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not {kind.__name__}")
    return value


def _pairs(value: Any) -> Pairs:
    return [(_typed(name, str), _typed(text, str)) for name, text in _typed(value, list)]


def _names(value: Any) -> list[str]:
    return [_typed(name, str) for name in _typed(value, list)]


def _body(data: dict[str, Any]) -> bytes:
    body = data.get("body")
    if body is None:
        return b""
    if "text" in body:
        return bytes(_typed(body["text"], str).encode())
    return b64decode(_typed(body["base64"], str), validate=True)
