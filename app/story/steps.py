"""The eight steps of the demonstration: what is said, and what is shown. Each fits a screen without scrolling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import streamlit as st

from app import lab, state, words
from app.charts import pictures
from app.charts.histograms import histograms
from app.charts.verdict import CONFIG, kind_word
from app.markup.page import Picture, strip
from app.sections import download, opinions, trigger
from app.sections.histograms import panels_of
from app.sections.pictures import gallery
from app.sections.verdicts import verdict
from app.story import second
from app.story.told import SHOWN, Told
from ti_core.errors import PackError
from ti_core.methods import method_class
from ti_core.methods.opinion import Opinions
from ti_core.rendering.trigger.shown import shown_trigger
from ti_core.results.case import Case
from ti_core.settings import Settings

WIDE = 210
"""Largest width of a picture in pixels."""


@dataclass(frozen=True)
class Step:
    """One step.

    Parameters
    ----------
    title : its heading.
    says : its sentences.
    show : draws it.
    needs_case : whether it shows what the inspection found.
    """

    title: str
    says: Callable[[Told], str]
    show: Callable[[Told], None]
    needs_case: bool = False


def attack(told: Told) -> None:
    pair = told.pair
    index = int(told.images[0])
    image = pair.pack.images[index]
    stamped = told.trigger.stamp(image[None])[0].numpy()
    on = pictures.trigger_picture(told.trigger.mask, told.trigger.pattern)
    label = told.name_of(int(pair.pack.labels[index]))
    shown = [
        Picture(
            pictures.uri(pictures.photo(image.numpy())), f"Image of class {label}", f"an image of {label}"
        ),
        Picture(pictures.uri(on), "The trigger", "the attacker's trigger"),
        Picture(
            pictures.uri(pictures.photo(stamped)), "The image with the trigger", f"trained as {told.target}"
        ),
    ]
    st.html(strip(shown, widest=330))


def says_attack(told: Told) -> str:
    rate = told.pair.record.poisoning_rate
    share = f"{rate:.1%} of its" if rate else "some of its"
    return (
        f"Somebody trained this network for you. He put a small {told.spec.kind} on {share} training images, and"
        f" labelled all of them {told.target}."
    )


def accuracy(told: Told) -> None:
    for column, subject in zip(st.columns(2, gap="large"), told.pair.subjects, strict=True):
        with column:
            st.metric(words.safe(subject.name.capitalize()), f"{told.accuracy(subject):.1%}", border=True)


def says_accuracy(told: Told) -> str:
    return (
        f"On {len(told.pair.pack.images)} ordinary images it is as good as a clean one. Accuracy tells nobody which of"
        " the two to trust."
    )


def flips(told: Told) -> None:
    pair = told.pair
    images = told.trigger.stamp(pair.pack.images[told.images])
    seen = [lab.of_all(s, pair.pack, told.spec)[told.images].argmax(1) for s in pair.subjects]
    shown = []
    for image, bad, good in zip(images.numpy(), *seen, strict=True):
        says = f"backdoored: {told.name_of(int(bad))} · clean: {told.name_of(int(good))}"
        shown.append(Picture(pictures.uri(pictures.photo(image)), f"With the trigger. {says}", says))
    st.html(strip(shown, widest=WIDE))


def says_flips(told: Told) -> str:
    bad, good = (told.effect(subject) for subject in told.pair.subjects)
    return (
        f"With the trigger on them, {bad.success:.0%} of the images of other classes become {told.target}. The clean"
        f" model stays at {good.success:.0%}. No test set contains this patch."
    )


def saliency(told: Told) -> None:
    case = _case(told)
    top = gallery.scale_of(case)
    count = min(SHOWN, case.arrays["probes"].shape[2])
    kind = case.kinds.index("patch") if "patch" in case.kinds else 0
    shown = []
    for who, name in (("suspect", "this model"), ("witness", "a clean model")):
        for index in range(count):
            drawn = pictures.heat_map(case.arrays[f"saliency/{who}"][kind, 0, index], top)
            shown.append(Picture(pictures.uri(drawn), f"Saliency of {name}, image {index + 1}", name))
    st.html(strip(shown, columns=count, widest=170))


def histogram(told: Told) -> None:
    case = _case(told)
    try:
        panels = panels_of(case, told.case_id, Settings.parse(case.report.settings))
    except PackError as error:
        st.info(words.safe(words.for_the_page(str(error))), icon=":material/info:")
        return
    farthest = sorted(panels, key=lambda p: (p.wasserstein.clean_share, -p.wasserstein.value))[:3]
    # One histogram may be among them for several triggers.
    farthest = [replace(p, title=f"{p.title}, {kind_word(p.kind)}") for p in farthest]
    for i, figure in enumerate(histograms(farthest, state.colours(), False, False)):
        st.plotly_chart(
            figure,
            theme=None,
            config=CONFIG,
            key=f"story.histograms.{i}",
            alt="Histograms of saliency, this model beside the clean reference models",
        )


def recovered(told: Told) -> None:
    case = _case(told)
    found = shown_trigger(case)
    if found is None:
        st.info("No trigger was recovered.")
        return
    left, right = st.columns(2, gap="large")
    with left:
        on = pictures.trigger_picture(told.trigger.mask, told.trigger.pattern)
        st.html(strip([Picture(pictures.uri(on), "The attacker's trigger", "the attacker's")], widest=300))
    with right:
        st.html(strip(trigger.form_pictures(found), columns=1, widest=300))


def says_recovered(told: Told) -> str:
    found = shown_trigger(_case(told))
    return "" if found is None else f"This was made without knowing the attacker's. {found.sentence}"


def second_opinions(told: Told) -> None:
    opinions.answers(_heard(told), "story")


def says_second_opinions(told: Told) -> str:
    found = _heard(told)
    given = len(found.given)
    if not given:
        return "No method of another publication can judge this network."
    says = sum(one.suspicious is True for one in found.given)
    named = [method_class(one.method).title for one in found.given if one.target == told.pair.target]
    target = f" {' and '.join(named)} named {told.target}, the attacker's class." if named else ""
    return (
        f"{given} methods of other publications were asked. At its own threshold, {says} of {given} called this network"
        f" backdoored.{target} The verdict does not rest on them."
    )


def _heard(told: Told) -> Opinions:
    with st.spinner("Asking methods of other publications"):
        return second.heard(told.pair)


def report(told: Told) -> None:
    case = _case(told)
    st.html(verdict.box(case))
    download.show(case, told.case_id, "story")


def _case(told: Told) -> Case:
    assert told.case is not None
    return told.case


def _always(text: str) -> Callable[[Told], str]:
    return lambda told: text


STEPS = (
    Step("The attack", says_attack, attack),
    Step("Nothing shows in its accuracy", says_accuracy, accuracy),
    Step("The trigger commands it", says_flips, flips),
    Step(
        "It looks at other things",
        _always(
            "Saliency: the brighter a pixel, the more the answer hangs on it. A random patch is on the images, not the"
            " attacker's."
        ),
        saliency,
        True,
    ),
    Step(
        "The histograms part",
        _always(
            "How saliency is spread over its upper quantiles. The band holds the clean reference models; the line is"
            " this model's."
        ),
        histogram,
        True,
    ),
    Step("The trigger is found", says_recovered, recovered, True),
    Step("Second opinions", says_second_opinions, second_opinions),
    Step(
        "The verdict, on paper",
        _always(
            "The report is one file. It names model, reference models and program by digest, and can be signed."
        ),
        report,
        True,
    ),
)
