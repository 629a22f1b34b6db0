"""Two states of one tree with everything in it that a copy can get wrong, and how to tell which state a file is in."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from random import Random

from bench.compare import Record, names, record
from bench.measure import clone
from bench.pairs import age

State = dict[bytes, tuple[Record, bytes]]
"""What each name stands for, and the digest of its content."""


def build_states(root: Path, seed: int, scale: float = 1.0) -> tuple[Path, Path]:
    """Make `old` and `new` below root: some MB, edited, grown, removed, renamed, retyped, relinked."""
    rng = Random(seed)
    old, new = root / "old", root / "new"
    fill(old, rng, scale)
    age(old, rng)
    clone(old, new)
    change(new, rng)
    return old, new


def fill(tree: Path, rng: Random, scale: float) -> None:
    for folder in ("empty", "a/deep/er", "small", "large", "links", "to-file"):
        (tree / folder).mkdir(parents=True)
    for number in range(60):
        (tree / "small" / f"{number:03}").write_bytes(rng.randbytes(rng.randrange(3000)))
    for number in range(6):
        (tree / "large" / f"{number}.bin").write_bytes(rng.randbytes(int(1_500_000 * scale)))
    (tree / "a/deep/er/text").write_text("line\n" * 20000)
    (tree / "nothing").write_bytes(b"")
    (tree / "to-file" / "inner").write_bytes(b"in a directory that becomes a file")
    (tree / os.fsdecode(b"n\xe4me\n\xff")).write_bytes(b"bytes, not text")
    with (tree / "sparse").open("wb") as sparse:
        sparse.seek(3_000_000)
        sparse.write(b"end")
    (tree / "links" / "soft").symlink_to("../small/000")
    (tree / "links" / "dangling").symlink_to("/nowhere/at/all")
    os.link(tree / "small" / "001", tree / "links" / "hard")
    (tree / "small" / "002").chmod(0o4750)
    put_xattr(tree / "small" / "003", b"old")


def change(tree: Path, rng: Random) -> None:
    for number in range(0, 60, 3):
        (tree / "small" / f"{number:03}").write_bytes(rng.randbytes(rng.randrange(3000)))
    for number in range(0, 6, 2):
        path = tree / "large" / f"{number}.bin"
        data = bytearray(path.read_bytes())
        for _ in range(20):
            at = rng.randrange(len(data))
            data[at : at + 100] = rng.randbytes(rng.randrange(200))
        path.write_bytes(data)
    (tree / "large/1.bin").rename(tree / "large/renamed.bin")
    (tree / "large/3.bin").unlink()
    (tree / "large/new.bin").write_bytes(rng.randbytes(700_000))
    shutil.rmtree(tree / "a/deep/er")
    (tree / "a/deep/other").mkdir()
    (tree / "a/deep/other/file").write_bytes(b"new")
    shutil.rmtree(tree / "to-file")
    (tree / "to-file").write_bytes(b"now a file")
    (tree / "links/soft").unlink()
    (tree / "links/soft").symlink_to("../small/004")
    (tree / "links/dangling").unlink()
    (tree / "links/dangling").write_bytes(b"now a file")
    (tree / "small/005").chmod(0o600)
    put_xattr(tree / "small/003", b"new")


def put_xattr(path: Path, value: bytes) -> None:
    try:
        os.setxattr(path, "user.packetfs-test", value)
    except OSError:
        return  # this filesystem has none: modes and times are still compared


def read_state(tree: Path) -> State:
    root, first = os.fsencode(tree), dict[tuple[int, int], bytes]()
    return {name: (record(root, name, first), digest(root + b"/" + name)) for name in names(root)}


def digest(path: bytes) -> bytes:
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return b""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def neither(found: State, old: State, new: State) -> list[str]:
    """Name what is neither its old nor its new version: torn, unknown, or lost though both states have it."""
    wrong = [
        f"{name!r} is neither old nor new: {held[0]}"
        for name, held in found.items()
        if not any(name in state and alike(held, state[name]) for state in (old, new))
    ]
    lost = [f"{name!r} is lost" for name in old.keys() & new.keys() - found.keys() if same_kind(old[name], new[name])]
    return wrong + lost


def alike(found: tuple[Record, bytes], wanted: tuple[Record, bytes]) -> bool:
    """A directory's time and mode follow its content, so half-way only its being one counts. Hard links are made one by
    one; whether all are there is judged at the end."""
    if stat.S_ISDIR(wanted[0].kind):
        return stat.S_ISDIR(found[0].kind)
    return (replace(found[0], link=b""), found[1]) == (replace(wanted[0], link=b""), wanted[1])


def same_kind(one: tuple[Record, bytes], other: tuple[Record, bytes]) -> bool:
    """No call replaces a directory by a file at once, so such a name may be missing half-way."""
    return stat.S_ISDIR(one[0].kind) == stat.S_ISDIR(other[0].kind)


def advance(source: Path, wanted: Path) -> None:
    """Turn the source into the wanted state, touching only what differs, as edits do."""
    have, want = read_state(source), read_state(wanted)
    for name in sorted(have, reverse=True):
        if name not in want or (have[name] != want[name] and not both_directories(have[name], want[name])):
            remove(source, name)
    for name, (held, _) in want.items():
        put(source, wanted, name, held)
    for name in sorted((name for name, (held, _) in want.items() if stat.S_ISDIR(held.kind)), reverse=True):
        shutil.copystat(os.path.join(os.fsencode(wanted), name), os.path.join(os.fsencode(source), name))


def both_directories(one: tuple[Record, bytes], other: tuple[Record, bytes]) -> bool:
    return stat.S_ISDIR(one[0].kind) and stat.S_ISDIR(other[0].kind)


def remove(root: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(root), name)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def put(source: Path, wanted: Path, name: bytes, held: Record) -> None:
    path = os.path.join(os.fsencode(source), name)
    if os.path.lexists(path):
        return
    if stat.S_ISDIR(held.kind):
        os.makedirs(path)
    elif held.link not in (b"", name):
        os.link(os.path.join(os.fsencode(source), held.link), path)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy2(os.path.join(os.fsencode(wanted), name), path, follow_symlinks=False)
