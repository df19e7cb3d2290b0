"""A method of another publication: a network in, an opinion out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from ti_core.methods.opinion import Opinion
from ti_core.system.progress import ShareProgress, silent_share

if TYPE_CHECKING:
    import torch

    from ti_core.classifier.scores import Scores
    from ti_core.reference.pack import Member, Pack

FEWEST_CLASSES = 4
"""Classes below which an outlier among the classes means nothing."""
Learnt = Mapping[str, NDArray[Any]]
"""Named arrays that a method has learnt on a pack."""


class Need(Enum):
    """What a method needs beside the network's class scores."""

    IMAGES = "clean images"
    CLASSES = "four or more classes"
    ZOO = "a zoo of clean and backdoored networks"
    LEARNING = "to have been learnt on the pack"
    LAST_LINEAR = "a linear last layer"
    LAYERS = "layers that can be watched one by one"
    ACTIVATIONS = "activation functions that can be watched one by one"


@dataclass(frozen=True)
class Source:
    """A publication.

    Parameters
    ----------
    authors, year, venue, link : where the method was published.
    figure : the figure that it reports of itself, in a few words.
    """

    authors: str
    year: int
    venue: str
    link: str
    figure: str


@dataclass(frozen=True)
class Subject:
    """The network that is judged, and what there is beside it.

    Parameters
    ----------
    scores : maps images ``N x C x H x W`` in [0, 1] to class scores ``N x K`` with mean 0 in every row.
    images, labels : clean images and their classes; without labels the network's own answers.
    class_names : of the K classes.
    pack : the reference pack; None with the user's own images.
    learnt : what methods have learnt on that pack, by their names.
    seed : of everything that is drawn.
    """

    scores: Scores
    images: torch.Tensor
    labels: torch.Tensor
    class_names: tuple[str, ...]
    pack: Pack | None = None
    learnt: Mapping[str, Learnt] = field(default_factory=dict)
    seed: int = 0

    @classmethod
    def of_member(cls, pack: Pack, member: Member, learnt: Mapping[str, Learnt] | None = None) -> Subject:
        """A member of a pack, beside the pack's images."""
        seed = member.seed % 2**31
        names = pack.class_names
        return cls(pack.scores(member), pack.images, pack.labels, names, pack, learnt or {}, seed)

    @property
    def classes(self) -> int:
        return len(self.class_names)


class Method(ABC):
    """One published method. Adding one is adding a file and a line in :data:`ti_core.methods.registry.METHODS`."""

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[Source]
    version: ClassVar[int] = 1
    """Raise it when the statistic changes."""
    needs: ClassVar[tuple[Need, ...]] = ()
    sees: ClassVar[str]
    """What it claims to see; stands after "It looks for"."""
    measures: ClassVar[str]
    """What its statistic is. A larger one is more suspicious."""
    threshold: ClassVar[float | None]
    """Its published threshold, in units of its statistic."""
    differs: ClassVar[str] = ""
    """Where this implementation differs from the publication, in sentences."""
    protocol: Any
    """Its published settings, a frozen dataclass."""

    @abstractmethod
    def opinion(self, subject: Subject, progress: ShareProgress = silent_share) -> Opinion:
        """The opinion on one network. The network is left as it was found."""

    def settings(self) -> dict[str, Any]:
        """The settings that it runs with."""
        return asdict(self.protocol)

    def said(
        self,
        statistic: float,
        sentence: str,
        target: int | None = None,
        per_class: tuple[float, ...] = (),
    ) -> Opinion:
        """An opinion with this statistic, decided by the published threshold. NaN counts as the least suspicious."""
        value = float(statistic) if statistic == statistic else 0.0
        decided = None if self.threshold is None else value > self.threshold
        return Opinion(self.name, value, self.threshold, decided, sentence, target, per_class)


class LearntMethod(Method):
    """A method that is learnt on a pack's fitted members before it can judge."""

    @abstractmethod
    def learn(self, pack: Pack, progress: ShareProgress = silent_share) -> dict[str, NDArray[Any]]:
        """What it learns on the fitted members of a pack, as named arrays."""
