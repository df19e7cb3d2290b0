"""The formats that are recognised but not opened, with the reason and what to do instead."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.findings import Finding, Severity
from ti_core.loading.foreign import refusals as foreign
from ti_core.loading.limits import LIMITS
from ti_core.loading.sniff import FileFormat
from ti_core.text import COMMAND, export_to_onnx, quoted, save_state_dict, this_file, ways_out


@dataclass(frozen=True)
class Refusal:
    """Why a format is not opened, and how severe that is.

    Parameters
    ----------
    says : the sentences for a file with this content. They name the file that :func:`ti_core.text.about_file` names.
    """

    severity: Severity
    says: Callable[[bytes], str]

    def finding(self, data: bytes) -> Finding:
        """The refusal as a finding of the file report."""
        return Finding(self.severity, self.says(data))

    def error(self, data: bytes) -> ModelFileError:
        """The error to raise for a file with this content."""
        if self.severity.rank >= Severity.REFUSED.rank:
            return RefusedFileError(self.says(data))
        return ModelFileError(self.says(data))


def _unreadable(says: Callable[[], str]) -> Refusal:
    return Refusal(Severity.UNREADABLE, lambda data: says())


def _refused(says: Callable[[], str]) -> Refusal:
    return Refusal(Severity.REFUSED, lambda data: says())


def _torchscript() -> str:
    load = f"model = torch.jit.load({quoted(this_file())})"
    export = export_to_onnx().replace("dynamo=True, external_data=False", "dynamo=False")
    return _runs_code("a TorchScript archive", load, export)


def _exported() -> str:
    load = f"model = torch.export.load({quoted(this_file())}).module()"
    return _runs_code("a torch.export archive (.pt2)", load, export_to_onnx().replace(".eval()", "", 1))


def _runs_code(what: str, load: str, export: str) -> str:
    return (
        f"The file is {what}, which can run code when it is opened. Where it can be trusted to run, export it to ONNX, "
        "with the channels C, the height H and the width W of its images:\n"
        f"{COMMAND}{load}; {export}\n"
        "Or, for a network of a registered architecture, save its state dict:\n"
        f"{COMMAND}{load}; {save_state_dict()}"
    )


def _archive(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()[: LIMITS.members]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError):
        names = []
    return foreign.archive(names)


REFUSED_FORMATS: dict[FileFormat, Refusal] = {
    FileFormat.TORCHSCRIPT: _refused(_torchscript),
    FileFormat.EXPORTED: _refused(_exported),
    FileFormat.LEGACY_TAR: _refused(
        lambda: (
            "The file is a tar archive such as torch wrote before 0.1.10, which is not opened; load it where it "
            f"can be trusted and save it again:\n{COMMAND}{save_state_dict()}"
        )
    ),
    FileFormat.PICKLE: _refused(
        lambda: (
            "The file is a bare pickle (as pickle, joblib and old torch write them), which can run code when it "
            f"is opened. {ways_out()}"
        )
    ),
    FileFormat.NUMPY: _unreadable(foreign.numpy_arrays),
    FileFormat.TFLITE: _unreadable(foreign.tflite),
    FileFormat.SAVED_MODEL: _unreadable(foreign.saved_model),
    FileFormat.FROZEN_GRAPH: _unreadable(foreign.frozen_graph),
    FileFormat.CORE_ML: _unreadable(foreign.core_ml),
    FileFormat.PADDLE_PROGRAM: _unreadable(foreign.paddle_program),
    FileFormat.PADDLE_STORE: _unreadable(foreign.paddle_store),
    FileFormat.PADDLE_PICKLE: _refused(foreign.paddle_weights),
    FileFormat.MXNET: _unreadable(foreign.mxnet),
    FileFormat.OPENVINO: _unreadable(foreign.openvino),
    FileFormat.ONNX_RUNTIME: _unreadable(foreign.onnx_runtime),
    FileFormat.GGUF: _unreadable(foreign.gguf),
    FileFormat.COMPRESSED: _unreadable(foreign.compressed),
    FileFormat.ZIP: Refusal(Severity.UNREADABLE, _archive),
    FileFormat.TWO_FORMATS: _refused(
        lambda: (
            "The file ends as a zip archive and begins as something else, so that programs would read different "
            f"content in it. No model needs that; save it again:\n{COMMAND}{save_state_dict()}"
        )
    ),
    FileFormat.EMPTY: _unreadable(lambda: "The file is empty."),
    FileFormat.UNKNOWN: _unreadable(
        lambda: (
            "The format of the file is not recognised; use safetensors, a torch checkpoint (.pt, .pth) or ONNX."
        )
    ),
}
