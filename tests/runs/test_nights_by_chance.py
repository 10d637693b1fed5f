"""A few nights by chance; `python -m tests.runs.nights_by_chance` plays more, and tells one by its seed."""

import pytest

from tests.runs.nights_by_chance import KINDS, Night, Play


def assert_promise(kind: str, seed: int, size: int, scale: float = 1.0) -> None:
    play = Play(Night(kind, seed, size, scale))
    assert not play.lost
    assert not play.broken


@pytest.mark.parametrize("kind", KINDS)
def test_a_night_by_chance_loses_no_good_card(kind: str) -> None:
    assert_promise(kind, 0, 4, 0.4)
    assert_promise(kind, 1, 16, 0.0)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_no_nights_by_chance_lose_a_good_card(kind: str) -> None:
    for seed in range(30):
        assert_promise(kind, seed, (4, 16, 64)[seed % 3])
