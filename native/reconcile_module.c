/* Python's buffers to the kernels that find what two sides have in common. */
#include "reconcile_module.h"

#include <stdlib.h>

#include "kernels.h"

enum { BLOCK_LEAST = 64, BLOCK_MOST = 1 << 20, WIDTH_MOST = 7, SYMBOL = sizeof(struct pfs_symbol) };
#define KEY_LIMIT ((1ull << 61) - 1)
#define COUNT_MOST ((size_t)1 << 30)

static const char *wrong_block(Py_ssize_t block, int width, unsigned long long key) {
    if (block < BLOCK_LEAST || block > BLOCK_MOST || (block & (block - 1)) != 0)
        return "a block is a power of two from 64 bytes to 1 MiB";
    if (width < 1 || width > WIDTH_MOST) return "a sum has 1 to 7 bytes";
    return key < KEY_LIMIT ? NULL : "a key is below 2**61 - 1";
}

PyObject *pfs_python_block_sums(PyObject *module, PyObject *args) {
    Py_buffer data;
    Py_ssize_t block;
    int width;
    unsigned long long key;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*niK:block_sums", &data, &block, &width, &key)) return NULL;
    const char *wrong = wrong_block(block, width, key);
    size_t count = wrong ? 0 : (size_t)(data.len / block);
    PyObject *sums = wrong ? refuse(wrong) : PyBytes_FromStringAndSize(NULL, (Py_ssize_t)count * width);
    if (sums != NULL) {
        uint8_t *out = (uint8_t *)PyBytes_AsString(sums);
        PyThreadState *state = PyEval_SaveThread();
        pfs_block_sums(data.buf, count, (size_t)block, (size_t)width, key, out);
        PyEval_RestoreThread(state);
    }
    PyBuffer_Release(&data);
    return sums;
}

PyObject *pfs_python_block_index(PyObject *module, PyObject *args) {
    Py_buffer sums;
    int width;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*i:block_index", &sums, &width)) return NULL;
    PyObject *table = NULL;
    if (width < 1 || width > WIDTH_MOST || sums.len % width != 0 || (size_t)sums.len > COUNT_MOST) {
        refuse("sums have 1 to 7 bytes each");
    } else {
        size_t count = (size_t)(sums.len / width), slots = pfs_block_slots(count);
        table = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(5 * slots));
        if (table != NULL) {
            uint8_t *out = (uint8_t *)PyBytes_AsString(table);
            PyThreadState *state = PyEval_SaveThread();
            pfs_block_index(sums.buf, count, (size_t)width, out, slots);
            PyEval_RestoreThread(state);
        }
    }
    PyBuffer_Release(&sums);
    return table;
}

static PyObject *list_found(const struct pfs_found *found, size_t count) {
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = Py_BuildValue("(KKK)", (unsigned long long)found[i].at, (unsigned long long)found[i].number,
                                       (unsigned long long)found[i].count);
        if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item)) Py_CLEAR(list);
    }
    return list;
}

static PyObject *find(const struct pfs_blocks *blocks, const Py_buffer *data, size_t expected) {
    size_t room = (size_t)data->len / blocks->block + 1;
    struct pfs_found *found = malloc(room * sizeof *found);
    if (found == NULL) return PyErr_NoMemory();
    PyThreadState *state = PyEval_SaveThread();
    size_t count = pfs_block_find(blocks, data->buf, (size_t)data->len, expected, found, room);
    PyEval_RestoreThread(state);
    PyObject *list = list_found(found, count);
    free(found);
    return list;
}

PyObject *pfs_python_block_find(PyObject *module, PyObject *args) {
    Py_buffer table, sums, data;
    Py_ssize_t block, expected;
    int width;
    unsigned long long key;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*niKy*n:block_find", &table, &sums, &block, &width, &key, &data, &expected)) return NULL;
    const char *wrong = wrong_block(block, width, key);
    size_t count = wrong ? 0 : (size_t)(sums.len / width), slots = pfs_block_slots(count);
    if (wrong == NULL && (sums.len % width != 0 || count > COUNT_MOST || (size_t)table.len != 5 * slots))
        wrong = "the table is not that of the sums";
    if (wrong == NULL && expected < 0) wrong = "blocks are counted from 0";
    struct pfs_blocks blocks = {.sums = sums.buf, .table = table.buf, .count = count, .slots = slots,
                                .block = (size_t)block, .width = (size_t)width, .key = key};
    PyObject *list = wrong ? refuse(wrong) : find(&blocks, &data, (size_t)expected);
    PyBuffer_Release(&table);
    PyBuffer_Release(&sums);
    PyBuffer_Release(&data);
    return list;
}

PyObject *pfs_python_sketch(PyObject *module, PyObject *args) {
    Py_buffer ids;
    Py_ssize_t start, end;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*nn:sketch", &ids, &start, &end)) return NULL;
    PyObject *symbols = NULL;
    if (ids.len % 8 != 0 || start < 0 || end < start || (size_t)end > COUNT_MOST) {
        refuse("ids have 8 bytes each, and symbols are counted from 0");
    } else {
        symbols = PyBytes_FromStringAndSize(NULL, (end - start) * SYMBOL);
        struct pfs_symbol *out = symbols ? malloc((size_t)(end - start) * SYMBOL + 1) : NULL;
        if (out != NULL) {
            PyThreadState *state = PyEval_SaveThread();
            pfs_sketch(ids.buf, (size_t)ids.len / 8, (size_t)start, (size_t)end, out);
            PyEval_RestoreThread(state);
            memcpy(PyBytes_AsString(symbols), out, (size_t)(end - start) * SYMBOL);
        } else if (symbols != NULL) {
            Py_CLEAR(symbols);
            PyErr_NoMemory();
        }
        free(out);
    }
    PyBuffer_Release(&ids);
    return symbols;
}

struct peeling {
    struct pfs_symbol *symbols;
    uint32_t *waiting;
    uint64_t *ids;
};

static PyObject *peel(const struct peeling *with, size_t count) {
    size_t ours = 0;
    PyThreadState *state = PyEval_SaveThread();
    size_t found = pfs_sketch_peel(with->symbols, count, with->waiting, with->ids, &ours);
    int whole = 1;
    for (size_t i = 0; i < count; i++)
        whole &= with->symbols[i].sum == 0 && with->symbols[i].check == 0 && with->symbols[i].count == 0;
    PyEval_RestoreThread(state);
    size_t theirs = found - ours;
    return Py_BuildValue("(y#y#N)", (const char *)with->ids, (Py_ssize_t)(ours * 8),
                         (const char *)(with->ids + (count - theirs)), (Py_ssize_t)(theirs * 8), PyBool_FromLong(whole));
}

PyObject *pfs_python_sketch_peel(PyObject *module, PyObject *args) {
    Py_buffer symbols;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*:sketch_peel", &symbols)) return NULL;
    PyObject *result = NULL;
    size_t count = (size_t)symbols.len / SYMBOL;
    if (symbols.len % SYMBOL != 0 || count > COUNT_MOST) {
        refuse("a symbol has 16 bytes");
    } else {
        struct peeling with = {malloc(count * SYMBOL + 1), malloc(count * 4 + 1), malloc(count * 8 + 1)};
        if (with.symbols == NULL || with.waiting == NULL || with.ids == NULL) {
            PyErr_NoMemory();
        } else {
            memcpy(with.symbols, symbols.buf, count * SYMBOL);
            result = peel(&with, count);
        }
        free(with.symbols);
        free(with.waiting);
        free(with.ids);
    }
    PyBuffer_Release(&symbols);
    return result;
}
