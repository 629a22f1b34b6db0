"""Programs as LLVM IR: what vm/interpreter.py defines, for any processor that LLVM makes code for.

In this order: `module.py` puts a program together; `lowering.py` turns instructions into the text of a function
(`function.py`, `arithmetic.py`, `calls.py`); that calls `memory.py` and `helpers.py` (`maps.py`, `reserve.py`,
`search.py`, `access.py`), which are written by hand (`written.py`); `text.py` is how all of it is put down. The IR
knows no threads and no host: who runs it fills the state (text.STATE) and reads what is left in it.
"""
