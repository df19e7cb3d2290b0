from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ti_core.errors import PackError
from ti_core.reference.pack import Pack
from ti_core.rendering.comparison import contributions, differences, distances, panels, reference_evidence
from ti_core.results.case import Case
from ti_core.settings import Settings


def test_distances_in_closed_form() -> None:
    clean = np.array([[1.0, 0, 0, 0], [1.0, 0, 0, 0]])
    own = np.array([0, 0, 0, 1.0])
    wasserstein, smirnov = distances(own, clean, width=0.5)
    # All mass moved over three bins of half a decade; the cumulated shares differ by 1.
    assert wasserstein.value == pytest.approx(1.5) and smirnov.value == pytest.approx(1.0)
    assert wasserstein.clean_share == smirnov.clean_share == 0.0


def test_a_model_in_the_middle_of_the_clean_ones_is_nothing_special() -> None:
    clean = np.array([[0.6, 0.4], [0.4, 0.6], [0.5, 0.5]])
    wasserstein, smirnov = distances(np.array([0.5, 0.5]), clean, width=1.0)
    assert wasserstein.value == pytest.approx(0.0) and wasserstein.clean_share == smirnov.clean_share == 1.0


def test_panels_are_the_histograms_that_the_meta_model_saw(
    tiny_cases: dict[str, Case], tiny_pack: Pack
) -> None:
    from ti_core.streams.saliency import Saliency

    case = tiny_cases["patch"]
    settings = Settings.parse(case.report.settings)
    drawn = panels(case, tiny_pack, settings)
    stream = Saliency(settings)
    assert len(drawn) == len(case.kinds) * len(stream.row_names())
    names = case.decisions["saliency"].names
    for panel in drawn:
        assert panel.own.sum() == pytest.approx(1.0, abs=1e-5)
        assert (panel.clean[0] <= panel.clean[2] + 1e-9).all()
        at = [names.index(f"{panel.kind}: {panel.title}, bin {b}") for b in range(settings.bins)]
        np.testing.assert_allclose(panel.pushes, case.arrays["why/saliency"][at], atol=1e-6)


def test_other_bins_redraw_and_carry_no_pushes(tiny_cases: dict[str, Case], tiny_pack: Pack) -> None:
    case = tiny_cases["patch"]
    settings = Settings.parse(case.report.settings).with_(bins=5, quantiles=(0.3,), histogram_form="pooled")
    drawn = panels(case, tiny_pack, settings)
    assert len(drawn) == 3 and all(len(p.own) == 5 and not p.pushes.any() for p in drawn)


def test_a_pack_that_has_changed_is_not_compared_with(tiny_cases: dict[str, Case], tiny_pack: Pack) -> None:
    other = replace(tiny_pack, sha256="0" * 64)
    with pytest.raises(PackError, match="has changed since"):
        reference_evidence(tiny_cases["patch"], other)


def test_contributions_are_sorted_and_complete(tiny_cases: dict[str, Case]) -> None:
    case = tiny_cases["patch"]
    pairs = contributions(case, "saliency", most=5)
    assert len(pairs) == 6 and pairs[-1][0].endswith("other features together")
    sizes = [abs(v) for _, v in pairs[:-1]]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(v for _, v in pairs) == pytest.approx(float(case.arrays["why/saliency"].sum()), abs=1e-4)
    assert contributions(tiny_cases["partial"], "joint") == []


def test_differences_name_both_models(tiny_cases: dict[str, Case], tiny_pack: Pack) -> None:
    pair = [tiny_cases["clean"], tiny_cases["patch"]]
    drawn = [panels(c, tiny_pack, Settings.parse(c.report.settings)) for c in pair]
    lines = differences(pair, drawn)
    assert any("bars-clean" in line and "bars-patch" in line for line in lines)
    assert any("decades" in line for line in lines) and all(line.endswith(".") for line in lines)
    same = differences([pair[0], pair[0]], [drawn[0], drawn[0]])
    assert "(left)" in same[0] and "(right)" in same[0]


def test_the_panels_of_one_kind_are_those_of_all_kinds(tiny_pack: Pack, tiny_cases: dict[str, Case]) -> None:
    case = tiny_cases["patch"]
    settings = Settings.parse(case.report.settings).with_(bins=9)
    every = panels(case, tiny_pack, settings)
    for kind in case.kinds:
        own, alone = [p for p in every if p.kind == kind], panels(case, tiny_pack, settings, (kind,))
        assert [p.title for p in alone] == [p.title for p in own] and alone
        for one, other in zip(alone, own, strict=True):
            assert one.kind == kind and one.wasserstein == other.wasserstein
            for name in ("edges", "own", "clean", "trojaned", "pushes"):
                assert np.array_equal(getattr(one, name), getattr(other, name))
