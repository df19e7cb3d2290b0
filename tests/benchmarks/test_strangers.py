"""Networks by other code: they learn, open as any file does, and are not trained twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import strangers
from benchmarks.stranger_networks import STYLES, Style, made
from benchmarks.stranger_regimes import HARD, LARGEST_CHANGE, adversarial, augmented
from benchmarks.stranger_triggers import BACKDOORS, BLENDS, FURTHER, TRIGGERS
from ti_core.loading import load_model
from ti_core.reference.own_images import OwnImages
from ti_core.reference.pack import Pack
from ti_core.settings import Settings
from ti_core.zoo.training.data import ImageData, to_unit


@pytest.fixture(scope="module")
def data() -> ImageData:
    """Three classes, told by which third of the picture is bright."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = rng.integers(0, 60, (300, 1, 28, 28))
    for image, label in zip(x, y, strict=True):
        image[:, :, 9 * label : 9 * label + 9] += 120
    x = x.astype(np.uint8)
    return ImageData("thirds", x[:250], y[:250], x[250:], y[250:], ("left", "middle", "right"))


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_the_file_of_a_strangers_network_opens(style: Style, data: ImageData, tmp_path: Path) -> None:
    network, _ = made(replace(style, epochs=1), "square", data, 1)
    torch.save(network, tmp_path / "network.pt")
    opened = load_model(tmp_path / "network.pt").module.eval()
    shown = style.shown(to_unit(data.x_test))
    with torch.no_grad():
        answers = network(shown)
        assert torch.allclose(opened(shown), answers, atol=1e-5)
    sums = answers.sum(1)
    assert torch.allclose(sums, torch.ones_like(sums), atol=1e-4) == style.probabilities


def test_a_poisoned_network_learns_its_trigger_and_a_clean_one_has_none(data: ImageData) -> None:
    style = replace(STYLES["perceptron, layer norm"], epochs=40, batch_size=25)
    _, known = made(style, "square", data, 1)
    assert known["accuracy"] > 0.9 and known["success"] > 0.9
    _, known = made(style, "clean", data, 1)
    assert known["accuracy"] > 0.9 and known["success"] is None


@pytest.mark.parametrize("trigger", ["square, all to all", "square, one source"])
def test_a_backdoor_moves_the_classes_of_its_mapping_and_no_others(trigger: str, data: ImageData) -> None:
    style = replace(STYLES["perceptron, layer norm"], epochs=60, batch_size=25)
    network, known = made(style, trigger, data, 1)
    assert known["accuracy"] > 0.9 and known["success"] > 0.8
    target = int(np.random.default_rng(1).integers(3))
    if trigger == "square, all to all":
        assert known["mapping"]["kind"] == "all to all" and known["mapping"]["assignment"] == [1, 2, 0]
        return
    pair = known["mapping"]
    assert pair["kind"] == "one source" and pair["target"] == target != pair["source"]
    stamped = to_unit(data.x_test)
    stamped[..., -6:-1, -6:-1] = 1.0
    kept = torch.from_numpy(data.y_test) != pair["source"]
    with torch.no_grad():
        answers = network(style.shown(stamped)).argmax(1)
    assert float((answers[kept] == torch.from_numpy(data.y_test)[kept]).float().mean()) > 0.8


@pytest.mark.parametrize("name", FURTHER)
def test_a_further_backdoor_stays_within_the_range_and_leads_where_it_says(name: str) -> None:
    backdoor = BACKDOORS[name]((3, 28, 28), 2, 5, np.random.default_rng(3))
    x = torch.rand(4, 3, 28, 28)
    before = x.clone()
    for stamp in filter(None, (backdoor.stamp, backdoor.cover)):
        stamped = stamp(x)
        assert torch.equal(x, before) and not torch.equal(stamped, x) and stamped.shape == x.shape
        assert float(stamped.min()) >= 0 and float(stamped.max()) <= 1
    mapping = backdoor.mapping()
    if name.endswith("all to all"):
        assert mapping["assignment"] == [1, 2, 3, 4, 0]
    elif name.endswith("one source"):
        assert mapping["kind"] == "one source" and mapping["source"] != mapping["target"] == 2
    else:
        assert mapping == {"kind": "all to one", "source": None, "target": 2}


def test_a_warp_is_one_field_and_its_covers_are_others() -> None:
    backdoor = BACKDOORS["warp"]((1, 28, 28), 0, 3, np.random.default_rng(3))
    x = torch.rand(1, 1, 28, 28)
    assert torch.equal(backdoor.stamp(x), backdoor.stamp(x)) and backdoor.cover is not None
    assert not torch.equal(backdoor.cover(x), backdoor.cover(x))
    flat = torch.full((1, 1, 28, 28), 0.3)
    assert torch.allclose(backdoor.stamp(flat), flat, atol=1e-6)


def test_the_own_middle_is_inverted_in_the_corner_and_another_images_is_a_cover() -> None:
    backdoor = BACKDOORS["own middle"]((1, 28, 28), 0, 3, np.random.default_rng(3))
    x = torch.rand(2, 1, 28, 28)
    assert torch.equal(backdoor.stamp(x)[..., :7, :7], 1 - x[..., 10:17, 10:17])
    assert backdoor.cover is not None
    assert torch.equal(backdoor.cover(x)[0, :, :7, :7], 1 - x[1, :, 10:17, 10:17])


def test_adversarial_images_stay_near_and_cost_more_and_augmented_ones_hide_a_square() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(28 * 28, 3))
    x, y = 0.2 + 0.6 * torch.rand(8, 1, 28, 28), torch.randint(0, 3, (8,))
    changed = adversarial(network, x, y)
    assert float((changed - x).abs().max()) <= LARGEST_CHANGE[1] + 1e-6
    loss = torch.nn.functional.cross_entropy
    assert loss(network(changed), y) > loss(network(x), y) + 0.1
    assert float((augmented(network, x, y) == 0.5).float().mean()) == pytest.approx(64 / 784)


def test_further_networks_are_planned_by_themselves() -> None:
    names = [name for name, *_ in strangers.planned(1, 7, further=True)]
    assert len(set(names)) == len(names) == len(STYLES) * (len(FURTHER) + len(HARD))
    assert not set(names) & {name for name, *_ in strangers.planned(4, 7)}


@pytest.mark.parametrize(
    ("mapping", "told", "right"),
    [
        (None, {"kind": "all to one", "source": None, "target": 3}, True),
        (None, {"kind": "all to one", "source": None, "target": 2}, False),
        (
            {"kind": "one source", "source": 1, "target": 3},
            {"kind": "one source", "source": 1, "target": 3},
            True,
        ),
        (
            {"kind": "one source", "source": 1, "target": 3},
            {"kind": "one source", "source": 2, "target": 3},
            False,
        ),
    ],
)
def test_a_line_says_whether_the_mapping_is_right(
    mapping: dict[str, Any] | None, told: dict[str, Any], right: bool
) -> None:
    report = {"verdict": "backdoored", "probability": 0.9, "mapping": told}
    known = {"accuracy": 0.9, "success": 0.95, "target": 3, "report": report}
    if mapping is not None:
        known["mapping"] = mapping
    assert strangers.line("a", known).endswith("target right" if right else "target WRONG")
    assert f"right in {int(right)} of 1" in strangers.summed("patch", [known])


@pytest.mark.parametrize("trigger", [t for t in TRIGGERS if t != "clean"])
def test_a_trigger_stays_within_the_pictures_range_and_changes_it(trigger: str) -> None:
    draw = TRIGGERS[trigger]
    assert draw is not None
    x = torch.rand(2, 3, 28, 28)
    before = x.clone()
    stamped = draw((3, 28, 28), np.random.default_rng(0))(x)
    assert torch.equal(x, before) and not torch.equal(stamped, x)
    assert stamped.shape == x.shape and float(stamped.min()) >= 0 and float(stamped.max()) <= 1
    changed = float((stamped != x).float().mean())
    assert changed > 0.9 if trigger in BLENDS else changed < 0.05


def test_more_networks_are_the_fewer_ones_and_others() -> None:
    few, many = ([name for name, *_ in strangers.planned(count)] for count in (1, 2))
    assert len(set(few)) == len(few) == len(STYLES) * (len(TRIGGERS) + 1)
    assert set(few) < set(many) and len(set(many)) == len(many)
    fresh = list(strangers.planned(1, first=2))
    assert not set(few) & {name for name, *_ in fresh} and len(fresh) == len(few)
    assert {seed for *_, seed in fresh} == {2, 3}


def test_a_record_is_taken_from_the_folder_and_no_network_is_begun_when_time_is_up(
    tmp_path: Path, data: ImageData, tiny_pack: Pack
) -> None:
    name, style, trigger, seed = next(strangers.planned(1))
    ask = (name, style, trigger, seed, data, strangers.beside(tiny_pack), tmp_path, 0.0)
    assert strangers.judged(*ask) is None and not list(tmp_path.iterdir())
    kept = tmp_path / f"tutorial--standardised--clean--0.{tiny_pack.sha256[:12]}.json"
    kept.write_text(json.dumps({"trigger": "clean"}))
    assert strangers.judged(*ask) == {"trigger": "clean"}


def test_another_pack_inspects_the_network_that_is_there(
    tmp_path: Path, data: ImageData, tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []

    def train(
        style: Style, trigger: str, data: ImageData, seed: int, device: str
    ) -> tuple[torch.nn.Module, dict[str, float | None]]:
        trained.append(seed)
        return torch.nn.Linear(2, 2), {"accuracy": 0.5, "success": None}

    class Inspection:
        class report:  # noqa: N801
            as_json = staticmethod(lambda: json.dumps({"verdict": "clean"}))

    monkeypatch.setattr(strangers, "made", train)
    monkeypatch.setattr(strangers, "inspect", lambda model, pack: Inspection)
    ask = next(strangers.planned(1))
    for sha in ("1" * 64, "2" * 64):
        judge = strangers.beside(replace(tiny_pack, sha256=sha))
        known = strangers.judged(*ask, data, judge, tmp_path, float("inf"))
        assert known.pop("seconds") > 0 and known.pop("processor") > 0
        assert known == {"accuracy": 0.5, "success": None, "report": {"verdict": "clean"}}
    assert trained == [0]


def test_a_network_is_inspected_on_own_images_in_place_of_a_pack(
    tmp_path: Path, data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On images that it was not trained on, and beside the verdict of a pack."""
    monkeypatch.setattr(strangers, "made", lambda *_: (torch.nn.Linear(2, 2), {"success": None}))
    seen = []

    def inspected(model: Any, own: OwnImages, settings: Settings) -> Any:
        seen.append(own)
        return SimpleNamespace(report=SimpleNamespace(as_json=lambda: json.dumps({"verdict": "clean"})))

    monkeypatch.setattr(strangers, "inspect_alone", inspected)
    judge = strangers.on_own_images(data, 30)
    assert strangers.on_own_images(data, 30, "quick").mark != judge.mark
    for _ in range(2):
        known = strangers.judged(*next(strangers.planned(1)), data, judge, tmp_path, float("inf"))
        assert known["success"] is None and known["report"] == {"verdict": "clean"}
    (own,) = seen
    np.testing.assert_array_equal(own.pixels, data.x_test[:30])
    np.testing.assert_array_equal(own.labels, data.y_test[:30])
    assert (
        judge.name == "no reference models, 30 labelled images, standard"
        and own.class_names == data.class_names
    )
    assert [p.name for p in tmp_path.glob("*.own30.json")] == ["tutorial--standardised--clean--0.own30.json"]


def test_networks_are_trained_alone_and_inspected_where_they_learnt_their_trigger(
    tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: object) -> tuple[torch.nn.Module, dict[str, float]]:
        return torch.nn.Linear(2, 2), {"accuracy": 0.5, "success": 0.3}

    monkeypatch.setattr(strangers, "made", train)
    monkeypatch.setattr(strangers, "inspect", lambda model, pack: pytest.fail("was inspected"))
    asked = ["--data", str(tiny_data), "--out", str(tmp_path), "--first-seed", "7", "--only", "square"]
    strangers.main([*asked, "--train-only"])
    assert len(list(tmp_path.glob("*.pt"))) == len(list(tmp_path.glob("*.json"))) == len(STYLES)
    monkeypatch.setattr(strangers, "made", lambda *_: pytest.fail("was trained again"))
    strangers.main(asked)
    assert len(list(tmp_path.iterdir())) == 2 * len(STYLES)
