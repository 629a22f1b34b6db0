"""Events of a running job -> lines of text, JSON lines or the progress bar, and a count of what went wrong."""

from __future__ import annotations

import time

from packetfs.events import Changed, Connection, Delivered, Event, Progress, Trouble
from packetfs.frontends.cli.names import path_fields, printable
from packetfs.frontends.cli.output import Output
from packetfs.frontends.cli.progress import Pace
from packetfs.frontends.cli.sizes import format_size
from packetfs.limits import PROGRESS_LINE_SECONDS
from packetfs.typing import Callable


class Reporter:
    """Listen to one job. `itemize` shows each change as text; JSON always has them."""

    def __init__(self, output: Output, *, itemize: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self.troubles = 0
        self._output = output
        self._itemize = itemize or output.verbose
        self._pace = Pace(PROGRESS_LINE_SECONDS, clock)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._progress(event)
        elif isinstance(event, Changed):
            self._changed(event)
        elif isinstance(event, Delivered):
            self._delivered(event)
        elif isinstance(event, Connection):
            self._connection(event)
        else:
            self._trouble(event)

    def _progress(self, event: Progress) -> None:
        if self._output.bar is not None:
            self._output.bar.show(event)
        elif self._output.json and not self._output.quiet and self._pace.due():
            fields = {"files": event.files, "done": event.done, "total": event.total}
            self._output.record("progress", fields)
            self._output.flush()

    def _changed(self, event: Changed) -> None:
        if self._output.json:
            self._output.record("changed", {**path_fields(event.path), "action": event.action, "size": event.size})
        elif self._itemize:
            size = format_size(event.size) if event.size and event.action in ("new", "content") else ""
            self._output.line(f"{event.action:<8} {size:>7}  {self._output.name(event.path)}")

    def _delivered(self, event: Delivered) -> None:
        if self._output.json:
            self._output.record(
                "delivered",
                {
                    **path_fields(event.path),
                    "action": event.action,
                    "size": event.size,
                    "destination": event.destination,
                    "moved": event.moved,
                    "seconds": round(event.seconds, 6),
                },
            )
        elif not self._output.quiet:
            size = format_size(event.size) if event.size and event.action in ("new", "content") else ""
            name, destination = self._output.name(event.path), printable(event.destination)
            self._output.line(f"{event.action:<8} {size:>7}  {name} -> {destination} in {event.seconds * 1000:.0f} ms")
        self._output.flush()

    def _connection(self, event: Connection) -> None:
        if self._output.json:
            self._output.record(
                "connection",
                {"destination": event.destination, "lost": event.lost, "seconds": round(event.seconds, 3)},
            )
            self._output.flush()
        elif event.lost:
            what = f"{event.destination}: {event.lost.rstrip('.')}"
            self._output.warn(f"pfs: {printable(what)}; trying again in {event.seconds:.1f} s")
        else:
            self._output.note(f"pfs: {printable(event.destination)} is up to date; watching")

    def _trouble(self, event: Trouble) -> None:
        self.troubles += 1
        if self._output.json:
            self._output.record("trouble", {**path_fields(event.path), "reason": event.reason})
        else:
            self._output.warn(f"pfs: {printable(event.path)}: {printable(event.reason)}")
