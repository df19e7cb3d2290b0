"""A first look at a model: what it is, which pack fits it, and how long each effort takes. No verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ti_core.classifier.classifier import Declared
from ti_core.classifier.decide import decided
from ti_core.errors import NoPackFitsError
from ti_core.inspection.budget.costs import MeasuredError, Scales
from ti_core.inspection.budget.known import known_work
from ti_core.inspection.forecast import Known
from ti_core.inspection.without_pack import decided_alone, understand_alone
from ti_core.reconstruction.model import Model
from ti_core.reference.choosing import packs_for, understand_with
from ti_core.reference.own_images import OwnImages
from ti_core.reference.pack import Pack
from ti_core.reference.reference import Reference
from ti_core.results.files.first_look import FirstLook
from ti_core.settings import Settings
from ti_core.streams import make_streams
from ti_core.system.cache import Cache
from ti_core.system.progress import StageProgress, silent_stage

OWN = "It is inspected on the images that were given with it, without reference models."


def look_at(
    model: Model,
    pack: Pack | None,
    settings: Settings,
    asked: Mapping[str, Any],
    pictures: bool = False,
    progress: StageProgress = silent_stage,
    cache: Cache | None = None,
    own: OwnImages | None = None,
) -> FirstLook:
    """Look at a model. One pass of it is measured on the user's own images, or on those of the first pack that fits.

    Parameters
    ----------
    pack : the pack that was asked for; by default those that fit the model.
    settings, asked : of the inspection, and what of them was asked for in words.
    pictures : whether the inspection makes pictures, which take their time too.
    cache : may hold evidence of reference models that the pack lacks.
    own : the user's images, for an inspection without a pack.

    Raises
    ------
    ModelBehaviourError : the model gives no class scores for the images.
    """
    fitting, why = ([], OWN) if own else _fitting(model, pack)
    scales = Scales(settings, progress=progress, pictures=pictures, alone=own is not None)
    if own:
        model = decided_alone(model, own)
        with suppress(MeasuredError):
            understand_alone(model, own, settings, scales)
    elif fitting:
        first = fitting[0]
        scales.settings = first.settings_with(asked)
        model = decided(model, first.images, first.labels)
        with suppress(MeasuredError):
            understand_with(model, first, Declared.of(settings), scales)
        scales.lacking = partial(_lacking, first, cache or Cache(None))
    return FirstLook(
        format=model.format,
        architecture=model.architecture,
        sketch=model.sketch,
        parameters=model.parameters,
        classes=model.classes,
        input_shape=None if model.input_shape is None else list(model.input_shape),
        doubt="" if model.reconstructed is None else model.reconstructed.doubt,
        fitting=[p.name for p in fitting],
        pack=fitting[0].name if len(fitting) == 1 else "",
        why=why,
        seconds=scales.costs(),
    )


def _fitting(model: Model, pack: Pack | None) -> tuple[list[Pack], str]:
    """The packs that the model could be compared with, and a sentence on them."""
    if pack:
        return [pack], _why([pack], True)
    try:
        fitting = packs_for(model)
    except NoPackFitsError as error:
        return [], str(error)
    return fitting, _why(fitting, False)


def _lacking(pack: Pack, cache: Cache, settings: Settings) -> Known:
    """The evidence of reference models that neither the pack nor the cache holds."""
    return known_work(Reference(pack, settings, cache), make_streams(settings), "")


def _why(fitting: Sequence[Pack], asked_for: bool) -> str:
    """Which pack the model would be compared with, and why."""
    if asked_for:
        return f"It is compared with the reference pack {fitting[0].name}, as asked for."
    channels, classes = fitting[0].input_shape[0], len(fitting[0].class_names)
    of = f"{channels} channel{'s' * (channels > 1)} and {classes} classes"
    if len(fitting) == 1:
        return f"It is compared with the reference pack {fitting[0].name}: the one for {of}."
    names = ", ".join(p.name for p in fitting)
    return (
        f"Several reference packs fit ({names}). It is compared with the one whose images it classifies best."
    )
