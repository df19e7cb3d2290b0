"""The bundled samples, which every demonstration begins with, get the right verdict by the pack's evidence rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from ti_core import inspect, load_model, load_pack

SAMPLES = Path(__file__).resolve().parents[2] / "assets" / "samples"


@pytest.mark.parametrize(
    ("kind", "verdict"), [("clean", "clean"), ("blend", "backdoored"), ("patch", "backdoored")]
)
def test_a_bundled_sample_gets_its_verdict(kind: str, verdict: str) -> None:
    report = inspect(load_model(SAMPLES / f"mnist-{kind}.safetensors"), load_pack("mnist")).report
    assert report.verdict == verdict, report.reasons[:3]
