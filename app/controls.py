"""Controls made from the schema of the settings. Each field has one control with one line of help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field, fields
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ti_core.classifier.normalisation import NORMALISATIONS
from ti_core.settings import Settings

TITLES = {
    "images": "Images N",
    "actmax_iterations": "Activation maximisation: iterations",
    "actmax_step": "Activation maximisation: step size",
    "actmax_lambda": "Activation maximisation: lambda",
    "probes_from": "Probes made with",
    "trigger_kinds": "Random triggers",
    "blend_ratio": "Blend ratio",
    "patch_size": "Patch size",
    "seed": "Seed",
    "quantiles": "Quantiles",
    "bins": "Bins",
    "histogram_form": "Histogram form",
    "attribution": "Pictures show",
    "streams": "Evidence streams",
    "normalisation": "Pixel scaling",
    "channel_order": "Order of the colours",
    "output": "What the model returns",
    "input_size": "Side of its images",
    "variant": "Variant of the network",
}

CHOICES = {
    "reference": "a trojaned reference model",
    "suspect": "the suspect itself",
    "none": "no trigger",
    "patch": "patch",
    "blend": "blend",
    "pooled": "pooled values",
    "per_image": "per image",
    "both": "both",
    "saliency": "saliency",
    "smoothgrad": "SmoothGrad",
    "integrated_gradients": "integrated gradients",
    "input_x_gradient": "input times gradient",
    "gradient_shap": "GradientSHAP",
    "deep_lift": "DeepLIFT",
    "lrp": "LRP",
    "cam": "CAM",
    "grad_cam": "Grad-CAM",
    "grad_cam_plus": "Grad-CAM++",
    "smooth_grad_cam_plus": "Smooth Grad-CAM++",
    "occlusion": "occlusion",
    "lime": "LIME",
    "kernel_shap": "Kernel SHAP",
    "jsma": "JSMA",
    "auto": "found on labelled images",
    "rgb": "red first",
    "bgr": "blue first",
    "logits": "logits",
    "probabilities": "probabilities",
}

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Probe images",
        (
            "images",
            "probes_from",
            "trigger_kinds",
            "blend_ratio",
            "patch_size",
            "actmax_iterations",
            "actmax_step",
            "actmax_lambda",
            "seed",
        ),
    ),
    ("Histograms", ("histogram_form", "quantiles", "bins")),
    (
        "Evidence and pictures",
        ("streams", "attribution", "normalisation", "channel_order", "output", "input_size", "variant"),
    ),
)


def schema() -> dict[str, Field[Any]]:
    """The fields of :class:`Settings` by name."""
    return {f.name: f for f in fields(Settings)}


def key(prefix: str, name: str) -> str:
    return f"{prefix}.{name}"


def fill(prefix: str, settings: Settings) -> None:
    """Set every control of a group to these settings. Call it before the controls are drawn, or in a callback."""
    for name, value in settings.as_dict().items():
        st.session_state[key(prefix, name)] = list(value) if isinstance(value, tuple) else value


def control(prefix: str, name: str, options: Sequence[str] | None = None) -> Any:
    """One control and its value, as the schema describes the field.

    Parameters
    ----------
    options : the choices on offer. By default, all choices of the schema.
    """
    field = schema()[name]
    own = key(prefix, name)
    if own not in st.session_state:
        default = field.default
        st.session_state[own] = list(default) if isinstance(default, tuple) else default
    meta, titled = field.metadata, title(name)
    common: dict[str, Any] = {"help": meta["says"], "key": own}
    if name == "quantiles":
        kept = sorted({*QUANTILES, *st.session_state[own]})
        return st.multiselect(titled, kept, format_func=lambda q: f"{q:g}", **common)
    if name == "normalisation":
        return st.selectbox(titled, ["auto", *NORMALISATIONS], format_func=_scaling, **common)
    choices = options or meta.get("choices")
    if choices is not None:
        if isinstance(field.default, tuple):
            return st.pills(titled, choices, selection_mode="multi", format_func=_choice, **common)
        if len(choices) <= 3:
            return st.segmented_control(titled, choices, format_func=_choice, required=True, **common)
        return st.selectbox(titled, choices, format_func=_choice, **common)
    kind = type(field.default)
    if kind is str:
        return st.text_input(titled, **common)
    low, high = kind(meta["low"]), kind(meta["high"])
    if kind is int and high <= 512:
        return st.slider(titled, low, high, **common)
    step = 1 if kind is int else None
    extra = {"format": "%g"} if kind is float else {}
    return st.number_input(titled, low, high, step=step, **extra, **common)


def read(prefix: str) -> Settings:
    """The settings that a group's controls show. Settings without a control have their default.

    Raises
    ------
    SettingsError : the settings are not valid, for example if a required choice is empty.
    """
    values = {
        name: st.session_state[key(prefix, name)]
        for name in schema()
        if key(prefix, name) in st.session_state
    }
    return Settings.parse({k: _settled(k, v) for k, v in values.items()})


def keep(prefix: str, *others: str) -> None:
    """Keep the values of a group's controls and of other keys. Streamlit drops those that this run does not draw."""
    for own in (*(key(prefix, name) for name in schema()), *others):
        if own in st.session_state:
            st.session_state[own] = st.session_state[own]


def paper(own: Settings) -> Settings:
    """These settings with those changed that section 5 of the paper fixes."""
    return own.with_(**Settings.PAPER)


def unfolded(label: str, own: str) -> DeltaGenerator | None:
    """A panel of controls that is folded at first; None while it is. What is in it is sent once it is opened.

    Parameters
    ----------
    own : the key of the panel.
    """
    box = st.expander(label, icon=":material/tune:", key=own, on_change="rerun")
    return box if box.open else None


def in_columns(prefix: str) -> None:
    """The controls of all settings, a column for each group."""
    for column, (heading, names) in zip(st.columns(len(GROUPS), gap="large"), GROUPS, strict=True):
        with column:
            st.markdown(f"**{heading}**")
            for name in names:
                control(prefix, name)


def title(name: str) -> str:
    """What the control of a setting is called."""
    return TITLES.get(name, name.replace("_", " ").capitalize())


def in_words(name: str, value: Any) -> tuple[str, str]:
    """A setting as the page names it: the title of its control, and its value."""
    items = value if isinstance(value, (list, tuple)) else (value,)
    return f"“{title(name)}”", ", ".join(map(_item, items))


def _settled(name: str, value: Any) -> Any:
    default = schema()[name].default
    if isinstance(default, tuple):
        order = schema()[name].metadata.get("choices")
        chosen = value or []
        return tuple(sorted(chosen, key=order.index) if order else sorted(chosen))
    return default if value is None or value == "" else type(default)(value)


def _item(value: str | int | float) -> str:
    return (
        _choice(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    )


def _choice(value: str) -> str:
    return CHOICES.get(value, value.replace("_", " "))


def _scaling(value: str) -> str:
    return CHOICES["auto"] if value == "auto" else NORMALISATIONS[value].says
