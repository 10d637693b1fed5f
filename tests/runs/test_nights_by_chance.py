"""A few nights by chance; `python -m tests.runs.nights_by_chance` plays more, and tells one by its seed."""

from collections.abc import Mapping, Sequence

import pytest

from tests.runs.nights_by_chance.judge import judge
from tests.runs.nights_by_chance.night import KINDS, SEVERAL, draw
from tests.runs.nights_by_chance.play import play

ONE = [kind for kind in KINDS if kind not in SEVERAL]
"""The kinds of nights in which one start loses no good card."""

FEW = {kind: [(seed, 4, 0.4) for seed in range(3)] for kind in SEVERAL}
MANY = {kind: [(seed, 4, 0.4) for seed in range(3, 20)] for kind in SEVERAL}
for one in ONE:
    FEW[one] = [(0, 4, 0.4), (1, 16, 0.0)]
    MANY[one] = [(seed, (4, 16, 64)[seed % 3], 1.0) for seed in range(6)]
FEW["types"] = [(0, 4, 0.4)]
MANY["types"] = [(seed, (4, 16)[seed % 2], 1.0) for seed in range(1, 12)]
"""The seed, the size and the scale of each night."""
LONG = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("kind", FEW)
@pytest.mark.parametrize("nights", [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=LONG)])
def test_a_night_by_chance_breaks_no_promise_and_loses_no_good_card(
    nights: Mapping[str, Sequence[tuple[int, int, float]]], kind: str
) -> None:
    for seed, size, scale in nights[kind]:
        found = judge(play(draw(kind, seed, size, scale)))
        assert not found.lost
        assert not found.broken
