"""The contents of a reference pack: counts, recipes, accuracies, example images and triggers."""

from __future__ import annotations

import streamlit as st

from app import state, words
from app.charts import pictures
from app.charts.packs import spread
from app.charts.verdict import CONFIG
from app.markup.lab import picture
from app.markup.page import Picture, gallery, strip
from ti_core.evaluation import pack_summary
from ti_core.reference.pack import Member, Pack
from ti_core.results.report import percent

CLASSES_AT_ONCE = 20
TRIGGERS_OF_A_KIND = 4
CHOICE_WORDS = {"blend_ratio": "Blend ratio", "patch_sides": "Sides of the patch", "epsilon": "Attack radius"}


def members(pack: Pack) -> None:
    """Members by label, family and architecture, and how they were trained."""
    st.header("Members")
    groups = pack_summary.groups(pack)
    total, held = len(pack.members), sum(g.held_out for g in groups)
    trojaned = sum(m.trojaned for m in pack.members)
    st.markdown(
        f"{total} networks, {total - trojaned} clean and {trojaned} with a backdoor. The detector is fitted to"
        f" {total - held} of them; the other {held} are held out, and every figure below on how well it detects rests"
        f" on those {held} alone."
    )
    # The tables are side by side if there is room, otherwise below each other.
    with st.container(horizontal=True, gap="medium"):
        st.dataframe(
            [
                {
                    "Label": g.label.capitalize(),
                    "Family": g.family,
                    "Fitted": g.fitted,
                    "Held out": g.held_out,
                    "Clean accuracy": _range(g.accuracy),
                    "Attack success": _range(g.success),
                }
                for g in groups
            ],
            hide_index=True,
            width=620,
            alt="Members by label and family",
        )
        st.dataframe(
            [
                {
                    "Architecture": name,
                    **{label.capitalize(): n for label, n in counts.items()},
                    "Together": sum(counts.values()),
                }
                for name, counts in pack_summary.architectures(pack).items()
            ],
            hide_index=True,
            width="content",
            column_config={"Architecture": st.column_config.Column(width=150)},
            alt="Members by architecture",
        )
    families = [f for f in dict.fromkeys(g.family for g in groups) if f in pack_summary.FAMILY_SAYS]
    said = "; ".join(f"{f}: {pack_summary.FAMILY_SAYS[f]}" for f in families)
    st.caption(f"{said[:1].upper()}{said[1:]}. Accuracy and attack success from the lowest to the highest.")
    with st.expander("Recipes: how the members were trained", icon=":material/science:"):
        st.dataframe(_recipes(pack), hide_index=True, width="stretch", alt="Training choices of the members")
        st.caption("Each member's choices were drawn at random within these ranges.")


def _recipes(pack: Pack) -> list[dict[str, object]]:
    lines = pack_summary.recipes(pack)
    keys = list(dict.fromkeys(k for line in lines for k in line.choices))
    return [
        {"Label": line.label.capitalize(), "Family": line.family, "Members": line.members}
        | {CHOICE_WORDS.get(k, k.replace("_", " ").capitalize()): line.choices.get(k, "") for k in keys}
        for line in lines
    ]


def accuracies(pack: Pack) -> None:
    """Clean accuracy and attack success rate of every member."""
    st.header("Accuracy and attack success")
    groups = pack_summary.groups(pack)
    titles = [f"{g.label.capitalize()}, {g.family}" for g in groups]
    for column, what, title in zip(
        st.columns(2, gap="large"),
        ("accuracy", "success"),
        ("Clean accuracy", "Attack success rate"),
        strict=True,
    ):
        values = {t: getattr(g, what) for t, g in zip(titles, groups, strict=True)}
        with column:
            st.markdown(f"**{title}**")
            if not any(len(v) for v in values.values()):
                st.info("No member of this pack has a backdoor.")
                continue
            st.plotly_chart(
                spread(groups, values, title.lower(), state.colours()),
                theme=None,
                config=CONFIG,
                key=f"packs.spread.{what}",
                alt=f"{title} of every member: "
                + "; ".join(f"{t} {_range(v)}" for t, v in values.items() if len(v)),
            )
    st.caption("One mark a member, in brackets how many there are; the line is the median.")


def images(pack: Pack) -> None:
    """One image of each class, with its name."""
    st.header("Images and classes")
    labels = state.opened(pack).labels
    st.markdown(
        f"{len(labels)} clean, labelled images that no member was trained on: probes are made from them, and the"
        " suspect's accuracy is measured on them."
    )
    names = pack.class_names
    pages = [range(i, min(i + CLASSES_AT_ONCE, len(names))) for i in range(0, len(names), CLASSES_AT_ONCE)]
    shown_page = pages[0]
    most = max(int((labels == c).sum()) for c in range(len(names)))
    with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
        if len(pages) > 1:
            shown_page = st.selectbox(
                "Classes",
                pages,
                format_func=lambda p: f"{p[0] + 1} to {p[-1] + 1}",
                key=f"packs.classes.{pack.name}",
                width=160,
            )
        which = 1
        if most > 1:
            which = st.slider("Which image of each class", 1, most, key=f"packs.image.{pack.name}", width=280)
    found = pack_summary.example_of_each_class(pack, which - 1)
    pictures_of = [
        picture(pack.images[found[c]].numpy(), f"An image of class {words.plain(names[c], 40)}", names[c])
        for c in shown_page
        if c in found
    ]
    st.html(strip(pictures_of, columns=10, widest=112))


def triggers(pack: Pack) -> None:
    """Triggers of some members, alone and on an image."""
    kinds = [
        (label, chosen)
        for label in ("blend", "patch")
        if (chosen := pack_summary.examples(pack, label, TRIGGERS_OF_A_KIND))
    ]
    if not kinds:
        return
    st.header("Triggers")
    state.opened(pack)
    st.caption(
        "Of some members: the trigger, and the same image with it. A patch covers pixels, and grey lets the image"
        " through; a blend trigger is mixed into the whole image."
    )
    groups = [(f"{label.capitalize()} triggers", [m.id for m in chosen]) for label, chosen in kinds]
    rows: list[tuple[str, list[list[Picture]]]] = [("Trigger", []), ("Stamped", [])]
    for _, chosen in kinds:
        drawn = [_stamped(pack, m) for m in chosen]
        rows[0][1].append([one for one, _ in drawn])
        rows[1][1].append([two for _, two in drawn])
    st.html(gallery(groups, rows))


def _stamped(pack: Pack, member: Member) -> tuple[Picture, Picture]:
    """A member's trigger, and an image of another class than its target with it."""
    trigger = pack.trigger(member)
    assert trigger is not None
    others = (pack.labels != member.target_class).nonzero()[:, 0]
    image = pack.images[others[:1]]
    target = "" if member.target_class is None else words.plain(pack.class_names[member.target_class], 14)
    success = "" if member.attack_success is None else f", success {percent(member.attack_success)}"
    alone = Picture(
        pictures.uri(pictures.trigger_picture(trigger.mask, trigger.pattern)),
        f"Trigger of {member.id}",
        f"at {trigger.alpha:.0%}",
    )
    on = picture(
        trigger.stamp(image)[0].numpy(), f"An image with the trigger of {member.id}", f"to {target}{success}"
    )
    return alone, on


def _range(values) -> str:  # type: ignore[no-untyped-def]
    if not len(values):
        return "–"
    low, high = float(min(values)), float(max(values))
    return f"{low:.1%}" if low == high else f"{low:.1%} to {high:.1%}"
