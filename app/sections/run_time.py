"""STRIP on the attack lab's stamped image. STRIP is a defence that checks the inputs of a model in use."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import lab, state, words
from app.charts.lab import Entropies, entropy_chart, shares
from app.charts.verdict import CONFIG
from app.lab import Pair, Subject
from app.markup.lab import picture
from app.markup.page import Picture, strip
from ti_core.errors import SettingsError
from ti_core.methods.lab.effect import answers
from ti_core.methods.lab.strip import FORMS, Form, boundary, draw_overlays, superimpose
from ti_core.paper.triggers import TriggerSpec

RATES = (0.005, 0.01, 0.02, 0.05, 0.1)
FORM_WORDS = {"sum": "sum, as in the paper", "average": "average"}
STRIP_SHOWN = 8


@st.fragment
def show(pair: Pair, index: int, spec: TriggerSpec) -> None:
    """The section. Its controls do not run the rest of the page again."""
    st.header("Seen at run time: STRIP")
    st.caption(
        "STRIP lays other clean images over the input and looks at how much the answers scatter. A clean image's"
        " answers do; a trigger that holds out against the other images keeps them on the attacker's class, so that"
        " their entropy is low. An input below the boundary is rejected. (Gao et al., ACSAC 2019)"
    )
    most = min(64, len(pair.pack.images) - 1)
    with st.container(horizontal=True, vertical_alignment="top", gap="medium"):
        count = st.slider(
            "Images laid over", min(4, most), most, min(32, most), key="lab.strip.count", width=240,
            help="N: how many other clean images each input is superimposed with.",
        )  # fmt: skip
        rate = st.select_slider(
            "False rejections", RATES, 0.01, format_func="{:.1%}".format, key="lab.strip.rate", width=240,
            help="The share of clean images that may be rejected. It sets the boundary, as if their entropies were"
            " normally distributed, as in the paper. So the share that is rejected can be another.",
        )  # fmt: skip
        form: Form = st.segmented_control(
            "Laid over as", FORMS, default=FORMS[0], format_func=FORM_WORDS.__getitem__, required=True,
            key="lab.strip.form", help="The sum is held at white; the average keeps half of either image.",
        )  # fmt: skip
        every = st.toggle(
            "Try all images stamped",
            key="lab.strip.every",
            help="Also try the images that set the boundary, stamped.",
        )
    try:
        with st.spinner("Laying images over one another"):
            found = [_entropies(s, pair, index, spec, count, rate, form, every) for s in pair.subjects]
    except SettingsError as error:
        st.info(words.safe(str(error)), icon=":material/info:")
        return
    _examples(pair, index, spec, count, form)
    ends = [v for f in found for v in (f.clean, [f.plain, f.triggered]) for v in v]
    width = max(0.1, 1.05 * float(max(ends)))
    tops = [shares(v, width).max() for f in found for v in (f.clean, f.stamped) if v is not None]
    top = 1.35 * float(max(tops))
    for column, subject, one in zip(st.columns(2, gap="large"), pair.subjects, found, strict=True):
        with column:
            st.markdown(f"**{subject.name.capitalize()}**")
            colours = state.colours()
            colour = colours.suspect if subject is pair.trojaned else colours.clean
            sentence = says(one, rate)
            st.plotly_chart(
                entropy_chart(one, width, top, colour, colours),
                theme=None,
                config=CONFIG,
                key=f"lab.strip.{subject.name}",
                alt=f"Entropies of the {subject.name}. {sentence}",
            )
            st.markdown(words.safe(sentence, 600))


def _entropies(
    subject: Subject,
    pair: Pair,
    index: int,
    spec: TriggerSpec,
    count: int,
    rate: float,
    form: Form,
    every: bool,
) -> Entropies:
    clean_at, one = lab.clean_indices(pair.pack), np.array([index], dtype=np.intp)
    clean = lab.strip_entropies(subject, pair.pack, clean_at, None, count, form)
    return Entropies(
        clean=clean,
        plain=float(lab.strip_entropies(subject, pair.pack, one, None, count, form)[0]),
        triggered=float(lab.strip_entropies(subject, pair.pack, one, spec, count, form)[0]),
        boundary=boundary(clean, rate),
        stamped=lab.strip_entropies(subject, pair.pack, clean_at, spec, count, form) if every else None,
    )


def says(found: Entropies, rate: float) -> str:
    """STRIP's decision on the stamped image, and its reliability with this model."""
    low = found.triggered < found.boundary
    clean = int((found.clean < found.boundary).sum())
    sentence = (
        f"With the trigger the answers have an entropy of {found.triggered:.2f} bits, without it {found.plain:.2f};"
        f" the boundary at {rate:.1%} false rejections is {found.boundary:.2f}. STRIP"
        f" {'rejects the stamped image' if low else 'lets the stamped image pass'}."
    )
    if found.boundary <= 0:
        sentence += (
            " The boundary lies at no entropy that occurs, so that nothing can be rejected at this rate."
        )
    sentence += f" It rejects {clean} of the {len(found.clean)} clean images"
    if found.stamped is not None:
        caught = int((found.stamped < found.boundary).sum())
        sentence += f", and {caught} of the {len(found.stamped)} when they are stamped"
    return sentence + "."


def _examples(pair: Pair, index: int, spec: TriggerSpec, count: int, form: Form) -> None:
    """Some of the superimposed images, with the backdoored model's answer to each."""
    pack = pair.pack
    over = pack.images[draw_overlays([index], len(pack.images), count)[0][:STRIP_SHOWN]]
    image = pack.images[index][None]
    stamped = spec.render(pack.input_shape).stamp(image)
    for title, base in (("Without the trigger", image), ("With the trigger", stamped)):
        mixed = superimpose(base.expand_as(over), over, form)
        seen = answers(pair.trojaned.classifier.scores, mixed).argmax(axis=1)
        shown: list[Picture] = []
        for mixture, c in zip(mixed.numpy(), seen, strict=True):
            name = words.plain(pack.class_names[int(c)], 20)
            shown.append(
                picture(mixture, f"{title}, another image laid over: answered {name}", f"answers {name}")
            )
        st.markdown(f"{title}, and what the backdoored model answers under {len(over)} of the {count} images")
        st.html(strip(shown, columns=STRIP_SHOWN, widest=84))
