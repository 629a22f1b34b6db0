"""The side that is called: one session over a stream, a daemon that has many, and one that stands.

Nouns: confinement (where a path that a caller names may lead), usage (what he has stored).
Rule: whoever calls has the rights of his key and no others, and his end ends nothing else.
"""
