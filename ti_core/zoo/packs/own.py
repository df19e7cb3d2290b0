"""Builds a pack from a user's images: plans the zoo, estimates the time, trains the zoo and builds the pack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ti_core.architectures import build
from ti_core.errors import SettingsError
from ti_core.reference.pack import Pack
from ti_core.settings import Settings
from ti_core.zoo.packs.build import build_pack, check_name, pack_images
from ti_core.zoo.packs.enough import check_images, check_plan
from ti_core.zoo.packs.estimate import estimate
from ti_core.zoo.plan.draw import Recipe, plan
from ti_core.zoo.plan.own_menu import fitting_options, menu_of
from ti_core.zoo.training.data import ImageData, load_data, to_unit
from ti_core.zoo.training.growth import (
    STEP,
    Plan,
    digest_of_images,
    grown,
    keep_plan,
    recipes_of,
    reused,
    settled,
)
from ti_core.zoo.training.members import train_zoo, zoo_text

LEAST_STEPS = 400
"""Minimum number of training steps of a network. With few images, the number of epochs is raised."""
LEAST_BATCHES = 8
"""Minimum number of batches per epoch. With few images, the batch size is reduced."""
FEEBLE = 0.6
"""If the median clean accuracy is below this value, the user is told how to improve it."""
LEAST_POISONED = 8
"""Minimum number of poisoned training images of a network."""


def build_own_pack(
    data_path: Path,
    out: Path,
    architectures: Sequence[str] = (),
    zoo: Path | None = None,
    name: str | None = None,
    count: int = 96,
    seed: int = 0,
    settings: Settings | None = None,
    jobs: int = -1,
    size: int | None = None,
    engine: str = "local",
    progress: bool = True,
    say: Callable[[str], None] = lambda line: None,
    warn: Callable[[str], None] = lambda line: None,
) -> Pack:
    """Train a zoo on labelled images and build the pack ``out`` from it. A stopped run continues.

    With a larger ``count`` than before, the networks in ``zoo`` are kept and further ones are trained.

    Parameters
    ----------
    data_path : a folder with one sub-folder of images per class, or an ``.npz``
        (:func:`ti_core.zoo.training.data.load_data`).
    architectures : registered architectures as ``NAME[:option=value,...]``; empty for a mixture that suits the images.
    zoo : folder of the trained networks; by default a folder next to ``out``.
    count, seed : of the plan (:func:`ti_core.zoo.plan.draw.plan`).
    say : called with sentences: the estimated time before the training, and its result afterwards.
    warn : called with sentences: what is too little for a good pack, before the training.

    Raises
    ------
    DataError : the images cannot be read, or a class has too few.
    SettingsError : an architecture is unknown or does not fit these images, or ``zoo`` holds networks of other ones.
    PackError : too few trojans are planned, or reached the minimum attack success.
    """
    settings = settings or Settings()
    check_name(name or out.name)
    data = load_data(data_path, size)
    zoo = zoo or out.with_name(f"{out.name}-zoo")
    recipes = _announced(data, architectures, count, seed, zoo, settings, jobs, say, warn)
    records = train_zoo(
        data_path, zoo, jobs=jobs, progress=progress, recipes=recipes, size=size, engine=engine
    )
    say(zoo_text(records))
    accuracy = sorted(r["clean_accuracy"] for r in records)[len(records) // 2]
    if accuracy < FEEBLE:
        say(
            f"Half of the networks classify less than {accuracy:.0%} of the test images correctly: more images, or a"
            " larger architecture, would make a better pack."
        )
    return build_pack(zoo, data_path, out, name, settings, jobs, size, progress, engine)


def _announced(
    data: ImageData,
    architectures: Sequence[str],
    count: int,
    seed: int,
    zoo: Path,
    settings: Settings,
    jobs: int,
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> list[Recipe]:
    """The plan. Before it is returned, everything that is known before the training is said."""
    little = check_images(data)
    recipes, few = _planned(data, architectures, count, seed, zoo)
    known = reused(recipes, zoo)
    say(
        f"{data.name}: {data.classes} classes, {len(data.x_train)} images to train and {len(data.x_test)} to test;"
        f" {len(recipes) - len(known)} networks will be trained into {zoo}"
        + (f"; {len(known)} are trained already and are used again." if known else ".")
    )
    for sentence in (*little, *few):
        warn(sentence)
    images, labels = pack_images(data)
    say(estimate(recipes, data, to_unit(images), torch.from_numpy(labels), settings, jobs, known).sentence())
    return recipes


def _planned(
    data: ImageData, architectures: Sequence[str], count: int, seed: int, zoo: Path
) -> tuple[list[Recipe], list[str]]:
    """The recipes, and sentences about what they are too few for. Recipes of an earlier run in ``zoo`` stay."""

    def draw(members: int, own_seed: int) -> list[Recipe]:
        return plan_for(data, architectures, members, own_seed)

    count = max(STEP, count // STEP * STEP)
    wanted = Plan(digest_of_images(data), tuple(architectures), seed, (count,))
    kept = settled(zoo, wanted, draw)
    recipes = recipes_of(kept, draw)
    members = sum(r.family != "base" for r in recipes)
    little = check_plan(recipes, members, lambda n: grown(zoo, replace(wanted, counts=(n,)), draw))
    keep_plan(zoo, kept)
    return recipes, little


def plan_for(data: ImageData, architectures: Sequence[str], count: int, seed: int) -> list[Recipe]:
    """The plan for these images. With few images, networks get more epochs and smaller batches."""
    menu = menu_of(architectures, data.image_shape) if architectures else None
    drawn = plan(count, data.image_shape, data.classes, seed, menu)
    recipes = [_settled(r, data, architectures) for r in drawn]
    tried = set()
    for recipe in recipes:
        key = f"{recipe.architecture} {sorted(recipe.options.items())}"
        if key not in tried:
            tried.add(key)
            _try(recipe, data)
    return recipes


def _settled(recipe: Recipe, data: ImageData, architectures: Sequence[str]) -> Recipe:
    recipe = fitting_options(recipe, data.image_shape, architectures)
    images = len(data.x_train)
    batch = max(2, min(recipe.batch_size, images // LEAST_BATCHES))
    epochs = max(recipe.epochs, -(-LEAST_STEPS // -(-images // batch)))
    rate = recipe.poisoning_rate and min(0.1, max(recipe.poisoning_rate, round(LEAST_POISONED / images, 4)))
    return replace(recipe, batch_size=batch, epochs=epochs, poisoning_rate=rate)


def _try(recipe: Recipe, data: ImageData) -> None:
    """Run an untrained network once, so that options that do not fit the images are refused before the training."""
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            network = build(recipe.architecture, **recipe.options).eval()
            shape = tuple(network(to_unit(data.x_train[:2])).shape)
    except (RuntimeError, ValueError, TypeError, IndexError, ZeroDivisionError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise SettingsError(
            f"Architecture {recipe.architecture} makes no network for images of"
            f" {' x '.join(map(str, data.image_shape))}: {reason}"
        ) from error
    if shape != (2, data.classes):
        raise SettingsError(
            f"Architecture {recipe.architecture} gives scores of shape {shape}, not one for each of"
            f" {data.classes} classes."
        )
