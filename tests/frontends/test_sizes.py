"""Sizes in and out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packetfs.errors import UsageError
from packetfs.frontends.cli.sizes import SIZE_MAX, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("64K", 65536),
        ("64k", 65536),
        ("4MiB", 4 << 20),
        ("4 MB", 4_000_000),
        ("1.5GB", 1_500_000_000),
        ("0.5K", 512),
        ("12B", 12),
        ("1T", 1 << 40),
        (str(SIZE_MAX), SIZE_MAX),
    ],
)
def test_sizes_mean_what_rsync_and_dd_users_expect(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "K", "-1", "4X", "64KK", "1e3", "9E", str(SIZE_MAX + 1), "٣", "0x10"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_996, "10.0 kB"),
        (99_960, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (1_234_567, "1.23 MB"),
        (10**18, "1.00 EB"),
        (10**22, "10000 EB"),
    ],
)
def test_sizes_are_shown_in_si_units(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(0, SIZE_MAX))
def test_what_is_shown_is_short_and_within_half_a_percent(size: int) -> None:
    shown = format_size(size)
    number, unit = shown.split()
    scale = 1000 ** ("B", "kB", "MB", "GB", "TB", "PB", "EB").index(unit)
    assert len(number) <= 4
    assert abs(float(number) * scale - size) <= 0.005 * size
