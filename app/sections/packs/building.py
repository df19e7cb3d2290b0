"""A pack of the user's own, built here: images in, the time said first, then the work with its progress."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import state, uploader, words
from app.jobs.errands import Errand
from app.sections.packs.adding import has_folder
from app.store import clean_images
from app.store.arrivals import Upload
from app.store.builds import NAMED, Build
from app.store.uploads import let_go
from ti_core.errors import TrojanInterpretError
from ti_core.system.records import NAME

PLANNED = "packs.plan"
"""Where a session keeps the plan that it asked for last."""
DONE = "packs.built"
"""Where a session keeps the sentence about the pack that was built last."""
COUNTS, COUNT = (32, 64, 96, 128, 192), 96
SIDES, SIDE = (28, 32, 48, 64, 96, 128), 32
EVERY = 1.0


def show() -> None:
    """The builds that were begun, and the controls for another one."""
    if said := st.session_state.pop(DONE, ""):
        st.success(words.safe(words.for_the_page(said), 600), icon=":material/check_circle:")
    for build in state.own_packs().builds.entries():
        with st.container(border=True):
            _build(build)
    with st.expander("Build a pack of your own", icon=":material/construction:"):
        if not has_folder():
            return
        _controls()


def _controls() -> None:
    """What a pack is built from, and the button that says how long it takes."""
    errand: Errand[Build] | None = st.session_state.get(PLANNED)
    if errand is not None and errand.active:
        _follow(errand, "packs.plan.cancel")
        return
    if errand is not None:
        st.session_state.pop(PLANNED)
        if errand.state == "failed":
            st.warning(words.safe(words.for_the_page(errand.error), 900), icon=":material/block:")
    st.markdown(
        "Hand in labelled images: 100 or more of each class. Networks are trained on them here, half of them with a"
        " backdoor. Before that the page says how long it will take."
    )
    turn = st.session_state.setdefault("packs.build.turn", 0)
    uploads = uploader.files(
        "Images with labels",
        type=[ending.lstrip(".") for ending in clean_images.ARCHIVES],
        key=f"packs.images.{turn}",
        max_upload_size=clean_images.MOST_BYTES >> 20,
        help="A .zip with a folder of pictures for each class, or an .npz with an array of images and one of labels.",
    )
    st.caption(
        f"A .zip with a folder for each class, or an .npz, up to {clean_images.MOST_BYTES >> 20} MB. The confined"
        " process reads it."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name of the pack", key="packs.build.name", max_chars=80, width=240)
        count = st.selectbox(
            "Reference models",
            COUNTS,
            index=COUNTS.index(COUNT),
            key="packs.build.count",
            width=180,
            help="More of them make narrower intervals. With fewer than 64 its Table 1 says little.",
        )
        side = st.selectbox(
            "Side of the images in pixels",
            SIDES,
            index=SIDES.index(SIDE),
            key="packs.build.side",
            width=220,
            help="They are scaled to it. Choose the side that your models take.",
        )
    ready = len(uploads) == 1 and bool(name.strip())
    if st.button(
        "Say how long it takes", icon=":material/timer:", key="packs.build.plan", disabled=not ready
    ):
        _plan(uploads, name.strip(), count, side)


def _plan(uploads: Sequence[Upload], name: str, count: int, side: int) -> None:
    if NAME.fullmatch(name) is None:
        st.warning(NAMED)
        return
    if name in state.packs():
        st.warning(f"There is a pack {words.safe(name, 80)} already; choose another name.")
        return
    desk = state.desk()
    folder = None
    try:
        folder = desk.attach()
        images = clean_images.put(uploads, folder).absolute()
    except (TrojanInterpretError, OSError) as error:
        if folder is not None:
            desk.detach(folder)
        if isinstance(error, OSError):
            uploader.not_kept(error)
        else:
            st.warning(words.safe(words.for_the_page(str(error)), 900), icon=":material/block:")
        return
    attached = folder
    st.session_state[PLANNED] = state.own_packs().read(
        images, name, count, side, lambda: desk.detach(attached)
    )
    st.session_state["packs.build.turn"] += 1
    let_go(uploads)
    st.rerun()


def _build(build: Build) -> None:
    """One build: what it is, how long it takes or how far it is, and its buttons."""
    packs = state.own_packs()
    errand = packs.errand(build)
    st.markdown(f"**{words.safe(build.name, 80)}**, {build.count} reference models")
    for sentence in build.says:
        st.caption(words.safe(words.for_the_page(sentence), 600))
    if errand is not None and errand.active:
        _follow(errand, f"packs.cancel.{build.id}")
        return
    if errand is not None and errand.state == "failed":
        st.warning(words.safe(words.for_the_page(errand.error), 900), icon=":material/block:")
    begun = build.trained > 0
    if begun:
        st.caption(
            f"{words.article(build.trained, 'network')} trained so far. What is finished is kept. The time above is"
            " that of the whole work."
        )
    with st.container(horizontal=True):
        if not build.says:
            if st.button("Say how long it takes", icon=":material/timer:", key=f"packs.time.{build.id}"):
                packs.estimate(build)
                st.rerun()
        elif st.button(
            "Go on" if begun else "Build it",
            icon=":material/play_arrow:",
            type="primary",
            key=f"packs.go.{build.id}",
        ):
            packs.go_on(build)
            st.rerun()
        if st.button("Remove", icon=":material/delete:", key=f"packs.remove.{build.id}"):
            packs.remove(build)
            st.rerun()


@st.fragment(run_every=EVERY)
def _follow(errand: Errand[Build] | Errand[str], key: str) -> None:
    """The progress, and the button that cancels. The page runs again at the end."""
    if not errand.active:
        if errand.state == "done" and isinstance(errand.result, str) and errand.result:
            st.session_state[DONE] = errand.result
        st.rerun(scope="app")
    left, right = st.columns([6, 1], vertical_alignment="bottom")
    with left:
        st.progress(min(1.0, max(0.0, errand.share)), text=_stage(errand))
    with right:
        if st.button("Cancel", key=key, width="stretch"):
            errand.cancel()
            st.rerun(scope="app")


def _stage(errand: Errand[Build] | Errand[str]) -> str:
    if errand.state == "waiting":
        return "Waiting for another pack"
    if errand.stage == "opening":
        return "Getting ready: a few training steps and a little evidence are timed"
    return f"{words.stage(errand.stage)}: {errand.share:.0%}" if errand.share else words.stage(errand.stage)
