"""The engine `cpu`: eBPF becomes LLVM IR (`lowering/`), and that machine code, with every check in it.

Nouns: surroundings (where records come from and how a run begins and ends), kind (which region an address points into,
as far as that can be known beforehand; a guess costs time, never safety), left (why machine code gave up a record).
Rule: machine code does the common, the interpreter the rare, with the same registers, pc and fuel: so results, faults,
pauses and counters are those of the interpreter, to the bit.
In order: kinds, frame -> memory, calls -> program -> shard -> records -> cache -> machine.
"""
