"""A package of somebody else adds a stream and a method by its entry points, and nothing here is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tests.cli.quick import QUICK
from ti_core import stream_registry
from ti_core.reference.pack import Pack
from ti_core.stream_registry import STREAMS, plugged_in

STREAM = '''
import torch

from ti_core.streams.base import Features, Reading, Stream
from ti_core.system.progress import silent_share


class Confidence(Stream):
    """How sure the network is of each class on clean images."""

    name, title, version = "confidence", "Confidence on clean images", 1
    doing = "Looking at the answers to clean images"
    heading, unit, measures = "Confidence on clean images", "share", "share of the certainty by class"

    def evidence(self, scores, context, progress=silent_share):
        with torch.no_grad():
            return {"shares": scores(context.images).softmax(dim=1).mean(dim=0).numpy()}

    def features(self, stack, clean, among_clean=None):
        return Features(("confidence: largest share",), stack["shares"].max(axis=1, keepdims=True))

    def read(self, evidence, clean, class_names):
        own, others = evidence["shares"].max(), clean["shares"].max(axis=1)
        target = int(evidence["shares"].argmax())
        return Reading(float(own), float((others >= own).mean()), "Said by a plug-in.", target)
'''
POINTS = """[trojaninterpret.streams]
confidence = ti_example:Confidence
saliency = ti_example:Confidence

[trojaninterpret.methods]
example_method = ti_example:Confidence
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with the package as pip installs it."""
    (tmp_path / "ti_example.py").write_text(STREAM)
    (tmp_path / "ti_example-1.0.dist-info").mkdir()
    (tmp_path / "ti_example-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: ti-example\nVersion: 1.0\n"
    )
    (tmp_path / "ti_example-1.0.dist-info" / "entry_points.txt").write_text(POINTS)
    return tmp_path


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(site), str(Path.cwd())))}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_packages_stream_takes_part_in_an_inspection(
    site: Path, tiny_pack: Pack, tiny_models: dict[str, Path]
) -> None:
    rest = [arg.replace("streams=saliency", "streams=saliency,confidence") for arg in QUICK]
    model = ("inspect", str(tiny_models["patch"]), "--pack", str(tiny_pack.folder), "--json", "-")
    done = run(site, "-m", "ti_core", *model, *rest)
    assert done.returncode in (0, 1, 3), done.stderr
    found = json.loads(done.stdout)["streams"]["confidence"]
    assert found["sentence"] == "Said by a plug-in." and 0 < found["score"] <= 1


def test_a_package_adds_names_but_replaces_none(site: Path) -> None:
    code = (
        "import sys; from ti_core.stream_registry import STREAMS, DEFAULT; from ti_core.methods import METHODS;"
        "print(STREAMS['confidence'].place, 'confidence' in DEFAULT, STREAMS['saliency'].place,"
        " METHODS['example_method'].place, 'ti_example' in sys.modules)"
    )
    told = run(site, "-c", code).stdout.split()
    assert told == [
        "ti_example:Confidence",
        "False",
        "ti_core.streams.saliency:Saliency",
        "ti_example:Confidence",
        "False",
    ]
    assert "confidence" not in STREAMS


def test_entry_points_that_cannot_be_used_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        ("good", "a:B"),
        ("good", "b:C"),
        ("taken", "a:B"),
        ("No-Name", "a:B"),
        ("module", "a"),
        ("x" * 90, "a:B"),
    ]
    found = [EntryPoint(name, value, "g") for name, value in points]
    monkeypatch.setattr(stream_registry, "entry_points", lambda group: found)
    assert list(plugged_in("g", ["taken"])) == [("good", "a:B")]
