"""Names that come from whoever made the model: none becomes mark-up, hides a letter, or breaks the page."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ti_core.errors import CaseError
from ti_core.rendering.figures import all_figures
from ti_core.rendering.page import html_report
from ti_core.rendering.repeat_command import command
from ti_core.rendering.verify import NOT_COMPARED, verify_report
from ti_core.results.case import Case
from ti_core.results.case_record import check_record
from ti_core.results.report import LONGEST_NAME

NAMES = {
    "mark-up": '<img src=x onerror="alert(1)">.pt',
    "end of the text": "</pre></details><script>alert(1)</script>.pt",
    "attribute": "\" onmouseover='alert(1)' x=\".pt",
    "comment": "--><!-- ]]> &lt;b&gt; &#60;b&#62;.pt",
    "right to left": "model\u202egnp.pt",
    "isolates and zero width": "a\u2066b\u200bc\ufeffd.pt",
    "new lines": "a\nb\r\n c\u2028d.pt",
    "control": "a\x00b\x07c\x1b[31md.pt",
    "no UTF-8": "a\udcffb\ud800.pt",
    "long": "x" * 5000 + ".pt",
}


class Page(HTMLParser):
    """The tags of a page, their attributes, and the text outside of the JSON."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words = ""
        self._skip = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._skip = tag in ("pre", "style")

    def handle_data(self, data: str) -> None:
        self.words += "" if self._skip else data


def named(case: Case, name: str) -> Case:
    """The case with ``name`` for everything that a model, a pack or its maker gives a name to."""
    streams = {k: v | {"sentence": name} for k, v in case.report.streams.items()}
    report = replace(
        case.report,
        model=case.report.model | {"file": name, "architecture": name, "format": name},
        reasons=(name,),
        bearings=[],
        streams=streams,
        target_class_name=name,
        mapping=case.report.mapping and case.report.mapping | {"target_name": name},
        coverage=[row | {"why": name} for row in case.report.coverage],
        versions=case.report.versions | {"torch": name},
        isolation={"network": name},
    )
    return replace(case, report=report, class_names=(name,) * len(case.class_names), notes=(name,))


@pytest.fixture(params=NAMES.values(), ids=NAMES.keys())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_no_name_becomes_mark_up_or_hides_a_letter(name: str, tiny_cases: dict[str, Case]) -> None:
    plain, hostile = (
        Page(html_report(case)) for case in (tiny_cases["patch"], named(tiny_cases["patch"], name))
    )
    assert hostile.tags == plain.tags and hostile.attributes == plain.attributes
    assert not {"script", "iframe", "object", "link", "base", "form"} & hostile.tags
    assert not [c for c in hostile.words if not c.isprintable() and c != "\n"]
    html_report(named(tiny_cases["patch"], name)).encode()


def test_a_page_with_such_a_name_verifies(name: str, tiny_cases: dict[str, Case], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html_report(named(tiny_cases["patch"], name)), encoding="utf-8")
    if len(name) > 4000:
        # No case holds such a text, so no report of this program does.
        return
    found = verify_report(path)
    assert found.left_out == ("model", "pack") and found.state == NOT_COMPARED
    assert found.report.model["file"] == name


def test_drawings_stay_drawings(name: str, tiny_cases: dict[str, Case]) -> None:
    for figure in all_figures(named(tiny_cases["patch"], name), ()):
        if figure.drawing:
            tags = {element.tag.split("}")[1] for element in ElementTree.fromstring(figure.data())}
            assert not tags & {"script", "image", "foreignObject", "a", "b"}


def test_a_long_name_leaves_room_for_the_verdict(tiny_cases: dict[str, Case]) -> None:
    report = named(tiny_cases["patch"], NAMES["long"]).report
    assert len(report.sentence()) < 2 * LONGEST_NAME + 120


def test_the_command_can_be_copied(name: str, tiny_cases: dict[str, Case], tmp_path: Path) -> None:
    line = command(named(tiny_cases["patch"], name).report)
    assert line.isprintable()
    if "\x00" in name or "\ud800" in name:
        # No file can have such a name.
        return
    words = line.removeprefix("python -m ti_core inspect ").split(" --pack ")[0]
    read = subprocess.run(["bash", "-c", f"printf %s {words}"], capture_output=True, check=True).stdout
    assert read.decode("utf-8", "surrogateescape") in (name, f"./{name}")


@pytest.mark.parametrize("kind", ["../../evil", "a/b", "", "a b", ".."])
def test_names_that_become_files_are_names(kind: str, tiny_cases: dict[str, Case]) -> None:
    record = json.loads(json.dumps(tiny_cases["patch"].as_dict() | {"arrays_sha256": "0" * 64}))
    check_record(record)
    with pytest.raises(CaseError):
        check_record(record | {"kinds": [kind]})
    with pytest.raises(CaseError):
        check_record(record | {"report": record["report"] | {"streams": {kind: {}}}})
