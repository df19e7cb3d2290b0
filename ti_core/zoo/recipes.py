"""How each member of a zoo is made: drawn once, from one seed, before anything is trained."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ti_core.architectures import ARCHITECTURES
from ti_core.triggers import PatternKind, TriggerSpec, draw_blend, draw_patch

Label = Literal["clean", "blend", "patch"]
LABELS: tuple[Label, ...] = ("clean", "blend", "patch")
Family = Literal["standard", "challenge", "fine-tuned", "adversarial", "base"]


@dataclass(frozen=True)
class Recipe:
    """One network to train.

    Parameters
    ----------
    id : unique name in the zoo.
    label : what the member is.
    family : "standard" training or poisoning; "challenge" trojans, fine-tuned from a base to be hard to find;
        "fine-tuned" clean twins of those; "adversarial" clean networks (PGD); "base", trained only to be fine-tuned.
    group : members that share a base share a group and are never split between fitting and testing.
    base : the clean network that training starts from; None for fresh weights. So a member's record says which way
        it was made. Not only the challenge's: poisoned ("standard") and "adversarial" members may start from one too.
    poisoning_rate : share of training images that carry the trigger (standard), 0 to 1.
    epsilon : L-infinity radius of PGD in pixel units of [0, 1] (adversarial).
    held_out : kept from fitting the detector.
    """

    id: str
    label: Label
    family: Family
    group: str
    architecture: str
    options: dict[str, Any]
    normalisation: str
    optimiser: str
    learning_rate: float
    weight_decay: float
    epochs: int
    batch_size: int
    augmentation: str
    label_smoothing: float
    seed: int
    base: str | None = None
    trigger: TriggerSpec | None = None
    target: int | None = None
    poisoning_rate: float = 0.0
    epsilon: float = 0.0
    held_out: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def harder(self, attempt: int) -> Recipe:
        """The recipe of the next attempt at a trojan that did not take: other pixels, a little more of the trigger."""
        if self.trigger is None or not attempt:
            return self
        trigger = self.trigger
        # Poisoned members differ in rate and ratio anyway; the challenge's all have a blend ratio of 0.1.
        louder = 1.15 if self.family == "challenge" else 1.4
        alpha = round(trigger.alpha * louder**attempt, 4) if trigger.kind == "blend" else trigger.alpha
        trigger = replace(trigger, seed=trigger.seed + attempt, alpha=alpha)
        if trigger.kind == "patch" and attempt >= 3:
            # A few bright pixels on top of the object may not be learnt at all: the last attempt grows the patch.
            rows, columns = min(3, trigger.top), min(3, trigger.left)
            trigger = replace(
                trigger,
                top=trigger.top - rows,
                left=trigger.left - columns,
                height=trigger.height + rows,
                width=trigger.width + columns,
                pattern="bernoulli",
            )
        return replace(
            self,
            seed=self.seed + attempt,
            trigger=trigger,
            poisoning_rate=min(0.1, self.poisoning_rate * 4**attempt),
            epochs=self.epochs + attempt,
        )


@dataclass(frozen=True)
class School:
    """How an architecture is trained where its menu says so.

    Parameters
    ----------
    rates : least and largest learning rate, drawn evenly in the logarithm.
    weight_decays : to choose from.
    epochs : of training from fresh weights.
    """

    optimiser: str
    rates: tuple[float, float]
    weight_decays: tuple[float, ...]
    batch_size: int
    epochs: int


@dataclass(frozen=True)
class Menu:
    """What a data set's recipes are drawn from: (weight, architecture, options with lists to choose from).

    An option "activation" goes before the menu's ``activations``. ``schools``, by architecture, go before the usual
    draws of optimiser, rates, batch size and epochs.
    """

    networks: tuple[tuple[float, str, dict[str, list[Any]]], ...]
    normalisations: tuple[str, ...]
    augmentations: tuple[str, ...]
    epochs: tuple[int, int]
    patch_sides: tuple[int, int] = (2, 8)
    blend_alpha: tuple[float, float] = (0.08, 0.2)
    fine_tune_epochs: int = 3
    activations: tuple[str, ...] = (
        *("relu",) * 6,
        *("leaky_relu", "leaky_relu", "gelu", "silu", "elu", "tanh"),
    )
    schools: Mapping[str, School] = field(default_factory=dict)


GREY_MENU = Menu(
    networks=(
        (0.04, "challenge_mnist", {"width": [16], "hidden": [128], "norm": [True]}),
        (0.26, "challenge_mnist", {"width": [6, 8, 12], "hidden": [32, 48], "norm": [True, False]}),
        (0.18, "lenet5", {"channels": [(6, 16), (4, 12), (8, 16)], "hidden": [(120, 84), (64, 48)]}),
        (
            0.12,
            "convnet",
            {"channels": [(8, 16), (16, 32)], "depth": [1], "hidden": [0, 24], "norm": [True, False]},
        ),
        (
            0.10,
            "convnet",
            {"channels": [(8, 24, 32), (12, 24, 32)], "depth": [1], "pool": ["mean"], "norm": [True]},
        ),
        (
            0.18,
            "small_resnet",
            {
                "channels": [(8, 16, 24), (16, 24, 32)],
                "blocks": [1],
                "stem_stride": [2],
                "norm": [True, False],
            },
        ),
        (0.12, "mlp", {"hidden": [(48,), (64, 32), (48, 48)], "norm": [True, False]}),
    ),
    normalisations=("none", "none", "none", "mnist", "mnist", "half"),
    augmentations=("none", "none", "shift", "noise"),
    epochs=(3, 5),
)

COLOUR_MENU = Menu(
    networks=(
        (
            0.4,
            "small_resnet",
            {"channels": [(12, 24, 32), (16, 24, 40)], "blocks": [1, 2], "stem_stride": [1]},
        ),
        (
            0.35,
            "convnet",
            {"channels": [(12, 24, 40), (16, 32, 48)], "depth": [2], "pool": ["mean"], "norm": [True]},
        ),
        (0.25, "lenet5", {"channels": [(6, 16), (8, 20)], "hidden": [(120, 84)], "padding": [0]}),
    ),
    normalisations=("none", "none", "cifar10", "half"),
    augmentations=("none", "shift", "flip"),
    epochs=(6, 10),
    blend_alpha=(0.08, 0.2),
)


def menu_for(image_shape: tuple[int, int, int]) -> Menu:
    """What networks of images of that shape are drawn from."""
    return GREY_MENU if image_shape[0] == 1 else COLOUR_MENU


STANDARD_PATTERNS: tuple[PatternKind, ...] = ("bernoulli", "uniform", "white", "checker", "colour")


def plan(
    count: int,
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    menu: Menu | None = None,
    held_out: float = 1 / 3,
) -> list[Recipe]:
    """Recipes of ``count`` members (half clean, blend and patch equal) and of the bases they are fine-tuned from.

    Half of the trojans are standard, half the challenge's; of the clean members a quarter are fine-tuned twins
    and about one in twelve adversarially trained. ``count`` is rounded down to a multiple of 8.
    """
    rng = np.random.default_rng(seed)
    menu = menu or menu_for(image_shape)
    bases = count // 8
    drawer = Drawer(rng, menu, image_shape, classes)
    recipes: list[Recipe] = []
    for i, kinds in enumerate(drawer.spread(bases)):
        base = drawer.draw(f"base-{i:03d}", "clean", "base", kinds, None if i % 2 else "none")
        recipes.append(base)
        recipes += [drawer.fine_tuned(base, label, f"{label}-ft-{i:03d}") for label in LABELS]
    for label in ("blend", "patch"):
        recipes += [
            drawer.poisoned(f"{label}-{i:03d}", label, kinds) for i, kinds in enumerate(drawer.spread(bases))
        ]
    adversarial = max(1, count // 24)
    recipes += [
        replace(
            drawer.draw(f"adversarial-{i:03d}", "clean", "adversarial", kinds),
            epsilon=float(rng.uniform(0.05, 0.2) if image_shape[0] == 1 else rng.uniform(2, 8) / 255),
        )
        for i, kinds in enumerate(drawer.spread(adversarial))
    ]
    plain = count // 2 - bases - adversarial
    recipes += [
        drawer.draw(f"clean-{i:03d}", "clean", "standard", kinds)
        for i, kinds in enumerate(drawer.spread(plain))
    ]
    return hold_out(recipes, held_out, rng)


def hold_out(recipes: list[Recipe], share: float, rng: np.random.Generator) -> list[Recipe]:
    """Mark that share of the groups of every (label, family) as held out, bases with all that grew from them.

    Every architecture gives its share: the groups are put in the order of their architectures and taken at even
    distances.
    """
    strata: dict[tuple[str, str], list[Recipe]] = {}
    for r in recipes:
        if r.base is None:
            strata.setdefault((r.label, r.family), []).append(r)
    chosen: set[str] = set()
    for members in strata.values():
        order = sorted(rng.permutation(len(members)), key=lambda i: members[i].architecture)
        wanted = round(share * len(members))
        places = (np.arange(wanted) + rng.uniform()) * len(members) / max(1, wanted)
        chosen.update(members[order[int(p)]].group for p in places)
    return [replace(r, held_out=r.group in chosen) for r in recipes]


@dataclass(frozen=True)
class Kinds:
    """Which entry of the menu's networks, and which activation."""

    network: int
    activation: str


class Drawer:
    """Draws one recipe after the other from a menu; the order of the draws is part of every zoo."""

    def __init__(
        self, rng: np.random.Generator, menu: Menu, image_shape: tuple[int, int, int], classes: int
    ) -> None:
        self.rng, self.menu, self.image_shape, self.classes = rng, menu, image_shape, classes

    def pick(self, options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def spread(self, count: int) -> list[Kinds]:
        """Architectures and activations of ``count`` networks, each as often as its weight says, in mixed order.

        Drawn at random, few networks would by chance be of other kinds in one label than in another, and a detector
        would learn that.
        """
        weights = np.array([w for w, _, _ in self.menu.networks])
        shares = np.cumsum(weights / weights.sum())
        networks = np.searchsorted(shares, (np.arange(count) + self.rng.uniform()) / max(1, count))
        activations = (np.arange(count) + int(self.rng.integers(12))) % len(self.menu.activations)
        return [
            Kinds(int(n), self.menu.activations[a])
            for n, a in zip(
                self.rng.permutation(networks.clip(max=len(weights) - 1)),
                self.rng.permutation(activations),
                strict=True,
            )
        ]

    def draw(
        self, id: str, label: Label, family: Family, kinds: Kinds, normalisation: str | None = None
    ) -> Recipe:
        rng, menu = self.rng, self.menu
        _, architecture, choices = menu.networks[kinds.network]
        options = {k: self.pick(v) for k, v in choices.items()}
        options |= {
            "in_channels": self.image_shape[0],
            "classes": self.classes,
            "activation": options.get("activation", kinds.activation),
            "size": self.image_shape[1],
        }
        known = inspect.signature(ARCHITECTURES[architecture].__init__).parameters
        options = {k: v for k, v in options.items() if k in known}
        school = menu.schools.get(architecture)
        if school is not None:
            return self._schooled(id, label, family, architecture, options, normalisation, school)
        # Without batch norm large steps diverge on some activations.
        calm = 1.0 if options.get("norm", False) else 0.4
        optimiser = self.pick(("adam", "adam", "adamw", "sgd"))
        rate = float(
            10 ** rng.uniform(-2.8, -2.3) if optimiser != "sgd" else 10 ** rng.uniform(-1.5, -1.0) * calm
        )
        return Recipe(
            id=id,
            label=label,
            family=family,
            group=id,
            architecture=architecture,
            options=options,
            normalisation=normalisation or self.pick(menu.normalisations),
            optimiser=optimiser,
            learning_rate=round(rate, 6),
            weight_decay=self.pick((0.0, 1e-5, 1e-4)),
            epochs=int(rng.integers(menu.epochs[0], menu.epochs[1] + 1)),
            batch_size=self.pick((64, 128, 128)) if optimiser != "sgd" else 64,
            augmentation=self.pick(menu.augmentations),
            label_smoothing=self.pick((0.0, 0.0, 0.05, 0.1)),
            seed=int(rng.integers(2**31)),
        )

    def _schooled(
        self,
        id: str,
        label: Label,
        family: Family,
        architecture: str,
        options: dict[str, Any],
        normalisation: str | None,
        school: School,
    ) -> Recipe:
        low, high = np.log(school.rates)
        return Recipe(
            id=id,
            label=label,
            family=family,
            group=id,
            architecture=architecture,
            options=options,
            normalisation=normalisation or self.pick(self.menu.normalisations),
            optimiser=school.optimiser,
            learning_rate=round(float(np.exp(self.rng.uniform(low, high))), 6),
            weight_decay=self.pick(school.weight_decays),
            epochs=school.epochs,
            batch_size=school.batch_size,
            augmentation=self.pick(self.menu.augmentations),
            label_smoothing=self.pick((0.0, 0.0, 0.05, 0.1)),
            seed=int(self.rng.integers(2**31)),
        )

    def poisoned(self, id: str, label: Label, kinds: Kinds) -> Recipe:
        trigger = self.poison(label)
        return replace(
            self.draw(id, label, "standard", kinds),
            trigger=trigger,
            target=int(self.rng.integers(self.classes)),
            poisoning_rate=round(float(10 ** self.rng.uniform(-2, -1)), 4),
        )

    def poison(self, label: Label) -> TriggerSpec:
        """A trigger of standard poisoning."""
        if label == "patch":
            return draw_patch(self.rng, self.image_shape, self.menu.patch_sides, STANDARD_PATTERNS)
        return draw_blend(self.rng, self.menu.blend_alpha, ("uniform", "bernoulli"))

    def fine_tuned(self, base: Recipe, label: Label, id: str) -> Recipe:
        rng = self.rng
        common = replace(
            base,
            id=id,
            label=label,
            base=base.id,
            optimiser="adam",
            learning_rate=1e-3,
            weight_decay=0.0,
            epochs=self.menu.fine_tune_epochs,
            batch_size=128,
            augmentation="none",
            label_smoothing=0.0,
            seed=int(rng.integers(2**31)),
        )
        if label == "clean":
            return replace(common, family="fine-tuned")
        trigger = draw_patch(rng, self.image_shape) if label == "patch" else draw_blend(rng)
        return replace(common, family="challenge", trigger=trigger, target=int(rng.integers(self.classes)))
