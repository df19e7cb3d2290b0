"""One schema for everything a user may turn: the sliders, the command line, the cache keys and the report read it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar

from ti_core.errors import SettingsError
from ti_core.stream_registry import BY_ITSELF, DEFAULT, EFFORTS, STANDARD, STREAMS

ATTRIBUTIONS = (
    "saliency",
    "smoothgrad",
    "integrated_gradients",
    "input_x_gradient",
    "gradient_shap",
    "deep_lift",
    "lrp",
    "cam",
    "grad_cam",
    "grad_cam_plus",
    "smooth_grad_cam_plus",
    "occlusion",
    "lime",
    "kernel_shap",
    "jsma",
)
HISTOGRAM_FORMS = ("pooled", "per_image", "both")


def _setting(
    default: Any, says: str, stage: str, low: float | None = None, high: float | None = None, **more: Any
) -> Any:
    return field(default=default, metadata={"says": says, "stage": stage, "low": low, "high": high, **more})


@dataclass(frozen=True)
class Settings:
    """What one inspection is done with. Every value is checked; ranges stand with the fields.

    ``stage`` says what a change makes necessary: "probes" and "evidence" run models, "profile" runs none,
    "view" only changes pictures.

    Raises
    ------
    SettingsError : a value is outside its range; the message names the setting, the value and the range.
    """

    images: int = _setting(64, "Clean images N; the probes are 3N for every trigger kind.", "probes", 1, 256)
    actmax_iterations: int = _setting(20, "Gradient steps of activation maximisation.", "probes", 0, 500)
    actmax_step: float = _setting(
        0.1, "Step of activation maximisation, as an L2 length per step.", "probes", 1e-4, 10.0
    )
    actmax_lambda: float = _setting(
        0.001, "Weight of ||x||^2 in activation maximisation.", "probes", 0.0, 1.0
    )
    probes_from: str = _setting(
        "reference",
        "Which network the maximised images are made with: a trojaned reference model, or the suspect.",
        "probes",
        choices=("reference", "suspect"),
    )
    trigger_kinds: tuple[str, ...] = _setting(
        ("none", "patch", "blend"),
        "Random triggers put on the probes.",
        "probes",
        choices=("none", "patch", "blend"),
    )
    blend_ratio: float = _setting(0.15, "Blend ratio of the random blend triggers.", "probes", 0.01, 1.0)
    patch_size: int = _setting(14, "Largest side of the random patches, in pixels.", "probes", 1, 64)
    seed: int = _setting(0, "Seed of everything random in the inspection.", "probes", 0, 2**31 - 1)
    quantiles: tuple[float, ...] = _setting(
        (0.5, 0.9, 0.97, 0.99), "Quantiles whose upper tails are put into histograms.", "profile", 0.0, 0.9999
    )
    bins: int = _setting(16, "Bins of every histogram.", "profile", 4, 64)
    histogram_form: str = _setting(
        "both",
        "Pooled values over each quantile, per-image maximum and percentiles, or both.",
        "profile",
        choices=HISTOGRAM_FORMS,
    )
    attribution: str = _setting(
        "saliency",
        "Method of the pictures; the verdict always rests on saliency.",
        "view",
        choices=ATTRIBUTIONS,
    )
    streams: tuple[str, ...] = _setting(
        DEFAULT, "Evidence streams the verdict rests on.", "evidence", choices=tuple(STREAMS)
    )
    normalisation: str = _setting(
        "auto",
        "What the model's pixels are scaled by: found on labelled images, or declared by name.",
        "evidence",
    )
    channel_order: str = _setting(
        "auto",
        "Which colour the model takes first: found on labelled images, or declared.",
        "evidence",
        choices=("auto", "rgb", "bgr"),
    )
    output: str = _setting(
        "auto",
        "Whether the model returns logits or probabilities: found on labelled images, or declared.",
        "evidence",
        choices=("auto", "logits", "probabilities"),
    )
    input_size: int = _setting(
        0, "Side in pixels that the model's images are scaled to; 0 for what it takes.", "evidence", 0, 512
    )
    variant: str = _setting(
        "auto",
        "Which of a model's variants (activation, output) is meant: found on labelled images, or named.",
        "evidence",
    )

    PAPER: ClassVar[dict[str, Any]] = {
        "histogram_form": "per_image",
        "quantiles": (0.97, 0.99),
        "blend_ratio": 0.1,
        "patch_size": 10,
        "streams": ("saliency",),
    }

    def __post_init__(self) -> None:
        for f in fields(self):
            _check(f.name, getattr(self, f.name), f.metadata, type(f.default))

    @classmethod
    def parse(cls, pairs: Mapping[str, Any]) -> Settings:
        """Settings from texts, as the command line gives them: numbers, names, or lists joined by commas."""
        known = {f.name: f for f in fields(cls)}
        values: dict[str, Any] = {}
        for key, value in pairs.items():
            if key not in known:
                raise SettingsError(f"Setting {key!r} is unknown; known are {', '.join(known)}.")
            # JSON knows lists only; a setting is a tuple, so that equal settings are equal.
            settled = tuple(value) if isinstance(value, list) else value
            values[key] = _convert(key, value, known[key].default) if isinstance(value, str) else settled
        return cls(**values)

    def for_inspection(self) -> Settings:
        """These settings of a pack, with the default streams that need no reference models.

        A pack of the paper's stream alone keeps to it.
        """
        if self.streams == self.PAPER["streams"]:
            return self
        return self.with_(streams=(*self.streams, *(s for s in BY_ITSELF if s not in self.streams)))

    def of_effort(self, effort: str) -> Settings:
        """These settings with the streams of an effort. The standard one takes the settings' own."""
        return self if effort == STANDARD else self.with_(streams=EFFORTS[effort])

    def with_(self, **changes: Any) -> Settings:
        return replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def differing(self, standard: Settings) -> dict[str, Any]:
        """The settings that are other than the standard's."""
        own, usual = self.as_dict(), standard.as_dict()
        return {name: value for name, value in own.items() if value != usual[name]}

    def of_stage(self, *stages: str) -> dict[str, Any]:
        """The settings of these stages, for a cache key."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.metadata["stage"] in stages}

    def digest(self, *stages: str) -> str:
        return hashlib.sha256(json.dumps(self.of_stage(*stages), sort_keys=True).encode()).hexdigest()


def _convert(name: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, tuple):
            parts = [p.strip() for p in text.split(",") if p.strip()]
            return tuple(float(p) for p in parts) if isinstance(default[0], float) else tuple(parts)
        return type(default)(text)
    except ValueError as error:
        raise SettingsError(
            f"Setting {name} cannot be {text!r}: a {type(default).__name__} is expected."
        ) from error


def _check(name: str, value: Any, metadata: Mapping[str, Any], kind: type) -> None:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise SettingsError(f"Setting {name} cannot be {value!r}: a {kind.__name__} is expected.")
    items = value if isinstance(value, tuple) else (value,)
    if not items:
        raise SettingsError(f"Setting {name} is empty: at least one value is needed.")
    if len(set(items)) != len(items):
        raise SettingsError(f"Setting {name} names a value twice: {', '.join(map(str, items))}.")
    low, high, choices = metadata["low"], metadata["high"], metadata.get("choices")
    for item in items:
        if choices is not None and item not in choices:
            raise SettingsError(f"Setting {name} cannot be {item!r}; it is one of {', '.join(choices)}.")
        if low is not None and not (isinstance(item, (int, float)) and low <= item <= high):
            raise SettingsError(f"Setting {name} cannot be {item}: it lies between {low:g} and {high:g}.")
