"""``pack learn NAME``: what methods of second opinions learn on a pack."""

from __future__ import annotations

from pathlib import Path

from ti_core.cli.bar import Bar
from ti_core.evaluation.methods import auc_on_fitted
from ti_core.methods.learnt import learn, learners, read_learnt
from ti_core.methods.registry import chosen_methods
from ti_core.reference.pack import Pack
from ti_core.text import shown


def learn_on(pack: Pack, methods: str | None, folder: Path | None = None) -> int:
    """Learn the methods that ``a,b`` names, or all that are learnt, on a pack's fitted members. ``folder`` keeps it."""
    names = learners() if methods is None else chosen_methods(methods)
    bar = Bar(pack.name)
    try:
        kept = learn(pack, names, bar, folder)
    finally:
        bar.close()
    for name, path in zip(names, kept, strict=True):
        area = auc_on_fitted(pack, name, read_learnt(path.parent, pack, [name]))
        print(
            f"{name}: learnt on pack {shown(pack.name)}, kept as {shown(str(path), 1000)}."
            f" AUC {area:.3f} on the networks that it learnt from."
        )
    return 0
