"""Many classes: the one with a short cut is searched in full, the others get estimates that suspect nobody."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.streams.toys import (
    BreaksDown,
    Constant,
    Counting,
    Linear,
    NotFinite,
    OnePixel,
    context,
    grey,
    weights,
)
from ti_core.detector.joint import joint_features, suspected
from ti_core.detector.own_classes import alone, read_alone
from ti_core.errors import CancelledError
from ti_core.streams import Stream, stack
from ti_core.streams.base import silent
from ti_core.streams.inversion import Inversion, smallness
from ti_core.streams.searches.patches import WindowSearch, find_patterns, standing_out
from ti_core.streams.searches.screening import (
    SEARCHED,
    Screening,
    among_searched,
    completed,
    unsuspected,
)
from ti_core.streams.searches.search import pools
from ti_core.streams.searches.shortlist import shortlist
from ti_core.streams.searches.window_scores import FLAT, command, of_flat_patches
from ti_core.streams.universal import Universal
from ti_core.streams.windowed import Windowed

MANY = 20
NAMES = tuple(f"class {i}" for i in range(MANY))
STREAMS = (Universal, Windowed, Inversion)


def test_every_view_has_its_say_in_turn() -> None:
    first = np.arange(20.0)
    second = np.where(first == 3, 100.0, -first)
    chosen = Screening(kept=4, others=0).choose(first, second)
    assert chosen.tolist() == [0, 3, 18, 19]


def test_a_view_that_is_less_sure_names_more_classes_in_its_turn() -> None:
    first, second = np.arange(20.0), -np.arange(20.0)
    chosen = Screening(kept=6, others=0).choose(first, second, turns=(1, 2))
    assert chosen.tolist() == [0, 1, 2, 3, 18, 19]


def test_the_others_are_spread_over_the_ranking_of_the_rest() -> None:
    chosen = Screening(kept=2, others=3).choose(np.arange(19.0))
    # The rest is 16 down to 0.
    assert chosen.tolist() == [4, 8, 12, 17, 18]


def test_values_that_are_not_finite_stand_out_least() -> None:
    standing = np.array([np.nan, np.inf, 1.0, 0.0, -1.0, -np.inf])
    assert Screening(kept=2, others=0).choose(standing).tolist() == [2, 3]


@pytest.mark.parametrize(
    ("classes", "applies"), [(2, False), (10, False), (16, False), (17, True), (1000, True)]
)
def test_few_classes_are_never_screened(classes: int, applies: bool) -> None:
    assert Screening().applies(classes) is applies
    assert not Screening(above=1, kept=6, others=2).applies(8)


@pytest.mark.parametrize("shape", [(20,), (20, 7)])
def test_where_full_effort_is_a_line_of_the_short_search_the_estimate_is_exact(
    shape: tuple[int, ...],
) -> None:
    """One slope for all columns, and an offset for each."""
    short = np.random.default_rng(0).normal(size=shape)
    truth = 1.2 * short + np.linspace(-1, 1, short[0].size).reshape(shape[1:])
    largest = short.reshape(20, -1).argmax(0)
    chosen = np.unique([0, 5, *(int(i) for i in largest)])
    np.testing.assert_allclose(completed(short, truth[chosen], chosen), truth, atol=1e-5)


def test_no_estimate_lies_above_what_was_found() -> None:
    rng = np.random.default_rng(1)
    short, chosen = rng.normal(size=(30, 4)), np.array([3, 4, 11])
    full = rng.normal(size=(3, 4))
    table = completed(short, full, chosen)
    np.testing.assert_allclose(table[chosen], full, rtol=1e-6)
    assert (table <= full.max(0) + 1e-6).all()


def test_short_searches_that_all_agree_give_everyone_the_median() -> None:
    table = completed(np.zeros((5, 2)), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 2]))
    np.testing.assert_allclose(table[[0, 3, 4]], [[2.0, 3.0]] * 3)


def test_a_target_class_far_off_the_line_does_not_move_the_estimates() -> None:
    short, chosen = np.arange(20.0), np.array([0, 4, 9, 14, 19])
    full = 2 + 0.5 * short[chosen]
    backdoor = full + np.array([0, 0, 0, 0, 100])
    rest = np.delete(np.arange(20), chosen)
    np.testing.assert_allclose(completed(short, backdoor, chosen)[rest], 2 + 0.5 * rest, rtol=1e-6)


def test_an_estimate_is_never_suspected_nor_named() -> None:
    evidence = {SEARCHED: np.array([[1.0, 0.0, 0.0]], dtype=np.float32)}
    assert unsuspected(np.array([[-1.0, 5.0, -2.0]]), evidence).tolist() == [[-1.0, 0.0, -2.0]]
    assert unsuspected(np.ones((1, 3, 2)), evidence).tolist() == [[[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]]
    assert among_searched(np.array([-1.0, 5.0, 6.0]), {SEARCHED: evidence[SEARCHED][0]}).argmax() == 0
    plain = np.array([[3.0, -1.0]])
    assert unsuspected(plain, {}) is plain and among_searched(plain[0], {}).tolist() == [3.0, -1.0]


SHORT = Screening(windows_above=0)
"""Also the windows are searched shortly first, as with more classes than fifty."""


def clean(seed: int) -> torch.nn.Module:
    return Linear(weights(MANY, size=0.1, seed=seed))


def short_cut(stream: str) -> torch.nn.Module:
    """A network with a short cut to class 13 of the kind that the stream sees."""
    w = weights(MANY, size=0.1)
    if stream == "universal":
        w[13] *= 4
        return Linear(w)
    return OnePixel(w, row=2, column=9, target=13, threshold=0.2)


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s.name)
def test_a_class_with_a_short_cut_is_searched_named_and_suspected(stream: type[Stream]) -> None:
    images, labels = grey(80, low=0.0, high=0.25), torch.arange(80) % MANY
    shown = context(images, labels, MANY)
    plain = stack([stream(screening=SHORT).evidence(clean(seed), shown) for seed in range(2, 8)])
    evidence = stream(screening=SHORT).evidence(short_cut(stream.name), shown)
    searched = evidence[SEARCHED]
    assert searched[13] == 1 and searched.sum() == 8 and set(searched.tolist()) == {0.0, 1.0}
    assert all(np.isfinite(a).all() for a in evidence.values())
    assert stream(screening=SHORT).read(evidence, plain, NAMES).target == 13
    scores = stream(screening=SHORT).class_scores(stack([evidence]), plain)
    assert scores is not None and scores.shape == (1, MANY)
    assert int(scores[0].argmax()) == 13 and float(scores[0, 13]) > 2
    # What one colour does is no estimate.
    flat = [of_flat_patches(e) for e in (stack([evidence]), plain)] if stream is Windowed else None
    assert (scores[0, searched == 0] <= (FLAT * command(*flat)[0, searched == 0] if flat else 0)).all()
    assert read_alone(stream(screening=SHORT), evidence, NAMES).target == 13


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s.name)
def test_estimates_do_not_move_the_clean_models_distribution(stream: type[Stream]) -> None:
    """The clean models' mean at each class is near what it is when every class is searched in full."""
    images, labels = grey(80), torch.arange(80) % MANY
    ways = []
    for screening in (SHORT, Screening(above=1000)):
        many = [
            stream(screening=screening).evidence(  # type: ignore[call-arg]
                Linear(weights(MANY, seed=s)), context(images, labels, MANY)
            )
            for s in range(2, 7)
        ]
        ways.append(smallness(stack(many)) if stream is Inversion else stack(many)["margins"])
    screened, full = ways
    within = full.std()
    assert abs(screened.mean() - full.mean()) < 0.3 * within
    assert abs(screened.std() / within - 1) < 0.3


def test_screening_spares_most_of_the_work_of_a_hundred_classes() -> None:
    """All streams together: the look at all classes is theirs in common."""
    shown = context(grey(100), torch.arange(100), 100)
    work = []
    for screening in (Screening(), Screening(above=1000)):
        network = Counting(Linear(weights(100)))
        for stream in STREAMS:
            stream(screening=screening).evidence(network, shown)
        work.append(network.images)
    assert work[0] < 0.5 * work[1]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s.name)
def test_few_classes_have_the_evidence_they_always_had(stream: type[Stream]) -> None:
    images, labels = grey(30), torch.arange(30) % 3
    network = Linear(weights(3))
    usual = stream().evidence(network, context(images, labels, 3))
    never = stream(screening=Screening(above=1000)).evidence(network, context(images, labels, 3))  # type: ignore[call-arg]
    assert SEARCHED not in usual and usual.keys() == never.keys()
    assert all(np.array_equal(usual[k], never[k]) for k in usual)


def test_up_to_fifty_classes_are_searched_in_every_window_and_those_that_stand_out_once_more() -> None:
    images, labels = grey(80, low=0.0, high=0.25), torch.arange(80) % MANY
    shown, network = context(images, labels, MANY), short_cut("windowed")
    first = shortlist(network, shown, Screening()).windowed
    every = Windowed(screening=Screening(above=1000)).evidence(network, shown)
    assert all(np.array_equal(first[k], every[k]) for k in first)
    windows = Windowed().evidence(network, shown)
    again = windows[SEARCHED] == 1
    assert again.sum() == 8 and again[13]
    assert set(np.argsort(-standing_out(first["margins"]))[:8]) == set(np.flatnonzero(again))
    protocol, classes = (
        WindowSearch.for_images(*images.shape[2:], MANY).closer(),
        torch.from_numpy(np.flatnonzero(again)),
    )
    closer = find_patterns(network, images, pools(labels, MANY, 32), classes, protocol, silent)
    np.testing.assert_allclose(windows["margins"][again], closer["margins"], atol=1e-5)
    estimated = completed(first["margins"], closer["margins"], np.flatnonzero(again))
    np.testing.assert_allclose(windows["margins"], estimated, atol=1e-5)
    assert Inversion().evidence(network, shown)[SEARCHED][13] == 1
    assert not Screening().shortens_windows(50) and Screening().shortens_windows(51)
    assert not Screening(above=100).shortens_windows(60)


def test_the_foremost_are_those_that_stand_out_most() -> None:
    standing = np.array([0.1, np.nan, 3.0, 2.0, -np.inf, 2.0, 5.0])
    assert Screening(kept=2, others=1).foremost(standing).tolist() == [2, 3, 6]
    assert Screening(kept=6, others=0).foremost(standing).tolist() == [0, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("network", "count", "labels"),
    [
        (Constant(MANY), 60, range(MANY)),
        (NotFinite(weights(MANY)), 60, range(MANY)),
        (BreaksDown(weights(MANY), target=4), 60, range(MANY)),
        (Linear(weights(MANY)), 1, [0]),
        (Linear(weights(MANY)), 12, [7]),
        (Linear(weights(MANY)), 5, [0, 1]),
    ],
    ids=["constant", "not finite", "breaks down", "one image", "one label", "few images"],
)
@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s.name)
def test_bad_input_ends_in_finite_numbers_and_a_sentence(
    stream: type[Stream], network: torch.nn.Module, count: int, labels: list[int]
) -> None:
    y = torch.tensor([labels[i % len(labels)] for i in range(count)])
    evidence = stream(screening=SHORT).evidence(network, context(grey(count), y, MANY))
    assert all(np.isfinite(a).all() for a in evidence.values())
    many = stack([evidence] * 3)
    assert stream().read(evidence, many, NAMES).sentence.endswith(".")
    scores = stream().class_scores(many, many, np.ones(3, dtype=bool))
    assert scores is not None and np.isfinite(scores).all()
    assert np.isfinite(stream().features(many, many, np.ones(3, dtype=bool)).matrix).all()


def test_streams_look_at_all_classes_once_and_windows_have_their_own_eight() -> None:
    images, labels = grey(80, low=0.0, high=0.25), torch.arange(80) % MANY
    shown = context(images, labels, MANY)
    streams, network = [s(screening=SHORT) for s in STREAMS], Counting(short_cut(""))
    own, work = {}, []
    for s in streams:
        network.images = 0
        own[s.name] = s.evidence(network, shown)
        work.append(network.images)
    first = shortlist(network, shown, SHORT)
    foremost = SHORT.foremost(standing_out(first.windowed["margins"]))
    assert np.flatnonzero(own["windowed"][SEARCHED]).tolist() == foremost.tolist()
    for name in ("universal", "inversion"):
        assert np.flatnonzero(own[name][SEARCHED]).tolist() == first.chosen.tolist()
    apart = Counting(short_cut(""))
    streams[2].evidence(apart, shown)
    assert work[2] < apart.images
    scores = {}
    for s in streams:
        found = s.class_scores(
            stack([own[s.name]]), stack([s.evidence(clean(i), shown) for i in range(2, 6)])
        )
        assert found is not None
        scores[s.name] = found
    assert suspected(scores).tolist() == [13]
    assert np.isfinite(joint_features(scores, np.zeros(1)).matrix).all()
    assert alone(own).target == 13


def test_what_was_found_is_remembered_for_this_network_and_these_images_only() -> None:
    images, labels = grey(40), torch.arange(40) % MANY
    network, screening = Counting(Linear(weights(MANY))), Screening()
    first = shortlist(network, context(images, labels, MANY), screening)
    seen = network.images
    assert (
        shortlist(network, context(images.clone(), labels, MANY), screening) is first
        and network.images == seen
    )
    assert shortlist(network, context(images + 0.01, labels, MANY), screening) is not first
    assert shortlist(network, context(images, labels.flip(0), MANY), screening) is not first
    assert shortlist(network, context(images, labels, MANY), Screening(kept=3)) is not first
    before = shortlist(network, context(images, labels, MANY), screening)
    with torch.no_grad():
        network.network.weight.mul_(2)  # type: ignore[operator, union-attr]
    after = shortlist(network, context(images, labels, MANY), screening)
    assert after is not before
    np.testing.assert_allclose(after.standing, before.standing, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s.name)
def test_progress_grows_to_one_and_can_cancel(stream: type[Stream]) -> None:
    images, labels = grey(40), torch.arange(40) % MANY
    told: list[float] = []
    stream().evidence(Linear(weights(MANY)), context(images, labels, MANY), told.append)
    assert told == sorted(told) and 0 < told[0] < 0.5 and told[-1] == 1.0

    def stop(share: float) -> None:
        if share > 0.6:
            raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        stream().evidence(Linear(weights(MANY)), context(images, labels, MANY), stop)
