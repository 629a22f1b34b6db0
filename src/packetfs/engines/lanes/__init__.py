"""The engine `lanes`: sixteen records at a time, each in a lane of vectors, with one program counter.

Nouns: lane (one record's place in every vector), fact (what is known of a register: the same in all lanes, or not),
node (a straight run and the calls that led to it), mask (the lanes that are at a node), meeting (a node
where all lanes are together again), row (eight bytes of all records), block (the records that run together).
Rule: nothing of a block is visible before all of it went well. What lanes do not do, a fault, a pause, a map, is found
out on the way; then the block is dropped and its records run one after the other.
In order: facts, stack -> cells -> memory, rows, fuel -> program -> records -> machine.
"""
