from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import words
from app.charts import classes, pictures
from app.charts.histograms import highest, histograms
from app.charts.theme import DARK, LIGHT, Palette
from app.charts.verdict import MOST_POINTS, ascent_lines, contribution_bars, gauge, points
from app.charts.waterfall import waterfall_chart
from app.markup.page import Picture, facts, strip, style, verdict
from app.markup.page import gallery as gallery_table
from app.sections.pictures import gallery
from ti_core.reference.pack import Pack
from ti_core.rendering.comparison import Panel, contributions, panels
from ti_core.rendering.drawings import class_bars, class_ticks
from ti_core.rendering.waterfall import Step
from ti_core.results.case import Case
from ti_core.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent
MANY = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)


def drawn(case: Case, pack: Pack, **changes: object) -> list[Panel]:
    return panels(case, pack, Settings.parse(case.report.settings).with_(**changes))


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_no_figure_sends_more_points_than_it_may(
    tiny_cases: dict[str, Case], tiny_pack: Pack, colours: Palette
) -> None:
    own = [p for p in drawn(tiny_cases["patch"], tiny_pack, bins=64, quantiles=MANY) if p.kind == "none"]
    figures = histograms(own, colours, trojaned=True, pushes=True)
    assert len(figures) > 1 and all(points(f) <= MOST_POINTS for f in figures)
    titles = [a.text for f in figures for a in f.layout.annotations]
    assert len(titles) == len(own) == 23
    lines = [title.split("<br>") for title in titles]
    assert all(len(parts) == 2 and max(map(len, parts)) <= 17 for parts in lines), (
        "narrow panels, no overprint"
    )


def test_histograms_share_their_axes(tiny_cases: dict[str, Case], tiny_pack: Pack) -> None:
    own = [p for p in drawn(tiny_cases["patch"], tiny_pack) if p.kind == "patch"]
    (figure,) = histograms(own, LIGHT)
    spec = json.loads(figure.to_json())["layout"]
    assert [name for name in spec if name.startswith(("xaxis", "yaxis"))] == ["xaxis", "yaxis"]
    names = {trace.name for trace in figure.data}
    assert "this model" in names and "trojaned models, median" not in names
    pairs = zip(figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext, strict=True)
    heights = [(at, float(text.rstrip("%")) / 100) for at, text in pairs]
    top = 1.05 * highest(own)
    rows = -(-len(own) // 3)
    assert [share for _, share in heights[:2]] == [0.0, pytest.approx(heights[1][1])]
    assert len(heights) % rows == 0 and 2 <= len(heights) // rows <= 6
    for row in range(rows):
        each = heights[row * len(heights) // rows :][: len(heights) // rows]
        assert each[-1][1] <= top
        np.testing.assert_allclose([at - each[0][0] for at, _ in each], [share / top for _, share in each])


@pytest.mark.parametrize("columns", [2, 3])
def test_the_suspects_line_is_its_histogram(
    tiny_cases: dict[str, Case], tiny_pack: Pack, columns: int
) -> None:
    """Each panel's line, taken back from the plane by the panel's place in its row and column."""
    own = [p for p in drawn(tiny_cases["patch"], tiny_pack) if p.kind == "none"]
    (figure,) = histograms(own, LIGHT, pushes=True, columns=columns)
    (line,) = [t for t in figure.data if t.name == "this model"]
    assert line.mode == "lines" and line.line.shape == "hv" and not line.connectgaps
    parts = of_panels(line, len(own))
    marks = [t for t in figure.data if t.mode == "markers"]
    top, bottom = 1.05 * highest(own), -0.12 * highest(own) if marks else 0.0
    centres = [(a.x, a.y) for a in figure.layout.annotations]
    for (x, y, said), panel, (middle, upper) in zip(parts, own, centres, strict=True):
        across = np.log10(panel.edges / panel.edges[0]) / np.log10(panel.edges[-1] / panel.edges[0])
        np.testing.assert_allclose(x, middle - 0.5 + across)
        np.testing.assert_allclose(bottom + (y[:-1] - (upper - 1)) * (top - bottom), panel.own, atol=1e-6)
        np.testing.assert_allclose(said[:, 0], panel.edges)
        np.testing.assert_allclose(said[:-1, 1], panel.own)
    assert len({x for x, _ in centres}) == columns, "panels lie in columns"
    assert len(set(centres)) == len(centres), "no panel lies on another"


def test_a_band_goes_from_its_lower_to_its_upper_end(tiny_cases: dict[str, Case], tiny_pack: Pack) -> None:
    own = [p for p in drawn(tiny_cases["patch"], tiny_pack) if p.kind == "none"]
    (figure,) = histograms(own, LIGHT, trojaned=True)
    top = 1.05 * highest(own, trojaned=True)
    for name, band in (("clean", "clean"), ("trojaned", "trojaned")):
        (trace,) = [t for t in figure.data if t.name == f"{name} models, 5 to 95%"]
        assert trace.fill == "toself"
        for (x, y, _), panel in zip(of_panels(trace, len(own)), own, strict=True):
            area = 0.5 * abs(float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)))
            low, _, high = getattr(panel, band)
            bins = len(panel.own)
            np.testing.assert_allclose(area, (high - low).sum() / top / bins, atol=1e-9)


def of_panels(trace: Any, count: int) -> list[tuple[Any, Any, Any]]:
    """Points of a trace for each panel: their places, and what is said at the pointer."""
    x, y = np.asarray(trace.x), np.asarray(trace.y)
    gaps = np.flatnonzero(np.isnan(x))
    assert len(gaps) == count and gaps[-1] == len(x) - 1 and (np.isnan(y) == np.isnan(x)).all()
    said = np.asarray(trace.customdata) if trace.customdata is not None else np.stack([x, y], axis=1)
    starts = [0, *(gaps[:-1] + 1)]
    return [(x[a:b], y[a:b], said[a:b]) for a, b in zip(starts, gaps, strict=True)]


def test_the_gauge_marks_thresholds_and_this_model() -> None:
    figure = gauge(0.7, 0.3, 0.6, {"clean": np.array([0.1, 0.2]), "trojaned": np.array([0.9])}, LIGHT)
    assert {shape.x0 for shape in figure.layout.shapes if shape.type == "line"} == {0.3, 0.6}
    marker = next(t for t in figure.data if t.name == "this model")
    assert list(marker.x) == [0.7]
    # On a narrow page the longest name would run into its neighbours: its symbol stands there instead.
    assert [(a.text, a.hovertext) for a in figure.layout.annotations] == [
        ("clean", "clean"),
        ("?", "inconclusive"),
        ("backdoored", "backdoored"),
    ]
    wide, one = (
        gauge(0.7, low, high, {}, LIGHT).layout.annotations for low, high in ((0.2, 0.65), (0.01, 0.04))
    )
    assert [a.text for a in wide] == ["clean", "inconclusive", "backdoored"]
    assert [a.text for a in one] == ["backdoored"]


def test_bars_mark_classes_by_their_shapes_and_escape_names() -> None:
    names = ["<b>0</b>", "1", "2"]
    values = np.array([0.0, 5.0, 1.0])
    figure = classes.class_bars(names, values, (values - 1, values, values + 1), "margin", 1, 2, LIGHT)
    own = next(t for t in figure.data if t.name == "this model")
    assert list(own.marker.symbol) == ["circle", "diamond", "diamond-open"]
    assert "&lt;b&gt;" in own.customdata[0]


def test_where_names_have_no_room_ticks_are_numbers_and_the_suspect_is_named() -> None:
    names = [f"<class> {i} with a long name" for i in range(43)]
    values = np.arange(43.0)
    band = (values - 1, values, values + 1)
    figure = classes.class_bars(names, values, band, "margin", 41, None, LIGHT)
    assert list(figure.layout.xaxis.ticktext) == [str(i) for i in range(0, 43, 5)]
    (mark,) = figure.layout.annotations
    assert (mark.x, mark.xanchor) == (41, "right") and mark.text == "&lt;class&gt; 41 with a long name"
    drawn = class_bars(names, values, band, "margin", 41, None)
    assert "&lt;class&gt; 41 with a long name" in drawn and "&lt;class&gt; 40" not in drawn
    assert "filled diamond: the suspected target" in drawn and "open diamond" not in drawn
    drawn = class_bars(names, values, band, "margin", None, 41)
    assert "open diamond: the class that stands out most" in drawn and "suspected" not in drawn
    assert "no class is pointed out" in class_bars(names, values, band, "margin", None, None)


@pytest.mark.parametrize(("count", "most"), [(10, 10), (43, 12), (100, 12), (1000, 12)])
def test_ticks_never_crowd(count: int, most: int) -> None:
    at, words, _ = class_ticks([str(i) for i in range(count)])
    assert len(at) == len(words) <= most and at[0] == 0 and at[-1] < count


def test_contributions_point_by_direction_and_pattern() -> None:
    figure = contribution_bars([("none: a <thing>", 1.0), ("b", -0.5)], LIGHT)
    (bar,) = figure.data
    assert list(bar.x) == [-0.5, 1.0] and list(bar.marker.pattern.shape) == ["/", ""]
    assert "No trigger: a &lt;thing&gt;".lower() in str(bar.customdata[1]).lower()


@pytest.mark.parametrize("long", (False, True))
def test_names_stand_between_their_bar_and_the_one_above(long: bool) -> None:
    """A long name has two lines, and its row is higher."""
    names = ["a name of more than forty-four letters, which needs two lines" if long else "b", "c", "d"]
    figures = (
        (contribution_bars([(name, 1.0) for name in names], LIGHT), 1, list(reversed(names))),
        (waterfall_chart([Step(name, 0.5, 0.5) for name in names], None, LIGHT), -1, [*names, "This model"]),
    )
    for figure, up, expected in figures:
        half = figure.data[0].width / 2
        notes = figure.layout.annotations
        assert [n.text.replace("<br>", " ").lower() for n in notes] == [n.lower() for n in expected]
        lines = 2 if long else 1
        row = (figure.layout.height - 64) / len(notes)
        assert row * (1 - 2 * half) > 15 * lines, "the lines fit between two bars"
        for place, note in enumerate(notes):
            assert note.y == pytest.approx(place + up * half) and note.yanchor == "bottom"
        low, high = sorted(figure.layout.yaxis.range)
        ends = (-half, len(notes) - 1 + half)
        assert low < ends[0] and high > ends[1]
        above = high - ends[1] if up > 0 else ends[0] - low
        assert above * row > 15 * lines, "and above the first"


def test_a_long_ascent_is_thinned() -> None:
    figure = ascent_lines(np.zeros((2, 9000)), ("up", "down"), LIGHT)
    assert points(figure) <= MOST_POINTS + 2


def test_contributions_of_a_case_are_drawn(tiny_cases: dict[str, Case]) -> None:
    figure = contribution_bars(contributions(tiny_cases["patch"], "joint"), DARK)
    assert len(figure.data[0].x) == len(tiny_cases["patch"].decisions["joint"].names)


def test_pictures_keep_their_pixels() -> None:
    grey = pictures.photo(np.array([[[0.0, 1.0], [0.5, 0.25]]]))
    assert grey.mode == "L" and grey.getpixel((1, 0)) == 255 and grey.getpixel((0, 1)) == 128
    colour = pictures.photo(np.stack([np.ones((2, 2)), np.zeros((2, 2)), np.zeros((2, 2))]))
    assert colour.getpixel((0, 0)) == (255, 0, 0)
    assert pictures.enlarged(grey, 20).size == (20, 20)


def test_heat_rises_in_lightness_and_is_cut_at_the_top() -> None:
    lightness = [
        sum(pictures.heat_map(np.full((1, 1), v), 1.0).getpixel((0, 0))) for v in (0, 0.3, 0.6, 1, 5)
    ]
    assert lightness == sorted(lightness) and lightness[3] == lightness[4]


def test_an_overlay_without_saliency_is_the_image_alone() -> None:
    image = np.random.default_rng(0).uniform(size=(1, 4, 4))
    plain = np.asarray(pictures.overlay(image, np.zeros((4, 4)), 1.0))
    np.testing.assert_allclose(plain[..., 0], np.round(0.6 * image[0] * 255), atol=1)


def test_the_gallery_has_alternative_texts_and_escapes_class_names(tiny_cases: dict[str, Case]) -> None:
    from dataclasses import replace

    case = replace(tiny_cases["patch"], class_names=("<img src=x onerror=y>",) * 4)
    html = gallery.table(case, 0, "saliency", 1.0, over=False)
    assert html.count("<img ") == html.count(' alt="') == 27
    assert "<img src=x" not in html and "&lt;img" in html
    assert "http" not in html


def test_words_from_strangers_are_letters_only() -> None:
    text = words.safe("![x](http://evil) <script> `code` :red[x] $a$ \u202e\x00")
    assert "](" not in text and "<script" not in text.replace("\\<", "") and "\u202e" not in text
    assert words.plain("a\nb\tc") == "a b c" and len(words.plain("x" * 999, 10)) == 11
    assert "&lt;" in verdict("clean", "<b>", (), LIGHT)


def test_times_and_sizes_for_people() -> None:
    assert [words.seconds(v) for v in (0.2, 12, 300, 9000)] == ["under 1 s", "12 s", "5 min", "2.5 h"]
    assert words.size(2_500_000) == "2.5 MB" and words.when("nonsense") == ""
    assert words.when("2026-01-02T03:04:05+00:00") == "2026-01-02 03:04"


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("name", "colours"), [("light", LIGHT), ("dark", DARK)])
def test_what_is_written_can_be_read(name: str, colours: Palette) -> None:
    """WCAG 2.2, level AA: 4.5 to 1 for text, 3 to 1 for what else must be seen."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"][name]
    assert (theme["backgroundColor"], theme["secondaryBackgroundColor"], theme["textColor"]) == (
        colours.page,
        colours.card,
        colours.ink,
    )
    for ground in (colours.page, colours.card):
        for text in (colours.ink, colours.soft, *colours.verdicts.values(), theme["linkColor"]):
            assert contrast(text, ground) >= 4.5, (text, ground)
        for mark in (colours.suspect, colours.clean, colours.trojaned, theme["primaryColor"]):
            assert contrast(mark, ground) >= 3, (mark, ground)
    assert contrast(colours.page, theme["primaryColor"]) >= 4.5
    assert f":enabled * {{ color: {colours.page}; }}" in style(colours)


def test_texts_in_templates_are_escaped_cut_and_never_run() -> None:
    strange = "<b onclick='x'>{{ 7 * 7 }}\u202e\n"
    said = facts([(strange, strange), ("nothing", None), ("zero", 0)])
    assert "<b" not in said and said.count("{{ 7 * 7 }}") == 2 and "&#39;" in said
    assert "49" not in said and "nothing" not in said and "<dd>0</dd>" in said
    shown = strip([Picture('x" onerror="y', strange, "c" * 99)], columns=3)
    assert 'src="x&#34; onerror=&#34;y"' in shown and "repeat(3," in shown and "\u202e" not in shown
    assert f"<figcaption>{'c' * 80}…</figcaption>" in shown


def test_a_gallery_has_a_gap_between_two_groups_only() -> None:
    one = Picture("u", "alt")
    html = gallery_table([("A", ["a", "b"]), ("B", ["c"])], [("row", [[one, one], [one]])])
    assert html.count('<td class="gap">') == 3 and '<th class="gap' not in html
    assert html.count("<td>") == 3 and 'colspan="2">A<' in html and "<small>" not in html
