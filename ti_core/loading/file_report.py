"""Report on a model file: what it holds and what opening it would do. Nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.findings import Finding, Severity
from ti_core.loading.hub.configuration import settings_in
from ti_core.loading.hub.files import FOLDER, HubFiles, read_archive
from ti_core.loading.limits import LIMITS
from ti_core.loading.model_file import ModelFile, read_model_file
from ti_core.loading.pickles.allowed import ALLOWED, runs_code
from ti_core.loading.pickles.files.archive import open_zip, read_member
from ti_core.loading.pickles.files.container import Member
from ti_core.loading.pickles.machine import Outline
from ti_core.loading.pickles.outline import outlines_of
from ti_core.loading.pickles.tensors import TensorInfo, tensors_in
from ti_core.loading.pickles.torch_file import examine
from ti_core.loading.refusals import REFUSED_FORMATS
from ti_core.loading.safetensors_file import read_header
from ti_core.loading.sniff import FileFormat, holds_archive, looks_like_pickle, sniff
from ti_core.text import about_file, shown


@dataclass(frozen=True)
class GlobalUse:
    """A name that a pickle in the file would import."""

    name: str
    severity: Severity
    sentence: str


@dataclass(frozen=True)
class FileReport:
    """What a model file declares, and the findings about it.

    Parameters
    ----------
    file, format, sha256, size : name, format (recognised by the content), digest, and size in bytes.
    members : the files in an archive, or the weight files beside an ONNX graph.
    tensors : name, shape and type of every tensor that can be recognised.
    globals : every name that a pickle in the file would import.
    findings : all other findings; an ordinary file has none.
    """

    file: str
    format: str
    sha256: str
    size: int
    members: tuple[Member, ...] = ()
    tensors: tuple[TensorInfo, ...] = ()
    globals: tuple[GlobalUse, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def severity(self) -> Severity:
        """The highest severity of all findings and imports."""
        found = [use.severity for use in self.globals] + [finding.severity for finding in self.findings]
        return max(found, key=lambda severity: severity.rank, default=Severity.FINE)

    @property
    def is_safe(self) -> bool:
        """Whether the file can neither run code nor exhaust the machine. It may still not be a model."""
        return self.severity.rank < Severity.REFUSED.rank

    @property
    def opens(self) -> bool:
        """Whether no finding prevents the file from being opened."""
        return self.severity.rank < Severity.UNREADABLE.rank

    def sentences(self) -> list[str]:
        """The report in sentences. The verdict comes last."""
        article = "an" if self.format[0].lower() in "aeiou" else "a"
        lines = [
            f"{shown(self.file)} is {article} {self.format} of {_bytes(self.size)}, SHA-256 {self.sha256}."
        ]
        if self.members:
            held = "keeps weights beside it in" if self.format == FileFormat.ONNX.value else "holds"
            noun = "file" if self.format == FileFormat.ONNX.value else "member"
            lines.append(f"It {held} {_counted(len(self.members), noun)}.")
        if self.tensors:
            numbers = sum(tensor.elements for tensor in self.tensors)
            lines.append(
                f"It declares {_counted(len(self.tensors), 'tensor')} with {_counted(numbers, 'number')}."
            )
        if self.globals:
            other = [use for use in self.globals if use.severity is not Severity.FINE]
            names = "all on the allow-list" if not other else f"{len(other)} not on the allow-list"
            lines.append(f"Its pickle imports {_counted(len(self.globals), 'name')}, {names}.")
            lines += [use.sentence for use in other]
        lines += [str(finding) for finding in self.findings]
        if self.opens:
            lines.append("Nothing in it runs when it is opened here.")
        else:
            lines.append(f"Not opened. {self.severity.meaning}")
        return lines

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    def as_dict(self) -> dict[str, Any]:
        """The report as a dictionary for JSON."""
        return {
            "file": self.file,
            "format": self.format,
            "sha256": self.sha256,
            "size": self.size,
            "severity": self.severity.name.lower(),
            "is_safe": self.is_safe,
            "opens": self.opens,
            "members": [{"name": m.name, "size": m.size, "stored": m.stored} for m in self.members],
            "tensors": [{"name": t.name, "shape": list(t.shape), "dtype": t.dtype} for t in self.tensors],
            "globals": [
                {"name": u.name, "severity": u.severity.name.lower(), "sentence": u.sentence}
                for u in self.globals
            ],
            "findings": [
                {"severity": f.severity.name.lower(), "sentence": f.sentence} for f in self.findings
            ],
        }


def describe_file(path: str | Path, companions: Sequence[str | Path] = ()) -> FileReport:
    """Report on a model file. The content may be anything.

    Parameters
    ----------
    companions : as in :func:`ti_core.loading.load_model`.

    Raises
    ------
    ModelFileError : the file itself cannot be read.
    RefusedFileError : ``path`` is no plain file, or the file exceeds the limit.
    """
    return describe(read_model_file(Path(path)), companions)


def describe(file: ModelFile, companions: Sequence[str | Path] = ()) -> FileReport:
    """Report on a model file that has been read; the arguments are those of :func:`describe_file`."""
    if file.folder is not None:
        size = sum(map(len, file.folder.contents.values()))
        with about_file(file.path.name):
            return FileReport(file.path.name, FOLDER, file.sha256, size, **_folder(file.folder))
    kind = sniff(file.content, file.path.name)
    with about_file(file.path.name):
        content = _content(kind, file.content, file.path, [Path(other) for other in companions])
    return FileReport(file.path.name, kind.value, file.sha256, len(file.content), **content)


def _content(kind: FileFormat, data: bytes, path: Path, companions: list[Path]) -> dict[str, Any]:
    try:
        if kind is FileFormat.SAFETENSORS:
            return {"tensors": read_header(data).tensors}
        if kind in (FileFormat.TORCH, FileFormat.LEGACY_TORCH):
            return _checkpoint(data)
        if kind is FileFormat.HUB:
            return _folder(read_archive(data))
        if kind is FileFormat.ONNX:
            return _graph(data, path, companions)
        if kind in (FileFormat.HDF5, FileFormat.KERAS):
            return _keras(data)
    except ModelFileError as error:
        return {"findings": (_finding(error),), **_inside(data)}
    return {"findings": (REFUSED_FORMATS[kind].finding(data),), **_inside(data)}


def _graph(data: bytes, path: Path, companions: list[Path]) -> dict[str, Any]:
    from ti_core.loading.onnx.outline import outline

    members, tensors, findings = outline(data, path, companions)
    return {"members": members, "tensors": tensors, "findings": findings}


def _folder(files: HubFiles) -> dict[str, Any]:
    """The weight files of a model folder, each as a file of its own, and what is wrong with its settings."""
    found: dict[str, Any] = {
        "members": tuple(Member(name, len(held), len(held)) for name, held in files.contents.items()),
        "tensors": (),
        "globals": (),
        "findings": tuple(Finding(Severity.UNUSUAL, remark) for remark in files.choice.remarks()),
    }
    for name in files.choice.settings:
        try:
            settings_in(files.contents[name], name)
        except ModelFileError as error:
            found["findings"] += (_finding(error),)
    for name in files.weight_files:
        held = files.contents[name]
        content = _content(sniff(held, name), held, Path(name), [])
        for part in ("tensors", "globals", "findings"):
            found[part] += tuple(content.get(part, ()))
    return found


def _keras(data: bytes) -> dict[str, Any]:
    from ti_core.loading.keras.outline import outline

    members, tensors, findings = outline(data)
    return {"members": members, "tensors": tensors, "findings": findings}


def _finding(error: ModelFileError) -> Finding:
    severity = Severity.REFUSED if isinstance(error, RefusedFileError) else Severity.UNREADABLE
    return Finding(severity, str(error))


def _checkpoint(data: bytes) -> dict[str, Any]:
    examined = examine(data)
    damage: tuple[Finding, ...] = ()
    try:
        examined.container.check()
    except ModelFileError as error:
        damage = (_finding(error),)
    uses = _uses([examined.outline], examined.ignored, examined.contents.own_classes)
    spoken = {use.sentence for use in uses}
    return {
        "members": examined.container.members,
        "tensors": tuple(tensors_in(examined.outline.root)),
        "globals": uses,
        "findings": (*(f for f in examined.findings if f.sentence not in spoken), *damage),
    }


def _inside(data: bytes) -> dict[str, Any]:
    """Members of a refused archive, and the names that its pickles would import, whatever they are called."""
    if data[:4] != b"PK\x03\x04" and not holds_archive(data):
        return {"globals": _uses(outlines_of(data[: LIMITS.pickle_bytes]) if looks_like_pickle(data) else [])}
    try:
        archive, members = open_zip(data)
    except ModelFileError:
        return {}
    outlines: list[Outline] = []
    remaining = LIMITS.pickle_bytes
    for member in members:
        if member.size > remaining or len(outlines) > 20:
            continue
        try:
            content = read_member(archive, member.name)
        except ModelFileError:
            continue
        if content and (member.name.endswith(".pkl") or looks_like_pickle(content)):
            outlines += outlines_of(content)
            remaining -= member.size
    return {"members": members, "globals": _uses(outlines)}


def _uses(
    outlines: Iterable[Outline], ignored: Sequence[str] = (), own: Sequence[str] = ()
) -> tuple[GlobalUse, ...]:
    names = dict.fromkeys(path for outline in outlines for path in outline.refs)
    return tuple(_own(path) if path in own else _use(path, path in ignored) for path in names)


def _own(path: str) -> GlobalUse:
    name = shown(path)
    return GlobalUse(
        name,
        Severity.UNUSUAL,
        f"{name} is a class of the author's own, here a name only; a program that loads the whole file imports it.",
    )


def _use(path: str, ignored: bool) -> GlobalUse:
    name = shown(path)
    if ignored:
        return GlobalUse(
            name,
            Severity.UNUSUAL,
            f"{name} stands beside the weights. It is ignored here; a program that loads the whole file imports it.",
        )
    if path in ALLOWED:
        return GlobalUse(name, Severity.FINE, f"{name} is {ALLOWED[path].value}.")
    if runs_code(path):
        return GlobalUse(
            name, Severity.MALICIOUS, f"{name} is a known means of running code when a file is opened."
        )
    return GlobalUse(name, Severity.REFUSED, f"{name} is not on the list of names that a model needs.")


def _bytes(size: int) -> str:
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
