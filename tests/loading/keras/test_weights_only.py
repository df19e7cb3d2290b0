"""Weights of Keras without a configuration: layers in order, axes as torch has them, and the network that fits."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from tests.damage import damaged
from tests.loading.keras.files import hdf5_of
from ti_core.errors import ModelFileError
from ti_core.loading import describe_file, load_model

Arrays = Mapping[str, Mapping[str, Any]]


def stored(layers: Arrays, whole: bool = False) -> bytes:
    """A file as ``model.save_weights("model.h5")`` of Keras 2 writes it."""

    def write(file: h5py.File) -> None:
        root = file.create_group("model_weights") if whole else file
        root.attrs["layer_names"] = list(layers)
        for name, arrays in layers.items():
            group = root.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{role}:0" for role in arrays]
            for role, array in arrays.items():
                group[f"{name}/{role}:0"] = np.asarray(array)

    return hdf5_of(write)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4, eps=0.001),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(676, 3),
    )
    with torch.no_grad():
        for tensor in (*net[1].parameters(), net[1].running_mean, net[1].running_var):
            tensor.uniform_(0.2, 1.5)
    return net.eval()


def arrays_of(net: nn.Sequential) -> dict[str, dict[str, Any]]:
    """The network's tensors in Keras's names and order of axes."""
    conv, norm, dense = net[0], net[1], net[5]
    rows = dense.weight.detach().reshape(3, 4, 13, 13).permute(2, 3, 1, 0).reshape(676, 3)
    return {
        "conv2d": {"kernel": conv.weight.detach().permute(2, 3, 1, 0), "bias": conv.bias.detach()},
        "batch_normalization": {
            "gamma": norm.weight.detach(),
            "beta": norm.bias.detach(),
            "moving_mean": norm.running_mean,
            "moving_variance": norm.running_var,
        },
        "max_pooling2d": {},
        "dense": {"kernel": rows, "bias": dense.bias.detach()},
    }


@pytest.mark.parametrize("whole", [False, True])
def test_the_network_that_fits_answers_as_the_one_that_was_saved(whole: bool, tmp_path: Path) -> None:
    net = network()
    (tmp_path / "m.h5").write_bytes(stored(arrays_of(net), whole))
    report = describe_file(tmp_path / "m.h5")
    assert report.opens and [t.shape for t in report.tensors][:2] == [(4, 1, 3, 3), (4,)]
    model = load_model(
        tmp_path / "m.h5", sketch="conv 4 3; batchnorm eps 0.001; relu; maxpool 2; flatten; linear 3"
    )
    x = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(model.module(x), net(x))
    proposed = load_model(tmp_path / "m.h5")
    assert (proposed.format, proposed.architecture) == (
        "keras h5",
        "reconstructed",
    ) and proposed.proposal is not None
    assert "batchnorm eps 0.001" in proposed.sketch and proposed.module(
        torch.rand(1, *proposed.input_shape or ())
    ).shape == (1, 3)


def test_depthwise_and_separable_convolutions_become_grouped_ones(tmp_path: Path) -> None:
    torch.manual_seed(0)
    depth, point = torch.rand(3, 3, 2, 1), torch.rand(1, 1, 2, 5)
    layers = {
        "conv2d": {"kernel": torch.rand(3, 3, 1, 2)},
        "separable": {"depthwise_kernel": depth, "pointwise_kernel": point, "bias": torch.rand(5)},
        "dense": {"kernel": torch.rand(5, 3)},
    }
    (tmp_path / "m.h5").write_bytes(stored(layers))
    sketch = "conv 2 3; conv 2 3 groups 2; conv 5 1; globalavgpool; flatten; linear 3"
    model = load_model(tmp_path / "m.h5", sketch=sketch)
    first, grouped, pointwise = (m for m in model.module.modules() if isinstance(m, nn.Conv2d))
    torch.testing.assert_close(grouped.weight[1, 0], depth[:, :, 1, 0])
    torch.testing.assert_close(pointwise.weight[4, :, 0, 0], point[0, 0, :, 4])
    assert first.bias is None and pointwise.bias is not None


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        (
            {"lstm": {"recurrent_kernel": np.ones((4, 4), np.float32)}},
            "belongs to no layer of a plain network",
        ),
        ({"dense": {"kernel": np.ones((4, 4), np.int32)}}, "int32. belongs to no layer"),
        ({"dense": {"kernel": np.full((4, 4), np.nan, np.float32)}}, "NaN"),
        ({"flatten": {}}, "none of them has weights"),
    ],
)
def test_other_weights_are_refused(layers: Arrays, says: str, tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(stored(layers))
    with pytest.raises(ModelFileError, match=says):
        load_model(tmp_path / "m.h5")
    assert not describe_file(tmp_path / "m.h5").opens


def test_damaged_weights_open_or_are_refused(tmp_path: Path) -> None:
    data, rng = stored(arrays_of(network())), random.Random("weights")
    for _ in range(30):
        (tmp_path / "m.h5").write_bytes(damaged(data, rng))
        try:
            load_model(tmp_path / "m.h5")
        except ModelFileError as error:
            assert str(error)
