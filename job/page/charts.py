"""Charts of a run's page, as numbers: an engine's calls over time, in flight, and by their seconds; the time scale.

Templates draw them.
"""

import itertools
import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Literal

from job.ledger.ledger import Lane, busy_stretches
from job.ledger.result import CUT_OFF, DONE, FAILED, CallResult
from job.ledger.totals import percentile
from job.text.messages import Message, message

WIDTH = 1000.0

GAP = 24.0
"""The width of a time that was cut out. All of them together take at most half of the scale."""

TICKS = 7

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time without a cut, and its position."""

    began: float
    ended: float
    left: float
    right: float


@dataclass(frozen=True, slots=True)
class TimeScale:
    """The positions of moments, which are in seconds since 1970."""

    segments: tuple[Segment, ...]
    zone: tzinfo

    def x(self, moment: float) -> float:
        """The position of a moment, 0 to `WIDTH`. A moment that was cut out is at the end of the stretch before it."""
        for part in reversed(self.segments):
            if moment >= part.began:
                if moment >= part.ended:
                    return part.right
                return part.left + (moment - part.began) / (part.ended - part.began) * (part.right - part.left)
        return 0.0

    def part(self, moment: float, parts: int) -> int:
        """The index of a moment if the width is divided into `parts` equal parts."""
        return min(parts - 1, int(self.x(moment) / WIDTH * parts))

    def clock(self, moment: float, pattern: str = "%H:%M:%S") -> str:
        """The time of day in the run's time zone."""
        return datetime.fromtimestamp(moment, self.zone).strftime(pattern)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Round times: their positions and labels."""
        busy = sum(part.ended - part.began for part in self.segments)
        days = -(-busy // (TICKS * _STEPS[-1]))
        step = next((step for step in _STEPS if busy / step <= TICKS), days * _STEPS[-1])
        pattern = "%H:%M" if step >= 60 else "%H:%M:%S"
        for part in self.segments:
            offset = (self.zone.utcoffset(datetime.fromtimestamp(part.began, self.zone)) or timedelta()).total_seconds()
            tick = -(-(part.began + offset) // step) * step - offset
            while tick <= part.ended:
                label = self.clock(tick, pattern)
                tenth = f".{round(tick * 10) % 10}" if step < 1 else ""
                yield self.x(tick), label + tenth
                tick += step

    def cuts(self) -> Iterator[tuple[float, float]]:
        """The positions of the times that were cut out, and their seconds."""
        for before, after in pairwise(self.segments):
            yield (before.right + after.left) / 2, after.began - before.ended


def time_scale_of(spans: Iterable[tuple[float, float]], zone: tzinfo = UTC) -> TimeScale:
    """The scale for these spans, which are pairs of start and end."""
    stretches = busy_stretches(spans, gap=30.0) or [(0.0, 1.0)]
    busy = sum(ended - began for began, ended in stretches)
    cut = max(60.0, busy / 4)
    kept = [stretches[0]]
    for began, ended in stretches[1:]:
        if began - kept[-1][1] > cut:
            kept.append((began, ended))
        else:
            kept[-1] = (kept[-1][0], ended)
    return TimeScale(tuple(_placed(kept)), zone)


def _placed(stretches: Sequence[tuple[float, float]]) -> Iterator[Segment]:
    lengths = array("d", (max(ended - began, 0.05) for began, ended in stretches))
    gap = min(GAP, WIDTH / 2 / len(stretches))
    scale = (WIDTH - gap * (len(stretches) - 1)) / sum(lengths)
    left = 0.0
    for (began, _), length in zip(stretches, lengths, strict=True):
        yield Segment(began, began + length, left, left + length * scale)
        left += length * scale + gap


ROWS = 32
"""If more calls than this are in flight at a time, a lane has columns instead of bars."""

COLUMNS = 250

Kind = Literal["done", "cut-off", "retried", "failed"]
_KINDS: dict[int, Kind] = {DONE: "done", CUT_OFF: "cut-off", FAILED: "failed"}

_LEAST: dict[Kind, float] = {"done": 1.2, "cut-off": 1.2, "retried": 6.0, "failed": 6.0}
"""Minimum widths: a failure must be visible even if the engine refused at once."""

_UP, _DOWN = 60.0, 24.0
"""How far columns reach above and below their baseline."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle."""

    kind: Kind
    x: float
    y: float
    width: float
    height: float
    is_short: bool = False
    """Whether it was widened to its minimum width."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A call: a box for each attempt, in order."""

    call: CallResult
    boxes: Sequence[Box]


@dataclass(slots=True)
class Column:
    """How many calls ended in a stretch of time, and how many attempts were followed by another."""

    done: int = 0
    cut_off: int = 0
    retried: int = 0
    failed: int = 0
    boxes: Sequence[Box] = ()


@dataclass(frozen=True, slots=True)
class LaneChart:
    """The calls of one engine over time, as bars if they are few, else as columns."""

    calls: int
    height: float
    """In pixels of the screen as well."""
    bars: Sequence[Bar] = ()
    columns: Sequence[Column] = ()
    column_seconds: float = 0.0
    tallest: int = 0
    """Number of calls in the tallest column."""
    baseline: float = _UP
    """Done calls are above it, retried and failed ones below."""


def lane_chart(lane: Lane, scale: TimeScale) -> LaneChart:
    """The lane of one engine."""
    if lane.whole:
        rows = _rows(lane.kept)
        if len(rows) <= ROWS:
            return _bars(rows, lane, scale)
    return _columns(lane, scale)


def _rows(calls: Iterable[CallResult]) -> list[list[CallResult]]:
    """The calls in as few rows as possible, so that none covers another."""
    rows: list[list[CallResult]] = []
    ends: list[float] = []
    for call in sorted(calls, key=_began):
        began = _began(call)
        row = next((row for row, end in enumerate(ends) if end <= began), None)
        if row is None:
            row = len(rows)
            rows.append([])
            ends.append(call.ended)
        rows[row].append(call)
        ends[row] = call.ended
    return rows


def _began(call: CallResult) -> float:
    return min([call.started, *(began for began, _, _ in call.failed_attempts)])


def _bars(rows: Sequence[Sequence[CallResult]], lane: Lane, scale: TimeScale) -> LaneChart:
    pitch = 14 if len(rows) <= 6 else 10 if len(rows) <= 16 else 7
    height = max(2, len(rows)) * pitch + 4
    bars = [_bar(call, scale, row * pitch + 3, pitch - 3) for row, calls in enumerate(rows) for call in calls]
    bars.sort(key=lambda bar: (bar.call.state == FAILED, len(bar.boxes) > 1))  # what is drawn later covers the rest
    return LaneChart(len(lane), height, bars=bars)


def _bar(call: CallResult, scale: TimeScale, top: float, tall: float) -> Bar:
    boxes = []
    left = 0.0
    for began, ended, _ in call.failed_attempts:
        left = max(left, scale.x(began))  # beside the box before, even if that was widened
        boxes.append(_box("retried", left, scale.x(ended), top + tall / 5, tall * 0.6))
        left += boxes[-1].width
    boxes.append(_box(_KINDS[call.state], max(left, scale.x(call.started)), scale.x(call.ended), top, tall))
    return Bar(call, boxes)


def _box(kind: Kind, left: float, right: float, top: float, tall: float) -> Box:
    wide = max(right - left, _LEAST[kind])
    return Box(kind, min(left, WIDTH - wide), top, wide, tall, wide > right - left)


def _columns(lane: Lane, scale: TimeScale) -> LaneChart:
    """Columns over time: upwards done calls, downwards retries and failures, on a scale of their own."""
    columns = [Column() for _ in range(COLUMNS)]
    for ended, state in zip(lane.ended, lane.states, strict=True):
        column = columns[scale.part(ended, COLUMNS)]
        if state == DONE:
            column.done += 1
        elif state == CUT_OFF:
            column.cut_off += 1
        else:
            column.failed += 1
    for ended in lane.failed_ended:
        columns[scale.part(ended, COLUMNS)].retried += 1
    tallest = max(1, *(column.done + column.cut_off for column in columns))
    worst = max(1, *(column.failed + column.retried for column in columns))
    for place, column in enumerate(columns):
        column.boxes = list(_stacked(column, place, tallest, worst))
    shown = [column for column in columns if column.boxes]
    seconds = sum(part.ended - part.began for part in scale.segments) / COLUMNS
    return LaneChart(len(lane), _UP + _DOWN, columns=shown, column_seconds=seconds, tallest=tallest)


def _stacked(column: Column, place: int, tallest: int, worst: int) -> Iterator[Box]:
    left, right = place * WIDTH / COLUMNS, (place + 0.85) * WIDTH / COLUMNS
    up = _UP * (column.done + column.cut_off) / tallest
    grey = _UP * column.cut_off / tallest
    if column.done:
        yield _box("done", left, right, _UP - up, up - grey)
    if column.cut_off:
        yield _box("cut-off", left, right, _UP - grey, max(grey, 2.0))
    down = max(4.0, _DOWN * 0.5 * column.retried / worst) if column.retried else 0.0
    if column.retried:
        yield _box("retried", left, right, _UP + 1, down)
    if column.failed:
        yield _box("failed", left, right, _UP + 1 + down, max(5.0, _DOWN * 0.5 * column.failed / worst))


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
