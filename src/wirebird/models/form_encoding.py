"""Forms as values: what a field may be, and the application/x-www-form-urlencoded body (WHATWG URL 5.2).

A form is a mapping, or pairs, of names to values; a list or tuple of values repeats its name, and the order is kept.  Letters,
digits and `*-._` stand for themselves, a space is `+`, every other byte of the UTF-8 text is %XX.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from ..errors import LimitExceeded, UsageError

__all__ = ["FormLike", "decode_form", "field_bytes", "form_fields", "urlencode_form"]

FormLike: TypeAlias = "Mapping[str, Any] | Iterable[tuple[str, Any]]"

_encoded = {byte: b"%%%02X" % byte for byte in range(256)} | {0x20: b"+"}
_special = re.compile(rb"[^A-Za-z0-9*\-._]")
_pairs = re.compile(rb"[^&]+").finditer


def form_fields(
    form: FormLike, argument: str = "data", *, repeat: tuple[type[Any], ...] = (list, tuple)
) -> list[tuple[str, Any]]:
    """The fields of a form one by one, values of the types `repeat` taken apart; what the values are is not looked at.

    Raises `UsageError` naming `argument` for what is neither a mapping nor pairs, and for a name that is not str.
    """
    pairs: Iterable[Any]
    if isinstance(form, Mapping):
        pairs = form.items()  # those of a MultiDict repeat
    elif isinstance(form, Iterable) and not isinstance(form, (str, bytes, bytearray, memoryview)):
        pairs = form
    else:
        raise UsageError(f"{argument} must be a mapping or pairs, not {type(form).__name__}", argument=argument)
    fields: list[tuple[str, Any]] = []
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise UsageError(f"{argument} must hold pairs of name and value, not {type(pair).__name__}", argument=argument)
        name, value = pair
        if not isinstance(name, str):
            raise UsageError(f"{argument} must have names of type str, not {type(name).__name__}", argument=argument)
        if isinstance(value, repeat):
            fields += [(name, one) for one in value]
        else:
            fields.append((name, value))
    return fields


def field_bytes(value: Any, argument: str) -> bytes:
    """The bytes of one value: str as UTF-8, int and float in decimal.

    Raises `UsageError` naming `argument` for bool and None, whose spelling is a matter of taste, for NaN and the infinities,
    for text that UTF-8 cannot encode, and for every other type.
    """
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"{argument} must be text that UTF-8 can encode", argument=argument) from error
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return int.__repr__(value).encode()
        except ValueError as error:  # sys.set_int_max_str_digits
            raise UsageError(f"{argument} is too large a number: {error}", argument=argument) from error
    if isinstance(value, float) and math.isfinite(value):
        return float.__repr__(value).encode()
    shown = repr(value) if isinstance(value, (bool, float)) or value is None else type(value).__name__
    raise UsageError(f"{argument} must be str, bytes, int or a finite float, not {shown}", argument=argument)


def urlencode_form(form: FormLike, argument: str = "data") -> bytes:
    """The form as an application/x-www-form-urlencoded body.  Raises `UsageError` naming the field at fault."""
    encoded = []
    for name, value in form_fields(form, argument):
        key = f"{argument}[{name!r}]"
        encoded.append(_quoted(field_bytes(name, key)) + b"=" + _quoted(field_bytes(value, key)))
    return b"&".join(encoded)


def _quoted(text: bytes) -> bytes:
    return _special.sub(lambda found: _encoded[found[0][0]], text)


def decode_form(body: bytes, codec: str = "utf-8", *, max_fields: int, max_size: int | None = None) -> list[tuple[str, str]]:
    """The fields of an application/x-www-form-urlencoded body (WHATWG URL 5.1), blank values included; `%` that escapes nothing
    stands for itself.

    Raises `LimitExceeded` for more than `max_fields`, or for one of more than `max_size` bytes as it was sent, and
    `UnicodeDecodeError` for bytes that are not of `codec`.  Takes linear time.
    """
    fields: list[tuple[str, str]] = []
    for found in _pairs(body):
        pair = found[0]
        if len(fields) == max_fields:
            raise LimitExceeded(f"a form of more than {max_fields} fields", limit="fields", maximum=max_fields, status=413)
        if max_size is not None and len(pair) > max_size:
            raise LimitExceeded(f"a field of more than {max_size} bytes", limit="field_size", maximum=max_size, status=413)
        name, _, value = pair.partition(b"=")
        fields.append((_unquoted(name).decode(codec), _unquoted(value).decode(codec)))
    return fields


def _unquoted(text: bytes) -> bytes:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    return unquote_to_bytes(text) if b"%" in text else text
