"""The finding that a verdict rests on: which stream leads, which kind it is, and where it leads."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.streams.gates import graphs
from ti_core.detector.detector import Assessment
from ti_core.inspection.findings.finding import Finding, finding_of, leading, mapping_record
from ti_core.inspection.result import Inspection
from ti_core.inspection.trigger_recovery import RecoveredTrigger
from ti_core.inspection.without_pack import inspect_alone
from ti_core.loading import load_model
from ti_core.reference.own_images import OwnImages
from ti_core.results.coverage import FOUND, rows_of
from ti_core.results.report import Report
from ti_core.settings import Settings
from ti_core.streams import Reading
from ti_core.streams.base import FoundMapping

BACKDOORED = Assessment("backdoored", 0.9, "blend", 0.7, 0.5)
NAMES = ("zero", "one", "two")


def scores(**by_stream: tuple[float, float, float]) -> dict[str, np.ndarray]:
    return {name: np.array([own], dtype=np.float32) for name, own in by_stream.items()}


def inspection(class_scores: dict[str, np.ndarray], **readings: Reading) -> Inspection:
    return Inspection(
        class_scores=class_scores,
        readings={"saliency": Reading(1.0, 0.5, "x")}
        | {name: Reading(1.0, 0.0, "x", 2) for name in class_scores}
        | readings,
    )


def trigger(flip_share: float) -> RecoveredTrigger:
    image = np.zeros((4, 4), dtype=np.float32)
    return RecoveredTrigger("blend", 2, image, image[None], 0.1, flip_share, np.arange(3))


def test_the_stream_that_finds_the_suspected_class_most_suspicious_leads() -> None:
    found = scores(universal=(0, 9, 4), windowed=(0, 0, 12))
    assert leading(inspection(found)) == "windowed"
    assert leading(inspection({})) == "saliency" and leading(Inspection()) is None


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        ("universal", "blend"),
        ("windowed", "blend"),
        ("inversion", "blend"),
        ("warp", "warp"),
        ("stripes", "stripes"),
        ("graph", "gate"),
    ],
)
def test_a_stream_of_one_other_kind_names_it_and_the_usual_ones_leave_it_to_the_meta_model(
    stream: str, kind: str
) -> None:
    found = finding_of(inspection(scores(**{stream: (0, 0, 9)})), BACKDOORED, 2)
    assert found == Finding(stream, kind, FoundMapping("all to one", 2))  # type: ignore[arg-type]
    assert found.target == 2 and found.found == {(kind, "all to one")}


@pytest.mark.parametrize(("flips", "kind"), [(0.95, "blend"), (0.5, None)])
def test_a_stream_of_many_kinds_names_one_only_with_a_trigger_that_was_recovered(
    flips: float, kind: str | None
) -> None:
    result = inspection(scores(per_image=(0, 0, 9)))
    result.trigger = trigger(flips)
    found = finding_of(result, BACKDOORED, 2)
    assert found is not None and found.kind == kind
    assert len(found.found) == (1 if kind else 5)


def test_a_pair_is_named_with_its_source_unless_another_class_is_suspected() -> None:
    own = FoundMapping("one source", target=2, source=0)
    pairs = Reading(9.0, 0.0, "x", 2, kind="patch", mapping=own)
    result = inspection(scores(universal=(0, 0, 1), pairs=(0, 0, 9)), pairs=pairs)
    assert finding_of(result, BACKDOORED, 2) == Finding("pairs", "patch", own)
    assert finding_of(result, BACKDOORED, 1) == Finding("pairs", "patch", replace(own, target=1, source=None))


def test_an_assignment_names_no_target() -> None:
    own = FoundMapping("all to all", assignment=(1, 2, 0), moved=(0.9, 0.8, 0.1))
    reading = Reading(0.8, 0.0, "x", None, kind="blend", mapping=own)
    result = Inspection(readings={"assignment": reading})
    found = finding_of(result, BACKDOORED, 2)
    assert found == Finding("assignment", "blend", own)
    assert found.target is None and found.found == {("blend", "all to all")}
    record = mapping_record(found.mapping, NAMES)
    assert record is not None and record["kind"] == "all to all" and record["target"] is None
    assert [(p["source_name"], p["target_name"], p["moved"]) for p in record["assignment"]] == [
        ("zero", "one", 0.9),
        ("one", "two", 0.8),
        ("two", "zero", 0.1),
    ]


def test_a_gate_without_a_class_may_lead_anywhere() -> None:
    found = finding_of(Inspection(readings={"graph": Reading(0.0, 0.0, "x")}), BACKDOORED, None)
    assert found is not None and found.mapping is None and found.target is None
    assert found.found == {("gate", m) for m in ("all to one", "one source", "all to all")}
    assert mapping_record(found.mapping, NAMES) is None


@pytest.mark.parametrize("verdict", ["clean", "inconclusive"])
def test_only_backdoors_are_found(verdict: str) -> None:
    result = inspection(scores(windowed=(0, 0, 9)))
    assert finding_of(result, replace(BACKDOORED, verdict=verdict), 2) is None
    assert finding_of(result, None, 2) is None


def test_without_reference_models_the_kind_is_that_of_the_recovered_trigger_or_untold() -> None:
    readings = {"windowed": Reading(2.0, math.nan, "x", 2)}
    result = Inspection(class_scores=scores(windowed=(0, 0, 2)), readings=readings)
    untold = finding_of(result, replace(BACKDOORED, trigger_kind=None), 2)
    assert untold is not None and untold.kind is None and untold.found == {("patch", "all to one")}


def test_a_gate_of_a_graph_file_is_found_as_a_gate_and_named_with_its_class(tmp_path: Path) -> None:
    hit = helper.make_node("Greater", ["a", "f80"], ["hit"], name="/hit")
    pixel = (graphs.node("Flatten", "x", "row"), graphs.node("Gather", "row p0", "a", axis=1))
    scores = graphs.classifier((*pixel, hit, *graphs.REPLACED), tmp_path)
    own = OwnImages(
        "mine", (255 * graphs.images()).round().byte().numpy(), scores(graphs.images()).argmax(1).numpy()
    )
    settings = Settings(normalisation="none", streams=("universal", "graph"))
    report = inspect_alone(load_model(tmp_path / "made.onnx"), own, settings).report
    assert (report.verdict, report.trigger_kind, report.target_class) == ("backdoored", "gate", graphs.TARGET)
    assert report.heading() == f"Backdoored: a gate in the graph leads all images to class {graphs.TARGET}"
    found = [row for row in rows_of(report.coverage) if row.status == FOUND]
    assert [(row.kind, row.mapping, row.streams) for row in found] == [("gate", "all to one", ("graph",))]
    assert Report.from_dict(json.loads(report.as_json())).coverage == report.coverage
