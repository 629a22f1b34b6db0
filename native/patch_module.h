/* The Python side of patches, of what is packed without a search, of what changed inside chunks, of fingerprints and of
 * files beside the page cache, for module.c's table of methods. */
#ifndef PFS_PATCH_MODULE_H
#define PFS_PATCH_MODULE_H

#include "buffers.h"

PyObject *pfs_python_make_patch(PyObject *module, PyObject *args);
PyObject *pfs_python_patch_bases(PyObject *module, PyObject *args);
PyObject *pfs_python_pack_patch(PyObject *module, PyObject *args);
PyObject *pfs_python_pack_in_place(PyObject *module, PyObject *args);
PyObject *pfs_python_differing(PyObject *module, PyObject *args);
PyObject *pfs_python_fingerprint(PyObject *module, PyObject *args);
PyObject *pfs_python_same_fingerprints(PyObject *module, PyObject *args);
PyObject *pfs_python_read_pieces(PyObject *module, PyObject *args);
PyObject *pfs_python_rivals(PyObject *module, PyObject *args);

#endif
