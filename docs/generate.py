"""`python docs/generate.py`: writes the lower half of each page in docs/reference/ from the signatures and docstrings in src/.

What stands above the marker in a page is written by hand and stays.  The sources are read as syntax trees, not imported, so the
result does not depend on the interpreter.  `tests/test_docs.py` fails while a page is not what this program would write.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["MARKER", "PAGES", "generate", "main"]

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "wirebird"
FOLDER = ROOT / "docs" / "reference"
MARKER = "<!-- Below this line: generated from the source by docs/generate.py. -->"

_WIDTH = 100
_Function = ast.FunctionDef | ast.AsyncFunctionDef


class Shown(NamedTuple):
    """A class or function: where it is, its name, the classes in other files whose methods are shown as its own."""

    file: str
    name: str
    with_methods_of: tuple[tuple[str, str], ...] = ()
    methods: bool = True


PAGES: dict[str, list[Shown]] = {
    "client": [
        Shown("client/client.py", "HTTPClient", (("client/verbs.py", "Verbs"), ("client/services.py", "Services"))),
        Shown("models/message.py", "Request"),
    ],
    "response": [Shown("client/response.py", "HttpResponse", (("client/reading.py", "Reading"),))],
    "downloads": [
        Shown("client/download.py", "Download"),
        Shown("client/progress.py", "ProgressBar"),
        Shown("client/upload.py", "Upload"),
    ],
    "connector": [
        Shown("client/connector.py", "TCPConnector", methods=False),
        Shown("net/pool.py", "SmartPool", methods=False),
        Shown("net/pool.py", "CyclicQueuePool", methods=False),
        Shown("net/pool.py", "Stats"),
        Shown("client/http1.py", "Http1Connection", methods=False),
    ],
    "websocket": [
        Shown("net/websocket.py", "WebSocket"),
        Shown("protocol/websocket_messages.py", "Message"),
        Shown("protocol/websocket_messages.py", "MessageType"),
        Shown("protocol/websocket_deflate.py", "Deflate", methods=False),
        Shown("client/reconnect.py", "Reconnect", methods=False),
    ],
    "web-files": [
        Shown("web/files.py", "FileResponse"),
        Shown("web/static_folder.py", "StaticFolder"),
        Shown("web/middlewares.py", "compress_middleware"),
    ],
    "testing": [
        Shown("testing/mock.py", "MockTransport"),
        Shown("testing/routes.py", "Route"),
        Shown("testing/routes.py", "RecordedCall"),
        Shown("testing/routes.py", "UnmatchedRequest"),
        Shown("testing/asgi_transport.py", "ASGITransport"),
        Shown("server/asgi_messages.py", "ApplicationError"),
        Shown("testing/server.py", "TestServer"),
        Shown("testing/client.py", "TestClient", methods=False),
        Shown("testing/throwaway_tls.py", "ThrowawayTLS"),
        Shown("testing/recorder.py", "Recorder"),
    ],
    "web-websocket": [
        Shown("web/websocket.py", "WebSocketResponse"),
        Shown("web/websocket.py", "WebSocketReady", methods=False),
    ],
    "web-events": [Shown("web/events.py", "EventStreamResponse")],
    "sessions": [
        Shown("web/sessions.py", "setup"),
        Shown("web/sessions.py", "get_session"),
        Shown("web/sessions.py", "new_session"),
        Shown("web/session.py", "Session"),
        Shown("web/session_storage.py", "SignedCookieStorage", methods=False),
        Shown("web/session_storage.py", "EncryptedCookieStorage", methods=False),
        Shown("web/session_storage.py", "MemoryStorage", methods=False),
        Shown("web/session_storage.py", "Storage"),
    ],
    "web-guards": [
        Shown("web/cors.py", "setup"),
        Shown("web/limits.py", "RateLimit", methods=False),
        Shown("web/limits.py", "client_network"),
        Shown("web/error_page.py", "show_failure"),
        Shown("web/error_page.py", "Section", methods=False),
    ],
    "serving": [
        Shown("web/run.py", "run_app"),
        Shown("web/runner.py", "AppRunner"),
        Shown("web/runner.py", "ServerRunner"),
        Shown("web/runner.py", "Site"),
        Shown("web/runner.py", "TCPSite"),
        Shown("web/runner.py", "UnixSite"),
        Shown("web/runner.py", "SockSite"),
        Shown("web/runner.py", "GracefulExit"),
    ],
    "asgi": [Shown("server/asgi.py", "AsgiApp", methods=False)],
    "web-forms": [
        Shown("web/forms.py", "FormData"),
        Shown("web/forms.py", "FormLimits", methods=False),
        Shown("web/uploads.py", "FileField"),
        Shown("web/uploads.py", "safe_filename"),
        Shown("web/multipart.py", "MultipartReader"),
        Shown("web/multipart.py", "Part", (("web/byte_stream.py", "ByteStream"),)),
        Shown("web/content.py", "Content", (("web/byte_stream.py", "ByteStream"),)),
        Shown("web/cookies.py", "ResponseCookies"),
        Shown("web/cookies.py", "ResponseCookie"),
    ],
    "server": [
        Shown("server/server.py", "Server"),
        Shown("server/server.py", "Served"),
        Shown("server/settings.py", "Settings", methods=False),
        Shown("server/exchange.py", "Exchange"),
        Shown("server/forwarded.py", "TrustedProxies", methods=False),
        Shown("server/access_log.py", "AccessLog", methods=False),
        Shown("server/runner.py", "serve"),
        Shown("server/runner.py", "Place", methods=False),
    ],
    "timeouts": [Shown("net/timeouts.py", "Timeouts", methods=False)],
    "headers": [Shown("models/headers.py", "HttpHeaders")],
    "cookies": [
        Shown("models/cookies.py", "Cookie"),
        Shown("models/cookies.py", "CookieJar"),
        Shown("net/cookie_file.py", "save_cookies"),
        Shown("net/cookie_file.py", "load_cookies"),
    ],
    "auth": [
        Shown("client/auth.py", "BasicAuth", methods=False),
        Shown("client/auth.py", "BearerAuth", methods=False),
        Shown("client/digest_auth.py", "DigestAuth", methods=False),
        Shown("client/netrc_auth.py", "NetrcAuth", methods=False),
        Shown("client/auth.py", "Auth"),
        Shown("client/auth.py", "ReadBody"),
    ],
    "retries": [
        Shown("client/retry.py", "Retry", methods=False),
        Shown("client/retry.py", "Backoff"),
        Shown("client/retry.py", "RetryBudget", methods=False),
        Shown("client/middleware/rate_limit.py", "RateLimit", methods=False),
    ],
    "forms": [Shown("client/forms.py", "MultipartForm")],
    "errors": [],  # every class of errors.py, in the order of the file
    "limits": [Shown("models/limits.py", "Limits")],
    "resolvers": [
        Shown("net/resolver.py", "ThreadedResolver"),
        Shown("net/resolver.py", "AsyncResolver"),
        Shown("net/resolver.py", "Resolver"),
    ],
    "proxies": [Shown("net/proxy.py", "Proxy")],
    "tls": [Shown("net/tls.py", "tls_context")],
    "events": [Shown("client/sse.py", "EventStream"), Shown("protocol/sse.py", "ServerEvent")],
    "observing": [
        Shown("client/exchange.py", "Exchange"),
        Shown("client/exchange.py", "ConnectionInfo"),
        Shown("client/log_observer.py", "LogObserver", methods=False),
        Shown("client/har.py", "HarRecorder"),
    ],
    "compat": [
        Shown("compat/aiosonic/client.py", "HTTPClient"),
        Shown("compat/aiosonic/response.py", "HttpResponse"),
        Shown("compat/aiosonic/headers.py", "HttpHeaders"),
        Shown("compat/aiosonic/connectors.py", "TCPConnector"),
        Shown("compat/aioreq/http.py", "Client"),
        Shown("compat/aioreq/http.py", "StreamClient"),
        Shown("compat/aioreq/messages.py", "Request"),
        Shown("compat/aioreq/messages.py", "Response"),
        Shown("compat/aioreq/messages.py", "StreamResponse"),
        Shown("compat/aioreq/headers.py", "Headers"),
        Shown("compat/aioreq/middlewares.py", "MiddleWare"),
    ],
    "aiohttp": [
        Shown("compat/aiohttp/client.py", "ClientSession"),
        Shown("compat/aiohttp/response.py", "ClientResponse"),
        Shown("compat/aiohttp/streams.py", "StreamReader"),
        Shown("compat/aiohttp/timeout.py", "ClientTimeout", methods=False),
        Shown("compat/aiohttp/connector.py", "TCPConnector", methods=False),
        Shown("compat/aiohttp/connector.py", "UnixConnector", methods=False),
        Shown("compat/aiohttp/formdata.py", "FormData"),
        Shown("compat/aiohttp/multipart_writer.py", "MultipartWriter"),
        Shown("compat/aiohttp/multipart.py", "MultipartReader"),
        Shown("compat/aiohttp/body_part.py", "BodyPartReader"),
        Shown("compat/aiohttp/cookiejar.py", "CookieJar"),
        Shown("compat/aiohttp/tracing.py", "TraceConfig", methods=False),
        Shown("compat/aiohttp/substitution.py", "stand_in"),
    ],
    "aiohttp-web": [
        Shown("compat/aiohttp/web_app.py", "Application"),
        Shown("compat/aiohttp/web.py", "run_app"),
        Shown("compat/aiohttp/web_request.py", "BaseRequest"),
        Shown("compat/aiohttp/web_request.py", "Request"),
        Shown("compat/aiohttp/web_request.py", "FileField", methods=False),
        Shown("compat/aiohttp/stream_response.py", "StreamResponse"),
        Shown("compat/aiohttp/web_response.py", "Response"),
        Shown("compat/aiohttp/web_response.py", "json_response"),
        Shown("compat/aiohttp/web_fileresponse.py", "FileResponse", methods=False),
        Shown("compat/aiohttp/web_ws.py", "WebSocketResponse"),
        Shown("compat/aiohttp/web_urldispatcher.py", "UrlDispatcher"),
        Shown("compat/aiohttp/web_routedef.py", "RouteTableDef"),
        Shown("compat/aiohttp/web_middlewares.py", "normalize_path_middleware"),
        Shown("compat/aiohttp/web_runner.py", "AppRunner", methods=False),
        Shown("compat/aiohttp/web_runner.py", "TCPSite", methods=False),
        Shown("compat/aiohttp/web_server.py", "Server", methods=False),
        Shown("compat/aiohttp/test_utils.py", "TestServer", methods=False),
        Shown("compat/aiohttp/test_utils.py", "TestClient"),
    ],
}

# What a pool offers to its users; the rest is between it and the connector.
_POOL_METHODS = ("acquire", "release", "free_conns", "is_all_free", "cleanup", "stats")


def generate(page: str) -> str:
    """The generated half of a page."""
    if page == "errors":
        return "\n".join(_errors())
    return "\n".join(line for shown in PAGES[page] for line in _object(shown))


def main() -> int:
    """Write every page; returns the exit status."""
    for page in PAGES:
        path = FOLDER / f"{page}.md"
        above = path.read_text("utf-8").partition(MARKER)[0] if path.exists() else f"# {page.capitalize()}\n\n"
        path.write_text(f"{above}{MARKER}\n\n{generate(page)}", "utf-8")
    return 0


# -- what is shown -----------------------------------------------------------------------------------------------------


def _object(shown: Shown) -> Iterator[str]:
    node = _find(shown.file, shown.name)
    yield f"## {shown.name}"
    yield ""
    if not isinstance(node, ast.ClassDef):
        yield from _signature(shown.name, node, is_method=False)
        yield from _prose(node)
        return
    initial = next((part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None)
    if initial is not None:
        yield from _signature(shown.name, initial, is_method=True, returns=False)
    elif fields := [part for part in node.body if isinstance(part, ast.AnnAssign) and not _is_hidden(part)]:
        yield from _code(shown.name, [_spelled(ast.unparse(part)) for part in fields], "")
    elif node.bases:
        yield from _code(shown.name, [ast.unparse(base) for base in node.bases], "")
    yield from _prose(node)
    if not shown.methods:
        wanted = _POOL_METHODS if shown.name.endswith("Pool") else ()
        yield from _methods(node, lambda name: name in wanted)
        return
    for file, base in shown.with_methods_of:
        yield from _methods(_find(file, base), _is_public)
    yield from _methods(node, _is_public)


def _methods(node: ast.AST, wanted: object) -> Iterator[str]:
    for part in node.body:  # type: ignore[attr-defined]
        if isinstance(part, ast.Assign) and isinstance(part.value, ast.Name) and wanted(ast.unparse(part.targets[0])):  # type: ignore[operator]
            yield f"### {ast.unparse(part.targets[0])}"
            yield ""
            yield f"The same as `{part.value.id}`."
            yield ""
        if not isinstance(part, _Function) or not wanted(part.name):  # type: ignore[operator]
            continue
        decorators = {ast.unparse(one) for one in part.decorator_list}
        yield f"### {part.name}"
        yield ""
        if "property" in decorators:
            yield from _fenced([f"{part.name}: {ast.unparse(part.returns)}" if part.returns else part.name])
        else:
            yield from _signature(part.name, part, is_method="staticmethod" not in decorators)
        yield from _prose(part)


def _errors() -> Iterator[str]:
    module = ast.parse((SOURCE / "errors.py").read_text("utf-8"))
    yield from _prose(module)
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            yield f"## {node.name}"
            yield ""
            yield f"A kind of {' and '.join(f'`{ast.unparse(base)}`' for base in node.bases)}."
            yield ""
            yield from _prose(node)
            yield from _methods(node, _is_public)


def _find(file: str, name: str) -> ast.ClassDef | _Function:
    for node in ast.parse((SOURCE / file).read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return node
    raise LookupError(f"{file} has no {name}")


def _is_public(name: str) -> bool:
    return name[0] != "_"


def _is_hidden(field: ast.AnnAssign) -> bool:
    return ast.unparse(field.target)[0] == "_"


# -- signatures --------------------------------------------------------------------------------------------------------


def _signature(name: str, node: _Function, *, is_method: bool, returns: bool = True) -> Iterator[str]:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    shown = [_parameter(one, default) for one, default in zip(positional, [*defaults, *arguments.defaults], strict=True)]
    if arguments.posonlyargs:
        shown.insert(len(arguments.posonlyargs), "/")
    if is_method:
        del shown[0]
    if arguments.vararg:
        shown.append(f"*{_parameter(arguments.vararg, None)}")
    elif arguments.kwonlyargs:
        shown.append("*")
    shown += [_parameter(one, default) for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    if arguments.kwarg:
        shown.append(f"**{_parameter(arguments.kwarg, None)}")
    result = f" -> {_spelled(ast.unparse(node.returns))}" if returns and node.returns is not None else ""
    before = "async " if isinstance(node, ast.AsyncFunctionDef) and "AsyncIterator" not in result else ""
    yield from _code(before + name, shown, result)


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    text = argument.arg + (f": {ast.unparse(argument.annotation)}" if argument.annotation else "")
    if default is not None:
        text += f" = {ast.unparse(default)}" if argument.annotation else f"={ast.unparse(default)}"
    return _spelled(text)


def _spelled(text: str) -> str:
    """Names as a reader knows them, not as the module imports them."""
    return re.sub(r"\b_(json|ssl)\.", r"\1.", text)


def _code(name: str, parts: list[str], result: str) -> Iterator[str]:
    line = f"{name}({', '.join(parts)}){result}"
    yield from _fenced([line] if len(line) <= _WIDTH else [f"{name}(", *(f"    {part}," for part in parts), f"){result}"])


def _fenced(lines: list[str]) -> Iterator[str]:
    yield "```py"
    yield from lines
    yield "```"
    yield ""


# -- docstrings --------------------------------------------------------------------------------------------------------

_row = re.compile(r"([a-z_0-9]+(?:, [a-z_0-9]+)*)  +(\S.*)").fullmatch


def _prose(node: ast.Module | ast.ClassDef | _Function) -> Iterator[str]:
    text = ast.get_docstring(node)
    if not text:
        return
    for paragraph in re.split(r"\n\s*\n", text):
        lines = paragraph.split("\n")
        if all(line.startswith("    ") for line in lines):
            yield from _plain(lines)
        elif _row(lines[0]) and all(_row(line) or line.startswith("    ") for line in lines):
            yield from _table(lines)
        else:
            yield " ".join(re.sub(r"(?<=\S)  +", " ", line.strip()) for line in lines)
            yield ""


def _plain(lines: list[str]) -> Iterator[str]:
    yield "```text"
    yield from (line[4:] for line in lines)
    yield "```"
    yield ""


def _table(lines: list[str]) -> Iterator[str]:
    rows: list[list[str]] = []
    for line in lines:
        found = _row(line)
        if found:
            rows.append([found[1], found[2]])
        else:
            rows[-1][1] += f" {line.strip()}"
    yield "| name | meaning |"
    yield "|---|---|"
    for name, meaning in rows:
        names = ", ".join(f"`{one}`" for one in name.split(", "))
        text = re.sub(r"  +", " ", meaning).replace("|", "\\|")
        yield f"| {names} | {text} |"
    yield ""


if __name__ == "__main__":
    sys.exit(main())
