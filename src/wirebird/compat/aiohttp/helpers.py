"""`aiohttp.helpers`: credentials, entity tags, chained mappings, media types, and the proxy that the environment names."""

from __future__ import annotations

import enum
import os
import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections import namedtuple
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property as reify
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote

from multidict import MultiDict, MultiDictProxy
from yarl import URL

from ...models.headers import check_token, check_value
from ...models.url import destination, parse_url
from ...net.proxy_environment import read_environment

__all__ = [
    "DEFAULT_CHUNK_SIZE",
    "BasicAuth",
    "ChainMapProxy",
    "ETag",
    "MimeType",
    "content_disposition_header",
    "encode_basic_auth",
    "get_env_proxy_for_url",
    "guess_filename",
    "is_ip_address",
    "parse_mimetype",
    "reify",
    "sentinel",
    "strip_auth_from_url",
]

DEFAULT_CHUNK_SIZE: Final = 2**18

_SENTINEL = enum.Enum("_SENTINEL", "sentinel")
sentinel = _SENTINEL.sentinel

_is_quotable = re.compile(r"[\t\x20-\x7e]*").fullmatch
_to_escape = re.compile(r'[\t "\\]')

ETAG_ANY: Final = "*"


def encode_basic_auth(login: str, password: str = "", encoding: str = "utf-8") -> str:
    """The value of `Authorization` for a user and a password (RFC 7617).  Raises `ValueError` for a colon in `login`."""
    if ":" in login:
        raise ValueError('A ":" is not allowed in login (RFC 7617 2)')
    return "Basic " + b64encode(f"{login}:{password}".encode(encoding)).decode("ascii")


class BasicAuth(namedtuple("BasicAuth", ["login", "password", "encoding"])):
    """User and password for HTTP's Basic scheme.  Raises `ValueError` for None, and for a colon in `login`."""

    __slots__ = ()

    login: str
    password: str
    encoding: str

    def __new__(cls, login: str, password: str = "", encoding: str = "latin1") -> BasicAuth:
        if login is None:
            raise ValueError("None is not allowed as login value")
        if password is None:
            raise ValueError("None is not allowed as password value")
        if ":" in login:
            raise ValueError('A ":" is not allowed in login (RFC 7617 2)')
        return super().__new__(cls, login, password, encoding)

    @classmethod
    def decode(cls, auth_header: str, encoding: str = "latin1") -> BasicAuth:
        """What a value of `Authorization` holds.  Raises `ValueError` if it is not of the Basic scheme, or broken."""
        scheme, space, credentials = auth_header.partition(" ")
        if not space:
            raise ValueError("Could not parse authorization header.")
        if scheme.lower() != "basic":
            raise ValueError(f"Unknown authorization method {scheme}")
        try:
            text = b64decode(credentials.encode("ascii"), validate=True).decode(encoding)
        except NotBase64:
            raise ValueError("Invalid base64 encoding.") from None
        login, colon, password = text.partition(":")
        if not colon:
            raise ValueError("Invalid credentials.")
        return cls(login, password, encoding)

    @classmethod
    def from_url(cls, url: URL, *, encoding: str = "latin1") -> BasicAuth | None:
        """What stands before the host of `url`, None if nothing does."""
        if not isinstance(url, URL):
            raise TypeError("url should be yarl.URL instance")
        if url.raw_user is None and url.raw_password is None:
            return None
        # Not by `cls()`: a `%3A` in the user is refused where it is to be sent, and not where it is read.
        return tuple.__new__(cls, (url.user or "", url.password or "", encoding))

    def encode(self) -> str:
        """The value of `Authorization`."""
        return encode_basic_auth(self.login, self.password, self.encoding)


def strip_auth_from_url(url: URL) -> tuple[URL, BasicAuth | None]:
    """`url` without user and password, and these."""
    credentials = BasicAuth.from_url(url)
    return (url if credentials is None else url.with_user(None)), credentials


def get_env_proxy_for_url(url: URL) -> tuple[URL, BasicAuth | None]:
    """The proxy that the environment names for `url`, and the credentials for it.

    By wirebird's rules: `no_proxy` may hold addresses and blocks, `HTTP_PROXY` in upper case is not read.  Raises `LookupError`
    if there is none, or none for this host; `wirebird.UsageError` if a variable holds rubbish.
    """
    environment = read_environment(os.environ)
    proxy = environment.choose(destination(parse_url(url))) if environment is not None else None
    if proxy is None:
        raise LookupError(f"No proxies found for `{url.origin()!s}` in the env")
    credentials = tuple.__new__(BasicAuth, (proxy.user, proxy.password, "latin1")) if proxy.user or proxy.password else None
    return URL(proxy.url), credentials


class ChainMapProxy(Mapping[Any, Any]):
    """Several mappings seen as one; the first that has a key counts.  No class may be derived from it."""

    __slots__ = ("_maps",)

    def __init__(self, maps: Iterable[Mapping[Any, Any]]) -> None:
        self._maps = tuple(maps)

    def __init_subclass__(cls) -> None:
        raise TypeError(f"Inheritance class {cls.__name__} from ChainMapProxy is forbidden")

    def __getitem__(self, key: Any) -> Any:
        for mapping in self._maps:
            try:
                return mapping[key]
            except KeyError:
                pass
        raise KeyError(key)

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        try:
            return self[key]
        except KeyError:
            return default

    def __len__(self) -> int:
        return len(set().union(*self._maps))

    def __iter__(self) -> Iterator[Any]:
        keys: dict[Any, None] = {}
        for mapping in reversed(self._maps):
            keys.update(dict.fromkeys(mapping))
        return iter(keys)

    def __contains__(self, key: object) -> bool:
        return any(key in mapping for mapping in self._maps)

    def __bool__(self) -> bool:
        return any(self._maps)

    def __repr__(self) -> str:
        return f"ChainMapProxy({', '.join(map(repr, self._maps))})"


@dataclass(frozen=True, slots=True)
class ETag:
    """An entity tag (RFC 9110 8.8.3)."""

    value: str
    is_weak: bool = False


@dataclass(frozen=True, slots=True)
class MimeType:
    """A media type, taken apart: `image/svg+xml` has the subtype `svg` and the suffix `xml`."""

    type: str
    subtype: str
    suffix: str
    parameters: MultiDictProxy[str]


@lru_cache(maxsize=64)
def parse_mimetype(mimetype: str) -> MimeType:
    """`mimetype` taken apart; all of it empty for an empty string."""
    name, *rest = mimetype.split(";")
    parameters: MultiDict[str] = MultiDict()
    for item in rest:
        if item.strip():
            key, _, value = item.partition("=")
            parameters.add(key.lower().strip(), value.strip(' "'))
    name = name.strip().lower()
    kind, _, subtype = ("*/*" if name == "*" else name).partition("/")
    subtype, _, suffix = subtype.partition("+")
    return MimeType(kind, subtype, suffix, MultiDictProxy(parameters))


def guess_filename(obj: Any, default: str | None = None) -> str | None:
    """The name of an open file without its folders; `default` if it has none."""
    name = getattr(obj, "name", None)
    if not isinstance(name, str) or not name or name[0] == "<" or name[-1] == ">":
        return default
    return PurePath(name).name


def content_disposition_header(disptype: str, quote_fields: bool = True, _charset: str = "utf-8", **params: str) -> str:
    """The value of a `Content-Disposition` field of a part.

    With `quote_fields` a file name is percent-encoded, and so is any other value that is not ASCII (then as `key*`, RFC 5987);
    else both are sent as they are, with `"` and `\\` escaped.  Raises `ValueError` for a type or key that is no token, and for
    CR, LF, NUL and other controls in a value that would be sent as it is.
    """
    words = [check_token(disptype, "disptype")]
    for key, value in params.items():
        check_token(key, "params")
        if not quote_fields:
            escaped = check_value(value, key).replace("\\", "\\\\").replace('"', '\\"')
            words.append(f'{key}="{escaped}"')
        elif key.lower() == "filename":
            words.append(f'{key}="{quote(value, "", encoding=_charset)}"')
        elif _is_quotable(value):
            words.append(f'{key}="{_to_escape.sub(lambda found: chr(92) + found[0], value)}"')
        else:
            words.append(f"{key}*={_charset}''{quote(value, '', encoding=_charset)}")
    return "; ".join(words)


def is_ip_address(host: str | None) -> bool:
    """Whether `host` looks like an address and not like a name: a colon in it, or nothing but digits and dots."""
    return bool(host) and (":" in host or host.replace(".", "").isdigit())  # type: ignore[operator, union-attr]
