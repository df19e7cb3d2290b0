"""``pack learn NAME``: what methods of second opinions learn on a pack."""

from __future__ import annotations

from ti_core.cli.bar import Bar
from ti_core.methods.learnt import learn, learners
from ti_core.methods.registry import chosen_methods
from ti_core.reference.pack import Pack
from ti_core.text import shown


def learn_on(pack: Pack, methods: str | None) -> int:
    """Learn the methods that ``a,b`` names, or all that are learnt, on the pack's fitted members."""
    names = learners() if methods is None else chosen_methods(methods)
    bar = Bar(pack.name)
    try:
        kept = learn(pack, names, bar)
    finally:
        bar.close()
    for name, path in zip(names, kept, strict=True):
        print(f"{name}: learnt on pack {shown(pack.name)}, kept as {shown(str(path), 1000)}.")
    return 0
