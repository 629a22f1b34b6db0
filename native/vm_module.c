/* Python's buffers to the interpreter of eBPF programs; the interpreter is let go while microVMs run. */
#include "vm_module.h"

#include <errno.h>
#include <stdlib.h>
#ifdef _WIN32
#include <process.h>
#define getpid _getpid
#else
#include <unistd.h>
#endif

#include "guard.h"
#include "vm.h"

static const char capsule_name[] = "packetfs.vm";

struct prepared {
    struct pfs_vm_image image;
    Py_buffer shared;
};

static void drop(struct prepared *prepared) {
    pfs_vm_image_free(&prepared->image);
    PyBuffer_Release(&prepared->shared);
    free(prepared);
}

static void drop_capsule(PyObject *capsule) { drop(PyCapsule_GetPointer(capsule, capsule_name)); }

PyObject *pfs_python_vm_load(PyObject *module, PyObject *args) {
    Py_buffer code, places;
    unsigned int entry, kind;
    struct prepared *prepared = calloc(1, sizeof *prepared);
    (void)module;
    if (prepared == NULL) return PyErr_NoMemory();
    if (!PyArg_ParseTuple(args, "y*y*y*II:vm_load", &code, &places, &prepared->shared, &entry, &kind)) {
        free(prepared);
        return NULL;
    }
    const char *wrong = pfs_vm_image_make(&prepared->image, code.buf, (size_t)code.len, places.buf, (size_t)places.len,
                                          prepared->shared.buf, (size_t)prepared->shared.len, entry, kind);
    PyBuffer_Release(&code);
    PyBuffer_Release(&places);
    PyObject *capsule = wrong ? refuse(wrong) : PyCapsule_New(prepared, capsule_name, drop_capsule);
    if (capsule == NULL) drop(prepared);
    return capsule;
}

PyObject *pfs_python_vm_attach(PyObject *module, PyObject *args) {
    PyObject *capsule;
    unsigned long long records, record, size, lanes = 0;
    unsigned int width = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "OKKK|KI:vm_attach", &capsule, &records, &record, &size, &lanes, &width)) return NULL;
    struct prepared *prepared = PyCapsule_GetPointer(capsule, capsule_name);
    if (prepared == NULL) return NULL;
    prepared->image.compiled = (struct pfs_vm_compiled){
        .records = (pfs_vm_code *)(uintptr_t)records, .record = (pfs_vm_code *)(uintptr_t)record, .size = size,
        .lanes = (pfs_vm_code *)(uintptr_t)lanes, .width = width};
    Py_RETURN_NONE;
}

static int put(PyObject *places, const char *name, size_t offset) {
    PyObject *number = PyLong_FromSize_t(offset);
    int failed = number == NULL || PyDict_SetItemString(places, name, number) < 0;
    Py_XDECREF(number);
    return !failed;
}

enum { HELPERS_BELOW = 8192, NAME_BYTES = 32 };

PyObject *pfs_python_vm_places(PyObject *module, PyObject *args) {
    PyObject *places = PyDict_New();
    int good = places != NULL;
    (void)module;
    (void)args;
    for (const struct pfs_vm_place *place = pfs_vm_places; good && place->name != NULL; place++)
        good = put(places, place->name, place->offset);
    for (unsigned number = 0; good && number < HELPERS_BELOW; number++) {
        char name[NAME_BYTES];
        int index = pfs_vm_helper_index(number);
        PyOS_snprintf(name, sizeof name, "helper.%u", number);
        if (index >= 0) good = put(places, name, (size_t)index);
    }
    if (!good) Py_CLEAR(places);
    return places;
}

enum { CONTEXTS, SPILL, MAPS, WINDOW, BOUNDS, OUT, BUFFERS };

/* The arguments as they came. */
struct call {
    PyObject *capsule, *slice, *fuel, *window_start, *size;
    Py_buffer buffers[BUFFERS];
    Py_ssize_t first, count;
    int final;
    unsigned int framing, file_id;
};

static int parse(PyObject *args, struct call *call) {
    Py_buffer *b = call->buffers;
    return PyArg_ParseTuple(args, "Ow*w*w*nny*OpIOy*w*OOI:vm_run", &call->capsule, &b[CONTEXTS], &b[SPILL], &b[MAPS],
                            &call->first, &call->count, &b[WINDOW], &call->window_start, &call->final, &call->framing,
                            &call->size, &b[BOUNDS], &b[OUT], &call->slice, &call->fuel, &call->file_id);
}

static int holds(const struct call *call, int buffer, size_t stride) {
    size_t slots = (size_t)call->first + (size_t)call->count;
    return slots <= (size_t)call->buffers[buffer].len / (stride ? stride : 1) || stride == 0;
}

static const char *check(const struct call *call, const struct pfs_vm_image *image, const struct pfs_vm_job *job) {
    Py_ssize_t most = PY_SSIZE_T_MAX / 2;
    if (call->first < 0 || call->count < 0 || call->first > most || call->count > most) return "slots count from 0";
    if (!holds(call, CONTEXTS, PFS_VM_CONTEXT_BYTES)) return "there are fewer contexts than slots";
    if (!holds(call, SPILL, PFS_VM_SPILL_STRIDE)) return "the spill is too small for these slots";
    if (!holds(call, MAPS, image->maps_bytes)) return "the memory of maps is too small for these slots";
    if (job->framing < PFS_VM_FRAMING_FIXED || job->framing > PFS_VM_FRAMING_LINES) return "there is no such framing";
    int sized = job->framing == PFS_VM_FRAMING_FIXED || job->framing == PFS_VM_FRAMING_LINES;
    if (sized && job->size == 0) return "a record of a size has a byte at the least";
    if (call->buffers[BOUNDS].len % 16 != 0) return "bounds are pairs of 8-byte numbers";
    if (job->window_start > (uint64_t)1 << 63) return "the window lies outside any file";
    return NULL;
}

static int64_t slots_of(PyObject *number) {
    unsigned long long slots = PyLong_AsUnsignedLongLong(number);
    return slots > (unsigned long long)PFS_VM_SLOTS_RUN_MAX ? PFS_VM_SLOTS_RUN_MAX : (int64_t)slots;
}

static struct pfs_vm_job job_of(const struct call *call, const struct pfs_vm_image *image) {
    const Py_buffer *b = call->buffers;
    return (struct pfs_vm_job){
        .image = image,
        .contexts = address_of(&b[CONTEXTS]),
        .spill = address_of(&b[SPILL]),
        .maps = address_of(&b[MAPS]),
        .first = (size_t)call->first,
        .count = (size_t)call->count,
        .window = address_of(&b[WINDOW]),
        .window_size = (size_t)b[WINDOW].len,
        .window_start = PyLong_AsUnsignedLongLong(call->window_start),
        .final = call->final,
        .framing = call->framing,
        .size = PyLong_AsUnsignedLongLong(call->size),
        .bounds = address_of(&b[BOUNDS]),
        .pairs = (size_t)b[BOUNDS].len / 16,
        .out = address_of(&b[OUT]),
        .out_size = (size_t)b[OUT].len,
        .slice = slots_of(call->slice),
        .fuel = slots_of(call->fuel),
        .file_id = call->file_id,
        .owner = (uint32_t)getpid(),
    };
}

struct running {
    struct pfs_vm_job job;
    size_t slot;
    enum pfs_vm_stop stop;
};

static void run_job(void *given) {
    struct running *running = given;
    running->stop = pfs_vm_run(&running->job, &running->slot);
}

static PyObject *run(const struct call *call, const struct pfs_vm_image *image) {
    struct running running = {.job = job_of(call, image)};
    if (PyErr_Occurred()) return NULL;
    const char *wrong = check(call, image, &running.job);
    if (wrong != NULL) return refuse(wrong);
    pfs_guard_install();
    PyThreadState *state = PyEval_SaveThread();
    int lost = pfs_guarded(running.job.window, running.job.window_size, run_job, &running);
    PyEval_RestoreThread(state);
    if (lost != 0) {
        errno = EIO;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return Py_BuildValue("(ninKKK)", (Py_ssize_t)running.slot, (int)running.stop, (Py_ssize_t)running.job.out_used,
                         (unsigned long long)running.job.compiled, (unsigned long long)running.job.interpreted,
                         (unsigned long long)running.job.lanes);
}

PyObject *pfs_python_vm_run(PyObject *module, PyObject *args) {
    struct call call;
    (void)module;
    if (!parse(args, &call)) return NULL;
    struct prepared *prepared = PyCapsule_GetPointer(call.capsule, capsule_name);
    PyObject *result = prepared == NULL ? NULL : run(&call, &prepared->image);
    for (int i = 0; i < BUFFERS; i++) PyBuffer_Release(&call.buffers[i]);
    return result;
}
