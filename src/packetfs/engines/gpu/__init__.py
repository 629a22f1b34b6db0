"""GPUs: programs as PTX kernels, one thread a record.

`kernel.py` puts a kernel around what `engines/ir/` makes of a program, and refuses by name what no kernel can do.
"""
