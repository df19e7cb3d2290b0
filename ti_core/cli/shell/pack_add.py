"""``pack add``: stores a pack where every command finds it by its name."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ti_core.errors import PackError, SettingsError
from ti_core.system.folders import named_pack, packs_folder, private_folder
from ti_core.text import shown

if TYPE_CHECKING:
    from ti_core.reference.pack import Pack


def add_pack(source: Path, name: str | None, sha256: str | None) -> str:
    """Check a pack and store it. Returns a sentence.

    Parameters
    ----------
    source : a pack's folder, or a zip archive of one.
    name : the name to store it under; None for its own.
    sha256 : what the digest of its ``pack.json`` should be; None for any.

    Raises
    ------
    PackError : it is no sound pack, or not the one with that digest.
    SettingsError : the name is taken, or there is no folder to store it in.
    """
    from ti_core.cli.bar import opened
    from ti_core.reference.known import is_known, is_ours
    from ti_core.system.records import NAME

    root = packs_folder()
    if root is None:
        raise SettingsError("There is no home to store packs in; name a folder in TROJANINTERPRET_PACKS.")
    with _pack_in(source) as pack:
        if sha256 is not None and pack.sha256 != sha256.strip().lower():
            raise PackError(f"{shown(source.name)} has the digest {pack.sha256}, not the one that you gave.")
        chosen = name or pack.name
        if NAME.fullmatch(chosen) is None:
            raise SettingsError(f"A pack cannot be named {shown(chosen)!r}; give another name with --name.")
        if named_pack(chosen) is not None or (root / chosen).exists():
            raise SettingsError(f"There is a pack {chosen!r} already; give another name with --name.")
        if not is_known(pack):
            opened(pack)
        _store(pack, root, chosen)
        use = "It is one of this program's own." if is_ours(chosen) else f"Use it with --pack {chosen}."
        return f"Pack {chosen!r} is stored, SHA-256 {pack.sha256}. {use}"


@contextmanager
def _pack_in(source: Path) -> Iterator[Pack]:
    from ti_core.reference.pack import load_pack
    from ti_core.worker.pack_jobs import unpacked

    if source.is_dir():
        yield load_pack(source)
    elif source.is_file():
        with unpacked(source) as pack:
            yield pack
    else:
        raise SettingsError(f"There is no file or folder {shown(str(source), 500)}.")


def _store(pack: Pack, root: Path, name: str) -> None:
    """Copy the recorded files only, and let the folder appear in one step. Each copy must have its recorded digest."""
    from ti_core.reference.pack import file_digest

    private_folder(root)
    with tempfile.TemporaryDirectory(dir=root, prefix=".new-") as made:
        new = Path(made) / name
        new.mkdir()
        for file, digest in {"pack.json": pack.sha256, **pack.record["files"]}.items():
            if not (pack.folder / file).is_file():
                raise PackError(f"Pack {shown(pack.name)!r} lacks its file {shown(file)}.")
            shutil.copyfile(pack.folder / file, new / file)
            if file_digest(new / file) != digest:
                raise PackError(
                    f"Pack {shown(pack.name)!r} was altered: {shown(file)} is not the file that pack.json records."
                )
        new.rename(root / name)
