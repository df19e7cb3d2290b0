"""A pack's clean networks as bases that further members are fine-tuned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ti_core.errors import PackError
from ti_core.reference.pack import Member, Pack
from ti_core.zoo.plan.recipe import Precision, Recipe
from ti_core.zoo.training.members import keep_record, recipe_digest

USUAL_FAMILIES = ("standard", "fine-tuned")
"""Families whose clean members are ordinary networks."""
FULL_RATE = {"sgd": 0.07, "adam": 2e-3, "adamw": 1e-3}
"""Learning rate of a training from fresh weights, by optimiser. Fine-tuned members record a smaller one."""


def write_bases(pack: Pack, out: Path) -> list[Recipe]:
    """Write the pack's ordinary clean members, one of each group, as bases: ``<id>.safetensors`` and ``<id>.json``.

    A base keeps its group and its side of the split between fitting and testing.

    Raises
    ------
    PackError : the pack has no such members, or does not say how they were trained.
    """
    from safetensors.torch import save_file

    records = {record["id"]: record for record in pack.record["members"]}
    chosen: dict[str, Member] = {}
    for member in pack.members:
        if member.label == "clean" and member.family in USUAL_FAMILIES:
            best = chosen.get(member.group)
            if best is None or member.clean_accuracy > best.clean_accuracy:
                chosen[member.group] = member
    if not chosen:
        raise PackError(f"Pack {pack.name!r} has no ordinary clean members.")
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for member in chosen.values():
        base = _recipe(pack, records[member.id])
        save_file(pack.stored_weights(member), out / f"{base.id}.safetensors")
        more = {
            "clean_accuracy": member.clean_accuracy,
            "attack_success": None,
            "plan_digest": recipe_digest(base),
        }
        keep_record(base.as_dict() | more, out / f"{base.id}.json")
        written.append(base)
    return written


def _recipe(pack: Pack, record: Mapping[str, Any]) -> Recipe:
    known = {f.name for f in fields(Recipe)}
    # A pack's record leaves out what is 0.
    told = {"weight_decay": 0.0, "label_smoothing": 0.0, **record, **record.get("recipe", {})}
    try:
        recipe = Recipe(**{k: v for k, v in told.items() if k in known} | {"epsilon": 0.0})
    except TypeError as error:
        raise PackError(f"Pack {pack.name!r} does not say how {record['id']} was trained.") from error
    rate = FULL_RATE.get(recipe.optimiser, recipe.learning_rate)
    precision: Precision = "bfloat16" if pack.input_shape[0] == 3 else "float32"
    return replace(
        recipe,
        id=f"base-{recipe.id}",
        family="base",
        base=None,
        learning_rate=rate,
        precision=precision,
        label_smoothing=0.0,
    )
