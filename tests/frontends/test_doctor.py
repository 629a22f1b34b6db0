"""What `pfs doctor` says on machines that lack something."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from packetfs.accel import native
from packetfs.frontends.doctor import devices, software, storage, system
from packetfs.frontends.doctor.verdict import Need
from tests.frontends.command import Pfs, environment

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def test_this_machine_can_run_packetfs(pfs: Pfs) -> None:
    ended = pfs.good("doctor")
    assert ended.text.endswith("This machine can run PacketFS.\n")
    assert list(pfs.home.iterdir()) == []


def test_json(pfs: Pfs) -> None:
    *checks, last = pfs.good("doctor", "--json").records
    assert last == {"type": "verdict", "missing": 0}
    assert {record["type"] for record in checks} == {"check"}
    names = [record["name"] for record in checks]
    wanted = {"llvmlite", "pyarrow", "clang"} | {
        "kernel",
        "shared memory",
        "native core",
        "fuse",
        "gpu",
        "network",
        "ssh",
        "disk space",
        "python",
        "apsw",
    }
    assert wanted <= set(names)
    assert len(set(names)) == len(names)
    assert all(record["ok"] or record["advice"] for record in checks)


@pytest.mark.parametrize("module", ["blake3", "apsw"])
def test_a_missing_library_is_named_and_the_rest_examined(pfs: Pfs, module: str) -> None:
    (pfs.home / "sitecustomize.py").write_text(
        f"import sys\nclass Hide:\n    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n            raise ModuleNotFoundError(name, name=name)\n"
        f"sys.meta_path.insert(0, Hide())\n"
    )
    path = f"{environment(pfs.home)['PYTHONPATH']}:{pfs.home}"
    ended = pfs("doctor", PYTHONPATH=path)
    assert ended.code == 1
    assert re.search(rf"^MISSING {module} .*\n.*pip install '{module}>=", ended.text, re.MULTILINE)
    assert "network" in ended.text
    if module == "blake3":
        other = pfs("disasm", "sitecustomize.py", PYTHONPATH=path)
        assert (other.code, "pfs doctor" in other.err) == (17, True)


@pytest.mark.skipif(native is None, reason="there is no core")
def test_a_core_that_is_too_old_is_told(pfs: Pfs) -> None:
    (pfs.home / "sitecustomize.py").write_text("import packetfs._native as core\ndel core.find_least\n")
    path = f"{environment(pfs.home)['PYTHONPATH']}:{pfs.home}"
    ended = pfs("doctor", PYTHONPATH=path)
    assert ended.code == 1
    assert "older than this PacketFS: it lacks find_least\n" in ended.text
    other = pfs("disasm", "sitecustomize.py", PYTHONPATH=path)
    assert other.code == 17
    assert other.err.startswith(
        "pfs: The library packetfs._native cannot be loaded: it lacks find_least; install packetfs"
    )


@pytest.mark.skipif(native is None, reason="there is no core")
def test_the_stub_says_what_the_core_has() -> None:
    assert sorted(software.core_functions()) == [name for name in dir(native) if not name.startswith("_")]


@pytest.mark.parametrize(
    ("name", "release", "good"),
    [
        ("Linux", "6.18.44-x", True),
        ("Linux", "5.0.0", True),
        ("Linux", "4.19.0", False),
        ("Linux", "weird", False),
        ("Darwin", "23.1.0", False),
    ],
)
def test_kernel(name: str, release: str, good: bool) -> None:
    assert system.check_kernel(name, release).good is good


def test_shared_memory(tmp_path: Path) -> None:
    assert system.check_shared_memory(str(tmp_path), 1).good
    assert not system.check_shared_memory(str(tmp_path), 1 << 62).good
    lost = system.check_shared_memory(str(tmp_path / "lost"))
    assert not lost.good
    assert "tmpfs" in lost.advice


def test_memory(tmp_path: Path) -> None:
    table = tmp_path / "meminfo"
    table.write_text("MemTotal: 9 kB\nMemAvailable:    262144 kB\n")
    assert system.check_memory(str(table)).good
    assert not system.check_memory(str(table), 1 << 40).good
    assert not system.check_memory(str(tmp_path / "lost")).good


def test_python_and_versions() -> None:
    assert software.check_python().good
    assert not software.check_python((3, 10, 9)).good
    assert software.numbers("3.51.3.0") < software.numbers("3.54.1.0")
    assert software.numbers("1.0rc1") == (1, 0)
    assert not software.check_library("surely-not-there", "surely_not_there", "1").good


def test_the_least_versions_are_those_of_the_project() -> None:
    wanted = tomllib.loads(PROJECT.read_text())["project"]
    told = {name: minimum for name, _, minimum in (*software.LIBRARIES, software.ZSTD)}
    assert told == dict(re.findall(r"^([\w.-]+)>=([\d.]+)", "\n".join(wanted["dependencies"]), re.MULTILINE))
    assert wanted["requires-python"] == ">=" + ".".join(map(str, software.PYTHON_MIN))


def test_the_extras_are_those_of_the_project_and_say_what_they_give(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    assert {extra: [name] for name, _, extra, _ in software.EXTRAS} == {
        extra: [re.split("[>=]", each)[0] for each in needs] for extra, needs in wanted.items()
    }
    for name, module, extra, purpose in software.EXTRAS:
        there, lost = (
            software.check_extra(name, module, extra, purpose),
            software.check_extra(name, "no", extra, purpose),
        )
        assert (there.good, lost.good, lost.need) == (True, False, Need.OPTIONAL)
        assert purpose in there.found
        assert purpose in lost.advice
        assert f"'packetfs[{extra}]'" in lost.advice
    monkeypatch.setenv("PATH", "/nowhere")
    assert not software.check_clang().good
    assert "apt install clang" in software.check_clang().advice


def test_fuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "fuse"
    assert not devices.check_fuse(str(device)).good
    device.touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices.check_fuse(str(device), root=True).good
    assert "fuse3" in devices.check_fuse(str(device), root=False).advice


def test_gpu(tmp_path: Path) -> None:
    driver = tmp_path / "version"
    assert not devices.check_gpu(str(tmp_path), str(driver)).good
    (tmp_path / "nvidia0").touch()
    (tmp_path / "nvidiactl").touch()
    assert "driver" in devices.check_gpu(str(tmp_path), str(driver)).advice
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 23\n")
    assert devices.check_gpu(str(tmp_path), str(driver)).found == "1 NVIDIA, driver 570.86.15"
    driver.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build\n")
    assert devices.check_gpu(str(tmp_path), str(driver)).found == "1 NVIDIA, driver 565.57.01"


def test_network_and_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.check_loopback().good
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices.check_ssh().need is Need.ADVISED
    assert not devices.check_ssh().good


def test_storage(tmp_path: Path) -> None:
    verdicts = {verdict.name: verdict for verdict in storage.examine_storage(str(tmp_path / "a/b/pool"))}
    assert set(verdicts) == {"disk space", "mapped files", "punched holes", "extended attributes"}
    assert verdicts["mapped files"].good
    assert list(tmp_path.iterdir()) == []
    assert not storage.check_space(str(tmp_path), 1 << 62).good
    assert storage.nearest(str(tmp_path / "a/b")) == str(tmp_path)


def test_filesystem_type(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_text("a / ext4 rw\nb /home xfs rw\nc /home/me tmpfs rw\nd /home2 nfs rw\n")
    wanted = {"/": "ext4", "/home/you": "xfs", "/home/me/x": "tmpfs", "/home2/x": "nfs"}
    assert {place: storage.filesystem_type(place, str(table)) for place in wanted} == wanted
    assert storage.filesystem_type("/", str(tmp_path / "lost")) == "unknown"
