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
    "cifar10": "c7f8a89e4f4ce489e5e3d11dbed330ea2e94b640e3c625ccdf5fad1a5f4b0abd",
    "cifar100": "a8a93b91f3af6fdef8769f70609226a2f52a9e8faa6679e644cf42cc4c5451be",
    "gtsrb": "14ce7eeae7fc81283cbf55a59b08ebd57ed277e8b6ec0520eefa7afd5d74222b",
    "mnist": "fa4a37fd1d760922ed3e99df14d743af25a4f91f9b17335634dbacb4b80d6659",
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
