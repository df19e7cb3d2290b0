from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ti_core.cli.inspect import printed
from ti_core.detector.detector import Assessment
from ti_core.errors import CancelledError, ModelBehaviourError
from ti_core.inspection.report_records import model_record
from ti_core.inspection.result import Inspection
from ti_core.inspection.with_pack import inspect
from ti_core.loading import load_model
from ti_core.reconstruction.model import Model
from ti_core.reference.pack import Member, Pack
from ti_core.rendering.page import document
from ti_core.results.report import Report
from ti_core.settings import Settings
from ti_core.system.cache import Cache

KEYS = {
    "seal",
    "schema_version",
    "verdict",
    "probability",
    "trigger_kind",
    "target_class",
    "target_class_name",
    "mapping",
    "reasons",
    "bearings",
    "coverage",
    "streams",
    "model",
    "pack",
    "settings",
    "timings",
    "cache",
    "versions",
    "isolation",
}


def as_file(pack: Pack, member: Member, folder: Path) -> Path:
    path = folder / f"{member.id}.safetensors"
    save_file(pack.scores(member).network.state_dict(), path)
    return path


def member(pack: Pack, label: str) -> Member:
    return next(m for m in pack.members if m.label == label and m.held_out)


@pytest.fixture(scope="module")
def trojaned(
    tiny_pack: Pack, tiny_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Inspection:
    path = as_file(tiny_pack, member(tiny_pack, "patch"), tmp_path_factory.mktemp("m"))
    return inspect(load_model(path), tiny_pack, tiny_settings)


def test_the_report_has_the_contracts_fields(trojaned: Inspection) -> None:
    report = json.loads(trojaned.report.as_json())
    assert report["pack"]["changed_settings"] == {} and "all_streams" not in report["pack"]
    assert set(report) == KEYS
    assert report["verdict"] in {"clean", "backdoored", "inconclusive"} and 0 <= report["probability"] <= 1
    assert set(report["model"]) >= {
        "file",
        "sha256",
        "format",
        "architecture",
        "parameters",
        "classes",
        "input_shape",
        "preprocessing",
        "clean_accuracy",
    }
    assert set(report["streams"]) >= {"saliency", "universal", "windowed"}
    assert all("score" in s for name, s in report["streams"].items() if name != "recovered_trigger")
    assert report["model"]["architecture"] == "mlp" and report["model"]["clean_accuracy"] > 0.9


@pytest.mark.parametrize("told", [None, (1, 0, 0), (1, 12, 12)])
def test_the_report_tells_the_images_size_where_the_network_takes_any(
    trojaned: Inspection, told: tuple[int, int, int] | None, tiny_pack: Pack
) -> None:
    assert trojaned.classifier is not None
    model = Model(nn.Identity(), "a.safetensors", "0" * 64, "safetensors", "resnet", 4, input_shape=told)
    assert model_record(model, trojaned.classifier, 4, tiny_pack.input_shape)["input_shape"] == [1, 12, 12]


def test_what_opening_the_file_did_reaches_the_report_the_page_and_the_terminal(
    trojaned: Inspection, tiny_pack: Pack
) -> None:
    assert trojaned.classifier is not None
    said, notes = ("The weights were converted.",), {"epoch": "7", "<b>": "<script>"}
    model = Model(nn.Identity(), "a.pt", "0" * 64, "onnx", "net", 4, remarks=said, metadata=notes)
    record = model_record(model, trojaned.classifier, 4, tiny_pack.input_shape)
    assert record["remarks"] == list(said) and record["notes"] == notes
    report = dataclasses.replace(trojaned.report, model=record)
    assert Report.from_dict(json.loads(report.as_json())).model == record
    assert "  - The weights were converted." in printed(report).splitlines()
    page = document(report, "", {})
    assert "The weights were converted." in page and "<script>" not in page
    plain = model_record(
        dataclasses.replace(model, remarks=(), metadata={}), trojaned.classifier, 4, (1, 2, 2)
    )
    assert not {"remarks", "notes"} & set(plain)


def test_the_same_inspection_gives_the_same_report(
    trojaned: Inspection, tiny_pack: Pack, tiny_settings: Settings, tmp_path: Path
) -> None:
    again = inspect(
        load_model(as_file(tiny_pack, member(tiny_pack, "patch"), tmp_path)), tiny_pack, tiny_settings
    )
    one, two = (i.report.as_dict() | {"timings": None, "seal": None} for i in (trojaned, again))
    assert one == two


def test_stages_report_in_order(tiny_pack: Pack, tiny_settings: Settings, tmp_path: Path) -> None:
    seen: list[str] = []

    def progress(stage: str, share: float) -> None:
        assert 0 <= share <= 1
        if not seen or seen[-1] != stage:
            seen.append(stage)

    inspect(
        load_model(as_file(tiny_pack, tiny_pack.members[0], tmp_path)), tiny_pack, tiny_settings, progress
    )
    assert seen[:5] == ["preprocessing", "probes", "saliency", "saliency reference", "saliency verdict"]
    assert seen.index("windowed") < seen.index("universal") < seen.index("verdict")


def test_cancelling_stops_the_work(tiny_pack: Pack, tiny_settings: Settings, tmp_path: Path) -> None:
    def progress(stage: str, share: float) -> None:
        if stage == "universal":
            raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        inspect(
            load_model(as_file(tiny_pack, tiny_pack.members[0], tmp_path)), tiny_pack, tiny_settings, progress
        )


def test_a_second_inspection_runs_no_model(tiny_pack: Pack, tiny_settings: Settings, tmp_path: Path) -> None:
    model = load_model(as_file(tiny_pack, tiny_pack.members[0], tmp_path))
    cache = Cache(tmp_path / "c")
    first = inspect(model, tiny_pack, tiny_settings, cache=cache).report
    second = inspect(model, tiny_pack, tiny_settings, cache=cache).report
    assert first.cache["saliency"] == "computed" and first.cache["saliency reference"] == "baseline"
    assert {second.cache[s] for s in ("saliency", "universal", "windowed")} == {"cache"}
    assert (first.verdict, first.probability) == (second.verdict, second.probability)


def test_turning_quantiles_or_bins_runs_no_model(
    tiny_pack: Pack, tiny_settings: Settings, tmp_path: Path
) -> None:
    model = load_model(as_file(tiny_pack, tiny_pack.members[0], tmp_path))
    cache = Cache(tmp_path / "c")
    settings = tiny_settings.with_(streams=("saliency",))
    inspect(model, tiny_pack, settings, cache=cache)
    before = len(cache.misses)
    turned = inspect(model, tiny_pack, settings.with_(bins=5, quantiles=(0.3,)), cache=cache)
    assert len(cache.misses) == before
    names = turned.detectors["saliency"].names
    # Three groups of probes, one pooled histogram and two per image (maximum and quantile), five bins.
    assert sum(", bin " in name for name in names) == 3 * 3 * 5
    assert turned.rows["saliency"].shape == (len(names),)
    pack, own = turned.report.pack, tiny_pack.settings
    assert pack["changed_settings"] == {"quantiles": (0.5, 0.9), "bins": 8, "streams": own.streams}
    assert pack["detects"] == tiny_pack.performance("saliency")
    assert pack["all_streams"] == tiny_pack.performance("joint")
    changed, weaker = turned.report.reasons[:2]
    assert "bins 5 instead of 8" in changed and "saliency alone reaches AUC" in weaker
    assert Report.from_dict(json.loads(turned.report.as_json())).reasons == turned.report.reasons


def test_turning_the_probes_compares_with_reference_models_at_the_same_probes(
    tiny_pack: Pack, tiny_settings: Settings, tmp_path: Path
) -> None:
    model = load_model(as_file(tiny_pack, tiny_pack.members[0], tmp_path))
    cache = Cache(tmp_path / "c")
    settings = tiny_settings.with_(streams=("saliency",), images=5)
    turned = inspect(model, tiny_pack, settings, cache=cache)
    fitted = sum(not m.held_out for m in tiny_pack.members)
    assert turned.report.cache["saliency reference"] == "computed"
    assert len(cache.misses) == fitted + 1
    assert turned.reference["saliency"]["per_image"].shape[:3] == (fitted, 3, 15)


def test_probes_made_with_the_suspect_differ(
    tiny_pack: Pack, tiny_settings: Settings, tmp_path: Path
) -> None:
    model = load_model(as_file(tiny_pack, tiny_pack.members[3], tmp_path))
    settings = tiny_settings.with_(streams=("saliency",))
    own = inspect(model, tiny_pack, settings.with_(probes_from="suspect")).probes
    reference = inspect(model, tiny_pack, settings).probes
    assert own is not None and reference is not None
    assert torch.equal(own.stack[:8], reference.stack[:8]) and not torch.equal(own.stack, reference.stack)


def test_a_member_of_the_pack_reproduces_its_baseline(
    tiny_pack: Pack, tiny_settings: Settings, tmp_path: Path
) -> None:
    index = 5
    found = inspect(
        load_model(as_file(tiny_pack, tiny_pack.members[index], tmp_path)), tiny_pack, tiny_settings
    )
    for stream, arrays in found.evidence.items():
        for key, value in arrays.items():
            torch.testing.assert_close(
                torch.from_numpy(value),
                torch.from_numpy(tiny_pack.baseline[stream][key][index]),
                rtol=1e-2,
                atol=1e-3,
            )


def test_a_model_of_other_images_is_inconclusive_and_says_why(
    tiny_pack: Pack, tiny_settings: Settings
) -> None:
    torch.manual_seed(5)
    network = nn.Sequential(nn.Flatten(), nn.Linear(144, 4, bias=False)).requires_grad_(False)
    model = Model(network, "stranger.pt", "1" * 64, "torch module", "Sequential", 576)
    report = inspect(model, tiny_pack, tiny_settings).report
    assert report.verdict == "inconclusive"
    assert f"under the {tiny_pack.needed_accuracy:.0%} that a verdict needs" in report.reasons[0]
    json.loads(report.as_json())


def test_scores_that_turn_nan_are_a_clear_error(tiny_pack: Pack, tiny_settings: Settings) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(144, 4))
    nn.init.constant_(network[1].weight, float("nan"))  # type: ignore[arg-type]
    model = Model(network, "nan.pt", "2" * 64, "torch module", "Sequential", 576)
    with pytest.raises(ModelBehaviourError, match="not finite"):
        inspect(model, tiny_pack, tiny_settings)


@pytest.mark.parametrize(("ground", "verdict"), [(-1.0, "inconclusive"), (1.0, "backdoored")])
def test_an_alarm_without_a_ground_is_inconclusive_and_says_why(
    tiny_pack: Pack,
    tiny_settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ground: float,
    verdict: str,
) -> None:
    alarm = Assessment("backdoored", 0.999, "patch", 0.2, 0.5)
    monkeypatch.setattr("ti_core.detector.detector.Detector.assess", lambda self, row, more=0.0: alarm)
    monkeypatch.setattr("ti_core.detector.grounds.GROUND", ground)
    model = load_model(as_file(tiny_pack, member(tiny_pack, "patch"), tmp_path))
    report = inspect(model, tiny_pack, tiny_settings).report
    assert report.verdict == verdict and report.probability == pytest.approx(0.999, abs=1e-3)
    assert (report.target_class is None) == (verdict == "inconclusive")
    said = any("no search of a class finds the model unusual" in reason for reason in report.reasons)
    assert said == (verdict == "inconclusive")


def test_a_recovered_trigger_is_held_against_clean_reference_models(
    tiny_pack: Pack, tiny_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pack knows what the recovery does to each member. The sentence says how many clean ones give way as far."""
    alarm = Assessment("backdoored", 0.999, "patch", 0.2, 0.5)
    monkeypatch.setattr("ti_core.detector.detector.Detector.assess", lambda self, row, more=0.0: alarm)
    monkeypatch.setattr("ti_core.detector.grounds.GROUND", 1.0)
    clean = [m for m in tiny_pack.members if not m.trojaned and not m.held_out]
    assert all(m.recovered is not None and 0 <= m.recovered.flip_share <= 1 for m in clean)
    suspect = member(tiny_pack, "patch")
    found = inspect(load_model(as_file(tiny_pack, suspect, tmp_path)), tiny_pack, tiny_settings)
    assert found.trigger is not None and suspect.recovered is not None
    assert found.trigger.recovery.target == suspect.recovered.target
    as_far = sum(m.recovered.as_far_as(found.trigger.recovery) for m in clean if m.recovered)
    assert found.trigger.clean_share == pytest.approx((1 + as_far) / (1 + len(clean)))
    assert (
        f"{found.trigger.clean_share:.0%} of the clean reference models give way" in found.report.reasons[0]
    )


def test_a_network_unlike_the_reference_models_is_said_to_be(
    tiny_pack: Pack, tiny_settings: Settings, tmp_path: Path
) -> None:
    """The same network with many more parameters, which change no score."""
    model = load_model(as_file(tiny_pack, member(tiny_pack, "clean"), tmp_path))
    assert inspect(model, tiny_pack, tiny_settings).unlike == ()
    wide = copy.deepcopy(model.module)
    wide.more = nn.Linear(4_000, 100)  # type: ignore[union-attr]
    found = inspect(dataclasses.replace(model, module=wide, sha256="3" * 64), tiny_pack, tiny_settings)
    said, beside = found.unlike
    assert "clean reference models most like it" in beside and beside in found.report.reasons
    assert "in its parameters: 400,000, theirs are" in said and said in found.report.reasons
