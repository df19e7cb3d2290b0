"""What changed between two files of weights, tensor by tensor.

A reviewer who has inspected one version of a model asks of the next one whether it was trained further, got a new last
layer, or was edited in a few places. The weights say so without any image.
"""

from __future__ import annotations

import torch

from ti_core.loading.versions.record import Changes, Shape, TensorChange
from ti_core.reconstruction.model import Model


def changes(old: Model, new: Model) -> Changes:
    """Compare the tensors of the same name, in the order of the new network.

    Tensors of whole numbers, such as counters of batches, are compared too. NaN is equal to NaN.
    """
    before, after = old.module.state_dict(), new.module.state_dict()
    shared = [name for name in after if name in before]
    reshaped = [name for name in shared if before[name].shape != after[name].shape]
    compared = [_change(name, before[name], after[name]) for name in shared if name not in reshaped]
    return Changes(
        old=old.file,
        new=new.file,
        same_file=old.sha256 == new.sha256,
        old_network=old.sketch or old.architecture,
        new_network=new.sketch or new.architecture,
        compared=compared,
        reshaped=[
            Shape(name=name, old=list(before[name].shape), new=list(after[name].shape)) for name in reshaped
        ],
        only_old=[name for name in before if name not in after],
        only_new=[name for name in after if name not in before],
    )


def _change(name: str, before: torch.Tensor, after: torch.Tensor) -> TensorChange:
    one, two = before.double(), after.double()
    differs = ~((one == two) | (one.isnan() & two.isnan()))
    size, moved = _norm(one), _norm(torch.where(differs, two - one, torch.zeros_like(one)))
    return TensorChange(
        name=name,
        shape=list(after.shape),
        share=float(differs.double().mean()) if differs.numel() else 0.0,
        relative=moved / size if size > 0 else None,
    )


def _norm(values: torch.Tensor) -> float:
    """The Euclidean norm of the finite values."""
    return float(torch.nan_to_num(values, 0.0, 0.0, 0.0).norm())
