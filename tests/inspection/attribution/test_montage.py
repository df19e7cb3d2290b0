from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

from tests.inspection.attribution.networks import linear
from ti_core.inspection.attribution.methods import METHODS, attribution_maps
from ti_core.inspection.attribution.montage import explain_image, explained
from ti_core.reference.pack import Pack
from ti_core.results.files.attributions import FILE, MAPS, Attributions
from ti_core.settings import ATTRIBUTIONS
from ti_core.system.strict_json import parse


def test_every_method_gives_a_map_or_a_reason_for_each_network() -> None:
    networks = {"suspect": linear(torch.rand(3, 64)), "witness": linear(torch.rand(3, 64))}
    image, told = torch.rand(1, 8, 8), []
    maps, unfit = explained(networks, image, None, lambda stage, share: told.append((stage, share)))
    without = {"cam", "grad_cam", "grad_cam_plus", "smooth_grad_cam_plus", "jsma"}
    assert {(one["method"], one["who"]) for one in unfit} == {(m, w) for m in without for w in networks}
    assert set(maps) == {f"{m}/{w}" for m in ATTRIBUTIONS if m not in without for w in networks}
    for name in ("occlusion", "deep_lift"):
        for who, scores in networks.items():
            expected = attribution_maps(scores, image[None], name)[0].numpy()
            assert np.array_equal(maps[f"{name}/{who}"], expected)
    assert [stage for stage, _ in told] == [method.title for method in METHODS.values()]
    assert told[0][1] == 0.0 and told[-1][1] < 1.0
    assert "jsma/suspect" in explained(networks, image, 1)[0]


def test_the_task_leaves_what_the_page_reads(
    tiny_pack: Pack, tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    image = tiny_pack.images[0].numpy()
    (tmp_path / "image.safetensors").write_bytes(save({"image": image}))
    witness = next(m for m in tiny_pack.members if not m.trojaned)
    request = {
        "model": str(tiny_models["patch"]),
        "pack": str(tiny_pack.folder),
        "image": str(tmp_path / "image.safetensors"),
        "witness": witness.id,
        "target": 0,
    }
    explain_image(request, tmp_path, lambda stage, share: None, None)  # type: ignore[arg-type]
    record: Any = parse((tmp_path / FILE).read_bytes())
    classes = len(tiny_pack.class_names)
    found = Attributions.of(record, (tmp_path / MAPS).read_bytes(), image.shape[1:], classes)
    with torch.no_grad():
        seen = int(tiny_pack.scores(witness)(tiny_pack.images[:1]).argmax(1))
    assert found.seen[1] == seen
    expected = attribution_maps(tiny_pack.scores(witness), tiny_pack.images[:1], "saliency")[0]
    assert np.allclose(found.maps["saliency", "witness"], expected, atol=1e-6)
