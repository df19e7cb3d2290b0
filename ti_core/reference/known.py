"""The packs that come with the program, by the digests of their records."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ti_core.reference.pack import Pack

KNOWN = {
    "cifar10": "613fdeaf58508ce9c8fe6af352b8b21794982e8d33677a4564cd2d56419da705",
    "cifar100": "56319d448a50af2eb75d4587de2df3ca0d74f5a88dcf0794042e57f5498da396",
    "gtsrb": "48aa072038b3b344b99d59397d3fec49f76ad11bc27e693fc17c28af4f7e23ca",
    "mnist": "52be18377c55b0a20e17420afc97bd66363cb72dc278f777fa0d8e9d43ac9821",
}
"""SHA-256 of each bundled pack's ``pack.json``, which holds the digests of its other files."""


def is_known(pack: Pack) -> bool:
    """Whether the pack comes with the program. Any other one may be a stranger's, wherever it lies."""
    return pack.sha256 in KNOWN.values()
