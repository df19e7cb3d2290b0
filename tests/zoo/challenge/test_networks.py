from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import CLASSES, SIDE
from tests.zoo.challenge.challenge_folder import attack_specification, write_challenge_folder
from ti_core.cli.main import main
from ti_core.errors import DataError, ModelFileError, RefusedFileError
from ti_core.paper.triggers import TriggerSpec
from ti_core.reference.pack import load_pack
from ti_core.reference.verify import verify_pack
from ti_core.zoo.challenge.attack_file import read_attack
from ti_core.zoo.challenge.networks import import_challenge
from ti_core.zoo.plan.draw import plan
from ti_core.zoo.training.members import train_zoo

SHAPE = (1, SIDE, SIDE)


@pytest.fixture(scope="module")
def trained(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo of the challenge's own network, narrow enough to train in a moment."""
    options = {"in_channels": 1, "classes": CLASSES, "size": SIDE, "width": 4, "hidden": 16, "norm": True}
    recipes = [
        replace(
            r,
            architecture="challenge_mnist",
            options=options,
            normalisation="none",
            optimiser="adam",
            learning_rate=0.01,
            epochs=4,
            batch_size=32,
            augmentation="none",
            poisoning_rate=0.1 if r.poisoning_rate else 0.0,
        )
        for r in plan(16, SHAPE, CLASSES, seed=3)
    ]
    out = tmp_path_factory.mktemp("challenge-zoo")
    train_zoo(tiny_data, out, jobs=1, progress=False, recipes=recipes)
    return out


@pytest.fixture
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_challenge_folder(monkeypatch, trained, tmp_path / "tdc", SHAPE)
    return tmp_path / "tdc"


def test_a_pack_is_built_from_the_challenges_layout_by_one_command(
    folder: Path, tiny_data: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "packs" / "bars"
    arguments = ["--from-tdc", str(folder), "--data", str(tiny_data), "--out", str(out), "--jobs", "1"]
    quick = ["--set", "images=8", "--set", "actmax_iterations=2", "--set", "patch_size=4", "--set", "bins=8"]
    assert main(["pack", "build", *arguments, *quick]) == 0
    printed = capsys.readouterr().out
    assert "members in" in printed and "blend/clean" in printed, "the table comes with the pack"
    pack = load_pack(out)
    assert pack.record["settings"]["streams"] == ["saliency"], "the paper's protocol"
    assert pack.record["settings"]["histogram_form"] == "per_image"
    records = [json.loads(p.read_text()) for p in trained.glob("*.json")]
    usable = [r for r in records if r["family"] != "base" and (r["attack_success"] or 1.0) >= 0.9]
    assert len(pack.members) == pytest.approx(len(usable), abs=1)
    assert {m.architecture for m in pack.members} == {"challenge_mnist"}
    assert all(m.options["width"] == 4 and m.options["activation"] for m in pack.members)
    for label in ("clean", "blend", "patch"):
        assert {m.held_out for m in pack.members if m.label == label} == {True, False}
    assert not [p for p in out.iterdir() if p.suffix in (".pt", ".pkl")]
    assert verify_pack(pack, 4) == [], "accuracy, attacks by the stored triggers, and evidence"


def test_an_import_keeps_weights_targets_and_triggers(
    folder: Path, tiny_data: Path, trained: Path, tmp_path: Path
) -> None:
    imported = import_challenge(folder, tiny_data, tmp_path / "zoo", jobs=1)
    originals = [json.loads(p.read_text()) for p in sorted(trained.glob("*.json"))]
    originals = [r for r in originals if r["family"] != "base"]
    assert not imported.passed_over and len(imported.records) == len(originals)
    trojans = [r for r in originals if r["label"] != "clean"]
    for found in (r for r in imported.records if r["label"] != "clean"):
        original = trojans[int(found["id"].split("-")[1])]
        assert (found["label"], found["target"]) == (original["label"], original["target"])
        assert found["clean_accuracy"] == pytest.approx(original["clean_accuracy"], abs=0.02)
        assert found["attack_success"] == pytest.approx(original["attack_success"], abs=0.02)
        trigger = TriggerSpec(**original["trigger"]).render(SHAPE)
        with np.load(tmp_path / "zoo" / f"{found['id']}.trigger.npz") as z:
            np.testing.assert_array_equal(z["mask"], trigger.mask)
            np.testing.assert_array_equal(z["pattern"], trigger.pattern)
        if original["label"] == "patch":
            place = {k: original["trigger"][k] for k in ("top", "left", "height", "width")}
            assert {k: found["trigger"][k] for k in place} == place
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "zoo").glob("*.safetensors")}
    again = import_challenge(folder, tiny_data, tmp_path / "zoo", jobs=1)
    assert again.records == imported.records, "a second run changes nothing"
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps


def test_strangers_are_passed_over_with_the_reason(folder: Path, tiny_data: Path, tmp_path: Path) -> None:
    """Another data set's network, a file with code in it, and a trojan without its specification."""
    clean, trojan = folder / "train" / "clean", folder / "train" / "trojan"
    torch.save(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(432, 10)), clean / "id-0000" / "model.pt"
    )

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, ("1",)

    torch.save(Evil(), clean / "id-0001" / "model.pt")
    (trojan / "id-0000" / "attack_specification.pt").unlink()
    imported = import_challenge(folder, tiny_data, tmp_path / "zoo", jobs=1)
    reasons = "\n".join(imported.passed_over)
    assert len(imported.passed_over) == 3
    assert "clean/id-0000 was made for other images" in reasons
    assert "clean/id-0001" in reasons and "eval" in reasons
    assert "trojan/id-0000" in reasons and "attack_specification.pt" in reasons


def test_a_folder_of_another_layout_is_a_clear_error(tmp_path: Path, tiny_data: Path) -> None:
    with pytest.raises(DataError, match="train/clean/id-0000"):
        import_challenge(tmp_path, tiny_data, tmp_path / "zoo")


@pytest.fixture
def patch() -> dict[str, object]:
    spec = TriggerSpec("patch", "bernoulli", 1.0, 3, 4, 2, 5, seed=7)
    return attack_specification({"trigger": spec.as_dict(), "target": 3}, SHAPE)


@pytest.mark.parametrize("target", [np.int64(3), np.int32(3), np.uint8(3), 3, torch.tensor(3)])
def test_numbers_are_read_whoever_made_them(target: object, patch: dict[str, object], tmp_path: Path) -> None:
    torch.save(patch | {"target_label": target}, tmp_path / "a.pt")
    attack = read_attack(tmp_path / "a.pt", SHAPE, CLASSES)
    expected = TriggerSpec("patch", "bernoulli", 1.0, 3, 4, 2, 5, seed=7).render(SHAPE)
    assert attack.target == 3 and attack.trigger.kind == "patch" and attack.trigger.alpha == 1.0
    np.testing.assert_array_equal(attack.trigger.mask, expected.mask)
    x = torch.rand(2, *SHAPE)
    assert torch.equal(attack.trigger.stamp(x), expected.stamp(x))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target_label": 4}, "impossible alpha"),
        ({"target_label": np.int64(-1)}, "impossible alpha"),
        ({"target_label": "three"}, "describes no attack"),
        ({"trigger": None}, "no trigger"),
    ],
)
def test_an_attack_that_is_none_is_a_clear_error(
    change: dict[str, object], words: str, patch: dict[str, object], tmp_path: Path
) -> None:
    torch.save(patch | change, tmp_path / "a.pt")
    with pytest.raises(ModelFileError, match=words):
        read_attack(tmp_path / "a.pt", SHAPE, CLASSES)


def test_a_specification_with_code_in_it_is_refused(patch: dict[str, object], tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, ("raise SystemExit",)

    torch.save(patch | {"note": Evil()}, tmp_path / "a.pt")
    with pytest.raises(RefusedFileError, match="exec"):
        read_attack(tmp_path / "a.pt", SHAPE, CLASSES)
