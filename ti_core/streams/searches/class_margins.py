"""What streams share whose evidence holds one margin a class, ``margins`` (``K``)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ti_core.streams.base import Array, Evidence, Features, Stream, as_stack
from ti_core.streams.statistics import LEAST, mean_deviations, outlier_features, scale_free


@dataclass(frozen=True)
class Beside:
    """One model's class scores ``K`` beside those of the clean models, ``M x K``, each compared with the others."""

    own: Array
    others: Array

    @property
    def target(self) -> int:
        """The most suspicious class."""
        return int(self.own.argmax())

    @property
    def score(self) -> float:
        return float(self.own.max())

    @property
    def clean_share(self) -> float:
        """The share of clean models with a class that goes as far."""
        return float((self.others.max(1) >= self.score).mean())


class ClassMargins(Stream):
    """A stream that gives each class one margin."""

    def features(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Features:
        beyond = self.class_scores(stack, clean, among_clean)
        return outlier_features(self.name.replace("_", " "), scale_free(stack["margins"]), beyond)

    def class_scores(
        self, stack: Evidence, clean: Evidence, among_clean: NDArray[np.bool_] | None = None
    ) -> Array:
        return mean_deviations([(stack["margins"], clean["margins"])], among_clean, LEAST)

    def beside(self, evidence: Evidence, clean: Evidence) -> Beside:
        """One model's class scores beside the clean models'."""
        everyone = np.ones(len(clean["margins"]), dtype=bool)
        return Beside(
            self.class_scores(as_stack(evidence), clean)[0], self.class_scores(clean, clean, everyone)
        )
