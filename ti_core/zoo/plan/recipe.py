"""The recipe of one network, and the recipes of further attempts if its training fails."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ti_core.paper.triggers import PatternKind, TriggerSpec
from ti_core.zoo.attacks.base import AttackSpec, TriggerKind
from ti_core.zoo.attacks.mapping import reachable_success

Label = Literal["clean"] | TriggerKind
LABELS: tuple[Label, ...] = ("clean", "blend", "patch")
"""The labels of the paper's own zoo. :mod:`ti_core.zoo.plan.kinds` has further kinds of trigger."""
Precision = Literal["float32", "bfloat16"]
Family = str
Regime = Literal[
    "", "certified", "private", "another task first", "cleansed by fine-tuning", "cleansed by pruning"
]


@dataclass(frozen=True)
class Recipe:
    """One network to train.

    Parameters
    ----------
    id : a name that is unique in the zoo.
    label : "clean", or the kind of its trigger.
    family : "standard" training or poisoning; "challenge" trojans, fine-tuned from a base to be hard to find;
        "fine-tuned" clean twins of those; "adversarial" clean networks (PGD); "base", trained only to be fine-tuned; or
        a family of :mod:`ti_core.zoo.plan.kinds`.
    group : members of one base share a group. A group is never split between fitting and testing.
    base : the clean network that training starts from; None for fresh weights. Members of all families may start from
        one.
    begun_from : for a base, the network of another data set whose layers it starts with, except the last (transfer).
        "cifar10/base-000" is the network base-000 of the folder cifar10.
    poisoning_rate : share of training images that carry the trigger (standard), 0 to 1.
    epsilon : L-infinity radius of PGD in pixel units of [0, 1] (adversarial), or of the certified ball.
    attack : how the training images are poisoned. It replaces ``trigger`` and ``poisoning_rate``.
    regime : training that is not standard; see :mod:`ti_core.zoo.regimes`.
    precision : of convolutions and matrix products in training: "float32" or "bfloat16". The latter takes about half
        the time; it is ignored if the processor has no instructions for it. Weights and scores are in single precision.
    small_epochs : number of first epochs with images at three quarters of their side, which take half the time
        (progressive resizing).
    held_out : whether the member is held out from fitting the detector.
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
    attack: AttackSpec | None = None
    regime: Regime = ""
    held_out: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def learnt(self, attack_success: float | None, clean_accuracy: float, minimum: float) -> bool:
        """Whether the trained network is what its label says.

        A backdoor needs at least the share ``minimum`` of the success that a network of this accuracy can reach. A
        cleansed network counts as clean, even if a part of its backdoor is left.
        """
        if self.label == "clean":
            return True
        mapping = self.attack.mapping.kind if self.attack else "all to one"
        reachable = reachable_success(mapping, clean_accuracy)
        return attack_success is not None and attack_success >= minimum * reachable

    def calmer(self) -> Recipe:
        """The recipe of the next attempt after the training diverged: smaller steps and a smaller PGD radius."""
        return replace(
            self,
            seed=self.seed + 1,
            learning_rate=round(0.4 * self.learning_rate, 7),
            epsilon=round(0.7 * self.epsilon, 6),
        )

    def harder(self, attempt: int) -> Recipe:
        """The recipe of the next attempt after a trojan's attack success was too low: a stronger, different trigger.

        Uniform patches get random pixels, since a white patch on a white background is invisible. The challenge's
        fine-tuning doubles its learning rate. This alone raised the attack success of a blend from .90 to .94 on a
        convolutional network of 91,000 parameters.
        """
        if self.attack is not None and attempt:
            again, attack = replace(self, seed=self.seed + attempt, epochs=self.epochs + attempt), self.attack
            for _ in range(attempt):
                attack = attack.louder()
            return replace(again, attack=attack)
        if self.trigger is None or not attempt:
            return self
        trigger = self.trigger
        # Poisoned members have various blend ratios. The challenge's all have 0.1, so their increase is smaller.
        louder = 1.15 if self.family == "challenge" else 1.4
        alpha = round(trigger.alpha * louder**attempt, 4) if trigger.kind == "blend" else trigger.alpha
        pattern: PatternKind = trigger.pattern if trigger.kind == "blend" else "bernoulli"
        trigger = replace(trigger, seed=trigger.seed + attempt, alpha=alpha, pattern=pattern)
        if trigger.kind == "patch" and attempt >= 3:
            # A few bright pixels on the object may not be learnt at all, so the last attempt enlarges the patch.
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
