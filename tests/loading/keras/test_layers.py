"""Layers on closed forms, and configurations that are unusual or out of range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.loading.keras.files import (
    archive_of,
    dense,
    hdf5_of,
    layer,
    opened,
    sequential,
    small,
    through,
    weights_of,
)
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.keras import limits
from ti_core.loading.keras.layers.operations import operation_of
from ti_core.loading.keras.weights import snake_case

X = torch.linspace(-2, 2, 2 * 4 * 4 * 3).reshape(2, 4, 4, 3)
RNG = np.random.default_rng(0)


def test_relu_has_all_three_options() -> None:
    y = through(layer("ReLU", max_value=1.0, negative_slope=0.1, threshold=0.5), x=X)
    wanted = torch.where(X >= 1.0, torch.tensor(1.0), torch.where(X >= 0.5, X, 0.1 * (X - 0.5)))
    assert torch.allclose(y, wanted)


def test_numbers_written_as_arrays_are_read() -> None:
    y = through(layer("LeakyReLU", alpha={"type": "ndarray", "value": 0.25}), x=X)
    assert torch.allclose(y, torch.where(X >= 0, X, 0.25 * X))


def test_the_hard_sigmoid_is_that_of_the_version() -> None:
    end, weights = dense(3)
    config = sequential(layer("Activation", activation="hard_sigmoid"), layer("GlobalAveragePooling2D"), end)
    parts = [
        opened(archive_of(config, weights_of({"dense": weights}), v)).module.graph.parts[0]
        for v in ("2.15", "3.1")
    ]
    assert torch.allclose(parts[0](X), (0.2 * X + 0.5).clamp(0, 1))
    assert torch.allclose(parts[1](X), ((X + 3) / 6).clamp(0, 1))


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ({"class_name": "function", "module": "builtins", "config": "tanh"}, torch.tanh),
        (
            {"class_name": "LeakyReLU", "module": "keras.layers", "config": {"negative_slope": 0.5}},
            lambda x: x.clamp(min=0.5 * x),
        ),
        ({"class_name": "ReLU", "config": {"max_value": 1.0}}, lambda x: x.clamp(0, 1)),
        (None, lambda x: x),
    ],
)
def test_an_activation_may_be_a_function_or_a_layer(activation: Any, function: Any) -> None:
    assert torch.allclose(through(layer("Activation", activation=activation), x=X), function(X))


def test_groups_of_a_convolution_are_torchs() -> None:
    kernel = RNG.normal(size=(3, 2, 2, 6)).astype(np.float32)
    entry = layer("Conv2D", filters=6, kernel_size=[3, 2], groups=2, use_bias=False, activation="linear")
    x = torch.rand(2, 5, 5, 4)
    y = through(entry, x=x, conv2d=[kernel], features=6)
    for group in (0, 1):
        weight = torch.from_numpy(kernel[..., 3 * group : 3 * group + 3]).permute(3, 2, 0, 1)
        part = torch.nn.functional.conv2d(x[..., 2 * group : 2 * group + 2].permute(0, 3, 1, 2), weight)
        assert torch.allclose(y[..., 3 * group : 3 * group + 3], part.permute(0, 2, 3, 1), atol=1e-5)


def test_channels_first_is_the_same_network_on_turned_images() -> None:
    """The flattened order of Keras is that of channels last, whatever the layout."""
    kernel, bias = RNG.normal(size=(3, 3, 3, 5)), RNG.normal(size=5)
    models = []
    for form, shape, axis in (("channels_last", (None, 8, 9, 3), -1), ("channels_first", (None, 3, 8, 9), 1)):
        end, weights = dense(3 * 4 * 5)
        layers = [
            layer(
                "Conv2D", filters=5, kernel_size=[3, 3], padding="same", activation="relu", data_format=form
            ),
            layer("BatchNormalization", axis=axis, epsilon=0.01),
            layer("MaxPooling2D", pool_size=[2, 2], data_format=form),
            layer("ZeroPadding2D", padding=[[0, 0], [1, 0]], data_format=form),
            layer("AveragePooling2D", pool_size=[2, 2], strides=[1, 1], data_format=form),
            layer("Flatten", data_format=form),
            end,
        ]
        arrays = {
            "conv2d": [kernel, bias],
            "batch_normalization": [np.full(5, 1.5), np.full(5, 0.5), np.arange(5.0), np.arange(1.0, 6.0)],
            "dense": weights,
        }
        models.append(opened(archive_of(sequential(*layers, shape=shape), weights_of(arrays))))
    assert models[0].input_shape == models[1].input_shape == (3, 8, 9)
    images = torch.rand(2, 3, 8, 9)
    assert torch.allclose(models[0].module(images), models[1].module(images), atol=1e-5)


def test_theanos_kernels_are_turned_round() -> None:
    import json

    kernel = RNG.normal(size=(3, 3, 3, 3)).astype(np.float32)
    found = {}
    for backend in ("tensorflow", "theano"):

        def write(file: Any, backend: str = backend) -> None:
            entry = layer("Conv2D", filters=3, kernel_size=[3, 3], use_bias=False, activation="linear")
            config = sequential(entry, layer("GlobalAveragePooling2D"))
            file.attrs.update(model_config=json.dumps(config), keras_version="2.1.6", backend=backend)
            file["model_weights/conv2d/conv2d/kernel:0"] = kernel
            file["model_weights/conv2d"].attrs["weight_names"] = [b"conv2d/kernel:0"]

        (found[backend],) = (
            m for m in opened(hdf5_of(write)).module.modules() if isinstance(m, torch.nn.Conv2d)
        )
    assert torch.equal(found["theano"].weight, found["tensorflow"].weight.flip(2, 3))
    assert np.array_equal(found["tensorflow"].weight.numpy(), kernel.transpose(3, 2, 0, 1))


def test_an_undeclared_input_is_found_by_trial() -> None:
    end, weights = dense(3)
    entry = layer("Conv2D", filters=3, kernel_size=[3, 3], activation="relu")
    config = sequential(entry, layer("GlobalAveragePooling2D"), end)
    del config["config"]["layers"][0]
    found = opened(
        archive_of(
            config, weights_of({"conv2d": [RNG.normal(size=(3, 3, 1, 3)), np.zeros(3)], "dense": weights})
        )
    )
    assert found.input_shape == (1, 0, 0) and found.classes == 4


def test_layers_of_keras_before_2_2_3_are_a_list() -> None:
    end, weights = dense(3)
    config = sequential(layer("GlobalAveragePooling2D"), end)
    config["config"] = config["config"]["layers"]
    assert opened(archive_of(config, weights_of({"dense": weights}), "2.2.2")).classes == 4


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        (layer("ZeroPadding2D", padding=[[9999999, 0], [9999999, 0]]), "asks for .* numbers, beyond"),
        (layer("UpSampling2D", size=[4096, 4096]), "asks for .* numbers, beyond"),
        (layer("Resizing", height=100000, width=100000), "asks for .* numbers, beyond"),
        (layer("MaxPooling2D", pool_size=[9000000, 9000000], padding="same"), "asks for .* numbers, beyond"),
        (layer("ZeroPadding2D", padding=2**40), "beyond the limits"),
        (layer("Resizing", height=2**40, width=3), "beyond the limits"),
    ],
)
def test_sizes_beyond_the_limits_are_refused_before_they_are_made(entry: dict[str, Any], match: str) -> None:
    with pytest.raises(RefusedFileError, match=match):
        small(entry)


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        (layer("ReLU", max_value="many"), "option max_value = many, which is not supported"),
        (layer("ReLU", max_value=True), "option max_value = True"),
        (layer("MaxPooling2D", pool_size=[0, 2]), "option pool_size"),
        (layer("MaxPooling2D", pool_size=[2, 2, 2]), "option pool_size"),
        (layer("MaxPooling2D", padding="causal"), "option padding = causal"),
        (layer("MaxPooling2D", pool_size=[20, 20]), "windows are larger than the image"),
        (layer("Cropping2D", cropping=5), "cuts more than an image"),
        (layer("Reshape", target_shape=[5, 5]), "cannot be computed"),
        (layer("Reshape", target_shape=[0]), "option target_shape"),
        (layer("Reshape", target_shape=3.5), "option target_shape"),
        (layer("Permute", dims=[1, 1, 2]), "option dims"),
        (layer("Concatenate", axis=0), "joins images of a batch"),
        (layer("Softmax", axis=0), "shares over a batch"),
        (layer("Resizing", height=4, width=4, interpolation="bicubic"), "interpolation = bicubic"),
        (layer("Resizing", height=4, width=4, antialias=True), "antialias = True"),
        (layer("RandomCrop", height=4, width=4), "it makes 4 x 4 of images of 8 x 8"),
        (layer("CenterCrop", height=9, width=9), "it makes 9 x 9"),
        (layer("Rescaling", scale=["a"]), "option scale"),
        (layer("Normalization", mean=0.0, variance=-1.0), "negative variance"),
        (layer("BatchNormalization"), r"lacks the array 'layers/batch_normalization/vars/0'"),
        (layer("Activation", activation="my_own"), "activation my_own, which is not known"),
        (layer("Conv2DTranspose", output_padding=[1, 1]), "output_padding|lacks the array"),
    ],
)
def test_options_out_of_range_are_told_with_the_layer(entry: dict[str, Any], match: str) -> None:
    with pytest.raises(ModelFileError, match=match):
        small(entry)


def test_weights_that_do_not_fit_are_told() -> None:
    conv = layer("Conv2D", filters=3, kernel_size=[3, 3], activation="linear")
    with pytest.raises(ModelFileError, match="kernel_size"):
        small(conv, conv2d=[np.ones((2, 2, 3, 3)), np.ones(3)])
    with pytest.raises(ModelFileError, match="do not fit one another"):
        small(conv, conv2d=[np.ones((3, 3, 3, 3)), np.ones(4)])
    with pytest.raises(ModelFileError, match=r"'conv2d' \(Conv2D\) cannot be computed"):
        small(conv, conv2d=[np.ones((3, 3, 2, 3)), np.ones(3)])
    with pytest.raises(ModelFileError, match="not those of a dense layer"):
        opened(
            archive_of(
                sequential(layer("Flatten"), layer("Dense", units=3)),
                weights_of({"dense": [np.ones(3), np.ones(3)]}),
            )
        )


def test_a_quantised_layer_is_told() -> None:
    policy = {"module": "keras", "class_name": "QuantizedDTypePolicy", "config": {"mode": "int8"}}
    conv = layer("Conv2D", filters=3, kernel_size=[3, 3], dtype=policy)
    with pytest.raises(ModelFileError, match="is quantised"):
        small(conv, conv2d=[np.ones((3, 3, 3, 3)), np.ones(3)])


@pytest.mark.parametrize(
    ("layers", "match"),
    [
        ([layer("Flatten"), dense(192, 1)[0]], "gives 1 for an image, not one score for each"),
        ([layer("Activation", activation="relu")], "gives 8 x 8 x 3 for an image"),
    ],
)
def test_what_is_no_classifier_is_told(layers: list[Any], match: str) -> None:
    weights = weights_of({"dense": dense(192, 1)[1]})
    with pytest.raises(ModelFileError, match=match):
        opened(archive_of(sequential(*layers), weights))


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ((None, 10), "values of the shape 10, not images"),
        ((None, 4, 4, 4, 4), "values of the shape 4 x 4 x 4 x 4, not images"),
        ((None, 8192, 8192, 3), "images beyond the limits"),
        ((None, "8", 8, 3), "declares no shape of images"),
    ],
)
def test_inputs_that_are_no_images_are_told(shape: Any, match: str) -> None:
    with pytest.raises(ModelFileError, match=match):
        opened(archive_of(sequential(layer("Flatten"), shape=shape), weights_of({})))


def test_twenty_thousand_layers_are_refused_at_once() -> None:
    layers = [layer("ReLU", f"r{i}") for i in range(20_000)]
    with pytest.raises(ModelFileError, match="20,001 layers; the limit is 10,000"):
        opened(archive_of(sequential(*layers), weights_of({})))


def test_models_nested_too_deeply_or_called_too_often_are_refused() -> None:
    config = sequential(layer("ReLU"))
    for _ in range(limits.DEPTH + 1):
        config = sequential(config)
    with pytest.raises(RefusedFileError, match="nests models more than"):
        opened(archive_of(config, weights_of({})))
    # Each level calls the level below it ten times.
    inner: dict[str, Any] = layer("ReLU", "m")
    for level in range(6):
        nodes = [[["x" if i == 0 else "m", max(i - 1, 0), 0, {}]] for i in range(10)]
        entry = {
            "class_name": "InputLayer",
            "name": "x",
            "config": {"name": "x", "batch_shape": [None, 4, 4, 3]},
        }
        body = {
            "name": f"level{level}",
            "layers": [entry, {**inner, "name": "m", "inbound_nodes": nodes}],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["m", 9, 0]],
        }
        inner = {"class_name": "Functional", "config": body}
    with pytest.raises(RefusedFileError, match="calls its layers more than 20,000 times"):
        opened(archive_of(inner, weights_of({})))


def functional(*layers: dict[str, Any], outputs: Any) -> dict[str, Any]:
    entry = {"class_name": "InputLayer", "name": "x", "config": {"name": "x", "batch_shape": [None, 4, 4, 3]}}
    body = {"layers": [entry, *layers], "input_layers": [["x", 0, 0]], "output_layers": outputs}
    return {"class_name": "Functional", "config": body}


def called(entry: dict[str, Any], *nodes: Any) -> dict[str, Any]:
    return {**entry, "name": entry["config"]["name"], "inbound_nodes": [*nodes]}


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (
            functional(called(layer("ReLU", "a"), [["a", 0, 0, {}]]), outputs=[["a", 0, 0]]),
            "needs its own result",
        ),
        (
            functional(called(layer("ReLU", "a"), [["b", 0, 0, {}]]), outputs=[["a", 0, 0]]),
            "calls the layer 'b'",
        ),
        (functional(called(layer("ReLU", "a")), outputs=[["a", 0, 0]]), "that is never computed"),
        (
            functional(called(layer("ReLU", "a"), [["x", 0, 0, {}]]), outputs=[["a", 0, 3]]),
            "cannot be computed",
        ),
        (
            functional(called(layer("ReLU", "a"), [["x", -1, 0, {}]]), outputs=[["a", 0, 0]]),
            "takes no tensor",
        ),
        (
            functional(called(layer("ReLU", "a"), [["x", 0, 0, {}], ["x", 0, 0, {}]]), outputs=[["a", 0, 0]]),
            "cannot be computed",
        ),
        (functional(called(layer("ReLU", "a"), "x"), outputs=[["a", 0, 0]]), "is no list"),
        (functional(outputs=[]), "output layers are not named"),
        (
            functional(called(layer("ReLU", "x"), [["x", 0, 0, {}]]), outputs=[["x", 0, 0]]),
            "two layers named 'x'",
        ),
        (
            functional(
                called(layer("BatchNormalization", "a"), [["x", 0, 0, {"training": True}]]),
                outputs=[["a", 0, 0]],
            ),
            "called with training = True",
        ),
    ],
)
def test_a_graph_that_cannot_be_computed_is_told(config: dict[str, Any], match: str) -> None:
    with pytest.raises(ModelFileError, match=match):
        opened(archive_of(config, weights_of({}), "2.15.0"))


def test_an_answer_that_depends_on_the_batch_is_refused() -> None:
    """The mean over everything but the batch has one number an image, which must not meet the classes' axis."""
    mean = called(
        {"class_name": "TFOpLambda", "config": {"name": "mean", "function": "math.reduce_mean"}},
        ["x", 0, 0, {"axis": [0, 1, 2], "keepdims": True}],
    )
    with pytest.raises(ModelFileError, match="takes the mean over a batch"):
        opened(archive_of(functional(mean, outputs=[["mean", 0, 0]]), weights_of({}), "2.15.0"))


@pytest.mark.parametrize(
    ("function", "node", "wanted"),
    [
        (
            "math.subtract",
            ["x", 0, 0, {"y": [1.0, 2.0, 3.0], "name": None}],
            lambda x: x - torch.tensor([1.0, 2.0, 3.0]),
        ),
        ("math.subtract", ["_CONSTANT_VALUE", -1, 1.0, {"y": ["x", 0, 0]}], lambda x: 1.0 - x),
        ("nn.bias_add", ["x", 0, 0, {"bias": [1.0, 2.0, 3.0]}], lambda x: x + torch.tensor([1.0, 2.0, 3.0])),
        ("nn.relu6", ["x", 0, 0, {}], lambda x: x.clamp(0, 6)),
        (
            "math.maximum",
            ["x", 0, 0, {"y": 2.0}],
            lambda x: x.clamp(min=2.0),
        ),
        ("nn.softmax", ["x", 0, 0, {"axis": -1}], lambda x: x.softmax(-1)),
        ("nn.softmax", ["x", 0, 0, {"axis": None}], lambda x: x.softmax(-1)),
        (
            "math.reduce_mean",
            ["x", 0, 0, {"axis": 2, "keepdims": True}],
            lambda x: x.mean(2, keepdim=True),
        ),
        ("clip_by_value", ["x", 0, 0, {}], None),
        ("math.erf", ["x", 0, 0, {}], None),
        ("io.read_file", ["x", 0, 0, {}], None),
    ],
)
def test_operations_of_keras_2_are_computed_or_named(function: str, node: Any, wanted: Any) -> None:
    op = called({"class_name": "TFOpLambda", "config": {"name": "op", "function": function}}, node)
    mean = called(layer("GlobalAveragePooling2D", "mean"), [["op", 0, 0, {}]])
    data = archive_of(functional(op, mean, outputs=[["mean", 0, 0]]), weights_of({}), "2.15.0")
    if wanted is None:
        with pytest.raises(ModelFileError, match=f"computes {function}, which is not known here"):
            opened(data)
    else:
        x = torch.rand(2, 3, 4, 4) * 20 - 10
        assert torch.allclose(opened(data).module(x), wanted(x.permute(0, 2, 3, 1)).mean((1, 2)), atol=1e-5)


@pytest.mark.parametrize(
    ("function", "node", "says"),
    [
        ("nn.softmax", ["x", 0, 0, {"axis": 0}], "takes shares over a batch"),
        ("math.reduce_mean", ["x", 0, 0, {"axis": [-4]}], "takes the mean over a batch"),
        ("math.reduce_mean", ["x", 0, 0, {"axis": "all"}], "has options that are not supported"),
        ("math.subtract", ["x", 0, 0, {}], "called with arguments that are not supported"),
        ("math.subtract", ["x", 0, 0, {"y": 1.0, "z": 2.0}], "called with arguments that are not supported"),
        ("math.subtract", ["x", 0, 0, {"y": []}], "a constant that is not supported"),
        ("math.subtract", ["x", 0, 0, {"y": [1.0, True]}], "a constant that is not supported"),
    ],
)
def test_operations_of_keras_2_that_cannot_be_computed_are_told(function: str, node: Any, says: str) -> None:
    op = called({"class_name": "TFOpLambda", "config": {"name": "op", "function": function}}, node)
    mean = called(layer("GlobalAveragePooling2D", "mean"), [["op", 0, 0, {}]])
    with pytest.raises(ModelFileError, match=says):
        opened(archive_of(functional(op, mean, outputs=[["mean", 0, 0]]), weights_of({}), "2.15.0"))


def test_numbers_of_axes_that_differ_are_told() -> None:
    """Broadcasting would lay one input's images along another axis of the other."""
    mean = called(layer("GlobalAveragePooling2D", "mean"), [["x", 0, 0, {}]])
    less = called(
        {"class_name": "TFOpLambda", "config": {"name": "less", "function": "math.subtract"}},
        ["x", 0, 0, {"y": ["mean", 0, 0]}],
    )
    end = called(layer("GlobalAveragePooling2D", "end"), [["less", 0, 0, {}]])
    with pytest.raises(ModelFileError, match="different numbers of axes"):
        opened(archive_of(functional(mean, less, end, outputs=[["end", 0, 0]]), weights_of({}), "2.15.0"))


def test_the_mean_of_all_but_the_batch_and_clipping_between_constants() -> None:
    x = torch.rand(2, 3, 4, 4)
    mean = called(
        {"class_name": "TFOpLambda", "config": {"name": "op", "function": "math.reduce_mean"}},
        ["x", 0, 0, {"axis": [1, 2]}],
    )
    found = opened(archive_of(functional(mean, outputs=[["op", 0, 0]]), weights_of({}), "2.15.0"))
    assert torch.allclose(found.module(x), x.mean((2, 3)))
    operation = operation_of("Clip", None)  # type: ignore[arg-type]
    assert operation is not None and operation.function(x, torch.tensor(0.2), torch.tensor(0.5)).max() <= 0.5
    assert operation_of("clip", None) is None  # type: ignore[arg-type]


def test_archives_of_other_content_are_refused() -> None:
    end, weights = dense(3)
    config, arrays = sequential(layer("GlobalAveragePooling2D"), end), weights_of({"dense": weights})
    assert opened(archive_of(config, arrays, assets__txt=b"words")).classes == 4
    with pytest.raises(RefusedFileError, match=r"holds run\.py, which Keras never writes"):
        opened(archive_of(config, arrays, run__py=b"import os"))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("Conv2D", "conv2d"),
        ("BatchNormalization", "batch_normalization"),
        ("ReLU", "re_lu"),
        ("PReLU", "p_re_lu"),
    ],
)
def test_names_of_classes_in_paths_are_keras_own(name: str, path: str) -> None:
    assert snake_case(name) == path
