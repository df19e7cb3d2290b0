"""The networks for ``benchmarks.screening``: members of a pack, or finished networks of a zoo."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ti_core.reference.pack import Member, load_pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.streams import Context, Stream
from ti_core.streams.base import Array
from ti_core.streams.inversion import Inversion
from ti_core.streams.searches.screening import Screening
from ti_core.streams.universal import Universal
from ti_core.streams.windowed import Windowed
from ti_core.system.cache import Cache

NEVER = Screening(above=10**9)
"""Every class is searched in full."""


@dataclass(frozen=True)
class Models:
    """Networks to compare the two searches on.

    Parameters
    ----------
    name : identifies weights and images in the names of kept results.
    baseline : by stream, the stacked evidence of the full search, or None.
    """

    name: str
    members: tuple[Member, ...]
    context: Context
    scores: Callable[[Member], torch.nn.Module]
    baseline: Mapping[str, Mapping[str, Array]] | None = None


def of_pack(name: str) -> Models:
    """The fitted members of a pack."""
    pack = load_pack(name)
    reference = Reference(pack, Settings(), Cache(None))
    key = f"{pack.name}.{pack.record['files']['zoo.safetensors'][:12]}"
    baseline = None
    if all(reference.serves_baseline(s) for s in streams_of(NEVER)) and not Screening().applies(
        len(pack.class_names)
    ):
        baseline = {s.name: reference.evidence(s, None) for s in streams_of(NEVER)}
    return Models(key, tuple(reference.fitted), reference.context(None), pack.scores, baseline)


def of_zoo(folder: Path, data_path: Path) -> Models:
    """The finished networks in a zoo's folder that are not held out. Bases count as clean."""
    from safetensors.torch import load_file

    from ti_core.architectures import build
    from ti_core.classifier.scores import Scores
    from ti_core.zoo.packs.build import member_record, pack_images
    from ti_core.zoo.training.data import load_data

    data = load_data(data_path)
    images, labels = pack_images(data)
    shown = Context(
        torch.from_numpy(images).float() / 255.0,
        torch.from_numpy(labels.astype(np.int64)),
        data.classes,
        Settings(),
    )
    records = [json.loads(p.read_text()) for p in sorted(folder.glob("*.json"))]
    kept = [r for r in records if not r["held_out"] and (r["attack_success"] or 1.0) >= 0.9]

    def scores(member: Member) -> torch.nn.Module:
        network = build(member.architecture, **member.options)
        state = load_file(folder / f"{member.id}.safetensors")
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
        return Scores(network, member.normalisation)

    return Models(
        f"{data.name}.{folder.name}", tuple(Member(**member_record(r)) for r in kept), shown, scores
    )


def sampled(members: Iterable[Member], count: int) -> list[Member]:
    """``count`` trojaned members of every kind and family and ``4 * count`` clean ones, in mixed order."""
    found: dict[tuple[str, str], list[Member]] = {}
    for member in members:
        found.setdefault((member.label, member.family if member.trojaned else ""), []).append(member)
    places = []
    for (label, _), group in found.items():
        wanted = count if label != "clean" else 4 * count
        chosen = np.unique(np.linspace(0, len(group) - 1, min(wanted, len(group))).round().astype(int))
        places += [((i + 0.5) / len(chosen), group[j]) for i, j in enumerate(chosen)]
    return [member for _, member in sorted(places, key=lambda place: place[0])]


def streams_of(screening: Screening) -> list[Stream]:
    return [
        Universal(screening=screening),
        Windowed(screening=screening),
        Inversion(screening=screening),
    ]
