"""The files of a model folder: which are read, which are left, and the digest that names the folder.

The choice is made by names alone, so that a process that may not read the files can make it too.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.loading.limits import LIMITS, check_weight_bytes
from ti_core.system.plain_files import hash_plain, read_plain
from ti_core.text import few, shown

CONFIG, PREPARATION = "config.json", "preprocessor_config.json"
INDEX = ".index.json"
FOLDER = "model folder"
"""The format of a model folder, in reports."""
MOST_TEXT = 8 << 20
"""Maximum number of bytes of a file of settings."""
MOST_NAMES = 2_000
"""Maximum number of files in a folder."""
MOST_SHARDS = 200

_KINDS = (("model.safetensors", "model", "safetensors"), ("pytorch_model.bin", "pytorch_model", "bin"))
"""The usual weight files, the preferred first: the name of a single one, and the stem and ending of several."""
_ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_FOREIGN = (".h5", ".msgpack", ".onnx", ".ot", ".tflite", ".mlmodel")
_CODE = (".py", ".pyc", ".pyx", ".so", ".ipynb", ".sh")


@dataclass(frozen=True)
class Choice:
    """The files of a folder that are read.

    Parameters
    ----------
    settings : the files of settings that there are.
    weights : the weight files, and the file that says which tensor is in which of them, if there are several.
    other_weights, code : weight files that are not read, and files that hold code. No such file is ever opened.
    """

    settings: tuple[str, ...]
    weights: tuple[str, ...]
    other_weights: tuple[str, ...] = ()
    code: tuple[str, ...] = ()

    @property
    def read(self) -> tuple[str, ...]:
        """Names of all files that are read, sorted."""
        return tuple(sorted((*self.settings, *self.weights)))

    def remarks(self) -> tuple[str, ...]:
        """Sentences on the files that were not read."""
        said = []
        if self.other_weights:
            said.append(
                f"The weights were read from {few(self.weights, 1)}. The folder also holds {few(self.other_weights)},"
                " which was not read: this says nothing of it."
            )
        if self.code:
            said.append(f"The folder holds files of code ({few(self.code)}), which were not read.")
        return tuple(said)


def looks_like_hub(names: Iterable[str]) -> bool:
    """Whether a folder with files of these names is a model folder."""
    held = set(names)
    usual = {single for single, _, _ in _KINDS}
    return CONFIG in held and bool(held & (usual | {name + INDEX for name in usual}))


def is_model_folder(path: Path) -> bool:
    """Whether this is a folder, and its files have the names of a model folder's."""
    try:
        return path.is_dir() and looks_like_hub(names_in(path))
    except (OSError, ModelFileError):
        return False


def choose(names: Iterable[str]) -> Choice:
    """Choose the files to read.

    Raises
    ------
    ModelFileError : there is no configuration, there are no weights, or several weight files may be meant.
    """
    held = sorted(names)
    if CONFIG not in held:
        raise ModelFileError(
            f"The folder cannot be read as a model: it holds no {CONFIG}. Give the model file in it by itself."
        )
    found = [group for kind in _KINDS if (group := _usual(held, *kind))]
    weights = [name for name in held if name.lower().endswith((*_ENDINGS, *_FOREIGN))]
    readable = [name for name in weights if name.lower().endswith(_ENDINGS)]
    if found:
        chosen = found[0]
    elif len(readable) == 1:
        chosen = (readable[0],)
    elif readable:
        raise ModelFileError(
            f"The folder holds several weight files ({few(readable)}), and none has the usual name {_KINDS[0][0]};"
            " leave only the one that is meant."
        )
    else:
        foreign = f"; {few(weights)} cannot be read here" if weights else ""
        raise ModelFileError(
            f"The folder holds no weights: there is no {_KINDS[0][0]} beside {CONFIG}{foreign}."
        )
    return Choice(
        tuple(name for name in (CONFIG, PREPARATION) if name in held),
        chosen,
        tuple(name for name in weights if name not in chosen),
        tuple(name for name in held if name.lower().endswith(_CODE)),
    )


def _usual(held: list[str], single: str, stem: str, ending: str) -> tuple[str, ...]:
    """The weight files of one kind, or none."""
    index = single + INDEX
    if single in held and index in held:
        raise ModelFileError(
            f"The folder holds both {single} and {index}, so that it has its weights twice: leave only one of them."
        )
    if single in held:
        return (single,)
    if index not in held:
        return ()
    part = re.compile(rf"{stem}-\d{{5}}-of-\d{{5}}\.{ending}")
    parts = [name for name in held if part.fullmatch(name)]
    if not 0 < len(parts) <= MOST_SHARDS:
        raise ModelFileError(
            f"{index} names the parts of the weights, of which there are {len(parts)} here; there may be 1 to"
            f" {MOST_SHARDS}."
        )
    return (index, *parts)


@dataclass(frozen=True)
class HubFiles:
    """The files of a model folder that were read, by name, and the choice that was made."""

    choice: Choice
    contents: Mapping[str, bytes] = field(repr=False)

    @property
    def weight_files(self) -> tuple[str, ...]:
        """The files with tensors."""
        return tuple(name for name in self.choice.weights if not name.endswith(INDEX))

    def check_size(self) -> None:
        """Raise an error if a file of settings is too large."""
        for name, content in self.contents.items():
            if name.endswith(".json") and len(content) > MOST_TEXT:
                raise RefusedFileError(
                    f"The file {shown(name)} has {len(content):,} bytes; the limit for such a file is {MOST_TEXT:,}."
                )


def names_in(folder: Path) -> list[str]:
    """Names of the files in a folder. Folders in it are passed over.

    Raises
    ------
    ModelFileError : it cannot be read, or holds too many files.
    """
    names: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                # Hubs keep the files elsewhere and put links to them here.
                if not entry.is_dir():
                    names.append(entry.name)
                if len(names) > MOST_NAMES:
                    raise RefusedFileError(
                        f"The folder {shown(folder.name)} holds more than {MOST_NAMES} files."
                    )
    except OSError as error:
        raise ModelFileError(f"The folder {shown(folder.name)} cannot be read: {error.strerror}.") from error
    return names


def read_folder(folder: Path) -> tuple[HubFiles, str]:
    """Read the files of a model folder. Returns them with the folder's digest.

    Raises
    ------
    ModelFileError, RefusedFileError : a file is missing, cannot be read or is too large.
    """
    choice = choose(names_in(folder))
    contents: dict[str, bytes] = {}
    for name in choice.read:
        contents[name] = read_plain(folder / name, LIMITS.file_bytes, ModelFileError, RefusedFileError)
        check_weight_bytes(sum(map(len, contents.values())))
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return HubFiles(choice, contents), _joined(digests)


def digest_of_folder(folder: Path) -> str:
    """The digest of a model folder: SHA-256 of the names and the digests of the files that are read.

    Raises
    ------
    ModelFileError, RefusedFileError : as :func:`read_folder`.
    """
    digests: dict[str, str] = {}
    total = 0
    for name in choose(names_in(folder)).read:
        digest = hashlib.sha256()
        total += hash_plain(digest, folder / name, LIMITS.file_bytes, ModelFileError, RefusedFileError)
        check_weight_bytes(total)
        digests[name] = digest.hexdigest()
    return _joined(digests)


def _joined(digests: Mapping[str, str]) -> str:
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def in_archive(names: Iterable[str]) -> str | None:
    """The folder of a zip archive that is a model folder, with a slash at its end, or None.

    The files may stand at the top or in one folder.
    """
    tops = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] == CONFIG}
    flat = sorted((top for top in tops if top.count("/") == 0), key=len)
    for top in flat:
        start = f"{top}/" if top else ""
        inside = [name[len(start) :] for name in names if name.startswith(start)]
        if any("/" not in name and name.lower().endswith((".safetensors", ".bin", INDEX)) for name in inside):
            return start
    return None


def read_archive(data: bytes) -> HubFiles:
    """Read the files of a model folder in a zip archive.

    Raises
    ------
    ModelFileError, RefusedFileError : as :func:`read_folder`, or the archive is damaged or beyond the limits.
    """
    from ti_core.loading.pickles.files.archive import open_zip, read_member

    archive, members = open_zip(data)
    names = [member.name for member in members]
    top = in_archive(names)
    if top is None:
        raise ModelFileError(f"The zip archive holds no {CONFIG} with weights beside it.")
    inside = [name[len(top) :] for name in names if name.startswith(top) and not name.endswith("/")]
    choice = choose(name for name in inside if "/" not in name)
    return HubFiles(choice, {name: read_member(archive, top + name) for name in choice.read})
