"""What turns features into the log-odds of a backdoor: CatBoost's trees, or a weighted sum for few members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from catboost import CatBoostClassifier

Floats = NDArray[np.floating]

KIND_ITERATIONS = 80
"""Of the trees that tell the kind of trigger, which are fitted to trojaned members only."""


class MetaModel(Protocol):
    """A fitted model of features ``R x F``."""

    def logit(self, matrix: Floats) -> Floats:
        """Log-odds of a backdoor, ``R``."""

    def contributions(self, row: Floats) -> Floats:
        """What each feature of one row ``F`` adds to the log-odds beside the average member, ``F`` (Shapley values)."""

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        """Keep it in ``<stem>.cbm`` or in what is returned, for the pack's record."""


class Fitter(Protocol):
    """How a meta-model is fitted.

    ``calibrated``: whether its log-odds are to be taken as they are, the members' own too, and not to be scaled by
    out-of-fold ones first.
    """

    @property
    def calibrated(self) -> bool: ...

    def fit(self, matrix: Floats, trojaned: NDArray[np.bool_], seed: int) -> MetaModel:
        """Fit to features ``R x F`` of members of which ``trojaned``, ``R``, are; the same seed, the same fit."""

    def of_kinds(self) -> Boosting:
        """What tells blends from patches by the same features."""


@dataclass(frozen=True)
class Trees:
    """A CatBoost model."""

    model: CatBoostClassifier

    def logit(self, matrix: Floats) -> Floats:
        return np.asarray(self.model.predict(matrix, prediction_type="RawFormulaVal"), dtype=np.float64)

    def contributions(self, row: Floats) -> Floats:
        """CatBoost's own (S. Lundberg et al., 2018)."""
        from catboost import Pool

        values = self.model.get_feature_importance(Pool(np.asarray(row)[None]), type="ShapValues")
        return np.asarray(values)[0, :-1]

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        self.model.save_model(str(folder / f"{stem}.cbm"))
        return {}


@dataclass(frozen=True)
class Boosting:
    """CatBoost's settings.

    ``monotone`` holds every feature to "more means more suspicious"; ``weights``, one a feature, make splits on some
    of them count more, so that a few strong figures are not drowned by hundreds of bins.
    """

    iterations: int = 200
    depth: int = 3
    learning_rate: float = 0.06
    l2_leaf_reg: float = 5.0
    rsm: float = 0.3
    monotone: bool = False
    weights: tuple[float, ...] | None = None
    calibrated: ClassVar[bool] = False

    def model(self, features: int, seed: int) -> CatBoostClassifier:
        from catboost import CatBoostClassifier

        return CatBoostClassifier(
            iterations=self.iterations,
            depth=self.depth,
            learning_rate=self.learning_rate,
            l2_leaf_reg=self.l2_leaf_reg,
            rsm=1.0 if features < 40 else self.rsm,
            monotone_constraints=[1] * features if self.monotone else None,
            feature_weights=None if self.weights is None else list(self.weights),
            auto_class_weights="Balanced",
            border_count=64,
            thread_count=1,
            random_seed=seed,
            allow_writing_files=False,
            verbose=False,
        )

    def fit(self, matrix: Floats, trojaned: NDArray[np.bool_], seed: int) -> Trees:
        return Trees(self.model(matrix.shape[1], seed).fit(matrix, trojaned.astype(int)))

    def of_kinds(self) -> Boosting:
        return Boosting(iterations=KIND_ITERATIONS, weights=self.weights)


@dataclass(frozen=True)
class Linear:
    """``intercept + sum of weight * (g(x) - centre)``, no weight below 0; ``g`` is :func:`logarithmic`."""

    weights: tuple[float, ...]
    centre: tuple[float, ...]
    intercept: float

    def logit(self, matrix: Floats) -> Floats:
        return np.asarray(self._centred(matrix) @ np.array(self.weights) + self.intercept, dtype=np.float64)

    def contributions(self, row: Floats) -> Floats:
        """Of a sum, its terms, since every feature is 0 on the mean of the members."""
        return np.asarray(self._centred(np.asarray(row)[None])[0] * np.array(self.weights), dtype=np.float64)

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        (folder / f"{stem}.cbm").unlink(missing_ok=True)
        return {"linear": asdict(self)}

    def _centred(self, matrix: Floats) -> Floats:
        return np.asarray(logarithmic(matrix) - np.array(self.centre))


def logarithmic(x: Floats) -> Floats:
    """``sign(x) log(1 + |x|)``: large deviations on a scale of their own, small ones as they are."""
    return np.asarray(np.sign(x) * np.log1p(np.abs(x)), dtype=np.float64)


@dataclass(frozen=True)
class Anchored:
    """Logistic regression that begins from what is known of the first feature and moves no farther than it must.

    Weights are at least 0. The loss is each member's, both labels of equal weight in sum, plus half of ``firm`` times
    the squared distance of the first weight and the intercept from the anchor, plus half of ``loose`` times the squares
    of the weights that follow and half of ``penalty`` times those of all others: the mode under normal priors. Every
    feature is in units of its own (deviations from clean models, log-odds), the same in all packs, and is not
    standardised.

    A few dozen members say little about where the line lies and how steep it is, and one that was drawn through them
    alone makes the probabilities of recipes left out in turn hard to compare. Trees besides take all that lies beyond
    the last of their members for alike; of a recipe or architecture that they were not fitted to, much does.

    Parameters
    ----------
    weight, threshold : the anchor: how many log-odds a unit of the first feature's logarithm is worth, and at which
        value of that feature both answers are as likely. The medians of what unpenalised fits to the four bundled
        packs' fitted members gave, to one digit (2.5 to 11, and 2.1 to 5.5).
    loose : by default for one feature, how few mistakes the model makes. Members left out part as well without it; it
        is there for networks that have learnt less than most of them.
    """

    weight: float = 5.0
    threshold: float = 3.2
    firm: float = 3.0
    loose: tuple[float, ...] = (0.3,)
    penalty: float = 30.0
    calibrated: bool = True

    def fit(self, matrix: Floats, trojaned: NDArray[np.bool_], seed: int) -> Linear:
        """The problem is convex, and ``seed`` plays no part."""
        from scipy.optimize import minimize

        x = logarithmic(np.asarray(matrix, dtype=np.float64))
        others = x.shape[1] - 1
        anchor = np.array([self.weight, *[0.0] * others, -self.weight * np.log1p(self.threshold)])
        penalties = [*self.loose, *[self.penalty] * others][:others]
        firm = np.array([self.firm, *penalties, self.firm])
        sign = np.where(trojaned, 1.0, -1.0)
        share = len(x) / 2 * np.where(trojaned, 1 / max(1, trojaned.sum()), 1 / max(1, (~trojaned).sum()))

        def loss(theta: Floats) -> tuple[float, Floats]:
            margin, away = sign * (x @ theta[:-1] + theta[-1]), theta - anchor
            slope = -sign * share / (1 + np.exp(np.clip(margin, -60, 60)))
            value = share @ np.logaddexp(0, -margin) + firm @ away**2 / 2
            return float(value), np.append(x.T @ slope, slope.sum()) + firm * away

        bounds = [(0.0, None)] * x.shape[1] + [(None, None)]
        best = minimize(loss, anchor, jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-12}).x
        weights, centre = best[:-1], x.mean(axis=0)
        return Linear(_tuple(weights), _tuple(centre), float(best[-1] + weights @ centre))

    def of_kinds(self) -> Boosting:
        return Boosting(iterations=KIND_ITERATIONS)


def _tuple(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(map(float, values))


def files_of(stem: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    """The files that :func:`load_model` reads; none where the record holds the model itself."""
    return () if "linear" in record else (f"{stem}.cbm",)


def load_model(folder: Path, stem: str, record: Mapping[str, Any]) -> MetaModel:
    """What :meth:`MetaModel.save` kept."""
    if "linear" in record:
        known = record["linear"]
        return Linear(_tuple(known["weights"]), _tuple(known["centre"]), float(known["intercept"]))
    return load_trees(folder, stem)


def load_trees(folder: Path, stem: str) -> Trees:
    from catboost import CatBoostClassifier

    model = CatBoostClassifier()
    model.load_model(str(folder / f"{stem}.cbm"))
    return Trees(model)
