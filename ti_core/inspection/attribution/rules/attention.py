"""Attention in functions that have rules: projections, products, softmax. R. Achtibat et al. (AttnLRP), 2024."""

from __future__ import annotations

import inspect
from typing import Any

import torch
import torch.nn.functional as F

from ti_core.errors import NoRuleError


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Scaled dot product attention in functions that have rules.

    Raises
    ------
    NoRuleError : a mask of truth values, a causal mask, or grouped keys.
    """
    if is_causal or enable_gqa or (attn_mask is not None and attn_mask.dtype == torch.bool):
        raise NoRuleError("attention with a mask has none")
    logits = q @ k.transpose(-1, -2) * (scale if scale is not None else q.shape[-1] ** -0.5)
    if attn_mask is not None:
        logits = logits + attn_mask
    return torch.softmax(logits, -1) @ v


_NAMES = tuple(inspect.signature(F.multi_head_attention_forward).parameters)
_REFUSED = {
    "bias_k": "attention with a further key has none",
    "bias_v": "attention with a further value has none",
    "key_padding_mask": "attention with a mask has none",
    "static_k": "attention with fixed keys has none",
    "static_v": "attention with fixed values has none",
}


def multi_head(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """``nn.MultiheadAttention`` as a whole: the arguments of torch's function, its result and its weights.

    Each head attends as :func:`attention` does. The projections before and after are linear.

    Returns
    -------
    The result ``L x N x E`` (or ``L x E``), and None in place of the weights: a network that uses
    them has no rule.

    Raises
    ------
    NoRuleError : a mask of truth values, a causal or a padding mask, further keys or values, or dropout.
    """
    given = dict(zip(_NAMES, args, strict=False)) | kwargs
    for name, reason in _REFUSED.items():
        if given.get(name) is not None:
            raise NoRuleError(reason)
    if given.get("add_zero_attn") or (given.get("training") and given.get("dropout_p")):
        raise NoRuleError("attention with an empty key or with dropout has none")
    q, k, v = _projected(given)
    alone = q.dim() == 2
    if alone:
        q, k, v = q[:, None], k[:, None], v[:, None]
    heads, count = int(given["num_heads"]), q.shape[1]
    mask = given.get("attn_mask")
    if mask is not None and mask.dim() == 3:
        mask = mask.reshape(count, heads, *mask.shape[1:])
    q, k, v = (part.reshape(part.shape[0], count, heads, -1).permute(1, 2, 0, 3) for part in (q, k, v))
    if given.get("is_causal") and mask is None:
        raise NoRuleError("attention with a mask has none")
    found = attention(q, k, v, mask).permute(2, 0, 1, 3).reshape(q.shape[2], count, -1)
    found = F.linear(found, given["out_proj_weight"], given["out_proj_bias"])
    return found[:, 0] if alone else found, None


def _projected(given: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values, each of the width of the embedding."""
    parts = given["query"], given["key"], given["value"]
    bias = given.get("in_proj_bias")
    biases = (None, None, None) if bias is None else tuple(bias.chunk(3))
    if given.get("use_separate_proj_weight"):
        weights = given["q_proj_weight"], given["k_proj_weight"], given["v_proj_weight"]
    else:
        weights = given["in_proj_weight"].chunk(3)
    q, k, v = (F.linear(x, w, b) for x, w, b in zip(parts, weights, biases, strict=True))
    return q, k, v
