from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.packs import with_other_evidence
from ti_core.cli.main import main
from ti_core.errors import PackError, SettingsError
from ti_core.reference import verify
from ti_core.reference.choosing import fitting_packs
from ti_core.reference.families import HARD_NEGATIVES
from ti_core.reference.pack import PACKS, Pack, file_digest, load_pack, pack_names
from ti_core.reference.reference import Reference
from ti_core.reference.verify import check_files, chosen_members, verify_pack
from ti_core.settings import Settings
from ti_core.system.cache import Cache


def test_a_pack_holds_what_its_format_says(tiny_pack: Pack) -> None:
    assert sorted(p.name for p in tiny_pack.folder.iterdir()) == [
        "baseline.npz",
        "detector-kind.cbm",
        "images.npz",
        "pack.json",
        "saliency-kind.cbm",
        "saliency.cbm",
        "zoo.safetensors",
    ]
    assert tiny_pack.images.shape[1:] == tiny_pack.input_shape and len(tiny_pack.labels) == len(
        tiny_pack.images
    )
    for stream in tiny_pack.baseline.values():
        assert all(len(v) == len(tiny_pack.members) for v in stream.values())
    for m in tiny_pack.members:
        assert m.trojaned == (m.trigger is not None) == (m.attack_success is not None)
        assert m.attack_success is None or m.attack_success >= 0.9


def test_members_classify_as_well_as_recorded(tiny_pack: Pack) -> None:
    member = tiny_pack.members[0]
    accuracy = float(
        (tiny_pack.scores(member)(tiny_pack.images).argmax(1) == tiny_pack.labels).float().mean()
    )
    assert abs(accuracy - member.clean_accuracy) < 0.05


@pytest.mark.parametrize(
    ("classes", "usual", "needed"), [(10, 0.98, 0.60), (100, 0.5, 0.29), (2, 0.9, 0.73), (43, 0.02, 0.02)]
)
def test_how_well_a_suspect_must_classify_follows_the_packs_own_networks(
    tiny_pack: Pack, classes: int, usual: float, needed: float
) -> None:
    """0.57 of the way from chance to the median; one network that went astray moves nothing."""
    assert _of_accuracies(tiny_pack, classes, 0.0, usual, usual, usual) == pytest.approx(needed, abs=0.005)


def test_a_pack_with_weak_networks_understands_weak_suspects(tiny_pack: Pack) -> None:
    """Two thirds of the way from chance to what all but a tenth reach, where a tenth or more are weak."""
    few = [0.55] + 19 * [0.85]
    many = 3 * [0.55] + 17 * [0.85]
    assert _of_accuracies(tiny_pack, 10, *few) == pytest.approx(0.1 + 0.57 * 0.75)
    assert _of_accuracies(tiny_pack, 10, *many) == pytest.approx(0.1 + 2 / 3 * 0.45)


def _of_accuracies(pack: Pack, classes: int, *accuracies: float) -> float:
    """What a pack of so many classes, with members of these accuracies, needs of a suspect."""
    members = tuple(replace(pack.members[0], clean_accuracy=a) for a in accuracies)
    record = {**pack.record, "class_names": [str(i) for i in range(classes)]}
    return replace(pack, record=record, members=members).needed_accuracy


def test_a_packs_own_settings_hold_but_for_those_that_are_asked_for(
    tiny_pack: Pack, tiny_settings: Settings
) -> None:
    assert tiny_pack.settings == tiny_settings
    asked = tiny_pack.settings_with({"images": "9", "quantiles": [0.5]})
    assert asked == tiny_settings.with_(images=9, quantiles=(0.5,))
    with pytest.raises(SettingsError, match="images cannot be 0"):
        tiny_pack.settings_with({"images": 0})


@pytest.mark.parametrize("recorded", [None, {"colour": "blue"}, {"images": "many"}, "unknown"])
def test_a_pack_that_does_not_say_how_it_was_made_is_an_error(tiny_pack: Pack, recorded: object) -> None:
    record = {key: value for key, value in tiny_pack.record.items() if key != "settings"}
    pack = replace(tiny_pack, record=record if recorded is None else {**record, "settings": recorded})
    with pytest.raises(PackError, match="'bars' does not say how its evidence was made"):
        pack.settings_with({})


def test_a_good_pack_verifies(tiny_pack: Pack) -> None:
    said: list[str] = []
    assert verify_pack(tiny_pack, 0, said.append) == []
    assert len(said) == 2 + len(tiny_pack.members)
    assert said[-1] == f"{len(tiny_pack.members)} of {len(tiny_pack.members)} members were computed anew."


def test_without_a_number_members_are_computed_until_the_time_is_over(tiny_pack: Pack) -> None:
    said: list[str] = []
    told: list[float] = []
    assert (
        verify_pack(tiny_pack, None, said.append, lambda stage, share: told.append(share), seconds=0.0) == []
    )
    assert said[-1] == f"1 of {len(tiny_pack.members)} members were computed anew."
    assert told and told == sorted(told) and 0 < told[-1] <= 1 / len(tiny_pack.members)


@pytest.mark.parametrize("count", (1, 2, 7, 64))
def test_members_are_chosen_evenly(count: int) -> None:
    assert sorted(chosen_members(count, None)) == chosen_members(count, 0) == list(range(count))
    few = chosen_members(count, 3)
    assert few == sorted(set(few)) and len(few) == min(3, count) and few[-1] == count - 1
    # The first eight of 64 lie in different eighths.
    if count == 64:
        assert sorted(i // 8 for i in chosen_members(count, None)[:8]) == list(range(8))


def test_evidence_that_leads_to_another_verdict_is_noticed(tiny_pack: Pack, tmp_path: Path) -> None:
    """Its digest is right, and the detectors belong to it: only computing it anew shows it."""
    count = 10
    computed = [(i, tiny_pack.members[i]) for i in chosen_members(len(tiny_pack.members), count)]
    clean = next(i for i, m in computed if m.label == "clean" and m.held_out)
    trojan = next(i for i, m in computed if m.label != "clean" and m.held_out)

    def exchanged(arrays: dict[str, np.ndarray], record: dict[str, Any]) -> None:
        for values in arrays.values():
            values[[clean, trojan]] = values[[trojan, clean]]

    forged = load_pack(with_other_evidence(tiny_pack, tmp_path / "forged", exchanged))
    problems = verify_pack(forged, count)
    assert any(tiny_pack.members[clean].id in p and "probability" in p for p in problems)
    assert not any(p.startswith(tiny_pack.members[0].id) for p in problems if clean and trojan)


@pytest.fixture
def copy(tiny_pack: Pack, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_pack.folder, tmp_path / "copy"))


@pytest.mark.parametrize("name", ["images.npz", "baseline.npz", "zoo.safetensors", "saliency.cbm"])
def test_an_altered_file_is_noticed(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(bytes(data))
    pack = load_pack(copy)
    with pytest.raises(PackError, match=f"was altered: {name}"):
        pack.checked(name)
    assert any(name in problem for problem in verify_pack(pack))


def test_swapped_weights_are_noticed_even_with_a_right_digest(copy: Path) -> None:
    """Evidence and accuracy are recomputed: a record that was made to fit does not help."""
    from safetensors.torch import load_file, save_file

    zoo = load_file(copy / "zoo.safetensors")
    for key in zoo:
        if zoo[key].is_floating_point() and zoo[key].ndim == 2:
            zoo[key] = zoo[key].flip(0)
    save_file(zoo, copy / "zoo.safetensors")
    record = json.loads((copy / "pack.json").read_text())
    record["files"]["zoo.safetensors"] = file_digest(copy / "zoo.safetensors")
    (copy / "pack.json").write_text(json.dumps(record))
    assert verify_pack(load_pack(copy), 2)


def test_a_missing_file_is_noticed(copy: Path) -> None:
    (copy / "zoo.safetensors").unlink()
    with pytest.raises(PackError, match="lacks its file zoo"):
        load_pack(copy).scores(load_pack(copy).members[0])


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema_version": 9}', '{"schema_version": 1, "members": [{}]}']
)
def test_a_record_that_is_none_is_a_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "pack.json").write_text(text)
    with pytest.raises(PackError):
        load_pack(tmp_path)


def test_an_unknown_pack_names_the_known_ones() -> None:
    with pytest.raises(PackError, match="no reference pack 'mnits'"):
        load_pack("mnits")


def test_no_pack_fits_three_classes() -> None:
    with pytest.raises(PackError, match="3 classes"):
        fitting_packs((1, 28, 28), 3)


QUICKEST = (
    "mlp",
    "lenet5",
    "challenge_mnist",
    "convnet",
    "small_resnet",
    "resnet",
    "wide_resnet",
    "simple_vit",
)


@pytest.mark.parametrize("name", pack_names())
class TestBundled:
    """Every pack that ships."""

    def test_digests(self, name: str) -> None:
        pack = load_pack(name)
        for file in pack.record["files"]:
            pack.checked(file)

    def test_size_and_make_up(self, name: str) -> None:
        pack = load_pack(name)
        assert max(p.stat().st_size for p in pack.folder.iterdir()) < 25e6
        usual = [m for m in pack.members if "attack" not in m.recipe and m.family not in HARD_NEGATIVES]
        count = {k: sum(m.label == k for m in usual) for k in ("clean", "blend", "patch")}
        # A network whose training went astray is left out, so one may be missing on a side.
        hard = sum(m.family == "adversarial" for m in pack.members)
        assert abs((count["clean"] + hard) * 2 - len(usual) - hard) <= 2
        assert abs(count["blend"] - count["patch"]) <= 2
        assert sum(m.held_out for m in pack.members) >= len(pack.members) / 4
        assert {m.family for m in usual if m.trojaned} == {"standard", "challenge"}
        assert len({m.architecture for m in pack.members}) >= 3
        assert not {m.group for m in pack.members if m.held_out} & {
            m.group for m in pack.members if not m.held_out
        }

    def test_a_few_members_verify(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A trojaned one, and a clean one where there are few classes: each class is searched. Those whose networks
        are quickest are taken; ``pack verify`` takes more, and others.
        """
        pack = load_pack(name)
        trojaned, clean = (
            min(
                (i for i, m in enumerate(pack.members) if m.trojaned == wanted and m.held_out),
                key=lambda i: QUICKEST.index(pack.members[i].architecture),
            )
            for wanted in (True, False)
        )
        places = [trojaned, clean][: 1 if len(pack.class_names) > 16 else 2]
        monkeypatch.setattr(verify, "chosen_members", lambda count, wanted: places)
        assert verify_pack(pack, len(places)) == []

    def test_nothing_in_it_is_a_pickle(self, name: str) -> None:
        for file in (PACKS / name).iterdir():
            assert file.read_bytes()[:2] != b"\x80\x04"
        with np.load(PACKS / name / "images.npz", allow_pickle=False) as z:
            assert z["images"].dtype == np.uint8


def test_only_streams_that_changed_are_computed_anew_and_the_detectors_fitted_again(
    tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def of_an_earlier_version(arrays: dict[str, np.ndarray], record: dict[str, Any]) -> None:
        arrays["windowed/margins"] = np.zeros_like(arrays["windowed/margins"])
        del arrays["windowed/success"]
        arrays["universal/margins"] = 2 * arrays["universal/margins"]
        record["stream_versions"]["windowed"] -= 1

    old = with_other_evidence(tiny_pack, tmp_path / "old", of_an_earlier_version)

    (problem,) = verify_pack(load_pack(old))
    assert "windowed" in problem and "pack renew" in problem

    assert main(["pack", "renew", str(old), "--jobs", "1"]) == 0
    assert capsys.readouterr().out == "Computed anew: windowed.\n"
    renewed = load_pack(old)
    assert renewed.record["stream_versions"] == tiny_pack.record["stream_versions"]
    for key in ("margins", "success"):
        np.testing.assert_array_equal(renewed.baseline["windowed"][key], tiny_pack.baseline["windowed"][key])
    np.testing.assert_array_equal(
        renewed.baseline["universal"]["margins"], 2 * tiny_pack.baseline["universal"]["margins"]
    )
    assert check_files(renewed) == []
    assert renewed.members == tiny_pack.members
    # Scaling the universal stream's margins changes nothing: the detectors are those of the pack as it was.
    assert renewed.record["table"] == tiny_pack.record["table"]

    before = {p.name: p.stat().st_mtime_ns for p in old.iterdir()}
    assert main(["pack", "renew", str(old)]) == 0
    assert capsys.readouterr().out == "Nothing has changed since it was made.\n"
    assert before == {p.name: p.stat().st_mtime_ns for p in old.iterdir()}


@pytest.mark.parametrize(
    ("recorded", "found", "said"), [(11.7, 11.0, 0), (11.7, 10.0, 1), (2.0, 2.4, 0), (2.0, 2.6, 1)]
)
def test_a_score_may_differ_as_processors_do(
    tiny_pack: Pack, monkeypatch: pytest.MonkeyPatch, recorded: float, found: float, said: int
) -> None:
    """By half a deviation, or by a tenth of a score that is far out."""
    monkeypatch.setattr(
        verify.Verdicts, "recorded", lambda self, index: {"probability": 0.9, "score": recorded}
    )
    monkeypatch.setattr(
        verify.Verdicts, "of", lambda self, evidence, member: {"probability": 0.9, "score": found}
    )
    verdicts = verify.Verdicts(Reference(tiny_pack, tiny_pack.settings, Cache(None)))
    assert len(verdicts.differences(tiny_pack.members[0], 0, {})) == said
