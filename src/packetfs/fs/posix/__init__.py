"""A POSIX filesystem over names and programs, for a mount or anybody else: inodes, handles, bytes that change.

Nouns: node (an inode in memory), reference (a use of an inode by its number, counted until it is forgotten), orphan (an
inode without a name that is in use), content (bytes that are not yet a program: a *stream*, written front to back, or
an *overlay* over the old program), settle (make content a program).
Rule: only settled content is ever named by what is committed. Names are bytes, times nanoseconds, errors OSError with
the errno that POSIX wants; one thread at a time.
In the order of the data: operations -> handles, files, tree -> nodes, references, room -> contents -> stream, overlay,
ranges, scratch -> programs; beside them attributes, xattrs, errnos, and frozen, the same operations on a snapshot.
May import: fs, pool, packet, the ground. It knows nothing of FUSE.
"""

from __future__ import annotations
