"""Time scale: maps time to horizontal positions, `WIDTH` units wide.

Long idle times are cut out, such as those between attempts at a run.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise

from job.ledger.ledger import busy_stretches

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
