"""What changed between two versions of a model: known edits are told as what they are."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

from ti_core.cli.main import main
from ti_core.loading.versions.changes import changes
from ti_core.loading.versions.record import read_changes
from ti_core.reconstruction.model import Model
from ti_core.worker import Job, Limits
from ti_core.worker.inspection_job import changes_of
from ti_core.worker.results import ResultError


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def model(module: nn.Module, digest: str = "a") -> Model:
    return Model(module, f"{digest}.pt", digest, "torch module", "Net", 1)


def edited(name: str, factor: float = 1.0, plus: float = 0.0) -> nn.Module:
    changed = deepcopy(network())
    with torch.no_grad():
        tensor = changed.state_dict()[name]
        tensor.mul_(factor).add_(plus)
    return changed


def test_equal_weights_in_another_file() -> None:
    found = changes(model(network()), model(network(), "b"))
    assert not found.changed and "equal bit by bit" in found.sentences()[0]
    assert changes(model(network()), model(network())).sentences() == ["Both are the same file."]


def test_a_change_is_measured_by_its_norm_and_its_share() -> None:
    found = changes(model(network()), model(edited("0.weight", factor=1.5), "b"))
    (one,) = found.changed
    assert one.name == "0.weight" and one.share == 1.0 and one.relative == pytest.approx(0.5)
    other = deepcopy(network())
    with torch.no_grad():
        other[0].weight.view(-1)[0] += 1.0
    (one,) = changes(model(network()), model(other, "b")).changed
    assert one.share == pytest.approx(1 / 18)
    assert one.relative == pytest.approx(1.0 / float(network()[0].weight.detach().norm()), rel=1e-5)


def test_a_new_last_layer_further_training_and_an_edit_are_told_apart() -> None:
    last = changes(model(network()), model(edited("3.bias", plus=0.1), "b")).sentences()[0]
    assert "Only the last layer, 3, changed" in last
    trained = changes(model(network()), model(network(1), "b"))
    # Fresh statistics of a batch norm, and its counter, are equal.
    assert len(trained.changed) == 4
    inside = changes(model(network()), model(edited("1.weight", factor=2.0), "b")).sentences()[0]
    assert "of some layers (1)" in inside and "1.weight (by 100.0% of its norm)" in inside
    everything = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    after = deepcopy(everything)
    with torch.no_grad():
        for tensor in after.parameters():
            tensor.mul_(1.01)
    assert "Nearly all changed, by 1.0%" in changes(model(everything), model(after, "b")).sentences()[0]


def test_zeros_and_nan_have_no_relative_change_that_misleads() -> None:
    before, after = deepcopy(network()), deepcopy(network())
    with torch.no_grad():
        before[3].bias.zero_()
        before[0].bias.fill_(float("nan"))
        after[0].bias.fill_(float("nan"))
    found = {one.name: one for one in changes(model(before), model(after, "b")).compared}
    assert found["3.bias"].relative is None and found["3.bias"].share == 1.0
    assert found["0.bias"].share == 0.0


def test_other_shapes_and_other_names_are_named() -> None:
    other = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 5), nn.Linear(5, 3)
    )
    said = " ".join(changes(model(network()), model(other, "b")).sentences())
    assert "The shape differs of 3.weight, 3.bias." in said and "Only b.pt has 4.weight, 4.bias." in said
    apart = changes(model(nn.Sequential(nn.Linear(2, 2))), model(nn.ModuleDict({"x": nn.Linear(2, 2)}), "b"))
    assert "share no tensor" in apart.sentences()[0]


def test_the_command_says_it_and_writes_every_tensor(
    tiny_models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "changes.json"
    one, two = str(tiny_models["clean"]), str(tiny_models["patch"])
    assert main(["changes", one, two, "--json", str(out)]) == 0
    assert "tensors differ" in capsys.readouterr().out
    assert read_changes(json.loads(out.read_text())).changed
    assert main(["changes", one, "missing.pt"]) == 2


def test_a_comparison_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "changes.json").write_text(json.dumps({"old": 1}))
    with pytest.raises(ResultError, match="no valid comparison"):
        changes_of(Job(tmp_path, Limits()))
