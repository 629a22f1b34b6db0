"""What a job is comes back from its directory, whatever its files are called."""

from __future__ import annotations

import tempfile

from hypothesis import given
from hypothesis import strategies as st

from packetfs.engines.input.source import Origin
from packetfs.engines.jobs.jobfile import JobFile, read_job, write_job
from packetfs.engines.options import JobOptions
from packetfs.limits import FUEL_MAX
from packetfs.vm.program import encode_program, program_digest
from tests.engines.rig import counting

NAMES = st.text(st.characters(exclude_characters="\0", categories=["L", "N", "P", "S", "Z", "C"]))


@given(NAMES, NAMES, st.integers(1, FUEL_MAX), st.booleans())
def test_a_job_file_comes_back(name: str, parent: str, number: int, chosen: bool) -> None:
    code = counting()
    options = JobOptions(fuel=number, keep=chosen, parent=parent if chosen else None)
    digest = program_digest(encode_program(code)).hex()
    job = JobFile(digest, (Origin("host", f"/{name}", name, number),), "line", options, 7, 64)
    with tempfile.TemporaryDirectory() as directory:
        write_job(directory, job, code)
        assert read_job(directory) == job
