"""How much of ONNX is supported, counted by the test cases of the operators.

``python -m ti_core.loading.onnx.coverage`` runs the test cases that the ``onnx`` package ships for the
operators in the table and prints the counts; ``--write FILE`` writes them as a document.
"""

from __future__ import annotations

import argparse
import fnmatch
import re
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, TensorProto, numpy_helper

from ti_core.errors import ModelBehaviourError, ModelFileError
from ti_core.loading.onnx import registry
from ti_core.loading.onnx.container import Container
from ti_core.loading.onnx.graph import OLDEST_OPSET, build
from ti_core.loading.onnx.limits import Budget
from ti_core.loading.onnx.plan import make_plan
from ti_core.loading.onnx.quantised.layers import LAYERS

COMPOSED = "several operators together"
CACHE = "the caches of language models"
PRODUCTS = "the inner products as an output"
HALF = "half precision, whose rounding differs; opened networks compute in float32"
DROPOUT = "dropout in training mode: here nothing is dropped"
COLLECTIONS = "## Architectures of public collections"
"""Heading of the part of the document that ``python -m benchmarks.onnx_collections`` writes."""
UNSUPPORTED: dict[str, str] = {
    r"test_cast.*FLOAT(8|4).*": "float8 and float4 elements",
    r"test_cast.*INT(4|2)_.*|test_cast.*INT(4|2)": "4-bit and 2-bit integers",
    r"test_bitwise_not_3d": "16-bit unsigned integers are held in 32 bits",
    r"test_equal_string.*": "strings",
    r"test_identity_(sequence|opt)": "sequences and optional values",
    r"test_attention_(?!.*_expanded).*(with_past|nonpad|padded_kv|ext_cache).*": CACHE,
    r"test_attention_(?!.*_expanded).*(qk_matmul|gqa_rank4_mask).*": PRODUCTS,
    r"test_attention_.*bf16.*|test_attention_4d_fp16|test_attention_4d_causal_fp16.*": HALF,
    r"test_batchnorm_.*_training_mode": "batch norm in training mode on images",
    r"test_training_dropout(_default)?(_mask)?": DROPOUT,
    r"test_(de)?quantizelinear_u?int[24]": "4-bit and 2-bit integers",
    r"test_(de)?quantizelinear_(e4m3fn|e5m2|float4e2m1).*": "float8 and float4 elements",
    r"test_maxpool_with_argmax.*": "the places of the largest values as an output",
}
"""Regular expressions for the test cases that are known to fail, each with the reason."""


@dataclass(frozen=True)
class Result:
    """The result of one test case.

    Parameters
    ----------
    case : name of the case.
    operator : the operator that the case tests.
    failure : what went wrong, or None.
    expected : why the case is expected to fail, or "".
    """

    case: str
    operator: str
    failure: str | None
    expected: str


def run_cases(names: str = "*") -> list[Result]:
    """Run the test cases whose operators are all in the table. `names` is a pattern for their names."""
    results = []
    for case in _cases():
        nodes = case.model.graph.node
        opset = max((o.version for o in case.model.opset_import if not o.domain), default=1)
        known = all(
            registry.find(n.domain, n.op_type, opset) or (n.domain, n.op_type) in LAYERS for n in nodes
        )
        if opset < OLDEST_OPSET or not known or not fnmatch.fnmatch(case.name, names):
            continue
        reason = next((r for p, r in UNSUPPORTED.items() if re.fullmatch(p, case.name)), "")
        results.append(Result(case.name, _subject(case), _failure(case), reason))
    return results


def _cases() -> list[Any]:
    with warnings.catch_warnings():  # the package's own cases divide by zero on purpose
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        return list(load_model_tests(kind="node"))


def _subject(case: Any) -> str:
    """The operator that a case tests."""
    if len(case.model.graph.node) == 1:
        return str(case.model.graph.node[0].op_type)
    return COMPOSED


def _failure(case: Any) -> str | None:
    try:
        for inputs, outputs in case.data_sets:
            for moving in (None, _first_float(case, inputs)):
                found = _compute(case.model, inputs, moving)
                for value, wanted in zip(found, outputs, strict=True):
                    problem = _difference(value, _array(wanted), case.rtol, case.atol)
                    if problem:
                        return problem
    except (ModelFileError, ModelBehaviourError) as error:
        return str(error)
    return None


def _array(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def _first_float(case: Any, inputs: Sequence[Any]) -> int | None:
    """Position of the input to treat as an image: the first floating one that is not used as a list."""
    nodes = case.model.graph.node
    opset = max((o.version for o in case.model.opset_import if not o.domain), default=1)
    entry = registry.find(nodes[0].domain, nodes[0].op_type, opset) if len(nodes) == 1 else None
    lists = entry.lists if entry else frozenset()
    floats = (
        i for i, x in enumerate(inputs) if i not in lists and _array(x).dtype in (np.float32, np.float64)
    )
    return next(floats, None)


def _compute(model: ModelProto, inputs: Sequence[Any], moving: int | None) -> list[torch.Tensor]:
    """The outputs, with the input at `moving` given in the way of images and all others as constants."""
    frozen = ModelProto()
    frozen.CopyFrom(model)
    declared = [v.name for v in frozen.graph.input]
    for i, (name, value) in enumerate(zip([n for n in declared if n], inputs, strict=False)):
        if i != moving:
            proto = value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value))
            constant = frozen.graph.initializer.add()
            constant.CopyFrom(proto)
            constant.name = name
    program = build(frozen, Container(), widen=False)
    given = [torch.from_numpy(np.array(_array(inputs[moving])))] if moving is not None else [torch.zeros(())]
    if moving is None:
        names = program.inputs
        if names:
            raise ModelFileError("it leaves an input open")
        return [program.constants[i] for i in program.outputs]
    plan, outputs = make_plan(program, program.constants, given, Budget())
    again = plan.run(*given)
    if not all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(again, outputs, strict=True)):
        raise ModelFileError("the plan computes something else than what it was made from")
    return outputs


def _difference(value: torch.Tensor, wanted: Any, rtol: float, atol: float) -> str | None:
    found = value.detach().float().numpy() if value.dtype == torch.bfloat16 else value.detach().numpy()
    if found.shape != wanted.shape:
        return f"shape {found.shape} instead of {wanted.shape}"
    if wanted.dtype.kind not in "biuf":
        wanted = wanted.astype(np.float32)
    close = np.allclose(
        found.astype(np.float64), wanted.astype(np.float64), rtol, max(atol, 1e-5), equal_nan=True
    )
    return None if close else "other numbers"


@dataclass(frozen=True)
class Counts:
    """Test cases of the operators in the table."""

    passed: int
    failed: int
    unexpected: tuple[str, ...]


def count(results: Sequence[Result]) -> Counts:
    """Count the results. Failures without a reason and reasons without a failure are unexpected."""
    unexpected = tuple(r.case for r in results if (r.failure is None) == bool(r.expected))
    failed = sum(r.failure is not None for r in results)
    return Counts(len(results) - failed, failed, unexpected)


def document(results: Sequence[Result]) -> str:
    """The coverage table as Markdown."""
    counts = count(results)
    passed = Counter(r.operator for r in results if r.failure is None)
    total = Counter(r.operator for r in results)
    why: dict[str, Counter[str]] = {}
    for r in results:
        if r.failure is not None:
            why.setdefault(r.operator, Counter())[r.expected or "fails"] += 1
    lines = [
        "# ONNX operators",
        "",
        "Written by `python -m ti_core.loading.onnx.coverage --write docs/onnx-operators.md`; do not edit.",
        "",
        f"Graphs of opset {OLDEST_OPSET} to {onnx.defs.onnx_opset_version()} are understood. Of the test cases that "
        f"the `onnx` package ({onnx.__version__}) ships for the operators below, {counts.passed:,} of "
        f"{len(results):,} pass; the others are named with their reason. Every case runs twice: with all inputs "
        "constant, and with the first floating input given as images are.",
        "",
        "A graph with any other operator is refused with the name of its node. Loops, branches on something that "
        "is not constant, and domains other than those below are never opened. Of an If with a constant condition "
        "only the branch that is taken is read into the network.",
        "",
        "Quantised networks (QuantizeLinear, DequantizeLinear, QLinearConv and the like) are computed in float: values "
        "are rounded to the same whole numbers, and gradients pass straight through the rounding.",
        "",
        "| operator | changes meaning at opset | cases passed | the others |",
        "| --- | --- | ---: | --- |",
    ]
    versions: dict[tuple[str, str], list[int]] = {}
    for entry in registry.entries():
        versions.setdefault((entry.domain, entry.name), []).append(entry.since)
    for layer in LAYERS:
        versions[layer] = []
    for (domain, name), since in sorted(versions.items()):
        shown = f"{domain}.{name}" if domain else name
        cases = f"{passed[name]} of {total[name]}" if total[name] and not domain else "no case"
        reasons = "; ".join(f"{n}: {reason}" for reason, n in sorted(why.get(name, Counter()).items()))
        changes = ", ".join(str(v) for v in since if v > 1) or "-"
        lines.append(f"| {shown} | {changes} | {cases} | {'' if domain else reasons} |")
    rest = COMPOSED
    reasons = "; ".join(f"{n}: {reason}" for reason, n in sorted(why.get(rest, Counter()).items()))
    lines.append(f"| {rest} | - | {passed[rest]} of {total[rest]} | {reasons} |")
    return "\n".join(lines) + "\n"


def written(page: str, results: Sequence[Result]) -> str:
    """The page with the coverage table made anew. What :data:`COLLECTIONS` begins stays as it is."""
    _, found, collections = page.partition(COLLECTIONS)
    return document(results) + (f"\n{COLLECTIONS}{collections}" if found else "")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run ONNX's test cases for the operators in the table.")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table to this file")
    parser.add_argument("--cases", default="*", metavar="PATTERN", help="only the cases of this name")
    chosen = parser.parse_args(arguments)
    results = run_cases(chosen.cases)
    counts = count(results)
    names = {(entry.domain, entry.name) for entry in registry.entries()} | LAYERS.keys()
    print(f"{len(names)} operators; {counts.passed} test cases pass, {counts.failed} are known not to")
    for name in counts.unexpected:
        print(f"unexpected: {name}")
    if chosen.write:
        before = chosen.write.read_text(encoding="utf-8") if chosen.write.exists() else ""
        chosen.write.write_text(written(before, results), encoding="utf-8")
    return 1 if counts.unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
