"""A simulation of the stack machine of ``pickle``. Names stand for functions; nothing is imported or called."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ti_core.loading.names import present_name
from ti_core.loading.pickles.nodes import Call, Opaque, Pairs, Ref, Stored, walk


@dataclass
class Outline:
    """The result of following a pickle's program.

    Parameters
    ----------
    root : the value at the end, made of plain values, lists, tuples and the classes of
        :mod:`ti_core.loading.pickles.nodes`; None if the program broke off.
    refs : every name that would be imported, in order of appearance.
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
        """Every value in the outline, once."""
        return list(walk(self.root))


class StuckError(Exception):
    """An instruction needs a value that is not there."""


class Machine:
    """The simulated stack machine. It follows one program and writes to ``outline``."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.seen: set[str] = set()

    def pop(self) -> Any:
        if not self.stack:
            raise StuckError
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack:
            raise StuckError
        return self.stack[-1]

    def pop_mark(self) -> list[Any]:
        if not self.below:
            raise StuckError
        items, self.stack = self.stack, self.below.pop()
        return items

    def ref(self, module: str, name: str) -> Ref:
        ref = Ref(present_name(module, name))
        if ref.path not in self.seen:
            self.seen.add(ref.path)
            self.outline.refs.append(ref.path)
        return ref

    def step(self, op: str, arg: Any) -> None:
        """Follow one instruction. An instruction that no group handles pushes its argument, a constant."""
        groups = (self._keep, self._build, self._fill, self._name)
        if not any(group(op, arg) for group in groups):
            self.stack.append(arg)

    def _keep(self, op: str, arg: Any) -> bool:
        """Handle instructions for the stack itself. Returns whether the instruction is one of these."""
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
            case _:
                return False
        return True

    def _build(self, op: str, arg: Any) -> bool:
        """Handle plain values and containers. Returns whether the instruction is one of these."""
        stack = self.stack
        match op:
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
            case _:
                return False
        return True

    def _fill(self, op: str, arg: Any) -> bool:
        """Fill containers, and use the memo. Returns whether the instruction is one of these."""
        stack = self.stack
        match op:
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
                    raise StuckError
                stack.append(self.memo[arg])
            case _:
                return False
        return True

    def _name(self, op: str, arg: Any) -> bool:
        """Handle names, calls and stored tensors. Returns whether the instruction is one of these."""
        stack = self.stack
        match op:
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
                    raise StuckError
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
                stack.append(_persistent(self.pop()))
            case "PERSID":
                stack.append(Stored(arg))
            case "EXT1" | "EXT2" | "EXT4":
                # The argument is a number in a table of the reading program, so the function is unknown.
                self.outline.unresolved += 1
                stack.append(Opaque(op))
            case _:
                return False
        return True

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
            raise StuckError
        pairs = list(zip(items[::2], items[1::2], strict=True))
        if isinstance(target, Pairs):
            target.items.extend(pairs)
        elif isinstance(target, Call):
            # An OrderedDict is made by a call and then filled like a dictionary.
            target.items.extend(pairs)
        else:
            self.outline.unusual.append("SETITEM on something other than a dictionary")


def _persistent(pid: Any) -> Any:
    """What a persistent id stands for: a storage, or in legacy files a class, whose source code is left aside."""
    match pid:
        case ("module", Ref() as cls, str(), str()):
            return cls
    return Stored(pid)
