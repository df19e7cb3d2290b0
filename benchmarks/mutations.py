"""Mutants of the core formulae, each with one changed operator, sign or comparison, and the tests that detect it."""

from __future__ import annotations

from benchmarks.method_mutations import METHOD_MUTANTS
from benchmarks.mutant import Mutant, of

MUTANTS: list[Mutant] = [
    # Eq. (1) and (2).
    *of(
        "paper/triggers.py",
        "paper/test_triggers.py",
        ("self.alpha * torch.from_numpy(self.mask)", "self.alpha + torch.from_numpy(self.mask)"),
        ("(1 - weight) * images", "(1 + weight) * images"),
        ("images + weight * pattern", "images - weight * pattern"),
        ("mask[:] = 0.0", "mask[:] = 1.0"),
        ("self.left : self.left + self.width", "self.left : self.left + self.height"),
    ),
    # Eq. (3), ascent, and eq. (4), descent.
    *of(
        "paper/actmax.py",
        "paper/test_actmax.py",
        ("-1.0 if inverse else 1.0", "1.0 if inverse else -1.0"),
        ("log_p - weight * x.flatten(1)", "log_p + weight * x.flatten(1)"),
        ("x.detach() + sign * step", "x.detach() - sign * step"),
        ("value + weight * x.flatten(1)", "value - weight * x.flatten(1)"),
        ("gradient / length", "gradient * length"),
        (".clamp(0, 1)", ".clamp(-1, 1)"),
    ),
    # Algorithm 1, lines 3 to 8.
    *of(
        "paper/probes.py",
        "paper/test_probes.py",
        ("network(images).argmax(1)", "network(images).argmin(1)"),
        ("*options, inverse=True", "*options, inverse=False"),
        ("[images, maximised, minimised]", "[images, minimised, maximised]"),
    ),
    # Sec. 3.2.
    *of(
        "paper/saliency.py",
        "paper/test_saliency.py",
        ("best = scores(x).max(dim=1)", "best = scores(x).min(dim=1)"),
        ("gradient.amax(dim=1)", "gradient.amin(dim=1)"),
        ("gradient = gradient.abs_()", "gradient = gradient"),
    ),
    # Algorithm 1, lines 12 to 16, and the edges of the histograms.
    *of(
        "paper/profile.py",
        "paper/test_profile.py",
        ("pooled >= np.quantile(pooled, p)", "pooled > np.quantile(pooled, p)"),
        ('side="right") - 1', 'side="left") - 1'),
        (".clip(0, bins - 1)", ".clip(1, bins - 1)"),
        ("for p in (1.0, *quantiles)", "for p in (0.0, *quantiles)"),
        ("np.quantile(flat, p, axis=1)", "np.quantile(flat, p, axis=0)"),
        ("np.asarray(np.geomspace(", "np.asarray(np.linspace("),
        ("p + (1 - p) * inside", "p + (1 + p) * inside"),
        ("below] * (1 - share)", "below] * (1 + share)"),
    ),
    # The search of the deep streams: the margin of a class over the best other one, raised.
    *of(
        "streams/searches/search.py",
        "streams/searches/test_search.py",
        ('squeeze(2) - z.scatter(2, at, float("-inf"))', 'squeeze(2) + z.scatter(2, at, float("-inf"))'),
        ('float("-inf")).amax(2)', 'float("inf")).amin(2)'),
        ("(1 - w) * images", "(1 + w) * images"),
        ("(grid + length * speed.sign())", "(grid - length * speed.sign())"),
    ),
    # Deviation of a class from clean networks, with the sign of each stream.
    *of(
        "streams/statistics.py",
        "streams/test_statistics.py streams/test_windowed.py",
        ("(tables - middle.reshape(shape))", "(tables + middle.reshape(shape))"),
        ("high - low > 1e-9, high - low", "high - low > 1e-9, high + low"),
        ("out = (own - mean)", "out = (mean - own)"),
        ("(clean - rest) / _unit", "(rest - clean) / _unit"),
        ("variance.mean(axis=", "variance.max(axis="),
        ("np.maximum(variance, least * mean)", "np.minimum(variance, least * mean)"),
        ("np.clip(z, -CAP, CAP)", "np.clip(z, CAP, -CAP)"),
        ("ordered[:, -1] - ordered[:, -2]", "ordered[:, -1] + ordered[:, -2]"),
    ),
    *of(
        "streams/inversion.py",
        "streams/test_statistics.py",
        ("np.median(logs, axis=1, keepdims=True) - logs", "logs - np.median(logs, axis=1, keepdims=True)"),
    ),
    *of(
        "streams/searches/window_scores.py",
        "streams/test_windowed.py",
        ("[z - np.median", "[z + np.median"),
        ("somewhere**2 + anywhere", "somewhere**2"),
        ("somewhere = about_one_place(", "somewhere = 0 * about_one_place("),
        ("(1.02 - shares)", "(1.02 + shares)"),
        ("rows = side if side * side == found.shape[2] else 1", "rows = 1"),
        ("beside[:, :, :-1] + beside[:, :, 1:]", "np.maximum(beside[:, :, :-1], beside[:, :, 1:])"),
    ),
    *of(
        "streams/searches/flat_patches.py",
        "streams/searches/test_flat_patches.py",
        ("stamp(few, mask[None], tried)", "stamp(few, 1 - mask[None], tried)"),
        ("margins.argmax(0", "margins.argmin(0"),
    ),
    *of(
        "streams/windowed.py",
        "streams/searches/test_flat_patches.py",
        ("np.hypot(np.maximum(unsuspected(patterns, stack), 0.0), flat)", "unsuspected(patterns, stack)"),
        ("places(*pair)", "places(suspect, clean)"),
    ),
    *of(
        "streams/searches/search.py",
        "streams/searches/test_flat_patches.py",
        ("scatter(1, labels[:, None], 0.0)", "scatter(1, labels[:, None], 1.0)"),
        ("torch.where(z == first, second, first)", "torch.where(z == first, first, second)"),
    ),
    *of(
        "streams/searches/waves.py",
        "streams/searches/test_waves.py",
        ("turns = u * rows + v * columns", "turns = u * rows - v * columns * (u == 0)"),
        (".argmax(0)", ".argmin(0)"),
        ("own - np.quantile(", "own + np.quantile("),
        ("np.ones(len(clean", "np.zeros(len(clean"),
    ),
    *of(
        "streams/universal.py",
        "streams/searches/test_waves.py",
        ("np.hypot(np.maximum(score, 0.0), further)", "np.maximum(score, 0.0) + further"),
        ("np.where(further > 0, both, score)", "both"),
    ),
    # The suspected target class.
    *of(
        "detector/joint.py",
        "detector/test_joint.py",
        ("np.maximum(own, 0.0)", "np.minimum(own, 0.0)"),
        ("total.argmax(axis=1)", "total.argmin(axis=1)"),
        ("usual / error - 1, 1 - error / usual", "1 - usual / error, error / usual - 1"),
        ("combined(list(scores.values())).argmax", "combined(list(scores.values())).argmin"),
    ),
    *of(
        "reference/reference.py",
        "reference/test_reference.py",
        ("others = clean & ~own", "others = clean"),
        ("others.sum() >= OTHERS", "others.sum() > 0"),
    ),
    *of(
        "detector/own_classes.py",
        "detector/test_own_classes.py",
        ("int(self.together.argmax())", "int(self.together.argmin())"),
        ("self.score >= BACKDOORED", "self.score > BACKDOORED"),
        ("self.score < CLEAN", "self.score <= CLEAN"),
        ("expit(SLOPE *", "expit(-SLOPE *"),
        ("(largest[0] + lead[0]) / 2", "largest[0]"),
        ("np.minimum(own, stream_class(name)().most_after(evidence[name]))", "own"),
        ("np.minimum(counted[before], own)", "np.maximum(counted[before], own)"),
        ("stream.standing_out(one) / usual", "stream.standing_out(one) * usual"),
    ),
    *of(
        "detector/metamodels.py",
        "detector/test_detector.py",
        ("np.sign(x) * np.log1p(np.abs(x))", "np.log1p(np.abs(x))"),
        ("slope.sum()) + firm * away", "slope.sum()) - firm * away"),
        (
            "away = sign * (x @ theta[:-1] + theta[-1]), theta - anchor",
            "away = sign * (x @ theta[:-1] + theta[-1]), theta + anchor",
        ),
        ("[(0.0, None)] * x.shape[1]", "[(None, None)] * x.shape[1]"),
        ("@ np.array(self.weights) + self.intercept", "@ np.array(self.weights) - self.intercept"),
        ("missing_ok=True)", "missing_ok=True) if False else None"),
    ),
    # Pairs: what a short search only estimated, and what all sources share, is never suspected.
    *of(
        "streams/pairs.py",
        "streams/test_pairs.py",
        ("np.where(searched, beyond, np.minimum(beyond, 0.0))", "np.where(searched, beyond, beyond)"),
        ("(z - _of_other_sources(z))", "(z + _of_other_sources(z))"),
        ("full.reshape(-1, 4).mean(1)", "full.reshape(4, -1).mean(0)"),
    ),
    # Platt scaling, the thresholds and the rules of the verdict.
    *of(
        "detector/thresholds.py",
        "detector/test_detector.py",
        ("expit(self.slope *", "expit(-self.slope *"),
        ("dtype=np.float64) + self.intercept", "dtype=np.float64) - self.intercept"),
        ("if probability >= self.high", "if probability > self.high"),
        ("if probability < self.low", "if probability <= self.low"),
        ("np.nextafter(alarms, 1.0)", "np.nextafter(alarms, 0.0)"),
        ("(clean, 1 - FALSE_ALARMS)", "(clean, 1 - 2 * FALSE_ALARMS)"),
        ("FEW / (len(bad) + 1)", "FEW / (len(bad) + 9)"),
        ("low, high = sorted((float(", "high, low = sorted((float("),
        ("np.asarray(logit(", "np.asarray(-logit("),
        ("mean() >= ENOUGH]", "mean() < ENOUGH]"),
        ('["clean", *seen]', '["clean", *kinds]'),
    ),
    *of(
        "detector/detector.py",
        "detector/test_detector.py",
        ('verdict == "clean" and distance > OUTSIDE', 'verdict == "clean" and distance < OUTSIDE'),
        ('"blend" if blend >= 0.5 else "patch"', '"patch" if blend >= 0.5 else "blend"'),
        ('trojaned = labels != "clean"', 'trojaned = labels == "clean"'),
        ("self.scale).min() / self.reach", "self.scale).max() / self.reach"),
    ),
    # Areas under the curve, ties counting half.
    *of(
        "evaluation/rates.py",
        "evaluation/test_table.py::test_auc_agrees_with_scikit_learn_ties_included"
        " evaluation/test_table.py::test_the_interval_holds_the_auc_and_narrows_with_the_models",
        ("np.repeat([False, True]", "np.repeat([True, False]"),
        ("- Z95 * math.sqrt(max", "+ Z95 * math.sqrt(max"),
        ("value + INSIDE * (bound - value)", "bound"),
    ),
    *METHOD_MUTANTS,
]
