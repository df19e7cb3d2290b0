from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from app.charts.theme import palette
from app.charts.waterfall import waterfall_chart
from ti_core.rendering.waterfall import BESIDE, START, probability_at, waterfall
from ti_core.results.case import Case


@pytest.mark.parametrize("kind", ["patch", "clean"])
def test_the_steps_begin_at_a_usual_model_and_end_at_the_probability(
    tiny_cases: dict[str, Case], kind: str
) -> None:
    case = tiny_cases[kind]
    steps = waterfall(case, "joint", most=2)
    assert steps[0].name == START and steps[0].total == steps[0].by
    for before, step in pairwise(steps):
        assert step.total == pytest.approx(before.total + step.by)
    assert probability_at(steps[-1].total) == pytest.approx(case.report.probability, abs=1e-6)
    moved = [s.by for s in steps[1:] if s.name != BESIDE]
    assert sum(moved) == pytest.approx(
        case.arrays["base/joint"][1] * case.arrays["why/joint"].sum(), abs=1e-4
    )
    # Saliency's own verdict is an exact sum too, for trees as for a line.
    own = waterfall(case, "saliency")
    assert probability_at(own[-1].total) == pytest.approx(
        case.report.streams["saliency"]["probability"], abs=1e-4
    )


def test_a_case_without_where_the_steps_begin_has_none(tiny_cases: dict[str, Case]) -> None:
    case = tiny_cases["patch"]
    arrays = {name: a for name, a in case.arrays.items() if not name.startswith("base/")}
    assert waterfall(replace(case, arrays=arrays), "joint") == [] == waterfall(case, "no such detector")


def test_what_else_was_added_is_a_step_of_its_own(tiny_cases: dict[str, Case]) -> None:
    case = tiny_cases["clean"]
    surer = replace(case, report=replace(case.report, probability=0.999))
    steps = waterfall(surer, "joint")
    assert steps[-1].name == BESIDE and steps[-1].total == pytest.approx(np.log(999), abs=1e-4)


def test_the_chart_draws_every_step_from_where_the_last_ended(tiny_cases: dict[str, Case]) -> None:
    steps = waterfall(tiny_cases["patch"], "joint")
    figure = waterfall_chart(steps, (-1.0, 1.0), palette(False))
    (bar,) = figure.data
    assert list(bar.base) == [0.0, *(s.total for s in steps[:-1]), 0.0] and list(bar.x)[-1] == steps[-1].total
    assert len(figure.layout.shapes) == 2 and bar.customdata[-1] == "This model"


def test_the_base_is_kept_with_the_case(tiny_cases: dict[str, Case], tmp_path: Path) -> None:
    from ti_core.results.case_files import load_case, save_case

    save_case(tiny_cases["patch"], tmp_path)
    np.testing.assert_array_equal(
        load_case(tmp_path).arrays["base/joint"], tiny_cases["patch"].arrays["base/joint"]
    )
