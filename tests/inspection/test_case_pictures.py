from __future__ import annotations

from pathlib import Path

import numpy as np

from ti_core.inspection.case_builder import case_of
from ti_core.inspection.reasons import suspected_class
from ti_core.inspection.with_pack import inspect
from ti_core.loading import load_model
from ti_core.reference.pack import Pack
from ti_core.results.case_files import load_case, save_case
from ti_core.settings import Settings


def test_the_pictures_of_a_case_follow_the_method(
    tiny_pack: Pack, tiny_models: dict[str, Path], tiny_settings: Settings, tmp_path: Path
) -> None:
    settings = tiny_settings.with_(attribution="jsma")
    partial = []
    found = inspect(
        load_model(tiny_models["patch"]),
        tiny_pack,
        settings,
        observe=lambda seen: partial.append(case_of(seen, tiny_pack, settings)),
    )
    # The class that JSMA leads to is known at the end only.
    assert not partial[0].notes and "attribution/suspect" not in partial[0].arrays
    case = case_of(found, tiny_pack, settings, before=partial[0])
    target = suspected_class(found)
    assert target is not None
    assert case.notes == (f"JSMA carries every image to class {tiny_pack.class_names[target]}.",)
    for who in ("suspect", "witness"):
        maps = case.arrays[f"attribution/{who}"]
        assert maps.shape == case.arrays[f"saliency/{who}"].shape
        flat, there = maps.reshape(-1, maps[0, 0, 0].size), case.arrays[f"seen/{who}"].ravel() == target
        counts = np.count_nonzero(flat, axis=1)
        # A bar has 24 pixels, a seventh of the image 21: it cannot always be replaced.
        assert not counts[there].any() and (counts <= 21).all() and (who == "witness" or counts.any())
        # 1 / n at each of n pixels.
        np.testing.assert_allclose(flat.sum(axis=1)[counts > 0], 1.0, rtol=1e-5)
    save_case(case, tmp_path)
    kept = load_case(tmp_path)
    assert kept.unfit == case.unfit and set(kept.unfit) == {
        "cam",
        "grad_cam",
        "grad_cam_plus",
        "smooth_grad_cam_plus",
    }
    assert set(kept.attributions).isdisjoint(kept.unfit) and "lrp" in kept.attributions
    # The evidence and the verdict are the same whatever the pictures show.
    other = case_of(found, tiny_pack, settings.with_(attribution="grad_cam"))
    assert other.notes[0].endswith("Saliency is shown instead of Grad-CAM.")
    assert "attribution/suspect" not in other.arrays and other.report == case.report
    for name in ("evidence/saliency/pooled", "saliency/suspect", "why/joint"):
        assert np.array_equal(other.arrays[name], case.arrays[name])
