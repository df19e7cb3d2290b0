"""Damage to a file's bytes, as disks, networks and attackers do it."""

from __future__ import annotations

import os
import random

MANY = int(os.environ.get("DAMAGED_FILES", "0"))
"""How many damaged files of each format; by default some dozens, or a few hundred of those that open quickly."""


def damaged(data: bytes, rng: random.Random) -> bytes:
    """One of: a few flipped bits, a cut, a run of zeros, a piece twice, a piece missing, a telling byte."""
    changed = bytearray(data)
    at, length = rng.randrange(len(data)), rng.randint(1, 24)
    match rng.randrange(6):
        case 0:
            for _ in range(rng.randint(1, 3)):
                changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 1:
            del changed[at:]
        case 2:
            changed[at : at + length] = bytes(min(length, len(data) - at))
        case 3:
            changed[at:at] = data[at : at + length]
        case 4:
            del changed[at : at + length]
        case 5:
            changed[at] = rng.choice([0, 1, 127, 128, 254, 255, *b'0129"{}[]'])
    return bytes(changed)
