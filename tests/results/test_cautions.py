"""What is said before a verdict that was made with other settings, or without the deep streams."""

from __future__ import annotations

from dataclasses import replace

from ti_core.rendering.page import html_report
from ti_core.rendering.repeat_command import command
from ti_core.results.case import Case
from ti_core.results.cautions import cautions, own_values
from ti_core.results.report import Report
from ti_core.settings import Settings

OWN = Settings(images=8)
RATES = {kind: {"auc": auc} for kind, auc in (("blend", 0.971), ("patch", 0.768))}
EVERY = {kind: {"auc": auc} for kind, auc in (("blend", 0.997), ("patch", 0.99))}


def test_own_values_are_those_of_settings_that_decide() -> None:
    turned = OWN.with_(bins=5, streams=("saliency",), attribution="smoothgrad")
    assert own_values(turned, OWN) == {"bins": 16, "streams": OWN.streams}
    assert own_values(OWN, OWN) == {} == own_values(OWN.with_(attribution="lrp"), OWN)


def test_nothing_is_said_of_the_packs_own_settings() -> None:
    assert cautions({"name": "p", "changed_settings": {}, "detects": RATES}, OWN.as_dict()) == []
    assert cautions({"name": "p", "detects": RATES}, OWN.as_dict()) == [], "a report of an earlier version"


def test_each_setting_is_named_with_both_values() -> None:
    turned = OWN.with_(quantiles=(0.97, 0.99), bins=5)
    pack = {"name": "p", "changed_settings": {"quantiles": [0.5, 0.9], "bins": 16}, "detects": RATES}
    (said,) = cautions(pack, turned.as_dict())
    assert said == (
        "This verdict was made with settings other than the pack's own: quantiles 0.97, 0.99 instead of 0.5, 0.9;"
        " bins 5 instead of 16. The pack's rates were measured at its own settings."
    )
    alone = {"name": None, "changed_settings": {"bins": 16}, "images": {}}
    (said,) = cautions(alone, turned.as_dict())
    assert "other than the program's own: bins 5 instead of 16" in said and "rates" not in said
    assert "bins" not in cautions(pack, {"quantiles": [0.97]})[0], "a record that lacks the setting itself"


def test_what_is_declared_of_the_model_is_no_change_of_the_method() -> None:
    settings = OWN.with_(normalisation="mnist", input_size=28, bins=5).as_dict()
    own = {"normalisation": "auto", "input_size": 0}
    said = cautions({"name": "p", "changed_settings": own, "detects": RATES}, settings)
    assert said == ["Declared of the model, not found out: normalisation mnist; input_size 28."]
    both = cautions({"name": "p", "changed_settings": own | {"bins": 16}, "detects": RATES}, settings)
    assert both[1:] == said and "bins 5 instead of 16." in both[0] and "mnist" not in both[0]


def test_without_deep_streams_both_figures_are_given() -> None:
    pack = {"name": "p", "changed_settings": {}, "detects": RATES, "all_streams": EVERY}
    (said,) = cautions(pack, OWN.as_dict())
    assert "saliency alone, without the deep streams" in said
    assert "saliency alone reaches AUC 0.97 for blend triggers and 0.77 for patch triggers;" in said
    assert said.endswith("the same pack reaches 1.00 for blend triggers and 0.99 for patch triggers.")
    (said,) = cautions(pack | {"all_streams": {}}, OWN.as_dict())
    assert said.endswith("does not record how much weaker that is.")


def turned_report(case: Case) -> Report:
    report = case.report
    pack = report.pack | {"changed_settings": {"bins": 16, "images": 64}}
    return replace(report, pack=pack, settings=report.settings | {"bins": 5})


def test_the_page_says_it_before_the_verdict_and_beside_the_settings(tiny_cases: dict[str, Case]) -> None:
    case = tiny_cases["clean"]
    assert 'class="caution"' not in html_report(case) and case.report.pack["changed_settings"] == {}
    page = html_report(replace(case, report=turned_report(case)))
    assert page.index("bins 5 instead of 16") < page.index('<p class="verdict')
    assert "<td>5 (own: 16)</td>" in page and "<th>changed settings" not in page


def test_the_command_names_what_differs_from_the_pack(tiny_cases: dict[str, Case]) -> None:
    """A value that is the program's own may differ from the pack's."""
    report = replace(turned_report(tiny_cases["clean"]), settings=Settings(bins=5).as_dict())
    line = command(report)
    assert "--set bins=5" in line and "--set images=64" in line and "quantiles" not in line


def test_the_command_gives_the_sketch_that_the_network_was_built_from(tiny_cases: dict[str, Case]) -> None:
    report = tiny_cases["clean"].report
    drawn = replace(report, model=report.model | {"sketch": "block { relu }; flatten; linear 4"})
    assert " --architecture 'block { relu }; flatten; linear 4'" in command(drawn)
    assert "--architecture" not in command(report)
