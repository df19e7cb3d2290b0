"""How uniform a network is: most repeat what they do, stage after stage."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

from ti_core.reconstruction.draft import Draft
from ti_core.reconstruction.sketch import Block, Items, Layer
from ti_core.reconstruction.usual import ACT, POOL

UNEVEN, UNIFORM = 2.5, 0.8
"""Cost of a layer that is unlike the others; what each stride costs less without poolings."""
MIXED, UNLIKE = 0.4, 1.5
"""Cost of a padding that is unlike the others, and of a stage of several convolutions whose paddings are."""


def consistent(draft: Draft) -> Draft:
    """The draft with a cost that says how uniform it is.

    A network that makes its images smaller by strides alone does so everywhere; few mix them with poolings. The blocks
    of a network end alike.
    """
    layers = [item for item in draft.items if isinstance(item, Layer)]
    convs = [layer for layer in layers if layer.word == "conv"]
    strides = sum(bool(layer.option("stride")) for layer in convs)
    later = sum(bool(layer.option("stride")) for layer in convs[1:])
    pools = sum(layer.word in (POOL.word, "maxpool", "avgpool") for layer in layers)
    ends = [item.main[-1] == ACT for item in draft.items if isinstance(item, Block)]
    followed = [after == ACT for item, after in pairwise(draft.items) if isinstance(item, Block)]
    odd = sum(min(sum(found), len(found) - sum(found)) for found in (ends, followed))
    words = [layer.word for layer in layers if layer.word not in (POOL.word, "maxpool", "avgpool")]
    behind = [after == ACT.word for word, after in pairwise(words) if word == "batchnorm"]
    odd += 0 if ends else min(sum(behind), len(behind) - sum(behind))
    cost = draft.cost + UNEVEN * odd + mixed(draft.items)
    if pools and not ends:
        cost += UNEVEN * min(later, pools)
    elif strides > 1 and not pools:
        cost -= UNIFORM * strides
    return replace(draft, cost=cost)


def mixed(items: Items) -> float:
    """What it costs that some convolutions outside of blocks are padded and some are not.

    Stages that pad alike, such as a padded convolution and one that is not before each pooling, are a usual pattern.
    """
    stages: list[tuple[bool, ...]] = [()]
    for item in items:
        if isinstance(item, Layer) and item.word == "conv" and item.sizes[1] != 1:
            stages[-1] = (*stages[-1], bool(item.option("padding")))
        elif isinstance(item, Layer) and item.word in (POOL.word, "maxpool", "avgpool"):
            stages.append(())
    found = Counter(filter(None, stages))
    if len(found) == 1 and found.total() > 1:
        return 0.0
    padded = [one for stage in stages for one in stage]
    long = Counter({stage: count for stage, count in found.items() if len(stage) > 1})
    unlike = long.total() - max(long.values(), default=0)
    return MIXED * min(sum(padded), len(padded) - sum(padded)) + UNLIKE * unlike
