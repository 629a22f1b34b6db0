"""Maps as an Arrow IPC file, one row an element: what pandas, polars, DuckDB and pyarrow read without a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from packetfs.errors import LibraryMissing
from packetfs.frontends.cli.names import printable
from packetfs.frontends.cli.results import elements, ranked, show_key, shown_maps

if TYPE_CHECKING:
    from packetfs.engines.result import RunResult


def write_arrow(result: RunResult, file: BinaryIO, *, top: int | None) -> None:
    """Write columns map, key (bytes), key_text, element (index in the value), value (int64) of every map."""
    try:
        import pyarrow as pa  # 60 MB that only this format needs
    except ImportError as error:
        raise LibraryMissing(name="pyarrow", reason=str(error)) from None
    rows = [
        (printable(found.definition.name), key, show_key(found.definition, key), index, _as_signed(number))
        for found in shown_maps(result)
        for key, value in ranked(found, top)
        for index, number in enumerate(elements(found.definition, value))
    ]
    types = (pa.string(), pa.binary(), pa.string(), pa.uint32(), pa.int64())
    names = ("map", "key", "key_text", "element", "value")
    columns = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(types)]
    table = pa.table(dict(zip(names, columns, strict=True)))
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _as_signed(number: int) -> int:
    """Return the 64 bits of a number as Arrow's int64 holds them."""
    return number - (1 << 64) if number >= 1 << 63 else number
