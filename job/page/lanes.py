"""The calls of one engine over time, as SVG: each call a bar while they can be told apart, else how many ended when."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from job.page.time_scale import WIDTH, TimeScale
from job.records.results import CUT_OFF, DONE, CallResult
from job.records.timeline import Lane
from job.text import counted, duration, shortened, text, xy

ROWS = 32
"""More calls at a time than this are not told apart."""


BINS = 250


_CLASS = {DONE: "d", CUT_OFF: "c"}


_UP, _DOWN = 60.0, 24.0


@dataclass(frozen=True, slots=True)
class LaneChart:
    """A lane of the timeline."""

    svg: str
    height: int
    """In pixels of the screen; its width is that of the page."""
    note: str


def draw_lane(lane: Lane, axis: TimeScale, name: str) -> LaneChart:
    """The lane of one engine."""
    if lane.whole:
        rows = _rows(lane.kept)
        if len(rows) <= ROWS:
            return _bars(rows, lane, axis, name)
    return _density(lane, axis, name)


def svg(width: float, height: float, content: str, label: str) -> str:
    """A picture that fills its box, whatever the proportions."""
    view = f'viewBox="0 0 {xy(width)} {xy(height)}" preserveAspectRatio="none"'
    return f'<svg {view} role="img" aria-label="{text(label)}">{content}</svg>'


def _rows(calls: Iterable[CallResult]) -> list[list[CallResult]]:
    """The calls so that none covers another, in as few rows as there were calls at a time."""
    rows: list[list[CallResult]] = []
    ends: list[float] = []
    for call in sorted(calls, key=lambda call: _span(call)[0]):
        began, ended = _span(call)
        row = next((row for row, end in enumerate(ends) if end <= began), None)
        if row is None:
            row = len(rows)
            rows.append([])
            ends.append(ended)
        rows[row].append(call)
        ends[row] = ended
    return rows


def _span(call: CallResult) -> tuple[float, float]:
    return min([call.started, *(began for began, _, _ in call.failed_attempts)]), call.ended


def _bars(rows: Sequence[Sequence[CallResult]], lane: Lane, axis: TimeScale, name: str) -> LaneChart:
    pitch = 14 if len(rows) <= 6 else 10 if len(rows) <= 16 else 7
    height = max(2, len(rows)) * pitch + 4
    parts = [_bar(call, axis, row * pitch + 3, pitch - 3) for row, calls in enumerate(rows) for call in calls]
    label = f"{name}: {counted(len(lane), 'call')} over time"
    return LaneChart(svg(WIDTH, height, f'<g class="t">{"".join(parts)}</g>', label), height, "each bar is a call")


def _bar(call: CallResult, axis: TimeScale, top: float, tall: float) -> str:
    retries = f", {counted(call.attempts, 'attempt')}" if call.attempts > 1 else ""
    ending = "" if call.state == DONE else f": {shortened(call.reason or '', 160)}"
    title = f"{_about(call)}, {axis.clock(call.started)}, {duration(call.seconds)}{retries}{ending}"
    drawn = [
        _rect("r", axis.x(began), axis.x(ended), top + tall / 5, tall * 0.6) for began, ended, _ in call.failed_attempts
    ]
    drawn.append(_rect(_CLASS.get(call.state, "f"), axis.x(call.started), axis.x(call.ended), top, tall))
    return f"<g><title>{text(title)}</title>{''.join(drawn)}</g>"


def _about(call: CallResult) -> str:
    targets = ", ".join(call.targets[:5]) + (f" and {len(call.targets) - 5} more" if len(call.targets) > 5 else "")
    return f"{targets} {call.card_type}" if call.card_type else targets


def _rect(kind: str, left: float, right: float, top: float, tall: float) -> str:
    wide = max(right - left, 1.2)
    return (
        f'<rect class="{kind}" x="{xy(min(left, WIDTH - wide))}" y="{xy(top)}" width="{xy(wide)}" height="{xy(tall)}"/>'
    )


@dataclass(slots=True)
class _Counts:
    done: list[int] = field(default_factory=lambda: [0] * BINS)
    cut_off: list[int] = field(default_factory=lambda: [0] * BINS)
    failed: list[int] = field(default_factory=lambda: [0] * BINS)
    retried: list[int] = field(default_factory=lambda: [0] * BINS)


def _density(lane: Lane, axis: TimeScale, name: str) -> LaneChart:
    """Upwards what was done in each of some hundred moments, downwards retries and failures, seen even if few."""
    counts = _Counts()
    kinds = {DONE: counts.done, CUT_OFF: counts.cut_off}
    for ended, state in zip(lane.ended, lane.states, strict=True):
        kinds.get(state, counts.failed)[_bin(axis, ended)] += 1
    for ended in lane.failed_ended:
        counts.retried[_bin(axis, ended)] += 1
    most = max(1, *(sum(pair) for pair in zip(counts.done, counts.cut_off, strict=True)))
    worst = max(1, *(sum(pair) for pair in zip(counts.failed, counts.retried, strict=True)))
    wide = WIDTH / BINS
    parts = [f'<path class="b" d="M0 {xy(_UP)}H{xy(WIDTH)}"/>']
    parts.extend(_column(counts, place, wide, most, worst) for place in range(BINS))
    seconds = sum(part.ended - part.began for part in axis.segments) / BINS
    note = f"a column is {duration(seconds)}, the tallest {counted(most, 'call')}; retries and failures hang below"
    label = f"{name}: {counted(len(lane), 'call')} over time"
    return LaneChart(svg(WIDTH, _UP + _DOWN, "".join(parts), label), int(_UP + _DOWN), note)


def _column(counts: _Counts, place: int, wide: float, most: int, worst: int) -> str:
    done, cut, failed, retried = (
        column[place] for column in (counts.done, counts.cut_off, counts.failed, counts.retried)
    )
    if not done + cut + failed + retried:
        return ""
    left, drawn = place * wide, []
    up = _UP * (done + cut) / most
    grey = _UP * cut / most
    if done:
        drawn.append(_rect("d", left, left + wide * 0.85, _UP - up, up - grey))
    if cut:
        drawn.append(_rect("c", left, left + wide * 0.85, _UP - grey, max(grey, 2.0)))
    down = max(4.0, _DOWN * 0.5 * retried / worst) if retried else 0.0
    if retried:
        drawn.append(_rect("r", left, left + wide * 0.85, _UP + 1, down))
    if failed:
        drawn.append(_rect("f", left, left + wide * 0.85, _UP + 1 + down, max(5.0, _DOWN * 0.5 * failed / worst)))
    words = ((done, "done"), (cut, "cut off"), (retried, "retried"), (failed, "failed"))
    title = ", ".join(f"{count:,} {word}" for count, word in words if count)
    return f"<g><title>{title}</title>{''.join(drawn)}</g>"


def _bin(axis: TimeScale, moment: float) -> int:
    return min(BINS - 1, int(axis.x(moment) / WIDTH * BINS))
