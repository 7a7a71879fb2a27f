"""The servers of one run, their files, and the certificate that every contender is told to trust."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .cores import pin_to
from .limits import raise_open_files
from .loops import fastest_loop
from .nginx import configuration, find_nginx, free_ports, nginx_version
from .workloads import HUGE, LARGE

__all__ = ["Origin"]


class Origin:
    """A context manager: nginx (if there is one) and the embedded server, both on the server's core.

    `urls` maps the targets of the workloads; `authority` is the path of the trusted certificate, `None` without trustme;
    `upload` is the path of a file of 100 MB; `description` says what serves.
    """

    def __init__(self, core: int | None, *, use_nginx: bool = True, loop: str | None = None) -> None:
        self.core = core
        self.urls: dict[str, str] = {}
        self.authority: str | None = None
        self.upload = ""
        self.description = ""
        self._loop = loop or fastest_loop()
        self._nginx = find_nginx() if use_nginx else None
        self._processes: list[subprocess.Popen[bytes]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="wirebird-bench-", ignore_cleanup_errors=True)

    def __enter__(self) -> Self:
        try:
            self._start(Path(self._folder.name))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    def _start(self, prefix: Path) -> None:
        prefix.chmod(0o755)  # nginx's worker is another user when its master is root
        files = prefix / "files"
        files.mkdir()
        for name, size in (("1mb", LARGE), ("100mb", HUGE)):
            piece = os.urandom(size // 100)
            with open(files / name, "wb") as file:
                for _ in range(101):
                    file.write(piece)
                file.truncate(size)
        self.upload = str(files / "100mb")
        certificate = self._make_certificate(prefix)
        ports = self._start_embedded(certificate)
        embedded = f"http://127.0.0.1:{ports['http']}"
        secure = f"https://127.0.0.1:{ports['https']}" if "https" in ports else ""
        main = embedded
        self.description = f"embedded asyncio server on {self._loop}"
        if self._nginx:
            main, secure = self._start_nginx(prefix, certificate)
            self.description = (
                f"{nginx_version(self._nginx)}, one worker; {self.description} for POST, idle connections, events and WebSockets"
            )
        self.urls = {name: f"{main}/{name}" for name in ("small", "varying", "1mb", "100mb")}
        self.urls |= {"idle": f"{embedded}/small"} | {
            name: f"{embedded}/{name}" for name in ("echo", "upload", "hold", "open", "events")
        }
        self.urls |= {
            f"ws_{name}": f"{embedded}/ws/{name}".replace("http", "ws", 1) for name in ("echo_64", "echo_64k", "receive", "send")
        }
        if secure:
            self.urls["tls"] = f"{secure}/small"

    def _make_certificate(self, prefix: Path) -> str | None:
        try:
            import trustme
        except ModuleNotFoundError:
            return None
        authority = trustme.CA()
        self.authority = str(prefix / "authority.pem")
        authority.cert_pem.write_to_path(self.authority)
        certificate = str(prefix / "certificate.pem")
        authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
        return certificate

    def _start_embedded(self, certificate: str | None) -> dict[str, Any]:
        command = [sys.executable, "-m", "bench.server", self._loop, *([certificate] if certificate else [])]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=pin_to(self.core), start_new_session=True
        )
        self._processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the embedded server did not start, exit status {process.wait(10)}")
        return dict(json.loads(line))

    def _start_nginx(self, prefix: Path, certificate: str | None) -> tuple[str, str]:
        http, https = free_ports(2)
        path = prefix / "nginx.conf"
        path.write_text(configuration(prefix, http, https, certificate, raise_open_files()), "ascii")
        process = subprocess.Popen(
            [str(self._nginx), "-p", str(prefix), "-c", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=pin_to(self.core),
            start_new_session=True,
        )
        self._processes.append(process)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", http), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    complaint = process.communicate()[1].decode("utf-8", "replace").strip()
                    raise RuntimeError(f"nginx did not start: {complaint}") from None
                time.sleep(0.02)
        return f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}" if certificate else ""

    def stop(self) -> None:
        """End the servers, each by its own process group, and remove the files."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # the group was made with the process and holds only its children
                process.wait(5)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        self._processes.clear()
        self._folder.cleanup()
