"""`mount.packetfs POOL DIR [-sfnv] [-o WORDS]`: what mount(8) calls for lines of fstab with the type packetfs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from packetfs.errors import UsageError
from packetfs.frontends.cli.boundary import guard
from packetfs.frontends.cli.output import Output, standard_streams
from packetfs.typing import Final

_USAGE: Final = "usage: mount.packetfs POOL DIR [-o WORDS]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Mount in the background and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    output = Output(*standard_streams(), quiet=True)
    return guard(lambda: _run(words, output), output)


def _run(words: list[str], output: Output) -> int:
    if "-h" in words or "--help" in words:
        output.line(f"{_USAGE}\nmount(8) calls it; `pfs mount --help` lists the words.")
        return 0
    from packetfs.frontends.mount.options import parse_options
    from packetfs.frontends.mount.server import mount

    places, texts, pretend = [], [], False
    rest = iter(words)
    for word in rest:
        if word == "-o":
            texts.append(next(rest, ""))
        elif word.startswith("-") and len(word) > 1 and set(word[1:]) <= set("sfnv"):
            pretend = pretend or "f" in word  # of mount(8): s sloppy, f fake, n no mtab, v verbose
        else:
            places.append(word)
    if len(places) != 2:
        raise UsageError(reason=_USAGE)
    options = parse_options(texts)
    return 0 if pretend else mount(places[0], places[1], options, foreground=False, up=lambda: None)


if __name__ == "__main__":
    sys.exit(main())
