"""A job: one program over some sources, from its options to its result; looked at, steered, moved and taken over.

Nouns: work (what all workers of a job share), turn (one batch executes a slice), scheduler (whose turn is next),
delivery (output in the order of records), recovery (what a dead process left).
In order: jobfile -> turn, work, scheduler, delivery, reducing -> execution, recovery -> job, steering, moving.
"""
