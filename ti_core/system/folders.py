"""Folders of the user in which this program stores files. It also works without any: a user may have no home."""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import sysconfig
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path


def assets_folder() -> Path:
    """The reference packs and samples that come with the program.

    An installed program holds them inside the package. In a checkout they lie beside it.
    """
    package = Path(__file__).resolve().parent.parent
    own = package / "assets"
    return own if own.is_dir() else package.parent / "assets"


def packs_folder() -> Path | None:
    """Where ``pack add`` keeps packs; None for a user without a home.

    ``$TROJANINTERPRET_PACKS``, or ``trojaninterpret/packs`` in the user's folder for data.
    """
    own = os.environ.get("TROJANINTERPRET_PACKS")
    data = user_folder("XDG_DATA_HOME", ".local/share")
    return Path(own) if own else data and data / "packs"


def installed_packs_folder() -> Path:
    """Where packages of packs put theirs: in this environment's folder for data."""
    return Path(sysconfig.get_path("data")) / "share" / "trojaninterpret" / "packs"


def named_pack(name: str) -> Path | None:
    """The folder of a pack that is bundled, installed or added, by its name; None if there is none."""
    if not name or name in (".", "..") or Path(name).name != name or "\0" in name:
        return None
    for root in (assets_folder() / "packs", installed_packs_folder(), packs_folder()):
        with suppress(OSError):
            if root is not None and (root / name / "pack.json").is_file():
                return root / name
    return None


def default_folder() -> Path | None:
    """``$TROJANINTERPRET_CACHE``, or ``trojaninterpret`` in the user's cache folder; None for a user without one."""
    own = os.environ.get("TROJANINTERPRET_CACHE")
    return Path(own) if own else user_folder("XDG_CACHE_HOME", ".cache")


def user_folder(variable: str, below_home: str) -> Path | None:
    """``trojaninterpret`` in one of the user's folders for files of programs.

    Parameters
    ----------
    variable : environment variable that names the folder. As the XDG specification says, only an absolute path counts.
    below_home : the folder in the user's home if the variable names none.

    Returns
    -------
    A folder that need not exist, or None if the variable names none and the user has no home.
    """
    named = Path(os.environ.get(variable, ""))
    if not named.is_absolute():
        # An empty HOME would be the root folder.
        if os.environ.get("HOME") == "":
            return None
        try:
            named = Path.home() / below_home
        except RuntimeError:
            return None
    return named / "trojaninterpret"


def private_folder(folder: Path) -> None:
    """Create the folder if it is missing, and let only its owner enter it.

    Raises
    ------
    OSError : the folder cannot be created, or belongs to another user.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if stat.S_IMODE(folder.stat().st_mode) != 0o700:
        folder.chmod(0o700)


def is_writable(folder: Path) -> bool:
    """Whether a private folder can be made there, or is there, and files can be written to it."""
    try:
        private_folder(folder)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def library_folder() -> Path:
    """A folder for files that libraries keep for themselves, such as Matplotlib's list of fonts.

    A confined process cannot write to the user's home, and a user may have none. This folder lies in the cache. If that
    cannot be written to, it is a temporary one.
    """
    cache = default_folder()
    if cache is not None and is_writable(cache) and is_writable(cache / "libraries"):
        return cache.absolute() / "libraries"
    return temporary_folder("libraries")


@lru_cache
def temporary_folder(purpose: str) -> Path:
    """A private folder, one for each purpose, that is removed when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"trojaninterpret-{purpose}-"))
    owner = os.getpid()

    def remove() -> None:
        # Not at the end of a process that was forked from this one.
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder
