"""Networks from sketches: outputs equal to torch's own, and a word on every tensor that fits or not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ti_core.errors import SketchError
from ti_core.reconstruction.grammar import parse_sketch
from ti_core.reconstruction.layers.file_layers import file_layers
from ti_core.reconstruction.network import Built, build, network_of

State = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(3)


def built(text: str, state: State) -> Built:
    return build(parse_sketch(text), file_layers(state))


def same(text: str, state: State, own: Any, *shape: int) -> None:
    x = torch.rand(2, *shape)
    with torch.no_grad():
        torch.testing.assert_close(network_of(parse_sketch(text), file_layers(state))(x), own(x))


def test_a_plain_network_has_the_outputs_of_its_layers() -> None:
    conv, linear = nn.Conv2d(1, 4, 5, stride=2, padding=1), nn.Linear(4 * 49, 3)
    state = {f"c.{k}": v for k, v in conv.state_dict().items()} | {
        f"l.{k}": v for k, v in linear.state_dict().items()
    }
    text = (
        "conv 4 5 stride 2 padding 1; elu; maxpool 3 stride 2 padding 1 ceil; flatten; linear 3; log_softmax"
    )

    def own(x: torch.Tensor) -> torch.Tensor:
        y = F.max_pool2d(F.elu(conv(x)), 3, 2, 1, ceil_mode=True)
        return F.log_softmax(linear(y.flatten(1)), 1)

    same(text, state, own, 1, 27, 27)


def test_norms_and_slopes_use_the_files_numbers() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8, eps=1e-3), nn.PReLU(8), nn.Conv2d(8, 8, 3, groups=4),
        nn.GroupNorm(2, 8), nn.Conv2d(8, 6, 1), nn.LayerNorm([6, 4, 4]), nn.Flatten(), nn.Linear(96, 5),
        nn.BatchNorm1d(5), nn.LayerNorm(5),
    ).eval()  # fmt: skip
    for part in net:
        for tensor in part.state_dict().values():
            if tensor.is_floating_point():
                nn.init.uniform_(tensor, 0.1, 1)
    text = (
        "conv 8 3 nobias; batchnorm eps 0.001; prelu; conv 8 3 groups 4; groupnorm 2; conv 6 1; layernorm; flatten;"
        " linear 5; batchnorm; layernorm"
    )
    same(text, net.state_dict(), net, 3, 8, 8)


def test_sums_joins_and_repetitions() -> None:
    parts = nn.ModuleDict({"a": nn.Conv2d(2, 4, 3, 2, 1), "s": nn.Conv2d(2, 4, 1, 2), "b": nn.Conv2d(4, 4, 1),
                           "c": nn.Conv2d(4, 4, 1), "d": nn.Conv2d(4, 3, 1), "e": nn.Conv2d(7, 10, 1)})  # fmt: skip
    text = (
        "block { conv 4 3 stride 2 padding 1 } shortcut { conv 4 1 stride 2 }; repeat 2 { block { relu; conv 4 1 } };"
        " concat { } { conv 3 1 }; block { conv 10 1 } shortcut { pad 10 }; globalmaxpool; flatten; rescale 2 -1"
    )

    def own(x: torch.Tensor) -> torch.Tensor:
        x = parts["a"](x) + parts["s"](x)
        for name in "bc":
            x = x + parts[name](F.relu(x))
        x = torch.cat([x, parts["d"](x)], 1)
        x = parts["e"](x) + F.pad(x, (0, 0, 0, 0, 1, 2))
        return 2 * x.amax((2, 3)) - 1

    same(text, parts.state_dict(), own, 2, 9, 9)


def test_a_stored_normalisation_and_vectors_without_owners() -> None:
    state = {"norm.mean": torch.tensor([0.1, 0.2, 0.3]), "norm.std": torch.tensor([1.0, 2.0, 4.0])}
    state |= {"W1": torch.rand(4, 3, 2, 2), "b1": torch.rand(4), "W2": torch.rand(2, 4), "b2": torch.rand(2)}

    def own(x: torch.Tensor) -> torch.Tensor:
        x = (x - state["norm.mean"].view(3, 1, 1)) / state["norm.std"].view(3, 1, 1)
        x = F.conv2d(x, state["W1"], state["b1"]).mean((2, 3))
        return F.linear(x, state["W2"], state["b2"])

    same("normalise; conv 4 2; globalavgpool; flatten; linear 2", state, own, 3, 5, 5)


def test_a_name_after_from_chooses_among_equal_layers() -> None:
    state = {f"{n}.weight": torch.rand(4, 4) for n in "ab"}
    same(
        "linear 4 from b; linear 4 from a", state, lambda x: x @ state["b.weight"].T @ state["a.weight"].T, 4
    )
    same("linear 4; linear 4", state, lambda x: x @ state["a.weight"].T @ state["b.weight"].T, 4)


def test_what_does_not_fit_is_told() -> None:
    state = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(4, 2)).state_dict()
    found = built("conv 4 5; flatten; linear 2", state)
    assert found.module is None and found.missing == ["conv 4 5"]
    assert [layer.name for layer in found.left] == ["0"]
    assert found.problem() == (
        "The sketch has layers that no tensors of the file fit: conv 4 5. Left over in the file: 0 (4 x 1 x 3 x 3)."
    )
    found = built("conv 4 3; globalavgpool; flatten", state)
    assert found.module is not None and "the sketch does not name: 1 (2 x 4)" in found.problem()
    with pytest.raises(SketchError, match="does not name"):
        network_of(parse_sketch("conv 4 3"), file_layers(state))
    assert built("conv 4 3; conv 4 3", state).missing == ["conv 4 3 on 4 channels"]
    assert built("input 3 8; conv 4 3", state).missing == ["conv 4 3 on 3 channels"]


def test_channels_that_arrive_decide_which_layer_is_taken() -> None:
    convs = {"late.weight": torch.rand(4, 4, 1, 1), "early.weight": torch.rand(4, 3, 1, 1)}
    used = built("input 3 4; conv 4 1; conv 4 1", convs).used
    assert [layer.name for _, layer in used] == ["early", "late"]


def test_a_padding_beyond_half_the_window_is_refused() -> None:
    with pytest.raises(SketchError, match="more than half"):
        built("maxpool 2 padding 2", {})
