"""What of a message may be shown: in a log, in a HAR file, in a command for the shell.

Values that are secrets by their name are replaced, in fields, queries and forms; a password in a URL is left out.  Text that
goes to a terminal or a log file is made printable, so that nobody who chooses a URL or a header can write lines of his own into
it, or commands for the terminal (CWE-117, CWE-150).

A name is compared in lower case and without punctuation, part by part where it has brackets or dots: `api_key`, `X-Api-Key` and
`user[apiKey]` are one.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final, Protocol, TypeAlias
from urllib.parse import unquote_plus

from ..errors import UsageError

__all__ = [
    "HIDDEN",
    "HideLike",
    "hidden_field",
    "hidden_params",
    "hidden_text",
    "is_secret",
    "printable",
    "read_hide",
    "shown_url",
]

# What stands for a value that is not shown.
HIDDEN: Final = "***"

# What to hide: the well-known names, nothing, or these names besides the well-known ones.
HideLike: TypeAlias = "bool | Collection[str]"

_WELL_KNOWN: Final = frozenset(
    {
        *("amzcredential", "assertion", "auth", "authentication", "authkey", "authorization", "awsaccesskeyid", "bearer"),
        *("clientassertion", "code", "codeverifier", "hmac"),
        *(
            "cookie",
            "cookie2",
            "csrf",
            "googcredential",
            "jwt",
            "key",
            "otp",
            "pass",
            "passcode",
            "pin",
            "proxyauthorization",
            "pwd",
        ),
        *("samlresponse", "session", "setcookie", "setcookie2", "sid", "sig", "xsrf"),
    }
)
# And whatever ends so: `access_token`, `X-Amz-Signature`, `client_secret`.
_ENDINGS: Final = (
    *("accesskey", "apikey", "appkey", "authkey", "credentials", "passphrase", "passwd", "password", "privatekey", "secret"),
    *("secretkey", "sessid", "sessionid", "signature", "subscriptionkey", "token"),
)
_URL_FIELDS: Final = frozenset({"location", "content-location", "referer", "refresh"})


class Place(Protocol):
    """What of a `Destination` is shown."""

    @property
    def scheme(self) -> str:
        """`http` or `https`."""

    @property
    def authority(self) -> str:
        """`host` or `host:port`."""

    @property
    def target(self) -> str:
        """Path and query."""


_experimental = re.compile(r"\Ax[-_]")
_punctuation = re.compile(r"[^a-z0-9]+")
_between_parts = re.compile(r"[\[\].:]+")
_param = re.compile(r"([^&;=?#]+)=([^&;#]*)")
_userinfo = re.compile(r"(?:\A|(?<=:))//[^/?#]*@")

# Longer text is cut where it is shown.
_LONGEST = 2000
# And of a longer name this much is looked at, from its end.
_LONGEST_NAME = 200


def read_hide(hide: HideLike) -> frozenset[str]:
    """The names to hide, normalised.  Raises `UsageError` for what is neither a bool nor names."""
    if isinstance(hide, bool):
        return _WELL_KNOWN if hide else frozenset()
    if isinstance(hide, str) or not isinstance(hide, Collection) or not all(isinstance(name, str) for name in hide):
        raise UsageError(f"hide must be a bool or a collection of names, not {hide!r}", argument="hide")
    return _WELL_KNOWN | {_normal(name) for name in hide}


def _normal(name: str) -> str:
    return _punctuation.sub("", _experimental.sub("", name.lower()))


def is_secret(name: str, names: frozenset[str]) -> bool:
    """Whether `name`, of a field or a parameter, or a part of it, is one of `names`, or ends as the names of secrets do."""
    return bool(names) and _is_secret(name[-_LONGEST_NAME:], names)


@lru_cache(maxsize=1024)
def _is_secret(name: str, names: frozenset[str]) -> bool:
    parts = [_normal(part) for part in _between_parts.split(name)]
    return any(part in names or part.endswith(_ENDINGS) for part in parts)


def hidden_params(text: str, names: frozenset[str]) -> str:
    """A query, an encoded form, or a URL, with the values of its secret parameters replaced."""

    def replaced(found: re.Match[str]) -> str:
        return f"{found[1]}={HIDDEN}" if is_secret(unquote_plus(found[1]), names) else found[0]

    return _param.sub(replaced, text) if names and "=" in text else text


def hidden_field(name: str, value: str, names: frozenset[str]) -> str:
    """The value of a header field, or what may be shown of it."""
    if not names:
        return value
    if is_secret(name, names):
        return HIDDEN
    return hidden_text(value, names) if name.lower() in _URL_FIELDS else value


def hidden_text(text: str, names: frozenset[str]) -> str:
    """Text that may hold URLs, queries and forms, without the passwords in them and the values of secret parameters."""
    return hidden_params(_userinfo.sub("//", text), names)


def shown_url(where: Place, hide: frozenset[str] | None = None) -> str:
    """The URL that is requested, printable, without user, password and fragment; secret parameters replaced (all well-known ones
    unless `hide` says otherwise)."""
    names = _WELL_KNOWN if hide is None else hide
    return printable(f"{where.scheme}://{where.authority}{hidden_params(where.target, names)}")


def printable(text: str, longest: int = _LONGEST) -> str:
    """`text` on one line, with nothing in it that a terminal or a log reader would act upon, cut after `longest` characters."""
    if len(text) > longest:
        text = text[:longest] + "…"
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()
