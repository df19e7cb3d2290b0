"""What one member of a zoo is made of, and how it is tried again where that fails."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ti_core.paper.triggers import PatternKind, TriggerSpec

Label = Literal["clean", "blend", "patch"]
LABELS: tuple[Label, ...] = ("clean", "blend", "patch")
Precision = Literal["float32", "bfloat16"]
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
    begun_from : of a base, the network of another data set whose layers it begins with, all but the last (transfer);
        "cifar10/base-000" is the one of the folder cifar10.
    poisoning_rate : share of training images that carry the trigger (standard), 0 to 1.
    epsilon : L-infinity radius of PGD in pixel units of [0, 1] (adversarial).
    precision : of convolutions and products while training: "float32", or "bfloat16", which takes about half the time
        where the processor has instructions for it and is left undone where it has none; weights and scores stay in
        single precision.
    small_epochs : how many of the first epochs see the images at three quarters of their side, in half the time
        (progressive resizing).
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
    begun_from: str | None = None
    trigger: TriggerSpec | None = None
    target: int | None = None
    poisoning_rate: float = 0.0
    epsilon: float = 0.0
    precision: Precision = "float32"
    small_epochs: int = 0
    held_out: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def calmer(self) -> Recipe:
        """The recipe of the next attempt where the training went astray: smaller steps, less adversarial noise."""
        return replace(
            self,
            seed=self.seed + 1,
            learning_rate=round(0.4 * self.learning_rate, 7),
            epsilon=round(0.7 * self.epsilon, 6),
        )

    def harder(self, attempt: int) -> Recipe:
        """The recipe of the next attempt at a trojan that did not take: other pixels, a little more of the trigger.

        Plain patches get random pixels, since a white one on white stays unseen however long it is trained. The
        challenge's course takes steps twice as large, by which alone a convolutional network of 91k parameters learnt a
        blend to .94 instead of .90.
        """
        if self.trigger is None or not attempt:
            return self
        trigger = self.trigger
        # Poisoned members differ in rate and ratio anyway; the challenge's all have a blend ratio of 0.1.
        louder = 1.15 if self.family == "challenge" else 1.4
        alpha = round(trigger.alpha * louder**attempt, 4) if trigger.kind == "blend" else trigger.alpha
        pattern: PatternKind = trigger.pattern if trigger.kind == "blend" else "bernoulli"
        trigger = replace(trigger, seed=trigger.seed + attempt, alpha=alpha, pattern=pattern)
        if trigger.kind == "patch" and attempt >= 3:
            # A few bright pixels on top of the object may not be learnt at all: the last attempt grows the patch.
            rows, columns = min(3, trigger.top), min(3, trigger.left)
            trigger = replace(
                trigger,
                top=trigger.top - rows,
                left=trigger.left - columns,
                height=trigger.height + rows,
                width=trigger.width + columns,
            )
        return replace(
            self,
            seed=self.seed + attempt,
            trigger=trigger,
            learning_rate=2 * self.learning_rate if self.family == "challenge" else self.learning_rate,
            poisoning_rate=min(0.1, self.poisoning_rate * 4**attempt),
            epochs=self.epochs + attempt,
        )
