"""Measurements of PacketFS beside its peers, from outside: they drive the command `pfs` as a user would.

In processing order: `pairs` makes an old and a new state of a tree, `peers` copies it through `relay`, which counts,
`process` meters both sides, `floor` says what a delta of both trees costs at least, `measure` runs it all, `report`
judges the result against the bounds and writes the tables, `plot` draws it. `compare` is the judge of every copy.
"""
