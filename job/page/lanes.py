"""Lanes of the timeline, as numbers: the calls of an engine over time.

If there are few calls, each is a bar; otherwise columns show how many ended when. Templates draw them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from job.ledger.ledger import Lane
from job.ledger.result import CUT_OFF, DONE, FAILED, CallResult
from job.page.time_scale import WIDTH, TimeScale

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
