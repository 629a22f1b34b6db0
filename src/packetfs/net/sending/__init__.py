"""The side that sends: what changed, and for each file the fewest bytes that make it.

Nouns: source (a tree in a pool, with its content there or on the host), basis (old files that the receiver has), delta
(copies from those, and literals), early (content that goes while files are still read), brought (extents that this sync
has sent already), outlet (where all of it goes).
In the order of the data: source -> basis, shared -> delta, brought -> contents -> changes, lacking -> sender.
Rule: it knows the receiver by its messages alone.
"""
