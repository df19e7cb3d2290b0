"""The test cases that the onnx package ships for the operators in the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from ti_core.loading.onnx import coverage, registry

DOCUMENT = Path(__file__).parents[3] / "docs" / "onnx-operators.md"


@pytest.fixture(scope="module")
def results() -> list[coverage.Result]:
    return coverage.run_cases()


def test_every_case_passes_or_is_listed_with_its_reason(results: list[coverage.Result]) -> None:
    counts = coverage.count(results)
    assert counts.unexpected == ()
    assert counts.passed >= 1_310
    assert counts.failed <= 230


def test_the_operators_of_image_classifiers_have_passing_cases(results: list[coverage.Result]) -> None:
    passed = {r.operator for r in results if r.failure is None}
    wanted = """Conv ConvTranspose BatchNormalization InstanceNormalization LayerNormalization GroupNormalization
        Gemm MatMul MaxPool AveragePool GlobalAveragePool GlobalMaxPool LpPool Relu LeakyRelu PRelu Elu Selu Celu
        Sigmoid HardSigmoid HardSwish Mish Gelu Softplus Softsign Tanh Clip Softmax LogSoftmax Reshape Flatten
        Transpose Concat Slice Split Gather GatherElements GatherND Pad Resize Upsample ReduceMean ReduceSum
        ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSumExp ReduceSumSquare Shape ConstantOfShape
        Expand Range Unsqueeze Squeeze Cast Einsum Where Equal Greater Less LRN DepthToSpace SpaceToDepth
        Attention TopK ScatterND Tile CumSum GridSample"""
    assert set(wanted.split()) <= passed


def test_the_document_is_what_the_command_writes(results: list[coverage.Result]) -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    assert page == coverage.written(page, results)
    assert page.startswith(coverage.document(results))


def test_the_table_knows_versions() -> None:
    old, new = registry.find("", "Softmax", 12), registry.find("", "Softmax", 13)
    assert old is not None
    assert new is not None
    assert (old.since, new.since) == (1, 13)
    assert registry.find("", "Upsample", 6) is None
    assert registry.find("", "NoSuchOperator", 20) is None
