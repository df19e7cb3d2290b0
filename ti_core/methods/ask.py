"""Asks methods for their opinions on one network: from an opened model, or of a member of a pack."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ti_core.errors import ModelBehaviourError, SettingsError
from ti_core.methods import method_class, needs
from ti_core.methods.base import Learnt, Method, Subject
from ti_core.methods.opinion import Opinion, Opinions
from ti_core.system.progress import StageProgress, silent_stage

if TYPE_CHECKING:
    from ti_core.classifier.classifier import Classifier, Declared
    from ti_core.reconstruction.model import Model
    from ti_core.reference.own_images import OwnImages
    from ti_core.reference.pack import Pack


def ask(
    subject: Subject, names: Sequence[str], progress: StageProgress = silent_stage
) -> tuple[tuple[Opinion, ...], dict[str, str]]:
    """The opinions of the methods of these names, and the unmet needs of the others, in sentences.

    All needs are looked at before the first method runs.

    Parameters
    ----------
    progress : told the title of each method and the share of its work that is done.
    """
    methods = [method_class(name)() for name in names]
    unmet = {m.name: sentence for m in methods if (sentence := needs.unmet(m, subject)) is not None}
    able = [m for m in methods if m.name not in unmet]
    return tuple(timed(m, subject, progress) for m in able), unmet


def timed(method: Method, subject: Subject, progress: StageProgress = silent_stage) -> Opinion:
    """The opinion of one method, with the seconds that it took."""
    progress(method.title, 0.0)
    start = time.perf_counter()
    found = method.opinion(subject, lambda share: progress(method.title, share))
    return replace(found, seconds=round(time.perf_counter() - start, 3))


def with_pack(
    model: Model,
    pack: Pack,
    names: Sequence[str],
    declared: Declared,
    learnt: Mapping[str, Learnt],
    progress: StageProgress = silent_stage,
) -> Opinions:
    """Opinions on a model with a pack's images, and its zoo for the methods that need one.

    Raises
    ------
    ModelBehaviourError : the network does not classify this pack's images.
    """
    subject = subject_of(model, pack, declared, learnt)
    given, unmet = ask(subject, names, progress)
    return _all(model.file, pack.name, pack.sha256, pack.class_names, given, unmet)


def subject_of(
    model: Model, pack: Pack, declared: Declared | None = None, learnt: Mapping[str, Learnt] | None = None
) -> Subject:
    """An opened model, as a method sees it beside a pack.

    Raises
    ------
    ModelBehaviourError : the network does not classify this pack's images.
    """
    from ti_core.classifier.decide import decided
    from ti_core.reference.choosing import understand_with

    settled = decided(model, pack.images, pack.labels)
    found = understand_with(settled, pack, declared)
    _must_understand(settled, found, pack.name)
    return Subject(found.scores, pack.images, pack.labels, pack.class_names, pack, learnt or {})


def with_images(
    model: Model,
    own: OwnImages,
    names: Sequence[str],
    declared: Declared,
    progress: StageProgress = silent_stage,
) -> Opinions:
    """Opinions on a model with the user's own images, labelled or not. No method that needs a zoo can run.

    Raises
    ------
    ModelBehaviourError : the network does not classify these images.
    """
    import torch

    from ti_core.classifier.decide import decided
    from ti_core.classifier.scores import batches
    from ti_core.classifier.understand import understand
    from ti_core.classifier.unlabelled import count_classes, understand_unlabelled

    own = own.in_terms_of(model.class_names)
    labels = None if own.labels is None else torch.from_numpy(own.labels)
    settled = decided(model, own.images, labels)
    classes = count_classes(settled, own.images, declared)
    if own.labels is not None and int(own.labels.max()) >= classes:
        raise ModelBehaviourError(
            f"{own.name} has labels up to {int(own.labels.max())}, but {model.file} tells {classes} classes apart."
        )
    if labels is not None:
        found = understand(settled, own.images, labels, classes, declared)
        _must_understand(settled, found, own.name)
    else:
        found = understand_unlabelled(settled, own.images, classes, declared)
        with torch.no_grad():
            labels = torch.cat([found.scores(x).argmax(1) for x in batches(found.scores, own.images)])
    names_of_classes = own.names_of(classes)
    given, unmet = ask(Subject(found.scores, own.images, labels, names_of_classes), names, progress)
    return _all(model.file, "", "", names_of_classes, given, unmet)


def _must_understand(model: Model, found: Classifier, images: str) -> None:
    if not found.understood:
        raise ModelBehaviourError(
            f"{model.file} classifies {found.accuracy:.0%} of the images of {images} correctly; an opinion needs"
            f" {found.needed:.0%}."
        )


def _all(
    file: str,
    pack: str,
    sha256: str,
    class_names: tuple[str, ...],
    given: tuple[Opinion, ...],
    unmet: dict[str, str],
) -> Opinions:
    if not given:
        raise SettingsError(f"None of the methods can judge this network. {' '.join(unmet.values())}")
    return Opinions(file, pack, sha256, class_names, given, unmet)
