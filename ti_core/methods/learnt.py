"""What methods have learnt on packs, kept in files below the cache.

A file is named after the method and the digest of what it learnt from
(:func:`~ti_core.methods.inputs.digest_of_learning`), so that it serves as long as nothing of that has changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ti_core.errors import PackError, SettingsError
from ti_core.methods import METHODS, method_class
from ti_core.methods.base import Learnt, LearntMethod, Method
from ti_core.methods.inputs import digest_of_learning
from ti_core.reference.pack import Pack
from ti_core.system.folders import assets_folder, default_folder, private_folder
from ti_core.system.plain_files import read_plain
from ti_core.system.progress import StageProgress, silent_stage

SHIPPED = assets_folder() / "methods" / "learnt"
"""What comes with the program. What is learnt anew on the same pack goes before it."""
LARGEST = 64 << 20
"""Limit for the bytes of one file."""


def root() -> Path:
    """The folder of everything that methods have learnt.

    Raises
    ------
    SettingsError : this machine has no place for it.
    """
    folder = default_folder()
    if folder is None:
        raise SettingsError("No cache folder is set, so nothing that is learnt can be kept.")
    return folder / "methods"


def learners() -> tuple[str, ...]:
    """The names of the methods that are learnt on a pack."""
    return tuple(name for name, entry in METHODS.items() if entry.learnt)


def learn(
    pack: Pack, names: Iterable[str], progress: StageProgress = silent_stage, folder: Path | None = None
) -> list[Path]:
    """Learn methods on the fitted members of a pack, and keep what they learn in ``folder``, or :func:`root`.

    Raises
    ------
    SettingsError : a method is not one that is learnt.
    PackError : the pack's fitted members are not of both sorts.
    """
    if len({m.trojaned for m in pack.members if not m.held_out}) < 2:
        raise PackError(f"Pack {pack.name!r} has no clean or no backdoored fitted members to learn on.")
    methods = []
    for name in names:
        method = method_class(name)()
        if not isinstance(method, LearntMethod) or not METHODS[name].learnt:
            raise SettingsError(
                f"{method.title} is not learnt ahead; those that are: {', '.join(learners())}."
            )
        methods.append(method)
    place = folder or root()
    if folder is None:
        private_folder(place)
    else:
        place.mkdir(parents=True, exist_ok=True)
    return [_keep(place, pack, method, progress) for method in methods]


def _keep(folder: Path, pack: Pack, method: LearntMethod, progress: StageProgress) -> Path:
    from safetensors.numpy import save

    found = method.learn(pack, lambda share: progress(method.title, share))
    path = _path(folder, pack, method)
    path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in found.items()}))
    return path


def read_learnt(folder: Path | None, pack: Pack, names: Iterable[str]) -> dict[str, Learnt]:
    """What the methods of these names have learnt on a pack. Methods that have learnt nothing are left out.

    Parameters
    ----------
    folder : where it is looked for before :data:`SHIPPED`.

    Raises
    ------
    PackError : a file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    found: dict[str, Learnt] = {}
    for name in names:
        method = method_class(name)()
        places = [_path(place, pack, method) for place in (folder, SHIPPED) if place is not None]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            continue
        try:
            found[name] = load(read_plain(path, LARGEST, PackError))
        except SafetensorError as error:
            raise PackError(
                f"What {method.title} learnt on pack {pack.name!r} is damaged; run pack learn again."
            ) from error
    return found


def _path(folder: Path, pack: Pack, method: Method) -> Path:
    return folder / f"{method.name}-{digest_of_learning(pack, method)[:32]}.safetensors"
