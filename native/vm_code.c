/* Machine code out of bytes: engines/compiled/flat.py says how they are laid out. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#endif
#include "vm_module.h"

#ifndef _WIN32
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const char capsule_name[] = "packetfs.code";

struct code {
    void *at;
    size_t size;
};

/* What code may call; it finds them in front of itself. */
struct imports {
    void *(*set)(void *, int, size_t);
    void *(*copy)(void *, const void *, size_t);
};

static void drop_capsule(PyObject *capsule) {
    struct code *code = PyCapsule_GetPointer(capsule, capsule_name);
    munmap(code->at, code->size);
    free(code);
}

/* Copy code to memory of its own, which is written first and executable then, never both. 0 or errno. */
static int map(struct code *code, const void *bytes, size_t size) {
    const struct imports imports = {memset, memcpy};
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return errno;
    memcpy(at, bytes, size);
    memcpy(at, &imports, sizeof imports);
#ifdef __GNUC__
    __builtin___clear_cache((char *)at, (char *)at + size);
#endif
    if (mprotect(at, size, PROT_READ | PROT_EXEC) != 0) {
        int failed = errno;
        munmap(at, size);
        return failed;
    }
    *code = (struct code){.at = at, .size = size};
    return 0;
}

PyObject *pfs_python_vm_code(PyObject *module, PyObject *args) {
    Py_buffer bytes;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*:vm_code", &bytes)) return NULL;
    struct code *code = malloc(sizeof *code);
    int failed = EINVAL;
    if (code == NULL) failed = ENOMEM;
    else if ((size_t)bytes.len >= sizeof(struct imports)) failed = map(code, bytes.buf, (size_t)bytes.len);
    PyBuffer_Release(&bytes);
    if (failed) {
        free(code);
        errno = failed;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    PyObject *capsule = PyCapsule_New(code, capsule_name, drop_capsule);
    if (capsule == NULL) {
        munmap(code->at, code->size);
        free(code);
        return NULL;
    }
    return Py_BuildValue("KN", (unsigned long long)(uintptr_t)code->at, capsule);
}
#else
PyObject *pfs_python_vm_code(PyObject *module, PyObject *args) {
    (void)module;
    (void)args;
    PyErr_SetString(PyExc_NotImplementedError, "code is mapped on POSIX only");
    return NULL;
}
#endif
