"""Has the code of the charts wait until a verdict can be read.

Plotly's code takes a browser half a second to start, and the charts of a verdict as long again to draw. Nothing else is
drawn meanwhile. An address that names a case would show the verdict only after that, if the code happens to be there
first. An import map puts a script before Plotly's that waits until the verdict is on the screen.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

CHART = "PlotlyChart.*.js"
PATIENCE = 3000
"""Milliseconds after which the charts are drawn although there is no verdict: the case may be gone."""
WAITING = """
if (new URLSearchParams(location.search).has("case") && !document.hidden) {
  const end = performance.now() + %d;
  while (!document.querySelector(".ti-verdict") && performance.now() < end)
    await new Promise(done => setTimeout(done, 20));
  // After the next frame; a tab that is left meanwhile has none.
  await new Promise(done => { requestAnimationFrame(() => setTimeout(done)); setTimeout(done, 500); });
}
const chart = await import("./js/%s");
export const PlotlyChart = chart.PlotlyChart;
export default chart.default;
"""


class LateCharts:
    """The middleware that serves the script.

    Parameters
    ----------
    app : Streamlit's application.
    folder : folder of the scripts of Streamlit's page.
    """

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self._app = app
        name = chart(folder)
        self._script = script(name) if name else b""
        self._end = "/" + place(name) if name else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = self._end and scope["type"] == "http" and scope["method"] == "GET"
        if not asked or not scope["path"].endswith(self._end):
            await self._app(scope, receive, send)
            return
        kept = {"cache-control": "public, immutable, max-age=31536000"}
        await Response(self._script, 200, kept, "text/javascript")(scope, receive, send)


def chart(folder: Path) -> str:
    """The name of the script that draws charts; empty if Streamlit names it otherwise."""
    found = sorted(path.name for path in folder.glob(CHART))
    return found[0] if len(found) == 1 else ""


def script(name: str) -> bytes:
    """The script that stands for the one of this name."""
    return (WAITING % (PATIENCE, name)).encode()


def place(name: str) -> str:
    """Where the script is, seen from the page. The name changes with what the script says."""
    return f"static/charts-{hashlib.sha256(script(name)).hexdigest()[:12]}.js"


def import_map(folder: Path) -> str:
    """The element of the page that puts the script before Plotly's; empty if Streamlit names that otherwise."""
    name = chart(folder)
    if not name:
        return ""
    scopes = {"./static/js/": {f"./static/js/{name}": f"./{place(name)}"}}
    return f'<script type="importmap">{json.dumps({"scopes": scopes})}</script>'
