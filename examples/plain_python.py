"""Plain Python: files, a transaction, a snapshot, bytes without a copy, a copy that stores nothing."""

from __future__ import annotations

import tempfile

from packetfs import Pool

with tempfile.TemporaryDirectory() as place, Pool.create(f"{place}/pool") as pool:
    pool.write_text("notes/today.txt", "one line\n")
    with pool.open("notes/today.txt", "a") as file:
        file.write("another line\n")
    print(pool.read_text("notes/today.txt"), end="")

    pool.write_bytes("data/ramp.bin", bytes(range(256)) * 64)
    print("bytes 250 to 260:", bytes(pool.view("data/ramp.bin", 250, 260)).hex(" "))

    before = pool.snapshot("before")
    with pool.transaction():  # all of it, or nothing
        pool.copy("data", "backup")
        pool.mv("notes/today.txt", "notes/yesterday.txt")
        pool.rm("data", recursive=True)
    print("now:", pool.glob("**"))
    print("before:", pool.at(before.name).glob("**"))
    print(pool.program("backup/ramp.bin"))
