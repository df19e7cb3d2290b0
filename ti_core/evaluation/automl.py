"""AutoML by FLAML instead of CatBoost (sec. 5.1 of the paper). FLAML is an optional extra."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from ti_core.streams.base import Array

LEARNERS = ("lgbm", "xgboost", "catboost", "rf", "extra_tree", "lrl1")
INNER_FOLDS = 4
NEEDED = ("flaml", "lightgbm", "xgboost", "pandas")


def automl_missing() -> str:
    """A sentence that says why AutoML is not available; empty if it is."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if not missing:
        return ""
    return (
        f"AutoML was left out, as {' and '.join(missing)} cannot be found: install the extra with"
        " pip install 'trojaninterpret[automl]'."
    )


def automl_scores(
    matrix: Array,
    labels: NDArray[np.str_],
    groups: NDArray[np.str_],
    other: Array,
    seed: int,
    budget: float,
) -> NDArray[np.floating]:
    """Scores ``T`` of ``other`` (``T x F``) by the learner that FLAML finds for ``matrix`` (``R x F``).

    A larger score is more suspicious. FLAML chooses the learner and its settings by grouped cross-validation among the
    R members within ``budget`` seconds. The reach of the search depends on the machine, so two runs may differ.

    References
    ----------
    C. Wang, Q. Wu, M. Weimer, E. Zhu, "FLAML: a fast and lightweight AutoML library", MLSys 2021.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from flaml import AutoML
        from scipy.special import logit

        trojaned = (labels != "clean").astype(int)
        names, numbers = np.unique(groups, return_inverse=True)
        search = AutoML()
        search.fit(
            X_train=np.asarray(matrix, dtype=np.float64),
            y_train=trojaned,
            task="classification",
            metric="roc_auc",
            estimator_list=list(LEARNERS),
            eval_method="cv",
            n_splits=max(2, min(INNER_FOLDS, len(names))),
            split_type="group",
            groups=numbers,
            sample_weight=np.where(trojaned == 1, 0.5 / trojaned.mean(), 0.5 / (1 - trojaned.mean())),
            time_budget=budget,
            n_jobs=1,
            seed=seed,
            verbose=0,
        )
        p = np.asarray(search.predict_proba(np.asarray(other, dtype=np.float64)), dtype=np.float64)[:, 1]
    return np.asarray(logit(np.clip(p, 1e-9, 1 - 1e-9)))
