/* Reading pieces of files that are not wanted again soon: what the page cache has comes out of it, and what it lacks past
 * it, all at once, by Linux's own asynchronous calls: each alone would be waited for, and costs three times as much. The
 * twin is in pool/past.py. */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kernels.h"
#include "patch_module.h"

enum { TOGETHER = 64, BLOCK = 4096 };

struct piece {
    int fd, past; /* the same file; past the page cache, or -1 */
    Py_ssize_t offset, length;
    Py_buffer room;
    int is_read;
};

struct reading {
    struct piece pieces[TOGETHER];
    size_t count;
};

static size_t blocks_of(const struct piece *piece) {
    return (size_t)(piece->offset % BLOCK + piece->length + BLOCK - 1) / BLOCK * BLOCK;
}

static void read_cached(struct piece *piece) {
    char *into = (char *)piece->room.buf + piece->offset % BLOCK;
    Py_ssize_t done = 0, count = 1;
    while (done < piece->length && count > 0) {
        count = pread(piece->fd, into + done, (size_t)(piece->length - done), piece->offset + done);
        if (count > 0) done += count;
    }
    piece->is_read = done == piece->length;
}

#if defined(__linux__)
#include <linux/aio_abi.h>
#include <sys/syscall.h>

static aio_context_t context;
static pid_t owner; /* a child has none of its parent's */
static int is_busy;

static int have_context(void) {
    if (owner == getpid()) return context != 0;
    owner = getpid();
    context = 0;
    return syscall(SYS_io_setup, TOGETHER, &context) == 0;
}

/* All that is under way must end before anybody may have the rooms: a signal is no reason to leave, and where nothing can
 * be heard of it the context ends, which waits for it. */
static void await(long left) {
    struct io_event events[TOGETHER];
    while (left > 0) {
        long count = syscall(SYS_io_getevents, context, left, left, events, NULL);
        for (long i = 0; i < count; i++) {
            struct piece *piece = (struct piece *)(uintptr_t)events[i].data;
            piece->is_read = events[i].res >= piece->offset % BLOCK + piece->length;
        }
        if (count > 0) left -= count;
        if (count < 0 && errno != EINTR) {
            syscall(SYS_io_destroy, context);
            context = 0;
            return;
        }
    }
}

static void read_past(struct piece **pieces, size_t count) {
    struct iocb asked[TOGETHER], *rest[TOGETHER], **next = rest;
    for (size_t i = 0; i < count; i++) {
        struct piece *piece = pieces[i];
        asked[i] = (struct iocb){.aio_data = (uintptr_t)piece, .aio_lio_opcode = IOCB_CMD_PREAD,
                                 .aio_fildes = (uint32_t)piece->past, .aio_buf = (uintptr_t)piece->room.buf,
                                 .aio_nbytes = blocks_of(piece), .aio_offset = piece->offset / BLOCK * BLOCK};
        rest[i] = &asked[i];
    }
    while (count > 0 && context != 0) {
        long taken = syscall(SYS_io_submit, context, (long)count, next);
        if (taken <= 0) return;
        await(taken);
        next += taken;
        count -= (size_t)taken;
    }
}

static int begin(void) {
    if (is_busy || !have_context()) return 0;
    return is_busy = 1;
}

static void end(void) { is_busy = 0; }
#else
static void read_past(struct piece **pieces, size_t count) { (void)pieces, (void)count; }
static int begin(void) { return 0; }
static void end(void) {}
#endif

static void read_all(struct reading *now, int may_pass) {
    struct piece *lacking[TOGETHER];
    size_t count = 0;
    for (size_t i = 0; i < now->count && may_pass; i++) {
        struct piece *piece = &now->pieces[i];
        if (piece->past >= 0 && !pfs_is_resident(piece->fd, (uint64_t)piece->offset, (size_t)piece->length))
            lacking[count++] = piece;
    }
    read_past(lacking, count);
    for (size_t i = 0; i < now->count; i++)
        if (!now->pieces[i].is_read) read_cached(&now->pieces[i]);
}

static int add_piece(struct reading *now, PyObject *given) {
    struct piece *piece = &now->pieces[now->count];
    if (!PyArg_ParseTuple(given, "iinnw*:read_pieces", &piece->fd, &piece->past, &piece->offset, &piece->length, &piece->room))
        return -1;
    now->count++;
    if (piece->offset >= 0 && piece->length >= 0 && piece->length < PY_SSIZE_T_MAX / 2 &&
        blocks_of(piece) <= (size_t)piece->room.len)
        return 0;
    refuse("a piece has no room");
    return -1;
}

static PyObject *answers(const struct reading *now) {
    PyObject *list = PyList_New((Py_ssize_t)now->count);
    for (size_t i = 0; list != NULL && i < now->count; i++)
        if (PyList_SetItem(list, (Py_ssize_t)i, PyBool_FromLong(now->pieces[i].is_read))) Py_CLEAR(list);
    return list;
}

static PyObject *read_pieces(struct reading *now, PyObject *pieces) {
    for (Py_ssize_t i = 0; i < PyList_Size(pieces); i++)
        if (add_piece(now, PyList_GetItem(pieces, i))) return NULL;
    int may_pass = begin();
    PyThreadState *state = PyEval_SaveThread();
    read_all(now, may_pass);
    PyEval_RestoreThread(state);
    if (may_pass) end();
    return answers(now);
}

PyObject *pfs_python_read_pieces(PyObject *module, PyObject *args) {
    PyObject *pieces;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!:read_pieces", &PyList_Type, &pieces)) return NULL;
    if (PyList_Size(pieces) > TOGETHER) return refuse("so many pieces are not read at once");
    struct reading *now = PyMem_Calloc(1, sizeof *now);
    if (now == NULL) return PyErr_NoMemory();
    PyObject *result = read_pieces(now, pieces);
    for (size_t i = 0; i < now->count; i++) PyBuffer_Release(&now->pieces[i].room);
    PyMem_Free(now);
    return result;
}
