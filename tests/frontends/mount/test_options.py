"""-o as mount(8) hands it on, and the kernel's list of mounts."""

from __future__ import annotations

import pytest

from packetfs.errors import UsageError
from packetfs.frontends.mount.fstab import main
from packetfs.frontends.mount.mounted import find_mount, mounts
from packetfs.frontends.mount.options import MountOptions, parse_options


def test_words_of_fstab_are_understood() -> None:
    words = "rw,noatime,allow_other,_netdev,nofail,x-systemd.automount,default_permissions"
    assert parse_options([words]) == MountOptions(2 | 4 | 1024, allow_other=True)
    assert parse_options(["defaults,suid,dev"]).flags == 0
    assert parse_options(["nosymfollow,lazytime,norelatime,diratime"]).flags == 2 | 4 | 256 | 1 << 25
    assert parse_options([]).flags == 2 | 4


def test_a_snapshot_is_read_only_whatever_else_is_said() -> None:
    options = parse_options(["snapshot=mon=day", "rw"])
    assert (options.snapshot, options.read_only, options.flags & 1) == (b"mon=day", True, 1)


@pytest.mark.parametrize("word", ["nonsense", "snapshot", "snapshot=", "ro=1"])
def test_unknown_words_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match=word):
        parse_options([word])


def test_who_remounts_is_told_what_does_that() -> None:
    with pytest.raises(UsageError, match=r"remount: .*`pfs umount DIR`, then mount"):
        parse_options(["remount,ro"])


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_the_helper_of_mount_8_says_how_it_is_called(capfd: pytest.CaptureFixture[str], word: str) -> None:
    assert main(["/nowhere", word]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("usage: mount.packetfs POOL DIR [-o WORDS]\n")
    assert err == ""


def test_mounts_are_read_from_the_kernels_list(tmp_path: object) -> None:
    table = f"{tmp_path}/mountinfo"
    with open(table, "wb") as file:
        file.write(
            b"22 1 8:1 / / rw - ext4 /dev/sda rw\n"
            b"50 22 0:44 / /nowhere/a\\040b rw,nosuid shared:1 - fuse.packetfs /pools/my\\134pool rw,user_id=0\n"
            b"51 22 0:45 / /nowhere/c rw - fuse.sshfs host: rw\n"
            b"broken\n"
            b"52 22 0:46 / /nowhere/a\\040b rw - fuse.packetfs /pools/second rw\n"
        )
    assert [(mount.directory, mount.pool, mount.device) for mount in mounts(table)] == [
        (b"/nowhere/a b", b"/pools/my\\pool", "0:44"),
        (b"/nowhere/a b", b"/pools/second", "0:46"),
    ]
    found = find_mount("/nowhere/a b", table)
    assert found is not None
    assert found.pool == b"/pools/second"
    assert find_mount("/nowhere/c", table) is None
