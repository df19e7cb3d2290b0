"""Computes the pack's baseline in parallel: the evidence of every member at the pack's settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ti_core.paper.probes import Probes
from ti_core.reference.float16 import packed
from ti_core.reference.pack import Member, Pack, load_pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.streams import make_streams, stack
from ti_core.streams.base import Array, Evidence
from ti_core.system.cache import Cache, default_folder
from ti_core.system.memory import keep_freed_memory
from ti_core.system.parallel import ordered, run_many
from ti_core.system.progress import CountProgress, silent_count

if TYPE_CHECKING:
    from ti_core.classifier.scores import Scores


def write_baseline(
    pack: Pack,
    settings: Settings,
    jobs: int = -1,
    engine: str = "local",
    progress: CountProgress = silent_count,
    device: str = "cpu",
    kept: Mapping[str, Mapping[str, Array]] | None = None,
) -> dict[str, int]:
    """Write ``baseline.npz`` into the pack's folder. Returns the version of each stream.

    Parameters
    ----------
    pack : a pack with images and weights. An existing baseline is overwritten.
    kept : by stream, evidence that is not computed again. Its rows belong to the pack's first members.
    jobs, engine : see :func:`ti_core.system.parallel.run_many`.
    progress : called with the number of finished members and the number of all members.
    device : the device for networks and images. With "cuda", one process computes all members in turn.
    """
    streams, kept = make_streams(settings), kept or {}
    known = {s.name: _rows(kept.get(s.name, {})) for s in streams}
    members = [
        (index, {name: _row(arrays, index) for name, arrays in kept.items() if index < _rows(arrays)})
        for index in range(min(known.values(), default=0), len(pack.members))
    ]
    rows = ordered(
        run_many(
            partial(_member_evidence, str(pack.folder), settings, device, known),
            members,
            # One process keeps a GPU busy. Several processes would each need GPU memory.
            1 if device == "cuda" else jobs,
            engine,
            progress,
        )
    )
    found: dict[str, Mapping[str, Array]] = {}
    for name, count in known.items():
        parts = [kept[name]] if count else []
        own: list[Evidence] = [row[name] for row in rows if name in row]
        if own:
            parts.append(stack(own))
        found[name] = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    arrays = {f"{s.name}/{key}": values for s in streams for key, values in found[s.name].items()}
    np.savez_compressed(pack.folder / "baseline.npz", **packed(arrays))  # type: ignore[arg-type]
    return {stream.name: stream.version for stream in streams}


def _rows(arrays: Mapping[str, Array]) -> int:
    return len(next(iter(arrays.values()))) if arrays else 0


def _row(arrays: Mapping[str, Array], index: int) -> dict[str, Array]:
    return {key: values[index] for key, values in arrays.items()}


class _OneNetwork(Reference):
    """Opens a member's network once for all streams, so that they share its ``Scores``."""

    _last: tuple[str, Scores] | None = None

    def scores(self, member: Member) -> Scores:
        if self._last is None or self._last[0] != member.id:
            self._last = member.id, super().scores(member)
        return self._last[1]


_REFERENCES: dict[str, tuple[Reference, Probes | None]] = {}


def _member_evidence(
    folder: str,
    settings: Settings,
    device: str,
    known: Mapping[str, int],
    member_found: tuple[int, Mapping[str, Evidence]],
) -> dict[str, dict[str, Array]]:
    """One member's evidence by stream. It is cached, so that a stopped build continues where it stopped.

    Parameters
    ----------
    known : for each stream, the number of first members whose evidence exists.
    member_found : the member's place, and its evidence that exists, by stream.
    """
    import torch

    if device == "cpu":
        torch.set_num_threads(1)
    else:
        # With rounded convolutions, this evidence would differ from a suspect's evidence on another machine.
        torch.backends.cudnn.allow_tf32 = False
    keep_freed_memory()
    pack = load_pack(Path(folder))
    # Each worker makes the probes once, if a stream needs them.
    probed = any(s.on_probes and known[s.name] < len(pack.members) for s in make_streams(settings))
    key = f"{os.getpid()}/{pack.sha256}/{settings.digest('probes')}/{device}/{probed}"
    if key not in _REFERENCES:
        reference: Reference = _OneNetwork(pack, settings, Cache(default_folder()), device)
        _REFERENCES[key] = reference, reference.probes() if probed else None
    reference, probes = _REFERENCES[key]
    index, held = member_found
    member = reference.pack.members[index]
    own: dict[str, dict[str, Array]] = {}
    for stream in make_streams(settings):
        if known[stream.name] <= index:
            own[stream.name] = reference.member_evidence(stream, member, probes, {**held, **own})
    return own
