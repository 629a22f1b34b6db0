/* packetfs._native: hands Python's buffers to the kernels. Only this file and the other *_module.c know Python. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>

#include "kernels.h"
#include "packet.h"
#include "patch_module.h"
#include "reconcile_module.h"
#include "search.h"
#include "vm_module.h"

enum { RELEASE = 16 * 1024, MEAN_LEAST = 4096 };
#define MEAN_MOST ((Py_ssize_t)1 << 30)

static enum pfs_simd simd_now;
static const char *const simd_names[] = {"scalar", "avx2", "avx512"};

/* The interpreter is let go only where the work outweighs the hand-over. */
static PyThreadState *let_go(size_t work) { return work >= RELEASE ? PyEval_SaveThread() : NULL; }

static void take_back(PyThreadState *state) {
    if (state != NULL) PyEval_RestoreThread(state);
}

static PyObject *bad(const char *reason) {
    PyErr_SetString(PyExc_ValueError, reason);
    return NULL;
}

/* cut */

struct lengths {
    int64_t *data;
    size_t size, room;
};

static int append_length(struct lengths *lengths, int64_t length) {
    if (lengths->size == lengths->room) {
        size_t room = lengths->room * 2 + 64;
        int64_t *data = realloc(lengths->data, room * sizeof *data);
        if (data == NULL) return -1;
        lengths->data = data;
        lengths->room = room;
    }
    lengths->data[lengths->size++] = length;
    return 0;
}

static int cut_all(struct pfs_cutter *cutter, struct lengths *lengths) {
    int64_t length;
    while ((length = pfs_cutter_next(cutter)) != 0)
        if (append_length(lengths, length)) return -1;
    return 0;
}

static PyObject *list_of(const struct lengths *lengths) {
    PyObject *list = PyList_New((Py_ssize_t)lengths->size);
    for (size_t i = 0; list != NULL && i < lengths->size; i++) {
        PyObject *item = PyLong_FromLongLong(lengths->data[i]);
        if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item)) Py_CLEAR(list);
    }
    return list;
}

static PyObject *native_cut(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"data", "mean", "final", "run", NULL};
    Py_buffer data;
    Py_ssize_t mean;
    int final, run = -1;
    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*np|i:cut", names, &data, &mean, &final, &run)) return NULL;
    PyObject *result = NULL;
    if (mean < MEAN_LEAST || mean > MEAN_MOST || (mean & (mean - 1)) != 0) {
        bad("mean must be a power of two, 4 KiB at the least");
    } else if (run < -1 || run > 255) {
        bad("run must be a byte, or -1");
    } else {
        struct pfs_cutter cutter;
        struct lengths lengths = {0};
        PyThreadState *state = let_go((size_t)data.len);
        pfs_cutter_begin(&cutter, data.buf, (size_t)data.len, (size_t)mean, final, run);
        cutter.argmin = pfs_argmin_of(simd_now);
        int failed = cut_all(&cutter, &lengths);
        take_back(state);
        result = failed ? PyErr_NoMemory() : list_of(&lengths);
        free(lengths.data);
    }
    PyBuffer_Release(&data);
    return result;
}

static PyObject *native_hash_window(PyObject *module, PyObject *args) {
    Py_buffer window;
    uint32_t hash = UINT32_MAX;
    size_t at = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*:hash_window", &window)) return NULL;
    int fits = window.len == PFS_WINDOW;
    if (fits) pfs_argmin_range(window.buf, 0, 1, &hash, &at);
    PyBuffer_Release(&window);
    return fits ? PyLong_FromUnsignedLong(hash) : bad("a window has 32 bytes");
}

static PyObject *native_find_least(PyObject *module, PyObject *args) {
    Py_buffer data;
    Py_ssize_t at, low, high;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*nnn", &data, &at, &low, &high)) return NULL;
    PyObject *result = NULL;
    if (at < 0 || low < PFS_WINDOW || low > high || at > data.len || high > data.len - at) {
        bad("there is no such range of windows");
    } else {
        PyThreadState *state = let_go((size_t)(high - low));
        size_t found = pfs_argmin_of(simd_now)((const uint8_t *)data.buf + at, (size_t)low, (size_t)high);
        take_back(state);
        result = PyLong_FromSize_t(found);
    }
    PyBuffer_Release(&data);
    return result;
}

static PyObject *native_simd(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyUnicode_FromString(simd_names[simd_now]);
}

static PyObject *native_set_simd(PyObject *module, PyObject *args) {
    const char *name;
    (void)module;
    if (!PyArg_ParseTuple(args, "s:set_simd", &name)) return NULL;
    for (int simd = PFS_SCALAR; simd <= (int)pfs_simd_best(); simd++) {
        if (strcmp(simd_names[simd], name) != 0) continue;
        simd_now = (enum pfs_simd)simd;
        pfs_search_choose(simd_now);
        pfs_fingerprint_choose(simd_now);
        Py_RETURN_NONE;
    }
    return bad("this machine has no such vector unit");
}

/* common_prefix, expand, match */

static PyObject *native_common_prefix(PyObject *module, PyObject *args) {
    Py_buffer a, b;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*:common_prefix", &a, &b)) return NULL;
    size_t limit = (size_t)(a.len < b.len ? a.len : b.len);
    PyThreadState *state = let_go(limit);
    size_t at = pfs_common_prefix(a.buf, b.buf, limit);
    take_back(state);
    PyBuffer_Release(&a);
    PyBuffer_Release(&b);
    return PyLong_FromSize_t(at);
}

struct held {
    Py_buffer *buffers;
    struct pfs_source *sources;
    size_t count;
};

static void release(struct held *held) {
    while (held->count > 0) PyBuffer_Release(&held->buffers[--held->count]);
    free(held->buffers);
    free(held->sources);
}

static int hold(PyObject *sequence, struct held *held) {
    Py_ssize_t count = PySequence_Size(sequence);
    if (count < 0) return -1;
    held->buffers = malloc(((size_t)count + 1) * sizeof *held->buffers);
    held->sources = malloc(((size_t)count + 1) * sizeof *held->sources);
    if (held->buffers == NULL || held->sources == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PySequence_GetItem(sequence, i);
        if (item == NULL) return -1;
        Py_buffer *buffer = &held->buffers[held->count];
        int failed = PyObject_GetBuffer(item, buffer, PyBUF_SIMPLE);
        Py_DECREF(item);
        if (failed) return -1;
        held->sources[held->count++] = (struct pfs_source){buffer->buf, (size_t)buffer->len};
    }
    return 0;
}

static PyObject *native_expand(PyObject *module, PyObject *args) {
    Py_buffer program, out;
    PyObject *sources;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*Ow*:expand", &program, &sources, &out)) return NULL;
    struct held held = {0};
    PyObject *result = NULL;
    if (program.len % PFS_PACKET != 0) {
        bad("a program is whole packets");
    } else if (hold(sources, &held) == 0) {
        size_t produced;
        PyThreadState *state = let_go((size_t)out.len);
        const char *wrong = pfs_expand(program.buf, (size_t)program.len / PFS_PACKET, held.sources, held.count, out.buf,
                                       (size_t)out.len, &produced);
        take_back(state);
        result = wrong ? bad(wrong) : PyLong_FromSize_t(produced);
    }
    release(&held);
    PyBuffer_Release(&program);
    PyBuffer_Release(&out);
    return result;
}

static PyObject *bytes_of(const struct pfs_bytes *bytes) {
    return PyBytes_FromStringAndSize((const char *)bytes->data, (Py_ssize_t)bytes->size);
}

static PyObject *native_match(PyObject *module, PyObject *args) {
    Py_buffer old, new;
    unsigned long long old_base, expected = 0;
    PyObject *base_object, *expected_object, *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*Oy*O:match", &old, &base_object, &new, &expected_object)) return NULL;
    old_base = PyLong_AsUnsignedLongLong(base_object);
    if (!PyErr_Occurred()) expected = PyLong_AsUnsignedLongLong(expected_object);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        bad("offsets are integers from 0 to 2**62");
    } else if (old_base > (1ull << 62) || expected > (1ull << 62)) {
        bad("offsets are integers from 0 to 2**62");
    } else if (old.len > (1 << 30) || new.len > (1 << 30)) {
        bad("a window is 1 GiB at the most");
    } else {
        struct pfs_delta delta = {0};
        PyThreadState *state = let_go((size_t)new.len);
        pfs_match(old.buf, (size_t)old.len, old_base, new.buf, (size_t)new.len, expected, &delta);
        take_back(state);
        if (delta.failed)
            PyErr_NoMemory();
        else
            result = Py_BuildValue("(NNK)", bytes_of(&delta.instructions), bytes_of(&delta.literals),
                                   (unsigned long long)delta.expected);
        free(delta.instructions.data);
        free(delta.literals.data);
    }
    PyBuffer_Release(&old);
    PyBuffer_Release(&new);
    return result;
}

/* Index */

typedef struct {
    PyObject_HEAD
    Py_buffer buffer;
    struct pfs_index index;
    Py_ssize_t count; /* -1: not counted yet, so that opening a large index touches no page */
} IndexObject;

static int index_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"buffer", NULL};
    IndexObject *self = (IndexObject *)object;
    Py_buffer buffer;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "w*:Index", names, &buffer)) return -1;
    const char *wrong = NULL;
    if (self->buffer.obj != NULL) wrong = "the index has a buffer";
    if (buffer.len == 0 || buffer.len % PFS_SLOT != 0) wrong = "the buffer must be whole slots of 16 bytes";
    if ((uintptr_t)buffer.buf % 8 != 0) wrong = "the buffer must be aligned to 8 bytes";
    if (wrong != NULL) {
        PyBuffer_Release(&buffer);
        bad(wrong);
        return -1;
    }
    self->buffer = buffer;
    self->index = (struct pfs_index){buffer.buf, (size_t)buffer.len / PFS_SLOT};
    self->count = -1;
    return 0;
}

static void index_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    freefunc done = (freefunc)PyType_GetSlot(type, Py_tp_free);
    PyBuffer_Release(&((IndexObject *)object)->buffer);
    done(object);
    Py_DECREF(type);
}

static struct pfs_index *opened(PyObject *object) {
    IndexObject *self = (IndexObject *)object;
    if (self->buffer.obj != NULL) return &self->index;
    bad("the index is closed");
    return NULL;
}

static int key_of(const Py_buffer *buffer, uint64_t *key) {
    if (buffer->len < 8) {
        bad("a key has 8 bytes at the least");
        return -1;
    }
    *key = pfs_load64(buffer->buf);
    if (*key == 0) *key = 1;
    return 0;
}

static int value_of(PyObject *object, uint64_t *value) {
    *value = PyLong_AsUnsignedLongLong(object);
    if (PyErr_Occurred() == NULL && *value != UINT64_MAX) return 0;
    PyErr_Clear();
    bad("a value is an integer from 0 to 2**64 - 2");
    return -1;
}

static int parse_pair(PyObject *args, const char *format, uint64_t *key, uint64_t *value) {
    Py_buffer buffer;
    PyObject *number;
    if (!PyArg_ParseTuple(args, format, &buffer, &number)) return -1;
    int failed = key_of(&buffer, key) || value_of(number, value);
    PyBuffer_Release(&buffer);
    return failed ? -1 : 0;
}

static void adjust(PyObject *object, Py_ssize_t change) {
    IndexObject *self = (IndexObject *)object;
    if (self->count >= 0) self->count += change;
}

static PyObject *index_put(PyObject *self, PyObject *args) {
    struct pfs_index *index = opened(self);
    uint64_t key, value;
    if (index == NULL || parse_pair(args, "y*O:put", &key, &value)) return NULL;
    int added = pfs_index_put(index, key, value);
    if (added < 0) return bad("the index is full");
    adjust(self, added);
    return PyBool_FromLong(added);
}

static PyObject *index_remove(PyObject *self, PyObject *args) {
    struct pfs_index *index = opened(self);
    uint64_t key, value;
    if (index == NULL || parse_pair(args, "y*O:remove", &key, &value)) return NULL;
    int removed = pfs_index_remove(index, key, value);
    adjust(self, -removed);
    return PyBool_FromLong(removed);
}

static PyObject *index_get(PyObject *self, PyObject *args) {
    struct pfs_index *index = opened(self);
    Py_buffer buffer;
    Py_ssize_t start = 0;
    uint64_t key, values[PFS_CANDIDATES];
    if (index == NULL || !PyArg_ParseTuple(args, "y*|n:get", &buffer, &start)) return NULL;
    int failed = key_of(&buffer, &key);
    PyBuffer_Release(&buffer);
    if (failed) return NULL;
    if (start < 0) return bad("start counts candidates from 0");
    size_t found = pfs_index_get(index, key, (size_t)start, values, PFS_CANDIDATES);
    PyObject *list = PyList_New((Py_ssize_t)found);
    for (size_t i = 0; list != NULL && i < found; i++) {
        PyObject *item = PyLong_FromUnsignedLongLong(values[i]);
        if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item)) Py_CLEAR(list);
    }
    return list;
}

static PyObject *index_put_extents(PyObject *self, PyObject *args) {
    struct pfs_index *index = opened(self);
    Py_buffer leaves;
    PyObject *first, *last;
    Py_ssize_t most;
    uint64_t value, limit;
    if (index == NULL || !PyArg_ParseTuple(args, "y*OOn:put_extents", &leaves, &first, &last, &most)) return NULL;
    PyObject *result = NULL;
    if (leaves.len % PFS_PACKET != 0) {
        bad("a program is whole packets");
    } else if (most < 1 || most > PFS_CANDIDATES) {
        bad("an index gives 64 values of a key at the most");
    } else if (value_of(first, &value) == 0 && value_of(last, &limit) == 0) {
        size_t count = (size_t)leaves.len / PFS_PACKET;
        size_t added = pfs_index_put_extents(index, leaves.buf, count, value, limit, (size_t)most);
        adjust(self, (Py_ssize_t)added);
        result = PyLong_FromSize_t(added);
    }
    PyBuffer_Release(&leaves);
    return result;
}

static PyObject *index_lacking(PyObject *self, PyObject *args) {
    struct pfs_index *index = opened(self);
    Py_buffer leaves;
    Py_ssize_t start = 0;
    if (index == NULL || !PyArg_ParseTuple(args, "y*|n:lacking", &leaves, &start)) return NULL;
    PyObject *result = NULL;
    if (leaves.len % PFS_PACKET != 0)
        bad("a program is whole packets");
    else if (start < 0)
        bad("start counts leaves from 0");
    else
        result = PyLong_FromSize_t(pfs_index_lacking(index, leaves.buf, (size_t)start, (size_t)leaves.len / PFS_PACKET));
    PyBuffer_Release(&leaves);
    return result;
}

static PyObject *index_close(PyObject *object, PyObject *unused) {
    (void)unused;
    PyBuffer_Release(&((IndexObject *)object)->buffer);
    Py_RETURN_NONE;
}

static PyObject *index_count(PyObject *object, void *unused) {
    struct pfs_index *index = opened(object);
    IndexObject *self = (IndexObject *)object;
    (void)unused;
    if (index == NULL) return NULL;
    if (self->count < 0) self->count = (Py_ssize_t)pfs_index_count(index);
    return PyLong_FromSsize_t(self->count);
}

static PyObject *index_capacity(PyObject *object, void *unused) {
    struct pfs_index *index = opened(object);
    (void)unused;
    return index == NULL ? NULL : PyLong_FromSize_t(index->capacity);
}

static PyMethodDef index_methods[] = {
    {"put", index_put, METH_VARARGS, "put(key, value) -> bool: add the pair; False where it is held."},
    {"get", index_get, METH_VARARGS, "get(key, start=0) -> list: up to 64 candidates after the first `start`."},
    {"remove", index_remove, METH_VARARGS, "remove(key, value) -> bool: take the pair out; False where it is not held."},
    {"put_extents", index_put_extents, METH_VARARGS,
     "put_extents(leaves, value, limit, most) -> int: see packet/slots.py"},
    {"lacking", index_lacking, METH_VARARGS, "lacking(leaves, start=0) -> int: see packet/slots.py"},
    {"close", index_close, METH_NOARGS, "close(): let the buffer go."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef index_properties[] = {
    {"count", index_count, NULL, "Pairs held; counted when first asked for.", NULL},
    {"capacity", index_capacity, NULL, "Slots.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot index_slots[] = {
    {Py_tp_init, (void *)index_init},
    {Py_tp_dealloc, (void *)index_dealloc},
    {Py_tp_methods, index_methods},
    {Py_tp_getset, index_properties},
    {Py_tp_doc, "Index(buffer): fingerprints to values in 16-byte slots of a writable buffer."},
    {0, NULL},
};

static PyType_Spec index_spec = {
    .name = "packetfs._native.Index",
    .basicsize = sizeof(IndexObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = index_slots,
};

/* module */

static PyMethodDef methods[] = {
    {"cut", (PyCFunction)(void (*)(void))native_cut, METH_VARARGS | METH_KEYWORDS, "cut(data, mean, final, run=-1) -> list"},
    {"find_least", native_find_least, METH_VARARGS, "find_least(data, at, low, high) -> int"},
    {"hash_window", native_hash_window, METH_VARARGS, "hash_window(window) -> int"},
    {"simd", native_simd, METH_NOARGS, "simd() -> str: the vector unit in use."},
    {"set_simd", native_set_simd, METH_VARARGS, "set_simd(name): use another vector unit (tests)."},
    {"rivals", pfs_python_rivals, METH_VARARGS, "rivals(new, spans, mean, seen) -> list of hashes, or None"},
    {"common_prefix", native_common_prefix, METH_VARARGS, "common_prefix(a, b) -> int"},
    {"expand", native_expand, METH_VARARGS, "expand(program, sources, out) -> int"},
    {"match", native_match, METH_VARARGS, "match(old, old_base, new, expected) -> (instructions, literals, expected)"},
    {"make_patch", pfs_python_make_patch, METH_VARARGS, "make_patch(new, pieces, room) -> bytes, or None"},
    {"patch_bases", pfs_python_patch_bases, METH_VARARGS, "patch_bases(patch) -> list of digests, one for each COPY"},
    {"pack_patch", pfs_python_pack_patch, METH_VARARGS,
     "pack_patch(patch, size, places, expected) -> (head, (instructions, literals, expected), tail)"},
    {"pack_in_place", pfs_python_pack_in_place, METH_VARARGS,
     "pack_in_place(new, old, at) -> (head, (instructions, literals, expected), tail)"},
    {"differing", pfs_python_differing, METH_VARARGS, "differing(new, old) -> list of (start, end)"},
    {"fingerprint", pfs_python_fingerprint, METH_VARARGS, "fingerprint(data, key) -> bytes"},
    {"same_fingerprints", pfs_python_same_fingerprints, METH_VARARGS,
     "same_fingerprints(leaves, known, key, stream) -> bytes: 1 for each extent there that has those"},
    {"read_pieces", pfs_python_read_pieces, METH_VARARGS,
     "read_pieces(list of (fd, past, offset, length, room)) -> list of bool: see pool/past.py"},
    {"block_sums", pfs_python_block_sums, METH_VARARGS, "block_sums(data, block, width, key) -> bytes"},
    {"block_index", pfs_python_block_index, METH_VARARGS, "block_index(sums, width) -> bytes: a table for block_find."},
    {"block_find", pfs_python_block_find, METH_VARARGS,
     "block_find(table, sums, block, width, key, data, expected) -> list of (at, number, count)"},
    {"sketch", pfs_python_sketch, METH_VARARGS, "sketch(ids, start, end) -> bytes: symbols of 16 bytes."},
    {"sketch_peel", pfs_python_sketch_peel, METH_VARARGS, "sketch_peel(symbols) -> (ours, theirs, whole)"},
    {"vm_load", pfs_python_vm_load, METH_VARARGS, "vm_load(code, places, shared, entry, context_kind) -> capsule"},
    {"vm_code", pfs_python_vm_code, METH_VARARGS, "vm_code(bytes) -> (address, capsule that holds it): executable memory"},
    {"vm_attach", pfs_python_vm_attach, METH_VARARGS, "vm_attach(prepared, records, record, size): machine code to use"},
    {"vm_places", pfs_python_vm_places, METH_NOARGS, "vm_places() -> offsets of the fields that machine code uses"},
    {"vm_run", pfs_python_vm_run, METH_VARARGS,
     "vm_run(prepared, ...) -> (slot, stop, out_used, compiled, interpreted, lanes): see vm/machine.py"},
    {"first_lines", pfs_python_first_lines, METH_VARARGS, "first_lines(window, start, edges) -> bytes: see input/lines.py"},
    {"vm_freeze", pfs_python_vm_freeze, METH_VARARGS, "vm_freeze(contexts, spill, maps, maps_bytes, slots) -> bytes"},
    {"vm_thaw", pfs_python_vm_thaw, METH_VARARGS, "vm_thaw(packets, contexts, spill, maps, maps_bytes) -> slots"},
    {"vm_reduce", pfs_python_vm_reduce, METH_VARARGS, "vm_reduce(into, values, count, stride, reducer, width)"},
    {"narrow", pfs_python_narrow, METH_VARARGS, "narrow(words) -> bytes"},
    {"is_narrow", pfs_python_is_narrow, METH_VARARGS, "is_narrow(data, count) -> bool: whether `widen` can"},
    {"vm_reduce_narrow", pfs_python_vm_reduce_narrow, METH_VARARGS,
     "vm_reduce_narrow(into, data, count, start, reducer, width): words `start` and on"},
    {"table_columns", pfs_python_table_columns, METH_VARARGS,
     "table_columns(entries, key_size, value_size, reducer, width) -> (keys, values)"},
    {"table_merge", pfs_python_table_merge, METH_VARARGS,
     "table_merge(keys, values, more_keys, more_values, key_size, value_size, reducer, width) -> (keys, values)"},
    {"table_lay", pfs_python_table_lay, METH_VARARGS, "table_lay(keys, values, key_size, value_size) -> bytes: entries"},
    {"table_is_rising", pfs_python_table_is_rising, METH_VARARGS,
     "table_is_rising(keys, key_size) -> bool: whether they are in ascending order, each once"},
    {"widen", pfs_python_widen, METH_VARARGS, "widen(data, count) -> bytearray of so many words"},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module) {
    simd_now = pfs_simd_best();
    pfs_search_choose(simd_now);
    pfs_fingerprint_choose(simd_now);
    PyObject *type = PyType_FromModuleAndSpec(module, &index_spec, NULL);
    if (type == NULL) return -1;
    int failed = PyModule_AddObjectRef(module, "Index", type);
    Py_DECREF(type);
    return failed;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "packetfs._native", .m_methods = methods, .m_slots = slots,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
