"""The task that tries a sketch: which tensors fit, which are left over, and how accurate the network is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ti_core.system.progress import Teller

MOST_LINES = 200
"""Lines of fitting or left layers that are told."""


def try_sketch(request: dict[str, Any], folder: Path, progress: Teller, partial: Any) -> None:
    """Try a sketch on a state dict. Writes ``sketch.json`` (:class:`ti_core.results.files.sketch_record.SketchRecord`).

    The request: "model" (path), "sketch" (text), and "pack" (name of a bundled pack, or "" to choose one).
    """
    from ti_core.loading.model_file import read_model_file
    from ti_core.loading.opening import layers_in, open_model
    from ti_core.reconstruction.grammar import parse_sketch
    from ti_core.reconstruction.network import build
    from ti_core.system.memory import keep_freed_memory

    keep_freed_memory()
    file = read_model_file(Path(request["model"]))
    built = build(parse_sketch(request["sketch"]), layers_in(file))
    record: dict[str, Any] = {
        "problem": built.problem(),
        "fits": [{"layer": str(layer), "tensors": found.says()} for layer, found in built.used[:MOST_LINES]],
        "missing": built.missing[:MOST_LINES],
        "left": [layer.says() for layer in built.left[:MOST_LINES]],
        "accuracy": None,
        "pack": "",
        "normalisation": "",
    }
    if built.module is not None and not built.left:
        record |= _accuracy(open_model(file, sketch=request["sketch"]), request.get("pack", ""))
    (folder / "sketch.json").write_text(json.dumps(record), encoding="utf-8")


def _accuracy(model: Any, name: str) -> dict[str, Any]:
    """The network's accuracy on a pack's images, or why there is none."""
    from ti_core.errors import ModelBehaviourError, NoPackFitsError
    from ti_core.reference.choosing import choose_pack_for, understand_with
    from ti_core.reference.pack import load_pack

    try:
        pack = load_pack(name) if name else choose_pack_for(model)
        found = understand_with(model, pack)
    except (ModelBehaviourError, NoPackFitsError) as error:
        return {"problem": str(error)}
    return {"accuracy": found.accuracy, "pack": pack.name, "normalisation": found.normalisation}
