"""What a job runs over: bytes by offset, records in them, and shards of records.

Nouns: source (a file of the host, of a pool, or a pipe), view (the part that a worker looks at), record (what one
invocation sees), shard (records that one microVM runs), cut (where a shard of a stored file ends), stretch (shards that
follow each other), outline (which bytes a stretch has, without reading them).
In order: source, pipe, view -> records, lines, pcap, extents -> cuts, outline -> shards.
"""
