"""The reference pack: models known to be clean or trojaned, their evidence, and the detector fitted to it.

A pack is a folder of a few files and no pickle: ``pack.json`` (schema, data set, members, detectors, how well they
detect, and the SHA-256 of the other files), ``images.npz`` (clean labelled images), ``zoo.safetensors`` (the
members' weights in half precision, keys ``<member id>/<tensor>``; ``zoo-2.safetensors`` and so on for members that were
added later), ``baseline.npz`` (every member's evidence at the default settings, keys ``<stream>/<array>``), the
CatBoost models ``*.cbm``, and ``triggers.npz`` where members carry triggers that no few numbers describe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import PackError, SettingsError
from ti_core.reference.known import LARGEST_RECORD, added_packs, is_ours
from ti_core.reference.manifest import SCHEMA_VERSION, check_pack_record
from ti_core.reference.member import Member, needed_accuracy
from ti_core.reference.pack_files import MOST_BYTES, PackFiles, Weights
from ti_core.settings import Settings
from ti_core.system.folders import assets_folder, named_pack
from ti_core.system.plain_files import hash_plain, read_plain
from ti_core.system.strict_json import parse
from ti_core.text import shown

if TYPE_CHECKING:
    import torch

    from ti_core.classifier.scores import Scores
    from ti_core.paper.triggers import Trigger

__all__ = ["PACKS", "SCHEMA_VERSION", "STORED", "Member", "Pack", "file_digest", "load_pack", "pack_names"]

STORED = "stored"
"""Name of the pattern of triggers that are kept as arrays in ``triggers.npz``."""
PACKS = assets_folder() / "packs"


@dataclass(frozen=True)
class Pack:
    """A reference pack on disk. A large file is read, and its digest checked, when it is first needed.

    Raises
    ------
    PackError : from a property that reads a file, if the file's digest is not the recorded one.
    """

    folder: Path
    record: Mapping[str, Any]
    sha256: str
    members: tuple[Member, ...]

    @property
    def name(self) -> str:
        return str(self.record["name"])

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.record["class_names"])

    @property
    def input_shape(self) -> tuple[int, int, int]:
        c, h, w = self.record["input_shape"]
        return int(c), int(h), int(w)

    @cached_property
    def settings(self) -> Settings:
        """The settings that its evidence was made with.

        Raises
        ------
        PackError : the record has no settings, or unknown ones.
        """
        try:
            return Settings.parse(self.record["settings"])
        except (KeyError, TypeError, AttributeError, SettingsError) as error:
            raise PackError(f"Pack {self.name!r} does not say how its evidence was made: {error}.") from error

    def settings_with(self, asked: Mapping[str, Any]) -> Settings:
        """The default settings of an inspection, with those in ``asked`` changed.

        Raises
        ------
        SettingsError : one is unknown, or outside its range.
        PackError : as :attr:`settings`.
        """
        return Settings.parse({**self.settings.for_inspection().as_dict(), **asked})

    @cached_property
    def needed_accuracy(self) -> float:
        """Clean accuracy below which a suspect gets no verdict; see :func:`needed_accuracy`."""
        return needed_accuracy([m.clean_accuracy for m in self.members], len(self.class_names))

    @cached_property
    def _images(self) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        images, labels = self._files.images(self.input_shape, len(self.class_names))
        return torch.from_numpy(images).float() / 255.0, torch.from_numpy(labels)

    @property
    def images(self) -> torch.Tensor:
        """Clean images ``N x C x H x W`` in [0, 1], no member was trained on them."""
        return self._images[0]

    @property
    def labels(self) -> torch.Tensor:
        return self._images[1]

    @cached_property
    def baseline(self) -> dict[str, dict[str, NDArray[np.float32]]]:
        """By stream and array name, the stacked evidence of all members, in their order."""
        return self._files.baseline(len(self.members))

    def evidence_of(self, stream: str) -> dict[str, NDArray[np.float32]]:
        if stream not in self.baseline:
            raise PackError(f"Pack {self.name!r} has no evidence of the stream {shown(stream)}.")
        return self.baseline[stream]

    def evidence_of_member(self, member: Member) -> dict[str, dict[str, NDArray[np.float32]]]:
        """By stream and array name, the evidence of one member."""
        row = self.members.index(member)
        return {
            name: {key: values[row] for key, values in own.items()} for name, own in self.baseline.items()
        }

    @contextmanager
    def faults_of(self, stream: str) -> Iterator[None]:
        """What a stream raises on evidence with other arrays or shapes than its own becomes a :class:`PackError`."""
        try:
            yield
        except (LookupError, ValueError, TypeError, ArithmeticError) as error:
            raise PackError(
                f"Evidence of the stream {shown(stream)} in pack {self.name!r} is not as the stream makes it."
            ) from error

    @cached_property
    def _files(self) -> PackFiles:
        return PackFiles(self.name, self.content)

    @cached_property
    def _opened(self) -> dict[str, Weights]:
        return {}

    def _weights_of(self, member: Member) -> Weights:
        """The file with the member's weights. It is opened once."""
        name = member.weights
        if name not in self._opened:
            self._opened[name] = Weights(self._path(name), self.content(name), self.name)
        return self._opened[name]

    def scores(self, member: Member) -> Scores:
        """The member's network with its normalisation in front, giving centred class scores."""
        from ti_core.classifier.scores import Scores

        network = self._weights_of(member).network(member.id, member.architecture, member.options)
        try:
            return Scores(network, member.normalisation)
        except SettingsError as error:
            raise PackError(
                f"Member {shown(member.id)} of pack {self.name!r} cannot be used: {error}"
            ) from error

    def trigger(self, member: Member) -> Trigger | None:
        """The member's trigger on this pack's images, or None for a clean one."""
        if member.trigger is None:
            return None
        from ti_core.paper.triggers import Trigger, TriggerSpec

        if member.trigger["pattern"] != STORED:
            return TriggerSpec(**member.trigger).render(self.input_shape)
        mask, pattern = self._files.trigger(member.id, self.input_shape)
        return Trigger(member.trigger["kind"], mask, pattern, float(member.trigger["alpha"]))

    def size(self, member: Member) -> tuple[int, int]:
        """The number of the member's parameters, and of its layers with weights."""
        return self._weights_of(member).size(member.id)

    def stored_weights(self, member: Member) -> dict[str, torch.Tensor]:
        """The member's tensors as they are stored, floating-point numbers in half precision."""
        return self._weights_of(member).stored(member.id)

    def stored_triggers(self, members: Collection[str]) -> dict[str, NDArray[Any]]:
        """Masks and patterns in ``triggers.npz`` of the members with these ids, as they are stored."""
        own = (m.trigger for m in self.members if m.id in members)
        stored = any(trigger and trigger["pattern"] == STORED for trigger in own)
        return self._files.stored_triggers(members) if stored else {}

    def performance(self, which: str) -> dict[str, Any]:
        """By kind of trigger, how well the detector "saliency" or "joint" does on held-out members."""
        return dict(self.record.get("performance", {}).get(which, {}))

    def member_name(self, member: Member) -> str:
        """A name unique to the member's weights, for cache keys."""
        return f"{self.record['files'][member.weights]}/{member.id}"

    def where(self, fitted: bool | None = None) -> NDArray[np.intp]:
        """Indices of the fitted members (True), of the held-out ones (False), or of all (None)."""
        return np.array(
            [i for i, m in enumerate(self.members) if fitted is None or m.held_out != fitted], dtype=np.intp
        )

    def checked(self, name: str) -> Path:
        """The path of a file of the pack. Its digest is compared with the recorded one first."""
        path = self._path(name)
        self._compare(name, file_digest(path))
        return path

    def content(self, name: str) -> bytes:
        """The bytes of a file of the pack. They are read once, and have the recorded digest."""
        content = read_plain(self._path(name), MOST_BYTES, PackError)
        self._compare(name, hashlib.sha256(content).hexdigest())
        return content

    def _path(self, name: str) -> Path:
        path = self.folder / name
        if name not in self.record["files"] or not path.exists():
            raise PackError(f"Pack {self.name!r} lacks its file {name}.")
        return path

    def _compare(self, name: str, digest: str) -> None:
        if digest != self.record["files"][name]:
            raise PackError(f"Pack {self.name!r} was altered: {name} is not the file that pack.json records.")


def file_digest(path: Path) -> str:
    """SHA-256 of a file of a pack.

    Raises
    ------
    PackError : it cannot be read, is no plain file, or is beyond the limit.
    """
    digest = hashlib.sha256()
    hash_plain(digest, path, MOST_BYTES, PackError)
    return digest.hexdigest()


def pack_names(root: Path = PACKS) -> list[str]:
    """Names of the packs that a model may get by itself: the bundled ones, and those of the program that were added."""
    own = {p.parent.name for p in root.glob("*/pack.json")}
    return sorted(own | {name for name in added_packs() if is_ours(name)})


def pack_folder(name: str | Path) -> Path:
    """The folder of a bundled or added pack by its name, or the folder itself. Nothing in it is read."""
    bundled = isinstance(name, str) and (PACKS / name / "pack.json").is_file()
    added = None if bundled or not isinstance(name, str) else named_pack(name)
    return PACKS / name if bundled else added or Path(name)


def load_pack(name: str | Path) -> Pack:
    """A bundled or added pack by its name, or the pack in a folder.

    Raises
    ------
    PackError : there is none, or its ``pack.json`` is not one of this schema version. See
        :func:`ti_core.reference.manifest.check_pack_record`.
    """
    folder = pack_folder(name)
    path = folder / "pack.json"
    if not _exists(path):
        known = ", ".join(pack_names()) or "none"
        raise PackError(f"There is no reference pack {shown(str(name))!r}; bundled are: {known}.")
    text = read_plain(path, LARGEST_RECORD, PackError)
    try:
        record = parse(text)
    except ValueError as error:
        raise PackError(
            f"{shown(folder.name)}/pack.json is not the record of a reference pack: {shown(str(error), 200)}."
        ) from error
    check_pack_record(record, folder.name)
    members = tuple(Member(**m) for m in record["members"])
    return Pack(folder, record, hashlib.sha256(text).hexdigest(), members)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        # The name is too long, or holds a null character.
        return False
