from __future__ import annotations

import pytest

from benchmarks.tables import PAGES, ROOT, SLOW, TABLES, filled
from ti_core.cli.tables import pack_text
from ti_core.evaluation.table import PAPER_AUC
from ti_core.reference.pack import Pack


def test_every_table_has_its_place_in_a_page() -> None:
    pages = [(ROOT / name).read_text() for name in PAGES]
    for name in (*TABLES, *SLOW):
        assert sum(f"<!-- {name} -->\n" in page and f"<!-- /{name} -->" in page for page in pages) == 1, name


def test_filling_a_page_touches_only_what_stands_between_the_markers() -> None:
    page = "before\n<!-- x -->\nold\n<!-- /x -->\nafter <!-- y -->\nkept\n<!-- /y -->\n"
    made = filled(page, {"x": lambda: "| a |\n| b |"})
    assert made == "before\n<!-- x -->\n| a |\n| b |\n<!-- /x -->\nafter <!-- y -->\nkept\n<!-- /y -->\n"
    assert filled(made, {"x": lambda: "| a |\n| b |"}) == made


def test_the_papers_figures_have_its_means() -> None:
    """Sec. 5.1 of the paper: .84 on average for blends, .57 to .59 for patches, over the four data sets."""
    blend, patch = (sum(row[kind] for row in PAPER_AUC.values()) / 4 for kind in ("blend", "patch"))
    assert blend == pytest.approx(0.84, abs=0.005) and patch == pytest.approx(0.59, abs=0.005)


def test_a_pack_is_described_with_its_architectures(tiny_pack: Pack) -> None:
    text = pack_text(tiny_pack)
    assert tiny_pack.sha256 in text and f"{len(tiny_pack.members)} mlp" in text
