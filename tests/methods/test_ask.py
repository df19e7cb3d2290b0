"""Asking about an opened model: with a pack, with images of the user's own, and with images that do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ti_core.classifier.classifier import Declared
from ti_core.errors import ModelBehaviourError, SettingsError
from ti_core.loading import load_model
from ti_core.methods import ask
from ti_core.reference.own_images import OwnImages
from ti_core.reference.pack import Pack


def own(tiny_pack: Pack) -> OwnImages:
    pixels = (255 * tiny_pack.images.numpy()).round().astype(np.uint8)
    return OwnImages("own.npz", pixels, tiny_pack.labels.numpy().astype(np.int64))


def test_own_images_serve_with_and_without_labels(tiny_models: dict[str, Path], tiny_pack: Pack) -> None:
    model, images = load_model(tiny_models["clean"]), own(tiny_pack)
    told: list[str] = []
    for given in (images, replace(images, labels=None)):
        found = ask.with_images(
            model, given, ["neural_cleanse", "mntd"], Declared(), lambda s, _: told.append(s)
        )
        assert found.pack == "" and found.class_names == ("0", "1", "2", "3")
        (one,) = found.given
        assert one.method == "neural_cleanse" and one.seconds > 0
        assert "choose a reference pack" in found.unmet["mntd"]
    assert set(told) == {"Neural Cleanse"}


def test_images_that_the_model_does_not_classify_are_said(
    tiny_models: dict[str, Path], tiny_pack: Pack
) -> None:
    model, images = load_model(tiny_models["clean"]), own(tiny_pack)
    assert images.labels is not None
    with pytest.raises(ModelBehaviourError, match=r"labels up to 7, but .* tells 4 classes apart"):
        ask.with_images(model, replace(images, labels=images.labels + 4), ["strip"], Declared())
    turned = replace(images, labels=(images.labels + 1) % 4)
    with pytest.raises(ModelBehaviourError, match=r"of the images of own\.npz correctly; an opinion needs"):
        ask.with_images(model, turned, ["strip"], Declared())


def test_a_network_that_no_method_can_judge_is_an_error(
    tiny_models: dict[str, Path], tiny_pack: Pack
) -> None:
    model = load_model(tiny_models["clean"])
    with pytest.raises(
        SettingsError, match=r"None of the methods can judge this network\. MNTD needs to have been"
    ):
        ask.with_pack(model, tiny_pack, ["mntd"], Declared(), {})
