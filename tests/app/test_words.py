"""Sentences of the core as the pages say them: the page's control takes the place of a command's option."""

from __future__ import annotations

import pytest

from app.words import for_the_page
from ti_core.reconstruction.model import Reconstructed
from ti_core.zoo.packs import enough


def test_what_a_plan_lacks_is_said_in_reference_models(monkeypatch: pytest.MonkeyPatch) -> None:
    held = [{"label": label, "held_out": True} for label in ("clean", "blend", "patch")]
    monkeypatch.setattr(enough, "_entries", lambda plan: plan)
    monkeypatch.setattr(enough, "_missing", lambda plan: {})
    for more, said in ((held * 5, "A pack of 40 reference models or more is enough."), (held, "Choose more")):
        (sentence,) = enough.check_plan(held, 32, lambda count, more=more: more)  # type: ignore[arg-type,misc]
        assert "--count" in sentence
        assert said in for_the_page(sentence) and "--" not in for_the_page(sentence)


def test_what_networks_lack_is_said_with_what_the_page_can_do() -> None:
    sentence = enough._remedy(32, {"patch": 1})
    assert "--count" in sentence and "--architecture" in sentence
    said = for_the_page(sentence)
    assert said.startswith("Build it anew with 72 or more reference models. Give more images a class")
    assert "--" not in said and "what is trained is kept" not in said, "another build begins with nothing"


def test_a_doubtful_reconstruction_names_the_box_of_the_page() -> None:
    for doubtful in (
        Reconstructed(0.1, None, 1.0, "", 200, 10),
        Reconstructed(0.9, 0.9, 0.5, "", 200, 10, rival=True),
    ):
        assert "--architecture" in doubtful.doubt
        said = for_the_page(doubtful.doubt)
        assert "“The network's layers”" in said and "--" not in said
