"""A stream of evidence: arrays from a model, features from arrays, a sentence from features."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ti_core.kinds import Kind, MappingKind
from ti_core.settings import Settings
from ti_core.streams.passes import Passes
from ti_core.streams.searches.sparing import FULL, LEVEL, Sparing

if TYPE_CHECKING:
    import torch

    from ti_core.paper.probes import Probes

Array = NDArray[np.float32]
Evidence = Mapping[str, Array]
"""Named arrays of one model. The stacked arrays of R models have a leading axis R."""

Progress = Callable[[float], None]
"""Called with the share of the work that is done, 0 to 1. It may raise :class:`ti_core.errors.CancelledError`."""


def silent(share: float) -> None:
    """A progress callback that does nothing."""


@dataclass(frozen=True)
class Context:
    """What a stream is given besides the model.

    Parameters
    ----------
    images, labels : clean images ``N x C x H x W`` in [0, 1] and their classes ``N``.
    classes : K.
    settings : of this inspection.
    probes : Algorithm 1's probes, for a stream with ``on_probes``.
    rounded : whether gradients of searches may be in bfloat16, where the processor has it. What is found then differs a
        little, so it is not compared with evidence in single precision.
    found : what other streams found in the model before, by name. A stream may begin from it.
    """

    images: torch.Tensor
    labels: torch.Tensor
    classes: int
    settings: Settings
    probes: Probes | None = None
    rounded: bool = False
    found: Mapping[str, Evidence] = field(default_factory=dict)


@dataclass(frozen=True)
class Features:
    """A feature matrix ``R x F`` with the names of its columns."""

    names: tuple[str, ...]
    matrix: Array


@dataclass(frozen=True)
class FoundMapping:
    """Where a backdoor that was found leads.

    Parameters
    ----------
    target, source : class indices; None if the kind of mapping has none.
    assignment : of "all to all", the class that each of the K classes becomes.
    moved : the share of unseen images of each of those classes that do, 0 to 1.
    """

    kind: MappingKind
    target: int | None = None
    source: int | None = None
    assignment: tuple[int, ...] = ()
    moved: tuple[float, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What a stream found in one model.

    Parameters
    ----------
    score : the stream's own statistic; larger is more suspicious.
    clean_share : share of clean reference models with at least this score, an empirical p-value, 0 to 1. NaN without
        reference models.
    sentence : the finding in words.
    target : the suspected class, if any.
    figures : figures behind it, fit for JSON; see :func:`ti_core.streams.statistics.per_class`.
    kind : the kind of trigger, of a stream that looks for several and tells them apart.
    mapping : where the backdoor leads, of a stream that looks for other mappings than all to one.
    """

    score: float
    clean_share: float
    sentence: str
    target: int | None = None
    figures: Mapping[str, Any] | None = None
    kind: Kind | None = None
    mapping: FoundMapping | None = None

    @property
    def leads_to(self) -> int | None:
        """The one class that the backdoor leads to, if there is one."""
        return self.target if self.mapping is None else self.mapping.target


class Stream(ABC):
    """One stream of evidence. Adding one is adding a file and a line in :data:`ti_core.streams.STREAMS`."""

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[int]
    """Part of every cache key: raise it when the arrays change."""
    on_probes: ClassVar[bool] = False
    """Whether the evidence comes from Algorithm 1's probes. Such a stream has a meta-model of its own."""
    seconds: ClassVar[float] = 1.0
    """Expected seconds for a small network on two cores, where :meth:`passes` does not tell."""
    doing: ClassVar[str]
    """What is said while it runs, as "Searching patches, place by place"."""
    heading: ClassVar[str]
    """Heading of its chart of the classes."""
    unit: ClassVar[str]
    """Title of that chart's axis."""
    measures: ClassVar[str]
    """What that chart shows of each class; stands after the heading."""
    kinds: ClassVar[tuple[Kind, ...]] = ()
    """The kinds of trigger that it looks for."""
    only_beside_others: ClassVar[tuple[Kind, ...]] = ()
    """Those of them that it looks for only where there are reference models."""
    mappings: ClassVar[tuple[MappingKind, ...]] = ("all to one",)
    """Where backdoors lead that it looks for; each with every one of :attr:`kinds`."""
    weak: ClassVar[bool] = False
    """Whether it is only one voice among others, so that nothing rests on it alone."""
    alternative: ClassVar[bool] = False
    """Whether :meth:`log_odds` tells of a backdoor that the joint score of the classes does not see."""
    by_itself: ClassVar[bool] = False
    """Whether it needs no reference models for that."""
    begins_from: ClassVar[str | None] = None
    """Name of the stream whose evidence it begins from. Where that one was left out, so is this one."""
    clear: ClassVar[float] = 1.0
    """A verdict rests on this stream only if its score of the suspected class is this many times every other's. It is
    above 1 for a stream that networks with other kinds of trigger give way to as well."""
    usual: ClassVar[float | None] = None
    """What :meth:`standing_out` gives for the most outstanding class in 19 of 20 clean networks; None for a stream that
    tells nothing without reference models."""
    usual_spared: ClassVar[tuple[float, ...]] = ()
    """The same after a shortened search, at each level of :mod:`ti_core.streams.searches.sparing` from 1 on.

    What clean networks reach then is compared with a full search's (``python -m benchmarks.sparing``)."""
    at_most: ClassVar[float] = math.inf
    """What one class may count without reference models, in units of :attr:`usual`."""

    sparing: Sparing = FULL
    """What is left out of its search. Nothing is, where the evidence is compared with reference models'."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    @abstractmethod
    def evidence(self, scores: torch.nn.Module, context: Context, progress: Progress = silent) -> Evidence:
        """Arrays from a model.

        ``scores`` maps images ``N x C x H x W`` in [0, 1] to class scores ``N x K`` with mean 0 in every row
        (logits and log-probabilities alike); no parameter requires a gradient.
        """

    def passes(self, classes: int, shape: tuple[int, int, int]) -> Passes | None:
        """The images that :meth:`evidence` sends through a network with ``classes`` classes.

        The time of an inspection is predicted from it. None if it is not known; then :attr:`seconds` is expected.

        Parameters
        ----------
        shape : ``C x H x W`` of the images.
        """
        return None

    @abstractmethod
    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        """Features of R models, from their stacked evidence and that of the clean reference models.

        ``among_clean`` (``R``) marks the models that are the clean reference models themselves, in the same order.
        Each of those is compared with the other clean models only (leave-one-out).
        """

    def class_scores(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Array | None:
        """How suspicious each class of each model is, ``R x K``; None for a stream that names no class.

        The scores are deviations from the clean reference models at the same class. They are capped, so that no
        stream outweighs all others in the joint score.
        """
        return None

    def unable(self, evidence: Evidence) -> str | None:
        """Why this network's evidence says nothing of what the stream looks for, in a few words; None if it does."""
        return None

    def log_odds(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> NDArray[np.floating]:
        """Log-odds, ``R``, of a backdoor of the kind that only this stream looks for; arguments as :meth:`features`.

        A stream that judges :attr:`by_itself` uses each network's own evidence alone.

        Raises
        ------
        NotImplementedError : it is no :attr:`alternative`.
        """
        raise NotImplementedError(f"The stream {self.name} tells of no backdoor beside the joint score.")

    def standing_out(self, stack: Evidence) -> Array:
        """How far each class stands out among one network's own, ``K``, without reference models.

        Parameters
        ----------
        stack : that network's evidence, as a stack of one.

        Raises
        ------
        NotImplementedError : :attr:`usual` is None.
        """
        raise NotImplementedError(f"The stream {self.name} tells nothing without reference models.")

    def usual_after(self, evidence: Evidence) -> float:
        """What :attr:`usual` says, after a search as long as that of this evidence, or of a stack of one.

        Raises
        ------
        ValueError : :attr:`usual` is None.
        """
        if self.usual is None:
            raise ValueError(f"the stream {self.name} tells nothing without reference models")
        level = int(evidence[LEVEL].ravel()[0]) if LEVEL in evidence else 0
        return self.usual_spared[level - 1] if level and self.usual_spared else self.usual

    def most_after(self, evidence: Evidence) -> float:
        """What :attr:`at_most` says, after the search that this evidence is of."""
        return self.at_most

    def weights(self, names: tuple[str, ...]) -> tuple[float, ...] | None:
        """Weight of a split on each feature in the stream's own meta-model; None for equal weights."""
        return None

    @abstractmethod
    def read(self, evidence: Evidence, clean: Evidence, class_names: tuple[str, ...]) -> Reading:
        """What the evidence of one model says, beside the clean reference models' stacked evidence.

        For a stream that judges :attr:`by_itself`, ``clean`` may be empty.
        """


def stack(many: list[Evidence]) -> dict[str, Array]:
    """Stack the evidence of several models along a new leading axis."""
    return {key: np.stack([e[key] for e in many]) for key in many[0]}


def as_stack(evidence: Evidence) -> dict[str, Array]:
    """One model's evidence as a stack of one."""
    return {key: values[None] for key, values in evidence.items()}
