"""Choosing the reference pack of a model: the one whose images it classifies."""

from __future__ import annotations

from ti_core.classifier.classifier import Classifier, Declared
from ti_core.classifier.decide import decided
from ti_core.classifier.first_pass import Gauge
from ti_core.classifier.understand import understand
from ti_core.errors import ModelBehaviourError, NoPackFitsError
from ti_core.reconstruction.model import Model
from ti_core.reference.pack import Pack, load_pack, pack_names


def choose_pack_for(model: Model, declared: Declared | None = None, gauge: Gauge | None = None) -> Pack:
    """The bundled pack that fits the model. Of several, the one whose images it classifies best.

    Parameters
    ----------
    model : from :func:`ti_core.loading.load_model`.
    declared : what the user declares of the model.
    gauge : is told what a first pass takes, before any search; it may raise.

    Raises
    ------
    NoPackFitsError : no pack has its channels and class count.
    ModelBehaviourError : the model gives no class scores for any of the packs' images.
    """
    packs = packs_for(model)
    if len(packs) == 1:
        return packs[0]
    best: tuple[float, Pack] | None = None
    problem: ModelBehaviourError | None = None
    for pack in packs:
        try:
            found = understand_with(decided(model, pack.images, pack.labels), pack, declared, gauge)
        except ModelBehaviourError as error:
            problem = error
            continue
        if best is None or found.accuracy > best[0]:
            best = found.accuracy, pack
    if best is None:
        assert problem is not None
        raise problem
    return best[1]


def understand_with(
    model: Model, pack: Pack, declared: Declared | None = None, gauge: Gauge | None = None
) -> Classifier:
    """:func:`understand` on a pack's labelled images, at the accuracy that the pack asks for."""
    classes, needed = len(pack.class_names), pack.needed_accuracy
    return understand(model, pack.images, pack.labels, classes, declared, needed, gauge)


def packs_for(model: Model) -> list[Pack]:
    """The bundled packs whose channels and class count fit the model.

    Raises
    ------
    NoPackFitsError : no pack fits.
    """
    return fitting_packs(model.image_shape, model.classes)


def fitting_packs(input_shape: tuple[int, int, int] | None, classes: int | None) -> list[Pack]:
    """The bundled packs whose channels and class count fit a model. None and 0 fit any pack.

    Packs whose images have exactly the model's size come before those whose images would be scaled.

    Raises
    ------
    NoPackFitsError : no pack fits.
    """
    fitting = [
        p
        for p in map(load_pack, pack_names())
        if (classes is None or classes == len(p.class_names))
        and (input_shape is None or input_shape[0] == p.input_shape[0])
    ]
    exact = [p for p in fitting if input_shape is not None and input_shape == p.input_shape]
    if not fitting:
        bundled = ", ".join(pack_names()) or "none"
        raise NoPackFitsError(
            f"No reference pack fits this model ({_told(input_shape, classes)}); bundled are: {bundled}. For a weaker"
            " verdict, give 50 or more clean images of your own with --images."
        )
    return exact or fitting


def _told(input_shape: tuple[int, int, int] | None, classes: int | None) -> str:
    return f"{classes or 'unknown'} classes, input {input_shape or 'unknown'}"
