"""A directory of the host is brought into the namespace: what a stat proves unchanged is not read.

In order: meter, hardlinks, file (one of its files on the way in) -> mirror (the walk).
"""
