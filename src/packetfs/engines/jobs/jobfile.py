"""What a job is, as it stands in its directory: `job.json`, and its program as packets."""

from __future__ import annotations

import time

from packetfs import errors
from packetfs.dataclass import asdict, dataclass, field
from packetfs.engines.input.records import Records, parse_records
from packetfs.engines.input.source import Origin
from packetfs.engines.options import JobOptions, check_options
from packetfs.json import dumps, loads
from packetfs.limits import JOB_FILE_MAX, MAP_MEMORY_MAX, PROGRAM_BYTES_MAX
from packetfs.packet.digest import DIGEST
from packetfs.typing import Final
from packetfs.vm.layout import VMS_MAX
from packetfs.vm.program import Program, decode_program, program_digest

VERSION: Final = 4
_NUMBER_MAX: Final = (1 << 63) - 1


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


def write_job(directory: str, job: JobFile, packets: bytes) -> None:
    """Write both files, `packets` being the program's; TableFull where there is no room for them."""
    try:
        with open(f"{directory}/program", "wb") as file:
            file.write(packets)
        with open(f"{directory}/job.json", "wb") as file:
            file.write(dumps({"version": VERSION, **asdict(job)}).encode())
    except OSError as error:
        raise errors.TableFull(path=directory, reason=f"job.json: {error.strerror}") from None


def read_job(directory: str) -> JobFile:
    """Return what a directory's job is; BadJob when it has none that this version knows."""
    try:
        with open(f"{directory}/job.json", "rb") as file:
            fields = loads(file.read(JOB_FILE_MAX))  # what is cut off there is no JSON
        if fields.pop("version") != VERSION:
            raise errors.BadJob(path=directory, reason="another version of PacketFS began it")
        sources = tuple(Origin(**one) for one in fields.pop("sources"))
        job = JobFile(sources=sources, options=JobOptions(**fields.pop("options")), **fields)
        _check(job)
    except OSError as error:
        raise errors.BadJob(path=directory, reason=f"job.json: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise errors.BadJob(path=directory, reason=f"job.json is damaged ({error})") from None
    return job


def _check(job: JobFile) -> None:
    for name, most in (("batch", VMS_MAX), ("maps_bytes", MAP_MEMORY_MAX), ("created_ns", _NUMBER_MAX)):
        _check_number(name, getattr(job, name), most)
    if not job.batch or not isinstance(job.program, str) or not isinstance(job.records, str):
        raise ValueError("batch, program or records cannot be")
    check_options(job.options)
    for origin in job.sources:
        _check_origin(origin)
    parse_records(job.records)


def _check_number(name: str, number: object, most: int) -> None:
    if type(number) is not int or not 0 <= number <= most:
        raise ValueError(f"{name} is not a number up to {most}")


def _check_origin(origin: Origin) -> None:
    words = (origin.kind, origin.place, origin.name)
    if not all(isinstance(word, str) and "\0" not in word for word in words):
        raise ValueError("the kind, place or name of a source cannot be")
    if origin.kind == "pool" and len(bytes.fromhex(origin.place)) != DIGEST:
        raise ValueError("the root of a source is no digest")
    _check_number("the size of a source", origin.size, _NUMBER_MAX)
    if type(origin.stamp) is not int or abs(origin.stamp) > _NUMBER_MAX:
        raise ValueError("the stamp of a source is no time")


def read_job_program(directory: str, job: JobFile) -> Program:
    """Return the job's program, verified; BadJob when it is another one."""
    try:
        with open(f"{directory}/program", "rb") as file:
            packets = file.read(PROGRAM_BYTES_MAX + 1)
        if program_digest(packets).hex() != job.program:
            raise errors.BadJob(path=directory, reason="its program is not the one it began with")
        return decode_program(packets)
    except OSError as error:
        raise errors.BadJob(path=directory, reason=f"program: {error.strerror}") from None
