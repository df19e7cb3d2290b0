"""The task that explains one image by every method of attribution, for a model and a clean reference model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ti_core.errors import SettingsError
from ti_core.results.files.attributions import FILE, MAPS
from ti_core.system.progress import StageProgress, Teller, silent_stage

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from ti_core.classifier.scores import Scores

NEEDS = (
    "torch",
    "captum.attr",
    "ti_core.inspection.attribution.methods",
    "ti_core.loading.opening",
    "ti_core.reference.choosing",
)
"""Modules to import before the process is confined. Captum imports Matplotlib, which looks for the machine's fonts."""


def explain_image(request: dict[str, Any], folder: Path, progress: Teller, partial: Any) -> None:
    """Explain one image by every method. Writes ``attributions.json`` and ``attributions.safetensors``.

    The request: "model" and "companions" (paths), "pack", "architecture", "sketch" and "settings" as for an inspection,
    "image" (path of a safetensors file with an array "image", ``C x H x W`` in [0, 1]), "witness" (id of the clean
    reference model), "target" (the class that targeted methods explain, or None).
    """
    import torch
    from safetensors.numpy import load, save

    from ti_core.classifier.classifier import Declared
    from ti_core.classifier.decide import decided
    from ti_core.loading.model_file import read_model_file
    from ti_core.loading.opening import open_model
    from ti_core.reference.choosing import understand_with
    from ti_core.reference.pack import load_pack
    from ti_core.settings import Settings

    progress("opening", 0.0)
    image = torch.from_numpy(load(Path(request["image"]).read_bytes())["image"]).float()
    pack = load_pack(request["pack"])
    companions = [Path(other) for other in request.get("companions") or ()]
    file = read_model_file(Path(request["model"]))
    model = open_model(file, request.get("architecture"), companions, request.get("sketch"))
    declared = Declared.of(Settings.parse(request.get("settings") or {}))
    found = understand_with(decided(model, pack.images, pack.labels), pack, declared)
    witness = next(member for member in pack.members if member.id == request["witness"])
    networks = {"suspect": found.scores, "witness": pack.scores(witness)}
    maps, unfit = explained(networks, image, request["target"], progress)
    with torch.no_grad():
        seen = [int(scores(image[None]).argmax(1)) for scores in networks.values()]
    (folder / MAPS).write_bytes(save(maps))
    (folder / FILE).write_text(json.dumps({"seen": seen, "unfit": unfit}), encoding="utf-8")


def explained(
    networks: Mapping[str, Scores],
    image: torch.Tensor,
    target: int | None,
    progress: StageProgress = silent_stage,
) -> tuple[dict[str, NDArray[np.float32]], list[dict[str, str]]]:
    """The maps ``H x W`` of an image ``C x H x W`` by ``method/network``, and why the others are not possible.

    Parameters
    ----------
    target : as for :func:`~ti_core.inspection.attribution.methods.attribution_maps`.
    progress : told of the methods, and the share of all of them that is done.
    """
    from ti_core.inspection.attribution.methods import METHODS, attribution_maps

    maps: dict[str, NDArray[np.float32]] = {}
    unfit = []
    for number, (name, method) in enumerate(METHODS.items()):
        progress(method.title, number / len(METHODS))
        for who, scores in networks.items():
            try:
                found = attribution_maps(scores, image[None], name, target)[0]
            except SettingsError as error:
                unfit.append({"method": name, "who": who, "reason": str(error)})
            else:
                maps[f"{name}/{who}"] = np.ascontiguousarray(found.cpu().numpy(), dtype=np.float32)
    return maps, unfit
