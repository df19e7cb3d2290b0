from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ti_core.cli.main import main
from ti_core.errors import DataError, PackError, SettingsError
from ti_core.zoo.packs import own
from ti_core.zoo.packs.build import build_pack
from ti_core.zoo.packs.enough import check_images, check_members, check_plan
from ti_core.zoo.packs.own import build_own_pack, plan_for
from ti_core.zoo.plan.recipe import Recipe
from ti_core.zoo.training.data import ImageData, load_data
from ti_core.zoo.training.members import keep_record, recipe_digest


@pytest.fixture(scope="module")
def data(tiny_data: Path) -> ImageData:
    return load_data(tiny_data)


def of(data: ImageData, train: list[int], test: list[int]) -> ImageData:
    """The data with so many images of each class."""
    y, z = np.repeat(np.arange(4), train), np.repeat(np.arange(4), test)
    return replace(data, x_train=data.x_train[: len(y)], y_train=y, x_test=data.x_test[: len(z)], y_test=z)


def test_every_class_needs_images_to_train_and_to_test_with(data: ImageData) -> None:
    assert check_images(of(data, [100] * 4, [9] * 4)) == []
    (little,) = check_images(of(data, [90, 90, 40, 90], [30, 30, 2, 30]))
    assert little.startswith("Class left has 42 images.") and "100 images a class" in little
    with pytest.raises(DataError, match=r"at least 4 images .* 1 to test with; bottom has 3 and 5\."):
        check_images(of(data, [90, 3, 40, 90], [5] * 4))
    with pytest.raises(DataError, match="right has 90 and 0"):
        check_images(of(data, [90] * 4, [5, 5, 5, 0]))


def test_data_whose_labels_do_not_fit_are_refused(tiny_data: Path, tmp_path: Path) -> None:
    sound = dict(np.load(tiny_data))
    for change, words in (
        ({"y_train": sound["y_train"][:-1]}, "y_train must be one whole number for each image"),
        ({"y_test": sound["y_test"] + 1}, "y_test has labels that are none of the 4 class_names"),
        ({"y_test": sound["y_test"].astype(float)}, "y_test must be one whole number"),
        ({"x_test": sound["x_test"][:, :9]}, "different sizes"),
    ):
        np.savez(tmp_path / "odd.npz", **{**sound, **change})
        with pytest.raises(DataError, match=words):
            load_data(tmp_path / "odd.npz")


def drawing(data: ImageData) -> Callable[[int], list[Recipe]]:
    return lambda count: plan_for(data, ["mlp:hidden=8"], count, 0)


def test_a_plan_says_what_its_table_will_rest_on(data: ImageData) -> None:
    draw = drawing(data)
    (none,) = check_plan(draw(8), 8, draw)
    assert "1 clean, no blend and no patch networks" in none and "--count 64 is enough." in none
    (little,) = check_plan(draw(24), 24, draw)
    assert "4 clean, 2 blend and 2 patch networks" in little and "fewer than 5" in little
    assert check_plan(draw(64), 64, draw) == []
    held = [replace(r, held_out=True) for r in draw(8)]
    with pytest.raises(
        PackError, match=r"only no clean, no blend and no patch to fit to.*--count 16 is enough"
    ):
        check_plan(held, 8, draw)


def records(
    recipes: list[Recipe], success: Callable[[Recipe], float] = lambda r: 1.0
) -> list[dict[str, Any]]:
    return [
        r.as_dict()
        | {"clean_accuracy": 0.9, "attack_success": None if r.label == "clean" else success(r), "attempts": 1}
        for r in recipes
    ]


def test_networks_that_are_too_few_are_said_with_a_reason_and_a_remedy(
    data: ImageData, tmp_path: Path
) -> None:
    recipes = drawing(data)(24)
    assert len(check_members(tmp_path, records(recipes))) == 24
    weak = records(recipes, lambda r: 0.3 if r.label == "blend" else 1.0)
    with pytest.raises(PackError) as caught:
        check_members(tmp_path, weak)
    sentence = str(caught.value)
    assert "only no blend to fit to" in sentence and "6 of 6 blend networks" in sentence
    assert "Raise --count to 104: what is trained is kept." in sentence and "larger architecture" in sentence
    with pytest.raises(PackError, match=r"no clean, no blend and no patch.*Train networks with zoo train"):
        check_members(tmp_path, [])
    with pytest.raises(PackError, match="kinds that a pack cannot hold: magic"):
        check_members(tmp_path, [weak[0] | {"label": "magic", "family": "standard"}])


def test_a_zoo_without_a_kind_is_refused_before_any_evidence(
    data: ImageData, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CatBoost would end with a traceback of its own: it cannot fit one class."""
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    for record in records([r for r in drawing(data)(16) if r.label != "patch"]):
        keep_record(record, zoo / f"{record['id']}.json")
    out = ["--out", str(tmp_path / "pack")]
    assert main(["pack", "build", "--zoo", str(zoo), "--data", str(tiny_data), *out]) == 2
    error = capsys.readouterr().err
    assert "only no patch to fit to" in error and error.count("\n") == 1
    assert not (tmp_path / "pack").exists()
    with pytest.raises(SettingsError, match="cannot be named 'a pack'"):
        build_pack(zoo, tiny_data, tmp_path / "a pack")


def train(recipes: list[Recipe], zoo: Path) -> None:
    """Records as the training leaves them, without its work."""
    zoo.mkdir(exist_ok=True)
    for recipe, record in zip(recipes, records(recipes), strict=True):
        keep_record(record | {"plan_digest": recipe_digest(recipe)}, zoo / f"{recipe.id}.json")


def test_the_command_says_before_the_training_what_is_little_and_what_is_used_again(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    warned: list[str] = []
    planned: list[list[Recipe]] = []

    def no_training(*_: Any, recipes: list[Recipe], **__: Any) -> list[dict[str, Any]]:
        planned.append(recipes)
        train(recipes, tmp_path / "mine-zoo")
        return records(recipes)

    monkeypatch.setattr(own, "train_zoo", no_training)
    monkeypatch.setattr(own, "build_pack", lambda *_: None)

    def build(count: int) -> None:
        said.clear()
        warned.clear()
        build_own_pack(
            *(tiny_data, tmp_path / "mine", ["mlp:hidden=8"]),
            count=count,
            say=said.append,
            warn=warned.append,
        )

    build(16)
    assert "18 networks will be trained" in said[0] and "again" not in said[0]
    assert any("Table 1 will rest on 3 clean, 2 blend and 2 patch networks" in line for line in warned)
    build(64)
    assert "54 networks will be trained" in said[0] and "; 18 are trained already" in said[0]
    assert warned == [] and len(planned[-1]) == 72
    build(64)
    assert "0 networks will be trained" in said[0] and "; 72 are trained already" in said[0]
    assert json.loads((tmp_path / "mine-zoo" / "zoo.plan").read_text())["counts"] == [16, 48]
