"""Programs as LLVM IR that needs no host: what vm/interpreter.py defines, whole, for processors without an interpreter.

In this order: `module.py` puts a program together; `program.py` turns instructions into the text of a function
(`function.py`, `calls.py`; what instructions do is `engines/lowering/`); that calls `memory.py` and
`helpers.py` (`maps.py`, `reserve.py`, `search.py`, `access.py`), which are written by hand (`written.py`); `text.py` is
how all of it is put down. Who runs it fills the state (text.STATE) and reads what is left in it.
"""
