"""Mounts as such: make one, take it away, see which there are. Root uses mount(2); others get help of fusermount3."""

from __future__ import annotations

import array
import ctypes
import errno
import os
import socket
import stat
import subprocess

from packetfs.errors import MountFailed, MountMissing, MountRefused
from packetfs.frontends.mount.mounted import TYPE, Mounted
from packetfs.frontends.mount.options import FLAGS, MountOptions
from packetfs.typing import Final

DEVICE: Final = "/dev/fuse"
_HELPER: Final = "fusermount3"
_DETACH: Final = 2
_NO_FOLLOW: Final = 8


def attach(source: str, directory: str, options: MountOptions) -> int:
    """Mount on a directory and return the descriptor that the kernel's requests come from."""
    if not os.path.exists(DEVICE):
        raise MountMissing(what=DEVICE)
    if os.geteuid() == 0:
        return _attach_as_root(source, directory, options)
    return _attach_by_helper(source, directory, options)


def detach(directory: str, *, lazy: bool = False) -> None:
    """Take a mount away; OSError EBUSY where something still uses it, unless `lazy`."""
    if os.geteuid() != 0:
        _detach_by_helper(directory, lazy)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(directory), _NO_FOLLOW | (_DETACH if lazy else 0)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), directory)


def raise_readahead(mounted: Mounted, size: int) -> None:
    """Let the kernel read further ahead than 128 KiB; only root may, others keep what there is."""
    try:
        with open(f"/sys/class/bdi/{mounted.device}/read_ahead_kb", "w", encoding="ascii") as knob:
            knob.write(str(size // 1024))
    except OSError:
        return


def _attach_as_root(source: str, directory: str, options: MountOptions) -> int:
    device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    mode = stat.S_IFMT(os.stat(directory).st_mode)
    words = f"fd={device},rootmode={mode:o},user_id={os.getuid()},group_id={os.getgid()},default_permissions"
    words += ",allow_other" if options.allow_other else ""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = ctypes.c_ulong(options.flags)
    if libc.mount(os.fsencode(source), os.fsencode(directory), TYPE, flags, words.encode("ascii")):
        code = ctypes.get_errno()
        os.close(device)
        raise MountFailed(path=directory, reason=os.strerror(code).lower())
    return device


def _attach_by_helper(source: str, directory: str, options: MountOptions) -> int:
    """Let fusermount3, which is setuid, mount; it hands the descriptor over a socket."""
    words = [name for name, (bit, is_set) in FLAGS.items() if is_set and options.flags & bit]
    words += ["default_permissions", "subtype=packetfs", f"fsname={_escaped(source)}"]
    words += ["allow_other"] if options.allow_other else []
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        environment = {**os.environ, "_FUSE_COMMFD": str(theirs.fileno())}
        command = [_HELPER, "-o", ",".join(words), "--", directory]
        done = _call(command, env=environment, pass_fds=(theirs.fileno(),))
        theirs.close()
        if done.returncode:
            reason = done.stderr.strip().removeprefix(f"{_HELPER}: ") or f"{_HELPER} failed"
            raise MountRefused(path=directory, reason=reason)
        return _receive(ours, directory)


def _receive(ours: socket.socket, directory: str) -> int:
    ours.settimeout(10)
    _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS and len(content) >= 4:
            device = array.array("i", content[:4])[0]
            os.set_inheritable(device, False)
            return device
    raise MountFailed(path=directory, reason=f"{_HELPER} handed over no descriptor")


def _detach_by_helper(directory: str, lazy: bool) -> None:
    done = _call([_HELPER, "-u", *(["-z"] if lazy else []), "--", directory])
    if done.returncode:
        busy = "busy" in done.stderr
        raise OSError(errno.EBUSY if busy else errno.EPERM, done.stderr.strip() or f"{_HELPER} failed", directory)


def _call(
    command: list[str], env: dict[str, str] | None = None, pass_fds: tuple[int, ...] = ()
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, env=env, pass_fds=pass_fds, capture_output=True, text=True, check=False)  # noqa: S603  # its name is constant, its words are a list
    except FileNotFoundError:
        raise MountMissing(what=_HELPER) from None


def _escaped(text: str) -> str:
    """Commas and backslashes separate and escape options of the helper."""
    return text.replace("\\", "\\\\").replace(",", "\\,")
