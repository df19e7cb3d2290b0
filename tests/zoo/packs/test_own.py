from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import CLASSES, SIDE, synthetic
from ti_core.cli.main import main
from ti_core.errors import SettingsError
from ti_core.reference.pack import load_pack
from ti_core.reference.verify import verify_pack
from ti_core.settings import Settings
from ti_core.zoo.packs import own
from ti_core.zoo.packs.build import pack_images
from ti_core.zoo.packs.estimate import estimate
from ti_core.zoo.packs.own import LEAST_POISONED, LEAST_STEPS, plan_for
from ti_core.zoo.plan.own_menu import fitting_options, menu_of, parse_architecture
from ti_core.zoo.training.data import ImageData, load_data, to_unit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bars as image files, one sub-folder per class."""
    from PIL import Image

    root = tmp_path_factory.mktemp("bars")
    images, labels = synthetic(160, 5)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (root / f"bar {label}").mkdir(exist_ok=True)
        Image.fromarray(image).save(root / f"bar {label}" / f"{i:03d}.png")
    return root


def test_a_folder_of_images_becomes_a_pack_by_one_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Bars are learnt sooner than the images that the limit is made for.
    monkeypatch.setattr(own, "LEAST_STEPS", 100)
    out = tmp_path / "packs" / "mine"
    arguments = [
        "--data",
        str(folder),
        "--size",
        str(SIDE),
        "--out",
        str(out),
        "--count",
        "24",
        "--jobs",
        "1",
    ]
    quick = ["--set", "streams=saliency", "--set", "images=8", "--set", "actmax_iterations=2"]
    quick += ["--set", "patch_size=4", "--architecture", "mlp:hidden=24,norm=true"]
    assert main(["pack", "build", *arguments, *quick]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith(f"{folder.name}: 4 classes, 128 images to train and 32 to test")
    assert "Class bar 0 has 40 images" in said.err and "--count 64 is enough" in said.err
    assert "rows rest on fewer than 5" in said.err
    assert lines[1].startswith("This will take about ") and "training" in lines[1]
    assert "can enter a pack" in lines[2] and any("members in" in line for line in lines)
    pack = load_pack(out)
    assert pack.class_names == ("bar 0", "bar 1", "bar 2", "bar 3") and pack.input_shape == (1, SIDE, SIDE)
    assert {m.architecture for m in pack.members} == {"mlp"}
    assert all(m.options["hidden"] == [24] and m.options["norm"] is True for m in pack.members)
    assert verify_pack(pack, 2) == []
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "packs" / "mine-zoo").glob("*.safetensors")}
    assert main(["pack", "build", *arguments, *quick]) == 0
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps, "what is trained is not trained again"
    assert "; 27 are trained already and are used again." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mlp", ("mlp", {})),
        ("mlp:hidden=32-16,norm=true", ("mlp", {"hidden": (32, 16), "norm": True})),
        ("convnet:channels=8-16-24,pool=mean", ("convnet", {"channels": (8, 16, 24), "pool": "mean"})),
        ("simple_vit:dim=64,depth=2", ("simple_vit", {"dim": 64, "depth": 2})),
    ],
)
def test_an_architecture_is_read(text: str, expected: tuple[str, dict[str, object]]) -> None:
    assert parse_architecture(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("neocognitron", "Architecture 'neocognitron' is unknown; known are"),
        ("mlp:width=3", "takes option=value of hidden, norm, activation, not 'width=3'"),
        ("mlp:classes=3", "not 'classes=3'"),
        ("mlp:hidden", "not 'hidden'"),
        ("mlp:hidden=wide", "its default is 64-64"),
        ("mlp:norm=maybe", "cannot be 'maybe'"),
    ],
)
def test_a_wrong_architecture_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        parse_architecture(text)


def test_every_recipe_has_options_that_its_architecture_takes(tiny_data: Path) -> None:
    """Transformers and wide residual networks take neither an activation nor a size."""
    data = _sized(load_data(tiny_data), 16)
    given = [
        "simple_vit:dim=32,depth=1,mlp_dim=32,inner=32,dim_head=16,patch=4",
        "wide_resnet:blocks=1,channels=8-8-16-32",
    ]
    recipes = plan_for(data, [*given, "small_resnet:channels=8-8,activation=gelu"], 16, 0)
    assert {r.architecture for r in recipes} == {"simple_vit", "wide_resnet", "small_resnet"}
    for r in recipes:
        if r.architecture == "small_resnet":
            assert r.options["activation"] == "gelu"
        else:
            assert not {"activation", "size"} & set(r.options)


def _sized(data: ImageData, side: int) -> ImageData:
    pad = ((0, 0), (0, 0), (0, side - SIDE), (0, side - SIDE))
    return replace(data, x_train=np.pad(data.x_train, pad), x_test=np.pad(data.x_test, pad))


def test_options_that_make_no_network_for_the_images_are_said_at_once(tiny_data: Path) -> None:
    with pytest.raises(SettingsError, match="makes no network for images of 1 x 12 x 12"):
        plan_for(load_data(tiny_data), ["simple_vit:patch=5"], 8, 0)


def test_few_images_get_small_batches_and_enough_steps(tiny_data: Path) -> None:
    data = load_data(tiny_data)
    few = replace(data, x_train=data.x_train[:40], y_train=data.y_train[:40])
    for r in plan_for(few, ["mlp"], 16, 0):
        steps = r.epochs * -(-len(few.x_train) // r.batch_size)
        assert steps >= LEAST_STEPS and r.batch_size <= 5
        assert not r.poisoning_rate or r.poisoning_rate == pytest.approx(min(0.1, LEAST_POISONED / 40))


def test_the_users_options_win_over_what_was_drawn() -> None:
    menu = menu_of(["mlp:activation=tanh"], (1, SIDE, SIDE))
    from ti_core.zoo.plan.draw import plan

    for r in plan(8, (1, SIDE, SIDE), CLASSES, 0, menu):
        settled = fitting_options(r, (1, SIDE, SIDE), ["mlp:activation=tanh"])
        assert settled.options["activation"] == "tanh" and settled.options["size"] == SIDE


def test_the_estimate_grows_with_the_work_and_shrinks_with_the_cores(
    tiny_data: Path, tiny_settings: Settings
) -> None:
    data = load_data(tiny_data)
    images, labels = pack_images(data)
    recipes = plan_for(data, ["mlp:hidden=16"], 8, 0)
    settings = tiny_settings.with_(streams=("saliency",))

    def measured(jobs: int, epochs: int) -> tuple[float, float]:
        import torch

        plan = [replace(r, epochs=epochs) for r in recipes]
        found = estimate(plan, data, to_unit(images), torch.from_numpy(labels), settings, jobs)
        return found.training, found.evidence

    short, long, shared = measured(1, 10), measured(1, 10_000), measured(4, 10_000)
    assert long[0] > 20 * short[0] > 0 and short[1] > 0
    assert shared[0] < long[0]


def test_every_class_has_images_in_a_pack() -> None:
    """Of a hundred classes each has four, of ten twenty-five, of few images all."""
    for classes, a_class, expected in ((100, 20, 4), (43, 60, 5), (10, 500, 25), (10, 2, 2)):
        y = np.repeat(np.arange(classes), a_class)
        x = np.zeros((len(y), 1, 4, 4), np.uint8)
        names = tuple(map(str, range(classes)))
        _, labels = pack_images(ImageData("x", x, y, x, y, names))
        assert np.bincount(labels).tolist() == [expected] * classes
