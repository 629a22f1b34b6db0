"""What answers a run that another machine asks for; a sync, which is served by the same process, loads none of it."""

from __future__ import annotations

from packetfs.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packetfs.net.access.rights import Rights
    from packetfs.net.link.channel import FrameChannel
    from packetfs.net.serving.serve import Answer
    from packetfs.net.wire.messages import Run


def answering(pool: str | None) -> Answer:
    """Return what answers a run on this machine, over `pool` or the user's own."""

    def answer(channel: FrameChannel, request: Run, rights: Rights) -> None:
        from packetfs.engines.remote.serve import answer_run
        from packetfs.frontends.cli.requested import open_requested
        from packetfs.frontends.cli.runtime import runtime

        answer_run(channel, request, lambda asked: open_requested(asked, pool, rights), runtime())

    return answer
