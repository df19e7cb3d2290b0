"""The packs that come with the program, by the digests of their records."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ti_core.reference.pack import Pack

KNOWN = {
    "cifar10": "613fdeaf58508ce9c8fe6af352b8b21794982e8d33677a4564cd2d56419da705",
    "cifar100": "56319d448a50af2eb75d4587de2df3ca0d74f5a88dcf0794042e57f5498da396",
    "gtsrb": "48aa072038b3b344b99d59397d3fec49f76ad11bc27e693fc17c28af4f7e23ca",
    "mnist": "ed982f37ce48f9c815ce12f7a85059e8958ea25d80047ad1e7c9cc4f8a8ac437",
}
"""SHA-256 of each bundled pack's ``pack.json``, which holds the digests of its other files."""


def is_known(pack: Pack) -> bool:
    """Whether the pack comes with the program. Any other one may be a stranger's, wherever it lies."""
    return pack.sha256 in KNOWN.values()
