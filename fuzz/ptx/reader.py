"""PTX text, as LLVM writes it, becomes a Module. What is not known here is refused, never passed over."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeAlias

from fuzz.ptx.syntax import Address, Function, Group, Instruction, Module, Operand, Refused, Register, Symbol, Variable
from fuzz.ptx.tokens import Tokens, is_number

_LINKAGE: Final = (".visible", ".weak", ".extern")
_SPACES: Final = (".global", ".const", ".local", ".param")
_BITS: Final = {".pred": 1} | {f".{kind}{bits}": bits for kind in "bsu" for bits in (8, 16, 32, 64)}
Names: TypeAlias = dict[str, str]
"""Variables by the name that they have in a scope."""
_TUNING: Final = (".maxntid", ".reqntid", ".minnctapersm", ".maxnreg", ".noreturn")
"""What says how a kernel may be launched, and changes no result."""


def read(text: str) -> Module:
    """Return what a PTX text says."""
    tokens, module = Tokens(text), Module()
    while tokens:
        word = tokens.take()
        if word == ".version":
            module.version = tokens.take()
        elif word == ".target":
            module.target = tokens.take()
        elif word == ".address_size":
            tokens.take("64")
        elif word in _LINKAGE:
            continue
        elif word in (".entry", ".func"):
            _function(tokens, module, entry=word == ".entry")
        elif word in (".global", ".const"):
            module.variables.append(_variable(tokens, word[1:]))
            tokens.take(";")
        else:
            raise Refused(f"directive {word}")
    return module


def _function(tokens: Tokens, module: Module, *, entry: bool) -> None:
    results = _parameters(tokens)
    function = Function(tokens.take(), entry, results, _parameters(tokens))
    while tokens.peek() in _TUNING:
        tokens.take()
        while is_number(tokens.peek()) or tokens.peek() == ",":
            tokens.take()
    if tokens.drop(";"):
        return  # declared before it is defined
    tokens.take("{")
    _body(tokens, function)
    module.functions[function.name] = function


def _parameters(tokens: Tokens) -> tuple[Variable, ...]:
    found = []
    if tokens.drop("("):
        while not tokens.drop(")"):
            tokens.take(".param")
            found.append(_variable(tokens, "param"))
            tokens.drop(",")
    return tuple(found)


def _variable(tokens: Tokens, space: str) -> Variable:
    """Read `.align 8 .b8 name[4] = {1, 2, 3, 4}`, from behind the space on."""
    align = bits = 0
    while tokens.peek().startswith("."):
        word = tokens.take()
        if word == ".align":
            align = align or tokens.number()
        elif word == ".ptr":
            tokens.drop(".global")
            tokens.take(".align")
            tokens.number()  # what it points to, not what it is
        else:
            bits = _bits(word)
    name, count = tokens.take(), 1
    if tokens.drop("["):
        count = tokens.number()
        tokens.take("]")
    content = _content(tokens, bits) if tokens.drop("=") else b""
    return Variable(name, space, bits, count, align or bits // 8, content)


def _bits(word: str) -> int:
    if word not in _BITS:
        raise Refused(f"type {word}")
    return _BITS[word]


def _content(tokens: Tokens, bits: int) -> bytes:
    if not tokens.drop("{"):
        return _element(tokens.number(), bits)
    data = b""
    while not tokens.drop("}"):
        data += _element(tokens.number(), bits)
        tokens.drop(",")
    return data


def _element(value: int, bits: int) -> bytes:
    return (value & (1 << bits) - 1).to_bytes(bits // 8, "little")


def _body(tokens: Tokens, function: Function) -> None:
    """Read statements up to the brace that closes the function; braces within are scopes of call parameters."""
    scopes: list[Names] = [{}]
    while scopes:
        if tokens.drop("{"):
            scopes.append(dict(scopes[-1]))
        elif tokens.drop("}"):
            scopes.pop()
        elif tokens.peek(1) == ":":
            _label(tokens, function)
        elif tokens.peek() == ".reg":
            _registers(tokens, function)
        elif tokens.peek() in _SPACES:
            _declare(tokens, function, scopes[-1])
        else:
            function.body.append(_instruction(tokens, scopes[-1]))


def _declare(tokens: Tokens, function: Function, names: Names) -> None:
    """Read a variable; scopes may use a name again for another one, so each has a name of its own."""
    found = _variable(tokens, tokens.take()[1:])
    tokens.take(";")
    names[found.name] = f"{found.name}#{len(function.variables)}"
    function.variables.append(replace(found, name=names[found.name]))


def _label(tokens: Tokens, function: Function) -> None:
    """Take a label, and the list behind it where it names the targets of brx.idx."""
    name = tokens.take()
    tokens.take(":")
    if tokens.drop(".branchtargets"):
        targets = [tokens.take()]
        while tokens.drop(","):
            targets.append(tokens.take())
        tokens.take(";")
        function.targets[name] = tuple(targets)
    elif function.labels.setdefault(name, len(function.body)) != len(function.body):
        raise Refused(f"two labels {name}")


def _registers(tokens: Tokens, function: Function) -> None:
    """Read `.reg .b32 %r<22>;` (%r0 to %r21) or `.reg .b64 %SP;`."""
    tokens.take(".reg")
    bits, name = _bits(tokens.take()), tokens.take()
    if tokens.drop("<"):
        count = tokens.number()
        tokens.take(">")
        function.registers |= {f"{name}{i}": bits for i in range(count)}
    else:
        function.registers[name] = bits
    tokens.take(";")


def _instruction(tokens: Tokens, names: Names) -> Instruction:
    guard, wanted = "", True
    if tokens.peek().startswith("@"):
        guard = tokens.take()[1:]
        wanted = not guard.startswith("!")
    opcode, operands = tokens.take(), []
    while not tokens.drop(";"):
        operands.append(_operand(tokens, names))
        if tokens.peek() != ";":
            tokens.take(",")
    return Instruction(tuple(opcode.split(".")), tuple(operands), guard.removeprefix("!"), wanted)


def _operand(tokens: Tokens, names: Names) -> Operand:
    if tokens.peek() in ("{", "("):
        return _group(tokens, "}" if tokens.take() == "{" else ")", names)
    if tokens.drop("["):
        return _address(tokens, names)
    if is_number(tokens.peek()):
        return tokens.number()
    name = tokens.take()
    return Register(name) if name.startswith("%") or name == "_" else Symbol(names.get(name, name))


def _group(tokens: Tokens, close: str, names: Names) -> Group:
    parts: list[Operand] = []
    while not tokens.drop(close):
        parts.append(_operand(tokens, names))
        if tokens.peek() != close:
            tokens.take(",")
    return Group(tuple(parts))


def _address(tokens: Tokens, names: Names) -> Address:
    base = None if is_number(tokens.peek()) else _operand(tokens, names)
    offset = tokens.number() if base is None or tokens.drop("+") else 0
    tokens.take("]")
    if not isinstance(base, Register | Symbol | None):
        raise Refused(f"address {base}")
    return Address(base, offset)
