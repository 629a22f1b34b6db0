"""Code without a linker: what LLVM makes runs wherever it is mapped, and whatever needs more is left to LLVM."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from packetfs.accel import native
from packetfs.engines.compiled import cache, recipe
from packetfs.engines.compiled.cache import CodeCache, load_code
from packetfs.engines.compiled.flat import NotFlat, flatten
from packetfs.toolchain.python.backend import make_object
from packetfs.vm.image import load
from tests.vm.rig import array, program

FILL = """
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define internal i64 @half(i64 %n) noinline {
  %h = lshr i64 %n, 1
  ret i64 %h
}
define i64 @number(i64 %n, ptr %to, ptr %from) {
  %h = call i64 @half(i64 %n)
  call void @llvm.memset.p0.i64(ptr %to, i8 7, i64 %h, i1 false)
  %behind = getelementptr i8, ptr %to, i64 %h
  call void @llvm.memcpy.p0.p0.i64(ptr %behind, ptr %from, i64 %h, i1 false)
  ret i64 %h
}
"""
CASES = "\n".join(f"a{n}: ret i64 {n * n * 7919 % 1000}" for n in range(12))
TABLE = f"""
define i64 @number(i64 %n) {{
  switch i64 %n, label %other [{" ".join(f"i64 {n}, label %a{n}" for n in range(12))}]
{CASES}
other: ret i64 -1
}}
"""
VECTOR = """
define i64 @number(ptr %at) {
  %v = load <4 x i64>, ptr %at, align 1
  %w = mul <4 x i64> %v, <i64 1000003, i64 3, i64 5, i64 70000001>
  %s = call i64 @llvm.vector.reduce.add.v4i64(<4 x i64> %w)
  ret i64 %s
}
declare i64 @llvm.vector.reduce.add.v4i64(<4 x i64>)
"""
CHANGING = "@count = global i64 5\ndefine i64 @number() {\n  %n = load i64, ptr @count\n  ret i64 %n\n}\n"
FOREIGN = "declare i64 @getpid()\ndefine i64 @number() {\n  %n = call i64 @getpid()\n  ret i64 %n\n}\n"
x86 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="objects of other processors are LLVM's to load")


@pytest.fixture(params=[False, True], ids=["good", "draft"])
def draft(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def mapped(text: str, *, draft: bool) -> tuple[int, object]:
    flat = flatten(make_object(text, draft=draft), "number")
    address, owner = vars(native)["vm_code"](flat.image)
    return address + flat.entry, owner


@x86
def test_code_that_fills_and_copies(draft: bool) -> None:
    address, owner = mapped(FILL, draft=draft)
    to = ctypes.create_string_buffer(300)
    assert (
        ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p)(address)(
            200, ctypes.addressof(to), b"abcdefghij" * 10
        )
        == 100
    )
    assert to.raw == b"\7" * 100 + b"abcdefghij" * 10 + bytes(100)
    del owner


@x86
def test_code_with_tables_and_constants(draft: bool) -> None:
    address, owner = mapped(TABLE, draft=draft)
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)
    assert [function(n) for n in range(-1, 13)] == [-1, *(n * n * 7919 % 1000 for n in range(12)), -1]
    address, owner = mapped(VECTOR, draft=draft)
    at = (ctypes.c_int64 * 4)(1, 2, 3, 4)
    assert (
        ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(address)(ctypes.addressof(at)) == 1000003 + 6 + 15 + 280000004
    )
    del owner


@x86
def test_code_is_never_writable_while_it_can_run() -> None:
    address, owner = mapped(TABLE, draft=False)
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, _, end = line.partition(" ")[0].partition("-")
        if int(start, 16) <= address < int(end, 16):
            assert line.split()[1] == "r-xp"
            break
    else:
        pytest.fail("it is not mapped")
    del owner
    assert f"{address & -4096:x}-" not in Path("/proc/self/maps").read_text()


@x86
@pytest.mark.parametrize("text", [CHANGING, FOREIGN], ids=["variable", "function"])
def test_what_needs_a_linker_is_refused_and_kept_as_an_object(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFlat):
        flatten(make_object(text), "number")
    monkeypatch.setattr(cache, "_used", CodeCache(os.fspath(tmp_path / "code")))
    for _ in range(2):
        code = load_code(b"recipe", "number", lambda: text)
        assert ctypes.CFUNCTYPE(ctypes.c_int64)(code.address)() == (5 if text is CHANGING else os.getpid())
        monkeypatch.setattr(cache, "_make", lambda *_, **__: pytest.fail("it was made again"))
    assert cache.find_code(b"recipe", "number") is None


@x86
def test_objects_that_are_damaged_are_refused() -> None:
    made = make_object(TABLE)
    for damaged in (b"", made[:63], made[: len(made) // 2], made[:-1], made[:18] + b"\xb7\0" + made[20:]):
        with pytest.raises(NotFlat):
            flatten(damaged, "number")
    with pytest.raises(NotFlat):
        flatten(made, "another")


def test_memory_without_code_is_refused() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        vars(native)["vm_code"](bytes(15))


def test_a_recipe_says_what_code_follows_from() -> None:
    one, two = load(program("mov r0, 1\nexit")), load(program("mov r0, 2\nexit"))
    maps = [load(program("mov r0, 1\nexit", array(entries))) for entries in (4, 5)]
    made = [recipe.recipe(image, 64) for image in (one, two, *maps)]
    assert len({*made, recipe.recipe(one, 0)}) == 5
    assert recipe.recipe(load(program("mov r0, 1\nexit")), 64) == made[0]


def test_where_the_kernel_says_nothing_llvm_describes_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    told = recipe.processor()
    assert not any(word in told for word in ("MHz", "bogomips", "core id"))
    monkeypatch.setattr(recipe, "_CPUINFO", "/proc/none")
    assert recipe.processor() not in ("", told)


def test_code_whose_makers_cannot_be_found_out_is_of_this_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "_WRITERS", ("engines/none/",))
    recipe._makers_known.clear()
    first = recipe._makers()
    recipe._makers_known.clear()
    assert recipe._makers() != first
    recipe._makers_known.clear()


WITHOUT_LLVM = """
import sys
from packetfs.frontends.cli.main import main
code = main(sys.argv[1:])
assert not any(name.startswith(("llvmlite", "packetfs.engines.compiled.records")) for name in sys.modules)
sys.exit(code)
"""


@x86
def test_a_run_whose_code_is_remembered_loads_no_llvm(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(range(256)) * 64)
    environment = {**os.environ, "XDG_CACHE_HOME": os.fspath(tmp_path), "XDG_DATA_HOME": os.fspath(tmp_path)}
    run = ("run", "count", os.fspath(tmp_path / "data"), "--json", "--engine")
    made = [sys.executable, "-m", "packetfs", *run, "cpu"]
    assert subprocess.run(made, env=environment, capture_output=True, check=False).returncode == 0
    for engine, ran in (("cpu", b'"interpreted": 0'), ("auto", b'"interpreted": 0')):
        command = [sys.executable, "-c", WITHOUT_LLVM, *run, engine]
        again = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert again.returncode == 0, again.stderr
        assert ran in again.stdout + again.stderr
