"""What goes over a WebSocket, as values: messages, pings, pongs and the close (RFC 6455 5.5, 5.6, 7.4)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from ..errors import UsageError, WebSocketError
from .websocket_frames import BINARY, PING, PONG, TEXT

__all__ = [
    "CODES",
    "NO_CODE",
    "Close",
    "Event",
    "Message",
    "MessageType",
    "Ping",
    "Pong",
    "check_close",
    "encode_text",
    "read_close",
    "read_control",
    "read_data",
]

# A code that may be in a close frame (RFC 6455 7.4.1, 7.4.2, and the registry of its codes).
CODES: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})

NO_CODE: Final = 1005  # in place of the code of a close frame that has none; never sent


class MessageType(IntEnum):
    """What a message is: its opcode.  PING and PONG are messages only where the caller answers pings by himself."""

    TEXT = TEXT
    BINARY = BINARY
    PING = PING
    PONG = PONG


class Message(NamedTuple):
    """A message: `data` is str for `MessageType.TEXT`, bytes for all others."""

    type: MessageType
    data: str | bytes


class Ping(NamedTuple):
    """A ping; its pong is in `replies`."""

    data: bytes


class Pong(NamedTuple):
    """A pong, asked for or not."""

    data: bytes


class Close(NamedTuple):
    """A close frame; `code` is 1005 where it has none."""

    code: int
    reason: str


Event: TypeAlias = "Message | Ping | Pong | Close"


def check_close(code: int, reason: str) -> bytes:
    """The payload of a close frame.  Raises `UsageError` for what may not be in one."""
    if not isinstance(code, int) or code not in CODES:
        raise UsageError(f"code must be 1000 to 1003, 1007 to 1014 or 3000 to 4999, not {code!r}", argument="code")
    if not isinstance(reason, str):
        raise UsageError(f"reason must be str, not {type(reason).__name__}", argument="reason")
    words = encode_text(reason, "reason")
    if len(words) > 123:
        raise UsageError(f"reason must be 123 bytes of UTF-8 at the most, not {len(words)}", argument="reason")
    return code.to_bytes(2, "big") + words


def read_close(payload: bytes) -> Close:
    """What the payload of a close frame says.  Raises `WebSocketError` for what may not be in one."""
    if not payload:
        return Close(NO_CODE, "")
    if len(payload) == 1:
        raise WebSocketError("a close frame of one byte", code=1002)
    code = int.from_bytes(payload[:2], "big")
    if code not in CODES:
        raise WebSocketError(f"the close code {code}", code=1002)
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError:
        raise WebSocketError("a close reason that is not UTF-8", code=1007) from None


def encode_text(text: str, argument: str) -> bytes:
    """`text` in UTF-8.  Raises `UsageError`, naming the argument, for what cannot be written so."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{argument} holds a lone surrogate, which UTF-8 does not know", argument=argument) from error


def read_data(data: object) -> tuple[int, bytes]:
    """The opcode and the payload of a message.  Raises `UsageError` for what is neither str nor bytes."""
    if isinstance(data, str):
        return TEXT, encode_text(data, "data")
    if isinstance(data, bytes | bytearray | memoryview):
        return BINARY, bytes(data)
    raise UsageError(f"data must be str or bytes, not {type(data).__name__}", argument="data")


def read_control(data: object) -> bytes:
    """The payload of a ping or a pong.  Raises `UsageError` for what it cannot be."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise UsageError(f"data must be bytes, not {type(data).__name__}", argument="data")
    payload = bytes(data)
    if len(payload) > 125:
        raise UsageError(f"data must be 125 bytes at the most, not {len(payload)}", argument="data")
    return payload
