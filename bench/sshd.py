"""An ssh daemon on this machine with keys and settings of its own, for as long as it is needed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

CIPHER = "aes128-gcm@openssh.com"
PATIENCE = 10.0

CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
{cipher}
Compression no
Subsystem sftp internal-sftp
AcceptEnv *
"""


class Sshd:
    """`ssh` is the command that reaches it: any host name will do."""

    def __init__(self, folder: Path, cipher: str = CIPHER) -> None:
        """Without a `cipher` the two sides agree on one, as they do unless somebody says otherwise."""
        self._program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if self._program is None:
            raise SystemExit("no sshd: tools/setup peers installs it")
        folder.mkdir(mode=0o700)
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        self.port = free_port()
        self._config = folder / "config"
        self._config.write_text(
            CONFIG.format(port=self.port, folder=folder, cipher=f"Ciphers {cipher}" if cipher else "")
        )
        options = [f"-oPort={self.port}", "-oHostName=127.0.0.1", f"-oIdentityFile={folder}/user"]
        options += ["-oIdentitiesOnly=yes", "-oStrictHostKeyChecking=no", f"-oUserKnownHostsFile={folder}/known"]
        options += ["-oLogLevel=ERROR", "-oControlPath=none", *([f"-oCiphers={cipher}"] if cipher else [])]
        self.ssh = ["ssh", "-F", "none", *options]

    def __enter__(self) -> Self:
        Path("/run/sshd").mkdir(exist_ok=True)
        self._process = subprocess.Popen(
            [str(self._program), "-D", "-e", "-f", str(self._config)], stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + PATIENCE
        while subprocess.run([*self.ssh, "host", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
            if time.monotonic() > until or self._process.poll() is not None:
                raise SystemExit("sshd does not answer")
            time.sleep(0.05)
        return self

    def settle(self) -> None:
        """Wait until no session is left, so that all that they took is counted."""
        until = time.monotonic() + PATIENCE
        while Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split():
            if time.monotonic() > until:
                raise SystemExit("a session does not end")
            time.sleep(0.01)

    def cpu(self) -> float:
        """Return the CPU seconds of the daemon and of all its sessions that have ended."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port
