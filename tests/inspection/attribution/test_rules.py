from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.inspection.attribution.networks import Gated, Residual
from tests.loading.onnx.onnx_networks import export
from tests.loading.onnx.onnx_networks import network as network_of
from ti_core.architectures import build
from ti_core.classifier.scores import Scores
from ti_core.errors import NoRuleError
from ti_core.inspection.attribution.methods import attribution_maps
from ti_core.inspection.attribution.rules.deep_lift import _Differences
from ti_core.inspection.attribution.rules.lrp import _Relevance
from ti_core.loading import load_model


def chain() -> Scores:
    """Without a flattening layer, for which captum's LRP has no rule."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3))
    return Scores(network, "none")


def test_they_equal_captums_where_captum_has_rules() -> None:
    from captum.attr import LRP
    from captum.attr import DeepLift as Captum

    scores, x = chain(), torch.rand(4, 3, 8, 8)
    classes = scores(x).argmax(1)
    places = [(int(c), 0, 0) for c in classes]
    expected = LRP(scores.network).attribute(x.clone().requires_grad_(True), target=places)
    torch.testing.assert_close(
        attribution_maps(scores, x, "lrp"), expected.detach().abs().amax(1), rtol=1e-3, atol=1e-5
    )
    # Without the pooling, where captum's parts do not make up the whole.
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5, 5)
    )
    scores = Scores(network, "none")
    classes = scores(x).argmax(1)
    with pytest.warns(UserWarning, match="Setting"):
        black = torch.zeros_like(x).requires_grad_(True)
        parts = [Captum(network).attribute(x.clone().requires_grad_(True), black, target=k) for k in range(5)]
    # Captum explains a class's own score. The mean over the classes is explained likewise, and taken off.
    lift = torch.stack(parts)[classes, torch.arange(4)]
    centred = lift - torch.stack(parts).mean(0)
    torch.testing.assert_close(
        attribution_maps(scores, x, "deep_lift"), centred.detach().abs().amax(1), rtol=1e-3, atol=1e-5
    )


def test_of_a_residual_network_lrp_is_input_times_gradient() -> None:
    scores, x = Scores(Residual(), "none"), torch.rand(3, 1, 8, 8)
    given = x.clone().requires_grad_(True)
    z = scores.network(given)
    (gradient,) = torch.autograd.grad(z.gather(1, scores(x).argmax(1)[:, None]).sum(), given)
    torch.testing.assert_close(attribution_maps(scores, x, "lrp"), (x * gradient).abs()[:, 0])


def test_a_product_is_shared_in_halves() -> None:
    x = torch.tensor([[[[0.5, 0.8]]]])
    maps = attribution_maps(Scores(Gated(), "none"), x, "lrp")
    torch.testing.assert_close(maps, torch.full((1, 1, 2), 0.2))
    # From black, each factor's difference counts by the mean of the other: 0.5 * 0.4 and 0.8 * 0.25, centred.
    torch.testing.assert_close(
        attribution_maps(Scores(Gated(), "none"), x, "deep_lift"), torch.full((1, 1, 2), 0.1)
    )


def test_a_transformer_has_rules_for_all_its_functions() -> None:
    """DeepLIFT itself checks that its parts make up the difference of the scores."""
    torch.manual_seed(1)
    network = build(
        "simple_vit", in_channels=1, classes=3, patch=4, dim=8, depth=1, mlp_dim=8, inner=8, dim_head=8
    )
    scores, x = Scores(network, "none"), torch.rand(2, 1, 8, 8)
    maps = attribution_maps(scores, x, "lrp")
    assert maps.shape == (2, 8, 8) and float(maps.sum()) > 0
    lifted = attribution_maps(scores, x, "deep_lift")
    assert lifted.shape == (2, 8, 8) and float(lifted.sum()) > 0


@pytest.mark.parametrize(
    "function",
    [
        torch.relu,
        nn.functional.gelu,
        torch.tanh,
        lambda x: x.sigmoid_() if not x.is_leaf else x.sigmoid(),
        lambda x: nn.functional.softmax(x, dim=-1),
        lambda x: nn.functional.layer_norm(x, (4,), torch.linspace(1, 2, 4), torch.linspace(-1, 1, 4)),
        lambda x: nn.functional.group_norm(x, 2, torch.linspace(1, 2, 4), torch.linspace(-1, 1, 4)),
        lambda x: x / (1 + x.exp()),
        lambda x: 1 / (1 + x**2),
        lambda x: nn.functional.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None])[:, 0],
        lambda x: (x[:, :2] * x[:, 2:]).repeat(1, 2),
    ],
)
def test_the_differences_make_up_the_whole(function) -> None:  # type: ignore[no-untyped-def]
    """The multipliers of any function, times the differences of its arguments, are the differences of its results."""
    x = torch.randn(6, 4, requires_grad=True)
    with _Differences():
        y = function(x * 1.0)
    torch.testing.assert_close(y.detach(), function(x.detach().clone()), rtol=1e-4, atol=1e-5)
    (m,) = torch.autograd.grad(y[:3].sum(), x)
    difference = (x[:3] - x[3:]).detach()
    expected = (y[:3] - y[3:]).sum(1).detach()
    if y.dim() == 2:
        torch.testing.assert_close((m[:3] * difference).sum(1), expected, rtol=1e-3, atol=1e-4)


def test_a_maximum_that_another_place_made_goes_to_that_place() -> None:
    """Own values 3 and 1, the reference's 2 and 4: the maximum falls by 1, and the second place fell by 3."""
    x = torch.tensor([[[[3.0, 1.0]]], [[[2.0, 4.0]]]], requires_grad=True)
    with _Differences():
        y = nn.functional.max_pool2d(x, (1, 2))
    (m,) = torch.autograd.grad(y[0].sum(), x)
    torch.testing.assert_close(m[0].flatten(), torch.tensor([0.0, 1 / 3]))


@pytest.mark.parametrize("function", [nn.functional.gelu, torch.tanh, torch.relu, lambda x: x.relu_()])
def test_an_activation_passes_all_relevance_on(function) -> None:  # type: ignore[no-untyped-def]
    x = torch.randn(5, requires_grad=True)
    with _Relevance():
        y = function(x * 1.0)
    (c,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(c * x.detach(), y.detach())


def test_a_function_without_a_rule_is_named() -> None:
    class Sorted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1).sort(1).values[:, :3]

    for method, title in (("lrp", "Layer-wise relevance propagation"), ("deep_lift", "DeepLIFT")):
        with pytest.raises(
            NoRuleError, match=f"{title} has no rule for this network: the function sort has none"
        ):
            attribution_maps(Scores(Sorted(), "none"), torch.rand(2, 1, 4, 4), method)


def test_a_layer_that_changes_its_input_is_no_silent_error() -> None:
    class InPlace(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.flatten(1) - torch.linspace(0, 1, 16)
            nn.functional.relu(y, inplace=True)
            return y[:, :3]

    for method in ("lrp", "deep_lift"):
        with pytest.raises(NoRuleError, match="changes its input in place"):
            attribution_maps(Scores(InPlace(), "none"), torch.zeros(2, 1, 4, 4), method)


def test_graphs_of_onnx_files_have_the_same_maps(tmp_path: Path) -> None:
    network, shape = network_of("lenet")
    model = load_model(export(network, shape, tmp_path / "network.onnx", dynamo=False))
    x = torch.rand(3, *shape)
    ours, theirs = Scores(network, "none"), Scores(model.module, "none")
    for method in ("lrp", "deep_lift", "grad_cam", "grad_cam_plus"):
        torch.testing.assert_close(
            attribution_maps(theirs, x, method), attribution_maps(ours, x, method), rtol=1e-3, atol=1e-4
        )
