from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ti_core.cli.tables import ablations_text
from ti_core.evaluation import ablations as module
from ti_core.evaluation.ablations import Ablation, ablate, ablations
from ti_core.evaluation.automl import automl_scores
from ti_core.evaluation.normalised import NormalisedSaliency
from ti_core.reference.pack import Pack
from ti_core.reference.reference import Reference
from ti_core.settings import Settings
from ti_core.streams.saliency import Saliency
from ti_core.system.cache import Cache


def test_every_part_of_the_papers_stream_is_varied(tiny_settings: Settings) -> None:
    plan = ablations(tiny_settings)
    topics = {a.topic for a in plan}
    assert topics == {"as set", "quantiles", "histograms", "probes", "saliency", "meta-model"}
    assert plan[0].settings == tiny_settings.with_(streams=("saliency",))
    assert {a.settings.trigger_kinds for a in plan if a.topic == "probes"} >= {
        ("none",),
        ("patch",),
        ("blend",),
    }
    assert any(a.settings.actmax_iterations == 0 for a in plan)
    assert {a.settings.histogram_form for a in plan if a.histograms_only} == {"pooled", "per_image", "both"}
    assert len({(a.topic, a.name) for a in plan}) == len(plan)


def test_what_needs_no_other_evidence_runs_no_model(tiny_pack: Pack, tiny_settings: Settings) -> None:
    one = tiny_settings.with_(streams=("saliency",))
    cache = Cache(None)
    chosen = [Ablation("as set", "all", one), Ablation("quantiles", "0.5", one.with_(quantiles=(0.5,)))]
    found = ablate(tiny_pack, tiny_settings, cache=cache, chosen=chosen)
    assert not cache.misses
    fitted = [m for m in tiny_pack.members if not m.held_out]
    for r in found.rows:
        assert r.clean == sum(m.label == "clean" for m in fitted)
        assert r.trojaned == sum(m.label == r.kind for m in fitted)
        assert 0 <= r.low <= r.auc <= r.high <= 1


def test_other_probes_are_computed_once_by_way_of_the_cache(
    tiny_pack: Pack, tiny_settings: Settings, tmp_path: Path
) -> None:
    one = tiny_settings.with_(streams=("saliency",), actmax_iterations=0)
    chosen = [Ablation("probes", "without ActMax", one), Ablation("again", "fewer bins", one.with_(bins=4))]
    first, second = Cache(tmp_path), Cache(tmp_path)
    ablate(tiny_pack, tiny_settings, "held-out", cache=first, chosen=chosen)
    assert len(first.misses) == len(tiny_pack.members)
    ablate(tiny_pack, tiny_settings, "held-out", cache=second, chosen=chosen)
    assert not second.misses
    first.close()
    second.close()


def test_histograms_alone_leave_the_other_features_out(
    tiny_pack: Pack, tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = tiny_settings.with_(streams=("saliency",), histogram_form="pooled")
    widths: list[int] = []

    class Noted(module.Boosting):
        def model(self, features: int, seed: int):  # type: ignore[no-untyped-def]
            widths.append(features)
            return super().model(features, seed)

    monkeypatch.setattr(module, "Boosting", Noted)
    ablate(tiny_pack, one, "held-out", chosen=[Ablation("histograms", "pooled", one, histograms_only=True)])
    groups, rows = len(one.trigger_kinds), len(one.quantiles)
    assert widths == [groups * rows * one.bins]


def test_normalised_maps_reach_one_and_share_no_evidence_with_the_stream(
    tiny_pack: Pack, tiny_settings: Settings
) -> None:
    reference = Reference(tiny_pack, tiny_settings, Cache(None))
    context = reference.context(reference.probes())
    scores = tiny_pack.scores(tiny_pack.members[0])
    plain = Saliency(tiny_settings).evidence(scores, context)
    shares = NormalisedSaliency(tiny_settings).evidence(scores, context)
    assert set(shares) == set(plain)
    np.testing.assert_allclose(shares["per_image"][..., -1], 1.0, rtol=1e-5)
    expected = plain["per_image"] / plain["per_image"][..., -1:]
    np.testing.assert_allclose(shares["per_image"], expected, rtol=1e-4, atol=1e-6)
    assert not reference.serves_baseline(NormalisedSaliency(tiny_settings))


def test_without_flaml_one_sentence_says_so(
    tiny_pack: Pack, tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ti_core.evaluation.automl.find_spec", lambda name: None)
    one = tiny_settings.with_(streams=("saliency",))
    found = ablate(
        tiny_pack,
        one,
        chosen=[Ablation("as set", "all", one), Ablation("meta-model", "AutoML", one, automl=True)],
    )
    (note,) = found.notes
    assert "flaml" in note and "trojaninterpret[automl]" in note
    assert {r.topic for r in found.rows} == {"as set"}
    assert note in ablations_text(tiny_pack, found)


@pytest.mark.slow
def test_automl_finds_what_is_plain_to_see_and_keeps_groups_whole() -> None:
    for name in ("flaml", "lightgbm", "xgboost", "pandas"):
        pytest.importorskip(name, reason="AutoML is an optional extra")
    rng = np.random.default_rng(0)
    labels = np.array(["clean", "patch"] * 30)
    groups = np.array([str(i // 4) for i in range(60)])
    x = rng.normal(size=(60, 5)).astype(np.float32)
    x[:, 2] += 4 * (labels == "patch")
    scores = automl_scores(x[:40], labels[:40], groups[:40], x[40:], seed=0, budget=2)
    assert scores.shape == (20,) and np.isfinite(scores).all()
    assert scores[labels[40:] == "patch"].min() > np.median(scores[labels[40:] == "clean"])
