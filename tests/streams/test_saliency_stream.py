from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ti_core.paper.probes import Probes, make_probes
from ti_core.paper.profile import boundaries
from ti_core.paper.saliency import saliency_maps
from ti_core.settings import Settings
from ti_core.streams import Context, stack
from ti_core.streams.saliency import Saliency

SETTINGS = Settings(images=6, actmax_iterations=2, patch_size=4, bins=8, quantiles=(0.5, 0.9))
IMAGES = torch.rand(6, 1, 12, 12, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6) % 3


def network(loudness: float = 1.0, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(144, 8), nn.Tanh(), nn.Linear(8, 3)).requires_grad_(False)
    layers[3].weight *= loudness
    return layers


def context() -> Context:
    return Context(IMAGES, LABELS, 3, SETTINGS, make_probes(network(), IMAGES, SETTINGS))


def test_the_evidence_is_the_quantile_functions_of_the_maps() -> None:
    shown = context()
    evidence = Saliency(SETTINGS).evidence(network(seed=1), shown)
    assert shown.probes is not None
    maps = saliency_maps(network(seed=1), shown.probes.images[1]).numpy()
    assert evidence["pooled"].shape[0] == evidence["per_image"].shape[0] == 3
    np.testing.assert_allclose(evidence["per_image"][1, :, -1], maps.reshape(18, -1).max(1), rtol=1e-6)
    np.testing.assert_allclose(evidence["pooled"][1, 0], maps.min(), rtol=1e-5)


def test_every_histogram_row_sums_to_one_and_is_named() -> None:
    stream = Saliency(SETTINGS)
    evidence = [stream.evidence(network(seed=i), context()) for i in range(3)]
    clean = stack(evidence)
    rows = stream.histograms(evidence[0], clean)
    assert rows.shape == (3, len(stream.row_names()), 8) and len(stream.row_names()) == 2 + 3
    np.testing.assert_allclose(rows.sum(-1), 1, atol=1e-5)
    features = stream.features(clean, clean)
    assert features.matrix.shape == (3, len(features.names)) and np.isfinite(features.matrix).all()


@pytest.mark.parametrize(("form", "rows"), [("pooled", 2), ("per_image", 3), ("both", 5)])
def test_the_histogram_form_acts(form: str, rows: int) -> None:
    stream = Saliency(SETTINGS.with_(histogram_form=form))
    evidence = stream.evidence(network(), context())
    assert stream.histograms(evidence, stack([evidence])).shape == (3, rows, 8)


def test_a_louder_networks_raw_histograms_move_up() -> None:
    stream = Saliency(SETTINGS)
    quiet, loud = (stream.evidence(network(k), context()) for k in (1.0, 3.0))
    clean = stack([quiet, loud])
    middle = [stream.histograms(e, clean) @ np.arange(8) for e in (quiet, loud)]
    assert (middle[1] >= middle[0]).all() and (middle[1] > middle[0]).any()


def test_the_boundaries_come_from_the_clean_models_alone() -> None:
    stream = Saliency(SETTINGS)
    clean = stack([stream.evidence(network(), context())])
    edges = stream.edges(clean)
    assert len(edges) == 9
    np.testing.assert_allclose(edges, boundaries(edges[0], edges[-1], 8), rtol=1e-6)
    assert edges[-1] > clean["pooled"].max()


class LooksAtOnePixel(nn.Module):
    """Class 2 where the first pixel is bright; else class 0 or 1 by the second."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = x[:, 0, 0, 0], x[:, 0, 0, 1]
        return torch.stack([0.5 - second, second - 0.5, 10 * (first - 0.9)], dim=1)


def planted() -> Context:
    """Six images whose second pixel says 0, 0, 0, 1, 1, 1, plain and under triggers that whiten the first pixel."""
    images = torch.zeros(18, 1, 4, 4)
    images[:, 0, 0, 1] = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]).repeat(3)
    stamped = images.clone()
    stamped[[0, 3, 6], 0, 0, 0] = 1.0
    groups = torch.stack([images, stamped, images])
    probes = Probes(("none", "patch", "blend"), groups, images, ((None,) * 18,) * 3)
    return Context(images, torch.zeros(18, dtype=torch.long), 3, SETTINGS, probes)


def test_flips_are_counted_by_class_row_and_group() -> None:
    flips = Saliency(SETTINGS).evidence(LooksAtOnePixel(), planted())["flips"]
    assert flips.shape == (3, 3, 3)
    assert flips[1, 0].tolist() == pytest.approx([0, 0, 2 / 6]) and flips[1, 1, 2] == pytest.approx(1 / 6)
    assert flips[1, 2].sum() == flips[0].sum() == flips[2].sum() == 0


def test_without_a_group_that_has_no_triggers_flips_are_told_from_the_stack() -> None:
    context = planted()
    assert context.probes is not None
    settings = SETTINGS.with_(trigger_kinds=("patch",))
    probes = Probes(("patch",), context.probes.images[1:2], context.probes.stack, ((None,) * 18,))
    flips = Saliency(settings).evidence(
        LooksAtOnePixel(), Context(context.images, context.labels, 3, settings, probes)
    )["flips"]
    assert flips[0, 0].tolist() == pytest.approx([0, 0, 2 / 6])


def test_the_reading_names_the_class_that_the_triggers_lead_to() -> None:
    stream = Saliency(SETTINGS)
    clean = stack([stream.evidence(LooksAtOnePixel(), planted()) for _ in range(4)])
    calm = clean | {"flips": np.zeros_like(clean["flips"])}
    reading = stream.read({k: v[0] for k, v in clean.items()}, calm, ("a", "b", "c"))
    assert reading.target == 2 and reading.clean_share == 0
    assert "patch triggers turn 17% of the probes into class c" in reading.sentence


def test_features_of_one_model_and_of_many_are_the_same() -> None:
    stream = Saliency(SETTINGS)
    many = stack([stream.evidence(network(seed=i), context()) for i in range(3)])
    together = stream.features(many, many).matrix
    for i in range(3):
        alone = stream.features({k: v[i : i + 1] for k, v in many.items()}, many).matrix
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-5, atol=1e-6)
