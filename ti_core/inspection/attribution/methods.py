"""The methods of attribution, for pictures only. The verdict always rests on plain saliency.

Every method gives one map ``H x W`` an image, at least 0.
"""

from __future__ import annotations

import torch

from ti_core.classifier.scores import Scores
from ti_core.errors import NoRuleError, SettingsError
from ti_core.inspection.attribution.base import Attribution
from ti_core.inspection.attribution.cams.cam import Cam
from ti_core.inspection.attribution.cams.grad_cam import GradCam
from ti_core.inspection.attribution.cams.grad_cam_plus import GradCamPlus
from ti_core.inspection.attribution.cams.smooth_grad_cam_plus import SmoothGradCamPlus
from ti_core.inspection.attribution.gradients.gradient_shap import GradientShap
from ti_core.inspection.attribution.gradients.input_x_gradient import InputXGradient
from ti_core.inspection.attribution.gradients.integrated_gradients import IntegratedGradients
from ti_core.inspection.attribution.gradients.saliency import Saliency
from ti_core.inspection.attribution.gradients.smoothgrad import SmoothGrad
from ti_core.inspection.attribution.rules.deep_lift import DeepLift
from ti_core.inspection.attribution.rules.lrp import Lrp
from ti_core.inspection.attribution.squares.jsma import Jsma
from ti_core.inspection.attribution.squares.kernel_shap import KernelShap
from ti_core.inspection.attribution.squares.lime import Lime
from ti_core.inspection.attribution.squares.occlusion import Occlusion
from ti_core.paper.saliency import saliency_maps

BATCH = 64

METHODS: dict[str, Attribution] = {
    method.name: method()
    for method in (
        Saliency,
        SmoothGrad,
        IntegratedGradients,
        InputXGradient,
        GradientShap,
        DeepLift,
        Lrp,
        Cam,
        GradCam,
        GradCamPlus,
        SmoothGradCamPlus,
        Occlusion,
        Lime,
        KernelShap,
        Jsma,
    )
}


def attribution_maps(
    scores: Scores, images: torch.Tensor, method: str = "saliency", target: int | None = None
) -> torch.Tensor:
    """Maps ``N x H x W``, at least 0, of images ``N x C x H x W`` in [0, 1], by the method of that name.

    Parameters
    ----------
    target : the class that a targeted method explains. Other methods explain the predicted class of each image.

    Raises
    ------
    NoRuleError : the method cannot be used on this network.
    SettingsError : the method is unknown.
    """
    if method not in METHODS:
        raise SettingsError(f"The method of attribution {method!r} is unknown.")
    chosen = METHODS[method]
    if method == "saliency":
        # In the batches of the evidence, so that the pictures show its maps to the last bit.
        return saliency_maps(scores, images)
    if chosen.targeted and target is None:
        raise NoRuleError(f"{chosen.title} has no class to carry the images to.")
    try:
        maps = [_maps(chosen, scores, part.detach().clone(), target) for part in images.split(BATCH)]
    except NoRuleError as error:
        raise NoRuleError(f"{chosen.title} has no rule for this network: {error}.") from error
    except (TypeError, AssertionError, RuntimeError, AttributeError) as error:
        raise NoRuleError(f"{chosen.title} has no rule for a layer of this network.") from error
    return torch.nan_to_num(torch.cat(maps).detach(), 0.0, 0.0, 0.0)


def _maps(method: Attribution, scores: Scores, images: torch.Tensor, target: int | None) -> torch.Tensor:
    with torch.no_grad():
        classes = scores(images).argmax(1)
    if method.targeted and target is not None:
        classes = torch.full_like(classes, target)
    return method.maps(scores, images, classes)


def unfit(scores: Scores, image: torch.Tensor) -> dict[str, str]:
    """Why the methods that cannot be used on this network cannot, a sentence each, by name.

    Those that depend on its layers are tried on one image ``1 x C x H x W``.
    """
    found = {}
    for name, method in METHODS.items():
        if method.by_layers:
            try:
                attribution_maps(scores, image, name)
            except SettingsError as error:
                found[name] = str(error)
    return found
