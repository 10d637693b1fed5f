"""The charts of one engine, as numbers: its calls in flight under their limit, and how long its answers took.

Both are `WIDTH` units wide and `TALL` high. Templates draw them.
"""

import itertools
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from job.execution.progress import percentile
from job.page.time_scale import WIDTH, TimeScale
from job.records.results import CUT_OFF
from job.records.timeline import Lane

BINS = 200
"""Moments of a chart of calls in flight."""

TALL = 100.0

_COLUMNS = 32


@dataclass(frozen=True, slots=True)
class FlightChart:
    """Calls in flight and the limit above them, each a value for each of `BINS` moments, as heights from the top."""

    peak: int
    lowest: int
    """The lowest limit."""
    highest: int
    """The highest limit."""
    is_constant: bool
    """Whether the limit stayed the same."""
    first: float
    """The limit at the beginning, as a height."""
    flight: Sequence[float]
    upper: Sequence[float]
    """The highest limit of each moment."""
    lower: Sequence[float]
    """The lowest limit of each moment."""
    step: float = WIDTH / BINS


@dataclass(frozen=True, slots=True)
class LatencyChart:
    """A histogram with a logarithmic scale, of the seconds of all attempts except those that were cut off."""

    p50: float
    p95: float
    slowest: float
    columns: Sequence[tuple[float, float, int]]
    """Of each that is not empty: its left edge, its height, and its attempts."""
    lines: tuple[float, float]
    """Where `p50` and `p95` are."""
    ticks: Sequence[tuple[float, str]]
    column_width: float = WIDTH / _COLUMNS - 3


def flight_chart(lane: Lane, scale: TimeScale) -> FlightChart:
    """The most calls in flight at a time in each of some hundred moments, and the limit above them."""
    flight = _in_flight(lane, scale)
    limits = _limits(lane, scale)
    highest = max(1, *flight, *(high for _, high in limits))
    lowest, last = min(low for low, _ in limits), limits[-1][1]

    def y(value: float) -> float:
        return TALL - TALL * value / (highest * 1.08)

    return FlightChart(
        peak=max(flight),
        lowest=lowest,
        highest=max(high for _, high in limits),
        is_constant=lowest == highest == last,
        first=y(limits[0][1]),
        flight=[y(value) for value in flight],
        upper=[y(high) for _, high in limits],
        lower=[y(low) for low, _ in limits],
    )


def _in_flight(lane: Lane, scale: TimeScale) -> list[int]:
    starts = sorted([*lane.started, *lane.failed_started])
    ends = sorted([*lane.ended, *lane.failed_ended])
    peaks = [0] * BINS
    count = place = next_end = 0
    for start in starts:
        while next_end < len(ends) and ends[next_end] <= start:
            place = _carried(peaks, place, scale.part(ends[next_end], BINS), count)
            count -= 1
            next_end += 1
        place = _carried(peaks, place, scale.part(start, BINS), count)
        count += 1
        peaks[place] = max(peaks[place], count)
    for end in ends[next_end:]:
        place = _carried(peaks, place, scale.part(end, BINS), count)
        count -= 1
    return peaks


def _carried(peaks: list[int], place: int, onward: int, count: int) -> int:
    """Nothing changes up to this bin: as many calls are in flight in all bins between."""
    for between in range(place + 1, onward + 1):
        peaks[between] = max(peaks[between], count)
    return max(place, onward)


def _limits(lane: Lane, scale: TimeScale) -> list[tuple[int, int]]:
    """The lowest and the highest limit in each bin."""
    found: list[tuple[int, int] | None] = [None] * BINS
    last = lane.limits[0]
    ends: list[int] = [last] * BINS
    for moment, limit in zip(lane.ended, lane.limits, strict=True):
        place = scale.part(moment, BINS)
        low, high = found[place] or (limit, limit)
        found[place] = (min(low, limit), max(high, limit))
        ends[place] = limit
    filled: list[tuple[int, int]] = []
    for pair, end in zip(found, ends, strict=True):
        filled.append(pair or (last, last))
        last = end if pair else last
    return filled


def latency_chart(lane: Lane) -> LatencyChart | None:
    """How long the answers of an engine took; `None` if there were none."""
    calls = zip(lane.started, lane.ended, lane.states, strict=True)
    failed_attempts = zip(lane.failed_started, lane.failed_ended, strict=True)
    seconds = [ended - began for began, ended, state in calls if state != CUT_OFF]
    seconds = sorted([*seconds, *(ended - began for began, ended in failed_attempts)])
    if not seconds:
        return None
    low, high = _range(seconds)
    unit = WIDTH / math.log(high / low)

    def x(value: float) -> float:
        return min(max(math.log(max(value, low) / low) * unit, 0.0), WIDTH)

    edges = [low * (high / low) ** (column / _COLUMNS) for column in range(1, _COLUMNS)]
    at = [0, *(bisect_right(seconds, edge) for edge in edges), len(seconds)]
    counts = [after - before for before, after in itertools.pairwise(at)]
    most, wide = max(counts), WIDTH / _COLUMNS
    columns = [
        (column * wide + 1.5, max(2.0, TALL * 0.94 * count / most), count)
        for column, count in enumerate(counts)
        if count
    ]
    p50, p95 = percentile(seconds, 50), percentile(seconds, 95)
    ticks = [(x(value), _short(value)) for value in _round(low, high)]
    return LatencyChart(p50, p95, seconds[-1], columns, (x(p50), x(p95)), ticks)


def _range(seconds: Sequence[float]) -> tuple[float, float]:
    low, high = max(seconds[0], 0.001), max(seconds[-1], 0.001)
    middle = math.sqrt(low * high)
    return min(low * 0.9, middle / 2), max(high * 1.1, middle * 2)


def _round(low: float, high: float) -> Iterator[float]:
    """Round numbers between these, five at most or so."""
    decades = math.log10(high / low)
    steps = (1, 1.5, 2, 3, 4, 5, 7) if decades < 0.9 else (1, 2, 5) if decades < 1.8 else (1,)
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for step in steps:
            if low <= step * 10.0**power <= high:
                yield step * 10.0**power


def _short(seconds: float) -> str:
    return f"{seconds * 1000:g} ms" if seconds < 0.1 else f"{seconds:g} s"
