"""Folders of the user in which this program stores files."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def default_folder() -> Path:
    """``$TROJANINTERPRET_CACHE``, or ``trojaninterpret`` in the user's cache folder."""
    own = os.environ.get("TROJANINTERPRET_CACHE")
    return (
        Path(own)
        if own
        else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "trojaninterpret"
    )


def private_folder(folder: Path) -> None:
    """Create the folder if it is missing, and let only its owner enter it.

    Raises
    ------
    OSError : the folder cannot be created, or belongs to another user.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if stat.S_IMODE(folder.stat().st_mode) != 0o700:
        folder.chmod(0o700)
