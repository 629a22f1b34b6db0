"""Which names differ between two trees that share no history: both sides' half of it.

Nouns: name (a path with its entry), id (8 keyed bytes that stand for a name), sketch (coded symbols of all ids),
subtree (a directory with all that is in it, by its root), comparison (a listing beside the receiver's own names).
In order: names -> sketching -> subtrees, comparing.
Rule: what is found follows the difference, not the tree; roots judge what came of it.
"""
