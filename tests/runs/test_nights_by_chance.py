"""A few nights by chance; `python -m tests.runs.nights_by_chance` plays more, and tells one by its seed."""

import pytest

from tests.runs.nights_by_chance.judge import Verdict, judge
from tests.runs.nights_by_chance.night import KINDS, SEVERAL, draw
from tests.runs.nights_by_chance.play import play

ONE = [kind for kind in KINDS if kind not in {*SEVERAL, "chance"}]
"""The kinds of nights in which one start loses no good card."""


def verdict(kind: str, seed: int, size: int, scale: float = 1.0) -> Verdict:
    return judge(play(draw(kind, seed, size, scale)))


def assert_promise(kind: str, seed: int, size: int, scale: float = 1.0) -> None:
    found = verdict(kind, seed, size, scale)
    assert not found.lost
    assert not found.broken


@pytest.mark.parametrize("kind", ONE)
def test_a_night_by_chance_loses_no_good_card(kind: str) -> None:
    assert_promise(kind, 0, 4, 0.4)
    assert_promise(kind, 1, 16, 0.0)


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_starts_by_chance_break_no_promise(kind: str) -> None:
    for seed in range(3):
        assert_promise(kind, seed, 4, 0.4)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ONE)
def test_no_nights_by_chance_lose_a_good_card(kind: str) -> None:
    for seed in range(6):
        assert_promise(kind, seed, (4, 16, 64)[seed % 3])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", SEVERAL)
def test_no_several_starts_by_chance_break_a_promise(kind: str) -> None:
    for seed in range(3, 20):
        assert_promise(kind, seed, 4, 0.4)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_few_nights_lose_a_card_if_tries_fail_by_chance_besides() -> None:
    found = [verdict("chance", seed, 16) for seed in range(10)]
    assert sum(bool(one.lost) for one in found) <= 1
    assert not any(one.broken for one in found)
