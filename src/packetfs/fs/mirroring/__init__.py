"""A directory of the host is brought into the namespace: what a stat proves unchanged is not read.

In order: meter, hardlinks, edited (what is found out for who sends), prints (what is kept for the next time), file (one
of its files on the way in) -> mirror (the walk).
"""
