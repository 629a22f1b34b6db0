"""Programs as LLVM IR: what vm/interpreter.py defines, for any processor that LLVM makes code for.

`lowering.py` turns the program into a function (`arithmetic.py`), `memory.py` and `helpers.py` are what it calls,
`text.py` is how IR is written. The IR knows no threads and no host: who runs it fills the state (text.STATE) and reads
what is left in it. Nothing here imports LLVM.
"""
