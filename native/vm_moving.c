/* Python's buffers to what moves and joins microVMs: freeze, thaw, reduce. */
#include "vm_module.h"

#include <stdlib.h>

#include "vm_snapshot.h"

enum { CONTEXTS, SPILL, MAPS, OTHER, BUFFERS };

static void release(Py_buffer *buffers, int count) {
    for (int i = 0; i < count; i++) PyBuffer_Release(&buffers[i]);
}

static struct pfs_vm_table table_of(const Py_buffer *b, Py_ssize_t maps_bytes) {
    size_t each = maps_bytes > 0 ? (size_t)maps_bytes : 1;
    return (struct pfs_vm_table){
        .contexts = address_of(&b[CONTEXTS]),
        .spill = address_of(&b[SPILL]),
        .maps = address_of(&b[MAPS]),
        .context_slots = (size_t)b[CONTEXTS].len / PFS_VM_CONTEXT_BYTES,
        .spill_slots = (size_t)b[SPILL].len / PFS_VM_SPILL_STRIDE,
        .map_slots = (size_t)b[MAPS].len / each,
        .maps_bytes = (size_t)maps_bytes,
    };
}

static int maps_fit(Py_ssize_t maps_bytes) {
    return maps_bytes >= 0 && maps_bytes <= (Py_ssize_t)1 << PFS_VM_REGION_SHIFT;
}

/* Twice: to know the size, and to write. */
static PyObject *freeze(const struct pfs_vm_table *table, const Py_buffer *slots) {
    struct pfs_vm_sink sink = {0};
    struct pfs_vm_message wrong;
    size_t count = (size_t)slots->len / 4;
    PyThreadState *state = PyEval_SaveThread();
    int failed = pfs_vm_freeze(table, address_of(slots), count, &sink, &wrong);
    PyEval_RestoreThread(state);
    if (failed) return refuse(wrong.text);
    PyObject *packets = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)sink.used);
    if (packets == NULL) return NULL;
    sink = (struct pfs_vm_sink){(uint8_t *)PyBytes_AsString(packets), sink.used, 0};
    state = PyEval_SaveThread();
    failed = pfs_vm_freeze(table, address_of(slots), count, &sink, &wrong);
    PyEval_RestoreThread(state);
    if (!failed && sink.used == sink.room) return packets;
    Py_DECREF(packets);
    return refuse(failed ? wrong.text : "a microVM changed while it was frozen");
}

PyObject *pfs_python_vm_freeze(PyObject *module, PyObject *args) {
    Py_buffer b[BUFFERS];
    Py_ssize_t maps_bytes;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*ny*:vm_freeze", &b[CONTEXTS], &b[SPILL], &b[MAPS], &maps_bytes, &b[OTHER]))
        return NULL;
    PyObject *packets = NULL;
    if (!maps_fit(maps_bytes) || b[OTHER].len % 4 != 0) {
        refuse("slots are 4 bytes each, maps less than 2**28");
    } else {
        struct pfs_vm_table table = table_of(b, maps_bytes);
        packets = freeze(&table, &b[OTHER]);
    }
    release(b, BUFFERS);
    return packets;
}

static PyObject *thaw(const struct pfs_vm_table *table, const Py_buffer *packets) {
    struct pfs_vm_message wrong;
    uint8_t *slots;
    size_t count;
    PyThreadState *state = PyEval_SaveThread();
    int failed = pfs_vm_thaw(table, address_of(packets), (size_t)packets->len, &slots, &count, &wrong);
    PyEval_RestoreThread(state);
    PyObject *taken = NULL;
    if (failed)
        refuse(wrong.text);
    else
        taken = PyBytes_FromStringAndSize((const char *)slots, (Py_ssize_t)count * 4);
    free(slots);
    return taken;
}

PyObject *pfs_python_vm_thaw(PyObject *module, PyObject *args) {
    Py_buffer b[BUFFERS];
    Py_ssize_t maps_bytes;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*w*w*w*n:vm_thaw", &b[OTHER], &b[CONTEXTS], &b[SPILL], &b[MAPS], &maps_bytes))
        return NULL;
    PyObject *taken = NULL;
    if (!maps_fit(maps_bytes)) {
        refuse("maps are less than 2**28 bytes");
    } else {
        struct pfs_vm_table table = table_of(b, maps_bytes);
        taken = thaw(&table, &b[OTHER]);
    }
    release(b, BUFFERS);
    return taken;
}

static const char *check(const Py_buffer *b, Py_ssize_t count, Py_ssize_t stride, unsigned reducer, unsigned width) {
    Py_ssize_t size = b[0].len;
    if (width != 1 && width != 2 && width != 4 && width != 8) return "an element has 1, 2, 4 or 8 bytes";
    if (reducer > PFS_VM_REDUCER_FIRST) return "there is no such reducer";
    if (size % width != 0 || count < 0 || stride < 0) return "values are whole elements, counted from 0";
    if (count == 0) return NULL;
    if (size > b[1].len || (stride > 0 && count - 1 > (b[1].len - size) / stride))
        return "the values do not fit their buffer";
    return NULL;
}

PyObject *pfs_python_vm_reduce(PyObject *module, PyObject *args) {
    Py_buffer b[2];
    Py_ssize_t count, stride;
    unsigned int reducer, width;
    (void)module;
    if (!PyArg_ParseTuple(args, "w*y*nnII:vm_reduce", &b[0], &b[1], &count, &stride, &reducer, &width)) return NULL;
    const char *wrong = check(b, count, stride, reducer, width);
    if (wrong == NULL) {
        uint8_t *into = address_of(&b[0]);
        PyThreadState *state = PyEval_SaveThread();
        pfs_vm_reduce(into, (size_t)b[0].len, address_of(&b[1]), (size_t)count, (size_t)stride, reducer, width);
        PyEval_RestoreThread(state);
    }
    release(b, 2);
    if (wrong != NULL) return refuse(wrong);
    Py_RETURN_NONE;
}
