"""JSON at a tenth of the cost: what is read and written is what the standard library reads and writes."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs import json as lean
from packetfs.engines.options import JobOptions  # any record
from packetfs.vm.layout import Fault

TEXT = st.text(st.characters())
"""Lone surrogates are in it."""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda each: st.lists(each, max_size=4) | st.dictionaries(TEXT, each, max_size=4),
)
HOSTILE = (
    *(
        "",
        " ",
        "{",
        "[1,]",
        '{"a":1,}',
        "1 2",
        "[] x",
        "nul",
        "tru",
        "-",
        "1.",
        "01",
        "'a'",
        '"\t"',
        '"\\x"',
        '"\\u12"',
    ),
    *(
        '{"a" 1}',
        "{1:2}",
        "\N{NO-BREAK SPACE}1",
        "\N{ZERO WIDTH NO-BREAK SPACE}1",
        "1\0",
        "NaN",
        "[-Infinity,Infinity]",
    ),
    *(
        '{"a":1,"a":2}',
        '"\\ud800"',
        '"\\ud83d\\ude00"',
        " \t\r\n1\n",
        "1e999",
        "1.5e3",
        "-0",
        "9" * 5000,
        "[" * 100_000,
    ),
    *('{"a":' * 100_000, "\x0c1"),
)


def outcome(loads: object, written: str | bytes) -> object:
    try:
        found = loads(written)  # type: ignore[operator]
        return repr(found)  # NaN is not equal to itself
    except (ValueError, RecursionError) as error:
        return type(error), str(error) if isinstance(error, ValueError) else ""


@pytest.mark.parametrize("written", HOSTILE, ids=lambda written: written[:12])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_what_is_hostile_is_read_as_by_the_standard_library(written: str, encoding: str) -> None:
    assert outcome(lean.loads, written) == outcome(json.loads, written)
    encoded = written.encode(encoding)
    assert outcome(lean.loads, encoded) == outcome(json.loads, encoded)


@given(st.binary() | st.text('[]{}",:0123456789.-+eE \n\\utrfalsn', max_size=20))
def test_anything_is_read_as_by_the_standard_library(written: str | bytes) -> None:
    assert outcome(lean.loads, written) == outcome(json.loads, written)


@given(VALUES, st.booleans())
def test_what_one_writes_the_other_reads(value: object, ascii_only: bool) -> None:
    assert lean.dumps(value) == json.dumps(value, separators=(",", ":"))
    assert json.loads(lean.dumps(value)) == value
    written = json.dumps(value, ensure_ascii=ascii_only, indent=1)
    assert lean.loads(written) == value
    assert lean.loads(written.encode("utf-8", "surrogatepass")) == value


def test_numbers_that_have_names_are_written_as_numbers() -> None:
    assert (
        lean.dumps({"fault": Fault.ADDRESS, "rows": (1, True, None)})
        == f'{{"fault":{int(Fault.ADDRESS)},"rows":[1,true,null]}}'
    )


@pytest.mark.parametrize("value", [1.5, math.nan, b"bytes", {1: 2}, {None: 1}, JobOptions(), object()])
def test_what_is_not_read_back_as_it_was_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        lean.dumps([value])


@pytest.mark.parametrize("written", ["{", "[1,]", "[" * 5000, "01", '"\\x"'])
def test_what_is_wrong_is_said_where_json_was_not_loaded_before(written: str) -> None:
    code = f"""
import sys, packetfs.json
assert "json" not in sys.modules
try:
    packetfs.json.loads({written!r})
except (ValueError, RecursionError) as error:
    print(type(error).__name__, error)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    with pytest.raises((ValueError, RecursionError)) as raised:
        json.loads(written)
    assert shown.startswith(raised.type.__name__)
    assert raised.type is RecursionError or shown.rstrip().endswith(f" {raised.value}")


def test_the_standard_librarys_is_not_loaded() -> None:
    code = "import sys, packetfs.json as j; j.loads(j.dumps(['a'])); print({'json', 're', 'enum'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
