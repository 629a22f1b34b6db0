"""What a job comes to: maps reduced in the order of shards, counts, faults.

In order: elements -> tables -> reduce, totals -> outcome -> result.
"""
