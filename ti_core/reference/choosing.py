"""Which reference pack a model is compared with: the one whose images it classifies."""

from __future__ import annotations

from ti_core.classifier.classifier import Declared, understand_with
from ti_core.errors import ModelBehaviourError
from ti_core.loading.model import Model
from ti_core.reference.pack import Pack, fitting_packs


def choose_pack_for(model: Model, declared: Declared | None = None) -> Pack:
    """The bundled pack that fits the model; of several (two data sets of ten grey classes), the one it classifies best.

    Parameters
    ----------
    model : from :func:`ti_core.loading.load_model`.
    declared : what the user says of the model.

    Raises
    ------
    PackError : no pack has its channels and class count.
    ModelBehaviourError : the model gives no class scores for any of the packs' images.
    """
    packs = fitting_packs(model.input_shape, model.classes)
    if len(packs) == 1:
        return packs[0]
    best: tuple[float, Pack] | None = None
    problem: ModelBehaviourError | None = None
    for pack in packs:
        try:
            found = understand_with(model, pack, declared)
        except ModelBehaviourError as error:
            problem = error
            continue
        if best is None or found.accuracy > best[0]:
            best = found.accuracy, pack
    if best is None:
        assert problem is not None
        raise problem
    return best[1]
