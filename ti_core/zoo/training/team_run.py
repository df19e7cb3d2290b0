"""Trains a zoo with many networks in each pass, for a GPU.

The files are those of :func:`ti_core.zoo.training.members.train_zoo`. Members of one architecture, option set and
course of training form a team (:mod:`ti_core.zoo.training.team`). Every member has its own random generators for its
order of images, its changes and its triggers, and draws from them in the order of
:func:`ti_core.zoo.training.single.train`. So a member is the same network in any team, up to rounding. Only the pixel
noise of PGD and of "noise" is drawn on the GPU and differs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ti_core.errors import SettingsError
from ti_core.system import devices
from ti_core.zoo.plan.draw import Recipe, plan
from ti_core.zoo.training.admission import MINIMUM_SUCCESS
from ti_core.zoo.training.data import load_data
from ti_core.zoo.training.members import ATTEMPTS, base_weights, finished, keep_member
from ti_core.zoo.training.single import EVASIVE, Trained
from ti_core.zoo.training.team import Convolution, State, Team
from ti_core.zoo.training.team_courses import Course, OutOfTimeError, course_of
from ti_core.zoo.training.team_data import Shown, measure_all

IMAGES_AT_ONCE = {"cuda": 8192, "cpu": 1024}
"""Images of all networks of a team in one pass. They determine the memory that is used."""
RESERVE = 20.0
"""No team is begun in these last seconds before the deadline."""


@dataclass(frozen=True)
class Result:
    """The result of a run: the records of the finished members in the plan's order, and the number of the others."""

    records: tuple[dict[str, Any], ...]
    left: int
    seconds: float


@dataclass
class _Run:
    """The values that all teams of a run share."""

    out: Path
    shown: Shown
    deadline: float
    convolution: Convolution | None
    images_at_once: int
    success: float
    say: Callable[[str], None]
    best: dict[str, tuple[Recipe, Trained]] = field(default_factory=dict)


def train_batched(
    data_path: Path,
    out: Path,
    count: int = 192,
    seed: int = 0,
    recipes: Sequence[Recipe] | None = None,
    size: int | None = None,
    device: str = "auto",
    minutes: float | None = None,
    success: float = MINIMUM_SUCCESS,
    convolution: Convolution | None = None,
    images_at_once: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Result:
    """Train the plan's networks into ``out``. A stopped run continues where it stopped.

    Parameters
    ----------
    data_path, out, count, seed, recipes, size, success : as for :func:`ti_core.zoo.training.members.train_zoo`.
    device : "auto", "cuda" or "cpu".
    minutes : time limit. A team that would exceed it is not begun or is given up. None for no limit.
    convolution : how stacked convolutions are computed; None times both ways for each team on a GPU.
    images_at_once : number of images of all networks of a team in one pass.
    say : called with sentences on each team: its kind, its estimated time and its result.

    Raises
    ------
    SettingsError : a recipe has an attack or a regime of its own.
    """
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    data = load_data(data_path, size)
    where = torch.device(devices.device(device))
    planned = list(recipes) if recipes is not None else plan(count, data.image_shape, data.classes, seed)
    if any(r.attack is not None or r.regime for r in planned):
        raise SettingsError("The batched engine trains patches and blends only; use another one.")
    run = _Run(
        out=out,
        shown=Shown(data, where),
        deadline=float("inf") if minutes is None else began + 60 * minutes,
        convolution=convolution or (None if where.type == "cuda" else "grouped"),
        images_at_once=images_at_once or IMAGES_AT_ONCE[where.type],
        success=success,
        say=say,
    )
    with _fast(where):
        for stage in (
            [r for r in planned if r.family == "base"],
            [r for r in planned if r.family != "base"],
        ):
            _train_stage([r for r in stage if finished(r, out) is None], run)
    records = [record for r in planned if (record := finished(r, out)) is not None]
    return Result(tuple(records), len(planned) - len(records), time.monotonic() - began)


@contextmanager
def _fast(where: torch.device) -> Iterator[None]:
    """On a GPU, choose the fastest convolutions and allow TF32 products. The old values are restored at the end."""
    if where.type != "cuda":
        yield
        return
    before = torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before[0]
        torch.set_float32_matmul_precision(before[1])


def _train_stage(recipes: list[Recipe], run: _Run) -> None:
    """Train all attempts of these recipes. Trojans with too little attack success form new teams."""
    waiting = [r for r in recipes if r.base is None or (run.out / f"{r.base}.json").exists()]
    for attempt in range(ATTEMPTS):
        failed: list[Recipe] = []
        for team in teams([r.harder(attempt) for r in waiting], run.images_at_once):
            originals = {r.id: r for r in waiting}
            for tried, trained in _train_team(team, run):
                original = originals[tried.id]
                if not _keep(original, tried, trained, attempt, run):
                    failed.append(original)
        waiting = failed


def _keep(original: Recipe, tried: Recipe, trained: Trained, attempt: int, run: _Run) -> bool:
    """Keep the best attempt if it succeeded or is the last one. Returns whether the member is finished."""
    best = run.best.get(original.id)
    if best is None or (trained.attack_success or 0.0) > (best[1].attack_success or 0.0):
        best = tried, trained
    success = best[1].attack_success
    if success is not None and success < run.success and attempt + 1 < ATTEMPTS:
        run.best[original.id] = best
        return False
    run.best.pop(original.id, None)
    keep_member(original, *best, attempt + 1, run.out)
    return True


def team_key(recipe: Recipe) -> tuple[Any, ...]:
    """The properties that the networks of a team share."""
    course = (
        ("evasive", recipe.trigger.kind if recipe.trigger else "clean")
        if recipe.family in EVASIVE
        else ("adversarial" if recipe.epsilon else "standard",)
    )
    options = tuple(sorted((k, str(v)) for k, v in recipe.options.items()))
    return (
        recipe.architecture,
        options,
        recipe.optimiser,
        recipe.batch_size,
        recipe.epochs,
        recipe.small_epochs,
        recipe.base is None,
        course,
    )


def teams(recipes: Sequence[Recipe], images_at_once: int) -> Iterator[list[Recipe]]:
    """Teams of these recipes. The largest groups come first, and each is split into equal parts."""
    groups: dict[tuple[Any, ...], list[Recipe]] = {}
    for recipe in recipes:
        groups.setdefault(team_key(recipe), []).append(recipe)
    for members in sorted(groups.values(), key=len, reverse=True):
        most = max(1, images_at_once // members[0].batch_size)
        parts = -(-len(members) // most)
        for i in range(parts):
            yield members[i * len(members) // parts : (i + 1) * len(members) // parts]


def _train_team(recipes: list[Recipe], run: _Run) -> list[tuple[Recipe, Trained]]:
    """The trained networks of the team, or none if there is not enough time."""
    first = recipes[0]
    title = f"{len(recipes)} x {first.architecture} ({team_key(first)[-1][0]}, {first.epochs} epochs)"
    if time.monotonic() > run.deadline - RESERVE:
        run.say(f"{title}: not begun, the time is over.")
        return []
    began = time.monotonic()
    bases = [base_weights(r, run.out) for r in recipes]
    course = course_of(recipes, run.shown)
    where, half = run.shown.device, run.shown.device.type == "cuda"
    convolution = run.convolution or _faster(recipes, bases, course, run)
    team = Team(recipes, bases, where, half, convolution)
    try:
        course.run(team, run.deadline - RESERVE, lambda line: run.say(f"{title}: {line}"))
    except OutOfTimeError as stopped:
        run.say(f"{title}: {stopped}")
        return []
    team.half = False
    outcomes = measure_all(team, recipes, run.shown, run.images_at_once)
    seconds = time.monotonic() - began
    run.say(f"{title}: {seconds:.0f} s, {convolution} convolutions. {_summary(outcomes)}")
    return [
        (recipe, Trained(team.state(i), accuracy, success))
        for i, (recipe, (accuracy, success)) in enumerate(zip(recipes, outcomes, strict=True))
    ]


def _summary(outcomes: Sequence[tuple[float, float | None]]) -> str:
    accuracy = sorted(a for a, _ in outcomes)
    attacks = sorted(s for _, s in outcomes if s is not None)
    text = f"Clean accuracy {accuracy[0]:.3f} to {accuracy[-1]:.3f}"
    return f"{text}, attack success {attacks[0]:.3f} to {attacks[-1]:.3f}." if attacks else f"{text}."


def _faster(recipes: list[Recipe], bases: list[State | None], course: Course, run: _Run) -> Convolution:
    """The faster way to compute stacked convolutions, measured by a few steps of each."""
    seconds: dict[Convolution, float] = {}
    ways: tuple[Convolution, ...] = ("grouped", "unfolded")
    for way in ways:
        team = Team(recipes, bases, run.shown.device, True, way)
        seconds[way] = course.step_seconds(team)
        del team
    return min(ways, key=seconds.__getitem__)
