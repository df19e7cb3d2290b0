"""The attack lab's models: a backdoored sample and its clean counterpart, opened once per server.

Samples are files of this installation, so this process opens them. It never opens a visitor's file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app import state
from app.store.sources import Source, samples
from ti_core.classifier.classifier import Classifier
from ti_core.errors import ModelBehaviourError
from ti_core.loading import load_model
from ti_core.methods.lab.effect import answers
from ti_core.methods.lab.sample_record import Demonstration, read_demonstration
from ti_core.methods.lab.strip import Form, draw_overlays, mean_entropy
from ti_core.paper.triggers import TriggerSpec
from ti_core.reference.choosing import understand_with
from ti_core.reference.pack import Pack

CLEAN_IMAGES = 100
"""Number of clean images whose entropies set the boundary of STRIP."""


@dataclass(frozen=True)
class Subject:
    """One model of the pair: its name on the page, its file's digest, and its class scores."""

    name: str
    digest: str
    classifier: Classifier


@dataclass(frozen=True)
class Pair:
    """A backdoored sample, its clean counterpart, and the record of the backdoor."""

    pack: Pack
    kind: str
    trojaned: Subject
    clean: Subject
    record: Demonstration

    @property
    def subjects(self) -> tuple[Subject, Subject]:
        return self.trojaned, self.clean

    @property
    def target(self) -> int:
        """The target class."""
        assert self.record.target is not None
        return self.record.target


def offered() -> dict[str, dict[str, Source]]:
    """The samples of all packs with a clean and a backdoored sample, by pack and kind."""
    return {p: kinds for p, kinds in samples().items() if "clean" in kinds and len(kinds) > 1}


def pair(pack_name: str, kind: str) -> Pair:
    """Open a backdoored sample and its clean counterpart.

    Raises
    ------
    TrojanInterpretError : the pack, a sample or its record is missing or damaged.
    """
    pack = state.opened(state.pack(pack_name))
    kinds = offered()[pack_name]
    record = read_demonstration(
        kinds[kind].path.with_suffix(".json"), pack.input_shape, len(pack.class_names)
    )
    found = []
    for name, source in (("backdoored model", kinds[kind]), ("clean model", kinds["clean"])):
        digest = source.digest
        found.append(Subject(name, digest, opened(digest, pack.sha256, source, pack)))
    return Pair(pack, kind, found[0], found[1], record)


@st.cache_resource(show_spinner="Opening the samples", max_entries=16)
def opened(digest: str, pack_sha256: str, _source: Source, _pack: Pack) -> Classifier:
    """A sample that classifies the pack's images. It is cached under the digests of both."""
    found = understand_with(load_model(_source.path), _pack)
    if not found.understood:
        raise ModelBehaviourError(
            f"{_source.name} classifies {found.accuracy:.0%} of this pack's images rightly, too few to show an attack"
            " on; restore the sample."
        )
    return found


def of_all(subject: Subject, pack: Pack, spec: TriggerSpec | None) -> NDArray[np.float32]:
    """Probabilities of every class for all images of the pack, with or without a trigger."""
    return _of_all(subject.digest, pack.sha256, _key(spec), subject, pack, spec)


@st.cache_resource(show_spinner=False, max_entries=64)
def _of_all(
    digest: str, pack_sha256: str, trigger: str, _subject: Subject, _pack: Pack, _spec: TriggerSpec | None
) -> NDArray[np.float32]:
    trigger_of = None if _spec is None else _spec.render(_pack.input_shape)
    return answers(_subject.classifier.scores, _pack.images, trigger_of)


def clean_indices(pack: Pack) -> NDArray[np.intp]:
    """The indices of the images that set the boundary of STRIP, spread evenly over the pack's images."""
    count = min(CLEAN_IMAGES, len(pack.images))
    return np.unique(np.linspace(0, len(pack.images) - 1, count).round().astype(np.intp))


def strip_entropies(
    subject: Subject, pack: Pack, indices: NDArray[np.intp], spec: TriggerSpec | None, count: int, form: Form
) -> NDArray[np.float64]:
    """Entropies in bits of images of the pack, with or without a trigger, under ``count`` superimposed images."""
    which = ",".join(map(str, indices))
    return _strip(
        subject.digest,
        pack.sha256,
        which,
        _key(spec),
        count,
        form,
        lambda: _entropies(subject, pack, indices, spec, count, form),
    )


@st.cache_resource(show_spinner=False, max_entries=128)
def _strip(
    digest: str,
    pack_sha256: str,
    which: str,
    trigger: str,
    count: int,
    form: str,
    _compute: Callable[[], NDArray[np.float64]],
) -> NDArray[np.float64]:
    return _compute()


def _entropies(
    subject: Subject, pack: Pack, indices: NDArray[np.intp], spec: TriggerSpec | None, count: int, form: Form
) -> NDArray[np.float64]:
    images = pack.images[indices]
    if spec is not None:
        images = spec.render(pack.input_shape).stamp(images)
    overlays = draw_overlays([int(i) for i in indices], len(pack.images), count)
    return mean_entropy(subject.classifier.scores, images, pack.images, overlays, form)


def _key(spec: TriggerSpec | None) -> str:
    fields: dict[str, Any] = {} if spec is None else spec.as_dict()
    return json.dumps(fields, sort_keys=True)
