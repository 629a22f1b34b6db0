"""A stream of bytes becomes a program, along an old one where there is one.

Nouns: window (the bytes that are being looked at), old program (what the stream may go on as), known (what somebody
knows of a stream before it is read), comparison (which bytes of two files differ), tee (who wants the program too).
In order: window, oldprogram, comparison -> amend (extents that changed inside alone) -> ingest.
"""
