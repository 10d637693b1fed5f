"""A few nights by chance; `python -m tests.runs.nights_by_chance` plays more, and tells one by its seed."""

import pytest

from tests.runs.nights_by_chance.night import SEVERAL, draw
from tests.runs.nights_by_chance.play import play


def assert_no_card_is_lost(kind: str, seed: int, size: int, scale: float = 1.0) -> None:
    played = play(draw(kind, seed, size, scale))
    assert not played.broken
    assert not played.lost


def assert_promise(kind: str, seed: int) -> None:
    """Nothing goes wrong any more in the last start, which has nothing left to do."""
    played = play(draw(kind, seed, 4, 0.4))
    assert not played.broken
    assert played.starts[-1].outcome
    assert played.starts[-1].outcome.exit_code == 0


@pytest.mark.parametrize("kind", ["outage", "bad"])
def test_a_night_by_chance_loses_no_good_card(kind: str) -> None:
    for seed in range(4):
        assert_no_card_is_lost(kind, seed, (4, 16)[seed % 2], 0.4)


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_starts_by_chance_break_no_promise(kind: str) -> None:
    for seed in range(3):
        assert_promise(kind, seed)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["outage", "bad"])
def test_no_nights_by_chance_lose_a_good_card(kind: str) -> None:
    for seed in range(4, 40):
        assert_no_card_is_lost(kind, seed, (4, 16, 64)[seed % 3])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", SEVERAL)
def test_no_several_starts_by_chance_break_a_promise(kind: str) -> None:
    for seed in range(3, 20):
        assert_promise(kind, seed)
