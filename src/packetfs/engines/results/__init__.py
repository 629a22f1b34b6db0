"""What a job comes to: maps reduced in the order of shards, counts, faults.

In order: elements -> entries, narrow -> tables -> reduce, totals -> outcome -> result.
"""
