"""Programs that come with PacketFS: their sources in Python, their packets, and a table of what they take.

The packets are data files, so that running one needs no compiler; `python -m tools.ship` writes them and the table anew
from the sources, and a test compares. `catalogue` reads both; nothing else here is imported to run a program.
"""
