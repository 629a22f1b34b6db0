"""Who may do what: keys and their rights, and what a peer may learn of a pool.

Nouns: identity (a certificate), key (a name with rights), rights (what may be read, written, run, and how much), scope
(which extents of a pool a peer may know of).
Rule: what is not granted is refused, in words that tell nothing about what is there.
"""
