/* Python's buffers to the kernels of patches. These are done before another thread could take over. */
#include "patch_module.h"

#include <stdlib.h>

#include "kernels.h"
#include "packet.h"

static PyObject *refuse(const char *reason) {
    PyErr_SetString(PyExc_ValueError, reason);
    return NULL;
}

/* make */

struct pieces {
    struct pfs_piece *pieces;
    Py_buffer *buffers; /* two for each piece */
    size_t count;
};

static void release(struct pieces *held) {
    while (held->count > 0) {
        held->count--;
        PyBuffer_Release(&held->buffers[2 * held->count]);
        PyBuffer_Release(&held->buffers[2 * held->count + 1]);
    }
    free(held->pieces);
    free(held->buffers);
}

/* Hold one piece more, which begins where the last one ends or behind, and ends before `size`. */
static int hold_piece(PyObject *item, struct pieces *held, size_t size) {
    Py_buffer *digest = &held->buffers[2 * held->count], *content = digest + 1;
    Py_ssize_t at, offset;
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a piece is a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(item, "ny*ny*:make_patch", &at, digest, &offset, content)) return -1;
    struct pfs_piece *piece = &held->pieces[held->count++];
    *piece = (struct pfs_piece){content->buf, digest->buf, (size_t)content->len, (size_t)at, (uint64_t)offset};
    size_t done = held->count > 1 ? piece[-1].at + piece[-1].size : 0;
    if (at < 0 || piece->at < done || piece->at > size || piece->size > size - piece->at)
        refuse("pieces stand one behind the other in the new bytes");
    else if (offset < 0 || digest->len != PFS_DIGEST)
        refuse("a piece is from an offset of a digest of 32 bytes");
    return PyErr_Occurred() ? -1 : 0;
}

static int hold(PyObject *sequence, struct pieces *held, size_t size) {
    Py_ssize_t count = PySequence_Size(sequence);
    if (count < 0) return -1;
    held->pieces = calloc((size_t)count + 1, sizeof *held->pieces);
    held->buffers = calloc((size_t)count + 1, 2 * sizeof *held->buffers);
    if (held->pieces == NULL || held->buffers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PySequence_GetItem(sequence, i);
        int failed = item == NULL || hold_piece(item, held, size);
        Py_XDECREF(item);
        if (failed) return -1;
    }
    return 0;
}

static PyObject *make(const Py_buffer *new, const struct pieces *held, size_t room) {
    struct pfs_bytes patch = {.data = malloc(room + 1), .room = room};
    if (patch.data == NULL) return PyErr_NoMemory();
    int failed = pfs_patch_make(new->buf, (size_t)new->len, held->pieces, held->count, &patch);
    PyObject *result =
        failed ? Py_NewRef(Py_None) : PyBytes_FromStringAndSize((const char *)patch.data, (Py_ssize_t)patch.size);
    free(patch.data);
    return result;
}

PyObject *pfs_python_make_patch(PyObject *module, PyObject *args) {
    Py_buffer new;
    PyObject *pieces, *result = NULL;
    Py_ssize_t room;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*On:make_patch", &new, &pieces, &room)) return NULL;
    struct pieces held = {0};
    if (new.len > UINT32_MAX)
        refuse("an extent is shorter than 4 GiB");
    else if (room < 0 || room > new.len)
        refuse("a patch takes no more room than its extent");
    else if (hold(pieces, &held, (size_t)new.len) == 0)
        result = make(&new, &held, (size_t)room);
    release(&held);
    PyBuffer_Release(&new);
    return result;
}

/* parts */

/* The number of a base, which is added where it is new. */
static Py_ssize_t number_of(PyObject *bases, const uint8_t *digest, Py_ssize_t limit) {
    Py_ssize_t count = PyList_Size(bases);
    for (Py_ssize_t i = 0; i < count; i++)
        if (memcmp(PyBytes_AsString(PyList_GetItem(bases, i)), digest, PFS_DIGEST) == 0) return i;
    if (count >= limit) {
        refuse("a patch copies from none, or from too many");
        return -1;
    }
    PyObject *base = PyBytes_FromStringAndSize((const char *)digest, PFS_DIGEST);
    int failed = base == NULL || PyList_Append(bases, base);
    Py_XDECREF(base);
    return failed ? -1 : count;
}

static PyObject *copied(PyObject *bases, const struct pfs_part *part, Py_ssize_t limit) {
    Py_ssize_t number = number_of(bases, part->digest, limit);
    if (number < 0) return NULL;
    return Py_BuildValue("(nKK)", number, (unsigned long long)part->offset, (unsigned long long)part->size);
}

static PyObject *literal(const struct pfs_part *part) {
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)part->size);
    if (bytes == NULL) return NULL;
    size_t made;
    const char *wrong = pfs_expand(part->program, part->packets, NULL, 0, (uint8_t *)PyBytes_AsString(bytes),
                                   (size_t)part->size, &made);
    if (wrong == NULL) return bytes;
    Py_DECREF(bytes);
    return refuse(wrong);
}

static int add_parts(const Py_buffer *patch, PyObject *bases, PyObject *parts, Py_ssize_t limit) {
    size_t packets = (size_t)patch->len / PFS_PACKET;
    for (size_t at = 0; at < packets;) {
        struct pfs_part found;
        const char *wrong = pfs_patch_next(patch->buf, packets, &at, &found);
        PyObject *part = wrong ? refuse(wrong) : found.digest ? copied(bases, &found, limit) : literal(&found);
        int failed = part == NULL || PyList_Append(parts, part);
        Py_XDECREF(part);
        if (failed) return -1;
    }
    if (PyList_Size(bases) > 0) return 0;
    refuse("a patch copies from none, or from too many");
    return -1;
}

PyObject *pfs_python_patch_parts(PyObject *module, PyObject *args) {
    Py_buffer patch;
    Py_ssize_t size, limit;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*nn:patch_parts", &patch, &size, &limit)) return NULL;
    PyObject *bases = PyList_New(0), *parts = PyList_New(0), *result = NULL;
    if (patch.len % PFS_PACKET != 0)
        refuse("a program is whole packets");
    else if (size < 0 || !pfs_patch_makes(patch.buf, (size_t)patch.len / PFS_PACKET, (uint64_t)size))
        refuse("a patch does not make the bytes of its extent");
    else if (bases != NULL && parts != NULL && add_parts(&patch, bases, parts, limit) == 0)
        result = Py_BuildValue("(OO)", bases, parts);
    Py_XDECREF(bases);
    Py_XDECREF(parts);
    PyBuffer_Release(&patch);
    return result;
}
