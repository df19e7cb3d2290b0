"""Builds a reference pack from a folder of trained networks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import SettingsError
from ti_core.evaluation import evaluate
from ti_core.reference.judge import Judge
from ti_core.reference.pack import SCHEMA_VERSION, STORED, Pack, file_digest, load_pack
from ti_core.reference.reference import JOINT, PAPER, Reference
from ti_core.reference.verify import stale_streams
from ti_core.settings import Settings
from ti_core.streams import make_streams
from ti_core.streams.base import Array
from ti_core.system.cache import Cache
from ti_core.system.records import NAME
from ti_core.system.terminal import progress_bar
from ti_core.text import shown
from ti_core.zoo.packs.enough import check_members
from ti_core.zoo.packs.evidence import write_baseline
from ti_core.zoo.packs.recoveries import recoveries
from ti_core.zoo.training.data import ImageData, load_data
from ti_core.zoo.training.records import read_trigger, read_weights, records_in

IMAGES, IMAGES_A_CLASS = 256, 4
"""Number of images of a pack, and minimum number per class, if there are enough test images."""

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
    engine: str = "local",
    device: str = "cpu",
    fit: bool = True,
) -> Pack:
    """Make the pack ``out`` from the networks that :func:`ti_core.zoo.training.members.train_zoo` left in ``zoo``.

    Parameters
    ----------
    data_path : the data the zoo was trained on; the pack's images are drawn from its test images.
    settings : the pack's default settings.
    jobs : processes, each with one thread; -1 for one per core.
    engine : see :func:`ti_core.system.parallel.run_many`; with Ray, the machines share the folders.
    device : the device that computes the evidence.
    fit : whether the detectors are fitted. If not, :func:`fit_pack` must finish the pack later.

    Raises
    ------
    PackError : the zoo has too few clean, blend or patch members.
    SettingsError : a pack cannot have this name.
    """
    settings = settings or Settings()
    data = load_data(data_path, size)
    check_name(name or out.name)
    records = check_members(zoo, records_in(zoo))
    cleared(out)
    images, labels = pack_images(data)
    np.savez_compressed(out / "images.npz", images=images, labels=labels)
    _write_zoo(zoo, records, out)
    if triggers := trigger_arrays(zoo, records):
        np.savez_compressed(out / "triggers.npz", **triggers)  # type: ignore[arg-type]
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
        "members": [member_record(r) for r in records],
        "files": digests(out),
    }
    write_evidence(out, record, settings, jobs, engine, device, progress)
    if fit:
        fit_pack(out, settings, jobs, engine, progress)
    return load_pack(out)


def renew_pack(
    pack: Pack, jobs: int = -1, engine: str = "local", device: str = "cpu", progress: bool = True
) -> tuple[str, ...]:
    """Compute the evidence of the streams that have changed since the pack was built, and fit the detectors.

    Parameters
    ----------
    pack, jobs, engine, device : as for :func:`build_pack`; networks, images and settings stay as they are.

    Returns
    -------
    The streams whose evidence was computed. If there are none, the pack stays unchanged.
    """
    stale = stale_streams(pack)
    if not stale:
        return ()
    kept = {s.name: pack.baseline[s.name] for s in make_streams(pack.settings) if s.name not in stale}
    write_evidence(pack.folder, dict(pack.record), pack.settings, jobs, engine, device, progress, kept)
    fit_pack(pack.folder, pack.settings, jobs, engine, progress)
    return stale


def check_name(name: str) -> None:
    """Raise SettingsError for a name that a pack cannot have: reports and files are named after it."""
    if NAME.fullmatch(name) is None:
        raise SettingsError(
            f"A pack cannot be named {shown(name)!r}; give --name with up to 80 letters, digits, dots, dashes and"
            " underscores."
        )


def cleared(out: Path) -> None:
    """Create the folder and delete files of an earlier build that could be taken for a part of this pack."""
    out.mkdir(parents=True, exist_ok=True)
    for stale in (*out.glob("*.cbm"), *out.glob("zoo*.safetensors"), out / "triggers.npz"):
        stale.unlink(missing_ok=True)


def digests(out: Path) -> dict[str, str]:
    """SHA-256 digests, by file name, of the pack's files that exist before its evidence."""
    weights = sorted(p.name for p in out.glob("zoo*.safetensors"))
    return {
        name: file_digest(out / name)
        for name in ("images.npz", *weights, "triggers.npz")
        if (out / name).exists()
    }


def write_evidence(
    out: Path,
    record: dict[str, Any],
    settings: Settings,
    jobs: int,
    engine: str,
    device: str,
    progress: bool,
    kept: Mapping[str, Mapping[str, Array]] | None = None,
) -> None:
    """Write ``baseline.npz`` of the pack that ``record`` describes. Writes the record before and after it.

    For the other parameters see :func:`ti_core.zoo.packs.evidence.write_baseline`.
    """
    write_record(out, record)
    with progress_bar("evidence", len(record["members"]), progress, unit="network") as bar:
        record["stream_versions"] = write_baseline(
            *(load_pack(out), settings, jobs, engine),
            progress=lambda done, count: bar.update(done - bar.n),
            device=device,
            kept=kept,
        )
    record["files"] = dict(record["files"]) | {"baseline.npz": file_digest(out / "baseline.npz")}
    write_record(out, record)


def fit_pack(
    out: Path, settings: Settings, jobs: int = -1, engine: str = "local", progress: bool = False
) -> None:
    """Fit the pack's detectors to its baseline, and record their performance on the held-out members.

    What the recovery of a trigger does to each member is recorded too.
    """
    record = json.loads((out / "pack.json").read_text())
    record["detectors"], record["performance"], record["table"] = {}, {}, []
    write_record(out, record)
    reference = Reference(load_pack(out), settings, Cache(None))
    streams = make_streams(settings)
    judge = Judge(reference, streams, {s.name: reference.evidence(s, None) for s in streams})
    for name, detector in ((PAPER, judge.paper), (JOINT, judge.joint)):
        if detector is not None:
            record["detectors"][name] = detector.save(out, name)
    kept = {name: digest for name, digest in record["files"].items() if not name.endswith(".cbm")}
    record["files"] = kept | {p.name: file_digest(p) for p in sorted(out.glob("*.cbm"))}
    if judge.deep_streams:
        with progress_bar("recovered triggers", len(record["members"]), progress, unit="network") as bar:
            found = recoveries(reference, judge, jobs, engine, lambda done, count: bar.update(done - bar.n))
        record["members"] = [m | {"recovery": own} for m, own in zip(record["members"], found, strict=True)]
    write_record(out, record)
    if reference.pack.where(fitted=False).size:
        rows = evaluate(load_pack(out), settings)
        record["table"] = [r.as_dict() for r in rows]
        for row in rows:
            if row.family == "all":
                record["performance"].setdefault(row.streams, {})[row.what] = row.as_dict()
        write_record(out, record)


def member_record(record: Mapping[str, Any]) -> dict[str, Any]:
    member = {k: record[k] for k in MEMBER_FIELDS} | {"clean_accuracy": round(record["clean_accuracy"], 4)}
    if record["label"] != "clean":
        member |= {
            "attack_success": round(record["attack_success"], 4),
            "target_class": record["target"],
            "trigger": record["trigger"],
            "poisoning_rate": record["poisoning_rate"] or None,
        }
    if attack := record.get("attack"):
        member["recipe"] = {"attack": attack["name"], "covers": attack["covers"], "regime": record["regime"]}
        if record["label"] != "clean":
            leads = {
                "source_class": attack["mapping"]["source"],
                "assignment": attack["mapping"]["assignment"],
            }
            member |= {k: v for k, v in leads.items() if v not in (None, [])} | {
                "poisoning_rate": attack["rate"]
            }
    recipe = {k: record[k] for k in RECIPE_FIELDS if record.get(k) not in (None, 0.0)}
    return member | {"recipe": recipe | {k: v for k, v in member.get("recipe", {}).items() if v}}


def write_record(out: Path, record: Mapping[str, Any]) -> None:
    """Write ``pack.json``."""
    partial = out / "pack.json.partial"
    partial.write_text(json.dumps(record, indent=1) + "\n")
    partial.replace(out / "pack.json")


def pack_images(data: ImageData) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """A pack's images and labels: the same number of test images of each class, in random order."""
    rng = np.random.default_rng(0)
    each = max(IMAGES_A_CLASS, IMAGES // data.classes)
    chosen = np.concatenate([np.flatnonzero(data.y_test == k)[:each] for k in range(data.classes)])
    chosen = rng.permutation(chosen)
    return data.x_test[chosen], data.y_test[chosen]


def _write_zoo(zoo: Path, records: list[Mapping[str, Any]], out: Path) -> None:
    from safetensors.torch import save_file

    tensors = {}
    for r in records:
        for key, value in read_weights(zoo, r["id"]).items():
            tensors[f"{r['id']}/{key}"] = value
    save_file(tensors, out / "zoo.safetensors")


def trigger_arrays(zoo: Path, records: Iterable[Mapping[str, Any]]) -> dict[str, NDArray[np.float16]]:
    """Masks and patterns of the triggers that the record cannot describe by a few numbers."""
    arrays: dict[str, NDArray[np.float16]] = {}
    for r in records:
        if r["label"] != "clean" and r["trigger"] and r["trigger"]["pattern"] == STORED:
            stored = read_trigger(zoo, r["id"])
            arrays |= {f"{r['id']}/{part}": values.astype(np.float16) for part, values in stored.items()}
    return arrays
