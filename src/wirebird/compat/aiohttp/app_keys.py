"""`aiohttp.web.AppKey` and its like: keys of what applications, requests and responses keep, with the type of the value."""

from __future__ import annotations

import inspect
import warnings
from typing import Any, TypeVar

from ...web.keys import AppKey as _AppKey

__all__ = ["AppKey", "NotAppKeyWarning", "RequestKey", "ResponseKey", "warn_of_text"]

_T = TypeVar("_T")


class NotAppKeyWarning(UserWarning):
    """A str is a key where a `web.AppKey`, `web.RequestKey` or `web.ResponseKey` would not be confused with another."""


class AppKey(_AppKey[_T]):
    """A key of an application: `name` is shown with the module that it was made in, `t` is the type of the value."""

    __slots__ = ("_t",)

    def __init__(self, name: str, t: Any = None) -> None:
        frame = inspect.currentframe()
        while frame is not None and frame.f_code.co_name != "<module>":
            frame = frame.f_back
        module: str = frame.f_globals["__name__"] if frame is not None else "<unknown>"
        super().__init__(f"{module}.{name}", t)
        self._t = t

    def __lt__(self, other: object) -> bool:
        return self._name < other._name if isinstance(other, AppKey) else True  # in front of others

    def __gt__(self, other: object) -> bool:
        return isinstance(other, AppKey) and self._name > other._name

    def __repr__(self) -> str:
        kind = self._t
        if kind is None:
            said = "<<Unknown>>"
        elif not isinstance(kind, type):
            said = repr(kind)
        elif kind.__module__ == "builtins":
            said = kind.__qualname__
        else:
            said = f"{kind.__module__}.{kind.__qualname__}"
        return f"<{type(self).__name__}({self._name}, type={said})>"


class RequestKey(AppKey[_T]):
    """A key of a request."""

    __slots__ = ()


class ResponseKey(AppKey[_T]):
    """A key of a response."""

    __slots__ = ()


def warn_of_text(key: object, kind: str, seen: set[Any]) -> None:
    """Say, once for each key in `seen`, that a str is no key of `kind`; wirebird's own are no concern of the caller's."""
    if not isinstance(key, AppKey) and key not in seen and not str(key).startswith("wirebird."):
        seen.add(key)
        warnings.warn(f"It is recommended to use web.{kind} instances for keys.", category=NotAppKeyWarning, stacklevel=3)


# As in `aiohttp.web`: only those see it who ask for warnings.
warnings.filterwarnings("ignore", category=NotAppKeyWarning, append=True)
