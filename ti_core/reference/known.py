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
    "cifar10": "84226f15e94189c6045ad0fd5c69e43234af0faa68cad3ab39a23c1e707887a2",
    "cifar100": "5cf3c516e3923b845c4e667323fdf4167b86f93def5cf40fea16d84bccbe2d94",
    "gtsrb": "2f8755dc329e309c25553a09c8496eef72672a9dced1489cf58692de6db71872",
    "mnist": "7e95b6b73553eb700ff4929fa962297d20478039e27a4f161c7abb3d82bce5e1",
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
