"""What Keras itself answered: every stored file opens, and answers the same."""

from __future__ import annotations

import pytest
import torch

from tests.loading.keras.files import answers, images, opened, stored

HALF = 0.02
"""Keras computed these in 16 bits; here they are computed in 32."""


@pytest.mark.parametrize("name", sorted(answers()))
def test_a_file_answers_as_in_keras(name: str) -> None:
    record = answers()[name]
    model = opened(stored()[name], name)
    x = images(tuple(record["shape"]), record["scale"])
    with torch.no_grad():
        found = model.module(x)
        alone = model.module(x[1:2])
    outputs = found if isinstance(found, tuple) else (found,)
    parts = alone if isinstance(alone, tuple) else (alone,)
    remarks = " ".join(model.remarks)
    for own, one, wanted in zip(outputs, parts, map(torch.tensor, record["answers"]), strict=True):
        assert torch.allclose(own[1:2], one, atol=1e-5)
        if "sigmoid" in remarks:
            own = own.softmax(1)[:, 1:]
        elif torch.allclose(wanted.sum(1), torch.ones(3)):
            assert "softmax" in remarks
            own = own.softmax(1)
        bound = HALF if name.startswith("half-") else 1e-5
        assert float(((own - wanted).abs() / wanted.abs().clamp(min=1)).max()) < bound
        assert float(wanted.std(0).max()) > 20 * bound or name.startswith("half-")


def test_facts_are_those_of_the_file() -> None:
    facts = {
        name: opened(stored()[name], name)
        for name in ("mnist_example-3.keras", "residual-2.h5", "shared-3.h5")
    }
    example, residual, shared = facts.values()
    assert (example.format, example.architecture) == ("keras archive", "keras sequential")
    assert (example.classes, example.input_shape) == (10, (1, 28, 28))
    assert example.metadata["keras_version"].startswith("3.")
    assert (residual.format, residual.architecture) == ("keras h5", "keras functional")
    assert (residual.classes, residual.input_shape) == (10, (3, 0, 0))
    # Two outputs of 5 and 7 classes.
    assert shared.classes is None


def test_the_network_is_frozen_and_differentiable() -> None:
    model = opened(stored()["nested-3.keras"])
    assert not any(p.requires_grad for p in model.module.parameters())
    x = images((16, 16, 3)).requires_grad_()
    model.module(x).sum().backward()
    assert x.grad is not None and float(x.grad.abs().max()) > 0


def test_the_networks_matrices_are_torchs_own_layers() -> None:
    """Streams and saliency methods look for them."""
    model = opened(stored()["gtsrb-2.h5"])
    kinds = [type(part) for part in model.module.modules()]
    assert kinds.count(torch.nn.Conv2d) == 6 and kinds.count(torch.nn.Linear) == 2
