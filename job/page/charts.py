"""How an engine was doing, as SVG: its calls in flight under their bound, and how long its answers took."""

import itertools
import math
import statistics
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from job.page.lanes import svg
from job.page.time_scale import WIDTH, TimeScale
from job.records.results import CUT_OFF
from job.records.timeline import Lane
from job.text import counted, duration, xy

BINS = 200


TALL = 100.0


_COLUMNS = 32


@dataclass(frozen=True, slots=True)
class FlightChart:
    """A picture with what to write beside it."""

    svg: str
    top: str
    """What to write above it, as HTML."""
    ticks: tuple[tuple[float, str], ...] = ()
    """Labels below it, from 0 to 1000."""


@dataclass(frozen=True, slots=True)
class LatencyChart:
    """Seconds of all attempts but those that were cut off."""

    seconds: Sequence[float]
    """Sorted."""

    def percentile(self, percent: int) -> float:
        """Seconds that so many of a hundred attempts took at most."""
        if len(self.seconds) < 2:
            return self.seconds[0]
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[percent - 1]


def latencies(lane: Lane) -> LatencyChart | None:
    """Those of an engine; `None` where there are none."""
    calls = zip(lane.started, lane.ended, lane.states, strict=True)
    failed_attempts = zip(lane.failed_started, lane.failed_ended, strict=True)
    seconds = [ended - began for began, ended, state in calls if state != CUT_OFF]
    found = sorted([*seconds, *(ended - began for began, ended in failed_attempts)])
    return LatencyChart(found) if found else None


def draw_flight(lane: Lane, axis: TimeScale, name: str) -> FlightChart:
    """Calls in flight, the most at a time in each of some hundred moments, and the bound above them."""
    flight = _in_flight(lane, axis)
    limits = _limits(lane, axis)
    highest = max(1, *flight, *(high for _, high in limits))
    wide = WIDTH / BINS

    def y(value: float) -> str:
        return xy(TALL - TALL * value / (highest * 1.08))

    area = "".join(f"V{y(value)}h{xy(wide)}" for value in flight)
    upper = "".join(f"V{y(high)}H{xy((place + 1) * wide)}" for place, (_, high) in enumerate(limits))
    lower = "".join(f"V{y(low)}H{xy(place * wide)}" for place, (low, _) in reversed(list(enumerate(limits))))
    content = (
        f'<path class="g" d="{axis.grid()}"/>'
        f'<path class="a" d="M0 {xy(TALL)}{area}V{xy(TALL)}Z"/>'
        f'<path class="l" d="M0 {y(limits[0][1])}{upper}H{xy(WIDTH)}{lower}Z"/>'
    )
    peak = f"{max(flight):,} in flight at most"
    lowest, last = min(low for low, _ in limits), limits[-1][1]
    limit = f"bound {last}" if lowest == highest == last else f"bound {lowest} to {max(high for _, high in limits)}"
    label = f"{name}: calls in flight over time, {peak}, {limit}"
    top = f'<i class="k-c"></i>{peak} <i class="k-l"></i>{limit}'
    return FlightChart(svg(WIDTH, TALL, content, label), top)


def _in_flight(lane: Lane, axis: TimeScale) -> list[int]:
    starts = sorted([*lane.started, *lane.failed_started])
    ends = sorted([*lane.ended, *lane.failed_ended])
    peaks = [0] * BINS
    count = place = next_end = 0
    for start in starts:
        while next_end < len(ends) and ends[next_end] <= start:
            place = _carried(peaks, place, _bin(axis, ends[next_end]), count)
            count -= 1
            next_end += 1
        place = _carried(peaks, place, _bin(axis, start), count)
        count += 1
        peaks[place] = max(peaks[place], count)
    for end in ends[next_end:]:
        place = _carried(peaks, place, _bin(axis, end), count)
        count -= 1
    return peaks


def _carried(peaks: list[int], place: int, onward: int, count: int) -> int:
    """Nothing changes up to this bin: as many calls are in flight in all bins between."""
    for between in range(place + 1, onward + 1):
        peaks[between] = max(peaks[between], count)
    return max(place, onward)


def _limits(lane: Lane, axis: TimeScale) -> list[tuple[int, int]]:
    """The lowest and the highest bound in each bin."""
    found: list[tuple[int, int] | None] = [None] * BINS
    last = lane.limits[0]
    ends: list[int] = [last] * BINS
    for moment, limit in zip(lane.ended, lane.limits, strict=True):
        place = _bin(axis, moment)
        low, high = found[place] or (limit, limit)
        found[place] = (min(low, limit), max(high, limit))
        ends[place] = limit
    filled: list[tuple[int, int]] = []
    for pair, end in zip(found, ends, strict=True):
        filled.append(pair or (last, last))
        last = end if pair else last
    return filled


def _bin(axis: TimeScale, moment: float) -> int:
    return min(BINS - 1, int(axis.x(moment) / WIDTH * BINS))


def draw_latencies(found: LatencyChart, name: str) -> FlightChart:
    """A histogram with a logarithmic scale, and lines where half and 95 of 100 were over."""
    low, high = _range(found.seconds)
    scale = WIDTH / math.log(high / low)

    def x(seconds: float) -> float:
        return min(max(math.log(max(seconds, low) / low) * scale, 0.0), WIDTH)

    edges = [low * (high / low) ** (column / _COLUMNS) for column in range(1, _COLUMNS)]
    at = [0, *(bisect_right(found.seconds, edge) for edge in edges), len(found.seconds)]
    counts = [after - before for before, after in itertools.pairwise(at)]
    most, wide = max(counts), WIDTH / _COLUMNS
    parts = []
    for column, count in enumerate(counts):
        if count:
            tall = max(2.0, TALL * 0.94 * count / most)
            place = f'x="{xy(column * wide + 1.5)}" y="{xy(TALL - tall)}" width="{xy(wide - 3)}" height="{xy(tall)}"'
            parts.append(f'<rect class="h" {place}><title>{counted(count, "attempt")}</title></rect>')
    parts.extend(f'<path class="p" d="M{xy(x(found.percentile(percent)))} 0V100"/>' for percent in (50, 95))
    words = [f"p50 {duration(found.percentile(50))}", f"p95 {duration(found.percentile(95))}"]
    words.append(f"slowest {duration(found.seconds[-1])}")
    label = f"{name}: how long its answers took: {', '.join(words)}"
    ticks = tuple((x(seconds), _short(seconds)) for seconds in _round(low, high))
    return FlightChart(svg(WIDTH, TALL, "".join(parts), label), " · ".join(words), ticks)


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
