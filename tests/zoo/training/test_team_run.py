from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ti_core.paper.triggers import TriggerSpec
from ti_core.zoo.plan.draw import Recipe, plan
from ti_core.zoo.training.data import load_data
from ti_core.zoo.training.members import train_zoo
from ti_core.zoo.training.single import Trained, train
from ti_core.zoo.training.team import Convolution, Team
from ti_core.zoo.training.team_courses import course_of
from ti_core.zoo.training.team_data import Shown, measure_all
from ti_core.zoo.training.team_run import team_key, teams, train_batched

SHAPE = (1, 12, 12)
CPU = torch.device("cpu")
NETWORKS = {
    "convnet": {"channels": (4, 6), "depth": 1, "pool": "mean", "norm": True, "size": 12},
    "small_resnet": {"channels": (4, 6), "blocks": 1},
    "mlp": {"hidden": (8,), "norm": True, "size": 12},
    "simple_vit": {"dim": 8, "depth": 1, "mlp_dim": 8, "inner": 8, "dim_head": 8},
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def three(architecture: str, optimiser: str = "adam", **common: object) -> list[Recipe]:
    """Three poisoned, clean and blended networks that differ in all that may differ within a team."""
    first = next(r for r in plan(8, SHAPE, 4, seed=1) if r.label == "patch" and r.family == "standard")
    options = {"in_channels": 1, "classes": 4, **NETWORKS[architecture]}
    shared = {"architecture": architecture, "options": options, "optimiser": optimiser}
    first = replace(first, **shared, **{"epochs": 2, "batch_size": 64, "learning_rate": 0.01} | common)
    trigger = TriggerSpec("patch", "white", 1.0, 4, 4, 4, 4)
    blend = TriggerSpec("blend", "uniform", 0.2, seed=5)
    return [
        replace(first, id="a", trigger=trigger, target=1, poisoning_rate=0.1, augmentation="shift"),
        replace(
            first,
            id="b",
            label="clean",
            trigger=None,
            target=None,
            poisoning_rate=0.0,
            seed=7,
            learning_rate=0.02,
            weight_decay=1e-3,
            label_smoothing=0.1,
            normalisation="half",
            augmentation="noise",
        ),
        replace(
            first,
            id="c",
            label="blend",
            trigger=blend,
            target=2,
            poisoning_rate=0.2,
            seed=8,
            augmentation="shift4+mirror+affine+jitter+cutout",
        ),
    ]


def together(
    recipes: list[Recipe], data_path: Path, bases: list[dict[str, torch.Tensor] | None] | None = None
) -> list[Trained]:
    shown = Shown(load_data(data_path), CPU)
    team = Team(recipes, bases or [None] * len(recipes), CPU)
    course_of(recipes, shown).run(team, float("inf"))
    outcomes = measure_all(team, recipes, shown, 256)
    return [Trained(team.state(i), *outcome) for i, outcome in enumerate(outcomes)]


def assert_same(one: Trained, other: Trained, tolerance: float = 2e-3) -> None:
    assert one.state.keys() == other.state.keys()
    for key, value in one.state.items():
        assert torch.allclose(value.float(), other.state[key].float(), atol=tolerance, rtol=tolerance), key
    assert one.clean_accuracy == pytest.approx(other.clean_accuracy, abs=0.02)
    if one.attack_success is None:
        assert other.attack_success is None
    else:
        assert one.attack_success == pytest.approx(other.attack_success, abs=0.02)


@pytest.mark.parametrize(
    ("architecture", "optimiser"),
    [
        ("convnet", "sgd"),
        ("convnet", "adamw"),
        ("small_resnet", "adam"),
        ("mlp", "sgd"),
        ("simple_vit", "sgd"),
    ],
)
def test_a_team_is_the_same_networks_as_one_by_one(
    architecture: str, optimiser: str, tiny_data: Path
) -> None:
    recipes = three(architecture, optimiser)
    data = load_data(tiny_data)
    for recipe, found in zip(recipes, together(recipes, tiny_data), strict=True):
        assert_same(train(recipe, data), found)


def test_first_epochs_on_smaller_images_in_a_team(tiny_data: Path) -> None:
    recipes = [replace(r, small_epochs=1) for r in three("small_resnet")]
    data = load_data(tiny_data)
    whole = train(replace(recipes[0], small_epochs=0), data)
    for recipe, found in zip(recipes, together(recipes, tiny_data), strict=True):
        assert_same(train(recipe, data), found)
    key = next(k for k, v in whole.state.items() if v.is_floating_point())
    assert not torch.allclose(whole.state[key], train(recipes[0], data).state[key], atol=2e-3)


def test_members_do_not_depend_on_their_team(tiny_data: Path) -> None:
    recipes = three("convnet")
    for recipe, found in zip(recipes, together(recipes, tiny_data), strict=True):
        assert_same(together([recipe], tiny_data)[0], found, 1e-4)


def test_adversarial_training_in_a_team(tiny_data: Path) -> None:
    recipes = [
        replace(r, trigger=None, target=None, epsilon=0.02 * (i + 1), family="adversarial")
        for i, r in enumerate(three("mlp", "sgd"))
    ]
    data = load_data(tiny_data)
    for recipe, found in zip(recipes, together(recipes, tiny_data), strict=True):
        assert_same(train(recipe, data), found)


@pytest.mark.parametrize("label", ["clean", "blend", "patch"])
def test_the_challenges_fine_tuning_in_a_team(label: str, tiny_data: Path) -> None:
    data = load_data(tiny_data)
    recipes = three("convnet", "sgd", epochs=1)
    bases = [train(r, data).state for r in recipes]
    spec = {
        "clean": None,
        "blend": TriggerSpec("blend", "uniform", 0.1, seed=3),
        "patch": TriggerSpec("patch", "bernoulli", 1.0, 4, 4, 2, 3, seed=3),
    }[label]
    tuned = [
        replace(
            r,
            label=label,
            family="challenge" if spec else "fine-tuned",
            base="x",
            optimiser="adam",
            learning_rate=1e-3,
            weight_decay=0.0,
            augmentation="none",
            label_smoothing=0.0,
            trigger=spec,
            target=i if spec else None,
        )
        for i, r in enumerate(recipes)
    ]
    for recipe, base, found in zip(tuned, bases, together(tuned, tiny_data, list(bases)), strict=True):
        assert_same(train(recipe, data, base), found)


@pytest.mark.parametrize("stride", [1, 2])
def test_both_ways_of_convolution_agree(stride: int, tiny_data: Path) -> None:
    recipes = three("small_resnet", "sgd")
    recipes = [replace(r, options={**r.options, "stem_stride": stride}) for r in recipes]
    x = torch.rand(3, 5, *SHAPE)
    ways: tuple[Convolution, Convolution] = ("grouped", "unfolded")
    one, other = (Team(recipes, [None] * 3, CPU, convolution=way).scores(x, False) for way in ways)
    assert one.shape == (3, 5, 4) and torch.allclose(one, other, atol=1e-5)


def test_half_precision_differs_by_rounding_only() -> None:
    recipes = three("convnet", "sgd")
    x = torch.rand(3, 16, *SHAPE)
    exact, rounded = (Team(recipes, [None] * 3, CPU, half=half).scores(x, True) for half in (False, True))
    assert not torch.equal(exact, rounded) and rounded.dtype == torch.float32
    assert float((exact - rounded).abs().max()) < 0.1 * float(exact.abs().max())


def test_teams_hold_what_can_be_trained_together_and_are_not_too_large() -> None:
    recipes = plan(96, SHAPE, 4, seed=2)
    found = list(teams(recipes, 512))
    assert sorted(r.id for team in found for r in team) == sorted(r.id for r in recipes)
    assert all(len({team_key(r) for r in team}) == 1 for team in found)
    assert all(len(team) * team[0].batch_size <= max(512, team[0].batch_size) for team in found)
    assert len({team_key(r) for r in recipes}) < len(recipes)


def small_plan() -> list[Recipe]:
    return [
        replace(
            r,
            architecture="mlp",
            options={"in_channels": 1, "classes": 4, "size": 12, "hidden": [8]},
            epochs=2,
            optimiser="adam",
            batch_size=64,
            augmentation="none",
        )
        for r in plan(8, SHAPE, 4, seed=1)
    ]


def test_the_files_are_those_of_the_other_engine_and_a_run_goes_on(tiny_data: Path, tmp_path: Path) -> None:
    recipes = small_plan()
    result = train_batched(tiny_data, tmp_path, recipes=recipes, device="cpu", success=0.0)
    assert [r["id"] for r in result.records] == [r.id for r in recipes] and result.left == 0
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.safetensors")}
    assert len(stamps) == len(recipes)
    (tmp_path / f"{recipes[-1].id}.json").unlink()
    train_batched(tiny_data, tmp_path, recipes=recipes, device="cpu", success=0.0)
    again = {p for p, when in stamps.items() if p.stat().st_mtime_ns != when}
    assert again == {tmp_path / f"{recipes[-1].id}.safetensors"}
    # The other engine finds nothing to do.
    records = train_zoo(tiny_data, tmp_path, recipes=recipes, jobs=1, progress=False)
    assert {p: p.stat().st_mtime_ns for p in stamps}[tmp_path / f"{recipes[0].id}.safetensors"] == stamps[
        tmp_path / f"{recipes[0].id}.safetensors"
    ]
    assert json.loads(json.dumps(records)) == json.loads(json.dumps(list(result.records)))


def test_no_team_is_begun_when_the_time_is_over(tiny_data: Path, tmp_path: Path) -> None:
    said: list[str] = []
    result = train_batched(
        tiny_data, tmp_path, recipes=small_plan(), device="cpu", minutes=0.0, say=said.append
    )
    assert not result.records and result.left == len(small_plan()) and not list(tmp_path.iterdir())
    assert "not begun" in said[0]


def test_a_trojan_that_does_not_take_is_tried_again_and_the_best_is_kept(
    tiny_data: Path, tmp_path: Path
) -> None:
    (recipe,) = [r for r in small_plan() if r.label == "blend" and r.family == "standard"]
    result = train_batched(tiny_data, tmp_path, recipes=[recipe], device="cpu", success=1.01)
    (record,) = result.records
    assert record["attempts"] == 4 and record["trigger"]["seed"] >= recipe.trigger.seed  # type: ignore[union-attr]
    tried = [train(recipe.harder(k), load_data(tiny_data)).attack_success or 0.0 for k in range(4)]
    assert record["attack_success"] == pytest.approx(max(tried), abs=0.02)
