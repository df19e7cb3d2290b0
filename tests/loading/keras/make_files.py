"""Writes the Keras files of the tests, and what Keras itself answers to a few images.

It needs Keras, which the program does not: run it in an environment with ``tensorflow-cpu``, ``keras`` (3) and
``tf_keras`` (2), once for each: ``python make_files.py 3`` and ``python make_files.py 2``. The tests read what is in
``data``: an archive for each, with the files and ``answers.json``. The networks are small and their weights random.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np

VERSION = sys.argv[1] if len(sys.argv) > 1 else "3"
if VERSION == "2":
    import tf_keras as keras
else:
    import keras

L = keras.layers
DATA = Path(__file__).resolve().parent / "data"
COUNT = 3


def images(shape: tuple[int, ...]) -> Any:
    """Images from 0 to 1 of any shape, by whole numbers, so that every machine makes the same: noise on a few bands."""
    size = int(np.prod(shape))
    at = np.arange(COUNT * size, dtype=np.int64)
    bands = (at // (size // 5 + 1)) * 53 % 131
    return ((at * 7919 + at**2 * 31) % 121 + bands).astype(np.float32).reshape(COUNT, *shape) / np.float32(
        250
    )


def mnist_example() -> Any:
    """The layout of Keras's MNIST example."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            L.Conv2D(4, 3, activation="relu"),
            L.MaxPooling2D((2, 2)),
            L.Conv2D(6, 3, activation="relu"),
            L.MaxPooling2D((2, 2)),
            L.Flatten(),
            L.Dropout(0.5),
            L.Dense(10, activation="softmax"),
        ]
    )


def perceptron() -> Any:
    return keras.Sequential(
        [
            keras.Input((784,)),
            L.Dense(6, activation="relu"),
            L.Dropout(0.2),
            L.Dense(10, activation="softmax"),
        ]
    )


def quickstart() -> Any:
    """TensorFlow's first example: images without an axis for channels, and logits."""
    return keras.Sequential(
        [keras.Input((28, 28)), L.Flatten(), L.Dense(6, activation="relu"), L.Dropout(0.2), L.Dense(10)]
    )


def gtsrb() -> Any:
    """The traffic sign network of Neural Cleanse and its followers, with fewer channels."""
    parts: list[Any] = [keras.Input((32, 32, 3))]
    for width in (4, 6, 8):
        parts += [
            L.Conv2D(width, (3, 3), padding="same", activation="relu"),
            L.Conv2D(width, (3, 3), activation="relu"),
            L.MaxPooling2D(pool_size=(2, 2)),
            L.Dropout(0.2),
        ]
    parts += [L.Flatten(), L.Dense(12, activation="relu"), L.Dropout(0.5), L.Dense(43, activation="softmax")]
    return keras.Sequential(parts)


def deferred() -> Any:
    """A sequential model that got its shape from the first images."""
    model = keras.Sequential([L.Conv2D(3, 3), L.GlobalAveragePooling2D(), L.Dense(4)])
    model(np.zeros((1, 12, 12, 3), np.float32))
    return model


def activations() -> Any:
    x = inputs = keras.Input((6, 6, 3))
    names = [
        "relu",
        "elu",
        "selu",
        "gelu",
        "softplus",
        "softsign",
        "swish",
        "tanh",
        "sigmoid",
        "hard_sigmoid",
    ]
    names += ["exponential", "softmax", "mish", "linear"]
    if VERSION == "3":
        names += [
            "leaky_relu",
            "relu6",
            "silu",
            "hard_silu",
            "log_softmax",
            "celu",
            "log_sigmoid",
            "hard_tanh",
        ]
        names += ["tanh_shrink", "hard_shrink", "soft_shrink", "squareplus"]
    found = []
    for name in names:
        y = L.Conv2D(2, 3, activation=name)(x)
        found.append(L.Activation(name)(y))
    for layer in (
        L.ReLU(),
        L.ReLU(max_value=0.8, negative_slope=0.1, threshold=0.2),
        L.LeakyReLU(0.2),
        L.PReLU(),
        L.PReLU(shared_axes=[1, 2]),
        L.ELU(0.7),
        L.Softmax(),
        L.Softmax(axis=[1, 2]),
    ):
        found.append(layer(L.Conv2D(2, 3)(x)))
    x = L.Concatenate()(found)
    return keras.Model(inputs, L.Dense(5)(L.Flatten()(x)))


def pools() -> Any:
    x = inputs = keras.Input((11, 10, 3))
    found = []
    for kind in (L.MaxPooling2D, L.AveragePooling2D):
        for size, strides, padding in (
            ((2, 2), None, "valid"),
            (3, 2, "same"),
            ((2, 3), (3, 1), "same"),
            (2, 2, "same"),
        ):
            found.append(L.Flatten()(kind(size, strides, padding)(x)))
    found += [L.GlobalMaxPooling2D()(x), L.GlobalAveragePooling2D()(x)]
    found.append(L.Flatten()(L.GlobalAveragePooling2D(keepdims=True)(x)))
    return keras.Model(inputs, L.Dense(5)(L.Concatenate()(found)))


def convolutions() -> Any:
    x = inputs = keras.Input((11, 10, 3))
    found = []
    for layer in (
        L.Conv2D(2, 3, strides=2, padding="same"),
        L.Conv2D(2, (3, 2), strides=(2, 3)),
        L.Conv2D(2, 4, padding="same", use_bias=False),
        L.Conv2D(2, 3, dilation_rate=2, padding="same"),
        L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
        L.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False),
        L.SeparableConv2D(4, 3, depth_multiplier=2, strides=2, padding="same", activation="relu"),
        L.SeparableConv2D(4, (2, 3)),
        L.Conv2DTranspose(2, 3, strides=2, padding="same"),
        L.Conv2DTranspose(2, (2, 3), strides=(2, 1), padding="valid", activation="relu"),
        L.Conv2DTranspose(2, 4, strides=3, padding="same", use_bias=False),
        L.Conv2DTranspose(2, 1, strides=2, padding="valid"),
    ):
        found.append(L.GlobalAveragePooling2D()(L.Activation("tanh")(layer(x))))
    return keras.Model(inputs, L.Dense(5)(L.Concatenate()(found)))


def normalisations() -> Any:
    x = inputs = keras.Input((6, 5, 4))
    layers = [
        L.BatchNormalization(),
        L.BatchNormalization(scale=False, epsilon=0.01),
        L.BatchNormalization(center=False, axis=1),
        L.LayerNormalization(),
        L.LayerNormalization(axis=[1, 2, 3], epsilon=0.1),
        L.LayerNormalization(scale=False, axis=2),
        L.GroupNormalization(2),
        L.GroupNormalization(-1, axis=-1, scale=False),
        L.Rescaling(1 / 0.3, offset=-1.2),
        L.Rescaling([1.0, 2.0, 3.0, 4.0], offset=[0.1, 0.2, 0.3, 0.4]),
        L.Normalization(),
        L.Normalization(axis=[1, 3]),
        L.Normalization(axis=None),
        L.Normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=[0.3, 0.4, 0.5, 0.6]),
        L.Normalization(mean=0.5, variance=0.04, invert=True),
    ]
    found = [L.Flatten()(layer(x)) for layer in layers]
    return keras.Model(inputs, L.Dense(5, activation="softmax")(L.Concatenate()(found)))


def shapes() -> Any:
    x = inputs = keras.Input((7, 6, 3))
    layers = [
        L.ZeroPadding2D(((0, 1), (2, 3))),
        L.ZeroPadding2D((1, 2)),
        L.Cropping2D(((1, 2), (0, 1))),
        L.Cropping2D(1),
        L.UpSampling2D((2, 3)),
        L.UpSampling2D(2, interpolation="bilinear"),
        L.Resizing(4, 9),
        L.Resizing(5, 4, interpolation="nearest"),
        L.CenterCrop(4, 3),
        L.Permute((3, 1, 2)),
        L.Reshape((6, -1)),
        L.GaussianNoise(0.1),
        L.GaussianDropout(0.1),
        L.SpatialDropout2D(0.1),
        L.ActivityRegularization(0.1),
        L.RandomFlip(),
        L.RandomRotation(0.1),
        L.RandomZoom(0.1),
        L.RandomContrast(0.1),
        L.RandomTranslation(0.1, 0.1),
        L.RandomBrightness(0.1, value_range=(0, 1)),
        L.RandomCrop(7, 6),
    ]
    found = [L.Dense(2)(L.Flatten()(layer(x))) for layer in layers]
    return keras.Model(inputs, L.Dense(5, activation="softmax")(L.Concatenate()(found)))


def merges() -> Any:
    x = inputs = keras.Input((6, 6, 3))
    a, b = L.Conv2D(4, 3)(x), L.Conv2D(4, 3, activation="relu")(x)
    gate = L.Dense(4, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(b))
    pairs = (L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum)
    found = [kind()([a, b]) for kind in pairs] + [L.Add()([a, b, a]), L.Multiply()([a, gate])]
    found += [
        L.Concatenate(axis=1)([a, b]),
        L.Concatenate(axis=-1)([a, b]),
        a + b,
        a - b,
        a * 2.0 - 1.0,
        0.5 * a / 3.0,
    ]
    found = [L.Flatten()(y) for y in found]
    found.append(L.Add()([a, L.GlobalMaxPooling2D()(b)]) if VERSION == "none" else L.GlobalMaxPooling2D()(b))
    return keras.Model(
        inputs, L.Dense(5, activation="softmax")(L.Concatenate()([L.Flatten()(y) for y in found]))
    )


def residual() -> Any:
    def block(x: Any, width: int, strides: int) -> Any:
        y = L.Conv2D(width, 3, strides=strides, padding="same", use_bias=False)(x)
        y = L.Activation("relu")(L.BatchNormalization()(y))
        y = L.BatchNormalization()(L.Conv2D(width, 3, padding="same", use_bias=False)(y))
        if strides > 1:
            x = L.BatchNormalization()(L.Conv2D(width, 1, strides=strides, use_bias=False)(x))
        return L.ReLU()(L.Add()([x, y]))

    inputs = keras.Input((None, None, 3))
    x = L.ZeroPadding2D(3)(L.Rescaling(1 / 255)(inputs))
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 7, strides=2, name="first")(x)))
    x = L.MaxPooling2D(3, 2, padding="same")(x)
    x = block(block(x, 4, 1), 6, 2)
    return keras.Model(inputs, L.Dense(10, activation="softmax")(L.GlobalAveragePooling2D()(x)))


def mobile() -> Any:
    inputs = keras.Input((32, 32, 3))
    x = L.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(inputs / 127.5 - 1.0)
    x = L.ReLU(6.0)(L.BatchNormalization()(x))
    for width, strides in ((6, 1), (8, 2)):
        if strides == 2:
            x = L.ZeroPadding2D(((0, 1), (0, 1)))(x)
        x = L.DepthwiseConv2D(
            3, strides=strides, padding="same" if strides == 1 else "valid", use_bias=False
        )(x)
        x = L.ReLU(6.0)(L.BatchNormalization()(x))
        x = L.ReLU(6.0)(L.BatchNormalization()(L.Conv2D(width, 1, use_bias=False)(x)))
    x = L.Dropout(0.1)(L.Reshape((1, 1, 8))(L.GlobalAveragePooling2D()(x)))
    x = L.Reshape((10,))(L.Conv2D(10, 1, padding="same")(x))
    return keras.Model(inputs, L.Activation("softmax")(x), name="mobile")


def nested() -> Any:
    """A frozen base within a model, with augmentation in a model of its own, and a model in a model in it."""
    inside = keras.Sequential(
        [keras.Input((8, 8, 4)), L.Conv2D(4, 3, padding="same"), L.BatchNormalization()]
    )
    i = keras.Input((16, 16, 3))
    x = L.BatchNormalization(name="norm")(L.Conv2D(4, 3, strides=2, padding="same", name="conv")(i))
    x = L.Add()([x, inside(x)])
    base = keras.Model(i, L.BatchNormalization()(L.ReLU()(x)), name="base")
    base.trainable = False
    augment = keras.Sequential([L.RandomFlip("horizontal"), L.RandomRotation(0.1)], name="augment")
    inputs = keras.Input((16, 16, 3))
    x = base(augment(inputs), training=False)
    head = keras.Sequential(
        [L.GlobalAveragePooling2D(), L.Dense(6, activation="relu"), L.Dense(5, activation="softmax")]
    )
    return keras.Model(inputs, head(x))


def half_frozen() -> Any:
    """Within a nested model, some layers are frozen, so that its arrays stand in another order."""
    i = keras.Input((8, 8, 3))
    x = L.BatchNormalization()(L.Conv2D(3, 3, trainable=False)(i))
    x = L.BatchNormalization(trainable=False)(L.Conv2D(3, 3)(x))
    base = keras.Model(i, x)
    return keras.Sequential([base, L.GlobalAveragePooling2D(), L.Dense(4)])


def shared() -> Any:
    """A layer and a model that are called twice, and two outputs."""
    i = keras.Input((8, 8, 3))
    base = keras.Model(i, L.Conv2D(3, 3, padding="same")(i))
    conv = L.Conv2D(3, 3, padding="same", activation="relu")
    inputs = keras.Input((8, 8, 3))
    x = L.Add()([conv(conv(inputs)), base(base(inputs))])
    features = L.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, [L.Dense(5, activation="softmax")(features), L.Dense(7)(features)])


def binary() -> Any:
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            L.Conv2D(3, 3),
            L.AveragePooling2D(9),
            L.Flatten(),
            L.Dense(1, activation="sigmoid"),
        ]
    )


def half() -> Any:
    """A policy under which Keras computes in 16 bits."""
    keras.mixed_precision.set_global_policy("mixed_float16" if VERSION == "2" else "bfloat16")
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), L.Conv2D(3, 3), L.Flatten(), L.Dense(5, dtype="float32")]
    )
    keras.mixed_precision.set_global_policy("float32")
    return model


MODELS: tuple[Callable[[], Any], ...] = (
    perceptron,
    quickstart,
    gtsrb,
    activations,
    pools,
    convolutions,
    normalisations,
    shapes,
    merges,
    residual,
    binary,
    half,
)
"""Written in one form: by Keras 2 as .h5, by Keras 3 as .keras."""
IN_BOTH_FORMS: tuple[Callable[[], Any], ...] = (mnist_example, deferred, mobile, nested, half_frozen, shared)


def shaken(model: Any, seed: int) -> None:
    """Random weights, also where Keras begins with zeros and ones."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        name = weight.name.split("/")[-1]
        value = np.asarray(weight)
        if value.dtype.kind != "f":
            continue
        noise = rng.normal(size=value.shape)
        if "variance" in name:
            value = np.exp(0.3 * noise)
        elif value.ndim < 2 or "alpha" in name or "gamma" in name or "beta" in name:
            value = value + 0.2 * noise
        else:
            value = 2 * noise / np.sqrt(max(np.prod(value.shape[:-1]), 1))
        weight.assign(value.astype(weight.dtype if isinstance(weight.dtype, str) else weight.dtype.name))


def saved(model: Any, ending: str) -> tuple[bytes, Any]:
    """The file, and the model that Keras reads from it. Keras 3 does not read operations from its own .h5 files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{ending}"
        model.save(path)
        return (
            path.read_bytes(),
            model if model.name == "mobile" and ending == ".h5" else keras.models.load_model(path),
        )


def main() -> None:
    files: dict[str, bytes] = {}
    answers: dict[str, Any] = {}
    for number, make in enumerate((*MODELS, *IN_BOTH_FORMS)):
        keras.backend.clear_session()
        model = make()
        shaken(model, 100 + number)
        shape = tuple(n or 20 for n in model.inputs[0].shape[1:])
        scale = 255.0 if make in (residual, mobile) else 1.0
        for ending in (
            (".h5", ".keras") if make in IN_BOTH_FORMS else (".h5",) if VERSION == "2" else (".keras",)
        ):
            content, again = saved(model, ending)
            found = again.predict(images(shape) * np.float32(scale), verbose=0)
            found = found if isinstance(found, list) else [found]
            spread = min(float(np.std(part.astype(np.float64), axis=0).max()) for part in found)
            assert spread > 1e-3, (make.__name__, spread)
            name = f"{make.__name__}-{VERSION}{ending}"
            files[name] = content
            rows = [[[float(f"{v:.8g}") for v in row] for row in part.tolist()] for part in found]
            answers[name] = {"shape": shape, "scale": scale, "answers": rows}
    files["answers.json"] = json.dumps(answers).encode()
    DATA.mkdir(exist_ok=True)
    with tarfile.open(DATA / f"keras-{VERSION}.tar.xz", "w:xz", preset=9) as archive:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))


if __name__ == "__main__":
    main()
