"""MicroVMs that live: contexts, maps and output in shared memory, which any process that may can look at.

Nouns: table (contexts and maps of all), ledger (what the processes of a job tell each other), spool (output that
waits), column (one field of many contexts).
"""
