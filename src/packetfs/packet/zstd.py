"""zstd, from the standard library where it has it. The only module that knows the compression library."""

from __future__ import annotations

import sys
from functools import cache
from types import ModuleType

from packetfs.errors import BadPacket
from packetfs.packet.layout import Buffer
from packetfs.typing import Any, Final

_WINDOW_MIN: Final = 10
_WINDOW_MAX: Final = 27
"""Bounds of zstd for the logarithm of a window: no frame needs one longer than its content, but it can claim one."""


@cache
def _library() -> ModuleType:
    """Load the library, for the first that is compressed: looking at names needs none."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


@cache
def _quick() -> Any:
    """Make the compressor of level 1 once: making one costs 0.2 ms, more than the sample that it compresses."""
    return _library().ZstdCompressor(1)


def compress(data: Buffer, level: int = 3) -> bytes:
    """Return one zstd frame of `data`."""
    if level == 1:
        quick = _quick()
        frame: bytes = quick.compress(data, quick.FLUSH_FRAME)
    else:
        frame = _library().compress(data, level)
    return frame


def decompress(data: Buffer, limit: int) -> bytes:
    """Return what one frame holds, at most `limit` bytes: a bomb ends in BadPacket, not in memory."""
    window = min(max(limit.bit_length(), _WINDOW_MIN), _WINDOW_MAX)
    zstd = _library()
    decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window})
    try:
        out: bytes = decoder.decompress(data, max_length=limit + 1)
    except zstd.ZstdError as error:
        raise BadPacket(reason=f"zstd: {error}") from None
    if len(out) > limit or not decoder.eof or decoder.unused_data:
        raise BadPacket(reason=f"a zstd frame is cut short, has a tail, or holds more than {limit} bytes")
    return out
