"""The demonstration models in ``assets/samples``: one clean, one blend and one patch network per data set."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ti_core.errors import DataError, SettingsError
from ti_core.zoo.plan.colour import MENUS, plan_for
from ti_core.zoo.plan.draw import LABELS, Recipe, plan
from ti_core.zoo.plan.from_bases import MEMBERS_A_BASE
from ti_core.zoo.training.admission import MINIMUM_SUCCESS
from ti_core.zoo.training.data import load_data
from ti_core.zoo.training.members import base_weights, bases_in
from ti_core.zoo.training.records import read_record
from ti_core.zoo.training.single import Trained, train

SEED = 2**20
"""Seed of the samples. It is far from the seeds of packs, so no sample is a member of a pack."""


def train_samples(
    data_path: Path, out: Path, seed: int = SEED, attempts: int = 4, bases: Path | None = None
) -> list[dict[str, Any]]:
    """Train the three samples and write ``<data set>-<label>.safetensors`` with a ``.json`` record beside each.

    They are trained from fresh weights. For a data set with its own menu, all three are fine-tuned from one clean
    network that no detector is fitted to.

    The record holds the true trigger, the target class, the clean accuracy and the attack success. The metadata of the
    weights declare the architecture, its options and the normalisation, but not the label.

    Parameters
    ----------
    bases : a folder of trained bases. The most accurate held-out base is used as the clean network. Without the
        folder, the clean network is trained.

    Raises
    ------
    DataError : a trojan did not reach the minimum attack success in ``attempts`` attempts.
    SettingsError : no base is held out, or the bases are for other data.
    """
    import torch

    torch.set_num_threads(1)
    data = load_data(data_path)
    arguments = data.name, MEMBERS_A_BASE, data.image_shape, data.classes, seed
    if bases is not None:
        recipes = plan_for(*arguments, "bases", bases=[_held_out_base(bases)])
        base = base_weights(recipes[-1], bases)
    elif data.name in MENUS:
        recipes = plan_for(*arguments, "bases")
        base = train(recipes[0], data).state
    else:
        recipes, base = plan(24, data.image_shape, data.classes, seed), None
    out.mkdir(parents=True, exist_ok=True)
    records = []
    for label in LABELS:
        recipe = next(r for r in recipes if r.label == label and r.family == "standard")
        for attempt in range(attempts):
            tried = replace(recipe, id=f"{data.name}-{label}").harder(attempt)
            trained = train(tried, data, base)
            if trained.attack_success is None or trained.attack_success >= MINIMUM_SUCCESS:
                break
        else:
            raise DataError(
                f"The {label} sample of {data.name} did not learn its trigger in {attempts} attempts."
            )
        save_network(tried, trained, out)
        record = tried.as_dict() | {
            "clean_accuracy": trained.clean_accuracy,
            "attack_success": trained.attack_success,
        }
        (out / f"{tried.id}.json").write_text(json.dumps(record, indent=1) + "\n")
        records.append(record)
    return records


def _held_out_base(folder: Path) -> Recipe:
    held_out = [base for base in bases_in(folder) if base.held_out]
    if not held_out:
        raise SettingsError(f"None of the bases in {folder} is held out from fitting.")
    return max(held_out, key=lambda b: read_record(folder / f"{b.id}.json")["clean_accuracy"])


def save_network(recipe: Recipe, trained: Trained, out: Path) -> None:
    """Write ``<id>.safetensors`` in single precision, with all that is needed to open it in its metadata."""
    from safetensors.torch import save_file

    metadata = {
        "architecture": recipe.architecture,
        "options": json.dumps(recipe.options, sort_keys=True),
        "normalisation": recipe.normalisation,
    }
    state = {k: v.contiguous() for k, v in trained.state.items()}
    save_file(state, out / f"{recipe.id}.safetensors", metadata)
