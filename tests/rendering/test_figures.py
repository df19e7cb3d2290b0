from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from xml.etree import ElementTree

from PIL import Image

from ti_core.reference.pack import Pack
from ti_core.rendering.comparison import panels
from ti_core.rendering.drawings import signed
from ti_core.rendering.figures import all_figures, archive
from ti_core.rendering.page import digests, html_report
from ti_core.rendering.repeat_command import command
from ti_core.results.case import Case
from ti_core.settings import Settings

HOSTILE = '<script>alert(1)</script>"&.pt'


def hostile(case: Case) -> Case:
    """The case with mark-up in every text that a model or a pack gives."""
    streams = {k: v | {"sentence": HOSTILE} for k, v in case.report.streams.items()}
    report = replace(
        case.report,
        model=case.report.model | {"file": HOSTILE, "architecture": HOSTILE},
        reasons=(HOSTILE,),
        bearings=[],
        streams=streams,
        target_class_name=HOSTILE,
    )
    return replace(case, report=report, class_names=(HOSTILE,) * len(case.class_names))


def test_the_archive_holds_every_figure_and_all_open(tiny_cases: dict[str, Case], tiny_pack: Pack) -> None:
    case = tiny_cases["patch"]
    drawn = panels(case, tiny_pack, Settings.parse(case.report.settings))
    with zipfile.ZipFile(io.BytesIO(archive(case, drawn))) as file:
        names = set(file.namelist())
        captions = json.loads(file.read("captions.json"))
        assert names - {"captions.json"} == set(captions)
        for name in captions:
            if name.endswith(".png"):
                Image.open(io.BytesIO(file.read(name))).verify()
            else:
                ElementTree.fromstring(file.read(name))
    wanted = {
        "verdict.svg",
        "saliency-none.png",
        "saliency-patch.png",
        "histograms-blend.svg",
        "why-joint.svg",
    }
    assert wanted <= names and any(n.startswith("classes-") for n in names)


def test_drawings_escape_every_text(tiny_cases: dict[str, Case], tiny_pack: Pack) -> None:
    case = hostile(tiny_cases["patch"])
    for figure in all_figures(case, panels(case, tiny_pack, Settings.parse(case.report.settings))):
        if figure.drawing:
            ElementTree.fromstring(figure.drawing)
            assert "<script" not in figure.drawing


def test_the_report_escapes_every_text_and_asks_no_host(tiny_cases: dict[str, Case], tiny_pack: Pack) -> None:
    case = hostile(tiny_cases["patch"])
    page = html_report(case, panels(case, tiny_pack, Settings.parse(case.report.settings)))
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "http://" not in page and "https://" not in page and "url(" not in page
    assert "default-src 'none'" in page


def test_the_report_holds_what_a_reviewer_signs(tiny_cases: dict[str, Case], tiny_pack: Pack) -> None:
    case = tiny_cases["patch"]
    page = html_report(case, panels(case, tiny_pack, Settings.parse(case.report.settings)))
    for title in (
        "Reasons",
        "Saliency",
        "Histograms",
        "Why",
        "Settings",
        "Limits",
        "How to repeat",
        "Digests",
    ):
        assert f">{title}" in page
    assert all(digest in page for digest in digests(case.report).values())
    assert len(digests(case.report)["program (source files)"]) == 64
    assert "@media print" in page


def test_the_command_repeats_the_settings_and_quotes_the_file(tiny_cases: dict[str, Case]) -> None:
    report = tiny_cases["patch"].report
    report = replace(report, model=report.model | {"file": "a; rm -rf ~.pt"})
    line = command(report)
    assert "'a; rm -rf ~.pt'" in line and "--set images=8" in line and "--set quantiles=0.5,0.9" in line
    assert "streams" not in line


def test_a_model_that_is_not_understood_still_makes_a_report(tiny_cases: dict[str, Case]) -> None:
    case = tiny_cases["clean"]
    bare = replace(case, decisions={}, kinds=(), arrays={}, report=replace(case.report, streams={}))
    assert "Reasons" in html_report(bare) and not bare.understood


def test_bars_are_labelled_with_their_sign_unless_there_is_none() -> None:
    assert [signed(v) for v in (1.234, -0.5, 0.004, -0.004, 0.0)] == [
        "+1.23",
        "-0.50",
        "0.00",
        "0.00",
        "0.00",
    ]
