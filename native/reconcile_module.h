/* The Python side of blocks and sketches, for module.c's table of methods. */
#ifndef PFS_RECONCILE_MODULE_H
#define PFS_RECONCILE_MODULE_H

#include "buffers.h"

PyObject *pfs_python_block_sums(PyObject *module, PyObject *args);
PyObject *pfs_python_block_index(PyObject *module, PyObject *args);
PyObject *pfs_python_block_find(PyObject *module, PyObject *args);
PyObject *pfs_python_sketch(PyObject *module, PyObject *args);
PyObject *pfs_python_sketch_peel(PyObject *module, PyObject *args);

#endif
