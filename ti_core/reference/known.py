"""The packs that come with the program, by the digests of their records."""

from __future__ import annotations

import hashlib
from typing import Protocol

from ti_core.errors import PackError
from ti_core.system.folders import installed_packs_folder, named_pack, packs_folder
from ti_core.system.plain_files import hash_plain


class Digested(Protocol):
    """A pack, as far as it matters here."""

    @property
    def sha256(self) -> str:
        """Digest of its record."""


LARGEST_RECORD = 32 << 20
"""Limit for the bytes of ``pack.json``. That of a pack with 200 members has a quarter of a megabyte."""
KNOWN = {
    "cifar10": "f94137281c169f002f7ed5cd62972635d7fcb40347505306e88cb928afa41b6d",
    "cifar100": "56319d448a50af2eb75d4587de2df3ca0d74f5a88dcf0794042e57f5498da396",
    "gtsrb": "48aa072038b3b344b99d59397d3fec49f76ad11bc27e693fc17c28af4f7e23ca",
    "mnist": "ed982f37ce48f9c815ce12f7a85059e8958ea25d80047ad1e7c9cc4f8a8ac437",
}
"""SHA-256 of each bundled pack's ``pack.json``, which holds the digests of its other files."""


def is_known(pack: Digested) -> bool:
    """Whether the pack comes with the program. Any other one may be a stranger's, wherever it lies."""
    return pack.sha256 in KNOWN.values()


def added_packs() -> list[str]:
    """Names of the packs that a package or ``pack add`` has put there, but for those that a bundled one hides."""
    folders = [f for f in (installed_packs_folder(), packs_folder()) if f is not None and f.is_dir()]
    found = {p.parent for folder in folders for p in folder.glob("*/pack.json")}
    return sorted(path.name for path in found if named_pack(path.name) == path)


def is_ours(name: str) -> bool:
    """Whether the pack of that name is the one of the program. Nothing in it is read."""
    folder, digest = named_pack(name), hashlib.sha256()
    if folder is None:
        return False
    try:
        hash_plain(digest, folder / "pack.json", LARGEST_RECORD, PackError)
    except PackError:
        return False
    return digest.hexdigest() == KNOWN.get(name)
