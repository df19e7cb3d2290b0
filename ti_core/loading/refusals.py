"""The formats that are recognised but not opened, with the reason and what to do instead."""

from __future__ import annotations

from dataclasses import dataclass

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.findings import Severity
from ti_core.loading.sniff import FileFormat
from ti_core.text import COMMAND, SAVE_STATE_DICT, ways_out


@dataclass(frozen=True)
class Refusal:
    """Why a format is not opened, and how severe that is."""

    severity: Severity
    sentence: str

    def error(self) -> ModelFileError:
        """The error to raise for such a file."""
        if self.severity.rank >= Severity.REFUSED.rank:
            return RefusedFileError(self.sentence)
        return ModelFileError(self.sentence)


def _unsupported(what: str) -> Refusal:
    return Refusal(
        Severity.UNREADABLE,
        f"The file is {what}, which is not supported; convert the model to ONNX or PyTorch first.",
    )


def _code(what: str) -> Refusal:
    return Refusal(
        Severity.REFUSED, f"The file is {what}, which can run code when it is opened. {ways_out()}"
    )


REFUSED_FORMATS: dict[FileFormat, Refusal] = {
    FileFormat.TORCHSCRIPT: _code("a TorchScript archive"),
    FileFormat.EXPORTED: _code("a torch.export archive (.pt2)"),
    FileFormat.LEGACY_TORCH: Refusal(
        Severity.REFUSED,
        "The file was written by torch before 1.6 or without its zip format, as a bare pickle that is not "
        f"opened; load it where it can be trusted and save it again:\n{COMMAND}{SAVE_STATE_DICT}",
    ),
    FileFormat.LEGACY_TAR: Refusal(
        Severity.REFUSED,
        "The file is a tar archive such as torch wrote before 0.1.10, which is not opened; load it where it "
        f"can be trusted and save it again:\n{COMMAND}{SAVE_STATE_DICT}",
    ),
    FileFormat.PICKLE: Refusal(
        Severity.REFUSED,
        "The file is a bare pickle (as pickle, joblib and old torch write them), which can run code when it "
        f"is opened. {ways_out()}",
    ),
    FileFormat.NUMPY: _unsupported("a numpy array file"),
    FileFormat.HDF5: _unsupported("an HDF5 file, as Keras writes"),
    FileFormat.KERAS: _unsupported("a Keras archive"),
    FileFormat.TFLITE: _unsupported("a TensorFlow Lite model"),
    FileFormat.COMPRESSED: _unsupported("compressed (as joblib and archives are)"),
    FileFormat.ZIP: Refusal(
        Severity.UNREADABLE,
        "The file is a zip archive that holds no torch checkpoint; unpack it and give the model inside.",
    ),
    FileFormat.TWO_FORMATS: Refusal(
        Severity.REFUSED,
        "The file ends as a zip archive and begins as something else, so that programs would read different content in "
        f"it. No model needs that; save it again:\n{COMMAND}{SAVE_STATE_DICT}",
    ),
    FileFormat.EMPTY: Refusal(Severity.UNREADABLE, "The file is empty."),
    FileFormat.UNKNOWN: Refusal(
        Severity.UNREADABLE,
        "The format of the file is not recognised; use safetensors, a torch checkpoint (.pt, .pth) or ONNX.",
    ),
}
