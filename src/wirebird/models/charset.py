"""What a Content-Type says: the media type, and the charset, which of Python's codecs that may choose (RFC 9110 8.3).

A label comes from the peer, and Python knows codecs that make no text of bytes (`hex`, `zlib`), that always fail (`undefined`),
that are no charsets (`unicode_escape`, `idna`), and it remembers for ever each label that it was asked for in vain.  So what is
no known charset is not looked up.
"""

from __future__ import annotations

import codecs
import re
from encodings.aliases import aliases

from ..errors import UsageError

__all__ = ["charset_of", "check_encoding", "codec_name", "guess_codec", "media_type_of"]

_TRANSFORMS = {"base64_codec", "bz2_codec", "hex_codec", "mbcs", "quopri_codec", "rot_13", "tactis", "uu_codec", "zlib_codec"}
_WITHOUT_ALIAS = {
    "cp1006", "cp720", "cp737", "cp856", "cp874", "cp875", "koi8_t", "koi8_u",
    "mac_arabic", "mac_croatian", "mac_farsi", "mac_romanian", "utf_8_sig",
}  # fmt: skip
_known = {
    *(name for alias, codec in aliases.items() if codec not in _TRANSFORMS for name in (alias, codec) if name == name.lower()),
    *_WITHOUT_ALIAS,
}
_separators = re.compile(r"[-_ ]+").sub

# Peers are not strict about the white space around `=`, which RFC 9110 5.6.6 does not allow.
_charset = re.compile(r';[ \t]*charset[ \t]*=[ \t]*(?:"([^"]*)"|([^ \t;"]+))', re.IGNORECASE).search


def media_type_of(content_type: str) -> str:
    """The media type without parameters, in lower case; "" if there is none."""
    return content_type.partition(";")[0].strip(" \t").lower()


def charset_of(content_type: str) -> str | None:
    """The `charset` parameter, as it is spelled; None if there is none, or an empty one."""
    found = _charset(content_type)
    return (found[1] or found[2] or None) if found else None


def codec_name(charset: str) -> str | None:
    """The name of Python's codec for `charset`, None if it has none that makes text of bytes."""
    label = _separators("_", charset.lower()) if charset.isascii() else ""
    return codecs.lookup(label).name if label in _known else None


def check_encoding(encoding: str) -> str:
    """The codec that a caller asks for by name.  Raises `UsageError` for one that Python does not know."""
    codec = codec_name(encoding) if isinstance(encoding, str) else None
    if codec is None:
        raise UsageError(f"encoding must be a charset that Python knows, not {encoding!r}", argument="encoding")
    return codec


def guess_codec(charset: str | None, body: bytes) -> str:
    """The codec for a text that says it has that charset: its own, else UTF-8, else what `charset-normalizer` makes of it."""
    codec = codec_name(charset) if charset is not None else None
    if codec is not None:
        return codec
    try:
        body.decode()
    except UnicodeDecodeError:
        try:
            from charset_normalizer import from_bytes
        except ImportError:
            return "utf-8"
        best = from_bytes(body).best()
        return best.encoding if best is not None else "utf-8"
    return "utf-8"
