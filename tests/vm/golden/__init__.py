"""The cases of tests/vm/conformance and their results, from a list of edges and plain formulas over Python's integers.

Nothing here imports an interpreter, the decoder or the table of instructions: results and opcodes come from RFC 9669 by
hand, so that a mistake in those cannot be in both. `python -m tests.vm.golden.write` writes the files.
"""
