"""FUSE, GPU and network: what single features need."""

from __future__ import annotations

import os
import re
import shutil
import socket

from packetfs.frontends.doctor.verdict import Need, Verdict
from packetfs.typing import Final

_MODULE: Final = re.compile(r"(?:Kernel Module|NVRM version:.*?)\s+(\d+\.\d+(?:\.\d+)?)")


def check_fuse(device: str = "/dev/fuse", root: bool | None = None) -> Verdict:
    """What a mount needs: the device, and for users fusermount3."""
    root = os.geteuid() == 0 if root is None else root
    tool = shutil.which("fusermount3")
    if not os.path.exists(device):
        advice = "Run as root: modprobe fuse (in a container: --device /dev/fuse)."
        return Verdict("fuse", Need.OPTIONAL, False, f"no {device}", advice)
    if not os.access(device, os.R_OK | os.W_OK):
        return Verdict("fuse", Need.OPTIONAL, False, f"{device} is not open to you", f"Run as root: chmod 666 {device}")
    if tool is None and not root:
        return Verdict("fuse", Need.OPTIONAL, False, f"{device}, no fusermount3", "Run as root: apt install fuse3")
    return Verdict("fuse", Need.OPTIONAL, True, f"{device}, {tool or 'no fusermount3 (root needs none)'}")


def check_gpu(devices: str = "/dev", driver: str = "/proc/driver/nvidia/version") -> Verdict:
    """An NVIDIA device with its driver."""
    nodes = _gpu_nodes(devices)
    version = _driver_version(driver)
    if not nodes:
        found = f"no device{f', driver {version}' if version else ''}"
        return Verdict("gpu", Need.OPTIONAL, False, found, "Nothing to do: programs run on the processor.")
    if not version:
        return Verdict("gpu", Need.OPTIONAL, False, f"{len(nodes)} devices, no driver", "Install NVIDIA's driver.")
    return Verdict("gpu", Need.OPTIONAL, True, f"{len(nodes)} NVIDIA, driver {version}")


def _gpu_nodes(devices: str) -> list[str]:
    try:
        return [name for name in os.listdir(devices) if re.fullmatch(r"nvidia\d+", name)]
    except OSError:
        return []


def _driver_version(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as lines:
            match = _MODULE.search(lines.readline())
    except OSError:
        return ""
    return match[1] if match else "of unknown version"


def check_loopback() -> Verdict:
    """This machine can talk to itself."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(5)
            with socket.create_connection(server.getsockname(), timeout=5):
                server.accept()[0].close()
    except OSError as error:
        return Verdict("network", Need.OPTIONAL, False, f"127.0.0.1: {error}", "Run as root: ip link set lo up")
    return Verdict("network", Need.OPTIONAL, True, "127.0.0.1 answers")


def check_ssh() -> Verdict:
    """The client that reaches other machines."""
    path = shutil.which("ssh")
    purpose = "other machines (`pfs sync DIR HOST:DIR`, `pfs run --node HOST`)"
    advice = f"For {purpose}: apt install openssh-client, or name another command with `-e`."
    return Verdict("ssh", Need.ADVISED, path is not None, f"{path}, for {purpose}" if path else "not installed", advice)
