"""Neural Cleanse with its own decision: the smallest mask of each class, and whether one is an outlier.

The search is that of the stream :mod:`ti_core.streams.inversion`. The decision is the publication's: the anomaly index
of the masks' L1 norms, within the one network.
"""

from __future__ import annotations

import numpy as np

from ti_core.methods.base import Method, Need, Source, Subject
from ti_core.methods.opinion import Opinion
from ti_core.methods.outliers import anomaly_indices
from ti_core.streams.searches.masks import InversionSearch, invert
from ti_core.system.progress import ShareProgress, silent_share


class NeuralCleanse(Method):
    """Neural Cleanse."""

    name = "neural_cleanse"
    title = "Neural Cleanse"
    source = Source(
        "B. Wang, Y. Yao, S. Shan, H. Li, B. Viswanath, H. Zheng, B. Zhao",
        2019,
        "IEEE Symposium on Security and Privacy",
        "https://people.cs.uchicago.edu/~ravenben/publications/pdf/backdoor-sp19.pdf",
        "an anomaly index above 3 for its six backdoored networks, and below 2 for its clean ones",
    )
    needs = (Need.IMAGES, Need.CLASSES)
    sees = "a small patch that leads all images to one class"
    measures = "anomaly index of the smallest mask"
    threshold = 2.0
    differs = (
        "All classes are searched in one batch with 40 steps of 12 images; the publication searches class by class"
        " through 1,000 images a step."
    )

    def __init__(self, protocol: InversionSearch | None = None) -> None:
        self.protocol = protocol or InversionSearch()

    def opinion(self, subject: Subject, progress: ShareProgress = silent_share) -> Opinion:
        images = subject.images.float()
        found = invert(
            subject.scores,
            images,
            subject.labels,
            subject.classes,
            protocol=self.protocol,
            progress=progress,
            on_grid=False,
        )
        norms = found.norms.double().cpu().numpy()
        indices = anomaly_indices(-norms)
        target = int(norms.argmin())
        sentence = (
            f"The smallest mask covers {norms[target]:.0f} pixels and leads to class {subject.class_names[target]};"
            f" the median of the classes is {np.median(norms):.0f}. Its anomaly index is {indices[target]:.2f}."
        )
        return self.said(float(indices[target]), sentence, target, tuple(float(n) for n in norms))
