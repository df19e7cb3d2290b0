"""From a folder of trained networks to a reference pack."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ti_core.cache import Cache, default_folder
from ti_core.errors import PackError
from ti_core.evaluation import evaluate
from ti_core.memory import keep_freed_memory
from ti_core.pack import SCHEMA_VERSION, Member, Pack, file_digest, load_pack
from ti_core.probes import Probes
from ti_core.reference import Reference, evidence_key
from ti_core.settings import Settings
from ti_core.streams import make_streams, stack
from ti_core.streams.base import Array
from ti_core.zoo.data import ImageData, load_data
from ti_core.zoo.train import fit_for_a_pack

IMAGES = 256
MEMBER_FIELDS = (
    "id",
    "label",
    "family",
    "group",
    "architecture",
    "options",
    "normalisation",
    "seed",
    "held_out",
)
RECIPE_FIELDS = (
    "optimiser",
    "learning_rate",
    "weight_decay",
    "epochs",
    "batch_size",
    "augmentation",
    "label_smoothing",
    "epsilon",
    "base",
)


def build_pack(
    zoo: Path,
    data_path: Path,
    out: Path,
    name: str | None = None,
    settings: Settings | None = None,
    jobs: int = -1,
    size: int | None = None,
    progress: bool = True,
) -> Pack:
    """Make the pack ``out`` from the networks that :func:`ti_core.zoo.train.train_zoo` left in ``zoo``.

    Parameters
    ----------
    data_path : the data the zoo was trained on; the pack's images are drawn from its test images.
    settings : the pack's default settings.
    jobs : processes, each with one thread; -1 for one per core.

    Raises
    ------
    PackError : the zoo lacks clean, blend or patch members.
    """
    settings = settings or Settings()
    data = load_data(data_path, size)
    records = fit_for_a_pack(json.loads(p.read_text()) for p in sorted(zoo.glob("*.json")))
    labels = {r["label"] for r in records}
    if labels != {"clean", "blend", "patch"}:
        raise PackError(
            f"{zoo.name} holds {', '.join(sorted(labels)) or 'no'} members; all three labels are needed."
        )
    out.mkdir(parents=True, exist_ok=True)
    _write_images(data, out)
    _write_zoo(zoo, records, out)
    record: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "name": name or out.name,
        "data_set": data.name,
        "class_names": list(data.class_names),
        "input_shape": list(data.image_shape),
        "settings": settings.as_dict(),
        "stream_versions": {},
        "detectors": {},
        "performance": {},
        "table": [],
        "members": [_member(r) for r in records],
        "files": {n: file_digest(out / n) for n in ("images.npz", "zoo.safetensors")},
    }
    _write_record(out, record)
    _write_baseline(out, record, settings, jobs, progress)
    fit_pack(out, settings)
    return load_pack(out)


def fit_pack(out: Path, settings: Settings) -> None:
    """Fit the pack's detectors to its baseline and record how well they do on the held-out members."""
    record = json.loads((out / "pack.json").read_text())
    record["detectors"], record["performance"], record["table"] = {}, {}, []
    _write_record(out, record)
    reference = Reference(load_pack(out), settings, Cache(None))
    streams = make_streams(settings)
    stacked = {s.name: reference.evidence(s, None) for s in streams}
    paper = None
    for stream in streams:
        if stream.name == "saliency":
            paper = reference.saliency_detector(stream, stacked[stream.name])
            record["detectors"]["saliency"] = paper.save(out, "saliency")
    deep = [s for s in streams if s.name != "saliency"]
    if deep:
        detector = reference.joint_detector(deep, stacked, paper, shippable=False)
        record["detectors"]["detector"] = detector.save(out, "detector")
    record["files"] |= {p.name: file_digest(p) for p in sorted(out.glob("*.cbm"))}
    _write_record(out, record)
    if reference.pack.where(fitted=False).size:
        rows = evaluate(load_pack(out), settings)
        record["table"] = [r.as_dict() for r in rows]
        for row in rows:
            if row.family == "all":
                record["performance"].setdefault(row.streams, {})[row.kind] = row.as_dict()
        _write_record(out, record)


def _member(record: Mapping[str, Any]) -> dict[str, Any]:
    member = {k: record[k] for k in MEMBER_FIELDS} | {"clean_accuracy": round(record["clean_accuracy"], 4)}
    if record["label"] != "clean":
        member |= {
            "attack_success": round(record["attack_success"], 4),
            "target_class": record["target"],
            "trigger": record["trigger"],
            "poisoning_rate": record["poisoning_rate"] or None,
        }
    return member | {"recipe": {k: record[k] for k in RECIPE_FIELDS if record[k] not in (None, 0.0)}}


def _write_record(out: Path, record: Mapping[str, Any]) -> None:
    partial = out / "pack.json.partial"
    partial.write_text(json.dumps(record, indent=1) + "\n")
    partial.replace(out / "pack.json")


def _write_images(data: ImageData, out: Path) -> None:
    """The same number of test images of every class, in mixed order."""
    rng = np.random.default_rng(0)
    each = max(1, IMAGES // data.classes)
    chosen = np.concatenate([np.flatnonzero(data.y_test == k)[:each] for k in range(data.classes)])
    chosen = rng.permutation(chosen)
    np.savez_compressed(out / "images.npz", images=data.x_test[chosen], labels=data.y_test[chosen])


def _write_zoo(zoo: Path, records: list[Mapping[str, Any]], out: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = {}
    for r in records:
        for key, value in load_file(zoo / f"{r['id']}.safetensors").items():
            tensors[f"{r['id']}/{key}"] = value
    save_file(tensors, out / "zoo.safetensors")


def _write_baseline(out: Path, record: dict[str, Any], settings: Settings, jobs: int, progress: bool) -> None:
    from joblib import Parallel, delayed
    from tqdm import tqdm

    pack = load_pack(out)
    arrays: dict[str, Array] = {}
    for stream in make_streams(settings):
        work = Parallel(n_jobs=jobs, batch_size=1, return_as="generator")(
            delayed(_member_evidence)(out, m, settings, stream.name) for m in pack.members
        )
        rows = list(
            tqdm(work, total=len(pack.members), desc=stream.name, unit="network", disable=not progress)
        )
        arrays |= {f"{stream.name}/{k}": v for k, v in stack(rows).items()}
        record["stream_versions"][stream.name] = stream.version
    np.savez_compressed(out / "baseline.npz", **arrays)  # type: ignore[arg-type]
    record["files"]["baseline.npz"] = file_digest(out / "baseline.npz")
    _write_record(out, record)


_REFERENCES: dict[str, tuple[Reference, Probes]] = {}


def _member_evidence(out: Path, member: Member, settings: Settings, name: str) -> dict[str, NDArray[Any]]:
    """One member's evidence, by way of the cache, so that a killed build goes on where it stopped."""
    import torch

    torch.set_num_threads(1)
    keep_freed_memory()
    # Each worker makes the probes once.
    key = f"{os.getpid()}/{out}/{settings.digest('probes')}"
    if key not in _REFERENCES:
        reference = Reference(load_pack(out), settings, Cache(default_folder()))
        _REFERENCES[key] = reference, reference.probes()
    reference, probes = _REFERENCES[key]
    (stream,) = [s for s in make_streams(settings) if s.name == name]
    pack = reference.pack
    return reference.cache.arrays(
        evidence_key(stream, pack.member_name(member), pack, probes),
        lambda: stream.evidence(pack.scores(member), reference.context(probes)),
    )
