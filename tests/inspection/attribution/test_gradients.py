from __future__ import annotations

import pytest
import torch

from tests.inspection.attribution.networks import linear
from ti_core.inspection.attribution.methods import attribution_maps


@pytest.mark.parametrize(
    ("method", "reference"),
    [
        ("saliency", None),
        ("smoothgrad", None),
        ("input_x_gradient", 0.0),
        ("integrated_gradients", 0.0),
        ("deep_lift", 0.0),
        ("lrp", 0.0),
        ("gradient_shap", 0.5),
    ],
)
def test_of_a_linear_network_the_map_is_known(method: str, reference: float | None) -> None:
    weights = torch.zeros(2, 16)
    weights[0], weights[1, 3] = 0.0, 4.0
    scores, x = linear(weights), torch.rand(2, 1, 4, 4) * 0.25 + 0.7
    # Centred, the score of class 1 is half its weights' own: 2 on pixel 3, and 0 elsewhere. LRP looks at the
    # network's own output, which is not centred.
    gradient = torch.zeros(4, 4)
    gradient[0, 3] = 4.0 if method == "lrp" else 2.0
    expected = gradient.expand(2, 4, 4) if reference is None else gradient * (x[:, 0] - reference)
    torch.testing.assert_close(attribution_maps(scores, x, method), expected, rtol=1e-4, atol=1e-6)
