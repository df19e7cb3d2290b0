"""The outline of a pickle: its instructions are followed, but nothing is imported or called.

A pickle is a program for a small stack machine. This module runs that program with names in place of
functions. Where the real machine would import ``os.system`` and call it, the outline holds a :class:`Call`
of the :class:`Ref` ``posix.system``. Every later decision is based on the outline.
"""

from __future__ import annotations

import pickletools
import warnings

from ti_core.loading.limits import LIMITS
from ti_core.loading.pickles.machine import Machine, Outline, StuckError

_TORCH_OPCODES = """
PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT
BINUNICODE SHORT_BINUNICODE BINUNICODE8 SHORT_BINSTRING BINSTRING SHORT_BINBYTES BINBYTES BINBYTES8 BYTEARRAY8
EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS EMPTY_SET ADDITEMS
FROZENSET BINGET LONG_BINGET BINPUT LONG_BINPUT MEMOIZE FRAME GLOBAL STACK_GLOBAL NEWOBJ NEWOBJ_EX REDUCE BUILD
BINPERSID
"""
PLAIN_OPCODES = frozenset(_TORCH_OPCODES.split())
"""The instructions that ``torch.save`` writes, with any protocol from 2 to 5."""


def outline_of(data: bytes) -> Outline:
    """Follow the pickle in ``data`` to its end, or until it breaks off. No content makes it raise.

    An ordinary reader runs every instruction before the broken one, so their imports count. After a broken
    instruction the imports that stand in plain text are still collected.
    """
    outline = Outline()
    with warnings.catch_warnings():
        # Text with an invalid escape causes a warning, which says nothing about this code.
        warnings.simplefilter("ignore")
        _follow(data, outline)
    return outline


def _follow(data: bytes, outline: Outline) -> None:
    machine = Machine(outline)
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
            except StuckError:
                outline.broken = f"its instruction {opcode.name} finds nothing to work on"
        else:
            outline.trailing = len(data) - end
    except (ValueError, UnicodeError, OverflowError, MemoryError) as error:
        # The messages of pickletools are readable, but quote the input. So they are cut.
        outline.broken = outline.broken or f"it breaks off ({str(error)[:80]})"
    outline.unusual = [*unusual, *dict.fromkeys(outline.unusual)]
    if not outline.broken:
        if len(machine.stack) != 1 or machine.below:
            outline.broken = "it does not end in one value"
        else:
            outline.root = machine.stack[0]


def outlines_of(data: bytes) -> list[Outline]:
    """The outlines of several pickles in a row, as in old torch files and with appended payloads."""
    found: list[Outline] = []
    while data and len(found) < 8:
        outline = outline_of(data)
        found.append(outline)
        if outline.broken or not outline.trailing:
            break
        data = data[len(data) - outline.trailing :]
    return found
