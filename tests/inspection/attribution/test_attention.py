"""Layer-wise relevance propagation through ``nn.MultiheadAttention`` as a whole."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import linear, scaled_dot_product_attention

from ti_core.classifier.scores import Scores
from ti_core.errors import NoRuleError
from ti_core.inspection.attribution.methods import attribution_maps, unfit
from ti_core.inspection.attribution.rules.lrp import _Relevance


class Tokens(nn.Module):
    """Rows of an image ``1 x 4 x 6`` as four tokens that attend to each other; their mean gives three scores."""

    def __init__(self, whole: bool = True, mask: torch.Tensor | None = None) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(6, 2, batch_first=True)
        self.last, self.whole, self.mask = nn.Linear(6, 3), whole, mask

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x[:, 0]
        z: torch.Tensor = self.last((self._whole(tokens) if self.whole else self._parts(tokens)).mean(1))
        return z

    def _whole(self, tokens: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.attend(tokens, tokens, tokens, attn_mask=self.mask)[0]
        return found

    def _parts(self, tokens: torch.Tensor) -> torch.Tensor:
        """The same in functions."""
        layer = self.attend
        q, k, v = linear(tokens, layer.in_proj_weight, layer.in_proj_bias).chunk(3, dim=2)
        q, k, v = (part.unflatten(2, (2, 3)).transpose(1, 2) for part in (q, k, v))
        found: torch.Tensor = layer.out_proj(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return found


def relevance(network: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The relevance of each pixel for class 0, and the class's score."""
    given = x.clone().requires_grad_(True)
    with _Relevance():
        z = network(given)
    (multipliers,) = torch.autograd.grad(z[:, 0].sum(), given)
    return x * multipliers, z[:, 0].detach()


def test_the_whole_layer_gives_what_its_functions_give() -> None:
    torch.manual_seed(0)
    whole, x = Tokens().eval(), torch.rand(5, 1, 4, 6)
    parts = Tokens(whole=False).eval()
    parts.load_state_dict(whole.state_dict())
    torch.testing.assert_close(whole(x), parts(x))
    for one, other in zip(relevance(whole, x), relevance(parts, x), strict=True):
        torch.testing.assert_close(one, other)
    assert "lrp" not in unfit(Scores(whole, "none"), x[:1])
    assert attribution_maps(Scores(whole, "none"), x, "lrp").max() > 0


def test_of_equal_attention_the_values_get_half_of_the_score() -> None:
    """Without queries all tokens attend alike. The other half goes to logits of 0, which lose it."""
    torch.manual_seed(1)
    network, x = Tokens().eval(), torch.rand(5, 1, 4, 6)
    with torch.no_grad():
        network.attend.in_proj_weight[:6] = 0.0
        for bias in (network.attend.in_proj_bias, network.attend.out_proj.bias, network.last.bias):
            bias.zero_()
        # The value of a token is linear, and so is the score.
        value = network.attend.in_proj_weight[12:]
        effect = network.last.weight[0] @ network.attend.out_proj.weight @ value / 4
    found, score = relevance(network, x)
    torch.testing.assert_close(found, x * effect / 2)
    torch.testing.assert_close(found.sum((1, 2, 3)), score / 2)


def test_an_encoder_layer_of_torch_has_a_rule() -> None:
    torch.manual_seed(2)
    layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, activation="gelu")

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.last = layer, nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z: torch.Tensor = self.last(self.layer(x[:, 0]).mean(1))
            return z

    scores = Scores(Encoder().eval(), "none")
    assert {"lrp", "deep_lift"}.isdisjoint(unfit(scores, torch.rand(1, 1, 4, 6)))


def test_a_hidden_token_has_no_relevance_and_a_padding_mask_has_no_rule() -> None:
    torch.manual_seed(3)
    hidden = torch.zeros(4, 4, dtype=torch.bool)
    hidden[:, 3] = True
    network, x = Tokens(mask=hidden).eval(), torch.rand(3, 1, 4, 6)
    with torch.no_grad():
        network.attend.in_proj_weight[:6] = 0.0
        for bias in (network.attend.in_proj_bias, network.attend.out_proj.bias, network.last.bias):
            bias.zero_()
    found, score = relevance(network, x)
    assert found[:, 0, 3].abs().max() == 0
    torch.testing.assert_close(found.sum((1, 2, 3)), score / 2)
    tokens = x[:, 0].clone().requires_grad_(True)
    with _Relevance(), pytest.raises(NoRuleError, match="attention with a mask has none"):
        network.attend(tokens, tokens, tokens, key_padding_mask=torch.zeros(3, 4))
