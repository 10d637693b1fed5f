"""The time scale can be drawn however long the run took and however often it was resumed."""

from __future__ import annotations

import pytest

from job.page.charts import TICKS, WIDTH, time_scale_of

DAY = 86400.0


@pytest.mark.parametrize("days", [8, 100, 36_525, 2_000_000])
def test_a_time_of_many_days_has_few_ticks(days: int) -> None:
    ticks = list(time_scale_of([(0.0, days * DAY)]).ticks())
    assert 2 <= len(ticks) <= TICKS + 1
    assert all(0 <= x <= WIDTH for x, _ in ticks)


@pytest.mark.parametrize("attempts", [2, 41, 43, 1000])
def test_every_attempt_has_its_place(attempts: int) -> None:
    scale = time_scale_of([(number * DAY, number * DAY + 60.0) for number in range(attempts)])
    assert len(scale.segments) == attempts
    assert all(0 <= part.left < part.right <= WIDTH + 0.001 for part in scale.segments)
    assert all(0 <= scale.part(number * DAY + 30.0, 250) < 250 for number in range(attempts))
