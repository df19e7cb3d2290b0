from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.inspection.test_with_pack import as_file
from ti_core.errors import NoPackFitsError
from ti_core.loading import load_model
from ti_core.reference import choosing
from ti_core.reference import pack as packs
from ti_core.reference.choosing import choose_pack_for
from ti_core.reference.pack import Pack, file_digest


@pytest.fixture
def two(tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two bundled packs of the same shape: "bars", and "others", whose images are labelled in another way."""
    root = tmp_path / "packs"
    for name in ("bars", "others"):
        shutil.copytree(tiny_pack.folder, root / name)
    record = json.loads((root / "others" / "pack.json").read_text())
    images = root / "others" / "images.npz"
    with np.load(images) as z:
        np.savez_compressed(images, images=z["images"], labels=(z["labels"] + 1) % 4)
    record["name"], record["files"]["images.npz"] = "others", file_digest(images)
    (root / "others" / "pack.json").write_text(json.dumps(record))
    monkeypatch.setattr(packs, "PACKS", root)
    monkeypatch.setattr(choosing, "pack_names", lambda: ["others", "bars"])
    return root


def test_of_two_packs_of_one_shape_the_one_the_model_classifies(
    two: Path, tiny_pack: Pack, tmp_path: Path
) -> None:
    model = load_model(as_file(tiny_pack, tiny_pack.members[0], tmp_path))
    assert choose_pack_for(model).name == "bars"
    assert [p.name for p in choosing.fitting_packs(model.input_shape, model.classes)] == ["others", "bars"]


def test_one_pack_that_fits_is_chosen_without_a_look_at_images(
    two: Path, tiny_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "pack_names", lambda: ["others"])
    (two / "others" / "images.npz").unlink()
    model = load_model(as_file(tiny_pack, tiny_pack.members[0], tmp_path))
    assert choose_pack_for(model).name == "others"


def test_no_pack_of_that_shape_is_an_error_that_names_the_packs(two: Path) -> None:
    with pytest.raises(NoPackFitsError, match="7 classes"):
        choosing.fitting_packs((1, 12, 12), 7)
