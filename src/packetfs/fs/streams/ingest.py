"""The canonical program of a stream of bytes, in one pass and bounded memory.

New bytes are cut and hashed. Where an old program is known, the stream is *followed* along it: a chunk that has the
digest of the next old one needs no cutting, which costs as much as hashing. Hashing what is new is also all the proof
there is to have: comparing with the old extents would read twice as much and, as an extent is verified by hashing it,
cost more on first touch; and it works where old content was evicted.

The cut of a chunk depends on the bytes from its start on, REACH of them at the most. So an old cut holds for the new
stream once REACH bytes from it on are known to be the same; at a difference all later than that is cut anew, until a
chunk has the digest of an old one near by, and from there the old program is followed again. The result is always that
of cutting everything.

Without an old program, chunks that the pool held already lead to those behind them (`pool/following.py`).

Who knows what changed says so (`Known`): what is as before is then neither read nor hashed but around changes, and
holes cost nothing, however long. An extent that changed inside is seldom cut (`ahead.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import accumulate, groupby, pairwise

from packetfs.dataclass import dataclass, field
from packetfs.fs.streams.ahead import Ahead, Passed
from packetfs.fs.streams.edits import Edits
from packetfs.fs.streams.newprogram import NewProgram
from packetfs.fs.streams.oldcontent import OldContent
from packetfs.fs.streams.oldprogram import OldProgram, Segment
from packetfs.fs.streams.prints import Prints
from packetfs.fs.streams.sight import Known, Printed, Sight, Told, reading
from packetfs.fs.streams.tee import Tee
from packetfs.fs.streams.window import ReadInto, Window
from packetfs.limits import INGEST_WINDOW
from packetfs.packet.cut import WINDOW, cut, hash_window, reach_of
from packetfs.packet.digest import NO_DIGEST, Digest, digest_of
from packetfs.packet.file import INLINE, copy_leaf
from packetfs.packet.inplace import differing
from packetfs.packet.kernels import common_prefix
from packetfs.packet.rivals import NO_RIVAL, Span, rivals
from packetfs.packet.tree import produces
from packetfs.pool.following import Following
from packetfs.pool.lookup import Like
from packetfs.pool.pool import Pool
from packetfs.typing import Final, NamedTuple

_WINDOW_MEANS: Final = 6
"""Means that a window holds at least: a step back of up to 13/8, and the longest chunk behind it."""
_UNLIKE_CHUNKS: Final = 8
"""Chunks behind a difference, one after the other, that are not like what stood there, until no more are compared."""
_CUT_MEANS: Final = 2
"""Means that are cut at a time while an old program may fit again at any chunk: enough for one chunk."""
_SHORT_CUTS: Final = 4
"""Such cuts until more is cut at a time, twice as much each time: a change in place is over by then."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a stream: `new_bytes` are in chunks that the old program lacks, `sparse` in runs of zeros.

    `edits`: where it differs from what the old program makes at the same places; None where that is not known.
    """

    root: Digest
    size: int
    new_bytes: int
    sparse: int
    edits: Sequence[Span] | None = field(default=None, compare=False)


def ingest(
    pool: Pool,
    read_into: ReadInto,
    old_root: Digest | None = None,
    keep: bool = True,
    tee: Tee | None = None,
    known: Known | None = None,
    trusting: bool = False,
    prints: Prints | None = None,
) -> Ingested:
    """Store the program of a stream (`keep`: and its content) and return its root.

    `old_root` is a canonical program of a similar content. The stream ends where `read_into` returns 0. A `tee` sees
    each leaf as it is found. With `known`, `read_into` is asked for what is needed alone, also once more after its end,
    and the content of what did not change must be in the pool.

    `trusting`, with `known`: old content is not compared with its digests, and what did not change comes out of it; the
    caller must compare the root that comes of it. `prints`, without `known`: what has the fingerprints of old extents
    is not hashed, and those of the new ones are made.
    """
    leads = prints is not None and prints.leads
    old = OldProgram.load(pool, old_root, pool.mean, prints.known if prints is not None else b"")
    content = OldContent(pool, on_trust=trusting or known is None)
    read = read_into if known is None or not keep or not trusting else reading(known, old, content, read_into)
    with Window(read, max(INGEST_WINDOW, _WINDOW_MEANS * pool.mean), ahead=known is None and not leads) as stream:
        sight: Sight | None = None
        if known is not None and tee is None:
            sight = Told(known, read_into, pool.mean + pool.mean // 2)
        elif prints is not None and leads:
            sight = Printed(prints, read_into, pool.mean + pool.mean // 2)
        ahead = None if sight is None else Ahead(old, sight, content, pool, keep=keep, prints=prints)
        return _Ingest(pool, stream, old, content, keep, tee, known, ahead, prints).run()


class _Followed(NamedTuple):
    """A segment of the new stream where the old one has one; `unread`: no byte of it is needed, as the pool has it.

    `new`: bytes that the old program lacks.
    """

    start: int
    segment: Segment
    unread: bool
    new: int = 0


class _Ingest:
    """One stream on its way into a program."""

    def __init__(
        self,
        pool: Pool,
        stream: Window,
        old: OldProgram,
        content: OldContent,
        keep: bool,
        tee: Tee | None,
        known: Known | None,
        ahead: Ahead | None,
        prints: Prints | None,
    ) -> None:
        self._pool = pool
        self._stream = stream
        self._old = old
        self._old_content = content
        self._keep = keep
        self._mean = pool.mean
        self._most = pool.mean + pool.mean // 2
        self._reach = reach_of(pool.mean)
        self._known = known
        self._ahead = ahead
        self._program = NewProgram(pool, prints, tee)
        self._following = old.current() is not None
        self._edits = Edits() if self._following and known is None and tee is None else None
        self._unlike = 0
        self._fresh = keep and known is None and not self._following and isinstance(pool, Pool)  # one may stand in
        self._chunks: Following | None = None
        self._prints = prints
        self._at = 0
        self._differs_at = self._moved = self._same_until = 0
        self._hashed: dict[tuple[int, int], Digest] = {}
        self._stored: set[Digest] = set()
        self._mismatch = -1, 0, NO_DIGEST
        self._new = 0

    def run(self) -> Ingested:
        shortest = span = _CUT_MEANS * self._mean
        cuts = 0
        while True:
            if self._following:
                self._follow()
                span, cuts = shortest, 0
            if self._chunks is not None and self._chunks.expects:
                self._recognise(self._chunks)
                span, cuts = shortest, 0
            if not self._cut(span):
                break
            cuts += 1
            if cuts >= _SHORT_CUTS:
                span = min(span * 2, self._stream.capacity)
        root, edits = self._program.close(), self._edits
        return Ingested(root, self._at, self._new, self._program.sparse, edits.spans if edits is not None else None)

    # along the old program

    def _follow(self) -> None:
        """Take over segments of the old program as far as the stream has the same."""
        self._program.settle()
        self._unlike = self._same_until = 0
        queue: deque[_Followed] = deque()
        at = self._at
        while True:
            at = self._follow_extents(at, queue)
            keep = queue[0].start if queue and self._ahead is None else at
            segment = self._old.current()
            followed = None if segment is None else self._compare(segment, at, keep, queue)
            if segment is None or followed is None:
                break
            queue.append(followed)
            at += segment.length
            self._old.advance()
            self._take_over_before(at - self._reach, queue)
        if segment is None and not self._stream.have(at, 1, keep):
            while queue:
                self._take_over(queue.popleft())
        self._take_over_before(max(self._same_until, at) - self._reach, queue)
        self._hashed = {(q.start, q.segment.length): q.segment.digest for q in queue if q.segment.digest is not None}
        self._stored = {q.segment.digest for q in queue if q.new and q.segment.digest is not None}
        self._hashed[self._mismatch[:2]] = self._mismatch[2]
        self._old.go_back(len(queue))
        self._differs_at = at
        self._following = False
        if segment is not None:
            self._moved = at - segment.start

    def _follow_extents(self, at: int, queue: deque[_Followed]) -> int:
        """Follow extents that the stream has too, or that changed inside alone; return the place behind them."""
        old, known, ahead = self._old, self._known, self._ahead
        while True:
            if known is not None:
                at = self._pass_unchanged(known, at, queue)
            segment = old.current()
            if segment is None or segment.digest is None or segment.length > self._most:
                return at
            passed = ahead.pass_on(at, _bounds(queue)) if ahead is not None else None
            if passed is not None:
                at = self._pass(passed, at, queue)
            elif known is not None or not self._is_hashed_same(segment, at, queue[0].start if queue else at):
                return at
            else:
                queue.append(_Followed(at, segment, unread=False))
                at += segment.length
                old.advance()
                self._take_over_before(at - self._reach, queue)

    def _is_hashed_same(self, segment: Segment, at: int, keep: int) -> bool:
        """Tell whether the stream goes on with the content of an old extent."""
        length = segment.length
        if self._ahead is not None:
            keep = at
            if self._ahead.same_until(at) >= 0:
                return False
        if self._stream.have(at, length, keep) < length:
            return False
        self._mismatch = at, length, digest_of(self._stream.view(at, length))
        return self._mismatch[2] == segment.digest

    def _pass(self, passed: Passed, at: int, queue: deque[_Followed]) -> int:
        """Follow extents that were looked at ahead; return the place behind them."""
        extents = passed.extents
        starts, moved = extents.starts, at - extents.starts[0]
        self._old.advance(extents.extents)
        end = starts[-1] + moved
        self._take_over_before(end - self._reach, queue)
        if self._edits is not None:
            for number, spans in passed.changed:
                self._edits.note(starts[number] + moved, spans, starts[number + 1] - starts[number])
        settled = 0
        if not queue and not self._program.is_seen:
            settled = bisect_right(starts, starts[-1] - self._reach, 0, extents.extents)
            self._take_over_extents(passed, settled, at)
        changed = dict(passed.changed)
        for number in range(settled, extents.extents):
            one = extents.segment(number)
            is_new = number in changed
            unread = is_new or self._known is not None
            queue.append(_Followed(one.start + moved, one, unread, new=one.length if is_new else 0))
        return end

    def _take_over_extents(self, passed: Passed, count: int, at: int) -> None:
        """Write the first of them, side by side, unread; see `_take_over`."""
        if not count:
            return
        extents = passed.extents.part(0, count)
        starts = extents.starts
        if self._edits is not None and starts[0] != at:
            self._edits.give_up()
        self._new += sum(starts[number + 1] - starts[number] for number, _ in passed.changed if number < count)
        lacking = self._pool.lacking(extents.leaves) if self._keep and self._known is None else count
        while lacking < count:
            one = extents.segment(lacking)
            self._keep_again(one, one.start + at - starts[0], one.digest or NO_DIGEST)
            lacking = self._pool.lacking(extents.leaves, lacking + 1)
        self._program.extents(extents)
        self._at = at + starts[-1] - starts[0]

    def _take_over_before(self, end: int, queue: deque[_Followed]) -> None:
        """Take over the segments that begin so far before what is known to be the same that their cuts hold."""
        while queue and queue[0].start <= end:
            self._take_over(queue.popleft())

    def _pass_unchanged(self, known: Known, at: int, queue: deque[_Followed]) -> int:
        """Take over all behind which so much is known not to have changed that its cuts hold; return the place behind
        the last segment that was followed."""
        if self._old.is_at(at):
            self._take_over_before(known.unchanged(at) - self._reach, queue)
        if queue or self._program.is_seen:
            return at
        if self._program.between_nodes:
            self._take_over_nodes(known)
        self._take_over_unchanged(known)
        return self._at

    def _take_over_unchanged(self, known: Known) -> None:
        """Take over extents behind which so much did not change that their cuts hold."""
        until = known.unchanged(self._at) - self._reach
        while self._at <= until and self._old.is_at(self._at):
            some = self._old.until(until, self._most)
            if not some.extents:
                break
            self._program.extents(some)
            self._at = some.starts[-1]
            self._old.advance(some.extents)
            if self._program.between_nodes and self._take_over_nodes(known):
                until = known.unchanged(self._at) - self._reach

    def _take_over_nodes(self, known: Known) -> bool:
        """Take over whole nodes of the old program in which, and near which, nothing changed; False where none is."""
        begun = self._at
        while self._program.between_nodes and (packet := self._old.node(self._at)) is not None:
            end = self._at + produces(packet)
            if known.unchanged(self._at) < end + self._reach or not self._old.is_plain(packet):
                break
            self._program.node(packet)
            self._at = end
        if self._at == begun:
            return False
        self._old.restart(self._at)
        return True

    def _compare(self, segment: Segment, at: int, keep: int, queue: Iterable[_Followed]) -> _Followed | None:
        """Return what the stream has in place of an old segment; None where that must be cut."""
        if self._is_unchanged(segment, at):
            return _Followed(at, segment, unread=True)
        if self._ahead is not None and (same := self._ahead.same_until(at)) >= 0:
            self._same_until = same
            return None
        if self._is_changed(segment, at):
            return None
        if self._is_next(segment, at, keep):
            return _Followed(at, segment, unread=False)
        return self._amend_read(segment, at, queue)

    def _amend_read(self, old: Segment, at: int, queue: Iterable[_Followed]) -> _Followed | None:
        """Store an extent that was read, turned out to have changed, and ends where it did."""
        place, length, found = self._mismatch
        if old.digest is None or (place, length) != (at, old.length):
            return None
        # uncompared: where it is as the new bytes are they tell the same, and a patch over it is looked at
        like = self._old_content.read(old.digest, length)
        if like is None:
            return None  # it is cut anew
        new = self._stream.view(at, length)
        spans = differing(new, like.content)
        self._same_until = at + spans[0][0] if spans else at
        earlier = [(end, start + self._most - at) for start, end in _bounds(queue)]
        least = rivals(new, spans, self._mean, [seen for _, seen in earlier])
        if least is None or not all(map(self._ends, least, earlier)):
            return None
        if self._edits is not None:
            self._edits.note(at, spans, length)
        if self._keep:
            self._pool.put(new, found, like=(like,))
        known = self._prints.of(new) if self._prints is not None else b""
        segment = Segment(at, length, copy_leaf(found, length), found, print=known)
        return _Followed(at, segment, unread=False, new=length)

    def _ends(self, rival: int, earlier: tuple[int, int]) -> bool:
        """Tell whether an extent still ends where it did, rather than behind a later window of this hash."""
        return rival == NO_RIVAL or hash_window(self._stream.fetch(earlier[0] - WINDOW, WINDOW)) <= rival

    def _is_unchanged(self, segment: Segment, at: int) -> bool:
        """Tell whether a segment is known to be as it was; of a run, also where it ends."""
        if self._known is None or segment.start != at or (segment.byte < 0 and segment.length > self._mean * 3 // 2):
            return False
        end, same = at + segment.length, self._known.unchanged(at)
        return same > end or (same == end and (segment.byte < 0 or end == self._known.size))

    def _is_changed(self, segment: Segment, at: int) -> bool:
        """Tell whether an extent is known not to be as it was: its bytes are cut without being compared first."""
        return self._known is not None and segment.start == at and segment.digest is not None

    def _is_next(self, segment: Segment, at: int, keep: int) -> bool:
        """Tell whether the stream goes on with what an old segment produces."""
        length = segment.length
        if segment.byte >= 0:
            return self._is_run(segment, at, keep)
        if length > self._mean * 3 // 2 or self._stream.have(at, length, keep) < length:
            return False
        view = self._stream.view(at, length)
        if segment.digest is None:
            return view == segment.data
        if self._mismatch[:2] != (at, length):
            self._mismatch = at, length, digest_of(view)
        return self._mismatch[2] == segment.digest

    def _is_run(self, segment: Segment, at: int, keep: int) -> bool:
        """The same for a run, which must also end where the old one did. A long one is left to the cutter."""
        length = segment.length
        if length > self._stream.capacity // 2:
            return False
        here = self._stream.have(at, length + 1, keep)
        if here < length or self._stream.view(at, 1)[0] != segment.byte:
            return False
        view = self._stream.view(at, here)
        return common_prefix(view[:-1], view[1:]) == length - 1 if here > length else self._is_constant(view)

    def _is_constant(self, view: memoryview) -> bool:
        return common_prefix(view[:-1], view[1:]) == len(view) - 1

    def _take_over(self, followed: _Followed) -> None:
        """Write a segment that the old program has; its content is stored again only where the pool has lost it."""
        segment = followed.segment
        if self._edits is not None and segment.start != followed.start:
            self._edits.give_up()
        self._new += followed.new
        self._at = followed.start + segment.length
        if segment.byte >= 0:
            self._add_run(segment.byte, segment.length)
            return
        digest = segment.digest
        if self._keep and digest is not None and not followed.unread and not self._pool.expects(digest):
            self._keep_again(segment, followed.start, digest)
        self._program.extent(segment, partial(self._stream.fetch, followed.start, segment.length))

    def _keep_again(self, segment: Segment, start: int, digest: Digest) -> None:
        """Store content that the pool has lost; what was only looked at is read now, and may have changed meanwhile."""
        content = self._stream.fetch(start, segment.length)
        if self._ahead is None or digest_of(content) == digest:
            self._pool.put(content, digest)

    # what is new

    def _recognise(self, chunks: Following) -> None:
        """Take over what the pool has behind the last chunk, as far as the stream goes on with the same."""
        self._program.settle()
        view = self._stream.view(self._at, self._stream.have(self._at, self._stream.capacity, self._at))
        for length, digest in chunks.recognise(view):
            self._program.chunk(digest, view[:length])
            view = view[length:]
            self._at += length
            self._new += length

    def _cut(self, span: int) -> bool:
        """Cut and write what the next bytes decide; False when that was the end of the stream."""
        self._program.settle()
        count = self._stream.have(self._at, span, self._at)
        ended = self._stream.ended and count < span
        if ended and not count:
            return False
        if self._fresh and self._chunks is None and not ended:  # a small file has nothing to follow
            self._chunks = Following(self._pool)
        lengths = cut(self._stream.view(self._at, count), self._mean, ended, self._program.run_byte)
        in_turn = ((False, lengths),)
        for together, some in in_turn if self._chunks is None else groupby(lengths, _is_chunk):
            add = self._add_together if together else self._add_in_turn
            if add(list(some)):
                return True
        if self._known is not None and self._program.run_byte == 0:
            self._skip_zeros(self._known.zeros(self._at))
        return not ended

    def _add_together(self, lengths: Sequence[int]) -> bool:
        """Write chunks for which there is no old program; True where the pool may have what comes behind the last.

        They are put together: a call for each cost a fourth of a first copy's own work (measured).
        """
        chunks = self._chunks
        if chunks is None:
            return False
        together = self._stream.view(self._at, sum(lengths))
        views = [together[start:stop] for start, stop in pairwise(accumulate(lengths, initial=0))]
        digests = chunks.put_all(views)
        self._program.chunks(digests, views[: len(digests)])
        taken = sum(lengths[: len(digests)])
        self._at += taken
        self._new += taken
        return chunks.expects

    def _add_in_turn(self, lengths: Iterable[int]) -> bool:
        """Write runs and chunks; True where the old program goes on behind the last."""
        for length in lengths:
            if length < 0:
                if self._edits is not None:  # to say where it differs would take as long as a run may be
                    self._edits.give_up()
                self._add_run(self._stream.view(self._at, 1)[0], -length)
                self._at -= length
                continue
            self._following = self._add_chunk(self._stream.view(self._at, length))
            self._at += length
            if self._following:
                return True
        return False

    def _skip_zeros(self, end: int) -> None:
        """Let a run of zeros go on to where it is known to, unread."""
        if end > self._at:
            self._add_run(0, end - self._at)
            self._at = end

    def _add_chunk(self, view: memoryview) -> bool:
        """Write a chunk; True where the old program goes on behind the same one."""
        length = len(view)
        if length <= INLINE:
            self._interrupt()
            self._new += length
            if self._edits is not None:
                self._edits.note(self._at, ((0, length),), length)
            self._program.data(view)
            return False
        digest = self._hashed.pop((self._at, length), None) or digest_of(view)
        is_old = self._known is None and self._old.find(digest)
        if not is_old:
            self._new += length
        like: Sequence[Like] = ()
        is_stored = digest in self._stored  # as it ended where it did, until what came behind it had to be cut
        if self._keep and not (is_old and self._pool.expects(digest)):
            if not is_old and self._unlike < _UNLIKE_CHUNKS and (self._edits is not None or not is_stored):
                like = self._old_content.beside(self._old, self._at, self._at + length)
            if not is_stored:
                self._put(view, digest, like)
        if self._edits is not None:
            self._edits.take(self._at, view, like, was_at=self._old.passed if is_old else -1)
        self._program.chunk(digest, view)
        if self._at + length <= self._differs_at:
            return False
        if self._known is None:
            return is_old or self._old.meet(self._at + length - self._moved)
        return self._is_met(self._at + length)

    def _put(self, view: memoryview, digest: Digest, like: Sequence[Like]) -> None:
        """Keep a chunk, and know whether it was like what stood there."""
        before = self._pool.arena.end if like else 0
        self._pool.put(view, digest, like=like)
        if like:
            is_small = self._pool.arena.end - before <= len(view) // 2
            self._unlike = 0 if is_small else self._unlike + 1

    def _is_met(self, at: int) -> bool:
        """Tell whether the old program has a cut here too, and goes on with what is known to be the same."""
        return self._known is not None and self._known.unchanged(at) > at and self._old.align(at)

    def _interrupt(self) -> None:
        if self._chunks is not None:
            self._chunks.interrupt()

    def _add_run(self, byte: int, length: int) -> None:
        self._interrupt()
        self._program.run(byte, length)


def _bounds(queue: Iterable[_Followed]) -> list[tuple[int, int]]:
    """Return where the extents of a queue start and end."""
    return [(one.start, one.start + one.segment.length) for one in queue if one.segment.digest is not None]


def _is_chunk(length: int) -> bool:
    """Tell whether what was cut is an extent of its own, neither a run nor so short that it stands in its leaf."""
    return length > INLINE
