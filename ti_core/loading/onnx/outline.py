"""What an ONNX file declares, for the file report. The file is parsed, but no network is built from it."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.findings import Finding, Severity
from ti_core.loading.limits import LIMITS
from ti_core.loading.onnx import limits
from ti_core.loading.onnx.limits import shown
from ti_core.loading.pickles.files.container import Member
from ti_core.loading.pickles.tensors import TensorInfo

LOOPS = frozenset({"Loop", "Scan", "SequenceMap"})
KNOWN_DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
_NAMES = {"float": "float32", "double": "float64"}


def weight_file(graph: Path, name: str, companions: Sequence[Path] = (), others: int = 0) -> Path:
    """Path of the weight file that a graph calls ``name``: a given file, or one in the graph's folder.

    Parameters
    ----------
    companions : given files. If the graph names one file and one is given, its name may differ.
    others : how many other weight files the graph names.

    Raises
    ------
    RefusedFileError : ``name`` is no plain file name, or the path is a link.
    """
    if not name or name in (".", "..") or any(c in name for c in "/\\\0") or Path(name).name != name:
        raise RefusedFileError(
            f"The graph names '{shown(name)}' as its weight file; only a plain file name is allowed."
        )
    given = next((path for path in companions if path.name == name), None)
    if given is None and len(companions) == 1 and not others:
        # An upload may have been renamed. Its size shows later whether it is the right file.
        given = companions[0]
    place = given or graph.parent / name
    if place.is_symlink():
        raise RefusedFileError(f"'{shown(name)}' beside the graph is a link, not a plain file.")
    return place


def missing(graph: str, name: str) -> ModelFileError:
    """The error for a missing weight file."""
    return ModelFileError(
        f"'{graph}' keeps its weights in a second file, '{shown(name)}', which is not beside it: "
        "give both files, or export again with torch.onnx.export(..., external_data=False), which "
        "makes one file."
    )


def outline(
    data: bytes, path: Path, companions: Sequence[Path] = ()
) -> tuple[tuple[Member, ...], tuple[TensorInfo, ...], tuple[Finding, ...]]:
    """The weight files, the constants, and the findings that prevent opening the graph.

    Raises
    ------
    ModelFileError : the file is no ONNX graph, or its declarations contradict each other.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnx import ModelProto

    from ti_core.loading.onnx.ambiguity import given_twice

    try:
        model = ModelProto.FromString(data)
    except DecodeError as error:
        raise ModelFileError(f"'{shown(path.name)}' is not an ONNX file, or it is damaged.") from error
    if not model.graph.node:
        raise ModelFileError(f"'{shown(path.name)}' holds no ONNX graph.")
    tensors = tuple(_tensor(proto) for proto in model.graph.initializer[: LIMITS.tensors])
    names = dict.fromkeys(
        entry.value
        for proto in model.graph.initializer
        for entry in proto.external_data
        if entry.key == "location"
    )
    files, findings = _weight_files([*names][: limits.MAX_DATA_FILES], path, companions)
    ambiguous = given_twice(model)
    if ambiguous is not None:
        findings.append(_refused(ambiguous))
    own = {function.domain for function in model.functions}
    for node in model.graph.node:
        if node.op_type in LOOPS and node.domain in ("", "ai.onnx"):
            findings.append(_refused(f"The node '{shown(node.name)}' ({shown(node.op_type)}) is a loop."))
            break
    foreign = [n for n in model.graph.node if n.domain not in KNOWN_DOMAINS and n.domain not in own]
    if foreign:
        findings.append(
            _refused(
                f"The node '{shown(foreign[0].name)}' ({shown(foreign[0].op_type)}) is of the custom domain"
                f" '{shown(foreign[0].domain)}'."
            )
        )
    return files, tensors, tuple(findings)


def _refused(sentence: str) -> Finding:
    return Finding(Severity.REFUSED, sentence)


def _tensor(proto: object) -> TensorInfo:
    from onnx import TensorProto

    assert isinstance(proto, TensorProto)
    names: dict[int, str] = {number: name for name, number in TensorProto.DataType.items()}
    kind = names.get(proto.data_type, f"number {proto.data_type}").lower()
    if any(d < 0 for d in proto.dims) or len(proto.dims) > limits.MAX_RANK:
        raise ModelFileError(f"The constant '{shown(proto.name)}' declares a shape that no tensor has.")
    return TensorInfo(shown(proto.name), tuple(proto.dims), _NAMES.get(kind, kind))


def _weight_files(
    names: Iterable[str | bytes], path: Path, companions: Sequence[Path]
) -> tuple[tuple[Member, ...], list[Finding]]:
    members: list[Member] = []
    findings: list[Finding] = []
    listed = [name if isinstance(name, str) else name.decode("utf-8", "replace") for name in names]
    for name in listed:
        try:
            place = weight_file(path, name, companions, len(listed) - 1)
            status = place.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                raise RefusedFileError(f"'{shown(name)}' is not a plain file.")
        except RefusedFileError as error:
            findings.append(_refused(str(error)))
        except (OSError, ValueError):
            findings.append(Finding(Severity.UNREADABLE, str(missing(shown(path.name), name))))
        else:
            members.append(Member(shown(name), status.st_size, status.st_size))
    return tuple(members), findings
