"""The mount: a pool as a directory of this machine, spoken to the kernel over /dev/fuse.

Nouns: a *session* is one mount and the descriptor that serves it, a *request* what the kernel asks, a *reply* what it
gets. Rule: nothing here knows what a file is made of; that is `fs/posix`, which knows no FUSE.
Order: `options.py` reads -o, `device.py` mounts and unmounts, `session.py` is the loop, `dispatch.py` takes a request
(`requests.py`) to an operation and its result (`replies.py`) back; `protocol.py` is the one table of the wire.
"""
