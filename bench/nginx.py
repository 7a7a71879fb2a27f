"""nginx as the server that is not the bottleneck: one worker, a prefix of its own, loopback only."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

from .workloads import SMALL_BODY

__all__ = ["configuration", "find_nginx", "free_ports", "nginx_version"]

_CONFIGURATION = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {prefix}/nginx.pid;
error_log {prefix}/error.log crit;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    sendfile on;
    sendfile_max_chunk 0;
    open_file_cache max=10;
    default_type application/json;
    server {{
        listen 127.0.0.1:{http} backlog=4096;
        {tls}
        root {prefix}/files;
        location = /small {{
            add_header Cache-Control no-cache;
            add_header Vary Accept-Encoding;
            add_header X-Frame-Options DENY;
            add_header X-Content-Type-Options nosniff;
            return 200 '{body}';
        }}
        location = /varying {{
            add_header Cache-Control no-cache;
            add_header Vary Accept-Encoding;
            add_header X-Frame-Options DENY;
            add_header X-Content-Type-Options nosniff;
            add_header X-Request-Id $request_id;
            add_header ETag '"$request_id"';
            add_header X-Trace "$request_id;$msec";
            return 200 '{body}';
        }}
    }}
}}
"""
_TLS = "listen 127.0.0.1:{https} ssl backlog=1024; ssl_certificate {certificate}; ssl_certificate_key {certificate};"


def find_nginx() -> str | None:
    """The nginx executable, which may lie outside an ordinary user's path."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")


def nginx_version(executable: str) -> str:
    """Such as `nginx/1.22.1`."""
    answer = subprocess.run([executable, "-v"], capture_output=True, text=True, timeout=10, check=False)
    return (answer.stderr or answer.stdout).strip().rpartition(" ")[2]


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that are free now."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [listener.getsockname()[1] for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()


def configuration(prefix: Path, http: int, https: int, certificate: str | None, files: int) -> str:
    """The text of nginx.conf; `certificate` is a PEM file with the key, the leaf and its chain."""
    tls = _TLS.format(https=https, certificate=certificate) if certificate else ""
    body = SMALL_BODY.decode("ascii")
    return _CONFIGURATION.format(
        prefix=prefix, http=http, tls=tls, body=body, files=files, connections=max(256, min(files - 64, 16384))
    )
