"""The kinds of backdoor, as streams, packs, reports and the zoo name them: kinds of trigger, and where they lead."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["patch", "blend", "stripes", "warp", "input dependent", "gate"]
"""A kind of trigger."""
MappingKind = Literal["all to one", "one source", "all to all"]
"""Where a backdoor leads: images of all classes to one class, those of one class to one other, or each class to another
one."""
KINDS: tuple[Kind, ...] = get_args(Kind)
MAPPINGS: tuple[MappingKind, ...] = get_args(MappingKind)
ENOUGH = 0.8
"""Share of the backdoors of a kind that must be found, or the search for them is called weak."""
