"""The layers of ``torch.nn`` that a whole module may hold, and the attributes that rebuild each of them.

This module holds only names, so that a file report needs no torch. A layer is rebuilt by calling its
constructor with the attributes listed for it. ``bias`` means that a parameter of that name is present.
"""

from __future__ import annotations

_POOL_MAX = "kernel_size stride padding dilation ceil_mode"
_POOL_AVG = "kernel_size stride padding ceil_mode count_include_pad"
_CONV = "in_channels out_channels kernel_size stride padding dilation groups bias padding_mode"
_CONV_T = (
    "in_channels out_channels kernel_size stride padding output_padding groups bias dilation padding_mode"
)
_BATCH = "num_features eps momentum affine track_running_stats"

_TABLE: dict[str, dict[str, str]] = {
    "container": {"Sequential": "", "ModuleList": ""},
    "linear": {"Linear": "in_features out_features bias", "Identity": ""},
    "conv": {
        **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d"), _CONV),
        **dict.fromkeys(("ConvTranspose1d", "ConvTranspose2d"), _CONV_T),
    },
    "batchnorm": dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"), _BATCH),
    "instancenorm": dict.fromkeys(("InstanceNorm1d", "InstanceNorm2d"), _BATCH),
    "normalization": {
        "GroupNorm": "num_groups num_channels eps affine",
        "LayerNorm": "normalized_shape eps elementwise_affine bias",
        "LocalResponseNorm": "size alpha beta k",
        "RMSNorm": "normalized_shape eps elementwise_affine",
    },
    "activation": {
        "ReLU": "inplace",
        "ReLU6": "inplace",
        "LeakyReLU": "negative_slope inplace",
        "PReLU": "num_parameters",
        "RReLU": "lower upper inplace",
        "ELU": "alpha inplace",
        "CELU": "alpha inplace",
        "SELU": "inplace",
        "GELU": "approximate",
        "SiLU": "inplace",
        "Mish": "inplace",
        "Hardtanh": "min_val max_val inplace",
        "Hardswish": "inplace",
        "Hardsigmoid": "inplace",
        "Sigmoid": "",
        "LogSigmoid": "",
        "Tanh": "",
        "Tanhshrink": "",
        "Softplus": "beta threshold",
        "Softsign": "",
        "Softshrink": "lambd",
        "Hardshrink": "lambd",
        "Threshold": "threshold value inplace",
        "GLU": "dim",
        "Softmax": "dim",
        "Softmin": "dim",
        "LogSoftmax": "dim",
        "Softmax2d": "",
        "MultiheadAttention": "embed_dim num_heads",
    },
    "pooling": {
        **dict.fromkeys(("MaxPool1d", "MaxPool2d", "MaxPool3d"), _POOL_MAX),
        "AvgPool1d": _POOL_AVG,
        **dict.fromkeys(("AvgPool2d", "AvgPool3d"), f"{_POOL_AVG} divisor_override"),
        "LPPool2d": "norm_type kernel_size stride ceil_mode",
        **dict.fromkeys(("AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d"), "output_size"),
        **dict.fromkeys(("AdaptiveMaxPool1d", "AdaptiveMaxPool2d"), "output_size"),
    },
    "dropout": dict.fromkeys(
        ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"), "p inplace"
    ),
    "padding": {
        **dict.fromkeys(("ZeroPad1d", "ZeroPad2d", "ReflectionPad1d", "ReflectionPad2d"), "padding"),
        **dict.fromkeys(
            ("ReplicationPad1d", "ReplicationPad2d", "CircularPad1d", "CircularPad2d"), "padding"
        ),
        **dict.fromkeys(("ConstantPad1d", "ConstantPad2d"), "padding value"),
    },
    "flatten": {"Flatten": "start_dim end_dim", "Unflatten": "dim unflattened_size"},
    "pixelshuffle": {"PixelShuffle": "upscale_factor", "PixelUnshuffle": "downscale_factor"},
    "channelshuffle": {"ChannelShuffle": "groups"},
    "fold": {
        "Fold": "output_size kernel_size dilation padding stride",
        "Unfold": "kernel_size dilation padding stride",
    },
    "upsampling": {
        "Upsample": "size scale_factor mode align_corners",
        "UpsamplingNearest2d": "size scale_factor",
        "UpsamplingBilinear2d": "size scale_factor",
    },
    "transformer": {
        "TransformerEncoderLayer": "d_model nhead dim_feedforward activation norm_first",
        "TransformerEncoder": "encoder_layer num_layers",
    },
}

LAYERS: dict[str, tuple[str, ...]] = {
    f"torch.nn.modules.{file}.{name}": tuple(attributes.split())
    for file, group in _TABLE.items()
    for name, attributes in group.items()
}
"""Full path of each layer's class, and the constructor's arguments that are read from the file."""

INNER_LAYERS = frozenset({"torch.nn.modules.linear.NonDynamicallyQuantizableLinear"})
"""Layers that occur only inside another; ``MultiheadAttention`` holds one."""

WRAPPERS = frozenset(
    {"torch.nn.parallel.data_parallel.DataParallel", "torch.nn.parallel.distributed.DistributedDataParallel"}
)
"""Modules that only call the module inside them."""
