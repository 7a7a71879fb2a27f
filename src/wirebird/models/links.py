"""`Link` fields (RFC 8288): who is related to a response, and how."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import UsageError
from .url import join_url

if TYPE_CHECKING:
    from yarl import URL

__all__ = ["parse_links"]

_link = re.compile(r"<([^<>]*)>([^,<]*(?:,(?![ \t]*<)[^,<]*)*)")
_link_parameter = re.compile(r";[ \t]*([^=;, \t]+)(?:[ \t]*=[ \t]*(?:\"([^\"]*)\"|([^;,\" \t]*)))?")


def parse_links(values: Iterable[str], base: URL) -> dict[str, dict[str, str]]:
    """The links by relation, or by target where there is none; each has its parameters, and its target as `url`.

    A target is resolved against `base`, and left as it is if it cannot be.
    """
    found: dict[str, dict[str, str]] = {}
    for value in values:
        for target, parameters in _link.findall(value):
            link: dict[str, str] = {}
            for name, quoted, plain in _link_parameter.findall(parameters):
                link.setdefault(name.lower(), quoted or plain)
            link["url"] = _resolved(base, target)
            for relation in re.split("[ \t]+", link.get("rel", "").strip(" \t")):
                found.setdefault(relation or target, link)
    return found


def _resolved(base: URL, target: str) -> str:
    try:
        return str(join_url(base, target, "Link"))
    except UsageError:
        return target
