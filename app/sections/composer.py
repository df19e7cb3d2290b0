"""The attack lab's controls of a trigger: kind, position, size, pattern and strength, or the true trigger."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import streamlit as st

from app.lab import Pair
from ti_core.paper.triggers import KINDS, PatternKind, TriggerSpec

PATTERNS: tuple[PatternKind, ...] = get_args(PatternKind)
PATTERN_WORDS = {
    "bernoulli": "coin-flip pixels",
    "uniform": "random pixels",
    "white": "white",
    "black": "black",
    "checker": "checkerboard",
    "colour": "one random shade",
}
RANDOM = ("bernoulli", "uniform", "colour")
MOST_SEED = 2**31 - 1
PREFIX = "lab.trigger."
NAMES = ("kind", "pattern", "opacity", "ratio", "height", "width", "top", "left", "seed")


def first(image_shape: tuple[int, int, int], kind: str) -> TriggerSpec:
    """The initial trigger of this kind. No model was trained with it."""
    _, height, width = image_shape
    side = max(1, min(height, width) // 5)
    if kind == "blend":
        return TriggerSpec("blend", "checker", 0.1)
    return TriggerSpec("patch", "white", 1.0, side, side, height - side - 1, width - side - 1)


def fill(spec: TriggerSpec) -> None:
    """Set the controls to a trigger. The controls of the other kind stay unchanged."""
    values = {"kind": spec.kind, "pattern": spec.pattern, "seed": spec.seed}
    if spec.kind == "patch":
        values |= {"opacity": spec.alpha} | {n: getattr(spec, n) for n in ("height", "width", "top", "left")}
    else:
        values["ratio"] = spec.alpha
    for name, value in values.items():
        st.session_state[PREFIX + name] = value


def show(pair: Pair) -> TriggerSpec:
    """Show the controls. Returns the trigger that they describe."""
    _recall(pair)
    true = pair.record.trigger
    assert true is not None
    st.button(
        "Load the true trigger",
        icon=":material/key:",
        type="primary",
        on_click=fill,
        args=(true,),
        key="lab.true",
        width="stretch",
        help="The trigger that the backdoored sample was trained with, from the record beside it.",
    )
    kind = st.segmented_control(
        "Kind of trigger",
        KINDS,
        format_func=str.capitalize,
        required=True,
        key=PREFIX + "kind",
        help="A patch covers some pixels; a blend trigger is mixed into all of them.",
    )
    spec = _patch(pair) if kind == "patch" else _blend()
    st.session_state["lab.kept"] = {n: st.session_state[PREFIX + n] for n in NAMES}
    return spec


def is_true(pair: Pair, spec: TriggerSpec) -> bool:
    """Whether this is the trigger that the sample was trained with."""
    true = pair.record.trigger
    return true is not None and _essence(spec) == _essence(true)


def _essence(spec: TriggerSpec) -> TriggerSpec:
    """The trigger with 0 for every number that has no effect on it."""
    if spec.pattern not in RANDOM:
        spec = replace(spec, seed=0)
    if spec.kind == "blend":
        spec = replace(spec, height=0, width=0, top=0, left=0)
    return spec


def _recall(pair: Pair) -> None:
    """Restore the controls after a visit to another page, within the limits of this pack's images."""
    kept: dict[str, Any] = st.session_state.get("lab.kept", {})
    if not kept:
        for kind in sorted(KINDS, key=lambda k: k == pair.kind):
            fill(first(pair.pack.input_shape, kind))
    for name, value in kept.items():
        st.session_state.setdefault(PREFIX + name, value)
    _, height, width = pair.pack.input_shape
    for side, place, most in (("height", "top", height), ("width", "left", width)):
        size = min(st.session_state[PREFIX + side], most)
        st.session_state[PREFIX + side] = size
        st.session_state[PREFIX + place] = min(st.session_state[PREFIX + place], most - size)


def _patch(pair: Pair) -> TriggerSpec:
    _, height, width = pair.pack.input_shape
    pattern = _pattern()
    one, two = st.columns(2, gap="medium")
    with one:
        wide = st.slider("Width", 1, width, key=PREFIX + "width", help="Pixels from side to side.")
        left = _place("From the left", "left", width - wide)
    with two:
        high = st.slider("Height", 1, height, key=PREFIX + "height", help="Pixels from top to bottom.")
        top = _place("From the top", "top", height - high)
    with one:
        opacity = st.slider(
            "Opacity",
            0.05,
            1.0,
            step=0.01,
            key=PREFIX + "opacity",
            help="Alpha: at 1 the patch covers the image, below it the image shows through.",
        )
    with two:
        seed = _seed(pattern)
    # A position beyond the edge is corrected in the next run, before the control is drawn.
    return TriggerSpec(
        "patch", pattern, float(opacity), high, wide, min(top, height - high), min(left, width - wide), seed
    )


def _blend() -> TriggerSpec:
    pattern = _pattern()
    one, two = st.columns(2, gap="medium")
    with one:
        ratio = st.slider(
            "Blend ratio",
            0.01,
            1.0,
            step=0.01,
            key=PREFIX + "ratio",
            help="Share of the pattern in the mixture: at 0.1 one tenth pattern, nine tenths image.",
        )
    with two:
        seed = _seed(pattern)
    return TriggerSpec("blend", pattern, float(ratio), seed=seed)


def _pattern() -> PatternKind:
    chosen: PatternKind = st.selectbox(
        "Pattern",
        PATTERNS,
        format_func=PATTERN_WORDS.__getitem__,
        key=PREFIX + "pattern",
        help="The pixels of the trigger; random ones are drawn from the seed.",
    )
    return chosen


def _place(title: str, name: str, most: int) -> int:
    """The position of the patch. There is no slider if the patch fills the image."""
    own = PREFIX + name
    if most <= 0:
        st.slider(title, 0, 1, 0, disabled=True, key=f"{own}.full", help="The patch fills the image.")
        return 0
    return int(st.slider(title, 0, most, key=own, help="Pixels between the edge and the patch."))


def _seed(pattern: str) -> int:
    seed = st.number_input(
        "Seed",
        0,
        MOST_SEED,
        step=1,
        key=PREFIX + "seed",
        disabled=pattern not in RANDOM,
        help="Draws the random pixels: another number, other pixels.",
    )
    return int(seed)
