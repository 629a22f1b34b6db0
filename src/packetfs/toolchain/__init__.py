"""Where programs come from: Python functions, C objects, assembler text, and those shipped with PacketFS.

Rule: everything ends as a `vm.program.Program`; what cannot be translated is an error with file and line. Heavy libraries
(LLVM, pyelftools) are imported by one module each, late.
"""
