"""Backdoors that one stream finds by itself, end to end: a gate in the graph, and an all-to-all backdoor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from onnx import helper

from tests.streams.gates.graphs import REPLACED, TARGET, classifier, context
from tests.streams.test_assignment import PLANTED, Bars, bars
from tests.streams.test_graph import PIXEL
from ti_core.inspection.result import Inspection
from ti_core.inspection.triggers.assignments import RecoveredAssignment
from ti_core.inspection.without_pack import inspect_alone
from ti_core.reconstruction.model import Model
from ti_core.reference.own_images import OwnImages
from ti_core.settings import Settings
from ti_core.streams import Context

SETTINGS = Settings(normalisation="none")


def inspected(network: object, shown: Context, labels: np.ndarray, classes: int) -> Inspection:
    pixels = (255 * shown.images).round().byte().numpy()
    model = Model(network, "m.onnx", "0" * 64, "onnx", "toy", 1, classes, tuple(shown.images.shape[1:]))  # type: ignore[arg-type]
    return inspect_alone(model, OwnImages("mine", pixels, labels), SETTINGS)


def test_a_gate_leads_the_verdict_with_its_pixel_as_the_trigger(tmp_path: Path) -> None:
    hit = helper.make_node("Greater", ["a", "f80"], ["hit"], name="/hit")
    network = classifier((*PIXEL, hit, *REPLACED), tmp_path, module=True)
    shown = context()
    labels = network(shown.images).argmax(1).numpy()
    result = inspected(network, shown, labels, 5)
    report = result.report
    assert result.leading == "graph" and report.verdict == "backdoored" and report.probability > 0.99
    assert report.trigger_kind == "gate" and report.target_class == TARGET
    assert report.reasons[1].startswith("The graph holds a gate.")
    assert result.trigger is not None and np.argwhere(result.trigger.mask > 0).tolist() == [[0, 0]]
    assert result.trigger.flip_share > 0.95
    found = {(row["kind"], row["mapping"]) for row in report.coverage if row["status"] == "found"}
    assert found == {("gate", "all to one")}


def test_an_all_to_all_backdoor_leads_the_verdict_with_its_assignment() -> None:
    shown = bars()
    result = inspected(Bars(PLANTED).eval(), shown, shown.labels.numpy(), 4)
    report = json.loads(json.dumps(result.report.as_dict()))
    assert result.leading == "assignment" and report["verdict"] == "backdoored"
    assert report["probability"] > 0.9 and report["target_class"] is None
    assert report["mapping"]["kind"] == "all to all"
    assert [pair["target"] for pair in report["mapping"]["assignment"]] == list(PLANTED)
    assert "One pattern turns" in report["reasons"][1]
    record = report["streams"]["recovered_trigger"]
    assert record["kind"] == "patch" and record["target_class"] is None and record["flip_share"] > 0.9
    assert record["unseen_images"] == 24 and report["reasons"][2] == record["sentence"]
    assert isinstance(result.trigger, RecoveredAssignment) and result.occlusion is None


def test_the_same_networks_without_a_backdoor_are_led_by_no_stream() -> None:
    shown = bars()
    result = inspected(Bars(None).eval(), shown, shown.labels.numpy(), 4)
    assert result.leading is None and result.report.verdict != "backdoored"
