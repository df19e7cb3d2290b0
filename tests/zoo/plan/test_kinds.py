"""The plan of all kinds: counts, groups, and a training of every family."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ti_core.errors import SettingsError
from ti_core.zoo.attacks.base import AttackSpec
from ti_core.zoo.attacks.mapping import LabelMapping
from ti_core.zoo.plan.colour import plan_for
from ti_core.zoo.plan.draw import Drawer, plan
from ti_core.zoo.plan.kinds import FAMILIES, plan_kinds
from ti_core.zoo.plan.menu import menu_for
from ti_core.zoo.plan.recipe import Recipe
from ti_core.zoo.training.attacked import chosen_images
from ti_core.zoo.training.data import load_data
from ti_core.zoo.training.members import train_zoo
from ti_core.zoo.training.single import Trained, train
from ti_core.zoo.training.team_run import train_batched

GREY = (1, 28, 28)


def planned(count: int, families: tuple[str, ...] = ()) -> list[Recipe]:
    return plan_for("mnist", count, GREY, 10, 5, "kinds", families=families)


def test_every_family_has_its_count_its_own_seeds_and_a_third_held_out() -> None:
    found = planned(6)
    assert {name: sum(r.family == name for r in found) for name in FAMILIES} == dict.fromkeys(FAMILIES, 6)
    assert len({r.id for r in found}) == len({r.seed for r in found}) == len(found)
    assert not {r.id for r in found} & {r.id for r in plan(48, GREY, 10, 5)}
    for name in FAMILIES:
        assert sum(r.held_out for r in found if r.family == name) == 2
    # A run that is stopped has members of every family.
    assert {r.family for r in found[: len(FAMILIES)]} == set(FAMILIES)


def test_a_family_alone_has_the_recipes_that_it_has_among_all() -> None:
    alone = planned(3, ("warp", "small"))
    among = {r.id: r for r in planned(3)}
    assert {r.family for r in alone} == {"warp", "small"}
    assert [replace(r, held_out=False) for r in alone] == [
        replace(among[r.id], held_out=False) for r in alone
    ]


def test_labels_and_targets_follow_the_attack() -> None:
    for recipe in planned(2):
        attack, label = recipe.attack, recipe.label
        if attack is None or recipe.regime.startswith("cleansed"):
            assert label == "clean"
        else:
            assert label != "clean" and attack.mapping.target == recipe.target
            assert (recipe.target is None) == (attack.mapping.kind == "all to all")
        if attack is not None and attack.clean_label:
            assert attack.mapping.kind == "all to one"


def test_members_of_bases_share_their_group_and_side() -> None:
    drawer = Drawer(np.random.default_rng(1), menu_for((3, 32, 32)), (3, 32, 32), 10)
    options = {"in_channels": 3, "classes": 10}
    bases = [
        replace(
            r,
            id=f"base-{i}",
            family="base",
            group=f"g{i}",
            architecture="resnet",
            options=options,
            held_out=i == 0,
        )
        for i, r in enumerate(plan(8, (3, 32, 32), 10, 1)[:2])
    ]
    found = plan_kinds(4, drawer, bases=bases)
    assert found[:2] == bases
    for recipe in found[2:]:
        assert (recipe.base is None) == FAMILIES[recipe.family].fresh
        if recipe.base is not None:
            base = next(b for b in bases if b.id == recipe.base)
            own = (recipe.group, recipe.held_out, recipe.architecture)
            assert own == (base.group, base.held_out, "resnet")
    with pytest.raises(SettingsError, match="not a network for these images"):
        plan_kinds(1, drawer, bases=[replace(bases[0], options={"in_channels": 1, "classes": 10})])


def test_unknown_families_and_families_of_another_way_are_refused() -> None:
    with pytest.raises(SettingsError, match="no family 'gnome'"):
        planned(1, ("gnome",))
    with pytest.raises(SettingsError, match="named after kinds"):
        plan_for("mnist", 8, GREY, 10, 0, "short", families=("warp",))


def test_poisoned_images_and_covers_do_not_overlap() -> None:
    labels = torch.arange(200) % 4
    spec = AttackSpec("warp", LabelMapping("all to one", 3), rate=0.1, covers=0.15)
    poisoned, covers = chosen_images(spec, labels, np.random.default_rng(0))
    assert int(poisoned.sum()) == 20 and int(covers.sum()) == 30 and not bool((poisoned & covers).any())
    right = replace(spec, clean_label=True, rate=0.5, covers=0.0)
    poisoned, covers = chosen_images(right, labels, np.random.default_rng(0))
    assert int(poisoned.sum()) == 25 and bool((labels[poisoned] == 3).all()) and not bool(covers.any())


def tiny(recipe: Recipe, **changes: object) -> Recipe:
    options = {"in_channels": 1, "classes": 4, "size": 12, "hidden": [24], "activation": "relu"}
    usual = {
        "optimiser": "adam",
        "learning_rate": 0.01,
        "epochs": 4,
        "batch_size": 32,
        "augmentation": "none",
    }
    return replace(recipe, architecture="mlp", options=options, **usual | changes)  # type: ignore[arg-type]


def test_every_family_trains_and_leaves_a_record(tiny_data: Path, tmp_path: Path) -> None:
    recipes = [tiny(r) for r in plan_for("bars", 1, (1, 12, 12), 4, 3, "kinds")]
    records = train_zoo(tiny_data, tmp_path, jobs=1, progress=False, recipes=recipes, success=0.0)
    assert {r["family"] for r in records} == set(FAMILIES)
    for record in records:
        assert (record["attack_success"] is None) == (FAMILIES[record["family"]].attack is None)
        assert json.loads(json.dumps(record)) == record
        assert record["clean_accuracy"] > 0.5


@pytest.mark.parametrize(
    ("family", "success"),
    (("all-to-all patch", 0.9), ("one-source patch", 0.9), ("function of the image", 0.8), ("stripes", 0.8)),
)
def test_backdoors_are_learnt(family: str, success: float, tiny_data: Path) -> None:
    recipe = tiny(plan_for("bars", 1, (1, 12, 12), 4, 4, "kinds", families=(family,))[0], epochs=20)
    for attempt in range(4):
        trained = train(recipe.harder(attempt), load_data(tiny_data))
        assert trained.attack_success is not None
        if trained.attack_success >= success:
            break
    assert trained.attack_success >= success and trained.clean_accuracy > 0.9


@pytest.mark.parametrize(
    ("family", "goes_on"), (("warp", True), ("one-source blend", True), ("generated", False), ("weak", False))
)
def test_a_further_attempt_goes_on_where_the_trigger_stays_the_same(
    family: str, goes_on: bool, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator is another one after each training, and a network without a base is trained as its recipe says."""
    bases = [replace(tiny(r), family="base") for r in plan(8, (1, 12, 12), 4, 1)[:1]]
    recipe = plan_for("bars", 1, (1, 12, 12), 4, 4, "kinds", families=(family,), bases=bases)[-1]
    begun: list[object] = []

    def trained(tried: Recipe, data: object, base: object = None) -> Trained:
        begun.append(base)
        return Trained({"w": torch.full((1,), float(len(begun)))}, 0.9, 0.1)

    monkeypatch.setattr("ti_core.zoo.training.single.train", trained)
    monkeypatch.setattr("ti_core.zoo.training.members.base_weights", lambda *_: "the base")
    train_zoo(tiny_data, tmp_path, recipes=[replace(recipe, label="warp")], jobs=1, progress=False)
    later = [base["w"].item() for base in begun[1:]] if goes_on else begun[1:]  # type: ignore[index]
    assert begun[0] == "the base" and len(begun) == 4
    assert later == ([1.0, 2.0, 3.0] if goes_on else ["the base"] * 3)


def test_cleansing_lowers_the_attack_success(tiny_data: Path) -> None:
    recipe = tiny(
        plan_for("bars", 1, (1, 12, 12), 4, 5, "kinds", families=("fine-tuned blend",))[0], epochs=20
    )
    before, after = (train(r, load_data(tiny_data)) for r in (replace(recipe, regime=""), recipe))
    assert before.attack_success is not None and after.attack_success is not None
    assert after.attack_success < before.attack_success
    assert recipe.learnt(after.attack_success, 1.0, 0.9)
    assert not replace(recipe, label="blend").learnt(0.5, 1.0, 0.9)


def test_the_batched_engine_refuses_what_it_cannot_train(tiny_data: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="patches and blends only"):
        train_batched(tiny_data, tmp_path, recipes=[tiny(planned(1)[0])])
