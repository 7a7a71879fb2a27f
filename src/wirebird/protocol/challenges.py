"""What a server says of the credentials it wants (RFC 9110 11): challenges, and lists of parameters.

    WWW-Authenticate: Digest realm="a", nonce="b", qop="auth, auth-int", Basic realm="a", Negotiate dG9rZW4=

One comma ends a parameter, a challenge or an empty member of the list; which one, only what follows can tell.  The grammar is
read from left to right by patterns that never step back, so the time is linear whatever is sent.  Where a field stops being a
list of challenges, the challenge with the fault is ignored, and what follows it: it cannot be told apart from the fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

__all__ = ["Challenge", "parse_challenges", "parse_parameters", "quote"]

# More than anybody sends; what is beyond is not read.
MOST_CHALLENGES: Final = 50
MOST_PARAMETERS: Final = 50

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_separators = re.compile(r"[ \t,]*+").match
_scheme = re.compile(rf"({_TOKEN})(?:[ \t]++|(?=,)|$)").match
_end = r"[ \t]*+(?=,|$)"
_token68 = re.compile(rf"([A-Za-z0-9\-._~+/]++=*+){_end}").match
# An unquoted value should be a token; many servers leave out the quotes around base64 too, which can be read in one way only.
_parameter = re.compile(rf"({_TOKEN})[ \t]*+=[ \t]*+(?:\"((?:[^\"\\]++|\\.)*+)\"|([!#-+\--~]++)){_end}", re.DOTALL).match
_escaped = re.compile(r"\\(.)", re.DOTALL)
_needs_escape = re.compile(r"([\"\\])")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge: `scheme` in lower case, and either `token68` or `parameters` (names in lower case, values unquoted)."""

    scheme: str
    token68: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(fields: Iterable[str]) -> list[Challenge]:
    """The challenges in all `WWW-Authenticate` (or `Proxy-Authenticate`) values, in order, 50 at the most.  Never raises.

    One that repeats a parameter is left out (RFC 9110 11.2: it must not, and readers differ on which counts).
    """
    found = (challenge for text in fields for challenge in _challenges(text))
    return list(islice(found, MOST_CHALLENGES))


def parse_parameters(text: str) -> dict[str, str] | None:
    """The parameters of an `Authentication-Info` value (RFC 9110 11.6.3); None if it is none, or repeats one."""
    found: dict[str, str] = {}
    at = _skip(text, 0)
    while at < len(text):
        match = _parameter(text, at)
        if match is None or match[1].lower() in found or len(found) == MOST_PARAMETERS:
            return None
        found[match[1].lower()] = _value(match)
        at = _skip(text, match.end())
    return found


def quote(text: str) -> str:
    """`text` as a quoted-string (RFC 9110 5.6.4); what may not stand in a field at all is for the caller to refuse."""
    return '"' + _needs_escape.sub(r"\\\1", text) + '"'


def _challenges(text: str) -> Iterator[Challenge]:
    at = _skip(text, 0)
    while at < len(text):
        match = _scheme(text, at)
        if match is None:
            return
        scheme = match[1].lower()
        at = match.end()
        if (match := _token68(text, at)) is not None:
            yield Challenge(scheme, match[1])
            at = _skip(text, match.end())
            continue
        begin, at = at, _skip(text, at)
        parameters: dict[str, str] = {}
        count = 0
        while (match := _parameter(text, at)) is not None:
            count += 1
            parameters[match[1].lower()] = _value(match)
            at = _skip(text, match.end())
            if count > MOST_PARAMETERS:
                return
        if at < len(text) and (_scheme(text, at) is None or not ("," in text[begin:at] or parameters)):
            return
        if len(parameters) == count:  # none is repeated
            yield Challenge(scheme, "", parameters)


def _skip(text: str, at: int) -> int:
    found = _separators(text, at)
    return found.end() if found is not None else at


def _value(match: re.Match[str]) -> str:
    quoted = match[2]
    if quoted is None:
        return match[3]
    return _escaped.sub(r"\1", quoted) if "\\" in quoted else quoted
