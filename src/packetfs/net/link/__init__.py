"""How it travels: bytes between two processes, over pipes, sockets and TLS.

Nouns: stream (bytes both ways, given up when they rest), channel (frames over a stream), pulse (a sign of life), pace
(how fast bytes may go), carrier (what reaches the other side: ssh, a command, a socket), visitor (who comes in).
Rule: a peer that says nothing is given up in time, and nothing here knows what a message means.
"""
