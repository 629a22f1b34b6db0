"""A lane of a GPU in Python: what PTX text means, one thread after the other, where there is no GPU to ask.

`reader.py` reads the text that LLVM writes into `syntax.py`'s records, `lane.py` executes one lane of a kernel over
`memory.py`, `launch.py` a whole grid. The oracle is strict where hardware is not: an instruction that it does not know,
an access that is not aligned or not inside what it was given, a division by zero and a register that nothing wrote
raise `Refused`.
"""
