"""Apache httpd as a forward proxy, with a generated configuration.

    with ProxyingApache(folder, auth="user:word", certificate=pem) as apache:
        apache.ports["https", True]         the port that wants TLS and credentials

`folder` is one that others may enter, for httpd gives up being root.  `certificate` is a file with a key and its chain.  There
are four ports: http or https, with or without credentials.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from pathlib import Path

from daemons import Daemon, free_ports

__all__ = ["MODULES", "ProxyingApache", "is_installed"]

APACHE = shutil.which("apache2") or shutil.which("apache2", path="/usr/sbin:/usr/local/sbin")
MODULES = Path("/usr/lib/apache2/modules")
_WANTED = (
    *("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic"),
    *("proxy", "proxy_http", "proxy_connect", "ssl"),
)

_TOP = """
ServerRoot "{folder}"
ServerName localhost
PidFile "{folder}/httpd.pid"
DefaultRuntimeDir "{folder}"
ErrorLog "{folder}/error.log"
StartServers 1
ServerLimit 1
ThreadsPerChild 16
MaxRequestWorkers 16
KeepAliveTimeout 30
ProxyRequests On
AllowCONNECT 1-65535
"""
_HOST = """
Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
{tls}
<Proxy "*">
{access}
</Proxy>
</VirtualHost>
"""
_TLS = """SSLEngine on
SSLCertificateFile "{certificate}\""""
_AUTH = """AuthType Basic
AuthName "proxy"
AuthBasicProvider file
AuthUserFile "{folder}/users"
Require valid-user"""


def is_installed() -> bool:
    """Whether there is an httpd with the modules that are needed."""
    return APACHE is not None and all((MODULES / f"mod_{name}.so").exists() for name in _WANTED)


class ProxyingApache:
    """One httpd with four virtual hosts; `ports` is keyed by scheme and whether credentials are wanted."""

    def __init__(self, folder: Path, *, auth: str, certificate: Path) -> None:
        self.folder = folder
        kinds = [(scheme, wanted) for scheme in ("http", "https") for wanted in (False, True)]
        self.ports = dict(zip(kinds, free_ports(len(kinds)), strict=True))
        user, _, password = auth.partition(":")
        digest = base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()
        (folder / "users").write_text(f"{user}:{{SHA}}{digest}\n")
        lines = [f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in _WANTED]
        if os.getuid() == 0:
            lines += ["User www-data", "Group www-data"]
            folder.chmod(0o755)
        lines.append(_TOP.format(folder=folder))
        for (scheme, wanted), port in self.ports.items():
            tls = _TLS.format(certificate=certificate) if scheme == "https" else ""
            access = _AUTH.format(folder=folder) if wanted else "Require all granted"
            lines.append(_HOST.format(port=port, tls=tls, access=access))
        (folder / "httpd.conf").write_text("\n".join(lines))
        command = [str(APACHE), "-f", str(folder / "httpd.conf"), "-DFOREGROUND"]
        self._daemon = Daemon(command, list(self.ports.values()), folder / "output.log")

    def __enter__(self) -> ProxyingApache:
        self._daemon.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._daemon.__exit__()
