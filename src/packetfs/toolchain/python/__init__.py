"""Python functions as programs: AST -> checked subset -> LLVM IR -> eBPF, by LLVM's BPF backend in a child process.

`language` holds the names that programs import, `decorator` what they become; both cost nothing to import. Order:
syntax (which Python is taken), lowering with its parts (what it means, as IR text), backend (IR to an object, the only
module that loads LLVM), translate (all of it, and the object's relocations). Rule of the language: where Python would
raise, the microVM faults; where Python's integers would grow beyond 64 bits, they wrap.
"""
