from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.methods.training_data.planted import files, images
from ti_core.cli.main import main


def test_poison_is_printed_and_written_by_the_confined_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = files(tmp_path)
    out = tmp_path / "found.json"
    assert main(["data", str(model), str(data), "--rate", "0.1", "--json", str(out)]) == 1
    said = capsys.readouterr().out
    assert "finds poison in 1 of 4 classes: 0 (20 of 120 images)" in said and "POISON 0:" in said
    assert "18 images, 18 of them in the cluster" in said and "and 10 more" in said
    record = json.loads(out.read_text())
    named = {image["place"] for image in record["classes"][0]["images"] if image["clustered"]}
    assert named == set(map(str, images()[2].nonzero()[0]))


def test_a_fault_of_the_images_is_one_sentence_and_the_code_of_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, _ = files(tmp_path)
    np.savez(tmp_path / "bare.npz", images=images()[0])
    assert main(["data", str(model), str(tmp_path / "bare.npz")]) == 2
    assert "bare.npz has no labels. Hand in the images" in capsys.readouterr().err
    assert main(["data", str(model), str(tmp_path / "bare.npz"), "--rate", "0.7"]) == 2
    assert "--rate is more than 0 and at most 0.5, not 0.7." in capsys.readouterr().err
