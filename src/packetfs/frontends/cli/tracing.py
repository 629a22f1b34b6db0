"""Events of a running job of microVMs: what programs trace goes to stderr, beside progress and troubles."""

from __future__ import annotations

from packetfs.engines.results.result import JobEvent, Traced
from packetfs.frontends.cli.listener import Reporter
from packetfs.frontends.cli.names import printable
from packetfs.frontends.cli.output import Output


class JobReporter:
    """Listen to one job."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._reporter = Reporter(output)

    @property
    def troubles(self) -> int:
        """How many files could not be read to their end."""
        return self._reporter.troubles

    def __call__(self, event: JobEvent) -> None:
        if not isinstance(event, Traced):
            self._reporter(event)
        elif self._output.json:
            self._output.warn_record("traced", {"file": event.file, "vm": event.vm, "text": event.text})
        else:
            self._output.warn(f"{printable(event.file)}, microVM {event.vm}: {printable(event.text)}")
