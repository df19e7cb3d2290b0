"""Meta-models from features to the log-odds of a backdoor: CatBoost, and an anchored logistic regression."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ti_core.errors import PackError
from ti_core.system.plain_files import read_plain

if TYPE_CHECKING:
    from catboost import CatBoostClassifier

Floats = NDArray[np.floating]

MAGIC = b"CBM1"
"""The first bytes of a CatBoost model."""
LARGEST_TREES = 256 << 20
"""Limit for the bytes of a CatBoost model. Those of the bundled packs have less than a megabyte."""
KIND_ITERATIONS = 80
"""Iterations of the trees that tell the kind of trigger. They are fitted to trojaned members only."""


class MetaModel(Protocol):
    """A fitted model of features ``R x F``."""

    def logit(self, matrix: Floats) -> Floats:
        """Log-odds of a backdoor, ``R``."""

    def contributions(self, row: Floats) -> Floats:
        """Shapley values: what each feature of one row ``F`` adds to the log-odds of the average member, ``F``."""

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        """Keep it in ``<stem>.cbm`` or in what is returned, for the pack's record."""


class Fitter(Protocol):
    """How a meta-model is fitted.

    ``calibrated`` says whether its log-odds are used as they are. Otherwise out-of-fold log-odds scale them first.
    """

    @property
    def calibrated(self) -> bool: ...

    def fit(self, matrix: Floats, trojaned: NDArray[np.bool_], seed: int) -> MetaModel:
        """Fit to features ``R x F`` of members of which ``trojaned``, ``R``, are; the same seed, the same fit."""

    def of_kinds(self) -> Boosting:
        """The fitter of the model that tells blends from patches, on the same features."""


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

    ``monotone`` makes the log-odds rise with every feature. ``weights``, one a feature, let splits on some features
    count more, so that hundreds of bins do not outweigh a few strong figures.
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
        """The terms of the sum, since every centred feature has a mean of 0 over the members."""
        return np.asarray(self._centred(np.asarray(row)[None])[0] * np.array(self.weights), dtype=np.float64)

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        (folder / f"{stem}.cbm").unlink(missing_ok=True)
        return {"linear": asdict(self)}

    def _centred(self, matrix: Floats) -> Floats:
        return np.asarray(logarithmic(matrix) - np.array(self.centre))


def logarithmic(x: Floats) -> Floats:
    """``sign(x) log(1 + |x|)``: logarithmic for large deviations, linear for small ones."""
    return np.asarray(np.sign(x) * np.log1p(np.abs(x)), dtype=np.float64)


@dataclass(frozen=True)
class Anchored:
    """Logistic regression with normal priors around an anchor.

    The loss is the log-loss, with both labels of equal total weight, plus half of: ``firm`` times the squared distance
    of the first weight and the intercept from the anchor, ``loose`` times the squares of the next weights, and
    ``penalty`` times the squares of all others. The solution is the mode under normal priors. Weights are at least 0.
    Features are not standardised: their units (deviations from clean models, log-odds) are the same in all packs.

    A few dozen members determine position and slope of the line poorly. Without an anchor, probabilities of recipes
    left out in turn are hard to compare. Trees cannot extrapolate, and networks of a recipe or architecture that was
    left out often lie beyond all fitted members.

    Parameters
    ----------
    weight, threshold : the anchor. The weight is the log-odds for a unit of the first feature's logarithm; at the
        threshold of that feature both labels are equally likely. Both are medians of unpenalised fits to the four
        bundled packs' fitted members, to one digit (2.5 to 11, and 2.1 to 5.5).
    loose : by default for one feature, how few mistakes the model makes. It does not change the AUC of members left
        out; it serves networks that are less trained than most members.
    """

    weight: float = 5.0
    threshold: float = 3.2
    firm: float = 3.0
    loose: tuple[float, ...] = (0.3,)
    penalty: float = 30.0
    calibrated: bool = True

    def fit(self, matrix: Floats, trojaned: NDArray[np.bool_], seed: int) -> Linear:
        """The problem is convex, so ``seed`` plays no part."""
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
    """The files that :func:`read_meta_model` reads. None if the record holds the model itself."""
    return () if "linear" in record else (f"{stem}.cbm",)


def read_meta_model(folder: Path, stem: str, record: Mapping[str, Any]) -> MetaModel:
    """The meta-model of ``record["features"]`` that :meth:`MetaModel.save` wrote.

    Raises
    ------
    PackError : as :func:`load_trees`.
    """
    if "linear" in record:
        known = record["linear"]
        return Linear(_tuple(known["weights"]), _tuple(known["centre"]), float(known["intercept"]))
    return load_trees(folder, stem, len(record["features"]))


def load_trees(folder: Path, stem: str, features: int) -> Trees:
    """The CatBoost model that :meth:`Trees.save` wrote.

    CatBoost trusts its files: a damaged one can crash the process. So only the worker opens one that a stranger wrote.

    Raises
    ------
    PackError : the file is none of CatBoost's, or its model is not one of two classes and so many features.
    """
    from catboost import CatBoostClassifier, CatBoostError

    path = folder / f"{stem}.cbm"
    content = read_plain(path, LARGEST_TREES, PackError)
    if not content.startswith(MAGIC) or len(content) < len(MAGIC) + 4:
        raise PackError(f"File {path.name} is no CatBoost model.")
    model = CatBoostClassifier()
    try:
        model.load_model(blob=content)
        fits = len(model.classes_) == 2 and len(model.feature_names_) == features
    except (CatBoostError, ValueError, TypeError, AttributeError) as error:
        raise PackError(f"File {path.name} is a damaged CatBoost model.") from error
    if not fits:
        raise PackError(
            f"File {path.name} is a CatBoost model of other features than the pack's record names."
        )
    return Trees(model)
