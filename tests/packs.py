"""Packs that are whole but hold something else than the one they were copied from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ti_core.reference.float16 import packed, unpacked
from ti_core.reference.pack import Pack, file_digest, load_pack


def with_other_evidence(
    pack: Pack, folder: Path, change: Callable[[dict[str, np.ndarray], dict[str, Any]], None]
) -> Path:
    """A copy in ``folder`` whose baseline and record ``change`` has changed in place; its digests are right."""
    shutil.copytree(pack.folder, folder)
    arrays = dict(unpacked(dict(np.load(folder / "baseline.npz"))))
    record = json.loads((folder / "pack.json").read_text())
    change(arrays, record)
    np.savez(folder / "baseline.npz", **packed(arrays))
    record["files"]["baseline.npz"] = file_digest(folder / "baseline.npz")
    (folder / "pack.json").write_text(json.dumps(record))
    assert load_pack(folder).baseline
    return folder
