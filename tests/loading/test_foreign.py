"""Files of other programs: recognised by their content, and answered with the command that makes ONNX of them."""

from __future__ import annotations

import ast
import io
import pickle
import random
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.damage import damaged
from tests.loading.onnx.onnx_networks import classifier
from tests.loading.test_fuzz import VALID
from ti_core.errors import ModelFileError, RefusedFileError, UnknownArchitectureError
from ti_core.loading import describe_file, load_model, sha256_of
from ti_core.loading.sniff import FileFormat, sniff
from ti_core.text import COMMAND

Write = Callable[..., Path]


def field(tag: int, content: bytes) -> bytes:
    """A protobuf field that holds bytes or a message."""
    size, digits = len(content), b""
    while size > 0x7F:
        digits += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([tag]) + digits + bytes([size]) + content


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return out.getvalue()


def arrays() -> bytes:
    out = io.BytesIO()
    np.savez(out, **{"fc.weight": np.ones((3, 4), np.float32), "fc.bias": np.zeros(3, np.float32)})
    return out.getvalue()


META = field(0x12, field(0x0A, b"Const")) + field(0x22, b"serve") + field(0x2A, b"2.16.1")
NODE = field(0x0A, field(0x0A, b"x") + field(0x12, b"Placeholder") + b"\x2a\x02ab")
FEATURE = field(0x0A, field(0x0A, b"image") + field(0x1A, b"\x22\x02\x08\x20"))
TENSOR = b"\x08\x05\x10\x40\x10\x03"
FILES: dict[str, tuple[bytes, FileFormat, str]] = {
    "saved_model.pb": (
        b"\x08\x01" + field(0x12, field(0x0A, META) + field(0x12, NODE) * 30),
        FileFormat.SAVED_MODEL,
        "python -m tf2onnx.convert --saved-model . --output saved_model.onnx",
    ),
    "frozen.pb": (
        NODE * 3,
        FileFormat.FROZEN_GRAPH,
        "python -m tf2onnx.convert --graphdef frozen.pb --inputs INPUT:0 --outputs OUTPUT:0 --output frozen.onnx",
    ),
    "net.tflite": (
        b"\x1c\0\0\0TFL3" + bytes(80),
        FileFormat.TFLITE,
        "python -m tf2onnx.convert --tflite net.tflite --output net.onnx",
    ),
    "net.mlmodel": (
        b"\x08\x04" + field(0x12, FEATURE + field(0x52, b"scores")),
        FileFormat.CORE_ML,
        "python -c 'import coremltools, onnxmltools; onnxmltools.utils.save_model(onnxmltools.convert_coreml("
        "coremltools.utils.load_spec('\"'\"'net.mlmodel'\"'\"')), '\"'\"'net.onnx'\"'\"')'",
    ),
    "net.pdmodel": (
        field(0x0A, b"\x08\x00\x10" + b"\xff" * 9 + b"\x01" + field(0x1A, field(0x0A, b"feed"))),
        FileFormat.PADDLE_PROGRAM,
        "paddle2onnx --model_dir . --model_filename net.pdmodel --params_filename net.pdiparams --save_file net.onnx",
    ),
    "net.pdiparams": (
        bytes(16) + len(TENSOR).to_bytes(4, "little") + TENSOR + bytes(768),
        FileFormat.PADDLE_STORE,
        "paddle2onnx --model_dir . --model_filename net.pdmodel --params_filename net.pdiparams --save_file net.onnx",
    ),
    "net.pdparams": (
        pickle.dumps({"fc.weight": np.ones(3), "StructuredToParameterName@@": {"fc.weight": "linear_0.w_0"}}),
        FileFormat.PADDLE_PICKLE,
        'model.set_state_dict(paddle.load("net.pdparams")); paddle.onnx.export(model, "net", '
        "input_spec=[paddle.static.InputSpec([1, C, H, W])])",
    ),
    "net-0007.params": (
        (0x112).to_bytes(8, "little") + bytes(80),
        FileFormat.MXNET,
        "python -c 'import mxnet, numpy; mxnet.onnx.export_model('\"'\"'net-symbol.json'\"'\"', "
        "'\"'\"'net-0007.params'\"'\"', [(1, C, H, W)], numpy.float32, '\"'\"'net-0007.onnx'\"'\"')'",
    ),
    "net.xml": (
        b'<?xml version="1.0"?>\n<net name="net" version="11">\n\t<layers>\n</layers></net>',
        FileFormat.OPENVINO,
        'torch.onnx.export(model.eval(), torch.rand(1, C, H, W), "net.onnx", dynamo=True, external_data=False)',
    ),
    "net.npz": (
        arrays(),
        FileFormat.NUMPY,
        "python -c 'import numpy, torch; torch.save({k: torch.from_numpy(v) for k, v in numpy.load("
        "'\"'\"'net.npz'\"'\"').items()}, '\"'\"'net.pt'\"'\"')'",
    ),
    "net.ort": (b"\x20\0\0\0ORTM" + bytes(80), FileFormat.ONNX_RUNTIME, ""),
    "net.gguf": (b"GGUF\x03\0\0\0" + bytes(80), FileFormat.GGUF, ""),
    "model.zip": (
        zipped("net/saved_model.pb", "net/variables/variables.index"),
        FileFormat.ZIP,
        "unzip model.zip -d model && python -m tf2onnx.convert --saved-model model/net --output model.onnx",
    ),
    "net.mlpackage.zip": (
        zipped("net.mlpackage/Manifest.json", "net.mlpackage/Data/com.apple.CoreML/model.mlmodel"),
        FileFormat.ZIP,
        'torch.onnx.export(model.eval(), torch.rand(1, C, H, W), "net.mlpackage.onnx", dynamo=True, '
        "external_data=False)",
    ),
    "two.zip": (
        zipped("readme.txt", "runs/a b.pth", "runs/last.pth"),
        FileFormat.ZIP,
        "unzip -j two.zip 'runs/a b.pth'",
    ),
    "one.zip": (zipped("readme.txt", "best.pth"), FileFormat.ZIP, "unzip -j one.zip best.pth"),
    "net.tar.gz": (b"\x1f\x8b" + bytes(80), FileFormat.COMPRESSED, "tar -xf net.tar.gz"),
    "net.gz": (b"\x1f\x8b" + bytes(80), FileFormat.COMPRESSED, "7z x net.gz"),
}


def commands(message: str) -> list[str]:
    return [line.removeprefix(COMMAND) for line in message.splitlines() if line.startswith(COMMAND)]


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_program_is_answered_with_its_command(name: str, tmp_path: Path) -> None:
    data, kind, command = FILES[name]
    # The ending says nothing: only the content decides.
    assert sniff(data, "model") is sniff(data, name) is kind
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    assert commands(str(caught.value)) == ([command] if command else [])
    assert isinstance(caught.value, RefusedFileError) == (kind is FileFormat.PADDLE_PICKLE)
    report = describe_file(path)
    assert report.format == kind.value and not report.opens
    assert str(caught.value) in [str(finding) for finding in report.findings]


def test_a_command_in_python_is_sound_where_the_name_is_odd(tmp_path: Path) -> None:
    name = 'it\'s "my" net\n; rm -rf $HOME.npz'
    path = tmp_path / name
    path.write_bytes(arrays())
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    (command,) = commands(str(caught.value))
    program, option, code = shlex.split(command)
    assert (program, option) == ("python", "-c")
    strings = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
    assert name.replace("\n", "\\n") in strings


def test_the_command_for_arrays_makes_a_state_dict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.npz").write_bytes(arrays())
    with pytest.raises(ModelFileError) as caught:
        load_model("net.npz")
    exec(shlex.split(commands(str(caught.value))[0])[2], {})
    assert torch.load("net.pt", weights_only=True)["fc.weight"].shape == (3, 4)


@pytest.mark.parametrize("name", ["a.zip", "b.zip"])
def test_of_two_weights_files_both_are_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(zipped("first.pth", "__MACOSX/first.pth", "second.safetensors"))
    with pytest.raises(ModelFileError, match=r"2 weights files: first.pth, second.safetensors. Choose one"):
        load_model(path)


@pytest.mark.parametrize(
    ("name", "member", "says"),
    [
        ("net", "saved_model.pb", "--saved-model net --output net.onnx"),
        ("net.mlpackage", "Manifest.json", "Core ML package, whose program no tool"),
    ],
)
@pytest.mark.parametrize("use", [load_model, describe_file, sha256_of])
def test_a_folder_of_another_program(use: Any, name: str, member: str, says: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / member).write_bytes(b"")
    with pytest.raises(ModelFileError, match=says):
        use(folder)


def test_files_that_open_are_not_taken_for_foreign_ones() -> None:
    known = {FileFormat.ONNX, FileFormat.TORCH, FileFormat.LEGACY_TORCH, FileFormat.SAFETENSORS}
    assert {sniff(data) for data in VALID.values()} == known
    for version in range(1, 14):
        for producer in ("", "pytorch", "tf2onnx", "\ttab"):
            model = classifier(producer_name=producer)
            model.ir_version = version
            assert sniff(model.SerializeToString(), "net.onnx") is FileFormat.ONNX


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_foreign_file_is_answered_with_a_sentence(name: str, write: Write) -> None:
    rng = random.Random(name)
    for _ in range(25):
        path = write(damaged(FILES[name][0], rng), name)
        with pytest.raises(ModelFileError) as caught:
            load_model(path)
        assert 10 < len(str(caught.value)) < 1500
        describe_file(path)


def refusal(state: dict[str, torch.Tensor], path: Path) -> str:
    torch.save(state, path)
    with pytest.raises(UnknownArchitectureError) as caught:
        load_model(path)
    return str(caught.value)


def test_a_network_that_is_near_none_gets_no_neighbour(tmp_path: Path) -> None:
    """A chain of convolutions shares some names with registered ones, and a few shapes by chance."""
    state = {f"stage{i}.conv.weight": torch.zeros(8, 3 if i == 0 else 8, 3, 3) for i in range(5)}
    state |= {"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.bias": torch.zeros(10)}
    message = refusal(state, tmp_path / "my net.pth")
    assert "nearest" not in message and "its tensors are stage0.conv.weight 8 x 3 x 3 x 3" in message
    assert commands(message) == [
        'model.load_state_dict(torch.load("my net.pth")); torch.onnx.export(model.eval(), torch.rand(1, 3, H, W), '
        '"my net.onnx", dynamo=True, external_data=False)',
        "python -m ti_core inspect 'my net.pth' --architecture net.sketch",
        "conv 8 3; conv 8 3; conv 8 3; conv 8 3; conv 8 3",
    ]
    assert "Left over are conv1 (64 x 3 x 7 x 7)" in message
    ast.parse(commands(message)[0])
    assert "docs/how-to-open-my-model.md, section on sketches" in message


def test_the_sketch_that_a_refusal_points_to_is_documented() -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to-open-my-model.md"
    assert any(line.startswith("#") and "sketch" in line.lower() for line in page.read_text().splitlines())
