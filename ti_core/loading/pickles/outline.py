"""What a pickle would do, worked out on paper: its instructions are followed, nothing is imported or called.

A pickle is a program for a small stack machine. This module runs that program with names in place of
functions: where the real machine would import ``os.system`` and call it, :class:`Call` notes a call of the
:class:`Ref` ``posix.system``. The picture that results is what every later decision is made on.
"""

from __future__ import annotations

import pickletools
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ti_core.loading.limits import LIMITS
from ti_core.loading.names import present_name
from ti_core.loading.pickles.nodes import Call, Opaque, Pairs, Ref, Stored, walk

_TORCH_OPCODES = """
PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINSTRING
EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS EMPTY_SET
BINGET LONG_BINGET BINPUT LONG_BINPUT GLOBAL NEWOBJ REDUCE BUILD BINPERSID
"""
PLAIN_OPCODES = frozenset(_TORCH_OPCODES.split())
"""The instructions that torch's own restricted reader knows; ``torch.save`` writes no others."""


@dataclass
class Outline:
    """What became of the program.

    Parameters
    ----------
    root : the value at the end, made of plain values, lists, tuples and the classes above; None if it broke
    off. refs : every name that would be imported, in order of appearance.
    unusual : instructions that ``torch.save`` never writes, in order of appearance.
    unresolved : imports whose name is computed, so that it cannot be read from the file.
    protocol : the declared protocol, or None.
    trailing : bytes after the end of the program.
    broken : why the program cannot be followed to its end, or "".
    """

    root: Any = None
    refs: list[str] = field(default_factory=list)
    unusual: list[str] = field(default_factory=list)
    unresolved: int = 0
    protocol: int | None = None
    trailing: int = 0
    broken: str = ""

    @cached_property
    def nodes(self) -> list[Any]:
        """Every value in it, once."""
        return list(walk(self.root))


class _StuckError(Exception):
    """The program asks for something that is not there."""


class _Machine:
    """The stack machine of ``pickle``, on paper."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.seen: set[str] = set()

    def pop(self) -> Any:
        if not self.stack:
            raise _StuckError
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack:
            raise _StuckError
        return self.stack[-1]

    def pop_mark(self) -> list[Any]:
        if not self.below:
            raise _StuckError
        items, self.stack = self.stack, self.below.pop()
        return items

    def ref(self, module: str, name: str) -> Ref:
        ref = Ref(present_name(module, name))
        if ref.path not in self.seen:
            self.seen.add(ref.path)
            self.outline.refs.append(ref.path)
        return ref

    def step(self, op: str, arg: Any) -> None:
        stack = self.stack
        match op:
            case "PROTO":
                if self.outline.protocol is None:
                    self.outline.protocol = arg
            case "FRAME" | "STOP" | "READONLY_BUFFER":
                pass
            case "MARK":
                self.below.append(stack)
                self.stack = []
            case "POP":
                if stack:
                    stack.pop()
                else:
                    self.pop_mark()
            case "POP_MARK":
                self.pop_mark()
            case "DUP":
                stack.append(self.top())
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(op == "NEWTRUE")
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE":
                items = tuple(self.pop_mark())
                self.stack.append(items)
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                parts = [self.pop() for _ in range(int(op[-1]))]
                stack.append(tuple(reversed(parts)))
            case "EMPTY_LIST" | "EMPTY_SET":
                stack.append([])
            case "LIST" | "FROZENSET":
                found = self.pop_mark()
                self.stack.append(found)
            case "EMPTY_DICT":
                stack.append(Pairs())
            case "DICT":
                found = self.pop_mark()
                self.stack.append(Pairs(list(zip(found[::2], found[1::2], strict=False))))
            case "APPEND":
                value = self.pop()
                self._extend([value])
            case "APPENDS" | "ADDITEMS":
                found = self.pop_mark()
                self._extend(found)
            case "SETITEM":
                value, key = self.pop(), self.pop()
                self._update([key, value])
            case "SETITEMS":
                found = self.pop_mark()
                self._update(found)
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[arg] = self.top()
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.top()
            case "GET" | "BINGET" | "LONG_BINGET":
                if arg not in self.memo:
                    raise _StuckError
                stack.append(self.memo[arg])
            case "GLOBAL":
                stack.append(self._named(arg))
            case "STACK_GLOBAL":
                name, module = self.pop(), self.pop()
                if isinstance(name, str) and isinstance(module, str):
                    stack.append(self.ref(module, name))
                else:
                    self.outline.unresolved += 1
                    stack.append(Opaque(op))
            case "INST":
                args = tuple(self.pop_mark())
                self.stack.append(Call(self._named(arg), args, new=True))
            case "OBJ":
                found = self.pop_mark()
                if not found:
                    raise _StuckError
                self.stack.append(Call(found[0], tuple(found[1:]), new=True))
            case "NEWOBJ" | "REDUCE":
                args, function = self.pop(), self.pop()
                stack.append(Call(function, args, new=op == "NEWOBJ"))
            case "NEWOBJ_EX":
                keywords, args, function = self.pop(), self.pop(), self.pop()
                stack.append(Call(function, (args, keywords), new=True))
            case "BUILD":
                state = self.pop()
                target = self.top()
                if isinstance(target, Call):
                    target.states.append(state)
                else:
                    self.outline.unusual.append("BUILD of a plain value")
            case "BINPERSID":
                stack.append(Stored(self.pop()))
            case "PERSID":
                stack.append(Stored(arg))
            case "EXT1" | "EXT2" | "EXT4":
                # A number in a table of the reading program: which function it names cannot be known.
                self.outline.unresolved += 1
                stack.append(Opaque(op))
            case _:
                # What is left pushes one constant.
                stack.append(arg)

    def _named(self, arg: str) -> Ref:
        module, _, name = arg.partition(" ")
        if " " in name:
            self.outline.unusual.append("a global whose name holds a space")
        return self.ref(module, name)

    def _extend(self, items: list[Any]) -> None:
        target = self.top()
        if isinstance(target, list):
            target.extend(items)
        else:
            self.outline.unusual.append("APPEND to something other than a list")

    def _update(self, items: list[Any]) -> None:
        target = self.top()
        if len(items) % 2:
            raise _StuckError
        pairs = list(zip(items[::2], items[1::2], strict=True))
        if isinstance(target, Pairs):
            target.items.extend(pairs)
        elif isinstance(target, Call):
            # An OrderedDict comes from a call, and is then filled like a dictionary.
            target.items.extend(pairs)
        else:
            self.outline.unusual.append("SETITEM on something other than a dictionary")


def outline_of(data: bytes) -> Outline:
    """Follow the pickle in ``data`` to its end, or as far as it goes; never raises for what is in it.

    A reader runs every instruction before the one that breaks, so what was seen until then counts. After a
    broken step the imports that stand in plain text are still collected.
    """
    outline = Outline()
    with warnings.catch_warnings():
        # A text with an odd escape is decoded with a warning, about a file nobody here wrote.
        warnings.simplefilter("ignore")
        _follow(data, outline)
    return outline


def _follow(data: bytes, outline: Outline) -> None:
    machine = _Machine(outline)
    unusual: dict[str, None] = {}
    count, end = 0, 0
    try:
        for opcode, arg, position in pickletools.genops(data):
            count += 1
            if count > LIMITS.opcodes:
                outline.broken = f"it has more than {LIMITS.opcodes} instructions"
                break
            if opcode.name not in PLAIN_OPCODES:
                unusual[opcode.name] = None
            end = (position or 0) + 1
            if outline.broken:
                if opcode.name in ("GLOBAL", "INST"):
                    machine.ref(*str(arg).partition(" ")[::2])
                elif opcode.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
                    outline.unresolved += 1
                continue
            try:
                machine.step(opcode.name, arg)
            except _StuckError:
                outline.broken = f"its instruction {opcode.name} finds nothing to work on"
        else:
            outline.trailing = len(data) - end
    except (ValueError, UnicodeError, OverflowError, MemoryError) as error:
        # pickletools words its errors for people, but quotes the input: keep it short.
        outline.broken = outline.broken or f"it breaks off ({str(error)[:80]})"
    outline.unusual = [*unusual, *dict.fromkeys(outline.unusual)]
    if not outline.broken:
        if len(machine.stack) != 1 or machine.below:
            outline.broken = "it does not end in one value"
        else:
            outline.root = machine.stack[0]


def outlines_of(data: bytes) -> list[Outline]:
    """The outline of each pickle in a row of them, as old torch files and appended payloads have it."""
    found: list[Outline] = []
    while data and len(found) < 8:
        outline = outline_of(data)
        found.append(outline)
        if outline.broken or not outline.trailing:
            break
        data = data[len(data) - outline.trailing :]
    return found
