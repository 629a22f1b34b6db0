/* The Python side of the interpreter, for module.c's table of methods. */
#ifndef PFS_VM_MODULE_H
#define PFS_VM_MODULE_H

#include "buffers.h"

PyObject *pfs_python_vm_load(PyObject *module, PyObject *args);
PyObject *pfs_python_vm_code(PyObject *module, PyObject *args);
PyObject *pfs_python_vm_attach(PyObject *module, PyObject *args);
PyObject *pfs_python_vm_places(PyObject *module, PyObject *args);
PyObject *pfs_python_vm_run(PyObject *module, PyObject *args);
PyObject *pfs_python_first_lines(PyObject *module, PyObject *args);
PyObject *pfs_python_vm_freeze(PyObject *module, PyObject *args);
PyObject *pfs_python_vm_thaw(PyObject *module, PyObject *args);
PyObject *pfs_python_vm_reduce(PyObject *module, PyObject *args);
PyObject *pfs_python_narrow(PyObject *module, PyObject *args);
PyObject *pfs_python_widen(PyObject *module, PyObject *args);
PyObject *pfs_python_is_narrow(PyObject *module, PyObject *args);
PyObject *pfs_python_vm_reduce_narrow(PyObject *module, PyObject *args);
PyObject *pfs_python_table_columns(PyObject *module, PyObject *args);
PyObject *pfs_python_table_merge(PyObject *module, PyObject *args);
PyObject *pfs_python_table_lay(PyObject *module, PyObject *args);
PyObject *pfs_python_table_is_rising(PyObject *module, PyObject *args);

#endif
