"""The page Attack lab: put a trigger on a real image and compare the answers of a backdoored and a clean model."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import lab, state, words
from app.charts import pictures
from app.charts.lab import answer_bars, success_bars
from app.charts.verdict import CONFIG
from app.lab import Pair, Subject
from app.markup.lab import STYLE, answer, exact, picture
from app.markup.page import Picture
from app.sections import composer, run_time
from ti_core.errors import TrojanInterpretError
from ti_core.methods.lab.effect import Effect, Flip, answers, effect, flip, leading
from ti_core.paper.triggers import Trigger, TriggerSpec
from ti_core.results.report import percent

MOST_CLASSES = 10
KIND_WORDS = {"patch": "Patch backdoor", "blend": "Blend backdoor"}


def page() -> None:
    st.html(STYLE)
    st.title("Attack lab")
    st.markdown(
        "Put a trigger on a real image, and see what a backdoored model and a clean one make of it. Nothing here"
        " leaves this machine, and both models are samples that come with the program."
    )
    chosen = _choose()
    if chosen is None:
        return
    pair, index = chosen
    controls, shown = st.columns([1, 2], gap="large")
    with controls:
        spec = composer.show(pair)
    trigger = spec.render(pair.pack.input_shape)
    image = pair.pack.images[index]
    stamped = trigger.stamp(image[None])[0]
    with shown:
        _pictures(pair, index, trigger, stamped.numpy(), spec)
    _answers(pair, index, trigger, composer.is_true(pair, spec))
    _all_images(pair, spec)
    run_time.show(pair, index, spec)


def _choose() -> tuple[Pair, int] | None:
    """The pair of models and the image. Without them, a message is shown and None is returned."""
    offered = lab.offered()
    if not offered:
        st.info(
            "This needs a clean sample and a backdoored one of the same data set, and none are bundled here."
        )
        return None
    with st.container(border=True), st.container(horizontal=True, vertical_alignment="top", gap="medium"):
        packs = list(offered)
        pack_name = packs[0]
        if len(packs) > 1:
            pack_name = _kept(
                "lab.pack", packs, st.selectbox, "Data set", width=160, format_func=words.data_set
            )
        kinds = [k for k in ("patch", "blend") if k in offered[pack_name]]
        kind = _kept(
            "lab.kind",
            kinds,
            st.segmented_control,
            "Backdoored model",
            format_func=KIND_WORDS.__getitem__,
            required=True,
            help="Its clean counterpart is always shown beside it.",
        )
        try:
            pair = lab.pair(pack_name, kind)
            labels = pair.pack.labels.numpy()
        except TrojanInterpretError as error:
            st.warning(words.safe(words.for_the_page(str(error)), 600), icon=":material/warning:")
            return None
        return pair, _image(pair, labels)


def _image(pair: Pair, labels: np.ndarray) -> int:
    """The index of the image, chosen by its class and its number within the class."""
    present = [int(c) for c in np.unique(labels)]
    # An image of the target class cannot be seen to flip.
    present.sort(key=lambda c: (c == pair.target, c))
    chosen = _kept(
        f"lab.class.{pair.pack.name}",
        present,
        st.selectbox,
        "Image of class",
        format_func=lambda c: (
            words.plain(pair.pack.class_names[c], 40) + (" (the attacker's)" if c == pair.target else "")
        ),
        width=200,
    )
    own = np.flatnonzero(labels == chosen)
    if len(own) == 1:
        return int(own[0])
    key = f"lab.image.{pair.pack.name}"
    st.session_state[key] = min(st.session_state.get(key, st.session_state.get(f"{key}.kept", 1)), len(own))
    number = st.slider("Which of its images", 1, len(own), key=key, width=260)
    st.session_state[f"{key}.kept"] = number
    return int(own[number - 1])


def _kept(key: str, options: list, widget, title: str, **more):  # type: ignore[no-untyped-def]
    """A choice that stays as it was left after a visit to another page, as long as it is still offered."""
    kept = st.session_state.get(key, st.session_state.get(f"{key}.kept"))
    st.session_state[key] = kept if kept in options else options[0]
    chosen = widget(title, options, key=key, **more)
    st.session_state[f"{key}.kept"] = chosen
    return chosen


def _pictures(pair: Pair, index: int, trigger: Trigger, stamped: np.ndarray, spec: TriggerSpec) -> None:
    names = pair.pack.class_names
    true = words.plain(names[int(pair.pack.labels[index])], 30)
    on = pictures.trigger_picture(trigger.mask, trigger.pattern)
    what = "the pattern" if spec.kind == "blend" else "grey lets the image through"
    st.html(
        exact(
            [
                picture(pair.pack.images[index].numpy(), f"Image of class {true}", f"Original, class {true}"),
                Picture(pictures.uri(on), f"The {spec.kind} trigger", f"Trigger: {what}"),
                picture(stamped, f"The image with the {spec.kind} trigger", "Stamped"),
            ],
            pair.pack.input_shape[2],
        )
    )
    if composer.is_true(pair, spec):
        taught = words.safe(names[pair.target], 30)
        rate = pair.record.poisoning_rate
        where = f"{rate:.1%} of the images it was trained on" if rate else "images it was trained on"
        st.markdown(
            f":material/key: This is the trigger that the backdoored model was taught. It was put on {where}, all"
            f" of them labelled {taught}."
        )
    else:
        st.markdown(
            "This is a trigger of your own. The backdoored model was taught another one, for the class"
            f" {words.safe(names[pair.target], 30)}; load the true trigger to see it obeyed."
        )


def _answers(pair: Pair, index: int, trigger: Trigger, true: bool) -> None:
    """The answers of both models, as a sentence and as bars over the same classes."""
    st.header("What the models answer")
    names, colours = pair.pack.class_names, state.colours()
    image = pair.pack.images[index][None]
    rows = [
        (answers(s.classifier.scores, image)[0], answers(s.classifier.scores, image, trigger)[0])
        for s in pair.subjects
    ]
    label = int(pair.pack.labels[index])
    shown = leading([p for two in rows for p in two], MOST_CLASSES, (label, pair.target))
    marks = ["attacker's" if c == pair.target else "true" if c == label else "" for c in shown]
    for column, subject, (before, after) in zip(st.columns(2, gap="large"), pair.subjects, rows, strict=True):
        with column:
            found = flip(before, after)
            word, sentence = says(found, names, pair.target)
            st.html(answer(subject.name, word, sentence, colours))
            st.plotly_chart(
                answer_bars(
                    [names[c] for c in shown],
                    before[shown],
                    after[shown],
                    marks,
                    _colour(pair, subject),
                    colours,
                ),
                theme=None,
                config=CONFIG,
                key=f"lab.answers.{subject.name}",
                alt=f"Probabilities of the classes by the {subject.name}. {sentence}",
            )
    if len(shown) < len(names):
        st.caption(f"The {len(shown)} of {len(names)} classes that lead in either answer.")


def says(found: Flip, names: tuple[str, ...], target: int) -> tuple[str, str]:
    """A model's answer to the trigger as a word ("flips", "stays", "changes") and a sentence."""
    one, two = (words.plain(names[c], 30) for c in (found.before, found.after))
    before, after = percent(found.sure_before), percent(found.sure_after)
    if not found.changed:
        if found.before == target:
            return "stays", (
                f"The answer is {one}, the attacker's class, without the trigger as well; choose an image of"
                " another class."
            )
        return "stays", f"The answer stays {one} ({before} sure without the trigger, {after} with it)."
    if found.after == target:
        return "flips", f"The answer flips from {one} ({before}) to {two} ({after}), the attacker's class."
    return (
        "changes",
        f"The answer changes from {one} ({before}) to {two} ({after}), which is not the attacker's class.",
    )


def _all_images(pair: Pair, spec: TriggerSpec) -> None:
    """The attack success rate of both models over all images of the pack."""
    st.header("On all images of the pack")
    with st.spinner("Asking both models about all images"):
        labels = pair.pack.labels.numpy()
        found = [
            effect(lab.of_all(s, pair.pack, None), lab.of_all(s, pair.pack, spec), labels, pair.target)
            for s in pair.subjects
        ]
    names = [s.name.capitalize() for s in pair.subjects]
    others = max(1, found[0].others)
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.plotly_chart(
            success_bars(
                names,
                np.array([f.hit_before / others for f in found]),
                np.array([f.success for f in found]),
                [_colour(pair, s) for s in pair.subjects],
                state.colours(),
            ),
            theme=None,
            config=CONFIG,
            key="lab.success",
            alt=" ".join(_success(n, f, pair) for n, f in zip(names, found, strict=True)),
        )
    with right:
        for name, one in zip(names, found, strict=True):
            st.markdown(f"- {words.safe(_success(name, one, pair), 400)}")
        st.caption(
            "Attack success rate: the share of images of other classes that the trigger turns into the attacker's."
            " None of the images was used to train the models."
        )


def _success(name: str, found: Effect, pair: Pair) -> str:
    target = words.plain(pair.pack.class_names[pair.target], 30)
    return (
        f"{name}: attack success {found.success:.1%} ({found.hit} of {found.others} images of other classes become"
        f" {target}); the answer changes on {found.changed} of all {found.images} images; {found.right} are classified"
        " rightly without the trigger."
    )


def _colour(pair: Pair, subject: Subject) -> str:
    colours = state.colours()
    return colours.suspect if subject is pair.trojaned else colours.clean
