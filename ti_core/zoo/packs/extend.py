"""``pack extend``: adds reference models to a pack without computing the evidence of its members again."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import PackError
from ti_core.reference.pack import Pack, load_pack
from ti_core.reference.verify import stale_streams
from ti_core.settings import Settings
from ti_core.streams import make_streams
from ti_core.streams.base import Array
from ti_core.zoo.packs.build import cleared, digests, fit_pack, member_record, trigger_arrays, write_evidence
from ti_core.zoo.packs.enough import missing_labels
from ti_core.zoo.training.admission import fit_for_a_pack
from ti_core.zoo.training.records import read_weights, records_in

if TYPE_CHECKING:
    import torch

LARGEST_FILE = 24_000_000
"""Limit for the bytes of the weights in one file."""


def extend_pack(
    pack: Pack,
    zoo: Path,
    out: Path,
    without: Collection[str] = (),
    jobs: int = -1,
    engine: str = "local",
    progress: bool = True,
    streams: Collection[str] | None = None,
) -> Pack:
    """Build the pack ``out`` from ``pack``'s members and the networks in ``zoo``, and fit its detectors.

    The images, the name and the held-out members stay the same, and of the settings all but the streams.

    Parameters
    ----------
    out : another folder than the pack's.
    without : ids of members of ``pack`` that are left out, for example to keep the files small.
    jobs, engine : see :func:`ti_core.system.parallel.run_many`.
    streams : of the new pack; by default those of ``pack``. What ``pack`` lacks is computed for all members.

    Raises
    ------
    PackError : there is nothing to add, an id occurs twice or is unknown, the networks are for other images or classes,
        or the pack's evidence is of another version of the program.
    """
    settings = pack.settings if streams is None else pack.settings.with_(streams=tuple(streams))
    if (stale := stale_streams(pack)) and streams is None:
        raise PackError(
            f"Evidence of pack {pack.name!r} is out of date ({', '.join(stale)}); renew it first."
        )
    if out.exists() and out.samefile(pack.folder):
        raise PackError("The extended pack needs a folder of its own.")
    places = _places_of(pack, without)
    members = [pack.record["members"][i] for i in places]
    added = _added(pack, zoo, members)
    if missing := missing_labels([*members, *added]):
        raise PackError(f"The extended pack would have {missing}; leave fewer members out.")
    cleared(out)
    shutil.copyfile(pack.checked("images.npz"), out / "images.npz")
    _copy_weights(pack, {m["id"] for m in members}, out)
    added = _added_weights(zoo, added, out)
    triggers: dict[str, Any] = pack.stored_triggers({m["id"] for m in members}) | trigger_arrays(zoo, added)
    if triggers:
        np.savez_compressed(out / "triggers.npz", **triggers)
    record = dict(pack.record) | {
        "settings": settings.as_dict(),
        "detectors": {},
        "performance": {},
        "table": [],
        "members": members + [member_record(r) | {"weights": r["weights"]} for r in added],
        "files": digests(out),
    }
    write_evidence(out, record, settings, jobs, engine, "cpu", progress, _kept(pack, places, settings, stale))
    fit_pack(out, settings, jobs, engine, progress)
    return load_pack(out)


def _kept(
    pack: Pack, places: NDArray[np.intp], settings: Settings, stale: Collection[str]
) -> dict[str, Mapping[str, Array]]:
    """By stream, the evidence of the members that stay, where it need not be computed again."""
    return {
        s.name: {key: values[places] for key, values in pack.baseline[s.name].items()}
        for s in make_streams(settings)
        # With more members, another model may make the probes.
        if not s.on_probes and s.name in pack.settings.streams and s.name not in stale
    }


def _places_of(pack: Pack, without: Collection[str]) -> NDArray[np.intp]:
    """Indices of the members that stay."""
    if unknown := set(without) - {m.id for m in pack.members}:
        raise PackError(f"Pack {pack.name!r} has no member {min(unknown)!r}.")
    return np.array([i for i, m in enumerate(pack.members) if m.id not in without], dtype=np.intp)


def _added(pack: Pack, zoo: Path, members: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The records of the networks in ``zoo`` that are added to ``members``."""
    records = records_in(zoo)
    added = fit_for_a_pack(records, [m["clean_accuracy"] for m in members])
    if not added:
        raise PackError(f"{zoo} holds no network that may enter a pack.")
    if both := {r["id"] for r in added} & {m["id"] for m in members}:
        raise PackError(f"Pack {pack.name!r} has a member {min(both)!r} already.")
    shape, classes = pack.input_shape, len(pack.class_names)
    for r in added:
        options = r["options"]
        side = options.get("size", shape[1])
        if (options.get("in_channels"), side, options.get("classes")) != (shape[0], shape[1], classes):
            raise PackError(f"{r['id']} is not of {classes} classes of {shape[1]} x {shape[2]} images.")
    return added


def _copy_weights(pack: Pack, kept: Collection[str], out: Path) -> None:
    """Write the weights of the members with these ids to files of the names that they have in ``pack``.

    A file whose members all stay is copied, so that it keeps its digest, and evidence in the cache its key.
    """
    from safetensors.torch import save_file

    for name in sorted({m.weights for m in pack.members}):
        own = [m for m in pack.members if m.weights == name]
        staying = [m for m in own if m.id in kept]
        if len(staying) == len(own):
            shutil.copyfile(pack.checked(name), out / name)
        elif staying:
            tensors = {
                f"{m.id}/{key}": value for m in staying for key, value in pack.stored_weights(m).items()
            }
            save_file(tensors, out / name)


def _added_weights(zoo: Path, added: list[Mapping[str, Any]], out: Path) -> list[Mapping[str, Any]]:
    """Write the weights of the networks ``added`` to files of their own, each below :data:`LARGEST_FILE`.

    Returns the records, each with the name of its file as ``weights``.
    """
    from safetensors.torch import save_file

    files: list[dict[str, torch.Tensor]] = []
    placed, room = [], 0
    for record in added:
        own = {f"{record['id']}/{key}": value for key, value in read_weights(zoo, record["id"]).items()}
        size = sum(value.nbytes for value in own.values())
        if not files or size > room:
            files, room = [*files, {}], LARGEST_FILE
        files[-1] |= own
        placed.append(len(files) - 1)
        room -= size
    unused = (name for i in count(2) if not (out / (name := f"zoo-{i}.safetensors")).exists())
    names = list(islice(unused, len(files)))
    for name, tensors in zip(names, files, strict=True):
        save_file(tensors, out / name)
    return [{**record, "weights": names[place]} for record, place in zip(added, placed, strict=True)]
