"""Weights alone as Keras 3 writes them: the order of writing, what arrays do, and everything else refused."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from tests.loading.keras.files import answers, hdf5_of, images, stored
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import describe_file, load_model
from ti_core.loading.keras.load import checked, saved_in
from ti_core.loading.keras.weights import numbered
from ti_core.loading.keras.weights_only import weights_only
from ti_core.reconstruction.candidates import LAYERS

GTSRB = (
    "input 3 32; conv 4 3 padding 1; relu; conv 4 3; relu; maxpool 2; conv 6 3 padding 1; relu; conv 6 3; relu;"
    " maxpool 2; conv 8 3 padding 1; relu; conv 8 3; relu; maxpool 2; flatten; linear 12; relu; linear 43; softmax"
)


def alone(name: str) -> bytes:
    """The weights in an archive that Keras 3 wrote, which are what its ``save_weights`` writes."""
    with zipfile.ZipFile(io.BytesIO(stored()[name])) as archive:
        return archive.read("model.weights.h5")


def written(layers: Sequence[tuple[str, Sequence[Any]]]) -> bytes:
    """A file with the arrays of each layer, in this order."""

    def write(file: h5py.File) -> None:
        for path, arrays in layers:
            for number, array in enumerate(arrays):
                file[f"{path}/vars/{number}"] = np.asarray(array)

    return hdf5_of(write)


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


def kinds(data: bytes) -> list[tuple[str, str, tuple[int, ...]]]:
    found = weights_only(data)
    assert found is not None
    return [(layer.name, layer.kind, layer.shape) for layer in found]


def test_a_file_of_keras_answers_as_keras_did(tmp_path: Path) -> None:
    record = answers()["gtsrb-3.keras"]
    path = tmp_path / "model.weights.h5"
    path.write_bytes(alone("gtsrb-3.keras"))
    model = load_model(path, sketch=GTSRB)
    assert (model.format, model.architecture) == ("keras h5", "sketch")
    x = images(tuple(record["shape"]), record["scale"])
    torch.testing.assert_close(model.module(x), torch.tensor(record["answers"][0]), atol=1e-5, rtol=0)
    proposed = load_model(path)
    assert (
        proposed.architecture == "reconstructed" and proposed.proposal is not None and proposed.classes == 43
    )
    report = describe_file(path)
    assert report.opens and [tensor.shape for tensor in report.tensors][:2] == [(4, 3, 3, 3), (4,)]


@pytest.mark.parametrize("name", ["gtsrb-3.keras", "mobile-3.keras", "residual-3.keras", "nested-3.keras"])
def test_layers_stand_in_the_order_in_which_the_model_has_them(name: str) -> None:
    """The configuration beside the weights says the order; the weights alone show the same."""
    saved = saved_in(stored()[name])
    places = numbered(saved.arrays, checked(saved), saved.version)
    folders = [paths[0].rpartition("/vars/")[0] for paths in places.values() if paths]
    wanted = [".".join(part for part in folder.split("/") if part != "layers") for folder in folders]
    parts = ("depthwise", "pointwise")
    found = [".".join(p for p in layer.split(".") if p not in parts) for layer, _, _ in kinds(alone(name))]
    assert len(wanted) > 4 and list(dict.fromkeys(found)) == wanted


def test_what_arrays_do_follows_from_the_class_and_the_shapes() -> None:
    net = [
        ("layers/normalization", [[0.5, 0.4, 0.3], [0.04, 0.09, 0.16], np.int32(3)]),
        ("layers/conv2d", [ones(3, 3, 3, 8), ones(8)]),
        ("layers/batch_normalization", [ones(8)] * 4),
        ("layers/p_re_lu", [ones(1, 1, 8)]),
        ("layers/depthwise_conv2d", [ones(3, 3, 8, 2)]),
        ("layers/separable_conv2d", [ones(3, 3, 16, 1), ones(1, 1, 16, 4), ones(4)]),
        ("layers/sequential/layers/batch_normalization", [0.9 * ones(4), ones(4), ones(4)]),
        ("layers/sequential/layers/batch_normalization_1", [0.1 * ones(4), ones(4), ones(4)]),
        ("layers/sequential/layers/batch_normalization_2", [ones(4)] * 2),
        ("layers/layer_normalization", [ones(4)] * 2),
        ("layers/dropout/seed_generator", [np.array([1, 2], np.uint32)]),
        ("layers/dense", [ones(4, 5)]),
        ("optimizer", [np.int64(3), ones(4, 5)]),
    ]
    data = written(
        [(path, [np.float32(a) if isinstance(a, list) else a for a in arrays]) for path, arrays in net]
    )
    assert kinds(data) == [
        ("normalization", "normalise", (3,)),
        ("conv2d", "conv", (8, 3, 3, 3)),
        ("batch_normalization", "batchnorm", (8,)),
        ("p_re_lu", "prelu", (8,)),
        ("depthwise_conv2d", "conv", (16, 1, 3, 3)),
        ("separable_conv2d.depthwise", "conv", (16, 1, 3, 3)),
        ("separable_conv2d.pointwise", "conv", (4, 16, 1, 1)),
        ("sequential.batch_normalization", "batchnorm", (4,)),
        ("sequential.batch_normalization_1", "batchnorm", (4,)),
        ("sequential.batch_normalization_2", "batchnorm", (4,)),
        ("layer_normalization", "norm", (4,)),
        ("dense", "linear", (5, 4)),
    ]
    layers = {layer.name: layer for layer in weights_only(data) or ()}
    torch.testing.assert_close(layers["normalization"].tensors["std"], torch.tensor([0.2, 0.3, 0.4]))
    assert "bias" not in layers["sequential.batch_normalization"].tensors
    assert "weight" not in layers["sequential.batch_normalization_1"].tensors
    assert set(layers["sequential.batch_normalization_2"].tensors) == {"mean", "var"}


def test_a_model_of_its_own_class_is_sorted_by_its_names() -> None:
    """Keras writes the attributes of such a model by the alphabet; a bias shows a depthwise kernel there."""
    rows = torch.arange(2 * 2 * 6 * 3.0).reshape(24, 3)
    data = written(
        [
            ("a_head", [rows.numpy(), ones(3)]),
            ("conv1", [ones(3, 3, 1, 3), ones(3)]),
            ("conv2", [ones(3, 3, 3, 2), ones(6)]),
        ]
    )
    head, _, grouped = weights_only(data) or ()
    assert grouped.shape == (6, 1, 3, 3) and head.name == "a_head"
    wanted = rows.T.reshape(3, 2, 2, 6).permute(0, 3, 1, 2).reshape(3, 24)
    assert torch.equal(head.tensors["weight"], wanted)


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        ([("layers/lstm", [ones(4, 8), ones(2, 8), ones(8)])], "'layers/lstm' belong to no layer"),
        ([("layers/conv2d_transpose_1", [ones(3, 3, 2, 4), ones(2)])], "belong to no layer of a plain"),
        ([("layers/dense", [np.ones((4, 4), np.int8)])], "stored as int8. belong to no layer"),
        ([("layers/dense", [np.full((4, 4), np.nan, np.float32)])], "NaN"),
        ([("layers/dense", [ones(4, 0)])], "belong to no layer"),
        ([("layers/dense", [ones(4, 4)]), ("dense", [ones(4, 4)])], "two layers of the name 'dense'"),
        ([("layers/p_re_lu", [ones(6, 6, 3)])], "belong to no layer"),
    ],
)
def test_other_weights_are_refused(layers: Any, says: str, tmp_path: Path) -> None:
    (tmp_path / "m.weights.h5").write_bytes(written(layers))
    with pytest.raises(ModelFileError, match=says):
        load_model(tmp_path / "m.weights.h5")
    assert not describe_file(tmp_path / "m.weights.h5").opens


def test_a_missing_array_and_one_that_is_not_numbered_are_named(tmp_path: Path) -> None:
    def lacking(file: h5py.File) -> None:
        file["layers/dense/vars/0"], file["layers/dense/vars/2"] = ones(4, 4), ones(4)

    def beside(file: h5py.File) -> None:
        file["layers/dense/vars/0"], file["layers/dense/other"] = ones(4, 4), ones(4)

    for write, says in (
        (lacking, "lacks the array 1 of the layer 'layers/dense'"),
        (beside, "'layers/dense/other'"),
    ):
        with pytest.raises(ModelFileError, match=says):
            weights_only(hdf5_of(write))


def test_code_bombs_and_links_are_refused(tmp_path: Path) -> None:
    """Nothing of the file is run, followed or swollen."""

    def swollen(file: h5py.File) -> None:
        file.create_dataset("layers/dense/vars/0", (1 << 20, 1 << 12), "f4", compression="gzip")

    def declared(file: h5py.File) -> None:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
        space = h5py.h5s.create_simple((1 << 20, 1 << 14))
        h5py.h5d.create(file.create_group("layers/dense/vars").id, b"0", h5py.h5t.IEEE_F32LE, space, plan)

    def linked(file: h5py.File) -> None:
        file["layers/dense/vars/0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/")

    for write, says in (
        (swollen, "is compressed"),
        (declared, "that the file does not hold"),
        (linked, "is a link to another place or file"),
    ):
        with pytest.raises(RefusedFileError, match=says):
            weights_only(hdf5_of(write))


def test_a_file_of_very_many_layers_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    path.write_bytes(written([(f"layers/dense_{i}", [ones(4, 4)]) for i in range(LAYERS + 1)]))
    begun = time.process_time()
    with pytest.raises(ModelFileError, match=f"the limit is {LAYERS}") as found:
        load_model(path)
    assert len(str(found.value)) < 2000 and time.process_time() - begun < 10
