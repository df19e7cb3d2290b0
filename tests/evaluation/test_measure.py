from __future__ import annotations

import json

import pytest

from ti_core.errors import PackError
from ti_core.evaluation import evaluate
from ti_core.evaluation.ablations import AblationRow, Ablations
from ti_core.evaluation.measure import Measured, Measurement
from ti_core.evaluation.shift import Shift, ShiftRow
from ti_core.reference.pack import Pack
from ti_core.system.cache import Cache


def results(pack: Pack) -> dict[str, Measured]:
    rows = tuple(evaluate(pack))
    return {
        "table": rows,
        "shift": Shift("fitted", (ShiftRow("recipe", "standard", 9, 1, rows[0]),), ("A note.",)),
        "ablations": Ablations("all", (AblationRow("probes", "x", "blend", 3, 4, 0.5, 0.2, 0.8),), ()),
    }


def test_a_result_is_the_same_after_its_way_as_json(tiny_pack: Pack) -> None:
    assert Measurement().of(tiny_pack, tiny_pack.settings, Cache(None)) == results(tiny_pack)["table"]
    for what, measured in results(tiny_pack).items():
        wanted = Measurement(what)
        assert wanted.from_json(json.loads(wanted.as_json(measured)), "bars") == measured


@pytest.mark.parametrize("what", ["table", "shift", "ablations"])
def test_what_is_no_result_is_an_error(what: str) -> None:
    for record in ({}, [3], {"members": "all", "rows": [{"auc": "good"}], "notes": []}):
        with pytest.raises(PackError, match="'bars' left no result"):
            Measurement(what).from_json(record, "bars")
