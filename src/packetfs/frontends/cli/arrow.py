"""Maps as an Arrow IPC file, one row an element: what pandas, polars, DuckDB and pyarrow read without a copy."""

from __future__ import annotations

from packetfs.errors import LibraryMissing
from packetfs.frontends.cli.names import printable
from packetfs.frontends.cli.results import Decimals, shown_maps
from packetfs.frontends.cli.values import elements, ranked, show_key
from packetfs.typing import TYPE_CHECKING, BinaryIO, Iterator

if TYPE_CHECKING:
    from packetfs.engines.results.result import RunResult

COLUMNS = ("map", "key", "key_text", "element", "value", "decimals")


def write_arrow(result: RunResult, file: BinaryIO, decimals: Decimals, *, top: int | None) -> None:
    """Write columns map, key (bytes), key_text, element (index in the value), value (int64), decimals of every map.

    An unsigned value of 2**63 and more is negative in int64, with the same 64 bits. LibraryMissing without pyarrow.
    """
    try:
        import pyarrow as pa  # 60 MB that only this format needs
    except ImportError as error:
        raise LibraryMissing(name="pyarrow", reason=f"{error}; pip install 'packetfs[arrow]'") from None
    types = (pa.string(), pa.binary(), pa.string(), pa.uint32(), pa.int64(), pa.uint8())
    rows = list(_rows(result, decimals, top))
    columns = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(types)]
    table = pa.table(dict(zip(COLUMNS, columns, strict=True)))
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _rows(result: RunResult, decimals: Decimals, top: int | None) -> Iterator[tuple[str, bytes, str, int, int, int]]:
    for found in shown_maps(result):
        name, digits = printable(found.definition.name), decimals.get(found.definition.name, 0)
        for key, value in ranked(found, top):
            text = show_key(found.definition, key)
            for index, number in enumerate(elements(found.definition, value)):
                yield name, key, text, index, _as_signed(number), digits


def _as_signed(number: int) -> int:
    """Return the 64 bits of a number as Arrow's int64 holds them."""
    return number - (1 << 64) if number >= 1 << 63 else number
