"""``pack build --estimate``: how long a pack of the user's own images would take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ti_core.settings import Settings


def estimated(
    data_path: Path,
    architectures: Sequence[str],
    zoo: Path,
    count: int,
    seed: int,
    settings: Settings,
    jobs: int,
    size: int | None,
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> None:
    """Say what would be trained and how long it would take. Nothing is written.

    Parameters
    ----------
    zoo : where networks of an earlier run may be. Those that are trained already are not counted.
    say, warn : called with sentences; ``warn`` with what is too little for a good pack.

    The other parameters, and what is raised, are those of :func:`ti_core.zoo.packs.own.build_own_pack`.
    """
    import torch

    from ti_core.zoo.packs.build import pack_images
    from ti_core.zoo.packs.enough import check_images, check_plan
    from ti_core.zoo.packs.estimate import estimate
    from ti_core.zoo.packs.own import plan_for
    from ti_core.zoo.training.data import load_data, to_unit
    from ti_core.zoo.training.growth import STEP, reused

    data = load_data(data_path, size)
    little = check_images(data)
    count = max(STEP, count // STEP * STEP)
    recipes = plan_for(data, architectures, count, seed)
    members = sum(recipe.family != "base" for recipe in recipes)
    little += check_plan(recipes, members, lambda more: plan_for(data, architectures, more, seed))
    known = reused(recipes, zoo)
    say(
        f"{data.classes} classes, {len(data.x_train)} images to train and {len(data.x_test)} to test;"
        f" {len(recipes) - len(known)} networks to train"
        + (f", {len(known)} trained already." if known else ".")
    )
    for sentence in little:
        warn(sentence)
    images, labels = pack_images(data)
    found = estimate(recipes, data, to_unit(images), torch.from_numpy(labels), settings, jobs, known)
    say(found.sentence())
