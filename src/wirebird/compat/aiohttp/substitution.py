"""The façade under aiohttp's own name, for libraries that import `aiohttp` themselves and whose import line nobody changes.

    from wirebird.compat.aiohttp.substitution import stand_in

    stand_in()                            # before anything else imports aiohttp
    import aiohttp                        # is wirebird.compat.aiohttp, here and in every library
    import fsspec.implementations.http    # has the façade for its transport

`python -m wirebird.compat.aiohttp program.py` does the same for a whole program.

What it does is one thing: the package and its modules are put into `sys.modules`, each under the name that aiohttp has for it.
They are the modules that `wirebird.compat.aiohttp` has, not copies, so that an exception that is caught under one name was raised
under the other.  A module of aiohttp's that the façade does not have cannot be imported; aiohttp itself may be installed or not,
and is not looked at.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module

from ...errors import UsageError

__all__ = ["stand_in"]

_PACKAGE = __package__
# The modules of aiohttp's client that programs import by their path.  Those of the server begin with `web`.
_PATHS = frozenset(
    {
        *("abc", "client", "client_exceptions", "client_middleware_digest_auth", "client_middlewares", "client_proto"),
        *("client_reqrep", "client_ws", "compression_utils", "connector", "cookiejar", "formdata", "hdrs", "helpers", "http"),
        *("http_exceptions", "http_parser", "http_websocket", "http_writer", "log", "multipart", "payload", "payload_streamer"),
        *("resolver", "streams", "tracing", "typedefs", "worker", "test_utils"),
    }
)
# It imports pytest, which may not be there.  Whoever wants it finds it in the folder of the package; a second copy does no harm.
_LATER = "pytest_plugin"


def stand_in() -> None:
    """Have `import aiohttp` give this façade, in the whole process and from now on.  A second call does nothing.

    Raises `UsageError` if aiohttp, or a module of it, has been imported already: what was taken from it would stay its own.
    """
    package = import_module(_PACKAGE)
    if sys.modules.get("aiohttp") is package:
        return
    for name in list(sys.modules):
        if name.partition(".")[0] == "aiohttp":
            raise UsageError(f"{name} has been imported already: stand_in() comes before whatever imports aiohttp")
    modules = {"aiohttp": package}
    own = []
    for found in pkgutil.iter_modules(package.__path__):
        if found.name in _PATHS or found.name.startswith("web"):
            modules[f"aiohttp.{found.name}"] = import_module(f"{_PACKAGE}.{found.name}")
        elif found.name != _LATER:
            own.append(f"aiohttp.{found.name}")
    sys.modules.update(modules)
    # The package's folder would be searched for these, and give a second copy.
    sys.modules.update(dict.fromkeys(own))  # type: ignore[arg-type]  # `None` is documented: there is no such module
