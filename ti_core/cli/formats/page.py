"""The HTML page of a case, made by the command's own process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ti_core.errors import PackError
from ti_core.settings import Settings

if TYPE_CHECKING:
    from ti_core.results.case import Case


def page_of(case: Case, pack: str | None) -> str:
    """The HTML report of a case, made in this process from plain data. The histograms need torch.

    Parameters
    ----------
    pack : name or folder of the requested pack; None if the model determined it.

    Raises
    ------
    PackError : there is no such pack, or it is not the pack that the report names.
    """
    from ti_core.reference.pack import load_pack, pack_names
    from ti_core.rendering.comparison import panels
    from ti_core.rendering.page import html_report

    report = case.report
    if report.pack.get("images"):
        return html_report(case)
    chosen = report.pack["name"] if pack is None else pack
    if pack is None and chosen not in pack_names():
        raise PackError("The report names a reference pack that is not bundled; choose one with --pack.")
    found = load_pack(chosen)
    if found.sha256 != report.pack["sha256"]:
        raise PackError(
            f"Reference pack {found.name!r} has changed during the inspection; inspect the model again."
        )
    return html_report(case, panels(case, found, Settings.parse(report.settings)))
