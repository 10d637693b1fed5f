"""The timeline can be drawn however long the day took, and no call seems to cross a barrier."""

from __future__ import annotations

import pytest

from job.engines.catalog import ALL_ENGINES, EngineName
from job.ledger.ledger import EngineCalls
from job.page.charts import BINS, TICKS, WIDTH, Band, band_of, edges_of, time_scale_of
from tests.support.days import SCENES

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
    assert scale.x(0.0) < scale.x(30.0) < scale.x(DAY + 30.0)


def lane_of(*spans: tuple[float, float]) -> EngineCalls:
    calls = EngineCalls()
    for began, ended in spans:
        calls.started.append(began)
        calls.ended.append(ended)
        calls.states.append(0)
    return calls


def drawn(band: Band) -> list[tuple[float, int]]:
    """Up to which part of the width how many calls are in flight."""
    return [(round(x / WIDTH, 2), round(part * band.most)) for x, part in band.flight]


def test_a_band_has_the_most_calls_in_flight_at_each_time() -> None:
    calls = lane_of((0, 50), (0, 25), (25, 50), (75, 100), (90, 90))
    scale = time_scale_of(calls.spans())
    band = band_of(calls, scale, edges_of(scale, []))
    assert (band.calls, band.most) == (5, 2)
    assert drawn(band) == [(0.5, 2), (0.75, 0), (0.9, 1), (0.9, 2), (1.0, 1)]


def test_a_call_that_took_no_time_at_all_is_shown() -> None:
    calls = lane_of((10, 10))
    scale = time_scale_of([(0, 100)])
    assert sum(part for _, part in band_of(calls, scale, edges_of(scale, [])).flight) == 1


def in_flight(band: Band, left: float, right: float) -> float:
    """The most calls in flight between two positions."""
    edges = [0.0, *(x for x, _ in band.flight)]
    return max(
        (part for began, (x, part) in zip(edges, band.flight, strict=False) if began < right and x > left), default=0
    )


@pytest.mark.parametrize("scene", ["all made", "made again"])
def test_data_ends_and_cards_begin_at_each_barrier(scene: str) -> None:
    ledger = SCENES[scene]().ledger
    spans = [span for calls in ledger.calls.values() for span in calls.spans()]
    scale = time_scale_of(spans)
    edges = edges_of(scale, ledger.barriers)
    assert len(edges) == BINS + 1
    assert list(edges) == sorted(edges)
    bands: dict[EngineName, Band] = {engine: band_of(ledger.calls[engine], scale, edges) for engine in ALL_ENGINES}
    assert len(ledger.barriers) == {"all made": 1, "made again": 2}[scene]
    for barrier in ledger.barriers:
        x = scale.x(barrier)
        assert x in edges
        assert not any(in_flight(bands[engine], x, x + 5) for engine in ("financial", "trading", "news"))
        assert any(in_flight(bands[engine], x - 5, x) for engine in ("financial", "trading", "news"))
        assert in_flight(bands["qa"], x - 5, x) == 0
        assert in_flight(bands["qa"], x, x + 5) > 0
