"""Code in a configuration is named and never run; the file report says it too."""

from __future__ import annotations

import base64
import json
import marshal
from pathlib import Path
from typing import Any

import h5py
import pytest

from tests.loading.keras.files import archive_of, dense, hdf5_of, layer, opened, sequential, weights_of
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading import describe_file
from ti_core.loading.findings import Severity

CODE = base64.b64encode(marshal.dumps(compile("open('canary', 'w')", "<x>", "eval"))).decode()
LAMBDAS: dict[str, dict[str, Any]] = {
    "Keras 2": {"function": [CODE, None, None], "function_type": "lambda", "module": "__main__"},
    "Keras 3": {
        "function": {"class_name": "__lambda__", "config": {"code": CODE, "defaults": None, "closure": None}}
    },
    "a name": {"function": "my_function", "function_type": "function", "module": "mine"},
}


def model_with(*layers: dict[str, Any], **others: Any) -> bytes:
    end, weights = dense(3)
    config = sequential(*layers, layer("GlobalAveragePooling2D"), end)
    return archive_of({**config, **others}, weights_of({"dense": weights}))


def described(data: bytes, tmp_path: Path, name: str = "model.keras") -> Any:
    path = tmp_path / name
    path.write_bytes(data)
    return describe_file(path)


@pytest.mark.parametrize("kind", LAMBDAS)
def test_a_lambda_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    data = model_with(layer("Lambda", "sneaky", **LAMBDAS[kind]))
    with pytest.raises(
        RefusedFileError,
        match=r"(?s)'sneaky' \(Lambda\) holds Python code, which Keras runs.*\n    keras\.models",
    ):
        opened(data)
    report = described(data, tmp_path)
    assert not report.is_safe and not report.opens
    assert any("'sneaky' (Lambda)" in str(finding) for finding in report.findings)
    assert not (tmp_path / "canary").exists() and not Path("canary").exists()


def test_a_lambda_in_a_nested_model_of_an_h5_file_is_refused(tmp_path: Path) -> None:
    inner = sequential(layer("Lambda", "deep", **LAMBDAS["Keras 2"]))
    config = json.dumps(sequential({**inner, "config": {**inner["config"], "name": "inner"}}))
    data = hdf5_of(lambda f: f.attrs.__setitem__("model_config", config))
    with pytest.raises(RefusedFileError, match=r"'deep' \(Lambda\)"):
        opened(data)
    assert described(data, tmp_path, "m.h5").severity is Severity.REFUSED


@pytest.mark.parametrize(
    ("entry", "match", "severity"),
    [
        (
            {"module": "os", "class_name": "function", "config": "system"},
            r"os\.system, a known means",
            "MALICIOUS",
        ),
        ({"module": "subprocess", "class_name": "Popen", "config": {}}, r"subprocess\.Popen", "MALICIOUS"),
        ({"module": "builtins", "class_name": "function", "config": "eval"}, r"builtins\.eval", "MALICIOUS"),
        (
            {"module": "keras.src.utils.file_utils", "class_name": "function", "config": "get_file"},
            r"the function keras\.src\.utils\.file_utils\.get_file",
            "REFUSED",
        ),
        ({"class_name": "__lambda__", "config": {"code": CODE}}, "Python bytecode", "REFUSED"),
    ],
)
@pytest.mark.parametrize("place", ["kernel_initializer", "activation", "training"])
def test_named_functions_that_run_code_are_refused_wherever_they_stand(
    entry: dict[str, Any], match: str, severity: str, place: str, tmp_path: Path
) -> None:
    end, weights = dense(3)
    layers = [layer("GlobalAveragePooling2D"), end]
    if place != "training":
        end["config"][place] = entry
    config = sequential(*layers)
    others = {"compile_config": {"loss": entry}} if place == "training" else {}
    data = archive_of({**config, **others}, weights_of({"dense": weights}))
    with pytest.raises(RefusedFileError, match=match):
        opened(data)
    assert described(data, tmp_path).severity is Severity[severity]


def test_losses_and_optimisers_of_the_authors_own_do_no_harm(tmp_path: Path) -> None:
    """They are not needed, and the report names them."""
    own = {
        "module": "my_losses",
        "class_name": "Focal",
        "config": {"name": "focal"},
        "registered_name": "Mine>Focal",
    }
    named = {
        "module": "builtins",
        "class_name": "function",
        "config": "my_loss",
        "registered_name": "function",
    }
    data = model_with(compile_config={"loss": own, "metrics": [named], "optimizer": "Custom>Adam"})
    assert opened(data).classes == 4
    report = described(data, tmp_path)
    assert report.opens and report.severity is Severity.UNUSUAL
    assert [str(f) for f in report.findings] == [
        "The layer 'focal' (Focal) names my_losses.Focal, code of the author's own that the file does not hold."
    ]


@pytest.mark.parametrize("kind", ["MyLayer", "MultiHeadAttention", "LSTM", "SlicingOpLambda"])
def test_a_layer_that_is_not_known_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    data = model_with(layer(kind, "odd", module="mine" if kind == "MyLayer" else "keras.layers"))
    with pytest.raises(ModelFileError, match=rf"(?s)'odd' \({kind}\).*is not known here.*export"):
        opened(data)
    report = described(data, tmp_path)
    assert not report.opens and report.is_safe


def test_a_sound_file_has_no_findings(tmp_path: Path) -> None:
    report = described(model_with(), tmp_path)
    assert not report.findings and report.format == "Keras archive"
    assert [(t.name, t.shape, t.dtype) for t in report.tensors] == [
        ("layers/dense/vars/0", (3, 4), "float32"),
        ("layers/dense/vars/1", (4,), "float32"),
    ]
    assert [m.name for m in report.members] == ["metadata.json", "config.json", "model.weights.h5"]


def test_the_report_of_an_h5_file_lists_its_arrays(tmp_path: Path) -> None:
    def write(file: h5py.File) -> None:
        file.attrs["model_config"] = json.dumps(sequential(layer("Flatten")))
        file["model_weights/x"] = [1.0]

    report = described(hdf5_of(write), tmp_path, "m.h5")
    assert report.opens and [t.name for t in report.tensors] == ["model_weights/x"]
