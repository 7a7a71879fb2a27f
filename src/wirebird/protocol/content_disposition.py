"""`Content-Disposition` of a part of a form: its name, and that of its file (RFC 7578 4.2, RFC 6266, RFC 8187).

A form has `name` and `filename`, and nothing else may say otherwise: of `filename` and `filename*` the plain one counts, since
that is the one that everybody else looks at; a parameter that is there twice is an error.  Names are given as they were sent, so
a `"` in the name of a file that a browser sent is `%22` (WHATWG HTML 4.10.21.8), which nobody can tell from a real `%22`.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from ..errors import InvalidMultipart
from ..models.headers import HttpHeaders
from .multipart_reader import read_parameters

__all__ = ["Disposition", "read_disposition"]


class Disposition(NamedTuple):
    """What a part says of itself; each None if it does not.  `kind` is in lower case, `form-data` in a form."""

    kind: str | None
    name: str | None
    filename: str | None


_NONE = Disposition(None, None, None)


def read_disposition(headers: HttpHeaders) -> Disposition:
    """The disposition of a part with those fields.  Raises `InvalidMultipart` if it is not well-formed, or says a thing twice."""
    values = headers.get_list("content-disposition")
    if not values:
        return _NONE
    read = read_parameters(values[0])
    if read is None or len(values) > 1:
        raise InvalidMultipart("a part whose Content-Disposition is not well-formed")
    kind, pairs = read
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise InvalidMultipart("a part whose Content-Disposition has a parameter twice")
    filename = parameters.get("filename")
    if filename is None and "filename*" in parameters:
        filename = _extended(parameters["filename*"])
    return Disposition(kind.lower(), parameters.get("name"), filename)


def _extended(value: str) -> str | None:
    """RFC 8187: charset'language'percent-encoded; None if it is not that, or of another charset than its two."""
    charset, _, rest = value.partition("'")
    _, quote, text = rest.partition("'")
    if not quote or charset.lower() not in ("utf-8", "iso-8859-1") or not text.isascii():
        return None
    try:
        return unquote_to_bytes(text).decode(charset.lower())
    except UnicodeDecodeError:
        return None
