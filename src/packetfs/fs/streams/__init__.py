"""A stream of bytes becomes a program, along an old one where there is one.

Nouns: window (the bytes that are being looked at), old program (what the stream may go on as), known (what somebody
knows of a stream before it is read), prints (fingerprints of old and new chunks), edits (where the stream differs from
the old program), new program (what the stream becomes), tee (who wants it too).
In order: window, oldprogram -> oldcontent, prints, edits -> newprogram, amend (extents that changed inside alone) ->
ingest.
"""
