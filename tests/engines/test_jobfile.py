"""What a job is comes back from its directory, whatever its files are called."""

from __future__ import annotations

import tempfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.engines.input.source import Origin
from packetfs.engines.jobs.jobfile import JobFile, read_job, write_job
from packetfs.engines.options import JobOptions, fitting_shard
from packetfs.limits import FUEL_MAX
from packetfs.vm.layout import MapFlag, MapType
from packetfs.vm.program import MapDefinition, Program, encode_program, program_digest
from tests.engines.rig import counting

NAMES = st.text(st.characters(exclude_characters="\0", categories=["L", "N", "P", "S", "Z", "C"]))


@given(NAMES, NAMES, st.integers(1, FUEL_MAX), st.booleans())
def test_a_job_file_comes_back(name: str, parent: str, number: int, chosen: bool) -> None:
    packets = encode_program(counting())
    options = JobOptions(fuel=number, keep=chosen, parent=parent if chosen else None)
    digest = program_digest(packets).hex()
    job = JobFile(digest, (Origin("host", f"/{name}", name, number),), "line", options, 7, 64)
    with tempfile.TemporaryDirectory() as directory:
        write_job(directory, job, packets)
        assert read_job(directory) == job


@pytest.mark.parametrize(
    ("kind", "entries", "size", "shard"),
    [
        (MapType.ARRAY, 1, 8, 1 << 20),
        (MapType.ARRAY, 1 << 16, 8, 1 << 23),
        (MapType.ARRAY, 1 << 18, 8, 1 << 25),
        (MapType.ARRAY, 1 << 22, 8, 1 << 26),
        (MapType.PERCPU_HASH, 1 << 16, 8, 1 << 23),
        (MapType.RINGBUF, 1 << 22, 0, 1 << 20),
    ],
)
def test_a_shard_is_long_where_the_maps_of_its_microvm_are_large(
    kind: MapType, entries: int, size: int, shard: int
) -> None:
    definition = MapDefinition(b"m", kind, 4, size, entries)
    assert fitting_shard(Program(b"", (definition,)), remembered=True) == shard
    read_only = Program(b"", (replace(definition, flags=MapFlag.READ_ONLY),))
    assert fitting_shard(read_only, remembered=True) == fitting_shard(read_only, remembered=False) == 1 << 20
    times = 4 if kind is MapType.ARRAY else 1
    once = fitting_shard(Program(b"", (definition,)), remembered=False)
    assert once == (min(times * shard, 1 << 26) if shard > 1 << 20 else shard)
