/* Python's buffers to tables as columns. */
#include "vm_module.h"

#include "table.h"
#include "vm_snapshot.h"

static int can_be(const struct pfs_table_kind *kind) {
    return kind->key_size > 0 && kind->key_size <= PFS_VM_KEY_MAX && kind->value_size > 0 &&
           kind->value_size <= PFS_VM_VALUE_MAX && kind->reducer <= PFS_VM_REDUCER_FIRST && kind->width > 0 &&
           kind->width <= 8 && !(kind->width & (kind->width - 1)) && kind->value_size % kind->width == 0;
}

static size_t stride_of(const struct pfs_table_kind *kind) {
    return 8 + pfs_up8(kind->key_size) + pfs_up8(kind->value_size);
}

/* 0 where keys and values are not as many. */
static int as_columns(struct pfs_columns *columns, const Py_buffer *keys, const Py_buffer *values,
                      const struct pfs_table_kind *kind) {
    *columns = (struct pfs_columns){address_of(keys), address_of(values), (size_t)keys->len / kind->key_size};
    return columns->count * kind->key_size == (size_t)keys->len &&
           columns->count * kind->value_size == (size_t)values->len;
}

/* Arrays for (keys, values) of so many rows, which are cut off when it is known how many there are: what lies behind
 * was never written, and bytes, which the limited API cannot shorten, would have to be copied. */
struct made {
    PyObject *keys, *values;
};

static int make(struct made *made, size_t count, const struct pfs_table_kind *kind) {
    made->keys = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(count * kind->key_size));
    made->values = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(count * kind->value_size));
    return made->keys != NULL && made->values != NULL;
}

static PyObject *shortened(const struct made *made, size_t count, const struct pfs_table_kind *kind) {
    if (PyByteArray_Resize(made->keys, (Py_ssize_t)(count * kind->key_size)) < 0) return NULL;
    if (PyByteArray_Resize(made->values, (Py_ssize_t)(count * kind->value_size)) < 0) return NULL;
    return PyTuple_Pack(2, made->keys, made->values);
}

static uint8_t *bytes_of(PyObject *array) { return (uint8_t *)PyByteArray_AsString(array); }

PyObject *pfs_python_table_columns(PyObject *module, PyObject *args) {
    Py_buffer entries;
    struct pfs_table_kind kind;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*nnII:table_columns", &entries, &kind.key_size, &kind.value_size, &kind.reducer,
                          &kind.width))
        return NULL;
    struct made made = {NULL, NULL};
    PyObject *result = NULL;
    size_t used = can_be(&kind) ? (size_t)entries.len / stride_of(&kind) : 0;
    if (!can_be(&kind) || used * stride_of(&kind) != (size_t)entries.len || used > UINT32_MAX) {
        refuse("these are no entries of a hash table");
    } else if (make(&made, used, &kind)) {
        uint8_t *keys = bytes_of(made.keys), *values = bytes_of(made.values);
        ptrdiff_t count;
        Py_BEGIN_ALLOW_THREADS
        count = pfs_table_columns(keys, values, address_of(&entries), used, &kind);
        Py_END_ALLOW_THREADS
        result = count < 0 ? PyErr_NoMemory() : shortened(&made, (size_t)count, &kind);
    }
    Py_XDECREF(made.keys);
    Py_XDECREF(made.values);
    PyBuffer_Release(&entries);
    return result;
}

PyObject *pfs_python_table_merge(PyObject *module, PyObject *args) {
    Py_buffer parts[4];
    struct pfs_table_kind kind;
    struct pfs_columns a, b;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*y*nnII:table_merge", &parts[0], &parts[1], &parts[2], &parts[3], &kind.key_size,
                          &kind.value_size, &kind.reducer, &kind.width))
        return NULL;
    struct made made = {NULL, NULL};
    PyObject *result = NULL;
    if (!can_be(&kind) || !as_columns(&a, &parts[0], &parts[1], &kind) || !as_columns(&b, &parts[2], &parts[3], &kind)) {
        refuse("these are no columns");
    } else if (make(&made, a.count + b.count, &kind)) {
        uint8_t *keys = bytes_of(made.keys), *values = bytes_of(made.values);
        size_t count;
        Py_BEGIN_ALLOW_THREADS
        count = pfs_table_merge(keys, values, &a, &b, &kind);
        Py_END_ALLOW_THREADS
        result = shortened(&made, count, &kind);
    }
    Py_XDECREF(made.keys);
    Py_XDECREF(made.values);
    for (size_t i = 0; i < 4; i++) PyBuffer_Release(&parts[i]);
    return result;
}

PyObject *pfs_python_table_lay(PyObject *module, PyObject *args) {
    Py_buffer keys, values;
    struct pfs_table_kind kind = {.reducer = 0, .width = 1};
    struct pfs_columns columns;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*nn:table_lay", &keys, &values, &kind.key_size, &kind.value_size)) return NULL;
    PyObject *entries = NULL;
    if (!can_be(&kind) || !as_columns(&columns, &keys, &values, &kind))
        refuse("these are no columns");
    else
        entries = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(columns.count * stride_of(&kind)));
    if (entries != NULL) pfs_table_lay((uint8_t *)PyBytes_AsString(entries), &columns, &kind);
    PyBuffer_Release(&keys);
    PyBuffer_Release(&values);
    return entries;
}

PyObject *pfs_python_table_is_rising(PyObject *module, PyObject *args) {
    Py_buffer keys;
    Py_ssize_t size;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*n:table_is_rising", &keys, &size)) return NULL;
    int is = size > 0 && keys.len % size == 0 && pfs_table_is_rising(address_of(&keys), (size_t)(keys.len / size), (size_t)size);
    PyBuffer_Release(&keys);
    return PyBool_FromLong(is);
}
