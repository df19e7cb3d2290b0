"""A small file that asks for hours, or for all memory, is refused before the work begins."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ti_core.cli.main import main
from ti_core.errors import ModelFileError
from ti_core.reference.pack import Pack
from ti_core.results.so_far import SoFar
from ti_core.worker import Job


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A graph of some 500 bytes that takes images of 2048 x 2048."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "W"], ["y"]),
    ]
    shown = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 2048, 2048])
    scores = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])
    weights = numpy_helper.from_array(np.ones((1, 4), "f4"), "W")
    graph = helper.make_graph(nodes, "g", [shown], [scores], [weights])
    path = tmp_path / "large.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


@pytest.mark.parametrize("limit", [["--minutes", "1"], ["--memory", "2"]])
def test_what_asks_for_too_much_is_refused_at_once(
    large: Path, tiny_pack: Pack, limit: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert large.stat().st_size < 600
    start = time.monotonic()
    assert main(["inspect", str(large), "--pack", str(tiny_pack.folder), "--no-cache", *limit]) == 2
    assert time.monotonic() - start < 40
    printed = capsys.readouterr()
    assert "not begun" in printed.err and f"Allow more time with {limit[0]}." in printed.err.replace(
        "more with", "more time with"
    )
    assert len(printed.err.splitlines()) == 1 and not printed.out


@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_a_budget_of_nothing_is_a_sentence(
    large: Path, minutes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["inspect", str(large)], ["scan", str(large)]):
        assert main([*command, "--minutes", minutes]) == 2
        printed = capsys.readouterr()
        assert printed.err == f"trojaninterpret: --minutes is more than 0, not {float(minutes):g}.\n"
        assert not printed.out


def test_an_inspection_that_is_ended_says_its_verdict_so_far(
    tiny_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = SoFar("backdoored", 0.9, ("saliency",), ("windowed",), "bar")

    def end(job: Job, *_: object) -> None:
        job._held.so_far = said
        raise ModelFileError("The work took longer than it may.")

    monkeypatch.setattr("ti_core.worker.inspection_job.follow", end)
    assert main(["inspect", str(tiny_models["clean"]), "--no-cache"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"trojaninterpret: {said.stopped()}",
        "trojaninterpret: The work took longer than it may.",
    ]
