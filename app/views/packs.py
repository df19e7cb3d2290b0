"""Reference packs: what each holds, how well it detects, and whether its files are the recorded ones."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app import state, words
from app.markup.lab import STYLE
from app.markup.page import facts
from app.sections import pack_figures, pack_members
from app.sections.packs import adding, building
from ti_core.errors import PackError
from ti_core.reference.known import is_known
from ti_core.reference.pack import Pack, load_pack
from ti_core.reference.verify import check_files

SECTIONS: tuple[Callable[[Pack], None], ...] = (
    pack_members.members,
    pack_members.accuracies,
    pack_members.images,
    pack_members.triggers,
    pack_figures.table,
    pack_figures.held_out,
)


def page() -> None:
    st.html(STYLE)
    st.title("Reference packs")
    st.markdown(
        "A suspect is compared with networks of which it is known whether they carry a backdoor. Each pack holds such"
        " networks for one data set, and says how well the comparison works."
    )
    adding.show()
    building.show()
    packs = _packs()
    if not packs:
        st.info("No reference pack can be used; install the program again to restore them.")
        return
    name = next(iter(packs))
    if len(packs) > 1:
        kept = st.session_state.get("packs.name", st.session_state.get("packs.name.kept"))
        st.session_state["packs.name"] = kept if kept in packs else name
        name = st.segmented_control(
            "Pack",
            list(packs),
            format_func=lambda n: words.safe(_called(packs[n], n), 80),
            required=True,
            key="packs.name",
        )
        st.session_state["packs.name.kept"] = name
    pack = packs[name]
    _head(pack)
    _check(pack)
    for section in SECTIONS:
        try:
            section(pack)
        except PackError as error:
            st.warning(words.safe(words.for_the_page(str(error)), 600), icon=":material/warning:")


def _packs() -> dict[str, Pack]:
    """The readable packs. Shows a warning for each of the others."""
    found = {}
    for name in state.packs():
        try:
            found[name] = state.pack(name)
        except (PackError, OSError) as error:
            reason = (
                str(error)
                if isinstance(error, PackError)
                else f"Its record cannot be read ({error.strerror})."
            )
            st.warning(
                f"The pack {words.safe(name, 60)} cannot be used. {words.safe(reason, 500)} Restore its folder,"
                " or build it again.",
                icon=":material/warning:",
            )
    return found


def _data_set(pack: Pack) -> str:
    return words.data_set(str(pack.record.get("data_set", pack.name)))


def _called(pack: Pack, name: str) -> str:
    """The data set of a pack; of an added one also its name, since it may be of the same data set as another."""
    data_set = _data_set(pack)
    if is_known(pack):
        return data_set
    return f"{data_set} (added)" if data_set == name else f"{data_set} (added: {name})"


def _head(pack: Pack) -> None:
    channels, height, width = pack.input_shape
    st.html(
        facts(
            [
                ("Data set", _data_set(pack)),
                ("Classes", len(pack.class_names)),
                ("Images", f"{height} x {width}, {'grey' if channels == 1 else f'{channels} channels'}"),
                ("Members", len(pack.members)),
                ("Held out", sum(m.held_out for m in pack.members)),
                ("SHA-256 of the record", pack.sha256[:16]),
            ]
        )
    )


def _check(pack: Pack) -> None:
    """The button that compares the digests of the files, and the result."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if st.button(
            "Check the files",
            icon=":material/fact_check:",
            key="packs.check",
            help="Compares the SHA-256 of every file of the pack with the one in its record.",
        ):
            st.session_state["packs.checked"] = (pack.name, *checked(pack))
        name, good, sentence = st.session_state.get("packs.checked", ("", False, ""))
        if name != pack.name:
            st.caption(
                "Whether the members behave as recorded is checked by"
                f" `python -m ti_core pack verify {words.plain(pack.name, 40)}`."
            )
            return
        if good:
            st.success(words.safe(sentence, 900), icon=":material/check_circle:")
        else:
            st.warning(words.safe(sentence, 900), icon=":material/warning:")


def checked(pack: Pack) -> tuple[bool, str]:
    """Whether every file has its recorded digest, and a sentence about it. The record is read from the disk again."""
    try:
        fresh = load_pack(pack.folder)
        problems = check_files(fresh)
    except (PackError, OSError) as error:
        return False, f"The pack cannot be read: {error}"
    if problems:
        return False, " ".join(
            [*problems, "Do not rely on this pack; restore its folder, or build it again."]
        )
    return True, (
        f"All {len(fresh.record['files'])} files have the digests that the record names. The record's own SHA-256 is"
        f" {fresh.sha256}; compare it with the one that was published."
    )
