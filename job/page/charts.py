"""Charts of one engine, as numbers: its calls in flight and their limit, and how long its answers took.

Both are `WIDTH` units wide and `TALL` high. Templates draw them.
"""

import itertools
import math
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from job.ledger.ledger import Lane
from job.ledger.totals import percentile
from job.page.time_scale import WIDTH, TimeScale
from job.text.messages import Message, message

BINS = 200
"""Number of moments in a chart of calls in flight."""

TALL = 100.0

_COLUMNS = 32


@dataclass(frozen=True, slots=True)
class FlightChart:
    """Calls in flight and their limit in each of `BINS` moments."""

    flight: Sequence[int]
    """For each moment, the maximum number of calls in flight."""
    limits: Sequence[tuple[int, int]]
    """For each moment, the lowest and the highest limit."""
    lowest: int
    """The lowest limit of all moments."""
    highest: int
    """The highest limit of all moments. There are never more calls in flight."""
    step: float = WIDTH / BINS

    def y(self, calls: int) -> float:
        """The vertical position of a number of calls, from the top."""
        return TALL - TALL * calls / (self.highest * 1.08)


@dataclass(frozen=True, slots=True)
class LatencyChart:
    """A histogram with a logarithmic scale, of the seconds of all attempts except those that were cut off."""

    p50: float
    p95: float
    slowest: float
    columns: Sequence[tuple[float, float, int]]
    """For each column that is not empty: its left edge, its height, and its number of attempts."""
    lines: tuple[float, float]
    """The horizontal positions of `p50` and `p95`."""
    ticks: Sequence[tuple[float, Message]]
    column_width: float = WIDTH / _COLUMNS - 3


def flight_chart(lane: Lane, scale: TimeScale) -> FlightChart:
    """The calls in flight of an engine that was called, and their limit.

    A result has the limit at the time when the call ended. Before the first call ended, the limit is taken from the
    calls in flight: since a call starts only within the limit, it was at least that number.
    """
    starts, ends = _starts_and_ends(lane)
    limit = _first_limit(starts, ends)
    flight = [0] * BINS
    limits = [(limit, limit)] * BINS
    place = count = 0
    for moment, now, known in _changes(starts, ends):
        onward = scale.part(moment, BINS)
        for between in range(place + 1, onward + 1):  # nothing changed up to here
            flight[between] = count
            limits[between] = limit, limit
        if known:
            limit = known
        elif now > count:
            limit = max(limit, now)
        place, count = onward, now
        flight[place] = max(flight[place], count)
        low, high = limits[place]
        limits[place] = min(low, limit), max(high, limit)
    limits[place + 1 :] = [(limit, limit)] * (BINS - 1 - place)
    lows, highs = zip(*limits, strict=True)
    return FlightChart(flight, limits, min(lows), max(highs))


def _starts_and_ends(lane: Lane) -> tuple["array[int]", "array[int]"]:
    """The sorted starts and ends of all attempts, in milliseconds, in eight bytes each.

    The lower 16 bits of an end are the limit at that time, 0 if it is not known.
    """
    starts = (_milliseconds(started) for started in itertools.chain(lane.started, lane.failed_started))
    limits = itertools.chain(lane.limits, itertools.repeat(0))
    ends = zip(itertools.chain(lane.ended, lane.failed_ended), limits, strict=False)
    packed = (_milliseconds(ended) << 16 | limit for ended, limit in ends)
    return array("Q", sorted(starts)), array("Q", sorted(packed))


def _milliseconds(moment: float) -> int:
    return round(moment * 1000)


def _changes(starts: "array[int]", ends: "array[int]") -> Iterator[tuple[float, int, int]]:
    """For each start or end of an attempt: its time, the calls in flight after it, and the limit, 0 if not known."""
    count = next_end = 0
    for start in starts:
        while next_end < len(ends) and ends[next_end] >> 16 <= start:
            count -= 1
            yield (ends[next_end] >> 16) / 1000, count, ends[next_end] & 0xFFFF
            next_end += 1
        count += 1
        yield start / 1000, count, 0
    for end in ends[next_end:]:
        count -= 1
        yield (end >> 16) / 1000, count, end & 0xFFFF


def _first_limit(starts: "array[int]", ends: "array[int]") -> int:
    peak = 1
    for _, count, limit in _changes(starts, ends):
        if limit:
            return max(limit, peak)
        peak = max(peak, count)
    return peak


def latency_chart(lane: Lane) -> LatencyChart | None:
    """How long the answers of an engine took; `None` if there were none."""
    seconds = lane.seconds()
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
    """About five round numbers between `low` and `high`."""
    decades = math.log10(high / low)
    steps = (1, 1.5, 2, 3, 4, 5, 7) if decades < 0.9 else (1, 2, 5) if decades < 1.8 else (1,)
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for step in steps:
            if low <= step * 10.0**power <= high:
                yield step * 10.0**power


def _short(seconds: float) -> Message:
    if seconds < 0.1:
        return message("{count} ms", count=f"{seconds * 1000:g}")
    return message("{seconds} s", seconds=f"{seconds:g}")
