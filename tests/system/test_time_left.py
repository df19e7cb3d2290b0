"""The time left is right within a factor of 2 from the first tenth on, for quick work and for slow work."""

from __future__ import annotations

import pytest

from ti_core.system.time_left import TimeLeft, duration

NETWORK = {
    "preprocessing": 5.0,
    "probes": 3.0,
    "saliency": 1.0,
    "universal": 20.0,
    "windowed": 30.0,
    "inversion": 8.0,
}
OTHER = {"opening": 0.1, "saliency verdict": 0.6, "pictures": 1.5, "verdict": 0.1, "case": 0.1}
ORDER = (
    "opening",
    "preprocessing",
    "probes",
    "saliency",
    "saliency verdict",
    "pictures",
    "universal",
    "windowed",
    "inversion",
    "verdict",
    "case",
)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def work(speed: float, error: float, silent: tuple[str, ...] = ()) -> list[tuple[float, float | None]]:
    """The share of the whole time that has passed and the predicted whole over the true one, through a piece of work.

    Parameters
    ----------
    speed : factor of the network's stages; the other stages always take the same.
    error : factor by which the expectation of the network's stages is wrong.
    silent : stages that do not tell how far they are.
    """
    true = {name: speed * NETWORK[name] if name in NETWORK else OTHER[name] for name in ORDER}
    expected = {name: true[name] * (error if name in NETWORK else 1.0) for name in ORDER[1:]}
    clock = Clock()
    left, start, whole, seen = TimeLeft(clock), clock.now, sum(true.values()), []
    left.begin()
    for name in ORDER:
        left.at(name, 0.0)
        for step in range(40):
            clock.now += true[name] / 40
            if name not in silent:
                left.at(name, (step + 1) / 40)
            if name == "preprocessing" and step == 0:
                left.at("measuring", 0.0)
                left.at("measuring", 1.0)
                left.expect(expected)
            spent = clock.now - start
            seen.append((spent / whole, None if left.left is None else (spent + left.left) / whole))
        left.at(name, 1.0)
    assert left.left == pytest.approx(0.0, abs=1e-6) and left.share == pytest.approx(1.0)
    return seen


@pytest.mark.parametrize("speed", [0.02, 0.1, 1.0, 20.0])
@pytest.mark.parametrize("error", [0.4, 0.6, 1.0, 1.6, 2.5])
@pytest.mark.parametrize("silent", [(), ("preprocessing", "pictures")])
def test_it_is_right_within_a_factor_of_two_from_the_first_tenth_on(
    speed: float, error: float, silent: tuple[str, ...]
) -> None:
    found = [ratio for share, ratio in work(speed, error, silent) if share >= 0.1]
    assert all(ratio is not None and 0.5 < ratio < 2.0 for ratio in found)


def test_a_right_expectation_is_kept() -> None:
    assert all(ratio is None or 0.9 < ratio < 1.1 for _, ratio in work(3.0, 1.0))


def test_nothing_is_said_before_anything_is_expected() -> None:
    left = TimeLeft(Clock())
    left.begin()
    left.at("opening", 0.5)
    assert left.left is None and left.total is None and left.share == 0.0


def test_time_that_passes_without_news_is_taken_off() -> None:
    clock = Clock()
    left = TimeLeft(clock)
    left.begin()
    left.expect({"a": 100.0, "b": 100.0})
    left.at("a", 0.0)
    clock.now += 50
    left.at("a", 0.5)
    assert left.left == pytest.approx(150.0) and left.share == pytest.approx(0.25)
    clock.now += 20
    assert left.left == pytest.approx(130.0)
    clock.now += 10_000
    assert left.left == pytest.approx(100.0)


def test_a_later_expectation_replaces_an_earlier_one() -> None:
    clock = Clock()
    left = TimeLeft(clock)
    left.begin()
    left.expect({"a": 1.0, "b": 1000.0})
    left.at("a", 0.0)
    clock.now += 1
    left.at("a", 1.0)
    left.expect({"a": 1.0, "b": 2.0})
    assert left.left == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "a second"), (75, "75 seconds"), (600, "10 minutes"), (9000, "2.5 hours")]
)
def test_a_duration_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
