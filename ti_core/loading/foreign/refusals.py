"""What to do with a file of another program: the one command that makes ONNX of it, with the file's own name."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import islice
from pathlib import Path, PurePath

from ti_core.errors import ModelFileError
from ti_core.loading.foreign.recognise import weights_files
from ti_core.text import COMMAND, about_file, export_to_onnx, few, quoted, shown, this_file

MOST_NAMES = 10_000
"""How many names of a folder are looked at."""
SAMPLE = "with the channels C, the height H and the width W of its images"


def _stem() -> str:
    return PurePath(this_file()).stem or "model"


def _command(line: str) -> str:
    return f"\n{COMMAND}{line}"


def _shell(*words: str) -> str:
    return _command(shlex.join(words))


def _python(code: str) -> str:
    return _shell("python", "-c", code)


def _tf2onnx(*words: str) -> str:
    return _shell("python", "-m", "tf2onnx.convert", *words, "--output", f"{_stem()}.onnx")


def saved_model() -> str:
    return (
        "The file is the graph of a TensorFlow SavedModel, whose weights lie in the folder around it. Make ONNX of the "
        "folder (pip install tf2onnx), with this command in it:" + _tf2onnx("--saved-model", ".")
    )


def frozen_graph() -> str:
    return (
        "The file is a frozen TensorFlow graph. Make ONNX of it (pip install tf2onnx), with the names of its input and "
        "its output:" + _tf2onnx("--graphdef", this_file(), "--inputs", "INPUT:0", "--outputs", "OUTPUT:0")
    )


def tflite() -> str:
    return "The file is a TensorFlow Lite model. Make ONNX of it (pip install tf2onnx):" + _tf2onnx(
        "--tflite", this_file()
    )


def core_ml() -> str:
    code = (
        "import coremltools, onnxmltools; onnxmltools.utils.save_model(onnxmltools.convert_coreml("
        f"coremltools.utils.load_spec({this_file()!r})), {_stem() + '.onnx'!r})"
    )
    return "The file is a Core ML model. Make ONNX of it (pip install coremltools onnxmltools):" + _python(
        code
    )


def core_ml_package() -> str:
    return _no_tool("a Core ML package, whose program no tool turns into ONNX")


def paddle_program() -> str:
    return _paddle(
        "the program of a PaddlePaddle network, whose weights are in another file", this_file(), ""
    )


def paddle_store() -> str:
    return _paddle("the weights of a PaddlePaddle network, whose program is in another file", "", this_file())


def _paddle(what: str, program: str, weights: str) -> str:
    names = [
        "--model_filename",
        program or f"{_stem()}.pdmodel",
        "--params_filename",
        weights or f"{_stem()}.pdiparams",
    ]
    command = _shell("paddle2onnx", "--model_dir", ".", *names, "--save_file", f"{_stem()}.onnx")
    return f"The file is {what}. Make ONNX of both (pip install paddle2onnx):{command}"


def paddle_weights() -> str:
    shape = "input_spec=[paddle.static.InputSpec([1, C, H, W])]"
    return (
        "The file is a pickle of a PaddlePaddle network's weights, which can run code when it is opened. Where it can "
        f"be trusted, make ONNX of the network, {SAMPLE}:"
        + _command(
            f"model.set_state_dict(paddle.load({quoted(this_file())})); "
            f"paddle.onnx.export(model, {quoted(_stem())}, {shape})"
        )
    )


def mxnet() -> str:
    stem = _stem()
    symbol = (stem[:-5] if stem[-5:-4] == "-" and stem[-4:].isdigit() else stem) + "-symbol.json"
    code = (
        f"import mxnet, numpy; mxnet.onnx.export_model({symbol!r}, {this_file()!r}, [(1, C, H, W)], numpy.float32, "
        f"{stem + '.onnx'!r})"
    )
    return (
        f"The file holds the weights of an MXNet network. Make ONNX of it and of its symbols, {SAMPLE}:"
        + _python(code)
    )


def openvino() -> str:
    return _no_tool("an OpenVINO network, which no tool turns into ONNX")


def onnx_runtime() -> str:
    return (
        "The file is in ONNX Runtime's own format, which no tool turns back into ONNX. Give the .onnx file that it was "
        "made from."
    )


def gguf() -> str:
    return (
        "The file is in the format GGUF, which language models have. If it is an image classifier, give the "
        "safetensors or torch file that it was made from."
    )


def numpy_arrays() -> str:
    code = (
        "import numpy, torch; torch.save({k: torch.from_numpy(v) for k, v in numpy.load("
        f"{this_file()!r}).items()}}, {_stem() + '.pt'!r})"
    )
    return (
        "The file holds numpy arrays and no network. Where they are a network's weights under their names, make a "
        "state dict of them:" + _python(code)
    )


def archive(names: Sequence[str]) -> str:
    """A zip archive with these files, which is no model itself."""
    found = weights_files(names)
    if any(PurePath(name).name == "saved_model.pb" for name in names):
        place = next(PurePath(name).parent for name in names if PurePath(name).name == "saved_model.pb")
        folder = _stem()
        unpack = shlex.join(["unzip", this_file(), "-d", folder])
        make = shlex.join(["python", "-m", "tf2onnx.convert", "--saved-model", str(PurePath(folder) / place)])
        return (
            "The file is a zip archive with a TensorFlow SavedModel. Unpack it and make ONNX of it (pip install "
            "tf2onnx):" + _command(f"{unpack} && {make} --output {shlex.quote(folder + '.onnx')}")
        )
    if any(name.endswith(".mlmodel") and "com.apple.CoreML" in name for name in names):
        return core_ml_package()
    if not found:
        return (
            "The file is a zip archive that holds no torch checkpoint; unpack it and give the model inside."
        )
    if len(found) == 1:
        says = f"with the weights file {shown(found[0])}. Unpack it and give that file"
    else:
        says = (
            f"with {len(found)} weights files: {few(found)}. Choose one, unpack it and give it; for example"
        )
    return f"The file is a zip archive {says}:" + _shell("unzip", "-j", this_file(), shown(found[0], 300))


def compressed() -> str:
    name = this_file()
    packed = name.lower().endswith((".tgz", ".tar.gz", ".tar.bz2", ".tbz2", ".tar.xz"))
    words = ("tar", "-xf", name) if packed else ("7z", "x", name)
    return (
        "The file is compressed (as joblib and archives are). Unpack it and give the model inside:"
        + _shell(*words)
    )


def refuse_folder(path: Path) -> None:
    """Raise ModelFileError if the path is a folder of another program's model. Only names are read."""
    try:
        names = [entry.name for entry in islice(path.iterdir(), MOST_NAMES)] if path.is_dir() else []
    except (OSError, ValueError):
        return
    name = shown(path.name or "model", 300)
    if "saved_model.pb" in names:
        words = [
            "python",
            "-m",
            "tf2onnx.convert",
            "--saved-model",
            name,
            "--output",
            f"{PurePath(name).stem}.onnx",
        ]
        raise ModelFileError(
            f"The folder is a TensorFlow SavedModel. Make ONNX of it (pip install tf2onnx):{_shell(*words)}"
        )
    if "Manifest.json" in names and path.suffix == ".mlpackage":
        with about_file(path.name):
            raise ModelFileError(core_ml_package().replace("The file is", "The folder is", 1))


def _no_tool(what: str) -> str:
    return (
        f"The file is {what}. Make ONNX of the network that it was made from, {SAMPLE}; from PyTorch:"
        + _command(export_to_onnx())
    )
