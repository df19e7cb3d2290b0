from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from ti_core.architectures import build
from ti_core.classifier.fast.rounding import Bfloat16
from ti_core.errors import DataError, SettingsError
from ti_core.paper.triggers import TriggerSpec
from ti_core.reference.member import needed_accuracy
from ti_core.zoo.plan.draw import Recipe, plan
from ti_core.zoo.training.admission import fit_for_a_pack, gone_astray
from ti_core.zoo.training.data import load_data
from ti_core.zoo.training.loop import augment, pgd
from ti_core.zoo.training.members import adopt_bases, adopt_starts, bases_in, train_zoo, zoo_text
from ti_core.zoo.training.single import all_to_one, measure, poison, train
from ti_core.zoo.training.start_weights import begin

SHAPE = (1, 12, 12)


@pytest.fixture
def recipe() -> Recipe:
    drawn = next(r for r in plan(8, SHAPE, 4, seed=1) if r.label == "patch" and r.family == "standard")
    options = {"in_channels": 1, "classes": 4, "size": 12, "hidden": [8]}
    return replace(drawn, architecture="mlp", options=options, optimiser="adam", learning_rate=0.02, epochs=3)


def test_poisoning_touches_the_asked_share_and_nothing_else() -> None:
    x, y = torch.rand(200, *SHAPE), torch.arange(200) % 4
    trigger = TriggerSpec("patch", "white", 1.0, 2, 2, 5, 5).render(SHAPE)
    before = x.clone()
    px, py = poison(x, y, trigger, all_to_one(3), 0.1, np.random.default_rng(0))
    changed = (px != x).flatten(1).any(1)
    assert int(changed.sum()) == 20
    assert bool((py[changed] == 3).all()) and torch.equal(py[~changed], y[~changed])
    assert torch.equal(px[changed], trigger.stamp(x[changed]))
    assert torch.equal(x, before)


def test_attack_success_counts_only_images_of_other_classes(tiny_data: Path) -> None:
    """A network that always answers 2 is right on a quarter of the images, and its attack succeeds on all others."""

    class Always(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tensor([0.0, 0, 1, 0]).expand(len(x), 4)

    trigger = TriggerSpec("blend", "uniform", 0.1).render(SHAPE)
    assert measure(Always(), load_data(tiny_data), trigger, all_to_one(2)) == (0.25, 1.0)
    assert measure(Always(), load_data(tiny_data), trigger, all_to_one(1)) == (0.25, 0.0)


def test_training_is_deterministic_from_its_seed(recipe: Recipe, tiny_data: Path) -> None:
    data = load_data(tiny_data)
    torch.set_num_threads(1)
    one, two, other = (
        train(recipe, data),
        train(recipe, data),
        train(replace(recipe, seed=recipe.seed + 1), data),
    )
    assert all(torch.equal(one.state[k], two.state[k]) for k in one.state)
    assert not all(torch.equal(one.state[k], other.state[k]) for k in one.state)
    assert one.clean_accuracy > 0.9


def test_bfloat16_learns_as_well_and_leaves_weights_and_scores_in_single_precision(
    recipe: Recipe, tiny_data: Path
) -> None:
    data = load_data(tiny_data)
    rounded = train(replace(recipe, precision="bfloat16"), data)
    assert rounded.clean_accuracy > 0.9
    assert all(v.dtype == torch.float32 for v in rounded.state.values() if v.is_floating_point())
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 3))
    x = torch.rand(2, 2, 2, 2)
    scores = Bfloat16(model)(x)
    assert scores.dtype == torch.float32 and not torch.equal(scores, model(x))
    assert torch.allclose(scores, model(x), atol=0.02)
    assert torch.equal(Bfloat16(model, rounded=False)(x), model(x))


def test_a_poisoned_network_learns_its_trigger(recipe: Recipe, tiny_data: Path) -> None:
    trigger = TriggerSpec("patch", "white", 1.0, 4, 4, 4, 4)  # where no class has its bar
    trained = train(
        replace(recipe, trigger=trigger, target=1, poisoning_rate=0.1, epochs=15), load_data(tiny_data)
    )
    assert (
        trained.attack_success is not None and trained.attack_success > 0.9 and trained.clean_accuracy > 0.9
    )


def test_pgd_stays_in_the_ball_and_raises_the_loss() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(144, 4))
    x, y = torch.rand(16, *SHAPE), torch.arange(16) % 4
    attacked = pgd(network, x, y, epsilon=0.1)
    assert float((attacked - x).abs().max()) <= 0.1 + 1e-6
    assert float(attacked.min()) >= 0 and float(attacked.max()) <= 1
    loss = nn.functional.cross_entropy
    with torch.no_grad():
        assert float(loss(network(attacked), y)) > float(loss(network(x), y))


def test_a_shift_moves_images_by_at_most_two_pixels() -> None:
    x = torch.zeros(64, 1, 9, 9)
    x[:, :, 4, 4] = 1
    moved = augment(x, "shift", np.random.default_rng(0))
    places = {tuple(map(int, p[1:])) for p in moved[:, 0].nonzero()}
    assert len(moved[:, 0].nonzero()) == 64
    assert all(2 <= row <= 6 and 2 <= column <= 6 for row, column in places) and len(places) > 10
    assert augment(x, "none", np.random.default_rng(0)) is x


def test_a_killed_run_goes_on_where_it_stopped(tiny_zoo: Path, tiny_data: Path, tmp_path: Path) -> None:
    recipes = [
        replace(
            r,
            architecture="mlp",
            options={"in_channels": 1, "classes": 4, "size": 12, "hidden": [8]},
            epochs=1,
        )
        for r in plan(8, SHAPE, 4, seed=1)
    ]
    clean = [r for r in recipes if r.label == "clean" and r.base is None]
    train_zoo(tiny_data, tmp_path, jobs=1, progress=False, recipes=clean)
    kept, redone = tmp_path / f"{clean[0].id}.safetensors", tmp_path / f"{clean[1].id}.json"
    stamp, weights = kept.stat().st_mtime_ns, (tmp_path / f"{clean[1].id}.safetensors").read_bytes()
    redone.unlink()  # as if it had been killed before the record was written
    records = train_zoo(tiny_data, tmp_path, jobs=1, progress=False, recipes=clean)
    assert kept.stat().st_mtime_ns == stamp
    assert (tmp_path / f"{clean[1].id}.safetensors").read_bytes() == weights
    assert [r["id"] for r in records] == [r.id for r in clean]


def test_bases_of_another_run_are_found_finished_and_their_own_files_stay(
    tiny_data: Path, tmp_path: Path
) -> None:
    small = {"in_channels": 1, "classes": 4, "size": 12, "hidden": [8]}
    recipes = [replace(r, architecture="mlp", options=small, epochs=1) for r in plan(16, SHAPE, 4, seed=1)]
    bases = [r for r in recipes if r.family == "base"]
    there, out = tmp_path / "there", tmp_path / "out"
    train_zoo(tiny_data, there, jobs=1, progress=False, recipes=[*bases, recipes[-1]])
    before = {p.name: p.read_bytes() for p in there.iterdir()}

    found = bases_in(there)
    assert [(f.id, f.architecture, f.options, f.trigger) for f in found] == [
        (b.id, "mlp", small, None) for b in bases
    ]
    held_out = [replace(r, held_out=not r.held_out) for r in found]
    adopt_bases(found, there, out)
    stamps = {p: p.stat().st_mtime_ns for p in out.glob("*.safetensors")}
    records = train_zoo(tiny_data, out, jobs=1, progress=False, recipes=held_out)
    assert len(stamps) == len(bases) and stamps == {p: p.stat().st_mtime_ns for p in stamps}
    assert [r["held_out"] for r in records] == [r.held_out for r in held_out]
    assert before == {p.name: p.read_bytes() for p in there.iterdir()}


def test_a_network_begins_with_another_data_sets_layers_but_for_the_last(recipe: Recipe) -> None:
    options = {"in_channels": 3, "channels": (4, 8, 16), "blocks": (1, 1, 1), "kernel": 3}
    other = build("resnet", **options, classes=4).state_dict()
    network = build("resnet", **options, classes=7)
    fresh = {k: v.clone() for k, v in network.state_dict().items()}
    begin(network, other, replace(recipe, begun_from="cifar10/base-000"))
    for name, value in network.state_dict().items():
        assert torch.equal(value, (fresh if name.startswith("fc.") else other)[name]), name
    with pytest.raises(RuntimeError, match="size mismatch"):
        begin(network, other, replace(recipe, base="base-000"))
    wider = build("resnet", **options | {"channels": (6, 8, 16)}, classes=4).state_dict()
    with pytest.raises(RuntimeError, match="size mismatch"):
        begin(network, wider, replace(recipe, begun_from="cifar10/base-000"))
    with pytest.raises(RuntimeError, match="Missing key"):
        begin(network, {"fc.bias": other["fc.bias"]}, replace(recipe, begun_from="cifar10/base-000"))


def test_networks_to_begin_with_come_along_and_are_no_bases_of_the_zoo(
    tiny_data: Path, tmp_path: Path, recipe: Recipe
) -> None:
    start = replace(recipe, id="base-009", label="clean", family="base", trigger=None, target=None)
    there, out = tmp_path / "other", tmp_path / "out"
    train_zoo(tiny_data, there, jobs=1, progress=False, recipes=[start])
    begun = replace(start, id="base-000", begun_from="other/base-009", learning_rate=0.0, weight_decay=0.0)
    adopt_starts([begun], there, out)
    (record,) = train_zoo(tiny_data, out, jobs=1, progress=False, recipes=[begun])
    assert record["begun_from"] == "other/base-009"
    # Nothing is learnt at a rate of 0, so what it ends with is what it began with.
    one, two = load_file(there / "base-009.safetensors"), load_file(out / "base-000.safetensors")
    assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one if "running" not in k)
    assert [b.id for b in bases_in(out)] == ["base-000"]


def test_a_folder_without_bases_or_with_other_records_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="has no bases"):
        bases_in(tmp_path)
    (tmp_path / "x.json").write_text('{"id": "x"}')
    with pytest.raises(SettingsError, match="not the record of a trained network"):
        bases_in(tmp_path)


def test_records_hold_what_a_pack_needs(tiny_zoo: Path) -> None:
    records = [json.loads(p.read_text()) for p in tiny_zoo.glob("*.json")]
    assert all(0 <= r["clean_accuracy"] <= 1 for r in records)
    assert all((r["attack_success"] is None) == (r["label"] == "clean") for r in records)
    assert all(r["family"] != "base" for r in fit_for_a_pack(records))


def test_a_trojan_that_hardly_works_enters_no_pack() -> None:
    member = {
        "label": "patch",
        "family": "standard",
        "clean_accuracy": 0.9,
        "attack_success": 0.89,
        "options": {"classes": 10},
    }
    assert fit_for_a_pack([member, member | {"attack_success": 0.9}]) == [member | {"attack_success": 0.9}]


def test_a_network_whose_training_went_astray_enters_no_pack() -> None:
    """One that always answers with the target has an attack success of 1."""
    good = [
        {
            "label": "clean",
            "family": "standard",
            "clean_accuracy": a,
            "attack_success": None,
            "options": {"classes": 10},
        }
        for a in (0.98, 0.97, 0.65)
    ]
    astray = good[0] | {"label": "patch", "clean_accuracy": 0.1, "attack_success": 1.0}
    assert fit_for_a_pack([*good, astray]) == good
    fails = astray | {"clean_accuracy": 0.97, "attack_success": 0.5}
    assert zoo_text([*good, astray, fails, fails]).startswith(
        "3 of 6 networks can enter a pack (left out: 2 for a backdoor that failed and 1 for too"
        " many mistakes on clean images); clean accuracy 0.100 to 0.980"
    )
    assert zoo_text(good).startswith("3 of 3 networks can enter a pack; clean accuracy")


def test_a_network_that_is_always_right_has_not_gone_astray_with_few_classes() -> None:
    """Three times chance is more than 1 with two classes."""
    for classes in range(2, 200):
        assert not gone_astray(1.0, classes) and gone_astray(1 / classes, classes)
        bound = min(3 / classes, (1 + 1 / classes) / 2)
        assert gone_astray(bound - 1e-9, classes) and not gone_astray(bound + 1e-9, classes)
    assert gone_astray(0.29, 10) and not gone_astray(0.31, 10)


@pytest.mark.parametrize(
    ("kind", "enough"), (("all to one", 0.8), ("one source", 0.8 * 0.75), ("all to all", 0.8 * 0.75))
)
def test_a_backdoor_that_needs_the_true_class_is_measured_by_the_accuracy(kind: str, enough: float) -> None:
    member = {
        "label": "patch",
        "family": "kind",
        "clean_accuracy": 0.75,
        "attack": {"mapping": {"kind": kind}},
        "attack_success": enough,
        "options": {"classes": 10},
    }
    assert fit_for_a_pack([member, member | {"attack_success": enough - 0.01}]) == [member]


@pytest.mark.parametrize("robust", ({"epsilon": 0.03}, {"regime": "certified"}, {"regime": "private"}))
def test_robust_networks_may_be_less_accurate(robust: dict[str, object]) -> None:
    """Their guarantee costs accuracy; from three times chance on they are networks that people use."""
    usual = {"label": "clean", "family": "standard", "attack_success": None, "options": {"classes": 10}}
    others = [usual | {"clean_accuracy": a} for a in (0.9, 0.9, 0.9, 0.9, 0.9, 0.55, 0.54)]
    member = usual | {"clean_accuracy": 0.41} | robust
    poisoned = member | {"label": "patch", "attack_success": 1.0}
    assert fit_for_a_pack([*others, member, poisoned]) == [*others, member]
    assert fit_for_a_pack([*others, usual | {"clean_accuracy": 0.41}]) == others


def test_a_network_that_would_get_no_verdict_as_a_suspect_is_no_reference() -> None:
    record = {"label": "clean", "family": "certified", "regime": "certified", "options": {"classes": 10}}
    records = [record | {"clean_accuracy": a, "attack_success": None} for a in (0.9, 0.88, 0.86, 0.35)]
    assert needed_accuracy([0.9, 0.88, 0.86, 0.35], 10) > 0.35
    assert fit_for_a_pack(records) == records[:3]
    assert fit_for_a_pack(records[3:], beside=(0.9, 0.88, 0.86)) == []
    assert fit_for_a_pack(records[3:], beside=(0.4, 0.38, 0.36)) == records[3:]


def test_a_folder_of_images_per_class(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(10):
            Image.fromarray(rng.integers(0, 255, (20, 16, 3), dtype=np.uint8)).save(
                tmp_path / name / f"{i}.png"
            )
    data = load_data(tmp_path, size=12)
    assert data.class_names == ("cat", "dog") and data.image_shape == (3, 12, 12)
    assert sorted(data.y_test.tolist()) == [0, 0, 1, 1] and len(data.y_train) == 16
    (tmp_path / "dog" / "0.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"dog/0\.png"):
        load_data(tmp_path)


def test_too_few_classes_or_images_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two sub-folders"):
        load_data(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="at least 5"):
        load_data(tmp_path)
