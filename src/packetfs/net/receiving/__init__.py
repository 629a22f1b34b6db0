"""The side that receives: what it has, what comes, and that nothing is kept which does not hash to what was announced.

Nouns: target (a plain directory or a path of a pool), held directory (what a plain one holds, without its bytes), stale
(content that may be like what is lacking), delivery (items in order), content (one file as it comes), spans (which of
its bytes are old).
In the order of the data: receiver -> answer, stale -> delivery -> content, spans -> target_host, target_pool.
Rule: it knows the sender by its messages alone, and believes none of them before the root.
"""
