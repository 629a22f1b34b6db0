/* Python's buffers to narrow words: to make them, to read them back, and to reduce them as they are. */
#include "vm_module.h"

#include "vm_snapshot.h"

/* A block has a byte at the least. */
static int can_be(Py_ssize_t count, const Py_buffer *data) {
    return count >= 0 && count / PFS_NARROW_BLOCK <= data->len && count <= PY_SSIZE_T_MAX / 8;
}

PyObject *pfs_python_narrow(PyObject *module, PyObject *args) {
    Py_buffer words;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*:narrow", &words)) return NULL;
    PyObject *narrowed = NULL;
    if (words.len % 8 != 0) {
        refuse("a word has 8 bytes");
    } else {
        const uint8_t *from = address_of(&words);
        size_t count = (size_t)words.len / 8, size = pfs_narrow(NULL, 0, from, count);
        narrowed = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
        if (narrowed != NULL && pfs_narrow((uint8_t *)PyBytes_AsString(narrowed), size, from, count) != size) {
            Py_CLEAR(narrowed);
            refuse("the words changed while they were narrowed");
        }
    }
    PyBuffer_Release(&words);
    return narrowed;
}

PyObject *pfs_python_widen(PyObject *module, PyObject *args) {
    Py_buffer data;
    Py_ssize_t count;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*n:widen", &data, &count)) return NULL;
    PyObject *words = NULL;
    if (!can_be(count, &data))
        refuse("these are not so many words");
    else
        words = PyByteArray_FromStringAndSize(NULL, count * 8);
    uint8_t *to = words == NULL ? NULL : (uint8_t *)PyByteArray_AsString(words);
    if (to != NULL && pfs_widen(to, (size_t)count, address_of(&data), (size_t)data.len) < 0) {
        Py_CLEAR(words);
        refuse("these are not words in blocks");
    }
    PyBuffer_Release(&data);
    return words;
}

PyObject *pfs_python_is_narrow(PyObject *module, PyObject *args) {
    Py_buffer data;
    Py_ssize_t count;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*n:is_narrow", &data, &count)) return NULL;
    int is = can_be(count, &data) && pfs_widen(NULL, (size_t)count, address_of(&data), (size_t)data.len) == 0;
    PyBuffer_Release(&data);
    return PyBool_FromLong(is);
}

PyObject *pfs_python_vm_reduce_narrow(PyObject *module, PyObject *args) {
    Py_buffer into, data;
    Py_ssize_t count, start;
    unsigned int reducer, width;
    (void)module;
    if (!PyArg_ParseTuple(args, "w*y*nnII:vm_reduce_narrow", &into, &data, &count, &start, &reducer, &width)) return NULL;
    int failed = !can_be(count, &data) || start < 0 || into.len % 8 != 0 || width == 0 || width > 8 || (width & (width - 1));
    if (!failed) {
        struct pfs_narrow narrow = {.data = address_of(&data), .size = (size_t)data.len, .count = (size_t)count};
        PyThreadState *state = PyEval_SaveThread();
        failed = pfs_vm_reduce_narrow(address_of(&into), (size_t)into.len, &narrow, (size_t)start, reducer, width);
        PyEval_RestoreThread(state);
    }
    PyBuffer_Release(&into);
    PyBuffer_Release(&data);
    if (failed) return refuse("these are not words in blocks, or too few");
    Py_RETURN_NONE;
}
