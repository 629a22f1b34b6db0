/* Python's buffers to the kernels of patches and of what differs in place. A patch is done before another thread could
 * take over. */
#include "patch_module.h"

#include <stdlib.h>

#include "kernels.h"
#include "packet.h"

/* compare */

static PyObject *stretches(const Py_buffer *new, const Py_buffer *old) {
    PyObject *found = PyList_New(0);
    struct pfs_stretch stretch = {0, 0};
    while (found != NULL && pfs_differ(new->buf, old->buf, (size_t)new->len, &stretch)) {
        PyObject *item = Py_BuildValue("(nn)", (Py_ssize_t)stretch.start, (Py_ssize_t)stretch.end);
        if (item == NULL || PyList_Append(found, item)) Py_CLEAR(found);
        Py_XDECREF(item);
    }
    return found;
}

PyObject *pfs_python_differing(PyObject *module, PyObject *args) {
    Py_buffer new, old;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*:differing", &new, &old)) return NULL;
    PyObject *result =
        new.len == old.len ? stretches(&new, &old) : refuse("what is compared in place is of one length");
    PyBuffer_Release(&new);
    PyBuffer_Release(&old);
    return result;
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

/* bases */

PyObject *pfs_python_patch_bases(PyObject *module, PyObject *args) {
    Py_buffer patch;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*:patch_bases", &patch)) return NULL;
    PyObject *bases = patch.len % PFS_PACKET ? refuse("a program is whole packets") : PyList_New(0);
    for (Py_ssize_t at = 0; bases != NULL && at < patch.len; at += PFS_PACKET) {
        const char *packet = (const char *)patch.buf + at;
        if (packet[PFS_AT_OP] != PFS_OP_COPY) continue;
        PyObject *base = PyBytes_FromStringAndSize(packet + PFS_AT_BODY, PFS_DIGEST);
        if (base == NULL || PyList_Append(bases, base)) Py_CLEAR(bases);
        Py_XDECREF(base);
    }
    PyBuffer_Release(&patch);
    return bases;
}

/* pack */

#define OFFSET_MOST ((Py_ssize_t)1 << 62)

static PyObject *tuple_of(const struct pfs_copy *copy) {
    if (copy->size == 0) return Py_NewRef(Py_None);
    return Py_BuildValue("(KKK)", (unsigned long long)copy->source, (unsigned long long)copy->offset,
                         (unsigned long long)copy->size);
}

static PyObject *bytes_of(const struct pfs_bytes *bytes) {
    return PyBytes_FromStringAndSize((const char *)bytes->data, (Py_ssize_t)bytes->size);
}

/* The delta, or what is wrong; what was made for it is freed. */
static PyObject *packed_of(struct pfs_packed *packed, const char *wrong) {
    struct pfs_delta *delta = &packed->delta;
    PyObject *result = NULL;
    if (wrong != NULL)
        refuse(wrong);
    else if (delta->failed)
        PyErr_NoMemory();
    else
        result = Py_BuildValue("(N(NNK)N)", tuple_of(&packed->head), bytes_of(&delta->instructions),
                               bytes_of(&delta->literals), (unsigned long long)delta->expected, tuple_of(&packed->tail));
    free(delta->instructions.data);
    free(delta->literals.data);
    return result;
}

PyObject *pfs_python_pack_in_place(PyObject *module, PyObject *args) {
    Py_buffer new, old;
    Py_ssize_t at;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*n:pack_in_place", &new, &old, &at)) return NULL;
    struct pfs_packed packed = {0};
    const char *wrong = NULL;
    if (new.len != old.len)
        wrong = "what is compared in place is of one length";
    else if (at < 0 || at > OFFSET_MOST)
        wrong = "offsets are integers from 0 to 2**62";
    PyThreadState *state = PyEval_SaveThread();
    if (wrong == NULL) pfs_pack_in_place(new.buf, old.buf, (size_t)new.len, (uint64_t)at, &packed);
    PyEval_RestoreThread(state);
    PyObject *result = packed_of(&packed, wrong);
    PyBuffer_Release(&new);
    PyBuffer_Release(&old);
    return result;
}

/* The place of a base, by its digest. */
static int find_place(PyObject *places, const uint8_t *digest, struct pfs_place *place) {
    Py_ssize_t source = 0, start = 0;
    PyObject *key = PyBytes_FromStringAndSize((const char *)digest, PFS_DIGEST);
    PyObject *found = key == NULL ? NULL : PyDict_GetItemWithError(places, key);
    Py_XDECREF(key);
    if (found == NULL) {
        if (!PyErr_Occurred()) refuse("a patch copies from what has no place");
        return -1;
    }
    if (!PyArg_Parse(found, "(nn)", &source, &start)) return -1;
    *place = (struct pfs_place){(uint64_t)source, (uint64_t)start};
    if (source >= 0 && start >= 0 && source <= OFFSET_MOST && start <= OFFSET_MOST) return 0;
    refuse("offsets are integers from 0 to 2**62");
    return -1;
}

/* The place of each COPY; neighbours are mostly from the same extent. */
static struct pfs_place *places_of(PyObject *places, const uint8_t *patch, size_t packets) {
    struct pfs_place *found = malloc((packets + 1) * sizeof *found);
    const uint8_t *last = NULL;
    size_t count = 0;
    if (found == NULL) PyErr_NoMemory();
    for (size_t i = 0; found != NULL && i < packets; i++) {
        const uint8_t *packet = patch + i * PFS_PACKET, *digest = packet + PFS_AT_BODY;
        if (packet[PFS_AT_OP] != PFS_OP_COPY) continue;
        if (last != NULL && memcmp(last, digest, PFS_DIGEST) == 0) {
            found[count] = found[count - 1];
        } else if (find_place(places, digest, &found[count])) {
            free(found);
            return NULL;
        }
        last = digest;
        count++;
    }
    return found;
}

PyObject *pfs_python_pack_patch(PyObject *module, PyObject *args) {
    Py_buffer patch;
    Py_ssize_t size, expected;
    PyObject *places, *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*nO!n:pack_patch", &patch, &size, &PyDict_Type, &places, &expected)) return NULL;
    size_t packets = (size_t)patch.len / PFS_PACKET;
    struct pfs_place *found = NULL;
    if (patch.len % PFS_PACKET != 0)
        refuse("a program is whole packets");
    else if (expected < 0 || expected > OFFSET_MOST)
        refuse("offsets are integers from 0 to 2**62");
    else if (size < 0 || size > UINT32_MAX)
        refuse("an extent is shorter than 4 GiB");
    else
        found = places_of(places, patch.buf, packets);
    if (found != NULL) {
        struct pfs_packed packed = {.delta.expected = (uint64_t)expected};
        result = packed_of(&packed, pfs_pack_patch(patch.buf, packets, (size_t)size, found, &packed));
    }
    free(found);
    PyBuffer_Release(&patch);
    return result;
}
