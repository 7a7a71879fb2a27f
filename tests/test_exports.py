"""What is public, frozen: the names, the signatures, and that each says what it does.

A change here is a change of the public interface: it needs a fragment in CHANGES.d/, and an entry in docs/reference/.
"""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import wirebird
import wirebird.testing
from test_layers import sources

NAMES = """
    AsyncResolver Auth Backoff BasicAuth BearerAuth BodyConsumed CertificateMismatch ClientClosed ConnectError ConnectTimeout
    ConnectionInfo ConnectionLost Cookie CookieJar CorruptBody CyclicQueuePool DNSError DecodingError Deflate DigestAuth
    Download EventStream Exchange HTTPClient HarRecorder Http1Connection HttpHeaders HttpResponse IncompleteBody
    InvalidHeader InvalidMultipart InvalidRequest InvalidResponse InvalidURL LimitExceeded Limits LogObserver Message
    MessageType MultipartForm NetrcAuth NetworkError PoolTimeout ProgressBar ProtocolError Proxy ProxyError RateLimit
    ReadBody ReadTimeout Reconnect Request RequestTimeout Retry RetryBudget ServerEvent SmartPool StatusError TCPConnector
    TLSError ThreadedResolver TimeoutError Timeouts TooManyRedirects Upload UsageError WebSocket WebSocketClosed
    WebSocketError WirebirdError __version__ load_cookies save_cookies tls_context
"""

TESTING_NAMES = """
    ASGITransport ApplicationError MockTransport RecordedCall Recorder Route TestClient TestServer ThrowawayTLS UnmatchedRequest
"""

_WITH_BODY = """url, data=None, headers=None, json=None, params=None, json_serializer=None, multipart=False, verify=True,
    ssl=None, timeouts=None, follow=None, http2=False"""

# The signatures of the public classes, as planned for the whole library.
SIGNATURES = {
    "HTTPClient": """connector=None, handle_cookies=False, verify_ssl=True, proxy=None, *, base_url=None, headers=None,
        params=None, cookies=None, auth=None, timeouts=None, follow=False, max_redirects=10, retries=None, http2=False,
        trust_env=False, raise_for_status=False, json_serializer=json.dumps, json_decoder=json.loads, auto_decompress=True,
        max_body_size=None, middlewares=()""",
    "HTTPClient.get": "url, headers=None, params=None, verify=True, ssl=None, timeouts=None, follow=None, http2=False",
    "HTTPClient.head": "url, headers=None, params=None, verify=True, ssl=None, timeouts=None, follow=None, http2=False",
    "HTTPClient.options": "url, headers=None, params=None, verify=True, ssl=None, timeouts=None, follow=None, http2=False",
    "HTTPClient.post": _WITH_BODY,
    "HTTPClient.put": _WITH_BODY,
    "HTTPClient.patch": _WITH_BODY,
    "HTTPClient.delete": _WITH_BODY,
    "HTTPClient.request": """url, method='GET', headers=None, params=None, data=None, json=None, json_serializer=None,
        multipart=False, verify=True, ssl=None, timeouts=None, follow=None, http2=False, *, files=None, cookies=None,
        raise_for_status=None, auth=None, proxy=None""",
    "HTTPClient.stream": "method, url",
    "HTTPClient.events": "url",
    "HTTPClient.download": "url, path, *, resume=True, progress=None",
    "HTTPClient.wait_requests": "timeout=30",
    "HTTPClient.close": "",
    "HTTPClient.shutdown": "",
    "HTTPClient.stats": "",
    "HttpHeaders": "data=None",
    "HttpResponse.content": "",
    "HttpResponse.text": "encoding=None",
    "HttpResponse.json": "json_decoder=None",
    "HttpResponse.read": "n=-1",
    "HttpResponse.readline": "",
    "HttpResponse.read_chunks": "",
    "HttpResponse.iter_bytes": "size=None",
    "HttpResponse.iter_text": "",
    "HttpResponse.iter_lines": "",
    "HttpResponse.raise_for_status": "",
    "HttpResponse.close": "",
    "Proxy": "host, auth=None",
    "Timeouts": "sock_connect=5, sock_read=30, pool_acquire=None, request_timeout=60",
    "TCPConnector": """pool_size=25, timeouts=None, connection_cls=None, pool_cls=None, resolver=None, ttl_dns_cache=10000,
        use_dns_cache=True, conn_max_requests=100, *, pool_size_per_host=None, keepalive_timeout=15.0, ssl=None, local_addr=None,
        uds=None, happy_eyeballs_delay=0.25, connect_to=None""",
    "SmartPool": "connector, pool_size=25, connection_cls=None",
    "SmartPool.acquire": "urlparsed=None",
    "SmartPool.release": "conn",
    "SmartPool.cleanup": "",
    "SmartPool.free_conns": "",
    "SmartPool.is_all_free": "",
    "CyclicQueuePool": "connector, pool_size=25, connection_cls=None",
    "CyclicQueuePool.acquire": "urlparsed=None",
    "AsyncResolver": "nameservers=None",
    "AsyncResolver.resolve": "host, port=0, family=AF_INET",
    "AsyncResolver.close": "",
    "ThreadedResolver": "",
    "ThreadedResolver.resolve": "host, port=0, family=AF_INET",
    "ThreadedResolver.close": "",
    "BasicAuth": "user, password=''",
    "BearerAuth": "token",
    "DigestAuth": "user, password",
    "NetrcAuth": "file=None",
    "MultipartForm": "",
    "MultipartForm.add_field": "name, value, filename=None, content_type=None, headers=None",
    "MultipartForm.add_file": "name, file_path, filename=None, content_type=None",
    "MultipartForm.get_buffer": "",
    "MultipartForm.get_body_size": "",
    "MultipartForm.get_headers": "size=None",
}

# Parameters that this version does not have yet: HTTP/2 comes later.
LATER = {
    "HTTPClient": {"http2"},
}

# Parameters beyond those: all of them must have a default.
BEYOND = {
    "TCPConnector": {"family", "interleave", "limits", "max_dns_cache", "socket_factory"},
    "Timeouts": {"ceil_threshold", "connect", "whole_body"},
    "HTTPClient": {"network_middlewares", "observers"},
    "Proxy": {"headers", "ssl"},
    "DigestAuth": {"qop"},
    "HTTPClient.request": {"max_redirects", "retries"},
    "HTTPClient.events": {
        "follow",
        "heartbeat",
        "last_event_id",
        "max_event",
        "max_line",
        "max_reconnects",
        "max_wait",
        "method",
        "reconnect",
        "reconnection_time",
    },
    "HTTPClient.download": {"attempts", "digest", "fsync", "overwrite", "size"},
    "HttpResponse.iter_text": {"encoding"},
}


RESPONSE_ATTRIBUTES = """
    status_code reason ok headers raw_headers cookies url history request http_version content_type charset content_length chunked
    links trailers elapsed
"""


def public(path: str) -> Any:
    found: Any = wirebird
    for name in path.split("."):
        found = getattr(found, name)
    return found


def read_signature(text: str) -> dict[str, str | None]:
    """The parameters and their defaults, None where there is none; keyword-only ones have a `*` in front of their name."""
    arguments = ast.parse(f"def f({text}): pass").body[0].args  # type: ignore[attr-defined]
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + [ast.unparse(value) for value in arguments.defaults]
    found: dict[str, str | None] = dict(zip([one.arg for one in positional], defaults, strict=True))
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found[f"*{one.arg}"] = None if default is None else ast.unparse(default)
    return found


def show_default(value: Any) -> str | None:
    if value is inspect.Parameter.empty:
        return None
    if value in (json.dumps, json.loads):
        return f"json.{value.__name__}"
    return getattr(value, "name", None) or repr(value)


def actual_signature(path: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for parameter in inspect.signature(public(path)).parameters.values():
        if parameter.name == "self" or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        star = "*" if parameter.kind is parameter.KEYWORD_ONLY else ""
        found[star + parameter.name] = show_default(parameter.default)
    return found


def test_the_public_names_are_these() -> None:
    assert sorted(wirebird.__all__) == sorted(NAMES.split())
    assert sorted(wirebird.__all__) == wirebird.__all__


@pytest.mark.parametrize("name", sorted(NAMES.split()))
def test_every_public_name_can_be_imported(name: str) -> None:
    value = getattr(wirebird, name)
    assert value is not None
    assert name in dir(wirebird)
    if name != "__version__":
        home = import_module(value.__module__)
        assert getattr(home, name) is value
        assert name in home.__all__


def test_the_public_names_for_tests_are_these() -> None:
    assert wirebird.testing.__all__ == TESTING_NAMES.split()
    for name in TESTING_NAMES.split():
        value = getattr(wirebird.testing, name)
        assert name in import_module(value.__module__).__all__


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        wirebird.no_such_name


def test_a_star_import_gives_all_of_them() -> None:
    program = "from wirebird import *; import wirebird; print(sorted(set(wirebird.__all__) - set(globals())))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "[]\n"


@pytest.mark.parametrize("path", SIGNATURES)
def test_signatures_are_frozen(path: str) -> None:
    planned, actual = read_signature(SIGNATURES[path]), actual_signature(path)
    later = LATER.get(path, set())
    assert later <= {name.lstrip("*") for name in planned}
    assert not later & {name.lstrip("*") for name in actual}, "no longer to come: take it off the list"
    planned = {name: default for name, default in planned.items() if name.lstrip("*") not in later}
    for name in BEYOND.get(path, ()):
        assert actual.pop(f"*{name}" if f"*{name}" in actual else name) is not None
    assert [name for name in actual if name[0] != "*"] == [name for name in planned if name[0] != "*"]
    assert actual == planned


@pytest.mark.parametrize("verb", ["get", "head", "options", "post", "put", "patch", "delete"])
def test_a_verb_takes_every_keyword_of_request(verb: str) -> None:
    client = wirebird.HTTPClient()
    everything = {
        name.lstrip("*"): None for name in actual_signature("HTTPClient.request") if name not in ("url", "method", "self")
    }
    everything |= {"multipart": False, "verify": True, "http2": False}  # type: ignore[dict-item]
    call = getattr(client, verb)("http://example.org/", **everything)
    assert call.method == verb.upper()
    call.close()


def test_a_response_has_these_attributes() -> None:
    for name in RESPONSE_ATTRIBUTES.split():
        assert hasattr(wirebird.HttpResponse, name), name


def test_every_module_says_what_is_public() -> None:
    without = [
        source.name
        for source in sources()
        if source.path.name != "__init__.py"
        and not any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" for node in source.tree.body)
    ]
    assert without == []


def test_everything_in_all_exists() -> None:
    for source in sources():
        module = import_module(source.name)
        for name in getattr(module, "__all__", ()):
            assert hasattr(module, name), f"{source.name}.{name}"


def test_everything_public_has_a_docstring() -> None:
    """Read from the source, where `python -OO` leaves them."""
    without = []
    for source in sources():
        if ast.get_docstring(source.tree) is None:
            without.append(source.name)
        names = set(getattr(import_module(source.name), "__all__", ()))
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name in names:
                without += [f"{source.name}.{name}" for name in _undocumented(node)]
    assert without == []


def _undocumented(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    found = [] if ast.get_docstring(node) else [node.name]
    if not isinstance(node, ast.ClassDef) or node.name not in {*wirebird.__all__, *wirebird.testing.__all__}:
        return found
    methods = [method for method in node.body if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)]
    setters = [method for method in methods for mark in method.decorator_list if ast.unparse(mark).endswith(".setter")]
    return found + [
        f"{node.name}.{method.name}"
        for method in methods
        if method.name[0] != "_" and method not in setters and not ast.get_docstring(method)
    ]


def test_no_name_of_web_is_that_of_one_of_its_files():
    """Whoever imported the file first would find it in place of what has its name."""
    from wirebird import web

    files = {path.stem for path in Path(web.__file__).parent.glob("*.py")}
    assert files & set(web.__all__) == set()
