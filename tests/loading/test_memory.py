"""A large file is not held more often than it must be."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.file_memory import WRITERS, perceptron
from tests.loading.hub.test_files import other_library, zipped
from tests.loading.keras.files import archive_of, dense, hdf5_of, layer, sequential, weights_of
from tests.loading.onnx.onnx_networks import classifier, save
from ti_core.loading import load_model
from ti_core.loading.keras.container import from_archive
from ti_core.loading.keras.hdf5 import Hdf5
from ti_core.loading.model_file import read_model_file
from ti_core.loading.opening import open_model
from ti_core.loading.weights import as_weight


def test_the_weights_of_a_keras_archive_are_not_unpacked() -> None:
    end, arrays = dense(65_536, 16)
    config = sequential(layer("Flatten"), end, shape=(None, 256, 256, 1))
    data = archive_of(config, weights_of({"dense": arrays}))
    tracemalloc.start()
    try:
        saved = from_archive(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(data) > 4 << 20 and peak < len(data) / 4
    assert saved.arrays.read("layers/dense/vars/0").shape == (65_536, 16)


def test_an_hdf5_file_is_read_from_any_bytes() -> None:
    numbers = np.arange(5000, dtype=np.float32)
    data = b"before" + hdf5_of(lambda file: file.create_dataset("a", data=numbers)) + b"after"
    assert np.array_equal(Hdf5(memoryview(data)[6:-5]).read("a"), numbers)


def test_a_weight_that_was_read_for_one_use_is_not_copied() -> None:
    own, shared = torch.rand(3, 2), torch.rand(3, 2)
    assert as_weight(own, "w", own=True).data_ptr() == own.data_ptr()
    assert as_weight(shared, "w").data_ptr() != shared.data_ptr()


def test_bytes_that_a_reader_has_copied_are_released(tmp_path: Path) -> None:
    save(classifier(shape=["n", 1, 4, 4]), tmp_path / "m.onnx")
    other_library(tmp_path / "m")
    for path in (tmp_path / "m.onnx", zipped(tmp_path / "m")):
        file = read_model_file(path)
        model = open_model(file)
        assert file.content == b"" and model.sha256 == file.sha256


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", [form for form in WRITERS if form != "ONNX"])
def test_every_form_of_the_benchmark_opens(form: str, tmp_path: Path) -> None:
    net = perceptron(1)
    ending, write = WRITERS[form]
    write(net, tmp_path / f"m{ending}")
    x = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(load_model(tmp_path / f"m{ending}").module(x), net(x))
