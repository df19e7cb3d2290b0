"""Inspections of networks that were reconstructed: what the report says of it, and where there is no verdict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.classifier.test_reconstruct import Plain, trained
from ti_core.inspection.with_pack import inspect
from ti_core.inspection.without_pack import inspect_alone
from ti_core.loading import load_model
from ti_core.reconstruction.model import Model
from ti_core.reference.choosing import choose_pack_for
from ti_core.reference.own_images import OwnImages
from ti_core.reference.pack import load_pack
from ti_core.rendering.repeat_command import command
from ti_core.results.report import Report
from ti_core.settings import Settings

QUICK = Settings(streams=("last_layer",))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("models") / "plain.pt"
    torch.save(trained(Plain).state_dict(), path)
    return load_model(path)


def test_the_report_holds_the_sketch_and_how_sure_it_is(model: Model) -> None:
    assert choose_pack_for(model).name == "mnist"
    report = inspect(model, load_pack("mnist"), QUICK).report
    found = report.model
    assert (
        found["architecture"] == "reconstructed"
        and found["clean_accuracy"] == found["reconstruction"]["first"]
    )
    assert (
        found["reconstruction"]["second"] is not None
        and found["reconstruction"]["runner_up"] != found["sketch"]
    )
    assert found["sketch"].startswith(
        "input 1 28; conv 8 3; tanh; avgpool 2; conv 12 3 padding 1; tanh; avgpool 2"
    )
    assert any("was reconstructed from the names and shapes" in reason for reason in report.reasons)
    assert Report.from_dict(json.loads(report.as_json())).model == found
    assert f"--architecture '{found['sketch']}'" in command(report)


def test_a_network_in_doubt_gets_no_verdict(tmp_path: Path) -> None:
    torch.manual_seed(1)
    torch.save(Plain().state_dict(), tmp_path / "plain.pt")
    unsure = load_model(tmp_path / "plain.pt")
    pack = load_pack("mnist")
    report = inspect(unsure, pack, QUICK).report
    assert report.verdict == "inconclusive" and "with --architecture" in report.reasons[0]
    pixels = (pack.images * 255).byte().numpy()
    own = OwnImages("own", pixels, pack.labels.numpy())
    alone = inspect_alone(unsure, own, Settings(streams=("inversion",))).report
    assert alone.verdict == "inconclusive" and "with --architecture" in alone.reasons[0]
