"""Bodies and queries as a HAR file shows them (HAR 1.2, "content", "postData", "queryString").

A body that its media type calls text is text, by its charset; any other is base64.  The codings of a response are taken off, no
further than to `max_body` bytes, and what cannot be decoded is shown as it came.
"""

from __future__ import annotations

import codecs
from base64 import b64encode
from typing import Any, Final
from urllib.parse import unquote_plus

from ..errors import ProtocolError
from ..models.charset import charset_of, codec_name, media_type_of
from ..models.redaction import HIDDEN, hidden_params, is_secret
from ..protocol.codings import make_decoder

__all__ = ["content", "params", "post_data"]

_FORM: Final = "application/x-www-form-urlencoded"
_TEXTUAL: Final = ("json", "xml", "javascript", "ecmascript", "graphql", "urlencoded", "yaml", "ndjson")


def content(raw: bytes, codings: list[str], kind: str, received: int, max_body: int, ended: bool = True) -> dict[str, Any]:
    """The content of a response: `raw` is what the caller read of the `received` bytes, `kind` its Content-Type.

    `ended` says whether those were all there are.
    """
    whole = ended and len(raw) == received
    body, decoded = _decoded(raw, codings, max_body)
    complete = whole and decoded
    found: dict[str, Any] = {"size": len(body) if complete else max(received, len(body)), "mimeType": kind}
    if complete and codings:
        found["compression"] = len(body) - received
    if body:
        text = _text(body, kind, complete)
        found |= {"text": text} if text is not None else {"text": b64encode(body).decode(), "encoding": "base64"}
    if len(raw) < received:
        found["comment"] = f"{len(raw)} of {received} bytes were read, or kept"
    elif not ended:
        found["comment"] = "the body did not come to its end"
    elif not decoded:
        found["comment"] = "not decoded to its end"
    return found


def post_data(body: bytes, kind: str, size: int, hide: frozenset[str]) -> dict[str, Any]:
    """The body of a request: `body` is what was kept of `size` bytes, `kind` its Content-Type."""
    complete = len(body) == size
    found: dict[str, Any] = {"mimeType": kind}
    is_form = kind.lower().startswith(_FORM)
    text = _text(body, kind, complete)
    if text is None:
        found |= {"text": b64encode(body).decode(), "_encoding": "base64"}
    elif is_form:
        found |= {"params": params(text, hide), "text": hidden_params(text, hide)}
    else:
        found["text"] = text
    if not complete:
        found["comment"] = f"{len(body)} of {size} bytes were kept"
    return found


def params(encoded: str, hide: frozenset[str]) -> list[dict[str, str]]:
    """The parameters of a query or an encoded form, decoded."""
    found = []
    for part in encoded.split("&") if encoded else ():
        name, _, value = part.partition("=")
        name = unquote_plus(name)
        found.append({"name": name, "value": HIDDEN if is_secret(name, hide) else unquote_plus(value)})
    return found


def _decoded(raw: bytes, codings: list[str], max_body: int) -> tuple[bytes, bool]:
    """The body without its codings, as far as there is one and it goes; and whether that is all of it."""
    try:
        decoder = make_decoder(codings) if codings and raw else None
        if decoder is None:
            return raw, True
        decoder.feed(raw)
    except ProtocolError:
        return raw, False
    pieces: list[bytes] = []
    left = max_body
    try:
        while left and (piece := decoder.pull(min(left, 65536))):
            pieces.append(piece)
            left -= len(piece)
        if not left and decoder.pull(1):
            return b"".join(pieces), False
        decoder.finish()
    except ProtocolError:
        return b"".join(pieces) or raw, False
    return b"".join(pieces), True


def _text(body: bytes, kind: str, complete: bool) -> str | None:
    """The body as text if it is that by its media type, and by its bytes; a character may be missing its end if the body is."""
    media = media_type_of(kind)
    if not (media.startswith("text/") or any(word in media for word in _TEXTUAL)):
        return None
    try:
        return codecs.getincrementaldecoder(codec_name(charset_of(kind) or "") or "utf-8")().decode(body, complete)
    except UnicodeDecodeError:
        return None
