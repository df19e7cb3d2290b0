"""The reference pack: models known to be clean or trojaned, their evidence, and the detector fitted to it.

A pack is a folder of a few files and no pickle: ``pack.json`` (schema, data set, members, detectors, how well they
detect, and the SHA-256 of the other files), ``images.npz`` (clean labelled images), ``zoo.safetensors`` (the
members' weights in half precision, keys ``<member id>/<tensor>``), ``baseline.npz`` (every member's evidence at the
default settings, keys ``<stream>/<array>``), the CatBoost models ``*.cbm``, and ``triggers.npz`` where members carry
triggers that no few numbers describe.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import PackError, SettingsError
from ti_core.reference.float16 import unpacked
from ti_core.settings import Settings

if TYPE_CHECKING:
    import torch

    from ti_core.classifier.scores import Scores
    from ti_core.paper.triggers import Trigger

SCHEMA_VERSION = 1
NEEDED = 0.57
"""Required share of the way from chance to the median accuracy of the pack's networks: 60 % accuracy on MNIST."""
WEAK, NEEDED_OF_WEAK = 0.1, 2 / 3
"""Alternative requirement, if lower: this share of the way to the accuracy that 90 % of the networks reach."""
STORED = "stored"
"""Name of the pattern of triggers that are kept as arrays in ``triggers.npz``."""
PACKS = Path(__file__).resolve().parent.parent.parent / "assets" / "packs"


@dataclass(frozen=True)
class Member:
    """One reference model, as ``pack.json`` records it."""

    id: str
    label: str
    family: str
    group: str
    architecture: str
    options: Mapping[str, Any]
    normalisation: str
    seed: int
    clean_accuracy: float
    held_out: bool
    attack_success: float | None = None
    target_class: int | None = None
    trigger: Mapping[str, Any] | None = None
    poisoning_rate: float | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trojaned(self) -> bool:
        return self.label != "clean"


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
        """The settings that its evidence was made with. They are the default of an inspection.

        Raises
        ------
        PackError : the record has no settings, or unknown ones.
        """
        try:
            return Settings.parse(self.record["settings"])
        except (KeyError, TypeError, AttributeError, SettingsError) as error:
            raise PackError(f"Pack {self.name!r} does not say how its evidence was made: {error}.") from error

    def settings_with(self, asked: Mapping[str, Any]) -> Settings:
        """Its own settings, with those in ``asked`` changed.

        Raises
        ------
        SettingsError : one is unknown, or outside its range.
        PackError : as :attr:`settings`.
        """
        return Settings.parse({**self.settings.as_dict(), **asked})

    @cached_property
    def needed_accuracy(self) -> float:
        """Clean accuracy below which a suspect gets no verdict.

        It lies between chance and the accuracy of the pack's networks. A pack with weakly trained networks asks for
        less.
        """
        chance = 1 / len(self.class_names)
        reached = [m.clean_accuracy for m in self.members]
        usual, weak = statistics.median(reached), float(np.quantile(reached, WEAK, method="higher"))
        return chance + max(0.0, min(NEEDED * (usual - chance), NEEDED_OF_WEAK * (weak - chance)))

    @cached_property
    def _images(self) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        with np.load(self.checked("images.npz"), allow_pickle=False) as z:
            images, labels = z["images"], z["labels"]
        return torch.from_numpy(images).float() / 255.0, torch.from_numpy(labels.astype(np.int64))

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
        streams: dict[str, dict[str, NDArray[np.float32]]] = {}
        with np.load(self.checked("baseline.npz"), allow_pickle=False) as z:
            stored = unpacked({key: z[key] for key in z.files})
        for key, values in stored.items():
            stream, array = key.split("/", 1)
            streams.setdefault(stream, {})[array] = values
        return streams

    @cached_property
    def _zoo(self) -> Path:
        return self.checked("zoo.safetensors")

    def scores(self, member: Member) -> Scores:
        """The member's network with its normalisation in front, giving centred class scores."""
        from safetensors import safe_open

        from ti_core.architectures import build
        from ti_core.classifier.scores import Scores

        network = build(member.architecture, **member.options)
        with safe_open(self._zoo, framework="pt") as zoo:
            state = {key: zoo.get_tensor(f"{member.id}/{key}") for key in network.state_dict()}
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
        return Scores(network, member.normalisation)

    def trigger(self, member: Member) -> Trigger | None:
        """The member's trigger on this pack's images, or None for a clean one."""
        if member.trigger is None:
            return None
        from ti_core.paper.triggers import Trigger, TriggerSpec

        if member.trigger["pattern"] != STORED:
            return TriggerSpec(**member.trigger).render(self.input_shape)
        with np.load(self.checked("triggers.npz"), allow_pickle=False) as z:
            mask, pattern = (z[f"{member.id}/{part}"].astype(np.float32) for part in ("mask", "pattern"))
        return Trigger(member.trigger["kind"], mask, pattern, float(member.trigger["alpha"]))

    def performance(self, which: str) -> dict[str, Any]:
        """By kind of trigger, how well the detector "saliency" or "joint" does on held-out members."""
        return dict(self.record.get("performance", {}).get(which, {}))

    def member_name(self, member: Member) -> str:
        """A name unique to the member's weights, for cache keys."""
        return f"{self.record['files']['zoo.safetensors']}/{member.id}"

    def where(self, fitted: bool | None = None) -> NDArray[np.intp]:
        """Indices of the fitted members (True), of the held-out ones (False), or of all (None)."""
        return np.array(
            [i for i, m in enumerate(self.members) if fitted is None or m.held_out != fitted], dtype=np.intp
        )

    def checked(self, name: str) -> Path:
        """The path of a file of the pack. Its digest is compared with the recorded one first."""
        path = self.folder / name
        expected = self.record["files"].get(name)
        if expected is None or not path.is_file():
            raise PackError(f"Pack {self.name!r} lacks its file {name}.")
        if file_digest(path) != expected:
            raise PackError(f"Pack {self.name!r} was altered: {name} is not the file that pack.json records.")
        return path


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pack_names(root: Path = PACKS) -> list[str]:
    """Names of the bundled packs."""
    return sorted(p.parent.name for p in root.glob("*/pack.json"))


def load_pack(name: str | Path) -> Pack:
    """A bundled pack by its name, or the pack in a folder.

    Raises
    ------
    PackError : there is none, or its ``pack.json`` is not one of this schema version.
    """
    folder = PACKS / name if isinstance(name, str) and (PACKS / name / "pack.json").is_file() else Path(name)
    path = folder / "pack.json"
    if not path.is_file():
        known = ", ".join(pack_names()) or "none"
        raise PackError(f"There is no reference pack {str(name)!r}; bundled are: {known}.")
    try:
        text = path.read_bytes()
        record = json.loads(text)
        if record["schema_version"] != SCHEMA_VERSION:
            raise PackError(
                f"Pack {folder.name!r} has schema version {record['schema_version']};"
                f" this program reads {SCHEMA_VERSION}."
            )
        members = tuple(Member(**m) for m in record["members"])
        record["name"], record["class_names"], record["input_shape"], record["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise PackError(f"{folder.name}/pack.json is not the record of a reference pack: {error}.") from error
    return Pack(folder, record, hashlib.sha256(text).hexdigest(), members)
