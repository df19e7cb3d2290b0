"""The task that examines training data in a confined process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ti_core.methods.training_data.record import FILE, MOST_NAMED, MOST_PICTURES, MOST_SHOWN, PICTURES, SIDE
from ti_core.system.progress import Teller

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ti_core.methods.training_data.examine import ClassFound, Examined
    from ti_core.reference.own_images import OwnImages

MOST_IMAGES, MOST_PIXELS = 20_000, 2**30
"""Maximum number of images, and of their values together. Of more, so many are drawn at random."""

NEEDS = (
    "torch",
    "sklearn.cluster",
    "sklearn.decomposition",
    "sklearn.metrics",
    "sklearn.svm",
    "ti_core.methods.training_data.examine",
    "ti_core.loading.opening",
    "ti_core.reference.own_images",
)
"""Modules to import before the process is confined."""


def examine_data(request: dict[str, Any], folder: Path, progress: Teller, partial: Any) -> None:
    """Examine training data. Writes ``training.json`` and ``training.safetensors``.

    The request: "model", "companions" and "images" (paths), "architecture", "sketch" and "settings" as for an
    inspection, "rate" (share of a class that may be poisoned), "device".
    """
    from safetensors.numpy import save

    from ti_core.loading.model_file import read_model_file
    from ti_core.loading.opening import open_model
    from ti_core.methods.training_data.examine import examine
    from ti_core.reference.own_images import Drawn, load_own_images
    from ti_core.settings import Settings
    from ti_core.system.devices import device
    from ti_core.system.memory import keep_freed_memory

    keep_freed_memory()
    settings = Settings.parse(request.get("settings") or {})
    progress("opening", 0.0)
    file = read_model_file(Path(request["model"]))
    companions = [Path(other) for other in request.get("companions") or ()]
    model = open_model(file, request.get("architecture"), companions, request.get("sketch"))
    shape = model.input_shape
    if model.proposal is not None and shape is not None:
        # The size of the images of a network that is not settled is a guess.
        shape = (shape[0], 0, 0)
    values = max(1, int(np.prod([n or 32 for n in shape or (3, 32, 32)])))
    drawn = Drawn(min(MOST_IMAGES, max(1, MOST_PIXELS // values)), "are needed to examine training data")
    own = load_own_images(Path(request["images"]), shape, settings.seed, drawn)
    own = own.in_terms_of(model.class_names)
    rate = float(request["rate"])
    found = examine(model, own, rate, settings, progress, device(request.get("device", "cpu")))
    record, pictures = as_record(found, own)
    record |= {"model": model.file, "sha256": model.sha256, "rate": rate}
    (folder / PICTURES).write_bytes(save({"pictures": pictures}))
    (folder / FILE).write_text(json.dumps(record), encoding="utf-8")


def as_record(found: Examined, own: OwnImages) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """What was found as plain data without the model, and the pictures of the images that stand out."""
    present = [c.index for c in found.classes] + list(found.too_few)
    names = own.class_names or ()
    named = {i: names[i] if i < len(names) else str(i) for i in range(max(present) + 1)}
    each = max(1, min(MOST_SHOWN, MOST_PICTURES // max(1, len(found.classes))))
    shown: list[int] = []
    classes = [_of_class(one, own, named, each, shown) for one in found.classes]
    classes += [_too_few(index, count, named[index]) for index, count in found.too_few.items()]
    record = {
        "images": own.name,
        "images_sha256": own.sha256,
        "count": found.count,
        "of": max(own.of, found.count),
        "width": found.width,
        "accuracy": found.accuracy,
        "classes": sorted(classes, key=lambda one: (not one["suspicious"], one["index"])),
    }
    return record, _small(own.pixels[shown])


def _of_class(
    one: ClassFound, own: OwnImages, named: dict[int, str], each: int, shown: list[int]
) -> dict[str, Any]:
    clustered = one.clustered
    out = np.flatnonzero(clustered | one.removed)
    # First what both methods name, then what the cluster holds, each in the order of its score.
    out = out[np.lexsort((-one.scores[out], ~clustered[out], ~(clustered & one.removed)[out]))][:MOST_NAMED]
    images = []
    for number, i in enumerate(out):
        picture = None
        if number < each and len(shown) < MOST_PICTURES:
            picture = len(shown)
            shown.append(int(one.images[i]))
        images.append(
            {
                "place": own.places[one.images[i]] if own.places else str(one.images[i]),
                "clustered": bool(clustered[i]),
                "removed": bool(one.removed[i]),
                "score": float(one.scores[i]),
                "picture": picture,
            }
        )
    again = one.reclassified
    return {
        "index": one.index,
        "name": named[one.index],
        "count": len(one.images),
        "examined": True,
        "silhouette": None if one.clusters is None else one.clusters.silhouette,
        "share": None if one.clusters is None else one.clusters.share,
        "as_label": None if again is None else again.as_label,
        "as_other": None if again is None else again.as_other,
        "other": None if again is None else named.get(again.other, str(again.other)),
        "suspicious": one.suspicious,
        "clustered": int(clustered.sum()),
        "removed": int(one.removed.sum()),
        "both": int((clustered & one.removed).sum()),
        "images": images,
    }


def _too_few(index: int, count: int, name: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("silhouette", "share", "as_label", "as_other", "other"))
    counts = dict.fromkeys(("clustered", "removed", "both"), 0)
    return {
        "index": index,
        "name": name,
        "count": count,
        "examined": False,
        **nothing,
        "suspicious": False,
        **counts,
        "images": [],
    }


def _small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures of at most :data:`SIDE` pixels a side; every so many-th pixel of larger ones."""
    step = max(1, -(-max(pixels.shape[2:]) // SIDE))
    return np.ascontiguousarray(pixels[:, :, ::step, ::step])
