"""A stream of bytes becomes a program, along an old one where there is one.

Nouns: window (the bytes that are being looked at), old program (what the stream may go on as), prints (fingerprints of
old and new chunks), sight (how it is seen what stands in place of old extents: by prints, or known by somebody), edits
(where the stream differs from the old program), new program (what the stream becomes), tee (who wants it too).
In order: window, oldprogram -> oldcontent, prints, edits -> newprogram, sight -> ahead (extents that stand, or changed
inside alone, many at once) -> ingest.
"""
