"""What travels: messages, and how each is written and read.

Nouns: varint (a number in as few bytes as it needs), packed (instructions and entries as varints), message (one kind of
frame, a row of the table), batch (items with their literals), item (what one name needs), listing, signatures.
Rule: the table in messages.py is the wire; docs/wire.md comes from it. Every reader is total: any bytes give a value or
BadMessage, and no count is believed before its bytes are there.
"""
