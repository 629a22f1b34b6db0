"""Where packets run: jobs over files, their shards, the table of live microVMs, the scheduler, other nodes.

Nouns: job (one program over some files), source (where bytes come from), batch (shards that run together), table (a
job's live microVMs in shared memory), turn (each microVM of a batch executes a slice), scheduler (which batch has its
turn next, on which core), result (maps reduced in shard order, output in record order). Rule: the partition into shards
depends on content and framing alone, so every engine and any number of microVMs give the same bytes.
In order, checked: input -> live -> results -> memo -> jobs -> remote; lowering -> compiled -> lanes -> machines, and
lowering -> ir -> gpu.
"""
