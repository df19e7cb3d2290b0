"""Imports the networks of the Trojan Detection Challenge as a zoo. A pack is built from it as from any other zoo.

Layout (M. Mazeika et al., NeurIPS 2022 competition track): each folder ``train/{clean,trojan}/id-XXXX/`` holds
``model.pt`` (a pickled module), ``info.json``, and for trojans ``attack_specification.pt``. No code of these files is
run: :func:`ti_core.loading.load_model` reads the models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ti_core.architectures import ARCHITECTURES, Options, build
from ti_core.classifier.normalisation import behind
from ti_core.classifier.understand import understand
from ti_core.errors import DataError, ModelBehaviourError, ModelFileError
from ti_core.loading import load_model
from ti_core.paper.triggers import Trigger
from ti_core.reconstruction.model import Model
from ti_core.reference.pack import STORED
from ti_core.system.parallel import ordered, run_many
from ti_core.system.progress import CountProgress, silent_count
from ti_core.zoo.challenge.attack_file import Attack, read_attack
from ti_core.zoo.packs.build import pack_images
from ti_core.zoo.training.data import ImageData, load_data, to_unit
from ti_core.zoo.training.members import keep_record
from ti_core.zoo.training.records import read_record
from ti_core.zoo.training.single import all_to_one, measure

HELD_OUT = 1 / 3
LEAST_ACCURACY = 0.3
"""A network below this clean accuracy was trained for other images than the data set's."""


@dataclass(frozen=True)
class Imported:
    """The imported networks of the challenge.

    ``records`` are like those of :func:`ti_core.zoo.training.members.train_zoo`. ``passed_over`` has a sentence on each
    network that was not imported.
    """

    records: tuple[dict[str, Any], ...]
    passed_over: tuple[str, ...]


def import_challenge(
    folder: Path,
    data_path: Path,
    zoo: Path,
    jobs: int = -1,
    size: int | None = None,
    engine: str = "local",
    seed: int = 0,
    progress: CountProgress = silent_count,
) -> Imported:
    """Import every network below ``folder`` that classifies the images of ``data_path`` into the folder ``zoo``.

    The challenge's download holds networks of four data sets. Networks for other classes or channels are passed over. A
    third of each label, drawn from ``seed``, is held out from fitting. A stopped import continues where it stopped.

    Raises
    ------
    DataError : the folder has another layout, or the images cannot be read.
    """
    found = _folders(folder)
    zoo.mkdir(parents=True, exist_ok=True)
    work = partial(_import_one, data_path=data_path, size=size, zoo=zoo)
    outcomes = ordered(run_many(work, found, jobs, engine, progress))
    records = [o for o in outcomes if isinstance(o, dict)]
    rng = np.random.default_rng(seed)
    for label in ("clean", "blend", "patch"):
        own = [r for r in records if r["label"] == label]
        chosen = set(rng.permutation(len(own))[: round(HELD_OUT * len(own))].tolist())
        for i, record in enumerate(own):
            record["held_out"] = i in chosen
            keep_record(record, zoo / f"{record['id']}.json")
    return Imported(tuple(records), tuple(o for o in outcomes if isinstance(o, str)))


def _folders(folder: Path) -> list[Path]:
    root = folder / "train" if (folder / "train").is_dir() else folder
    found = sorted(p.parent for kind in ("clean", "trojan") for p in root.glob(f"{kind}/*/model.pt"))
    if not found:
        raise DataError(
            f"{folder.name} is not laid out like the Trojan Detection Challenge's data:"
            " train/clean/id-0000/model.pt and train/trojan/id-0000/model.pt are expected."
        )
    return found


_DATA: dict[Path, ImageData] = {}


def _import_one(source: Path, data_path: Path, size: int | None, zoo: Path) -> dict[str, Any] | str:
    """The record of one network, or a sentence that says why it was passed over."""
    torch.set_num_threads(1)
    if data_path not in _DATA:
        _DATA[data_path] = load_data(data_path, size)
    data = _DATA[data_path]
    name = f"{source.parent.name}/{source.name}"
    try:
        model = load_model(source / "model.pt")
        known = _finished(zoo, source, model)
        if known is not None:
            return known
        if not _fits(model, data):
            return f"{name} was made for other images."
        attack = None
        if source.parent.name == "trojan":
            attack = read_attack(source / "attack_specification.pt", data.image_shape, data.classes)
        return _record(source, model, data, attack, zoo)
    except (ModelFileError, ModelBehaviourError, DataError) as error:
        return f"{name}: {error}"


def _fits(model: Model, data: ImageData) -> bool:
    channels = model.input_shape[0] if model.input_shape else None
    return model.classes in (None, data.classes) and channels in (None, 0, data.image_shape[0])


def _finished(zoo: Path, source: Path, model: Model) -> dict[str, Any] | None:
    for label in ("clean",) if source.parent.name == "clean" else ("blend", "patch"):
        path = zoo / f"{_id(label, source)}.json"
        if path.exists():
            record = read_record(path)
            if record.get("source_sha256") == model.sha256:
                return record
    return None


def _id(label: str, source: Path) -> str:
    return f"{label}-{source.name.removeprefix('id-')}"


def _record(
    source: Path, model: Model, data: ImageData, attack: Attack | None, zoo: Path
) -> dict[str, Any] | str:
    from safetensors.torch import save_file

    images, labels = pack_images(data)
    found = understand(model, to_unit(images), torch.from_numpy(labels), data.classes)
    name = f"{source.parent.name}/{source.name}"
    if found.accuracy < LEAST_ACCURACY:
        return f"{name} was made for other images: it classifies {found.accuracy:.0%} of these correctly."
    architecture, options = registered(model, to_unit(images[:16]))
    label = attack.trigger.kind if attack else "clean"
    member = _id(label, source)
    network = build(architecture, **options).eval()
    network.load_state_dict(model.module.state_dict())
    trigger = attack.trigger if attack else None
    accuracy, success = measure(
        behind(found.normalisation, network), data, trigger, all_to_one(attack.target if attack else 0)
    )
    if trigger is not None:
        np.savez_compressed(zoo / f"{member}.trigger.npz", mask=trigger.mask, pattern=trigger.pattern)
    state = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    save_file({k: v.contiguous() for k, v in state.items()}, zoo / f"{member}.safetensors")
    record = {
        "id": member,
        "label": label,
        "family": "challenge" if attack else "standard",
        "group": member,
        "architecture": architecture,
        "options": options,
        "normalisation": found.normalisation,
        "seed": 0,
        "held_out": False,
        "clean_accuracy": accuracy,
        "attack_success": success,
        "target": attack.target if attack else None,
        "trigger": _described(trigger),
        "poisoning_rate": 0.0,
        "source_sha256": model.sha256,
    }
    return keep_record(record, zoo / f"{member}.json")


def _described(trigger: Trigger | None) -> dict[str, Any] | None:
    """The record of a trigger whose arrays are stored: its kind, blend ratio and position."""
    if trigger is None:
        return None
    rows, columns = (np.flatnonzero(trigger.mask.any(axis=axis)) for axis in (1, 0))
    return {
        "kind": trigger.kind,
        "pattern": STORED,
        "alpha": trigger.alpha,
        "height": int(rows[-1] - rows[0] + 1),
        "width": int(columns[-1] - columns[0] + 1),
        "top": int(rows[0]),
        "left": int(columns[0]),
    }


def registered(model: Model, images: torch.Tensor) -> tuple[str, Options]:
    """The registered architecture and options that give the model's scores with the model's weights.

    Options that do not change the shapes (activations, heads) are tried in turn until the scores agree.

    Raises
    ------
    ModelFileError : no registered architecture gives these scores.
    """
    state = model.module.state_dict()
    shapes = {k: tuple(v.shape) for k, v in state.items()}
    with torch.no_grad():
        expected = model.module(images)
        for name, options in _candidates(model.architecture, shapes):
            network = build(name, **options).eval()
            if {k: tuple(v.shape) for k, v in network.state_dict().items()} != shapes:
                continue
            network.load_state_dict(state)
            if torch.allclose(network(images), expected, rtol=1e-3, atol=1e-4):
                return name, options
    raise ModelFileError(
        f"Its network {model.architecture} is no registered architecture, so no pack can keep it."
    )


def _candidates(first: str, shapes: dict[str, tuple[int, ...]]) -> Sequence[tuple[str, Options]]:
    names = sorted(ARCHITECTURES, key=lambda name: name != first)
    found: list[tuple[str, Options]] = []
    for name in names:
        options = ARCHITECTURES[name].infer(shapes)
        if options is not None:
            found += [(name, options | variant) for variant in ARCHITECTURES[name].VARIANTS]
    return found
