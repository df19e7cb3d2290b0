"""Activation Clustering: B. Chen et al., "Detecting backdoor attacks on deep neural networks", 2018.

The activations of each class's images are reduced to independent components and divided into two clusters. Poisoned
images end as a small cluster that lies apart. A classifier that never saw this cluster then says which class it is of.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COMPONENTS = 10
"""Independent components, as published."""
LARGEST_SHARE = 0.35
"""Share of a class's images above which a cluster is too large to be poison: the default of ART's implementation."""
LEAST_SILHOUETTE = 0.1
"""Silhouette below which the two clusters are one: the published figure, and the default of ART's implementation."""
FEWEST = 5
"""Number of images below which a cluster is a few odd images, and no sign of poison."""
LEAST_RATIO = 1.0
"""Ratio of the images that get their own label to those that get the commonest other class: the published threshold."""
FAINTEST = 0.1
"""Spread, as a share of the widest component's, below which a component is left out: it would be scaled up to it."""
MOST_PRINCIPAL = 128
SLACK = 5.0
"""Cost of a mistake of the support vector machine (scikit-learn's C)."""
MOST_LEARNT = 5000
"""Number of images that the classifier of the reclassification is fitted to."""

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Clusters:
    """Two clusters of a class's images.

    Parameters
    ----------
    smaller : which images are in the smaller cluster, ``n``.
    silhouette : mean silhouette of both clusters, -1 to 1.
    """

    smaller: Mask
    silhouette: float

    @property
    def share(self) -> float:
        """Share of the images that are in the smaller cluster."""
        return float(self.smaller.mean())

    @property
    def apart(self) -> bool:
        """Whether the smaller cluster is small enough, and lies far enough apart, to be poison."""
        enough = int(self.smaller.sum()) >= FEWEST
        return enough and self.share <= LARGEST_SHARE and self.silhouette >= LEAST_SILHOUETTE


@dataclass(frozen=True)
class Reclassified:
    """What a classifier that never saw a cluster says of it.

    Parameters
    ----------
    as_label, as_other : number of its images that get their own label, and the commonest other class.
    other : this class.
    """

    as_label: int
    as_other: int
    other: int

    @property
    def poison(self) -> bool:
        """Whether most of the cluster is of another class."""
        return self.as_label < LEAST_RATIO * self.as_other


def two_clusters(activations: Array, seed: int = 0) -> Clusters | None:
    """Divide activations ``n x D`` of one class's images into two clusters. None where all are alike."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    reduced = _components(activations, seed)
    if reduced is None:
        return None
    with warnings.catch_warnings():
        # Of equal rows there are fewer clusters than two.
        warnings.simplefilter("ignore")
        labels = KMeans(2, n_init=10, random_state=seed).fit_predict(reduced)
    if len(set(labels.tolist())) < 2:
        return None
    ones = labels == 1
    smaller = ones if ones.sum() <= len(ones) / 2 else ~ones
    return Clusters(np.asarray(smaller), float(silhouette_score(reduced, labels)))


def _components(activations: Array, seed: int) -> Array | None:
    """Independent components ``n x c``, or principal ones where those cannot be found. None where nothing varies."""
    from sklearn.decomposition import FastICA

    principal = principal_components(activations, 5 * COMPONENTS, seed)
    if principal is None:
        return None
    spread = principal.std(axis=0)
    principal = principal[:, spread >= FAINTEST * spread[0]]
    count = min(COMPONENTS, principal.shape[1])
    with warnings.catch_warnings():
        # It may stop before it has converged. The components serve nevertheless.
        warnings.simplefilter("ignore")
        try:
            found = FastICA(count, random_state=seed, max_iter=1000, tol=0.005).fit_transform(principal)
        except (ValueError, np.linalg.LinAlgError):
            found = principal[:, :count]
    return np.asarray(found if np.isfinite(found).all() else principal[:, :count], dtype=np.float32)


def principal_components(activations: Array, most: int, seed: int = 0) -> Array | None:
    """At most ``most`` principal components of ``n x D``, those that vary. None where nothing does."""
    from sklearn.decomposition import PCA

    spread = activations.std(axis=0)
    varying = activations[:, spread > 1e-6 * max(1e-12, float(spread.max()))]
    if float(spread.max()) <= 1e-12 or len(activations) < 3:
        return None
    count = min(most, len(varying) - 1, varying.shape[1])
    model = PCA(count, random_state=seed)
    found = model.fit_transform(varying - varying.mean(axis=0))
    kept = model.explained_variance_ > 1e-9 * model.explained_variance_[0]
    return np.asarray(found[:, kept], dtype=np.float32)


def reclassified(
    pixels: Array, labels: NDArray[np.int64], suspicious: Mask, seed: int = 0
) -> Reclassified | None:
    """The exclusionary reclassification of a cluster of images that all have one label.

    The publication trains the network anew without the cluster. Here a support vector machine is fitted to the other
    images. It looks at pixels, since the hidden layer of a poisoned network makes poison look like its label.

    Parameters
    ----------
    pixels : principal components of all images, ``N x c``.
    labels, suspicious : labels of all images, and which are in the cluster, ``N``.

    Returns
    -------
    None where the other images are all of one class.
    """
    from sklearn.svm import SVC

    label = int(labels[suspicious][0])
    rest = np.flatnonzero(~suspicious)
    if len(set(labels[rest].tolist())) < 2:
        return None
    rest = np.random.default_rng(seed).permutation(rest)[:MOST_LEARNT]
    given = SVC(C=SLACK).fit(pixels[rest], labels[rest]).predict(pixels[suspicious])
    classes, counts = np.unique(given[given != label], return_counts=True)
    as_label = int((given == label).sum())
    if not len(classes):
        return Reclassified(as_label, 0, label)
    best = int(counts.argmax())
    return Reclassified(as_label, int(counts[best]), int(classes[best]))
