"""Further attribution methods, for pictures only. The verdict always rests on plain saliency.

Every method explains the score of the predicted class and gives one map ``H x W`` per image, at least 0.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ti_core.classifier.scores import Scores
from ti_core.errors import SettingsError
from ti_core.paper.saliency import saliency_maps

SMOOTHGRAD_SAMPLES, SMOOTHGRAD_NOISE = 16, 0.1
PATH_STEPS = 24
BATCH = 64


def attribution_maps(scores: Scores, images: torch.Tensor, method: str = "saliency") -> torch.Tensor:
    """Maps ``N x H x W``, at least 0, of images ``N x C x H x W`` in [0, 1], by the captum method of that name.

    Raises
    ------
    SettingsError : the method is unknown, or this network has no layer it could work on.

    References
    ----------
    D. Smilkov et al., "SmoothGrad", 2017; M. Sundararajan et al., "Axiomatic attribution for deep networks", 2017;
    R. Selvaraju et al., "Grad-CAM", 2017; M. Zeiler and R. Fergus, "Visualizing and understanding convolutional
    networks", 2014 (occlusion); S. Bach et al., "Layer-wise relevance propagation", 2015.
    """
    if method == "saliency":
        return saliency_maps(scores, images)
    if method not in METHODS:
        raise SettingsError(f"The method of attribution {method!r} is unknown.")
    try:
        maps = [METHODS[method](scores, part.detach().clone()) for part in images.split(BATCH)]
    except (TypeError, AssertionError, RuntimeError, AttributeError) as error:
        raise SettingsError(f"{TITLES[method]} has no rule for a layer of this network.") from error
    return torch.nan_to_num(torch.cat(maps).detach(), 0.0, 0.0, 0.0)


def available(scores: Scores, image: torch.Tensor) -> tuple[str, ...]:
    """The methods that work on this network.

    Grad-CAM and LRP depend on its layers; they are tried on one image ``1 x C x H x W``.
    """
    found = []
    for method in TITLES:
        if method in ("grad_cam", "lrp"):
            try:
                attribution_maps(scores, image, method)
            except SettingsError:
                continue
        found.append(method)
    return tuple(found)


def _strongest(values: torch.Tensor) -> torch.Tensor:
    """Attributions ``N x C x H x W`` to maps: absolute, largest channel."""
    strongest: torch.Tensor = values.detach().abs().amax(dim=1)
    return strongest


def _predicted(scores: Scores, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        predicted: torch.Tensor = scores(images).argmax(1)
    return predicted


def _smoothgrad(scores: Scores, images: torch.Tensor) -> torch.Tensor:
    from captum.attr import NoiseTunnel, Saliency

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        values = NoiseTunnel(Saliency(scores)).attribute(
            images.requires_grad_(True),
            nt_type="smoothgrad",
            nt_samples=SMOOTHGRAD_SAMPLES,
            nt_samples_batch_size=1,
            stdevs=SMOOTHGRAD_NOISE,
            target=_predicted(scores, images),
        )
    return _strongest(values)


def _integrated_gradients(scores: Scores, images: torch.Tensor) -> torch.Tensor:
    from captum.attr import IntegratedGradients

    values = IntegratedGradients(scores).attribute(
        images, target=_predicted(scores, images), n_steps=PATH_STEPS, internal_batch_size=4 * BATCH
    )
    return _strongest(values.float())


def _input_x_gradient(scores: Scores, images: torch.Tensor) -> torch.Tensor:
    from captum.attr import InputXGradient

    target = _predicted(scores, images)
    return _strongest(InputXGradient(scores).attribute(images.requires_grad_(True), target=target))


def _grad_cam(scores: Scores, images: torch.Tensor) -> torch.Tensor:
    from captum.attr import LayerAttribution, LayerGradCam

    layers = [m for m in scores.network.modules() if isinstance(m, nn.Conv2d)]
    if not layers:
        raise TypeError("no convolution")
    values = LayerGradCam(scores, layers[-1]).attribute(
        images.requires_grad_(True), target=_predicted(scores, images), relu_attributions=True
    )
    size = (int(images.shape[2]), int(images.shape[3]))
    return _strongest(LayerAttribution.interpolate(values, size, "bilinear"))


def _occlusion(scores: Scores, images: torch.Tensor) -> torch.Tensor:
    from captum.attr import Occlusion

    channels, height, width = images.shape[1:]
    side = max(2, min(height, width) // 7)
    values = Occlusion(scores).attribute(
        images,
        sliding_window_shapes=(channels, side, side),
        strides=(channels, max(1, side // 2), max(1, side // 2)),
        baselines=0.5,
        target=_predicted(scores, images),
    )
    return _strongest(values)


def _lrp(scores: Scores, images: torch.Tensor) -> torch.Tensor:
    from copy import deepcopy

    from captum.attr import LRP

    # LRP has no rule for centring the scores, so it runs on the network itself. It runs on a copy: captum leaves its
    # rules on the layers when it meets a layer without one.
    x = scores.normalise(images).detach().requires_grad_(True)
    return _strongest(LRP(deepcopy(scores.network)).attribute(x, target=_predicted(scores, images)))


METHODS: dict[str, Callable[[Scores, torch.Tensor], torch.Tensor]] = {
    "smoothgrad": _smoothgrad,
    "integrated_gradients": _integrated_gradients,
    "input_x_gradient": _input_x_gradient,
    "grad_cam": _grad_cam,
    "occlusion": _occlusion,
    "lrp": _lrp,
}

TITLES = {
    "saliency": "Saliency",
    "smoothgrad": "SmoothGrad",
    "integrated_gradients": "Integrated gradients",
    "input_x_gradient": "Input times gradient",
    "grad_cam": "Grad-CAM",
    "occlusion": "Occlusion",
    "lrp": "Layer-wise relevance propagation",
}
