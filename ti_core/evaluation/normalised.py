"""The paper's stream with normalised saliency maps, for comparison. Sec. 3.2 of the paper advises against them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from ti_core.paper.profile import FLOOR, image_levels, pooled_levels
from ti_core.paper.saliency import saliency_maps
from ti_core.streams.base import Context, Evidence
from ti_core.streams.saliency import Saliency
from ti_core.system.progress import ShareProgress, silent_share


class NormalisedSaliency(Saliency):
    """The saliency stream with each map divided by its largest value. All maps lie in [0, 1]."""

    # Its own version separates its evidence from the saliency stream's in the cache and in the pack's baseline.
    version: ClassVar[int] = 1000 + Saliency.version

    def evidence(
        self, scores: torch.nn.Module, context: Context, progress: ShareProgress = silent_share
    ) -> Evidence:
        """The evidence of the stream, with the quantile functions of the normalised maps."""
        assert context.probes is not None
        evidence = dict(super().evidence(scores, context, progress))
        pooled, per_image = [], []
        for group in context.probes.images:
            maps = saliency_maps(scores, group)
            shares = (maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(FLOOR)).cpu().numpy()
            pooled.append(pooled_levels(shares))
            per_image.append(image_levels(shares))
        return evidence | {"pooled": np.stack(pooled), "per_image": np.stack(per_image)}
