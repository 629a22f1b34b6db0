"""What this package uses of the standard library's `json`, for a tenth of its cost at the start.

Its import brings re and enum: 4.5 ms (measured), a tenth of a run over a small file, which reads what its program says
of itself. Here is its scanner alone, which is in C; what that does not take as it stands, in another encoding or wrong,
the standard library takes, or says why not.
"""

from __future__ import annotations

from packetfs.typing import Any, Final

try:
    from _json import encode_basestring_ascii as _quoted
    from _json import make_scanner
except ImportError:  # another Python
    from json import dumps as _quoted
    from json.scanner import make_scanner

_SPACE: Final = " \t\n\r"


class _Rules:
    """What the scanner asks for: as `json.loads` has it."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float, parse_int = float, int
    parse_constant = {name: float(name) for name in ("NaN", "Infinity", "-Infinity")}.__getitem__


_rules: Any = _Rules
_scan: Final = make_scanner(_rules)


def loads(written: str | bytes) -> Any:
    """Return what JSON says, as `json.loads`; ValueError where it is none, RecursionError where it is too deep."""
    try:
        text = (written if isinstance(written, str) else written.decode()).strip(_SPACE)
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except (ValueError, StopIteration, SystemError):  # the last where `json`, which knows what is wrong, is not loaded
        pass
    import json  # nothing that this package writes

    return json.loads(written)


def dumps(value: object) -> str:
    """Return a value as JSON, in ASCII and without spaces; TypeError for what is none here, as a float."""
    if isinstance(value, dict):
        return f"{{{','.join(f'{_quoted(name)}:{dumps(each)}' for name, each in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(dumps, value))}]"
    if isinstance(value, str):
        return _quoted(value)
    if value is None or isinstance(value, int):
        return "null" if value is None else str(value).lower()
    raise TypeError(f"{type(value).__name__} is not written as JSON")
