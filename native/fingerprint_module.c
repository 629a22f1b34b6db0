/* The Python side of fingerprint.c. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "guard.h"
#include "kernels.h"
#include "packet.h"
#include "patch_module.h"

static struct pfs_source source_of(const Py_buffer *buffer) {
    return (struct pfs_source){address_of(buffer), (size_t)buffer->len};
}

PyObject *pfs_python_fingerprint(PyObject *module, PyObject *args) {
    Py_buffer data, key;
    uint8_t out[PFS_FINGERPRINT];
    PyObject *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*:fingerprint", &data, &key)) return NULL;
    if (key.len != PFS_FINGERPRINT_KEY) {
        refuse("the key has another length");
    } else {
        pfs_fingerprint(data.buf, (size_t)data.len, key.buf, out);
        result = PyBytes_FromStringAndSize((const char *)out, sizeof out);
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&key);
    return result;
}

struct looking {
    struct pfs_source leaves, known, stream;
    const uint8_t *key;
    uint8_t *same;
    size_t count;
};

static void look(void *given) {
    struct looking *now = given;
    now->count = pfs_same_fingerprints(now->leaves, now->known, now->key, now->stream, now->same);
}

/* The stream may be a mapped file, of which pages may be gone: then nothing is known of it. */
static void look_guarded(struct looking *now) {
    pfs_guard_install();
    PyThreadState *state = PyEval_SaveThread();
    if (pfs_guarded(now->stream.data, now->stream.size, look, now) != 0) now->count = 0;
    PyEval_RestoreThread(state);
}

PyObject *pfs_python_same_fingerprints(PyObject *module, PyObject *args) {
    Py_buffer leaves, known, key, stream;
    PyObject *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*y*:same_fingerprints", &leaves, &known, &key, &stream)) return NULL;
    struct looking now = {.leaves = source_of(&leaves), .known = source_of(&known), .key = key.buf,
                          .stream = source_of(&stream)};
    now.same = PyMem_Malloc(leaves.len / PFS_PACKET + 1);
    if (now.same == NULL) {
        PyErr_NoMemory();
    } else if (key.len != PFS_FINGERPRINT_KEY) {
        refuse("the key has another length");
    } else {
        look_guarded(&now);
        result = PyBytes_FromStringAndSize((const char *)now.same, (Py_ssize_t)now.count);
    }
    PyMem_Free(now.same);
    PyBuffer_Release(&leaves);
    PyBuffer_Release(&known);
    PyBuffer_Release(&key);
    PyBuffer_Release(&stream);
    return result;
}
