"""What executable packets mean: eBPF programs and the microVMs that run them.

Nouns: instruction (8 bytes, RFC 9669), program (code and maps, as packets), image (a program checked and ready),
context (a live microVM, 1 KiB), record (what one invocation sees), shard (the records of one microVM), fuel (slots that
one record may execute), slice (slots until it pauses). Rule: no files, clocks or threads here; bytes come in, bytes go
out. Two interpreters have one meaning: `interpreter.py` defines it, the native core is fast. Order: isa, check,
program, image, interpreter; snapshot for microVMs that move.
"""
