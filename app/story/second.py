"""Second opinions on the sample that the story is told with. They are asked for while the steps before are told."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import Future

import streamlit as st

from app.lab import Pair
from ti_core.methods.ask import ask
from ti_core.methods.base import Subject
from ti_core.methods.opinion import Opinions

ASKED = ("neural_cleanse", "linear_weights")
"""Quick methods whose statistics of a pack's members are known."""
PATIENCE = 120.0


def begin(pair: Pair) -> Future[Opinions]:
    """The opinions on the backdoored sample, once they are there. They are asked for once per server."""
    return _asked(pair.trojaned.digest, pair.pack.sha256, pair)


def heard(pair: Pair) -> Opinions:
    """The opinions on the backdoored sample. Waits for them if they are not there yet.

    Raises
    ------
    TrojanInterpretError : a method failed. The next call asks again.
    """
    found = begin(pair)
    try:
        return found.result(PATIENCE)
    except BaseException:
        _asked.clear()
        raise


@st.cache_resource(show_spinner=False, max_entries=8)
def _asked(digest: str, pack_sha256: str, _pair: Pair) -> Future[Opinions]:
    found: Future[Opinions] = Future()
    threading.Thread(target=_ask, args=(_pair, found), daemon=True, name="second opinions").start()
    return found


def _ask(pair: Pair, found: Future[Opinions]) -> None:
    try:
        pack = pair.pack
        # A copy, since the page uses the network meanwhile.
        scores = copy.deepcopy(pair.trojaned.classifier.scores)
        given, unmet = ask(Subject(scores, pack.images, pack.labels, pack.class_names, pack), ASKED)
        found.set_result(Opinions(pair.trojaned.name, pack.name, pack.sha256, pack.class_names, given, unmet))
    except BaseException as error:
        found.set_exception(error)
