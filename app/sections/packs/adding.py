"""A reference pack of the user's own: handed in as an archive, opened in the confined process, and kept."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import state, uploader, words
from app.store.arrivals import Upload, store
from app.store.uploads import let_go
from ti_core.cli.shell.pack_add import add_pack
from ti_core.errors import TrojanInterpretError
from ti_core.reference.known import added_packs
from ti_core.system.folders import packs_folder

MOST = 16
"""Added packs beyond which this page takes no more."""
SAID = "packs.added"
"""Where a session keeps the sentence about the pack that it added last."""
BUILD = "python -m ti_core pack build --data my_images/ --size 32 --out my-pack"


def has_folder() -> bool:
    """Whether the server keeps packs of its visitors. If not, the page says so."""
    if packs_folder() is not None:
        return True
    st.info(
        "This server has no folder to keep packs in. Set TROJANINTERPRET_PACKS to a folder that it may write to."
    )
    return False


def show() -> None:
    """The archive's control, the digest, and the button."""
    if said := st.session_state.pop(SAID, ""):
        st.success(words.safe(words.for_the_page(said), 600), icon=":material/check_circle:")
    with st.expander("Add a pack of your own", icon=":material/add:"):
        if not has_folder():
            return
        if len(added_packs()) >= MOST:
            st.info(f"{MOST} packs were added already. Remove the folder of one of them first.")
            return
        st.markdown(
            "Hand in a zip archive of a pack's folder. The confined process opens it before it is kept. An added pack"
            " is never chosen by itself: choose it under Settings on the page Inspect. A verdict is worth no more than"
            " the networks of its pack, so add packs of people whom you trust."
        )
        turn = st.session_state.setdefault("packs.turn", 0)
        uploads = uploader.files("Zip archive of a pack", type=["zip"], key=f"packs.archive.{turn}")
        digest = st.text_input(
            "SHA-256 of its pack.json, if you know it",
            key="packs.digest",
            help="Another pack than the one with this digest is refused.",
        )
        if st.button(
            "Add the pack", icon=":material/add:", type="primary", key="packs.add", disabled=len(uploads) != 1
        ):
            _add(uploads, digest.strip() or None)
        st.caption("This command builds a pack from a folder with a folder of images for each class:")
        st.code(BUILD, language=None)


def _add(uploads: Sequence[Upload], digest: str | None) -> None:
    """Keep the pack of the archive, and draw the page with it."""
    desk = state.desk()
    folder = None
    try:
        with st.spinner("Opening the pack in a confined process"):
            folder = desk.attach()
            archive = folder / "pack.zip"
            store(uploads[0], archive)
            st.session_state[SAID] = add_pack(archive, None, digest)
    except TrojanInterpretError as error:
        st.warning(words.safe(words.for_the_page(str(error)), 900), icon=":material/block:")
        return
    except OSError as error:
        uploader.not_kept(error)
        return
    finally:
        if folder is not None:
            desk.detach(folder)
    st.session_state["packs.turn"] += 1
    let_go(uploads)
    st.rerun()
