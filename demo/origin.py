"""The server's process: started, and ended by its own id."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import which
from types import TracebackType
from typing import Self

__all__ = ["Origin"]


class Origin:
    """A context manager around the server's process.

    `http` is the URL of its root, `https` that of its TLS twin, empty without a certificate; `authority` is the path of the
    certificate to trust, and `no_tls` says why there is none.  `files` is a folder that is removed at the end.
    """

    def __init__(self, loop: str) -> None:
        self.http = self.https = self.authority = self.no_tls = ""
        self._loop = loop
        self._folder = tempfile.TemporaryDirectory(prefix="wirebird-demo-")
        self._process: subprocess.Popen[str] | None = None

    @property
    def files(self) -> Path:
        """Where the demo may write."""
        return Path(self._folder.name)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    def _start(self) -> None:
        certificate = make_certificate(self.files)
        command = [sys.executable, "-m", "demo.server", self._loop]
        if certificate is None:
            self.no_tls = "neither trustme nor openssl is here to make a certificate"
        else:
            self.authority = str(certificate[0])
            command.append(str(certificate[1]))
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise RuntimeError(f"the server of the demo did not start; exit status {self._process.wait(10)}")
        ports = json.loads(line)
        self.http = f"http://127.0.0.1:{ports['http']}"
        self.https = f"https://localhost:{ports['https']}" if "https" in ports else ""

    def stop(self) -> None:
        """End the server, and remove the files."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        self._folder.cleanup()


def make_certificate(folder: Path) -> tuple[Path, Path] | None:
    """A certificate for this machine: the file to trust, and the one with key and chain.  None if nothing here can make one."""
    authority, own = folder / "authority.pem", folder / "own.pem"
    try:
        import trustme
    except ImportError:
        return (own, own) if _by_openssl(folder, own) else None
    maker = trustme.CA()
    maker.cert_pem.write_to_path(str(authority))
    maker.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(own))
    return authority, own


def _by_openssl(folder: Path, own: Path) -> bool:
    openssl = which("openssl")
    if openssl is None:
        return False
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    if subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False).returncode:
        return False
    own.write_bytes(key.read_bytes() + certificate.read_bytes())
    return True
