"""The control that takes files. It says at once if one of them cannot be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import words
from app.store.arrivals import Upload, problem_of


def files(label: str, **options: Any) -> Sequence[Upload]:
    """The files of a control that takes several, or none while one of them cannot be kept.

    Parameters
    ----------
    options : of ``st.file_uploader``.
    """
    uploads: Sequence[Upload] = st.file_uploader(label, accept_multiple_files=True, **options) or ()
    for upload in uploads:
        if (problem := problem_of(upload)) is not None:
            not_kept(problem)
            return ()
    return uploads


def not_kept(problem: OSError) -> None:
    """Say why a file cannot be kept, and what to do."""
    st.warning(f"The file cannot be kept: {words.reason(problem)}", icon=":material/block:")
