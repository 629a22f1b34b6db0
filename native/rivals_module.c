/* The Python side of rivals.c. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>

#include "kernels.h"
#include "patch_module.h"

enum { SPANS = 8 }; /* that are looked at one by one: of more, all from the first to the last are */

struct spans {
    struct pfs_span data[SPANS];
    size_t count, start, end; /* of all */
};

static int take_span(PyObject *item, struct spans *spans, size_t size) {
    Py_ssize_t start, end;
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a span is a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(item, "nn:rivals", &start, &end)) return -1;
    if (start < 0 || end < start || (size_t)start < spans->end || (size_t)end > size) {
        refuse("spans lie one behind the other in the new bytes");
        return -1;
    }
    if (spans->count < SPANS) spans->data[spans->count] = (struct pfs_span){(size_t)start, (size_t)end};
    if (spans->count++ == 0) spans->start = (size_t)start;
    spans->end = (size_t)end;
    return 0;
}

static int take_spans(PyObject *sequence, struct spans *spans, size_t size) {
    Py_ssize_t count = PySequence_Size(sequence);
    int failed = count < 0;
    for (Py_ssize_t i = 0; !failed && i < count; i++) {
        PyObject *item = PySequence_GetItem(sequence, i);
        failed = item == NULL || take_span(item, spans, size);
        Py_XDECREF(item);
    }
    if (spans->count > SPANS) {
        spans->data[0] = (struct pfs_span){spans->start, spans->end};
        spans->count = 1;
    }
    return failed ? -1 : 0;
}

static PyObject *rival_of(PyObject *seen, const Py_buffer *new, const struct spans *spans, pfs_argmin_fn *argmin) {
    Py_ssize_t count = PyLong_AsSsize_t(seen);
    if (count < 0 && PyErr_Occurred()) return NULL;
    size_t high = count < 0 ? 0 : count < new->len ? (size_t)count : (size_t)new->len;
    return PyLong_FromUnsignedLongLong(pfs_least_changed(new->buf, spans->data, spans->count, PFS_WINDOW, high, argmin));
}

static PyObject *rivals(const Py_buffer *new, const struct spans *spans, size_t mean, PyObject *seen) {
    size_t size = (size_t)new->len;
    pfs_argmin_fn *argmin = pfs_argmin_of(pfs_simd_best());
    int is_inside = spans->count > 0 && spans->start >= PFS_WINDOW && spans->end + PFS_WINDOW <= size;
    if (!is_inside || !pfs_is_chunk_still(new->buf, size, spans->data, spans->count, mean, argmin)) Py_RETURN_NONE;
    Py_ssize_t count = PySequence_Size(seen);
    PyObject *found = count < 0 ? NULL : PyList_New(0);
    for (Py_ssize_t i = 0; found != NULL && i < count; i++) {
        PyObject *item = PySequence_GetItem(seen, i);
        PyObject *rival = item == NULL ? NULL : rival_of(item, new, spans, argmin);
        Py_XDECREF(item);
        if (rival == NULL || PyList_Append(found, rival)) Py_CLEAR(found);
        Py_XDECREF(rival);
    }
    return found;
}

PyObject *pfs_python_rivals(PyObject *module, PyObject *args) {
    Py_buffer new;
    PyObject *sequence, *seen, *result = NULL;
    Py_ssize_t mean;
    struct spans spans = {0};
    (void)module;
    if (!PyArg_ParseTuple(args, "y*OnO:rivals", &new, &sequence, &mean, &seen)) return NULL;
    if (mean < 4096 || (mean & (mean - 1)) != 0)
        refuse("mean must be a power of two, 4 KiB at the least");
    else if (take_spans(sequence, &spans, (size_t)new.len) == 0)
        result = rivals(&new, &spans, (size_t)mean, seen);
    PyBuffer_Release(&new);
    return result;
}
