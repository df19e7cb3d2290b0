"""The verdict without reference models: own classes decide, and what it cannot say it says aloud."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.inspection.test_with_pack import KEYS, as_file, member
from tests.streams.toys import Constant, NotFinite, OnePixel, grey, weights
from ti_core.cli.main import main
from ti_core.detector.own_classes import BACKDOORED, CLEAN, MOST_SURE, Alone, alone, probability_of
from ti_core.errors import (
    CancelledError,
    CaseError,
    ModelBehaviourError,
    NoPackFitsError,
    SettingsError,
)
from ti_core.inspection.budget import look_alone
from ti_core.inspection.case_without_pack import case_alone
from ti_core.inspection.findings.recovered import recovered
from ti_core.inspection.forecast import Forecast
from ti_core.inspection.result import Inspection
from ti_core.inspection.trigger_recovery import RecoveredTrigger
from ti_core.inspection.with_pack import inspect
from ti_core.inspection.without_pack import inspect_alone
from ti_core.reconstruction.model import Model
from ti_core.reference.choosing import fitting_packs
from ti_core.reference.own_images import WEAKER, OwnImages
from ti_core.reference.pack import Pack
from ti_core.rendering.figures import all_figures
from ti_core.rendering.page import html_report
from ti_core.results.case_files import load_case, save_case
from ti_core.settings import Settings
from ti_core.stream_registry import DEFAULT, QUICK
from ti_core.streams import Context, stream_class
from ti_core.streams.searches.sparing import FROM, Sparing
from ti_core.system.cache import Cache


def own(count: int = 80, labelled: bool = False, classes: int = 6) -> OwnImages:
    """Images of a band whose place is the class, with a little noise."""
    pixels = grey(count, low=0.0, high=0.05)
    answers = np.arange(count) % classes
    for image, c in zip(pixels, answers, strict=True):
        image[:, 2 * c : 2 * c + 2] += 0.2
    images = (255 * pixels).round().byte().numpy()
    return OwnImages("mine", images, answers.astype(np.int64) if labelled else None)


def bands(classes: int = 6, noise: float = 0.02, seed: int = 0) -> torch.Tensor:
    """Weights that tell those classes apart."""
    w = weights(classes, size=noise, seed=seed)
    for c in range(classes):
        w[c, :, 2 * c : 2 * c + 2] += 1.0
    return w


def model(network: nn.Module, classes: int | None) -> Model:
    return Model(
        network.eval().requires_grad_(False), "m.onnx", "0" * 64, "onnx", "toy", 1, classes, (1, 12, 12)
    )


def hidden_pixel(classes: int = 6) -> OnePixel:
    return OnePixel(bands(classes), row=2, column=9, target=classes - 2)


def test_a_planted_one_pixel_trigger_is_found_and_shown() -> None:
    result = inspect_alone(model(hidden_pixel(), 6), own(), Settings(normalisation="none"))
    report = result.report
    assert report.verdict == "backdoored" and report.target_class == 4 and report.trigger_kind == "patch"
    # The streams that judge by themselves add next to nothing.
    assert report.probability == pytest.approx(probability_of(alone(result.evidence).score), abs=1e-2)
    assert result.trigger is not None and result.trigger.mask[2, 9] == 1 and result.trigger.flip_share > 0.9
    assert result.occlusion is not None and result.occlusion.fall.shape == (12, 12)
    assert report.reasons[0] == "Declared of the model, not found out: normalisation none."
    assert "recovered trigger" in report.reasons[1] and WEAKER in report.reasons
    assert report.pack["changed_settings"] == {"normalisation": "auto"}


def test_a_plain_network_is_not_called_backdoored() -> None:
    from tests.streams.toys import Linear

    for seed in range(3):
        network = Linear(bands(6, seed=seed))
        report = inspect_alone(model(network, 6), own(), Settings(normalisation="none")).report
        assert report.verdict != "backdoored" and report.target_class is None
        assert report.probability >= 1 - MOST_SURE and WEAKER in report.reasons


def test_the_report_has_the_contracts_fields_and_names_no_pack() -> None:
    result = inspect_alone(model(hidden_pixel(), None), own(), Settings(normalisation="none"))
    report = json.loads(result.report.as_json())
    assert set(report) == KEYS
    assert (
        report["pack"]["name"] is None and report["pack"]["sha256"] is None and not report["pack"]["detects"]
    )
    assert report["pack"]["images"] == {
        "file": "mine",
        "sha256": own().sha256,
        "count": 80,
        "labelled": False,
    }
    assert set(report["streams"]) == {*DEFAULT, "recovered_trigger"} - {"saliency"}
    assert report["streams"]["windowed"]["clean_share"] is None and report["model"]["clean_accuracy"] is None
    assert report["model"]["classes"] == 6
    page = html_report(case_alone(result, own()))
    assert "--images mine" in page and "None</td>" not in page.split("How to repeat it")[1]
    assert "are covered, place by place" in page


def test_its_case_is_read_only_where_cases_without_a_pack_are_wanted(tmp_path: Path) -> None:
    result = inspect_alone(model(hidden_pixel(), 6), own(), Settings(normalisation="none"))
    case = case_alone(result, own())
    save_case(case, tmp_path)
    read = load_case(tmp_path, alone=True)
    assert read.understood and read.finished and set(read.arrays) == set(case.arrays)
    assert read.arrays["occlusion/turned"].shape == (12, 12)
    assert (read.arrays["trigger/after"] == 4).all() and not (read.arrays["trigger/before"] == 4).any()
    assert {f.name for f in all_figures(read, ())} >= {"trigger", "stamped", "occlusion", "classes-windowed"}
    with pytest.raises(CaseError, match="not valid"):
        load_case(tmp_path)


FEW = ("inversion", "per_image", "last_layer", "assignment", "graph")


@pytest.mark.parametrize("classes", [2, 3])
def test_two_and_three_classes_never_get_a_verdict_and_what_is_said_is_called_weak(classes: int) -> None:
    settings = Settings(normalisation="none", streams=FEW)
    report = inspect_alone(model(hidden_pixel(classes), classes), own(classes=classes), settings).report
    assert report.verdict == "inconclusive" and report.probability == pytest.approx(0.5, abs=1e-3)
    said = next(
        r for r in report.reasons if r.startswith(f"Among {classes} classes none can be told to stand out")
    )
    proof = (
        "a gate in the graph" if classes == 2 else "a gate in the graph or a pattern that moves every class"
    )
    assert "the last layer is weak here" in said and said.endswith(f" By itself only {proof} counts.")
    swap = next(row for row in report.coverage if (row["kind"], row["mapping"]) == ("patch", "all to all"))
    looked = swap["status"] != "not looked for"
    assert looked is (classes == 3) and (looked or "one pattern swaps them too" in swap["why"])


def test_a_pattern_that_swaps_two_classes_is_no_evidence() -> None:
    """In clean networks of two classes there often is one."""
    stream = stream_class("assignment")()
    for classes, odds in ((2, -12.0), (3, 8.0)):
        evidence = {
            "success": np.ones((1, 4), dtype=np.float32),
            "blended": np.zeros((1, 2), dtype=np.float32),
            "moved": np.ones((1, classes), dtype=np.float32),
        }
        assert stream.log_odds(evidence, {})[0] == pytest.approx(odds)


def test_a_pack_of_other_classes_is_refused_with_a_sentence(tiny_pack: Pack) -> None:
    with pytest.raises(ModelBehaviourError, match=r"tells 2 classes apart, the reference pack has 4\."):
        inspect(model(hidden_pixel(2), 2), tiny_pack)
    with pytest.raises(NoPackFitsError, match=r"\(2 classes, .*clean images of your own"):
        fitting_packs((1, 28, 28), 2)


def test_constant_outputs_are_not_understood() -> None:
    report = inspect_alone(model(Constant(6), 6), own()).report
    assert report.verdict == "inconclusive" and "hardly tell the images" in report.reasons[0]
    labelled = inspect_alone(model(Constant(6), 6), own(labelled=True)).report
    assert labelled.verdict == "inconclusive" and "classified as labelled" in labelled.reasons[0]


def test_a_constant_answer_is_not_understood_where_most_images_are_of_its_class() -> None:
    """Labels of which four in five are one class: always naming it is right often enough, and tells nothing."""
    images = own()
    mostly = OwnImages("mine", images.pixels, np.where(np.arange(80) % 5 == 0, 1, 0).astype(np.int64))
    same = OwnImages("mine", images.pixels, np.zeros(80, dtype=np.int64))
    for labelled in (mostly, same):
        report = inspect_alone(model(Constant(6), 6), labelled).report
        assert report.verdict == "inconclusive" and report.probability == 0.5 and not report.streams
        assert "no more than if every answer were their most common label" in report.reasons[0]


def test_scores_that_are_no_numbers_end_in_a_sentence() -> None:
    class NoNumbers(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.full((len(x), 6), float("nan"))

    for labelled in (False, True):
        with pytest.raises(ModelBehaviourError, match="scores that are not finite"):
            inspect_alone(model(NoNumbers(), 6), own(labelled=labelled))


def test_one_class_is_none_to_tell_apart() -> None:
    for classes in (1, None):
        with pytest.raises(ModelBehaviourError, match=r"tells no classes apart: it gives 1 score an image\."):
            inspect_alone(model(Constant(1), classes), own())


def test_where_the_search_runs_into_no_numbers_there_is_still_a_verdict() -> None:
    """NaN on bright images only: the clean ones are understood, triggers are not."""
    network = NotFinite(bands(6))
    report = inspect_alone(model(network, 6), own(labelled=True), Settings(normalisation="none")).report
    assert report.verdict != "backdoored" and 0 <= report.probability <= MOST_SURE
    json.loads(report.as_json())


def test_labels_beyond_the_models_classes_and_scores_that_are_none_end_in_a_sentence() -> None:
    with pytest.raises(ModelBehaviourError, match="labels up to 6"):
        inspect_alone(model(Constant(6), 6), OwnImages("mine", own().pixels, np.arange(80) % 7))
    with pytest.raises(ModelBehaviourError, match="does not accept images"):
        inspect_alone(model(nn.Conv2d(3, 4, 3), None), own())
    with pytest.raises(SettingsError, match="switch at least one"):
        inspect_alone(model(Constant(6), 6), own(), Settings(streams=("saliency",)))


def test_cancelling_stops_it_and_a_second_inspection_runs_no_model(tmp_path: Path) -> None:
    def stop(stage: str, share: float) -> None:
        if stage == "windowed":
            raise CancelledError("stopped")

    suspect, settings = model(hidden_pixel(), 6), Settings(normalisation="none")
    with pytest.raises(CancelledError):
        inspect_alone(suspect, own(), settings, stop)
    cache = Cache(tmp_path / "c")
    first = inspect_alone(suspect, own(), settings, cache=cache).report
    second = inspect_alone(suspect, own(), settings, cache=cache).report
    assert {first.cache[s] for s in ("universal", "windowed", "inversion")} == {"computed"}
    assert {second.cache[s] for s in ("universal", "windowed", "inversion")} == {"cache"}
    assert first.as_dict() | {"timings": 0, "cache": 0, "seal": 0} == second.as_dict() | {
        "timings": 0,
        "cache": 0,
        "seal": 0,
    }


@pytest.mark.parametrize(
    ("score", "verdict"), [(0.0, "clean"), (CLEAN, "inconclusive"), (BACKDOORED + 0.01, "backdoored")]
)
def test_the_middle_between_the_bounds_is_inconclusive(score: float, verdict: str) -> None:
    found = Alone({}, np.array([score, 0, 0, 0, 0], dtype=np.float32)).assess()
    assert found.verdict == verdict and 1 - MOST_SURE <= found.probability <= MOST_SURE


def test_scores_do_not_depend_on_the_size_of_the_networks_scores() -> None:
    rng = np.random.default_rng(0)
    margins = rng.normal(size=(6, 25)).astype(np.float32)
    radii = rng.normal(size=(3, 6)).astype(np.float32)
    evidence = {
        "windowed": {"margins": margins},
        "universal": {"margins": radii},
        "inversion": {"norms": rng.uniform(5, 9, size=6).astype(np.float32)},
    }
    scaled = {
        "windowed": {"margins": 7 * margins + 3},
        "universal": {"margins": 7 * radii + 3},
        "inversion": {"norms": 4 * evidence["inversion"]["norms"]},
    }
    np.testing.assert_allclose(alone(evidence).together, alone(scaled).together, rtol=1e-3, atol=1e-3)


def test_the_command_line_takes_images_in_the_place_of_a_pack(
    tiny_pack: Pack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = as_file(tiny_pack, member(tiny_pack, "patch"), tmp_path)
    pixels = (255 * tiny_pack.images[:, 0]).round().byte().numpy()
    np.savez(tmp_path / "mine.npz", images=pixels, labels=tiny_pack.labels.numpy())
    out, page = tmp_path / "r.json", tmp_path / "r.html"
    code = main(
        [
            "inspect",
            str(path),
            "--images",
            str(tmp_path / "mine.npz"),
            "--json",
            str(out),
            "--html",
            str(page),
        ]
    )
    report = json.loads(out.read_text())
    assert report["isolation"], "it ran in the confined process"
    assert "Clean images, in the place of a reference pack" in page.read_text()
    assert code == {"clean": 0, "backdoored": 1, "inconclusive": 3}[report["verdict"]]
    assert report["model"]["clean_accuracy"] > 0.9 and WEAKER in capsys.readouterr().out

    assert main(["inspect", str(path), "--images", str(tmp_path / "mine.npz"), "--pack", "mnist"]) == 2
    assert "either --pack or --images" in capsys.readouterr().err
    np.savez(tmp_path / "few.npz", images=pixels[:20])
    assert main(["inspect", str(path), "--images", str(tmp_path / "few.npz")]) == 2
    assert "at least 50" in capsys.readouterr().err


def test_unlabelled_preprocessing_is_the_one_whose_answers_tell_most() -> None:
    """A network for pixels from -1 to 1, whose answers all are the same on those from 0 to 1."""

    class Halves(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            level = x.mean((1, 2, 3))
            return 30 * torch.stack([0.5 * level, 0 * level, -0.5 * level, level - 2], 1) - torch.tensor(
                [0.0, 3, 0, 0]
            )

    dark_and_bright = torch.cat([torch.zeros(40, 1, 12, 12), torch.ones(40, 1, 12, 12)])
    images = OwnImages("mine", (255 * dark_and_bright).byte().numpy())
    report = inspect_alone(model(Halves(), 4), images, Settings(streams=("universal",))).report
    tried = report.model["preprocessing"]["tried"]
    assert report.model["preprocessing"]["normalisation"] == "half" or tried["half"] > 0.9 * max(
        tried.values()
    )
    assert tried["none"] < 0.5 * tried["half"] and report.model["clean_accuracy"] is None


@pytest.mark.parametrize("level", [1, 2])
def test_a_shortened_search_finds_a_planted_trigger_and_the_report_says_what_was_left_out(
    level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ti_core.inspection.without_pack.work", lambda scores, images: FROM[level - 1])
    settings = Settings(normalisation="none")
    result = inspect_alone(model(hidden_pixel(), 6), own(), settings)
    report = result.report
    assert result.sparing.level == level and alone(result.evidence).target == 4 and report.verdict != "clean"
    assert report.reasons[0].endswith("A thorough inspection searches all in full.")
    if level == 1:
        assert report.verdict == "backdoored" and report.target_class == 4
        assert result.trigger is not None and result.trigger.flip_share > 0.9
    stripes = next(r for r in report.coverage if (r["kind"], r["mapping"]) == ("stripes", "all to one"))
    assert stripes["status"] == "not looked for"


def test_a_quick_inspection_of_a_very_large_network_leaves_a_stream_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ti_core.inspection.without_pack.work", lambda scores, images: FROM[-1])
    result = inspect_alone(model(hidden_pixel(), 6), own(), Settings(normalisation="none", streams=QUICK))
    assert result.too_long == ("assignment",) and "assignment" not in result.evidence
    assert any("tells many classes apart: assignment." in reason for reason in result.report.reasons)
    row = next(r for r in result.report.coverage if (r["kind"], r["mapping"]) == ("patch", "all to all"))
    assert row["why"] == "it takes too long with a network of this size"


def test_a_large_network_is_looked_at_no_longer_than_until_a_trigger_proves_the_backdoor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ti_core.inspection.without_pack.work", lambda scores, images: FROM[0])
    settings, searched = Settings(normalisation="none"), []

    def counted(
        result: Inspection, scores: nn.Module, shown: Context, *enough: float
    ) -> RecoveredTrigger | None:
        searched.append(result.readings.keys())
        return recovered(result, scores, shown, *enough)

    for module in ("budget.look_alone", "without_pack"):
        monkeypatch.setattr(f"ti_core.inspection.{module}.recovered", counted)
    result = inspect_alone(model(hidden_pixel(), 6), own(), settings)
    report, kept = result.report, result.proof
    assert report.verdict == "backdoored" and report.target_class == 4 and kept is result.trigger
    assert kept is not None and kept.flip_share >= look_alone.CERTAIN and len(searched) == 1
    assert "warp" in result.not_needed and not set(result.not_needed) & set(result.evidence)
    assert any(
        reason.startswith("Not run, since the verdict was certain before") for reason in report.reasons
    )
    row = next(r for r in report.coverage if (r["kind"], r["mapping"]) == ("warp", "all to one"))
    assert row["why"] == "the verdict was certain before"
    # For some of the rest there was no time either way.
    monkeypatch.setattr(Forecast, "sparing", Sparing(alone=True, level=1))
    monkeypatch.setattr(Forecast, "update", lambda self, *_: self.left_out.update(warp=99.0))
    short = inspect_alone(model(hidden_pixel(), 6), own(), settings, forecast=Forecast(settings, alone=True))
    assert {*short.not_needed, "warp"} == {*result.not_needed} and list(short.left_out) == ["warp"]
    row = next(r for r in short.report.coverage if (r["kind"], r["mapping"]) == ("warp", "all to one"))
    assert row["why"] == "there was no time for it"
    # Without proof, everything is looked at.
    monkeypatch.setattr(look_alone, "CERTAIN", 1.1)
    whole = inspect_alone(model(hidden_pixel(), 6), own(), settings)
    assert not whole.not_needed and whole.proof is None and "warp" in whole.evidence


def test_a_small_network_is_looked_at_in_full_in_any_case() -> None:
    result = inspect_alone(model(hidden_pixel(), 6), own(), Settings(normalisation="none"))
    assert result.report.verdict == "backdoored" and not result.not_needed and "warp" in result.evidence
