/* What every module's Python side needs: buffers that may be empty, and a way to refuse what they hold. */
#ifndef PFS_BUFFERS_H
#define PFS_BUFFERS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

static inline PyObject *refuse(const char *reason) {
    PyErr_SetString(PyExc_ValueError, reason);
    return NULL;
}

/* An empty buffer may have no address; pointers are offset all the same. */
static inline uint8_t *address_of(const Py_buffer *buffer) {
    static uint8_t nothing[8];
    return buffer->buf == NULL ? nothing : buffer->buf;
}

#endif
