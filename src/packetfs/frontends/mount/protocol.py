"""The one table of the FUSE protocol: structures, opcodes and flags of linux/fuse.h, versions 7.31 to 7.45.

Formats are made from it, a test compares it with the header where that is installed. Seconds are signed here: the
kernel keeps them in u64 and reads them back as signed. Fields marked with a minus are padding or of no use to us.
"""

from __future__ import annotations

from packetfs.enum import IntEnum, IntFlag
from packetfs.frontends.mount.layout import Layout, join, layout
from packetfs.typing import Final

MAJOR: Final = 7
MINOR: Final = 45
MINOR_MIN: Final = 31
"""Linux 5.4; older ones lack RENAME2 flags, copy_file_range or large requests in parts."""

IN_HEADER: Final = layout(
    "fuse_in_header", "u32 len opcode; u64 unique nodeid; u32 uid gid pid; u16 total_extlen -padding", 38
)
OUT_HEADER: Final = layout("fuse_out_header", "u32 len; i32 error; u64 unique")
ATTR: Final = layout(
    "fuse_attr",
    "u64 ino size blocks; i64 atime mtime ctime; u32 atimensec mtimensec ctimensec"
    " mode nlink uid gid rdev blksize flags",
)
ENTRY_OUT: Final = layout(
    "fuse_entry_out",
    "u64 nodeid generation entry_valid attr_valid; u32 entry_valid_nsec attr_valid_nsec; u32 -attr[22]",
)
"""The attributes at its end are a layout of their own."""
ATTR_OUT: Final = layout("fuse_attr_out", "u64 attr_valid; u32 attr_valid_nsec -dummy; u32 -attr[22]")
INIT_IN: Final = layout("fuse_init_in", "u32 major minor max_readahead flags")
"""What every version sends."""
INIT_IN_MORE: Final = layout("fuse_init_in", "u32 major minor max_readahead flags flags2", 36)
"""What follows where INIT_EXT says so."""
INIT_OUT: Final = layout(
    "fuse_init_out",
    "u32 major minor max_readahead flags; u16 max_background congestion_threshold; u32 max_write time_gran;"
    "u16 max_pages -map_alignment; u32 flags2 -rest[7]",
    36,
)
FORGET_IN: Final = layout("fuse_forget_in", "u64 nlookup")
BATCH_FORGET_IN: Final = layout("fuse_batch_forget_in", "u32 count -dummy")
FORGET_ONE: Final = layout("fuse_forget_one", "u64 nodeid nlookup")
GETATTR_IN: Final = layout("fuse_getattr_in", "u32 getattr_flags -dummy; u64 fh")
SETATTR_IN: Final = layout(
    "fuse_setattr_in",
    "u32 valid -padding; u64 fh size -lock_owner; i64 atime mtime ctime; u32 atimensec mtimensec ctimensec"
    " mode -unused4 uid gid -unused5",
)
MKNOD_IN: Final = layout("fuse_mknod_in", "u32 mode rdev umask -padding")
MKDIR_IN: Final = layout("fuse_mkdir_in", "u32 mode umask")
RENAME_IN: Final = layout("fuse_rename_in", "u64 newdir")
RENAME2_IN: Final = layout("fuse_rename2_in", "u64 newdir; u32 flags -padding")
LINK_IN: Final = layout("fuse_link_in", "u64 oldnodeid")
OPEN_IN: Final = layout("fuse_open_in", "u32 flags open_flags", 33)
CREATE_IN: Final = layout("fuse_create_in", "u32 flags mode umask open_flags", 33)
OPEN_OUT: Final = layout("fuse_open_out", "u64 fh; u32 open_flags -padding")
RELEASE_IN: Final = layout("fuse_release_in", "u64 fh; u32 flags release_flags; u64 -lock_owner")
FLUSH_IN: Final = layout("fuse_flush_in", "u64 fh; u32 -unused -padding; u64 -lock_owner")
READ_IN: Final = layout("fuse_read_in", "u64 fh offset; u32 size -read_flags; u64 -lock_owner; u32 -flags -padding")
WRITE_IN: Final = layout("fuse_write_in", "u64 fh offset; u32 size write_flags; u64 -lock_owner; u32 -flags -padding")
WRITE_OUT: Final = layout("fuse_write_out", "u32 size -padding")
FSYNC_IN: Final = layout("fuse_fsync_in", "u64 fh; u32 fsync_flags -padding")
SETXATTR_IN: Final = layout("fuse_setxattr_in", "u32 size flags setxattr_flags -padding", 33)
GETXATTR_IN: Final = layout("fuse_getxattr_in", "u32 size -padding")
GETXATTR_OUT: Final = layout("fuse_getxattr_out", "u32 size -padding")
STATFS_OUT: Final = layout(
    "fuse_kstatfs", "u64 blocks bfree bavail files ffree; u32 bsize namelen frsize -padding -spare[6]"
)
INTERRUPT_IN: Final = layout("fuse_interrupt_in", "u64 unique")
FALLOCATE_IN: Final = layout("fuse_fallocate_in", "u64 fh offset length; u32 mode -padding")
LSEEK_IN: Final = layout("fuse_lseek_in", "u64 fh offset; u32 whence -padding")
LSEEK_OUT: Final = layout("fuse_lseek_out", "u64 offset")
COPY_FILE_RANGE_IN: Final = layout("fuse_copy_file_range_in", "u64 fh_in off_in nodeid_out fh_out off_out len flags")
COPY_FILE_RANGE_OUT: Final = layout("fuse_copy_file_range_out", "u64 bytes_copied", 45)
DIRENT: Final = layout("fuse_dirent", "u64 ino off; u32 namelen type")
INVAL_INODE_OUT: Final = layout("fuse_notify_inval_inode_out", "u64 ino; i64 off len")
INVAL_ENTRY_OUT: Final = layout("fuse_notify_inval_entry_out", "u64 parent; u32 namelen flags", 38)

LAYOUTS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Layout))

HEAD: Final = IN_HEADER.struct
REPLY_HEAD: Final = OUT_HEADER.struct
# ENTRY_OUT and ATTR_OUT end with the attributes: their codes take the place of that padding
_ENTRY_START: Final = layout("", "u64 nodeid generation entry_valid attr_valid; u32 entry_valid_nsec attr_valid_nsec")
_ATTR_START: Final = layout("", "u64 attr_valid; u32 attr_valid_nsec -dummy")
REPLY_ENTRY: Final = join(OUT_HEADER, _ENTRY_START, ATTR)
REPLY_ATTR: Final = join(OUT_HEADER, _ATTR_START, ATTR)
REPLY_CREATED: Final = join(OUT_HEADER, _ENTRY_START, ATTR, OPEN_OUT)
REPLY_OPEN: Final = join(OUT_HEADER, OPEN_OUT)
REPLY_WRITE: Final = join(OUT_HEADER, WRITE_OUT)
REPLY_U64: Final = join(OUT_HEADER, LSEEK_OUT)
REPLY_STATFS: Final = join(OUT_HEADER, STATFS_OUT)
REPLY_INIT: Final = join(OUT_HEADER, INIT_OUT)
DIRENTPLUS: Final = join(_ENTRY_START, ATTR, DIRENT)


class Opcode(IntEnum):
    """What the kernel asks."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    GETLK = 31
    SETLK = 32
    SETLKW = 33
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    BMAP = 37
    DESTROY = 38
    IOCTL = 39
    POLL = 40
    NOTIFY_REPLY = 41
    BATCH_FORGET = 42
    FALLOCATE = 43
    READDIRPLUS = 44
    RENAME2 = 45
    LSEEK = 46
    COPY_FILE_RANGE = 47
    SETUPMAPPING = 48
    REMOVEMAPPING = 49
    SYNCFS = 50
    TMPFILE = 51
    STATX = 52
    COPY_FILE_RANGE_64 = 53


OPCODES_END: Final = max(Opcode) + 1


class Init(IntFlag):
    """What kernel and server can do; bits from 32 on travel in `flags2`."""

    ASYNC_READ = 1 << 0
    ATOMIC_O_TRUNC = 1 << 3
    EXPORT_SUPPORT = 1 << 4
    BIG_WRITES = 1 << 5
    DONT_MASK = 1 << 6
    AUTO_INVAL_DATA = 1 << 12
    DO_READDIRPLUS = 1 << 13
    READDIRPLUS_AUTO = 1 << 14
    ASYNC_DIO = 1 << 15
    WRITEBACK_CACHE = 1 << 16
    PARALLEL_DIROPS = 1 << 18
    POSIX_ACL = 1 << 20
    MAX_PAGES = 1 << 22
    CACHE_SYMLINKS = 1 << 23
    HANDLE_KILLPRIV_V2 = 1 << 28
    SETXATTR_EXT = 1 << 29
    INIT_EXT = 1 << 30
    DIRECT_IO_ALLOW_MMAP = 1 << 36


class Fattr(IntFlag):
    """Which fields of SETATTR count."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2
    SIZE = 1 << 3
    ATIME = 1 << 4
    MTIME = 1 << 5
    FH = 1 << 6
    ATIME_NOW = 1 << 7
    MTIME_NOW = 1 << 8
    CTIME = 1 << 10
    KILL_SUIDGID = 1 << 11


class Fopen(IntFlag):
    """How the kernel is to treat an open file."""

    DIRECT_IO = 1 << 0
    KEEP_CACHE = 1 << 1
    CACHE_DIR = 1 << 3
    NOFLUSH = 1 << 5


GETATTR_FH: Final = 1 << 0
OPEN_KILL_SUIDGID: Final = 1 << 0
WRITE_KILL_SUIDGID: Final = 1 << 2
SETXATTR_ACL_KILL_SGID: Final = 1 << 0
FSYNC_FDATASYNC: Final = 1 << 0
NOTIFY_INVAL_INODE: Final = 2
NOTIFY_INVAL_ENTRY: Final = 3
ROOT_ID: Final = 1
