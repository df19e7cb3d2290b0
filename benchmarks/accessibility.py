"""Looks for barriers on every page with axe-core: ``python -m benchmarks.accessibility``.

It starts the real server, inspects a bundled sample, and runs axe-core on every page in both themes at widths of 390,
800 and 1440 pixels, and on the HTML report. It prints what it finds and ends with 1 if that is anything. The suite does
the same with fewer combinations. axe-core (Deque Systems, MPL 2.0) lies in ``tests/app/axe``, as npm delivers it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from app.store.cases import CaseStore
from benchmarks.screenshots import CHROMIUM, finished, open_page, serve
from ti_core.rendering.page import html_report

AXE = Path(__file__).resolve().parent.parent / "tests" / "app" / "axe" / "axe.min.js"
WIDTHS, THEMES = (1440, 800, 390), ("light", "dark")
PAGES = {
    "": "heading",
    "compare": "heading",
    "lab": "chart",
    "training-data": "heading",
    "demonstration": "heading",
    "packs": "chart",
    "cases": "heading",
}
"""Path of each page, and what shows that it is drawn."""
NOT_OURS = {"presentation-role-conflict": "stFileUploaderDropzone"}
"""Findings about an element that Streamlit writes and no style sheet changes: by rule, the element's test id."""
RUN = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations.flatMap(v =>
  v.nodes.map(n => [v.id, v.help, n.html.slice(0, 200)]))"""


STILL = """() => {
  const app = document.querySelector('[data-testid=stApp]');
  const ends = a => a.effect && a.effect.getComputedTiming().endTime !== Infinity;
  return app && app.dataset.testScriptState === 'notRunning'
    && !document.getAnimations().some(a => a.playState === 'running' && ends(a));
}"""
"""Whether the server's script has ended and no colour fades in, which Streamlit does with what may change."""


def barriers(page: Any) -> list[str]:
    """What axe-core finds on the page as it stands, a sentence each."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    return [
        f"{rule}: {text} ({html})"
        for rule, text, html in page.evaluate(RUN)
        if NOT_OURS.get(rule) is None or NOT_OURS[rule] not in html
    ]


def settled(page: Any, path: str) -> None:
    """Wait until the page of that path is drawn."""
    if PAGES[path] == "chart":
        page.locator(".js-plotly-plot, .ti-strip img").first.wait_for()
    else:
        page.get_by_role("heading").first.wait_for()
    still(page)


def still(page: Any) -> None:
    """Wait until nothing of the page changes any more. In a colour that fades in axe-core sees too little contrast."""
    page.wait_for_timeout(500)
    page.wait_for_function(STILL)


def main() -> None:
    from playwright.sync_api import sync_playwright

    found: list[str] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as p:
        home = Path(folder)
        address, server = serve(home)
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = open_page(browser, address, 1440, "light")
            page.locator(".st-key-samples-mnist").get_by_role("button", name="patch").click()
            finished(page)
            case = CaseStore(home).entries()[0].id
            report = home / "report.html"
            report.write_text(html_report(CaseStore(home).load(case)), encoding="utf-8")
            page.context.close()
            for theme in THEMES:
                page = open_page(browser, address, 1440, theme)
                for path in (*PAGES, f"?case={case}&open=all", report.as_uri()):
                    page.set_viewport_size({"width": 1440, "height": 900})
                    page.goto(path if path.startswith("file:") else f"{address}/{path}")
                    if path in PAGES:
                        settled(page, path)
                    elif not path.startswith("file:"):
                        finished(page)
                        still(page)
                    for width in WIDTHS:
                        page.set_viewport_size({"width": width, "height": 900})
                        page.wait_for_timeout(700)
                        said = [f"{path or 'start'}, {theme}, {width}: {line}" for line in barriers(page)]
                        print(
                            "\n".join(said) or f"{path.rpartition('/')[2] or 'start'}, {theme}, {width}: none"
                        )
                        found += said
                page.context.close()
        finally:
            browser.close()
            server.terminate()
            server.wait(timeout=30)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
