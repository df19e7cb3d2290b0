"""Packs that are being built: their images and what of them is finished, in a folder each. They outlive the server."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ti_core.errors import PackError
from ti_core.results.files.training_images import TrainingImages
from ti_core.system.folders import private_folder
from ti_core.system.plain_files import read_plain
from ti_core.system.records import NAME

RECORD, LARGEST_RECORD = "build.json", 1_000_000
ID = re.compile(r"[0-9a-f]{16}")
NAMED = "A pack's name has up to 80 letters, digits, dots, dashes and underscores."
"""What a pack may be called."""
MOST = 4
"""Builds beyond which no more are begun."""


@dataclass(frozen=True)
class Build:
    """One pack that is being built.

    Parameters
    ----------
    folder : its own.
    name : of the pack.
    count : reference models.
    jobs : networks at once.
    says : what the work is and how long it takes, in sentences; empty before that is known.
    """

    folder: Path
    name: str
    count: int
    jobs: int
    says: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def images(self) -> Path:
        return self.folder / f"{self.name}.npz"

    @property
    def zoo(self) -> Path:
        """Where the command keeps the networks that are trained."""
        return self.folder / "pack-zoo"

    @property
    def pack(self) -> Path:
        return self.folder / "pack"

    @property
    def trained(self) -> int:
        """Number of networks that are trained already."""
        with suppress(OSError):
            return sum(path.suffix == ".json" for path in self.zoo.iterdir())
        return 0

    @property
    def arguments(self) -> list[str]:
        """Of ``python -m ti_core``: the command that builds the pack, and goes on where it was stopped."""
        found = {"data": self.images, "out": self.pack, "name": self.name}
        found |= {"count": self.count, "jobs": self.jobs}
        return [
            "pack",
            "build",
            *(part for name, value in found.items() for part in (f"--{name}", str(value))),
        ]


class Builds:
    """The builds below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        private_folder(folder)

    def entries(self) -> list[Build]:
        """The builds, oldest first. A folder without a sound record, as of a server that was killed, is left out."""
        found = []
        for folder in self._folder.iterdir():
            with suppress(OSError, ValueError, TypeError, KeyError, PackError):
                found.append((folder.stat().st_ctime, self._read(folder)))
        return [build for _, build in sorted(found, key=lambda pair: (pair[0], pair[1].id))]

    def keep(self, name: str, count: int, jobs: int, images: TrainingImages) -> Build:
        """Keep the images that a pack is built from.

        Raises
        ------
        PackError : a pack cannot have this name, or there are too many builds.
        OSError : the images cannot be written.
        """
        if NAME.fullmatch(name) is None:
            raise PackError(NAMED)
        if len(self.entries()) >= MOST:
            raise PackError(f"{MOST} packs are being built already; remove one of them first.")
        folder = self._folder / secrets.token_hex(8)
        private_folder(folder)
        build = Build(folder, name, count, jobs)
        try:
            images.write(build.images)
            self._write(build)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return build

    def tell(self, build: Build, says: Sequence[str]) -> None:
        """Keep what the work of a build is and how long it takes."""
        self._write(replace(build, says=tuple(says)))

    def _write(self, build: Build) -> None:
        record: dict[str, Any] = asdict(build)
        del record["folder"]
        partial = build.folder / f"{RECORD}.partial"
        partial.write_text(json.dumps(record), encoding="utf-8")
        partial.replace(build.folder / RECORD)

    def remove(self, build: Build) -> None:
        """Remove a build and all that is finished of it."""
        shutil.rmtree(build.folder, ignore_errors=True)

    def _read(self, folder: Path) -> Build:
        if ID.fullmatch(folder.name) is None:
            raise ValueError("this is no build")
        record = json.loads(read_plain(folder / RECORD, LARGEST_RECORD, PackError))
        return Build(**{**record, "folder": folder, "says": tuple(record["says"])})
