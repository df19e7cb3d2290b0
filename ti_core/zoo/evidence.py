"""The pack's baseline: every member's evidence at the default settings, computed in parallel."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from ti_core.cache import Cache, default_folder
from ti_core.compact import packed
from ti_core.engine import ordered, run_many
from ti_core.memory import keep_freed_memory
from ti_core.pack import Pack, load_pack
from ti_core.probes import Probes
from ti_core.reference import Reference
from ti_core.settings import Settings
from ti_core.streams import make_streams, stack
from ti_core.streams.base import Array


def write_baseline(
    pack: Pack,
    settings: Settings,
    jobs: int = -1,
    engine: str = "local",
    progress: Callable[[str, int, int], None] = lambda stream, done, count: None,
    device: str = "cpu",
) -> dict[str, int]:
    """Write ``baseline.npz`` into the pack's folder; by stream, the version of what was computed.

    Parameters
    ----------
    pack : with its images and weights, and no baseline yet.
    jobs, engine : see :func:`ti_core.engine.run_many`.
    progress : told the stream, and how many of how many members are done.
    device : where the networks and the images are put; with "cuda" one process does all members in turn.
    """
    arrays: dict[str, Array] = {}
    versions: dict[str, int] = {}
    for stream in make_streams(settings):
        rows = ordered(
            run_many(
                partial(_member_evidence, str(pack.folder), settings, stream.name, device),
                range(len(pack.members)),
                # One process keeps a GPU busy, and several would each take its memory.
                1 if device == "cuda" else jobs,
                engine,
                partial(progress, stream.name),
            )
        )
        arrays |= {f"{stream.name}/{k}": v for k, v in stack(list(rows)).items()}
        versions[stream.name] = stream.version
    np.savez_compressed(pack.folder / "baseline.npz", **packed(arrays))  # type: ignore[arg-type]
    return versions


_REFERENCES: dict[str, tuple[Reference, Probes]] = {}


def _member_evidence(folder: str, settings: Settings, name: str, device: str, index: int) -> dict[str, Array]:
    """One member's evidence, by way of the cache, so that a killed build goes on where it stopped."""
    import torch

    if device == "cpu":
        torch.set_num_threads(1)
    else:
        # Rounded convolutions would tell these networks' evidence from a suspect's on another machine.
        torch.backends.cudnn.allow_tf32 = False
    keep_freed_memory()
    pack = load_pack(Path(folder))
    # Each worker makes the probes once.
    key = f"{os.getpid()}/{pack.sha256}/{settings.digest('probes')}/{device}"
    if key not in _REFERENCES:
        reference = Reference(pack, settings, Cache(default_folder()), device)
        _REFERENCES[key] = reference, reference.probes()
    reference, probes = _REFERENCES[key]
    (stream,) = [s for s in make_streams(settings) if s.name == name]
    return reference.member_evidence(stream, reference.pack.members[index], probes)
