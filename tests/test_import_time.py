"""What an import costs, counted in modules: seconds depend on the machine, modules do not."""

from __future__ import annotations

import json
import subprocess
import sys

# What a plain GET does not need.  Left of the dot or whole.
NOT_LOADED = {
    *("wirebird.web", "wirebird.server", "wirebird.cli", "wirebird.testing", "wirebird.compat", "wirebird.client.middleware"),
    *("wirebird.client.content", "wirebird.client.forms", "wirebird.client.sources", "wirebird.models.cookies"),
    *("wirebird.protocol.multipart", "wirebird.protocol.multipart_reader", "wirebird.net.cookie_file"),
    *("wirebird.client.download", "wirebird.client.partial", "wirebird.client.progress", "wirebird.client.response_source"),
    *("wirebird.client.websocket", "wirebird.client.upgraded", "wirebird.net.websocket", "wirebird.protocol.websocket"),
    *("wirebird.client.upload", "wirebird.protocol.ranges", "tqdm"),
    *("aiodns", "aiohappyeyeballs", "backports", "brotli", "brotlicffi", "certifi", "charset_normalizer", "compression"),
    *("email", "h11", "h2", "http", "mimetypes", "orjson", "publicsuffixlist", "pycares", "secrets", "tempfile", "uvloop"),
    *("zstandard",),
}
# Modules of wirebird itself, packages counted.  To be lowered when it can be, and raised with a reason.
IMPORT_ONLY = 2
CLIENT_AT_MOST = 41  # of which six were cut out of modules that are loaded anyway, numbers.py, reading.py, landing.py and others

PROGRAM = """
import json, sys
import wirebird
first = sorted(sys.modules)
wirebird.HTTPClient
print(json.dumps([first, sorted(sys.modules)]))
"""


def loaded() -> tuple[list[str], list[str]]:
    """The modules after `import wirebird`, and after the first look at `HTTPClient`, in a fresh interpreter."""
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    before, after = json.loads(run.stdout)
    return before, after


def baseline() -> set[str]:
    """What the interpreter loads by itself."""
    program = "import json, sys; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(run.stdout))


def own(modules: list[str]) -> list[str]:
    return [name for name in modules if name.partition(".")[0] == "wirebird"]


def unwanted(modules: list[str], besides: set[str]) -> list[str]:
    new = set(modules) - besides
    return sorted(name for name in new for bad in NOT_LOADED if name == bad or name.startswith(f"{bad}."))


def test_importing_the_package_loads_nothing() -> None:
    before, _ = loaded()
    assert own(before) == ["wirebird", "wirebird._version"]
    assert len(own(before)) == IMPORT_ONLY
    assert not {"asyncio", "ssl", "socket", "yarl", "multidict", "json"} & (set(before) - baseline())


def test_the_client_loads_what_a_plain_get_needs() -> None:
    _, after = loaded()
    assert unwanted(after, baseline()) == []
    assert len(own(after)) <= CLIENT_AT_MOST, own(after)
    assert {"wirebird.client.client", "wirebird.protocol.http1_parser", "wirebird.net.pool"} <= set(after)


def test_what_is_unwanted_would_be_found() -> None:
    assert unwanted(["http.cookies", "http", "httpx", "wirebird.web.app"], set()) == ["http", "http.cookies", "wirebird.web.app"]
    assert unwanted(["http"], {"http"}) == []
