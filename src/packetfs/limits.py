"""Every number that bounds or tunes PacketFS, with its unit and its reason, by layer."""

from __future__ import annotations

from packetfs.typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# packet
MEAN: Final = 64 * KIB
"""Bytes of a chunk on average: 32 bytes of digest then cost 0.05 % of the data; smaller finds more, and costs more."""
MEAN_MIN: Final = 4 * KIB
MEAN_MAX: Final = 4 * MIB
"""Chunks reach 3/2 of the mean; one must fit a read buffer and a microVM window."""
EXTENT_MAX: Final = MEAN_MAX * 3 // 2
"""Bytes of the longest extent: the longest chunk. Anything that claims more is damaged."""
NODE_FANOUT: Final = 128
"""Leaves of a tree node on average (8 KiB): a changed byte re-writes one node a level."""
NODE_LEAVES_MAX: Final = 8 * NODE_FANOUT
"""Leaves of a node at the most, so that constant data cannot grow one without end."""
NODE_BYTES: Final = MIB
"""Bytes after which a node ends too: 1,024 entries with the longest tails would be 4 GiB in memory."""
CALLS_MAX: Final = 16
"""Programs that one derived file calls, each on the output of the one before."""
TREE_DEPTH_MAX: Final = 12
"""Levels of a tree: 2 leaves a node would still reach past 2**64 bytes long before."""
ENTRY_TAIL_MAX: Final = 256 * KIB
"""Bytes of name, target and extended attributes of one entry; Linux holds 64 KiB a value. A page of names is 512."""

# pool
SEGMENT: Final = 256 * MIB
"""Bytes of arena in one file: each is mapped on its own, and closed ones are never written again, only punched."""
PAYLOAD_MAX: Final = 64 * MIB
"""Bytes of an extent in the pool at the most: a tree node with long tails; chunks stay below EXTENT_MAX."""
PATCH_MIN: Final = 4 * KIB
"""Bytes of an extent from which on it may be stored as what it differs in from another: a page of disk is saved."""
PATCH_SHARE: Final = 4
"""A patch takes so small a part of its extent at the most: to read it means to read what it is over."""
PATCH_DEPTH: Final = 3
"""Patches that lead to one another at the most: what changes again after so many is stored whole, and read faster."""
PATCH_BASES: Final = 4
"""Extents that a patch copies from at the most: a chunk reaches into as many of the last version, where cuts moved."""
SEGMENTS_MAX: Final = 1 << 24
"""Segments of one arena: 4 PiB. A larger number in a file name or in the index is damage."""
SEGMENTS_OPEN: Final = 64
"""Descriptors kept open on segments: far below the usual limit of 1,024 for a process, and 16 GiB of arena."""
EXTENTS_KNOWN: Final = 8192
"""Extents of a mapped segment whose places are kept: twice as many as it has of the usual size, in 1.2 MB."""
SEGMENTS_MAPPED: Final = 16
"""Mappings that a pool keeps for views to come (4 GiB), with what is known of their extents: a file that is read again
and has more of them is looked up anew each time. A mapping with live views stays whatever this says."""
APPEND_BUFFER: Final = 256 * KIB
"""Bytes of small extents gathered for one write: more gained nothing and leaves the processor's cache (measured)."""
APPEND_DIRECT: Final = 128 * KIB
"""Payloads from this size on are written from where they lie instead of being gathered."""
APPEND_PAST: Final = MIB
"""Bytes that are gathered for one write past the page cache: with 256 KiB a gigabyte took half as much CPU again, with
4 MiB more too (by hand)."""
ROOM_KEPT: Final = 2 * MIB
"""Bytes of the disk that the arena leaves free: without them SQLite can neither be read nor free anything."""
ROOM_ASKED: Final = 16 * MIB
"""Bytes that are appended at the most before the disk is asked again how much is free."""
FOLLOW_WINDOW: Final = 256 * KIB
"""Bytes of arena that new data is compared with at a time: they stay in the second-level cache beside it."""
SEQUENCES_MAX: Final = 4096
"""Sequences of chunks that a pool remembers; one is some MB of a file, so these are some GB and take 0.3 MB."""
SCAN_WINDOW: Final = 256 * KIB
"""Bytes that a scan reads at a time while extents are small; it reads one page where it jumps over payload."""
SCAN_PEEK: Final = 4 * KIB
INDEX_SLOTS: Final = 4096
"""Slots of a new index: 64 KiB."""
INDEX_REST: Final = 16 * MIB
"""Bytes appended after which the index lets go of its pages: 100,000 small files touch all of its 8 MB."""
LOOKUPS_REST: Final = 256
"""Pages touched after which it does so too; a look-up brings in the 16 pages around its own."""
INDEX_LOAD: Final = 0.7
"""The index doubles beyond this share of used slots: linear probing then needs 2.2 steps for a hit, 6.1 for a miss."""
DATABASE_CACHE: Final = 2 * MIB
"""Bytes of pages that SQLite keeps for each connection; the page cache of the system holds the rest."""
DATABASE_BUSY: Final = 30_000
"""Milliseconds that SQLite waits for another connection before it gives up."""
MEMO_BYTES: Final = 256 * MIB
"""Bytes of remembered results in a pool; beyond, those not used for longest go. A shard mostly takes 0.3 KB."""
MEMO_OUTPUTS: Final = 1024 * MIB
"""Bytes of remembered output and large results beside them: what a program emits is kept as it is, to be handed over
without a copy."""
MEMO_VALUE_INLINE: Final = 16 * KIB
"""Bytes of a result that lie in the database: longer ones it would read, and check, page by page."""
MEMO_OUTPUT_MIN: Final = 4 * MIB
"""Bytes that a file of it counts for at the least, so that there are 256 of them at the most."""
MEMO_OUTPUT_INLINE: Final = KIB
"""Bytes up to which a shard's output is kept in its result: those of 65,535 shards may wait in memory."""
MEMO_MAPPED: Final = 64
"""Files of output that a run has mapped at a time: each takes a descriptor."""
MEMO_LOG: Final = 256 * KIB
"""Bytes of SQLite's log of it: a process that opens it reads and checks all of that first, a millisecond for 2 MB. To
copy it into the database means to wait for the disk."""
MEMO_SLACK: Final = 8
"""The part of them that goes at a time: finding the oldest reads all of them."""
MEMO_WAITING: Final = 32 * MIB
"""Bytes of results, and as many of output, that wait in memory to be written together."""
DATABASE_WAL: Final = 1000
"""Pages in SQLite's log before it is copied back into the database (4 MiB)."""
COLLECT_BATCH: Final = 1024
"""Dead extents whose headers are erased and made durable together before their payload is punched."""

# vm
CODE_SLOTS_MAX: Final = 1 << 16
"""Slots of 8 bytes in one program: jumps reach 32,767 slots, and Linux's own limit for most users is 4,096."""
PROGRAM_MAPS_MAX: Final = 64
"""Maps of one program, as in Linux."""
MAP_KEY_MAX: Final = 512
"""Bytes of a map's key: the stack of one function holds no longer one."""
MAP_VALUE_MAX: Final = 64 * KIB
"""Bytes of a map's value, and of a program's initial data of one section."""
MAP_ENTRIES_MAX: Final = 16 * MIB
"""Entries of a map: at 4 bytes each they fill the memory of a microVM."""
MAP_MEMORY_MAX: Final = 64 * MIB
"""Bytes of all maps of one microVM, and of all read-only maps of a program; an address has 28 bits of offset."""
PROGRAM_BYTES_MAX: Final = 8 * MIB
"""Bytes of the packets of a program: 65,536 slots are 700 KB, 64 maps of 64 KiB content are 5.6 MB."""

# toolchain
OBJECT_BYTES_MAX: Final = 16 * MIB
"""Bytes of an object file: large programs with all debug information have 2 MB."""
OBJECT_SECTIONS_MAX: Final = 4096
"""Sections of an object: a compiler makes a few for each function, and a program has at most 65,536 slots."""
OBJECT_SYMBOLS_MAX: Final = 1 << 16
"""Symbols of an object, and relocations of one of its sections: one for each slot that a program can have."""
OBJECT_NAME_MAX: Final = 256
"""Bytes of a name in an object; names that never end would make reading it quadratic."""
BTF_TYPES_MAX: Final = 1 << 18
"""Types of an object: the whole kernel has 150,000."""
BTF_DEPTH_MAX: Final = 32
"""Types within types, as in Linux; types that contain themselves end here."""
ARGUMENT_BYTES_MAX: Final = 256
"""Bytes of one argument of a program: a pattern or a key; it lies in the program, once for all microVMs."""
NOTES_BYTES_MAX: Final = 32 * KIB
"""Bytes of what a program says of itself: some 200 bytes an argument."""
DECIMALS_MAX: Final = 20
"""Digits behind the point that are shown: numbers of 64 bits have no more."""
PYTHON_VALUES_MAX: Final = 1 << 18
"""Values that the functions of a program in Python become, inlined: four for each slot that a program can have."""
PYTHON_SECONDS: Final = 120.0
"""Seconds that LLVM may take for a Python function; the largest programs need one."""
KERNEL_CONSTANTS_MAX: Final = MIB
"""Bytes of read-only maps that are constants of a GPU's kernel: PTX writes each as up to five characters."""
TEXT_LINE_MAX: Final = 512 * KIB
"""Bytes of a line of assembler: 64 KiB of content, each byte written as four."""
C_SECONDS: Final = 60.0
"""Seconds that clang may take: the largest programs at hand take 2."""

# fs
DIRECTORIES_OPEN: Final = 16
"""Directory descriptors that one tree keeps open: a walk goes back and forth between a few neighbours."""
RACY_NS: Final = 50_000_000
"""Nanoseconds by which a file's time stamp may lag behind the clock: a kernel tick is 1 to 10 ms long."""
RACY_COARSE_NS: Final = 2_000_000_000
"""The same where stamps are whole seconds (ext3, HFS+) or even ones (FAT)."""
PROGRESS_FILES: Final = 1000
"""Files after which a walk says how far it is: 5 ms where nothing changed, so a bar moves and nothing waits."""
PROGRESS_BYTES: Final = 32 * MIB
"""Bytes read after which it says so, within a file too."""
PATH_MAX: Final = 16 * KIB
"""Bytes of a path inside a pool; Linux stops at 4 KiB a call, but relative calls can build deeper trees."""
NAMES_PAGE: Final = 512
"""Rows of a directory that are read at a time: the cost of a query vanishes, and no cursor stays open meanwhile."""
KNOWN_DIRECTORIES: Final = 256
"""Paths of directories whose inode number is remembered: a walk asks for the same parent again and again."""
DIRECT_MIN: Final = 256 * MIB
"""Bytes of a patched file that goes to the disk past the page cache: a smaller one is copied there in less than the
0.1 s that the disk takes, and its two versions drive out little that others have there."""
INGEST_WINDOW: Final = MIB
"""Bytes of a file that are held while it is cut. 4 MiB leave the second-level cache: 2.1 instead of 2.6 GB/s."""
PRINTED_MIN: Final = MIB
"""Bytes from which the fingerprints of a file are kept: a smaller one is hashed in 0.3 ms."""
PRINTED_MEANS: Final = 1 << 20
"""Mean chunks, 64 GiB of the default's, up to which they are: 16 MiB of them, twice while a file is imported."""
BUDGET_SLACK: Final = 32
"""A budget's share that an eviction leaves free: so much can be added before the next one marks and sweeps again."""
BUDGET_WHILE_SYNCING: Final = 2
"""Budgets that content may take while a sync runs: the old and the new version of all that the budget can hold."""
DISK_SHARE: Final = 2
"""The part of the free disk that a cache may take: half, so that it is never what fills it."""
POSIX_NODES: Final = 8192
"""Inodes that a live filesystem keeps in memory (4 MB); beyond, only those that are open or changed."""
POSIX_HELD: Final = 32 * MIB
"""Bytes of files that are being written front to back and wait in memory to be cut; beyond, the oldest are settled."""
POSIX_OVERLAYS: Final = 64
"""Files with changed parts that wait to be settled: each has a descriptor on a scratch file."""
POSIX_OVERLAY_BYTES: Final = 1024 * MIB
"""Bytes in scratch files before the oldest is settled: until then they take the disk twice."""
POSIX_RANGES: Final = 1 << 14
"""Ranges of one overlay (4 MB of memory) before it is settled: so many small writes at random places."""
POSIX_GROUP: Final = 10_000
"""Changes that wait to be committed together: one more write to the disk for each of them would be the slowest part."""
POSIX_GROUP_SECONDS: Final = 1.0
"""Seconds that a change waits for others at the most; those who cannot wait call fsync."""
POSIX_RESERVE: Final = 32 * MIB
"""Bytes of disk that new names and content leave free for committing them: SQLite writes some pages a change."""
POSIX_RESERVE_SHARE: Final = 16
"""The part of a small disk that is reserved instead."""
POSIX_ROOM_STEP: Final = 16 * MIB
"""Bytes written before the free space of the disk is looked at again; others may take it meanwhile."""
POSIX_QUIET_SECONDS: Final = 1.0
"""Seconds without a write after which what was written becomes packets."""
POSIX_PAGES: Final = 64
"""Pages of 512 names that an open directory keeps, so that a place in it stays exact while names come and go."""
XATTR_VALUE_MAX: Final = 64 * KIB
"""Bytes of the value of one extended attribute, as in Linux."""
SYMLINK_MAX: Final = 4095
"""Bytes of a symbolic link's target, as in Linux."""
COLLECT_GROWTH: Final = 4
"""A cache is collected after it grew by 1/4: marking and sweeping then cost a few times what the growth itself did."""
COLLECT_GROWTH_MIN: Final = 16 * MIB
"""Bytes of growth below which garbage is not worth looking for."""
OLD_VERSIONS_MAX: Final = 1 << 16
"""Old versions that a collection ranks (7 MB of memory); what is beyond keeps its programs only."""
ROOTS_CONTENT: Final = 4
"""Synced roots whose content counts, the newest included: a few destinations that are not all synced every time. With
more, old versions of what changes hourly would push out what changes weekly."""

# net
FRAME_MAX: Final = 16 * MIB
"""Bytes of one frame, decoded: a batch of literals and the longest extent fit with room."""
PATIENCE: Final = 60.0
"""Seconds without a byte from the peer, or without one that it takes, after which it is given up. A peer that computes
for long says HEARTBEAT, so only one that is stopped, gone or unreachable is silent for so long."""
HEARTBEAT: Final = 15.0
"""Seconds of silence after which a side says HEARTBEAT: three may be lost to a busy machine; routers forget a quiet
connection after minutes."""
STANDING_REST: Final = 5.0
"""Seconds without a change after which a connection that stands lets others write the pool or directory: opening it
again takes a few milliseconds, and whoever works on a file saves it more often."""
STANDING_SNAPSHOT: Final = 600.0
"""Seconds between two snapshots of a pool that takes changes as they come; one more is taken at the end."""
WATCH_QUIET: Final = 0.3
"""Seconds after the last write to a file that stays open before it is sent."""
WATCH_LONGEST: Final = 10.0
"""Seconds after which such a file is sent though it is still written to."""
WATCH_PENDING: Final = 100_000
"""Paths that wait to be imported, 30 MB; beyond, everything is looked at instead."""
WATCH_LOOK: Final = 600.0
"""Seconds between two looks at everything: stores through a mapping make no event."""
WATCH_TIDY: Final = 60.0
"""Seconds between two collections of old content while a directory is watched."""
BACKOFF_FIRST: Final = 0.5
"""Seconds before the first attempt to connect again."""
BACKOFF_MOST: Final = 60.0
"""Seconds between two attempts at the most."""
HANDSHAKE: Final = 10.0
"""Seconds in which a stranger must have shown a key: TLS takes two round trips."""
SESSIONS_MAX: Final = 64
"""Sessions of a daemon at a time, strangers included: each is a thread, and up to 30 MB."""
STRANGERS_AN_ADDRESS: Final = 8
"""Connections of one address that have shown no key yet: whoever opens more, and says nothing, keeps nobody out."""
SESSIONS_A_KEY: Final = 16
"""Sessions of one key at a time, so that one does not keep the others out."""
REVISIT: Final = 2.0
"""Seconds after which a daemon looks whether the keys of running sessions still stand."""
STOP_SECONDS: Final = 10.0
"""Seconds that sessions have to end when the daemon stops; they are told at once."""
NAME_COST: Final = 512
"""Bytes that a name counts for in a quota beside its content: a tree of empty files takes room too."""
CERTIFICATE_DAYS: Final = 3650
"""Days that a certificate is good for: it is pinned, and revoked by hand."""
BATCH_LITERALS: Final = MIB
"""Literal bytes after which a batch is sent: large enough for zstd and for one write, small in memory."""
BATCH_CONTROL: Final = 128 * KIB
"""Control bytes after which a batch is sent."""
EDITS_MAX: Final = 1 << 16
"""Places at which files differ from what they were that an import remembers for the sync: 8 MB."""
WINDOW_NEW: Final = MIB
"""Bytes of a changed stretch that are matched at a time against the old content around them."""
WINDOW_SLACK: Final = 256 * KIB
"""Old bytes looked at on both sides of where a changed stretch is expected: an insert shifts by less, mostly."""
WINDOW_OLD: Final = 3 * MIB
"""Old bytes looked at, at most, for one window."""
SOURCES_MAX: Final = 1 << 16
"""Files that one sync may copy parts from besides each file's own old version: old ones, and what it brought."""
PLACES_MAX: Final = 1 << 19
"""Extents of old files that one sync looks up by digest (32 GiB at 64 KiB, 14 MB of memory); beyond, bytes decide."""
DRIFT_MAX: Final = 1 << 15
"""Paths that a receiver names as changed behind its back; with more, names and ids of all are compared instead."""
FAILURES_MAX: Final = 10_000
"""Failed files that a receiver names; a disk that fails everywhere needs no longer list."""
PIECES_MAX: Final = 1 << 20
"""Extents of one file that a listing names (64 GiB): they fit a frame; what lies behind them is sent."""
BLOCKS_MAX: Final = 1 << 19
"""Blocks that one message of signatures has: their sums fit a frame, and a table of them takes 9 MB."""
RUNS_HELD_MAX: Final = 1 << 18
"""Stretches of old content that are signed: 24 MB of memory on both sides. What is beyond is not looked at."""
STALE_ONE_ROUND: Final = MIB
"""Bytes of old content that are signed finely at once: a first round would save less than 11 KB, and take a trip."""
FINDS_MAX: Final = 1 << 20
"""Places where a sender remembers old content within new (24 MB); beyond, the content is sent."""
SKETCH_NAMES: Final = 256
"""Files of a tree from which a sketch of its names is tried first: a list of fewer is as short."""
SKETCH_FIRST: Final = 1024
"""Symbols that are sent at once: 14 KB, which a connection takes in one trip, for up to 700 differences."""
SKETCH_ROUNDS: Final = 8
"""Times that symbols are sent for one sketch; the second or third time is the last, as a rule."""
SYMBOLS_MAX: Final = 1 << 20
"""Symbols of a sketch: 14 MB on the wire, for 760,000 differences; with more, all names are listed."""
SUBTREES_FIRST: Final = 512
"""Directories that a sender asks about at first: 5 KB, which a connection takes in one trip."""
SUBTREES_GROWTH: Final = 8
"""How many times as many it asks about next: a million directories take five trips."""
SUBTREES_MAX: Final = 1 << 18
"""Directories that it asks about in all (2.6 MB); those that are left are listed."""
SUBTREES_SHARE: Final = 16
"""How many times as many bytes as asking costs it must be able to save."""
NAMES_MAX: Final = 1 << 30
"""Names that a sketch can be of: counts have 32 bits."""
LEAVERS: Final = 4
"""Bytes of files that go, for each byte of files that come, in which a receiver looks for the content of these."""
LEAVERS_SEEN: Final = 1 << 16
"""Names that are looked at for that: a walk over a million files that stay would take longer than it saves."""
PENDING_MAX: Final = 1 << 14
"""Listed files that wait until all names are known (8 MB), so that content of files that go is found in them."""
EARLY_MIN: Final = MIB
"""Bytes of a file from which a first copy sends it while it is still being read."""
ROOTS_HELD: Final = 16
"""Roots that a receiver names; more would only help a sender that forgot the newest sixteen."""
HISTORY_WAIT: Final = 30.0
"""Seconds that a sync waits for another one of the same directory: most end sooner, and a collection always does."""
HISTORY_POLL: Final = 0.05
"""Seconds between two looks whether it has ended."""
ENDING_WAIT: Final = 2.0
"""Seconds that a far side waits for the writer of a pool: that of a line which dropped still keeps what came, for some
milliseconds, or as long as the disk takes. Longer, and whoever meets a pool that is busy would hear of it late."""
NAMES_ROOM: Final = 128 * KIB
"""Bytes of free disk without which SQLite may fail to open: it needs 32 KiB to share, and its log."""
LEVELS_MAX: Final = 2048
"""Names in a path on the wire: as many as fit into the 4 KiB that Linux takes. Each level is looked up on its own."""
NAMED_MAX: Final = 1 << 19
"""Paths in one list of a message: a frame of 16 MiB holds fewer at 32 bytes each, and they cost 100 bytes of memory."""
NUMBERS_MAX: Final = 1 << 16
"""Numbers in one list of a message: timings of repeated runs."""
RUNS_MAX: Final = 1 << 44
"""Bytes of runs in one file (16 TiB, the longest file of ext4): 10 bytes on the wire may ask for no more work."""
COPIED_MAX: Final = (1 << 63) - 1
"""The last offset that a file can have."""

# engines
SHARD_BYTES: Final = MIB
"""Bytes of a file whose records one microVM is given by default: some milliseconds of work, and a window in cache."""
SHARD_ARRAYS: Final = 8
"""Bytes of a shard for each byte of its arrays at the least, at the most twice as many, where nobody says its size.
Each shard takes new memory for them: with half as much a histogram of a gigabyte took a third longer, and a run over
512 KiB of counts again, after a change, hardly less (a few runs of bench.typed and bench.memo)."""
SHARD_ARRAYS_ONCE: Final = 32
"""The same where no result of a shard is remembered, so that a change costs nothing more: a histogram of a gigabyte,
with 512 KiB of counts, takes 0.21 CPU-s in shards of 16 MiB, 0.18 in those of 32 and 0.16 in those of 64 (by hand)."""
SHARD_TABLES: Final = 8
"""The same for the values of its hash tables. Counting in 65,536 keys takes 3.0 CPU-s, in shards twice as long 2.9, and
0.17 again after a change (by hand)."""
SHARD_BYTES_FIT: Final = 64 * MIB
"""Bytes of such a shard at the most, so that a file of some gigabytes still keeps many cores at work."""
SHARD_BYTES_MIN: Final = 512
SHARD_BYTES_MAX: Final = 1 << 40
"""Bytes of a shard that can be asked for: less than 512 is all overhead, more than 1 TiB is one shard anyway."""
FUEL: Final = 1 << 26
"""Slots that a record may execute by default: ten a byte of the longest extent; an endless loop ends in 0.1 s."""
FUEL_MAX: Final = 1 << 56
"""Slots that can be asked for: 2 years of a microVM; the interpreters count in 64 bits with a sign."""
WORKERS_MAX: Final = 1024
"""Threads that can be asked for: more than the cores of any machine of today."""
REPEAT_MAX: Final = 10_000
"""Runs that can be asked for to measure: the median needs no more."""
RUN_WINDOW: Final = 2 * MIB
"""Bytes of a file that a worker holds. 1 and 2 MiB run as fast, but a turn for each MiB cost 65,535 short shards a
tenth more; 4 MiB gained nothing. Longer records grow it."""
MAPPED_WINDOW: Final = 256 * MIB
"""Bytes of a file that a worker maps at a time, where it can: nothing is copied, and turns are few. Each finds Python's
own memory out of the caches, through which the file has gone: with 64 MiB a search in a gigabyte took 5 ms more of 80,
with 16 MiB 7 to 10 more than that (by hand). Page tables for it take 512 KiB at the most."""
MAPPED_SHARDS: Final = 256
"""Shards that a mapped window may hold for its sake: more of them, shorter ones, are as quick in a smaller window."""
WINDOW_TAIL: Final = 16 * KIB
"""Bytes read behind a window for the record that crosses its end: most lines are shorter; a longer one asks again."""
CODE_CACHE_FILES: Final = 512
"""Objects of machine code that are remembered: some 20 kB each, so about 10 MB."""
CODE_CACHE_BYTES: Final = 16 * MIB
"""The largest object that is: a program of 65,536 slots makes less."""
SLOTS_A_CALL: Final = {"auto": 1 << 25, "lanes": 1 << 28, "cpu": 1 << 28, "native": 1 << 25, "interpreter": 1 << 16}
"""Slots that one call into an interpreter executes at the most: about 0.1 s, so that Ctrl-C and pauses are prompt."""
LIVE_A_WORKER: Final = 4
"""Batches of microVMs live at once for each worker by default: one runs, the others wait in the queue."""
MAPS_HELD: Final = 256 * MIB
"""Bytes of maps that wait to be reduced, in shared memory; one microVM may have more, then they go one by one."""
OUTPUT_HELD: Final = 256 * MIB
"""Bytes of output that wait for an earlier shard; beyond it only the shard that they wait for runs."""
OUTPUT_BUFFER: Final = MIB
"""Bytes of output that a worker gathers; a longer single emission grows it."""
PASS_OUTPUT: Final = 8 * MIB
"""Bytes of output after which a microVM's turn ends."""
PIPE_HELD: Final = 64 * MIB
"""Bytes of a pipe that are held for microVMs which have not ended; beyond it nothing new begins."""
FAULTS_MAX: Final = 1000
"""Faults of one job that are told one by one; all are counted."""
PCAP_RECORD_MAX: Final = 256 * KIB
"""Bytes of a packet in a capture at the most: libpcap's own MAXIMUM_SNAPLEN. More is damage, or an attack."""
DERIVED_MAX: Final = 1 << 40
"""Bytes that a derived file may become: 1 TiB, as any file that is to be found by its extents; more is a mistake."""
DERIVED_GROWTH: Final = 64
"""Bytes of output for each byte of input, and DERIVED_SMALL beside: a program that emits more was not meant to."""
DERIVED_SMALL: Final = 64 * MIB
STRETCH_MEAN: Final = 16
"""Shards of a stretch, whose results are remembered as one, on average: of 1 GB the 60 stretches that did not change
are looked up, and the shards of those that did, twice as many as a stretch has on average. A power of two up to 256."""
STRETCH_MAX: Final = 64
"""Shards of a stretch at the most: where digests end none, as in a hole."""
MEMO_MAPS_MAX: Final = 4 * MIB
"""Bytes of maps of one microVM up to which results are remembered: more costs as much to keep as a shard to run."""
MEMO_VALUE_MAX: Final = 2 * MIB
"""Bytes of one remembered result, compressed, and of its output: a shard of 1 MiB that emits all it sees."""
JOB_STREAM_MAX: Final = 1 << 30
"""Bytes of a frozen job beside its microVMs: what was reduced, and output that waits."""
JOB_FILE_MAX: Final = 64 * MIB
"""Bytes of job.json: 200,000 files with names of 100 bytes."""
TOTALS_MAX: Final = 16 * MIB
"""Bytes of the counts and faults of a job: 1,000 faults with names of 4 KiB, escaped."""
UNION_ENTRIES_MAX: Final = 1 << 22
"""Keys that the hash tables of a job have over all shards: they become one dict, of about 1 GB then."""
UNION_BYTES_MAX: Final = 256 * MIB
"""Bytes of their keys and values."""
TAKEN_BACK_MAX: Final = 1 << 17
"""Times that output of a batch was taken back in one log: each needs a process that was killed."""
TABLE_ROOM: Final = 32 * MIB
"""Bytes of shared memory that stay free beyond what the turns under way may need: other processes take some, too."""

# frontends
PROGRESS_SECONDS: Final = 0.1
"""Seconds between two paints of the progress bar: a terminal on a slow line keeps up, the eye sees motion."""
PROGRESS_LINE_SECONDS: Final = 1.0
"""Seconds between two progress lines of `--json`: readers want to know that it moves, not each step."""
KEEP: Final = 4 * 1024 * MIB
"""Bytes of old content of plain directories that `pfs sync` remembers by default: exact deltas for the usual home
directory or database, and an amount of disk that nobody has to think about. `--keep` changes it."""
GUEST_HISTORIES: Final = 4 * KEEP
"""Bytes of disk for the histories of what limited keys pull: each may have KEEP, and a key chooses its directories."""
PROGRAM_TEXT_MAX: Final = 64 * MIB
"""Bytes of text that `pfs asm` takes: half a million packets, far more than a root program has."""
WRITER_IDLE: Final = 0.3
"""Seconds that `packetfs.Pool` keeps the writer's lease after a change: a loop that writes many files opens the pool
once, and other processes get their turn soon."""
WRITER_HOLD: Final = 0.5
"""Seconds after which it is given up between two changes even though more follow: workers of one job write by turns."""
WRITER_PAUSE: Final = 0.05
"""Seconds that whoever gave it up so stays away, for others that look every WRITER_POLL seconds."""
WRITER_POLL: Final = 0.02
"""Seconds between two looks whether another process still has the lease: locks cannot be waited for with a limit."""
WRITER_TURN: Final = 60.0
"""Seconds that a change waits for a transaction of another thread: longer is a deadlock, which an error ends."""
WRITER_WAIT: Final = 60.0
"""Seconds that the fsspec filesystem waits for another process to finish writing: workers of dask write by turns."""
FILE_SPOOL: Final = 8 * MIB
"""Bytes of a file being written from Python that stay in memory; more goes to an unnamed file beside the pool's."""
NODES_KEPT: Final = 128
"""Nodes of programs that each pool open from Python keeps: 128 packets each on average, 3 MB as objects."""
READ_PIECES: Final = 256 * KIB
"""Bytes up to which a read is joined of pieces; more is read into one object, which saves a copy."""
FILE_BUFFER: Final = 128 * KIB
"""Bytes that a reading file object takes ahead: lines and small records cost no run of the program each."""
MOUNT_REQUEST: Final = MIB
"""Bytes of one read or write through the mount: 256 pages, what Linux lets a server without privileges ask for."""
MOUNT_BLOCK: Final = 64 * KIB
"""Bytes that stat advises programs to read and write at a time: each time is a request."""
MOUNT_READAHEAD: Final = 4 * MIB
"""Bytes that the kernel reads ahead on a mount of root: four requests in flight; others have the system's 128 KiB."""
MOUNT_VALID: Final = 3600
"""Seconds that the kernel may keep names and attributes: whoever holds the writer's lease is the only one to change."""
MOUNT_VALID_SHARED: Final = 1
"""The same where another process may change the pool."""
MOUNT_THREADS: Final = 8
"""Reads that compute for long at the same time, each in a thread of its own."""
MOUNT_SWITCH: Final = 0.0001
"""Seconds that a thread which computes in Python keeps the loop waiting, several times in each request."""
MOUNT_IDLE_LATE: Final = 0.5
"""Seconds that a group commit may be late because requests never pause."""
MOUNT_GOODBYE: Final = 10.0
"""Seconds that a signal waits for files that are still open on the mount, before the server goes."""
