"""How well a pack detects: Table 1, distribution shift, ablations, ROC and calibration curves."""

from __future__ import annotations

from ti_core.evaluation.rates import auc, auc_interval
from ti_core.evaluation.scoring import Scored, score_held_out
from ti_core.evaluation.table import Row, evaluate, table
from ti_core.reference.families import share_interval

__all__ = ["Row", "Scored", "auc", "auc_interval", "evaluate", "score_held_out", "share_interval", "table"]
