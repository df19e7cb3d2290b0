"""One model, end to end: the whole way of the data.

::

    model file -> loading -> preprocessing -> probes -> streams of evidence -> meta-models -> trigger -> report
"""

from __future__ import annotations

from collections.abc import Callable

from ti_core.inspection.budget.so_far import Tell
from ti_core.inspection.clock import Clock
from ti_core.inspection.forecast import Forecast
from ti_core.inspection.result import Inspection
from ti_core.inspection.steps import Steps
from ti_core.reconstruction.model import Model
from ti_core.reference.pack import Pack
from ti_core.settings import Settings
from ti_core.streams import in_turn
from ti_core.system.cache import Cache
from ti_core.system.progress import StageProgress, silent_stage


def inspect(
    model: Model,
    pack: Pack,
    settings: Settings | None = None,
    progress: StageProgress = silent_stage,
    cache: Cache | None = None,
    device: str = "cpu",
    observe: Callable[[Inspection], None] | None = None,
    forecast: Forecast | None = None,
    so_far: Tell | None = None,
) -> Inspection:
    """Say, with evidence, whether a model is backdoored.

    >>> found = inspect(load_model("model.safetensors"), load_pack("mnist"), Settings())  # doctest: +SKIP
    >>> found.report.verdict, found.report.probability, found.report.reasons  # doctest: +SKIP

    Parameters
    ----------
    model, pack : from :func:`ti_core.load_model`, and the reference models from :func:`ti_core.load_pack`.
    settings : by default those that the pack was made with, and the streams that need no pack.
    progress : told the stage and its share that is done, 0 to 1; it may raise ``CancelledError`` to stop.
    cache : keeps evidence between inspections; by default nothing is kept.
    device : "cpu" or "cuda".
    forecast : measures a first pass of the network, tells how long the stages take, and refuses what is too long.
    observe : is shown the inspection with the paper's own verdict.
    so_far : is told the verdict so far before each stream that takes some time.

    Returns
    -------
    Everything the inspection made: ``report`` with the verdict, ``evidence`` and ``readings`` by stream, ``trigger``.

    Raises
    ------
    ModelBehaviourError : the network does not classify this pack's images.
    CancelledError, TooLongError : from ``progress``, from ``forecast``.
    """
    settings, cache = settings or pack.settings.for_inspection(), cache or Cache(None)
    steps = Steps(model, pack, settings, Clock(progress), cache, device, forecast)
    steps.find_preprocessing()
    if not steps.understood:
        return steps.finish_without_verdict()
    steps.tell_forecast()
    steps.make_probes()  # lines 3 to 8: clean, maximised and minimised images under random triggers
    for stream in in_turn(steps.streams):
        if not steps.has_time(stream):
            continue
        steps.say_so_far(so_far)  # the same judgement by what is done
        suspect = steps.suspect_evidence(stream)  # lines 10 to 16: saliency, upper quantiles, histograms
        if suspect is None:
            continue
        reference = steps.reference_evidence(stream)  # the same of every reference model, line 9
        steps.read(stream, suspect, reference)
        if stream.on_probes:
            steps.judge_by_paper()  # line 17: the meta-model on the stacked histograms
            steps.show(observe)
    steps.judge_jointly()  # the meta-model over all streams that compare classes, and what a stream finds beside it
    if steps.doubtful:
        steps.say_so_far(so_far)
        steps.recover_trigger()  # and see how many clean reference models give way as far
    return steps.finish()
