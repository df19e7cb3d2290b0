"""Why a model was not inspected: sentences, and the commands among them in boxes of their own."""

from __future__ import annotations

from itertools import groupby

import streamlit as st

from app import words
from ti_core.text import COMMAND


def show(error: str) -> None:
    """The message of an expected error. Its commands stand in lines of their own that begin with ``COMMAND``."""
    lines = words.for_the_page(error).splitlines()
    for command, group in groupby(lines, lambda line: line.startswith(COMMAND)):
        if command:
            st.code(
                "\n".join(words.plain(line.strip(), 400) for line in group),
                language="python",
                wrap_lines=True,
            )
        else:
            st.markdown(words.safe(" ".join(group), 1500))
