"""Servers that others made and that ask for credentials: Apache httpd, lighttpd, httpbin under wsgiref.  All end with the test.

    with apache() as base: ...      http://127.0.0.1:port; /digest /once and /basic want `user` and `secret`
    with lighttpd() as base: ...    /hashed (SHA-256, userhash) and /both (MD5 and SHA-256) want the same
    with httpbin() as base: ...     the endpoints of httpbin.org

Each skips with a reason where the machine does not have it.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["REALM", "apache", "httpbin", "lighttpd"]

REALM = "members, \u201conly\u201d"

APACHE = shutil.which("apache2") or shutil.which("httpd") or shutil.which("apache2", path="/usr/sbin:/usr/local/sbin")
MODULES = [
    "mpm_event",
    "authn_core",
    "authn_file",
    "authz_core",
    "authz_user",
    "auth_digest",
    "auth_basic",
    "dav",
    "dav_fs",
]  # fmt: skip
FOLDERS = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/libexec/apache2", "/usr/local/apache2/modules")

CONFIGURATION = """
ServerRoot {root}
ServerName localhost
PidFile {root}/pid
DavLockDB {root}/var/locks
Listen 127.0.0.1:{port}
ErrorLog /dev/stderr
LogLevel notice
StartServers 1
ThreadsPerChild 8
MinSpareThreads 1
MaxSpareThreads 8
MaxRequestWorkers 8
DocumentRoot {root}/www
<Directory {root}/www>
    AuthName "{realm}"
    Require valid-user
</Directory>
<Location /digest>
    AuthType Digest
    AuthDigestQop auth
    AuthDigestNonceLifetime 300
    AuthDigestDomain /digest/ http://elsewhere.example/
    AuthUserFile {root}/digest.users
    Dav On
</Location>
<Location /once>
    AuthType Digest
    AuthDigestNonceLifetime 1
    AuthUserFile {root}/digest.users
</Location>
<Location /basic>
    AuthType Basic
    AuthUserFile {root}/basic.users
</Location>
"""


@contextmanager
def apache() -> Iterator[str]:
    """The base URL of an Apache httpd of its own."""
    folder = next((Path(one) for one in FOLDERS if (Path(one) / "mod_auth_digest.so").exists()), None)
    if APACHE is None or folder is None:
        pytest.skip("Apache httpd with mod_auth_digest is not installed")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)  # its workers are somebody else when it is started by root
        for place in ("var", "www", "www/digest", "www/once", "www/basic"):
            (root / place).mkdir()
        for place in ("var", "www/digest"):
            (root / place).chmod(0o777)
        for place in ("digest", "once", "basic"):
            (root / "www" / place / "page").write_bytes(place.encode())
        key = hashlib.md5(f"user:{REALM}:secret".encode()).hexdigest()
        (root / "digest.users").write_text(f"user:{REALM}:{key}\n", "utf-8")
        (root / "basic.users").write_text(f"user:{{SHA}}{base64.b64encode(hashlib.sha1(b'secret').digest()).decode()}\n")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        lines = [f"LoadModule {one}_module {folder}/mod_{one}.so" for one in MODULES]
        if os.geteuid() == 0:
            known = {entry.pw_name for entry in pwd.getpwall()}
            lines.append(f"User {'www-data' if 'www-data' in known else 'nobody'}")
        text = CONFIGURATION.format(root=root, port=port, realm=REALM.replace('"', '\\"'))
        (root / "httpd.conf").write_text("\n".join(lines) + text, "utf-8")
        command = [APACHE, "-f", str(root / "httpd.conf"), "-DFOREGROUND"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        with _until(process, "resuming normal operations"):
            yield f"http://127.0.0.1:{port}"


LIGHTTPD = shutil.which("lighttpd") or shutil.which("lighttpd", path="/usr/sbin:/usr/local/sbin")

LIGHTTPD_CONFIGURATION = """
server.document-root = "{root}/www"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ("mod_auth", "mod_authn_file")
auth.backend = "htdigest"
auth.backend.htdigest.userfile = "{root}/users"
auth.require = (
    "/hashed/" => ("method" => "digest", "realm" => "r", "require" => "valid-user", "algorithm" => "SHA-256",
        "userhash" => "enable"),
    "/both/" => ("method" => "digest", "realm" => "r", "require" => "valid-user", "algorithm" => "MD5|SHA-256"))
"""


@contextmanager
def lighttpd() -> Iterator[str]:
    """The base URL of a lighttpd of its own."""
    if LIGHTTPD is None:
        pytest.skip("lighttpd is not installed")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for place in ("hashed", "both"):
            (root / "www" / place).mkdir(parents=True)
            (root / "www" / place / "page").write_bytes(place.encode())
        sha, md5 = (lambda text: hashlib.sha256(text).hexdigest()), (lambda text: hashlib.md5(text).hexdigest())
        pair = b"user:r:secret"
        (root / "users").write_text(f"user:r:{sha(pair)}:{sha(b'user:r')}\nuser:r:{md5(pair)}\n")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        (root / "conf").write_text(LIGHTTPD_CONFIGURATION.format(root=root, port=port))
        modules = Path(LIGHTTPD).parents[1] / "lib" / "lighttpd"
        command = [LIGHTTPD, "-D", "-f", str(root / "conf"), *(["-m", str(modules)] if modules.is_dir() else [])]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        with _until(process, "server started"):
            yield f"http://127.0.0.1:{port}"


WSGI = """
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server
from httpbin import app

class Quiet(WSGIRequestHandler):
    wbufsize = -1  # a response as one: the examples let go of some unread, and aiohttp complains if the body is still on its way

    def log_message(self, *arguments):
        pass

server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
print("listens at", server.server_port, file=sys.stderr, flush=True)
server.serve_forever()
"""


@contextmanager
def httpbin() -> Iterator[str]:
    """The base URL of an httpbin of its own."""
    if importlib.util.find_spec("httpbin") is None:
        pytest.skip("httpbin is not installed")
    # It is not ours to have it free of warnings.
    env = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONDEVMODE": ""}
    process = subprocess.Popen([sys.executable, "-c", WSGI], stderr=subprocess.PIPE, text=True, env=env)
    with _until(process, "listens at") as line:
        yield f"http://127.0.0.1:{line.split()[-1]}"


@contextmanager
def _until(process: subprocess.Popen[str], word: str) -> Iterator[str]:
    """Wait until `process` says `word`; the line is given.  End it behind."""
    stream = process.stderr
    assert stream is not None
    lines: list[str] = []
    try:
        for line in stream:
            lines.append(line)
            if word in line:
                break
        else:
            pytest.fail(f"{process.args!r} did not start: {''.join(lines)}")
        reading = threading.Thread(target=stream.read)
        reading.start()
        try:
            yield lines[-1]
        finally:
            process.terminate()
            process.wait(10)
            reading.join(10)
    finally:
        process.kill()
        process.wait(10)
        stream.close()
