"""The card of a notebook and the table of data; and the examples of the documentation."""

from __future__ import annotations

import doctest
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.results.formats.test_formats import REPORT, verdict
from tests.results.test_report_hostile import NAMES, Page
from ti_core.inspection.result import Inspection
from ti_core.reference.pack import Pack
from ti_core.results.formats.notebook import COLOURS, card

ROOT = Path(__file__).resolve().parents[3]


def test_a_result_shows_itself_in_a_notebook_and_as_data() -> None:
    found = Inspection()
    found.report = REPORT
    assert found.to_dict() == REPORT.as_dict()
    table = found.to_frame()
    assert list(table.index) == [name for name, s in REPORT.streams.items() if "score" in s]
    assert table.loc["saliency", "score"] == REPORT.streams["saliency"]["score"]
    page = Page(found._repr_html_())
    assert REPORT.heading() in page.words and all(reason[:60] in page.words for reason in REPORT.reasons)
    assert (
        found._repr_html_().count("of the clean models<div") == len(table) - table["clean_share"].isna().sum()
    )


@pytest.mark.parametrize("name", COLOURS)
def test_each_verdict_has_its_colour(name: str) -> None:
    assert COLOURS[name] in card(verdict(name))


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_no_name_becomes_mark_up(name: str) -> None:
    hostile = replace(REPORT, model=REPORT.model | {"file": name}, reasons=(name,))
    page = Page(card(hostile))
    assert page.tags <= {"div", "p", "ul", "li", "table", "tr", "th", "td"} and page.attributes <= {"style"}


def test_the_examples_of_the_page_on_python_hold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_pack: Pack, tiny_models: dict[str, Path]
) -> None:
    """With a small model and a small pack in the places of the page's."""
    samples = tmp_path / "assets" / "samples"
    samples.mkdir(parents=True)
    shutil.copyfile(tiny_models["patch"], samples / "cifar10-patch.safetensors")
    monkeypatch.chdir(tmp_path)
    packs = tmp_path / "assets" / "packs"
    packs.mkdir()
    (packs / "cifar10").symlink_to(tiny_pack.folder)
    monkeypatch.setattr("ti_core.reference.pack.PACKS", packs)
    outcome = doctest.testfile(str(ROOT / "docs" / "python.md"), module_relative=False)
    assert outcome.attempted > 15 and outcome.failed == 0
