"""Trains a zoo. Each finished member is a file, so that a stopped run continues where it stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ti_core.errors import SettingsError
from ti_core.system.memory import keep_freed_memory
from ti_core.system.parallel import run_many
from ti_core.system.terminal import progress_bar
from ti_core.text import shown
from ti_core.zoo.plan.draw import Recipe, plan
from ti_core.zoo.training.admission import MINIMUM_SUCCESS, fit_for_a_pack, gone_astray, is_what_it_says
from ti_core.zoo.training.data import ImageData, load_data
from ti_core.zoo.training.records import read_record, read_weights, records_in

if TYPE_CHECKING:
    from torch import Tensor

    from ti_core.zoo.training.single import Trained


ATTEMPTS = 4


def train_zoo(
    data_path: Path,
    out: Path,
    count: int = 192,
    seed: int = 0,
    jobs: int = -1,
    progress: bool = True,
    recipes: list[Recipe] | None = None,
    size: int | None = None,
    engine: str = "local",
    success: float = MINIMUM_SUCCESS,
) -> list[dict[str, Any]]:
    """Train the networks of :func:`ti_core.zoo.plan.draw.plan` into the folder ``out``.

    Parameters
    ----------
    data_path : an ``.npz`` or a folder of images per class.
    out : folder for ``<id>.safetensors`` and ``<id>.json`` of every finished member.
    count, seed : of the plan. They determine the networks, whatever ``jobs`` is.
    jobs : processes, each with one thread; -1 for one per core.
    recipes : a plan that replaces the drawn one.
    engine : see :func:`ti_core.system.parallel.run_many`; with Ray, the machines share the data and the folder.
    success : attack success rate below which a trojan is tried again, up to :data:`ATTEMPTS` times.

    Returns
    -------
    The records of all members, in the plan's order.
    """
    out.mkdir(parents=True, exist_ok=True)
    data = load_data(data_path, size)
    recipes = recipes if recipes is not None else plan(count, data.image_shape, data.classes, seed)
    bases = [r for r in recipes if r.family == "base"]
    others = [r for r in recipes if r.family != "base"]
    with progress_bar("training", len(recipes), progress, unit="network") as bar:
        for stage in (bases, others):
            work = partial(_train_one, data_path=data_path, size=size, out=out, success=success)
            for _, record in run_many(work, stage, jobs, engine):
                bar.set_postfix_str(f"{shown(record['id'])} {record['clean_accuracy']:.3f}")
                bar.update()
    return [read_record(out / f"{r.id}.json") for r in recipes]


def _keeps_its_trigger(recipe: Recipe, data: ImageData) -> bool:
    """Whether all attempts have the same trigger up to its strength, because it does not depend on the network."""
    from ti_core.zoo.attacks.catalogue import made

    if recipe.attack is None:
        return False
    attack = made(recipe.attack, data.image_shape)
    return not attack.needs_network and not any(True for _ in attack.parameters())


def recipe_digest(recipe: Recipe) -> str:
    """SHA-256 of everything that the weights depend on. ``held_out`` is not a part of it."""
    parts = {k: v for k, v in recipe.as_dict().items() if k != "held_out"}
    # Recipes without these fields have the same digest as recipes with their default values.
    later = (
        ("precision", "float32"),
        ("small_epochs", 0),
        ("begun_from", None),
        ("attack", None),
        ("regime", ""),
    )
    for name, usual in later:
        if parts[name] == usual:
            del parts[name]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


_DATA: dict[Path, ImageData] = {}


def _train_one(
    recipe: Recipe, data_path: Path, size: int | None, out: Path, success: float
) -> dict[str, Any]:
    import torch

    from ti_core.zoo.training.single import train

    if (record := finished(recipe, out)) is not None:
        return record
    torch.set_num_threads(1)
    keep_freed_memory()
    if data_path not in _DATA:
        _DATA[data_path] = load_data(data_path, size)
    base = begin = base_weights(recipe, out)
    calm, tried = recipe, recipe
    for attempt in range(ATTEMPTS):
        trained = train(tried, _DATA[data_path], begin)
        astray = gone_astray(trained.clean_accuracy, _DATA[data_path].classes)
        if not astray and tried.learnt(trained.attack_success, trained.clean_accuracy, success):
            break
        if attempt < ATTEMPTS - 1:
            calm = calm.calmer() if astray else calm
            tried = calm.harder(0 if astray else attempt + 1)
            # The next attempt goes on with what this one learnt of the same trigger.
            goes_on = base is not None and not astray and _keeps_its_trigger(recipe, _DATA[data_path])
            begin = trained.state if goes_on else base
    return keep_member(recipe, tried, trained, attempt + 1, out)


def finished(recipe: Recipe, out: Path) -> dict[str, Any] | None:
    """The record of the member in ``out`` if it was trained by this recipe, else None."""
    record = _record_of(recipe, out)
    return record and keep_record(record | {"held_out": recipe.held_out}, out / f"{recipe.id}.json")


def is_trained(recipe: Recipe, out: Path) -> bool:
    """Whether the member in ``out`` was trained by this recipe."""
    return _record_of(recipe, out) is not None


def _record_of(recipe: Recipe, out: Path) -> dict[str, Any] | None:
    try:
        record = read_record(out / f"{recipe.id}.json")
    except SettingsError:
        # A missing or damaged record is trained anew.
        return None
    return record if record.get("plan_digest") == recipe_digest(recipe) else None


def base_weights(recipe: Recipe, folder: Path) -> dict[str, Tensor] | None:
    """The weights in ``folder`` of the network that the recipe starts from; None for fresh weights."""
    name = recipe.base or recipe.begun_from
    return read_weights(folder, name) if name else None


def bases_in(folder: Path) -> list[Recipe]:
    """The recipes of the finished bases in ``folder``, sorted by id.

    Raises
    ------
    SettingsError : the folder has no bases, or a file that is not the record of a member.
    """
    found = []
    for record in records_in(folder):
        try:
            recipe = recipe_of(record)
        except (ValueError, TypeError, KeyError) as error:
            raise SettingsError(f"The record of {shown(record['id'])} holds no recipe.") from error
        if recipe.family == "base":
            found.append(recipe)
    if not found:
        raise SettingsError(f"{folder} has no bases.")
    return found


def recipe_of(record: Mapping[str, Any]) -> Recipe:
    """The recipe in the record of a clean member or base. It is the recipe of the last attempt."""
    return Recipe(**{f.name: record[f.name] for f in fields(Recipe) if f.name in record})


def adopt_bases(bases: Iterable[Recipe], folder: Path, out: Path) -> None:
    """Copy these bases from ``folder`` to ``out``, so that the training takes them as finished.

    Raises
    ------
    OSError : the files are not there.
    """
    out.mkdir(parents=True, exist_ok=True)
    for base in bases:
        shutil.copyfile(folder / f"{base.id}.safetensors", out / f"{base.id}.safetensors")
        record = read_record(folder / f"{base.id}.json")
        # The record is written last, as in keep_member, with the digest of this plan.
        keep_record(record | {"plan_digest": recipe_digest(base)}, out / f"{base.id}.json")


def adopt_starts(recipes: Iterable[Recipe], folder: Path, out: Path) -> None:
    """Copy the networks of ``folder`` that these recipes begin with into ``out``.

    Raises
    ------
    OSError : the files are not there.
    """
    (out / folder.name).mkdir(parents=True, exist_ok=True)
    for name in sorted({r.begun_from for r in recipes if r.begun_from}):
        shutil.copyfile(folder.parent / f"{name}.safetensors", out / f"{name}.safetensors")


def keep_member(recipe: Recipe, tried: Recipe, trained: Trained, attempts: int, out: Path) -> dict[str, Any]:
    """Write the weights of a trained member, in half precision, and its record. Returns the record.

    ``tried`` is the recipe of the kept attempt, and ``recipe`` is the plan's recipe.
    """
    from safetensors.torch import save_file

    record = tried.as_dict() | {
        "clean_accuracy": trained.clean_accuracy,
        "attack_success": trained.attack_success,
        "attempts": attempts,
        "plan_digest": recipe_digest(recipe),
    }
    state = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in trained.state.items()}
    save_file(state, out / f"{recipe.id}.safetensors")
    # The record is written last, since a member with a record counts as finished.
    return keep_record(record, out / f"{recipe.id}.json")


def keep_record(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """Write the record atomically, and return it."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(record, indent=1))
    partial.replace(path)
    return record


def zoo_text(records: Sequence[Mapping[str, Any]]) -> str:
    """A summary of a training run."""
    kept = fit_for_a_pack(records)
    members = [r for r in records if r["family"] != "base"]
    accuracy = sorted(r["clean_accuracy"] for r in members)
    unfit = sum(not is_what_it_says(r) for r in members)
    weak = len(members) - len(kept) - unfit
    why = {"a backdoor that failed": unfit, "too many mistakes on clean images": weak}
    left = " and ".join(f"{number} for {reason}" for reason, number in why.items() if number)
    return (
        f"{len(kept)} of {len(members)} networks can enter a pack{f' (left out: {left})' if left else ''};"
        f" clean accuracy {accuracy[0]:.3f} to {accuracy[-1]:.3f}, median {accuracy[len(accuracy) // 2]:.3f}."
    )
