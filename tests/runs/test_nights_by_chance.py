"""A few nights by chance; `python -m tests.runs.nights_by_chance` plays more, and tells one by its seed."""

import pytest

from tests.runs.nights_by_chance import KINDS, draw, play, story


@pytest.mark.parametrize("kind", KINDS)
def test_nights_by_chance_lose_no_good_card(kind: str) -> None:
    for seed in range(3):
        night = draw(kind, seed, scale=0.4)
        found, player = play(night)
        assert not found.lost, story(night, player, found)
        assert not found.broken, story(night, player, found)
