"""Where programs come from: Python functions, C objects, assembler text, and those shipped with PacketFS.

Rule: everything ends as a `vm.program.Program`; what cannot be translated is an error with file and line. LLVM is
imported by one module, late; clang is a child process. C: clang -> elf -> declarations (by btf), link.
What a program says of itself (notes: summary, records, arguments and which values they take) is part of its packets.
"""
