"""Names of torch's functions, by the rule that they need."""

from __future__ import annotations


def _named(text: str) -> frozenset[str]:
    return frozenset(text.split())


LINEAR = _named(
    "add radd iadd sub subtract rsub isub neg negative sum mean cumsum conv1d conv2d conv3d conv_transpose1d"
    " conv_transpose2d conv_transpose3d convolution linear addmm avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d"
    " adaptive_avg_pool2d adaptive_avg_pool3d flatten unflatten reshape view view_as reshape_as permute transpose"
    " movedim swapaxes swapdims moveaxis t contiguous cat concat concatenate stack split chunk unbind tensor_split"
    " getitem select narrow index_select gather squeeze unsqueeze expand expand_as repeat repeat_interleave tile pad"
    " flip roll rot90 interpolate upsample dropout dropout2d alpha_dropout feature_dropout to float type_as clone get"
    " pixel_shuffle pixel_unshuffle channel_shuffle unfold fold take_along_dim diagonal requires_grad"
)
"""Functions whose gradient is their rule. Constant summands get no share."""
ELEMENTWISE = _named(
    "relu relu6 leaky_relu rrelu elu selu celu gelu silu mish sigmoid tanh hardtanh hardsigmoid hardswish softplus"
    " softsign logsigmoid tanhshrink hardshrink softshrink threshold clamp clamp_min clamp_max clip exp log sqrt rsqrt"
    " reciprocal square pow abs erf sin cos log1p expm1 prelu"
)
"""Functions of each value by itself."""
PRODUCTS = _named("mul multiply rmul imul matmul rmatmul bmm mm")
QUOTIENTS = _named("div divide true_divide truediv rtruediv itruediv rdiv")
NORMS = _named("layer_norm group_norm instance_norm rms_norm")
"""Normalisations by the values' own mean and variance."""
WINNERS = _named(
    "max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d max amax maximum minimum where"
)
"""Functions that pass on one of their arguments."""
