/* The packet layout that the kernels need: 64 bytes, little-endian (see packet/layout.py). */
#ifndef PFS_PACKET_H
#define PFS_PACKET_H

#include <stdint.h>

#define PFS_PACKET 64
#define PFS_BODY 48
#define PFS_DIGEST 32

enum pfs_op { PFS_OP_DATA = 2, PFS_OP_FILL = 3, PFS_OP_COPY = 4, PFS_OP_EXTENT = 7 };

enum pfs_field { PFS_AT_OP = 0, PFS_AT_FLAGS = 1, PFS_AT_LENGTH = 4, PFS_AT_OPERAND = 8, PFS_AT_BODY = 16 };

_Static_assert(PFS_AT_BODY + PFS_BODY == PFS_PACKET, "the body ends the packet");

#endif
