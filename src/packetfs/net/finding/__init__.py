"""Which names differ between two trees that share no history: both sides' half of it.

Nouns: name (a path with its entry), id (8 keyed bytes that stand for a name), sketch (coded symbols of all ids).
Rule: what is found follows the difference, not the tree; roots judge what came of it.
"""
