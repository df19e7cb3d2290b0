from __future__ import annotations

import json
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ti_core.cli.tables import evaluation_text, few_networks
from ti_core.errors import PackError
from ti_core.evaluation import Scored, auc, auc_interval, evaluate, table
from ti_core.reference.pack import Member, Pack, load_pack
from ti_core.settings import Settings
from ti_core.streams.base import FoundMapping
from ti_core.system.cache import Cache


def test_auc_agrees_with_scikit_learn_ties_included() -> None:
    rng = np.random.default_rng(0)
    clean, bad = rng.integers(0, 9, 40), rng.integers(2, 11, 30)
    y = np.r_[np.zeros(40), np.ones(30)]
    assert auc(clean, bad) == pytest.approx(roc_auc_score(y, np.r_[clean, bad]))
    above = (bad[:, None] > clean[None]).mean() + 0.5 * (bad[:, None] == clean[None]).mean()
    assert auc(clean, bad) == pytest.approx(above), "pairs won, and half of the pairs tied"


def test_the_interval_holds_the_auc_and_narrows_with_the_models() -> None:
    low, high = auc_interval(0.9, 30, 20)
    assert low < 0.9 < high < 1
    wider = auc_interval(0.9, 10, 8)
    assert wider[0] < low and high < wider[1] <= 1


@pytest.mark.parametrize(
    ("value", "clean", "trojaned"), [(1.0, 27, 7), (0.9, 30, 20), (0.5, 6, 80), (0.0, 9, 9)]
)
def test_the_ends_of_the_interval_solve_newcombes_equation(value: float, clean: int, trojaned: int) -> None:
    """``(theta - AUC)^2 m n = z^2 theta (1 - theta) (1 + (N - 1) ((1 - theta) / (2 - theta) + theta / (1 + theta)))``,
    with ``N = (m + n) / 2``."""
    z = NormalDist().inv_cdf(0.975)
    more = (clean + trojaned) / 2 - 1
    for theta in auc_interval(value, clean, trojaned):
        spread = theta * (1 - theta) * (1 + more * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        assert (theta - value) ** 2 * clean * trojaned == pytest.approx(z**2 * spread, abs=1e-9)
    low, high = auc_interval(value, clean, trojaned)
    assert high - low > 0.1


def test_the_interval_of_a_perfect_auc_does_not_claim_certainty() -> None:
    low, high = auc_interval(1.0, 27, 7)
    assert high == 1.0 and 0.6 < low < 0.97


def test_the_interval_covers_as_often_as_it_says() -> None:
    """On normal scores with a known AUC, about 95 % of the intervals hold it."""
    rng = np.random.default_rng(1)
    truth = 0.9213  # P(N(2, 1) > N(0, 1)) = Phi(2 / sqrt 2)
    held = 0
    for _ in range(300):
        low, high = auc_interval(auc(rng.normal(size=25), rng.normal(2, 1, size=15)), 25, 15)
        held += low <= truth <= high
    assert held / 300 > 0.9


def test_rows_rest_on_held_out_members_only(tiny_pack: Pack, tiny_settings: Settings) -> None:
    rows = evaluate(tiny_pack, tiny_settings)
    clean = sum(m.held_out and m.label == "clean" for m in tiny_pack.members)
    assert {r.streams for r in rows} == {"saliency", "joint"}
    for r in rows:
        families = ("standard", "challenge") if r.family == "all" else (r.family,)
        assert r.clean == clean
        assert r.trojaned == sum(
            m.held_out and m.label == r.kind and m.family in families for m in tiny_pack.members
        )
        assert 0 <= r.low <= r.auc <= r.high <= 1
        assert r.accuracy == pytest.approx((r.found + 1 - r.false_alarms) / 2)


def test_the_pack_records_what_evaluate_prints(tiny_pack: Pack, tiny_settings: Settings) -> None:
    rows = evaluate(tiny_pack, tiny_settings)
    assert tiny_pack.record["table"] == [r.as_dict() for r in rows]
    text = evaluation_text(tiny_pack, rows)
    assert "95 % interval" in text and len(text.splitlines()) == len(rows) + 2


def test_other_settings_are_evaluated_with_their_own_evidence(
    tiny_pack: Pack, tiny_settings: Settings
) -> None:
    other = tiny_settings.with_(bins=12, seed=5, streams=("saliency",))
    cache = Cache(None)
    rows = evaluate(tiny_pack, other, cache)
    assert {r.streams for r in rows} == {"saliency"}
    assert len(cache.misses) == len(tiny_pack.members), "every member's evidence at the other seed"


def test_a_pack_that_holds_nothing_out_cannot_be_evaluated(tiny_pack: Pack, tmp_path_factory: object) -> None:
    record = json.loads((tiny_pack.folder / "pack.json").read_text())
    for m in record["members"]:
        m["held_out"] = False
    folder = tmp_path_factory.mktemp("none")  # type: ignore[attr-defined]
    (folder / "pack.json").write_text(json.dumps(record))
    with pytest.raises(PackError, match="holds no member out"):
        evaluate(load_pack(folder))


def test_a_table_says_where_it_rests_on_few_networks(tiny_pack: Pack) -> None:
    row = evaluate(tiny_pack)[0]
    enough, few = replace(row, clean=5, trojaned=5), replace(row, clean=9, trojaned=4)
    assert few_networks([enough, enough]) == ""
    assert few_networks([enough, few]).startswith("1 of the 2 rows rest on fewer than 5 clean or 5 trojaned")
    assert few_networks([few]).startswith("The row rests on fewer than 5")


def scored(*members: tuple[str, str, float], leads: FoundMapping | None = None) -> Scored:
    """Members by label, family and probability, and where all are found to lead: by default all images to class 1."""
    like = Member("m", "clean", "standard", "g", "mlp", {}, "none", 0, 0.9, True)
    made = tuple(
        replace(
            like,
            id=f"m{i}",
            label=label,
            family=family,
            target_class=None if label == "clean" or family.startswith("all-to-all") else 1,
            source_class=2 if family.startswith("one-source") else None,
            assignment=(1, 2, 3, 4, 0) if family.startswith("all-to-all") else (),
        )
        for i, (label, family, _) in enumerate(members)
    )
    p = np.array([probability for _, _, probability in members])
    verdicts = np.where(p >= 0.6, "backdoored", np.where(p < 0.3, "clean", "inconclusive"))
    found = leads or FoundMapping("all to one", 1)
    return Scored(made, p, (found,) * len(p), verdicts, np.full(len(p), 0.3), np.full(len(p), 0.6))


@pytest.mark.parametrize(
    ("family", "leads", "right"),
    [
        ("standard", FoundMapping("all to one", 1), 1.0),
        ("standard", FoundMapping("all to one", 2), 0.0),
        ("standard", FoundMapping("one source", 1, 2), 1.0),
        ("one-source patch", FoundMapping("one source", 1, 2), 1.0),
        ("one-source patch", FoundMapping("one source", 1, 3), 0.0),
        ("one-source patch", FoundMapping("all to one", 1), 1.0),
        ("all-to-all patch", FoundMapping("all to all", assignment=(1, 2, 3, 4, 0)), 1.0),
        ("all-to-all patch", FoundMapping("all to all", assignment=(1, 2, 3, 4, 1)), 1.0),
        ("all-to-all patch", FoundMapping("all to all", assignment=(1, 2, 3, 0, 4)), 0.0),
        ("all-to-all patch", FoundMapping("all to one", 1), 0.0),
    ],
)
def test_what_is_right_is_the_target_the_pair_or_the_assignment(
    family: str, leads: FoundMapping, right: float
) -> None:
    row = table("joint", scored(("clean", "standard", 0.1), ("patch", family, 0.9), leads=leads))[-1]
    assert row.found == 1 and row.target == right


def test_backdoors_that_lead_elsewhere_have_rows_of_their_own() -> None:
    found = scored(
        *[("clean", "standard", 0.1)] * 4,
        *[("patch", "standard", 0.9)] * 3,
        ("patch", "low-rate patch", 0.2),
        *[("patch", "all-to-all patch", 0.2)] * 2,
        ("blend", "challenge", 0.9),
        ("input dependent", "generated", 0.7),
        ("blend", "one-source blend", 0.8),
    )
    rows = table("joint", found)
    cells = {(r.kind, r.mapping, r.family): (r.trojaned, r.found) for r in rows}
    assert list(cells) == [
        ("blend", "all to one", "challenge"),
        ("blend", "all to one", "all"),
        ("patch", "all to one", "standard"),
        ("patch", "all to one", "low-rate patch"),
        ("patch", "all to one", "all"),
        ("input dependent", "all to one", "generated"),
        ("input dependent", "all to one", "all"),
        ("blend", "one source", "one-source blend"),
        ("blend", "one source", "all"),
        ("patch", "all to all", "all-to-all patch"),
        ("patch", "all to all", "all"),
    ]
    assert cells["patch", "all to one", "all"] == (4, 0.75)
    assert cells["patch", "all to all", "all"] == (2, 0.0)
    assert sum(r.clean for r in rows if r.what == "patch" and r.family == "all") == 4
    everywhere = next(r for r in rows if r.mapping == "all to all")
    assert everywhere.target is None and everywhere.as_dict()["mapping"] == "all to all"
    assert "mapping" not in rows[0].as_dict()
    assert [r.what for r in rows if r.family == "all"] == [
        *("blend", "patch", "input dependent", "blend, one source", "patch, all to all")
    ]


def test_false_alarms_among_hard_clean_networks_are_counted_apart(tiny_pack: Pack) -> None:
    """Of four clean networks two are called backdoored, and one of the two hard ones."""
    clean = next(m for m in tiny_pack.members if not m.trojaned)
    bad = next(m for m in tiny_pack.members if m.label == "blend")
    families = ("standard", "standard", "certified", "robust")
    members = (*(replace(clean, family=family) for family in families), bad)
    verdicts = np.array(["clean", "backdoored", "backdoored", "clean", "backdoored"])
    half = np.full(5, 0.5)
    scored = Scored(members, half, (None,) * 5, verdicts, half, half)
    (row,) = [r for r in table("joint", scored) if r.family == "all"]
    assert (row.false_alarms, row.hard, row.hard_alarms) == (0.5, 2, 0.5)
    assert row.as_dict()["hard"] == 2 and "50% of 2" in evaluation_text(tiny_pack, [row])
    usual = replace(row, hard=0, hard_alarms=None)
    assert not {"hard", "hard_alarms"} & set(usual.as_dict())
