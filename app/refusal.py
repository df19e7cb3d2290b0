"""Why a model was not inspected: sentences, and the commands among them in boxes of their own."""

from __future__ import annotations

from itertools import groupby

import streamlit as st

from app import words
from ti_core.errors import ModelFileError, RefusedFileError
from ti_core.text import COMMAND, with_a_command


def show(error: str, file: str = "", fault: str = "") -> None:
    """The message of an expected error. Its commands stand in lines of their own that begin with ``COMMAND``.

    Parameters
    ----------
    file, fault : name of the file, and the class of the error. A file that is not opened gets a command in any case.
    """
    if fault in (ModelFileError.__name__, RefusedFileError.__name__):
        error = with_a_command(error, file)
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
