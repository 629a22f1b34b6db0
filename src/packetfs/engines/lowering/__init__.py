"""What every shape of code has in common: a program as a graph, and what its instructions do, as LLVM IR.

Nouns: graph (a program as straight runs of instructions), shape (what a register is: a number, or one for each lane),
lowering (a program on its way into code of one shape), safety (what code does beside its program).
Rule: what an instruction does stands here, once. What a register is, where memory lies and what is rare is each shape's
own: `compiled/` (one record after the other), `lanes/` (sixteen at a time), `ir/` (on processors without a host).
In order: text, safety -> graph, arithmetic -> instructions.
"""
