/* The Python side of fingerprint.c. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "kernels.h"
#include "patch_module.h"

static struct pfs_source source_of(const Py_buffer *buffer) {
    return (struct pfs_source){buffer->buf, (size_t)buffer->len};
}

PyObject *pfs_python_fingerprint(PyObject *module, PyObject *args) {
    Py_buffer data, key;
    uint8_t out[PFS_FINGERPRINT];
    PyObject *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*:fingerprint", &data, &key)) return NULL;
    if ((size_t)key.len < pfs_fingerprint_key((size_t)data.len)) {
        refuse("the key is shorter than what it is for");
    } else {
        pfs_fingerprint(data.buf, (size_t)data.len, key.buf, out);
        result = PyBytes_FromStringAndSize((const char *)out, sizeof out);
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&key);
    return result;
}

PyObject *pfs_python_same_fingerprints(PyObject *module, PyObject *args) {
    Py_buffer leaves, known, key, stream;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*y*:same_fingerprints", &leaves, &known, &key, &stream)) return NULL;
    size_t count = pfs_same_fingerprints(source_of(&leaves), source_of(&known), source_of(&key), source_of(&stream));
    PyBuffer_Release(&leaves);
    PyBuffer_Release(&known);
    PyBuffer_Release(&key);
    PyBuffer_Release(&stream);
    return PyLong_FromSize_t(count);
}
