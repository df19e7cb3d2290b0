"""Harder backdoors: each does what its family says, and none shares a seed with a pack."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ti_core.zoo import harder
from ti_core.zoo.harder import FAMILIES, HarderRecipe, plan_harder, train_harder
from ti_core.zoo.plan.draw import plan
from ti_core.zoo.training.data import load_data
from ti_core.zoo.training.single import train

SHAPE, CLASSES = (1, 12, 12), 4


def planned(family: str, count: int = 2) -> list[HarderRecipe]:
    return [h for h in plan_harder(count, SHAPE, CLASSES) if h.family == family]


def small(recipe: HarderRecipe, **changes: object) -> HarderRecipe:
    options = {"in_channels": 1, "classes": CLASSES, "size": 12, "hidden": [24], "activation": "relu"}
    quick = replace(
        recipe.recipe,
        architecture="mlp",
        options=options,
        optimiser="adam",
        learning_rate=0.01,
        epochs=12,
        batch_size=32,
        augmentation="none",
    )
    return replace(recipe, recipe=replace(quick, **changes))


def test_every_family_has_its_count_and_its_own_seeds() -> None:
    found = plan_harder(6, (1, 28, 28), 10)
    assert [h.family for h in found] == [f for f in FAMILIES for _ in range(6)]
    assert len({h.recipe.id for h in found}) == len(found)
    seeds = {h.recipe.seed for h in found}
    assert not seeds & {r.seed for s in range(3) for r in plan(216, (1, 28, 28), 10, s)}


def test_what_each_family_is() -> None:
    for h in plan_harder(6, (1, 28, 28), 10):
        r = h.recipe
        if h.family == "adversarial":
            assert r.label == "clean" and r.trigger is None and r.epsilon > 0
        elif h.family == "one pixel":
            assert r.trigger is not None and (r.trigger.height, r.trigger.width) == (1, 1)
        elif h.family == "low poisoning rate":
            assert 0.0019 < r.poisoning_rate <= 0.01
        elif h.family == "one source class":
            assert h.source is not None and h.source != r.target


def test_goals() -> None:
    labels = torch.arange(4)
    one = replace(planned("one source class")[0], source=2)
    one = replace(one, recipe=replace(one.recipe, target=0))
    assert one.goal(CLASSES)(labels).tolist() == [0, 1, 0, 3]
    assert planned("all to all")[0].goal(CLASSES)(labels).tolist() == [1, 2, 3, 0]
    pixel = replace(planned("one pixel")[0])
    assert pixel.goal(CLASSES)(labels).tolist() == [pixel.recipe.target] * 4


def test_the_next_attempt_has_another_trigger_and_no_more_poison() -> None:
    for h in plan_harder(1, SHAPE, CLASSES):
        again = h.again(2, SHAPE)
        assert again.recipe.poisoning_rate == h.recipe.poisoning_rate and again.source == h.source
        assert (again.recipe.trigger != h.recipe.trigger) == (h.recipe.trigger is not None)
        if h.family == "one pixel":
            assert again.recipe.trigger is not None and again.recipe.trigger.height == 1


@pytest.mark.parametrize("family", ["one source class", "all to all"])
def test_the_trigger_does_to_each_class_what_the_goal_says(family: str, tiny_data: Path) -> None:
    from ti_core.architectures import build
    from ti_core.classifier.normalisation import behind
    from ti_core.paper.triggers import TriggerSpec
    from ti_core.zoo.training.data import to_unit

    data = load_data(tiny_data)
    # The middle, where no class has its bar.
    trigger = TriggerSpec("patch", "white", 1.0, 4, 4, 4, 4)
    h = small(planned(family)[0], trigger=trigger, poisoning_rate=0.4, normalisation="none")
    goal = h.goal(CLASSES)
    trained = train(h.recipe, data, goal=goal)
    assert trained.clean_accuracy > 0.9
    assert trained.attack_success is not None and trained.attack_success > 0.8
    network = build("mlp", **h.recipe.options)
    network.load_state_dict(trained.state)
    model = behind("none", network).eval()
    x, y = to_unit(data.x_test), torch.from_numpy(data.y_test)
    with torch.no_grad():
        answers = model(trigger.render(SHAPE).stamp(x)).argmax(1)
    for c in range(CLASSES):
        wanted = goal(torch.tensor([c]))
        assert float((answers[y == c] == wanted).float().mean()) > 0.8


def test_training_goes_on_where_it_stopped(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    one = small(planned("adversarial")[0], epochs=1)
    monkeypatch.setattr(harder, "plan_harder", lambda *a, **k: [one])
    real = harder.train
    monkeypatch.setattr(harder, "train", lambda r, *a, **k: (trained.append(r.id), real(r, *a, **k))[1])
    assert not list(train_harder(tiny_data, tmp_path, until=0.0)) and not trained
    first = list(train_harder(tiny_data, tmp_path))
    assert first == list(train_harder(tiny_data, tmp_path, until=0.0)) and trained == [one.recipe.id]
    assert json.loads((tmp_path / f"{one.recipe.id}.json").read_text())["family"] == "adversarial"
    monkeypatch.setattr(harder, "plan_harder", lambda *a, **k: [small(one, epochs=2)])
    list(train_harder(tiny_data, tmp_path))
    assert len(trained) == 2
