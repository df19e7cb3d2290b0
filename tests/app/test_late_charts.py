"""The script that has the charts' code wait for a verdict."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from starlette.responses import PlainTextResponse
from streamlit import file_util

from app.server.late_charts import LateCharts, import_map, place

SCRIPTS = Path(file_util.get_static_dir()) / "static" / "js"


def asked(path: str, folder: Path) -> tuple[dict[str, str], str]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    app = LateCharts(PlainTextResponse("not this"), folder)
    asyncio.run(app({"type": "http", "method": "GET", "path": path, "headers": []}, None, send))  # type: ignore[arg-type]
    return {k.decode(): v.decode() for k, v in sent[0]["headers"]}, sent[1]["body"].decode()


def test_the_map_puts_the_script_before_streamlits_own_and_nothing_else() -> None:
    told = json.loads(re.sub("<.*?>", "", import_map(SCRIPTS)))["scopes"]
    ((importers, pairs),) = told.items()
    ((chart, instead),) = pairs.items()
    assert (SCRIPTS.parents[1] / chart).is_file() and importers == chart.rpartition("/")[0] + "/"
    # The script itself must get Streamlit's.
    assert not instead.startswith(importers)
    headers, script = asked("/below/a/path/" + instead.removeprefix("./"), SCRIPTS)
    assert headers["content-type"].startswith("text/javascript") and "immutable" in headers["cache-control"]
    assert chart.removeprefix("./static/") in script
    name = chart.rpartition("/")[2]
    whole = (SCRIPTS / name).read_text(encoding="utf-8")
    names = re.search(r"export\{\w+ as (\w+),\w+ as default\}", whole[-200:])
    assert names, "these are all names that it exports"
    assert (
        f"export const {names[1]} = chart.{names[1]};" in script and "export default chart.default;" in script
    )
    assert asked("/static/js/other.js", SCRIPTS)[1] == "not this"


def test_without_a_script_of_that_name_nothing_is_changed(tmp_path: Path) -> None:
    assert import_map(tmp_path) == ""
    assert asked("/" + place("PlotlyChart.x.js"), tmp_path)[1] == "not this"
