"""Attention as one operator (opset 23), without the caches of language models."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ti_core.loading.onnx import sizes
from ti_core.loading.onnx.registry import operator


@operator("Attention", size=sizes.attention)
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attn_mask: Tensor | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
) -> Tensor:
    """Scaled dot product attention on ``N x heads x S x E`` or ``N x S x (heads E)``."""
    flat = q.ndim == 3
    if flat:
        if not q_num_heads or not kv_num_heads:
            raise ValueError("it does not say how many heads there are")
        q, k, v = (_heads(t, h) for t, h in ((q, q_num_heads), (k, kv_num_heads), (v, kv_num_heads)))
    if q.shape[1] != k.shape[1]:  # each key serves a group of queries
        group = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    bias = _bias(q, k, attn_mask, bool(is_causal), left_window_size, right_window_size)
    if bias is None and not softcap:
        y = F.scaled_dot_product_attention(q, k, v, scale=scale)
    else:
        logits = q @ k.transpose(-1, -2) * (scale if scale is not None else q.shape[-1] ** -0.5)
        if softcap:
            logits = softcap * torch.tanh(logits / softcap)
        y = _masked_softmax(logits, bias) @ v
    return y.transpose(1, 2).flatten(2) if flat else y


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def _bias(q: Tensor, k: Tensor, mask: Tensor | None, causal: bool, left: int, right: int) -> Tensor | None:
    """The mask to add to the logits, minus infinity where a query must not attend to a key, or None."""
    queries, keys = q.shape[-2], k.shape[-2]
    bias = None
    if mask is not None:
        if mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, -torch.inf)
        bias = F.pad(mask, (0, keys - mask.shape[-1]), value=-torch.inf)
    if causal or left >= 0 or right >= 0:
        ahead = torch.arange(keys, device=q.device) - torch.arange(queries, device=q.device).unsqueeze(1)
        hidden = (ahead > 0) if causal else torch.zeros_like(ahead, dtype=torch.bool)
        if left >= 0:
            hidden = hidden | (ahead < -left)
        if right >= 0:
            hidden = hidden | (ahead > right)
        window = torch.zeros(queries, keys, dtype=q.dtype, device=q.device).masked_fill(hidden, -torch.inf)
        bias = window if bias is None else bias + window
    return bias


def _masked_softmax(logits: Tensor, bias: Tensor | None) -> Tensor:
    """Softmax over the keys. A query that may attend to no key gets zeros instead of NaN."""
    if bias is None:
        return logits.softmax(-1)
    blind = (bias == -torch.inf).all(-1, keepdim=True)
    return (logits + bias.masked_fill(blind, 0.0)).softmax(-1).masked_fill(blind, 0.0)
