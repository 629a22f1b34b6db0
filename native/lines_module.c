/* Where the first line of each shard begins: input/lines.py is the definition. The window may be a mapped file. */
#include "guard.h"
#include "vm_module.h"

#include <errno.h>
#include <string.h>

/* The edges of `count` shards, of which each becomes where its first line begins. */
struct shards {
    const uint8_t *window;
    uint64_t start, *edges;
    size_t count;
};

static void find_lines(void *given) {
    struct shards *shards = given;
    for (size_t i = 0; i < shards->count; i++) {
        uint64_t first = shards->edges[i], stop = shards->edges[i + 1];
        if (first == 0 || first == stop) continue;
        const uint8_t *from = shards->window + (first - 1 - shards->start);
        const uint8_t *newline = memchr(from, '\n', stop - first);
        shards->edges[i] = newline == NULL ? stop : first + (uint64_t)(newline - from);
    }
}

static int lie_inside(const struct shards *shards, size_t size) {
    const uint64_t *edges = shards->edges;
    if ((edges[0] ? edges[0] - 1 : 0) < shards->start) return 0;
    for (size_t i = 0; i < shards->count; i++)
        if (edges[i] > edges[i + 1]) return 0;
    return edges[shards->count] >= shards->start && edges[shards->count] - shards->start <= size;
}

static PyObject *found(struct shards *shards, const Py_buffer *window) {
    pfs_guard_install();
    PyThreadState *state = PyEval_SaveThread();
    int lost = pfs_guarded(shards->window, (size_t)window->len, find_lines, shards);
    PyEval_RestoreThread(state);
    if (lost == 0) return PyBytes_FromStringAndSize((const char *)shards->edges, (Py_ssize_t)shards->count * 8);
    errno = EIO;
    return PyErr_SetFromErrno(PyExc_OSError);
}

PyObject *pfs_python_first_lines(PyObject *module, PyObject *args) {
    Py_buffer window, edges;
    unsigned long long start;
    PyObject *lines = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*Ky*:first_lines", &window, &start, &edges)) return NULL;
    size_t size = (size_t)edges.len;
    struct shards shards = {.window = address_of(&window), .start = start, .edges = PyMem_Malloc(size + 1)};
    if (shards.edges == NULL) {
        PyErr_NoMemory();
    } else if (size < 8 || size % 8 != 0) {
        refuse("edges are words of 8 bytes");
    } else {
        memcpy(shards.edges, edges.buf, size);
        shards.count = size / 8 - 1;
        lines = lie_inside(&shards, (size_t)window.len) ? found(&shards, &window) : refuse("the shards lie elsewhere");
    }
    PyMem_Free(shards.edges);
    PyBuffer_Release(&window);
    PyBuffer_Release(&edges);
    return lines;
}
