"""Charts of a day's timeline, as numbers: the time scale, and each engine's calls in flight. Templates draw them."""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise

from job.ledger.ledger import STAMP_SECONDS, EngineCalls, busy_stretches
from job.ledger.result import FAILED

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

    @property
    def step(self) -> float:
        """The seconds between two ticks."""
        busy = sum(part.ended - part.began for part in self.segments)
        days = -(-busy // (TICKS * _STEPS[-1]))
        return next((step for step in _STEPS if busy / step <= TICKS), days * _STEPS[-1])

    def clock(self, moment: float) -> str:
        """The time of day in the time zone of the day, with seconds if the ticks are less than a minute apart."""
        return datetime.fromtimestamp(moment, self.zone).strftime("%H:%M" if self.step >= 60 else "%H:%M:%S")

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Round times: their positions and labels."""
        step = self.step
        for part in self.segments:
            offset = (self.zone.utcoffset(datetime.fromtimestamp(part.began, self.zone)) or timedelta()).total_seconds()
            tick = -(-(part.began + offset) // step) * step - offset
            while tick <= part.ended:
                label = self.clock(tick)
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


BINS = 250
"""A band shows the calls in flight in this many parts of the width."""


@dataclass(frozen=True, slots=True)
class Band:
    """The calls of one engine in flight over time."""

    calls: int
    flight: Sequence[tuple[float, float]]
    """In order: up to which position there are how many of the most calls in flight, 0 to 1."""
    most: int
    """The most calls in flight."""
    retried: Sequence[float]
    """The positions of failed tries that were followed by another; several at one position count once."""
    failed: Sequence[float]
    """The positions of calls that failed for good."""


def edges_of(scale: TimeScale, barriers: Iterable[float]) -> Sequence[float]:
    """The positions between which calls are counted. Each barrier is one of them, so that no call seems to cross it."""
    edges = [WIDTH * number / BINS for number in range(BINS + 1)]
    for barrier in barriers:
        edges[round(scale.x(barrier) / WIDTH * BINS)] = scale.x(barrier)
    return edges


def band_of(calls: EngineCalls, scale: TimeScale, edges: Sequence[float]) -> Band:
    """The band of an engine that was called."""

    def place(moment: float) -> int:
        return max(0, min(bisect_right(edges, scale.x(moment)), BINS) - 1)

    def at(moments: Iterable[float]) -> Sequence[float]:
        return [(part + 0.5) * WIDTH / BINS for part in sorted({place(moment) for moment in moments})]

    flight = [0] * BINS
    count = shown = 0
    for moment, step in _changes(calls):
        part = max(shown, place(moment))
        for between in range(shown + 1, part + 1):
            flight[between] = count
        count, shown = count + step, part
        flight[part] = max(flight[part], count)
    most = max(flight)
    heights = [(edges[number + 1], height / most) for number, height in enumerate(flight)]
    heights = [one for one, after in zip(heights, [*heights[1:], None], strict=True) if not after or one[1] != after[1]]
    failed = at(moment for moment, state in zip(calls.ended, calls.states, strict=True) if state == FAILED)
    return Band(len(calls), heights, most, at(calls.failed_ended), failed)


def _changes(calls: EngineCalls) -> Iterator[tuple[float, int]]:
    """Each start (1) and end (-1) of a try, in order. A call may seem to take no time, as times are rounded."""
    starts = array("d", sorted(began for began, _ in calls.spans()))  # a million tuples would take 110 MiB
    least = (max(ended - STAMP_SECONDS, began + STAMP_SECONDS) for began, ended in calls.spans())
    ends = array("d", sorted(least))
    ended = 0
    for began in starts:
        while ended < len(ends) and ends[ended] <= began:
            yield ends[ended], -1
            ended += 1
        yield began, 1
    yield from ((moment, -1) for moment in ends[ended:])
