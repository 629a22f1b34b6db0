"""What a job is, as it stands in its directory: `job.json`, and its program as packets."""

from __future__ import annotations

import json
import time
from typing import Final

from packetfs.dataclass import asdict, dataclass, field
from packetfs.engines.options import JobOptions
from packetfs.engines.records import Records, parse_records
from packetfs.engines.source import Origin
from packetfs.errors import BadJob
from packetfs.vm.program import Program, decode_program, encode_program, program_digest

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class JobFile:
    """A job: its program (digest, hex), sources, framing and options. `batch`: shards that run together at the most;
    `maps_bytes`: bytes of maps of one microVM."""

    program: str
    sources: tuple[Origin, ...]
    records: str
    options: JobOptions
    batch: int
    maps_bytes: int
    created_ns: int = field(default_factory=time.time_ns)

    @property
    def framing(self) -> Records:
        return parse_records(self.records)


def write_job(directory: str, job: JobFile, program: Program) -> None:
    """Write both files."""
    with open(f"{directory}/program", "wb") as file:
        file.write(encode_program(program))
    with open(f"{directory}/job.json", "w", encoding="utf-8") as text:
        json.dump({"version": VERSION, **asdict(job)}, text)


def read_job(directory: str) -> JobFile:
    """Return what a directory's job is; BadJob when it has none that this version knows."""
    try:
        with open(f"{directory}/job.json", encoding="utf-8") as file:
            fields = json.load(file)
        if fields.pop("version") != VERSION:
            raise BadJob(path=directory, reason="another version of PacketFS began it")
        sources = tuple(Origin(**one) for one in fields.pop("sources"))
        job = JobFile(sources=sources, options=JobOptions(**fields.pop("options")), **fields)
        _check(job)
    except OSError as error:
        raise BadJob(path=directory, reason=f"job.json: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadJob(path=directory, reason=f"job.json is damaged ({error})") from None
    return job


def _check(job: JobFile) -> None:
    numbers = (job.batch, job.options.shard_bytes, job.options.fuel)
    if not all(isinstance(number, int) and number > 0 for number in numbers) or job.maps_bytes < 0:
        raise ValueError("a number in it is not positive")
    parse_records(job.records)


def read_job_program(directory: str, job: JobFile) -> Program:
    """Return the job's program, verified; BadJob when it is another one."""
    try:
        with open(f"{directory}/program", "rb") as file:
            packets = file.read()
        if program_digest(packets).hex() != job.program:
            raise BadJob(path=directory, reason="its program is not the one it began with")
        return decode_program(packets)
    except OSError as error:
        raise BadJob(path=directory, reason=f"program: {error.strerror}") from None
