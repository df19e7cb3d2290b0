"""The attacks by name."""

from __future__ import annotations

from ti_core.errors import SettingsError
from ti_core.zoo.attacks.base import Attack, AttackSpec, Shape
from ti_core.zoo.attacks.blends import AdaptiveBlend, LowFrequency
from ti_core.zoo.attacks.fixed import Blend, OnePixel, Patch
from ti_core.zoo.attacks.input_dependent import Generated, InvertedMiddle
from ti_core.zoo.attacks.inverted import InvertedPatch
from ti_core.zoo.attacks.patches import CleanLabelPatch, PatchAnywhere
from ti_core.zoo.attacks.stripes import Stripes
from ti_core.zoo.attacks.warp import Warp

ATTACKS: dict[str, type[Attack]] = {
    attack.name: attack
    for attack in (
        *(Patch, OnePixel, PatchAnywhere, CleanLabelPatch, InvertedPatch),
        *(Blend, LowFrequency, AdaptiveBlend),
        *(Stripes, Warp, InvertedMiddle, Generated),
    )
}


def made(spec: AttackSpec, shape: Shape) -> Attack:
    """The attack that the record describes, for images of this shape.

    Raises
    ------
    SettingsError : no attack has that name.
    """
    if spec.name not in ATTACKS:
        raise SettingsError(f"There is no attack {spec.name!r}; there are {', '.join(ATTACKS)}.")
    return ATTACKS[spec.name](shape, **spec.options)
