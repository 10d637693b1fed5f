"""Page of the nights, as numbers and words: a row for each run, and trends."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from job.engines.catalog import ALL_ENGINES, TITLES, EngineName
from job.execution.progress import EngineTotals
from job.page.headline import RESUMABLE, Severity
from job.page.time_scale import WIDTH
from job.records.nights import Night, Nights
from job.records.overview import MARKS, NO_SUMMARY, EngineState, by_day, day_of, state_of
from job.records.summary import Phase, RunSummary
from job.text.messages import Message, message

PHASE_TITLES: Mapping[Phase, Message] = {"data": message("Data phase"), "cards": message("Card phase")}
TALL = 100.0
"""Height of a chart in its own units."""


@dataclass(frozen=True, slots=True)
class Square:
    """What one engine did in one run."""

    engine: EngineName
    kind: EngineState
    says: Message

    @property
    def mark(self) -> str:
        return MARKS[self.kind]


@dataclass(frozen=True, slots=True)
class Row:
    """One run."""

    run_id: str
    started: str
    outcome: str
    severity: Severity | Literal["none"]
    squares: Sequence[Square]
    summary: RunSummary | None
    link: str | None
    """The link to its page, if it has one."""


@dataclass(frozen=True, slots=True)
class Trend:
    """The seconds of a phase in each run, in the order of their days: a bar for each run that has the phase."""

    phase: Phase
    bars: Sequence[tuple[float, float, str]]
    """For each bar: its left edge, its height, and its text."""
    width: float
    """Width of a bar."""
    median: float
    line: float
    """Vertical position of the median, from the top."""
    last: float
    days: tuple[str, str]
    """The first and the last day."""


def rows_by_day(nights: Nights, link: Callable[[str], str]) -> Sequence[tuple[str, Sequence[Row]]]:
    """The runs grouped by day, the newest first; `link` returns the link to the page of a run id."""
    return [(day, [_row(night, link) for night in some]) for day, some in by_day(nights)]


def _row(night: Night, link: Callable[[str], str]) -> Row:
    summary = night.summary
    pattern = "%H:%M" if f"{night.started:%Y-%m-%d}" == day_of(night) else "%Y-%m-%d %H:%M"
    started = f"{night.started:{pattern}}"
    if summary is None:
        squares = [
            Square(engine, "none", message("{engine}: not known", engine=TITLES[engine])) for engine in ALL_ENGINES
        ]
        if night.state is None:
            return Row(night.run_id, started, NO_SUMMARY, "none", squares, None, None)
        return Row(night.run_id, started, night.state, "warn", squares, None, None)
    severity: Severity = "bad"
    if summary.outcome == "succeeded":
        severity = "good"
    elif summary.outcome in RESUMABLE:
        severity = "warn"
    squares = [_square(engine, summary.engines.get(engine)) for engine in ALL_ENGINES]
    return Row(summary.run_id, started, summary.outcome, severity, squares, summary, link(summary.run_id))


def _square(engine: EngineName, totals: EngineTotals | None) -> Square:
    title = TITLES[engine]
    if totals is None or totals.planned <= 0:
        return Square(engine, "none", message("{engine}: nothing planned", engine=title))
    says = message(
        "{engine}: {done} of {planned} done, {failed} failed",
        engine=title,
        done=totals.done + totals.skipped,
        planned=totals.planned,
        failed=totals.failed - totals.cut_off,
    )
    return Square(engine, state_of(totals), says)


def _in_order(nights: Nights) -> Sequence[RunSummary]:
    """The summaries in the order of the days that the runs are for; those of one day in the order of their starts."""
    earliest_first = nights.summaries[::-1]
    return sorted(earliest_first, key=lambda summary: summary.day)


def trend_of(nights: Nights, phase: Phase) -> Trend | None:
    """How long a phase took in each run; `None` if no run had it."""
    summaries = [summary for summary in _in_order(nights) if summary.engines]
    seconds = [summary.phases.get(phase) for summary in summaries]
    known = [one for one in seconds if one is not None]
    if not known:
        return None
    step, highest, median = WIDTH / len(summaries), max(*known, 0.001) * 1.05, statistics.median(known)
    bars = [
        (place * step, one / highest * TALL, f"{summary.day}, {summary.run_id}")
        for place, (summary, one) in enumerate(zip(summaries, seconds, strict=True))
        if one is not None
    ]
    return Trend(phase, bars, step * 0.8, median, TALL - median / highest * TALL, known[-1], _ends(summaries))


@dataclass(frozen=True, slots=True)
class CardBar:
    """The cards of one run: how many were planned and made, as heights."""

    left: float
    planned: float
    made: float
    says: Message


def card_bars(nights: Nights) -> tuple[Sequence[CardBar], float, tuple[str, str]]:
    """A bar for each run that planned cards, in the order of the days; the width of a bar; the first and last day."""
    summaries = [summary for summary in _in_order(nights) if summary.cards.planned > 0]
    if not summaries:
        return [], 0.0, ("", "")
    step, most = WIDTH / len(summaries), max(summary.cards.planned for summary in summaries) * 1.05
    bars = [
        CardBar(
            place * step,
            summary.cards.planned / most * TALL,
            min(max(summary.cards.generated, 0), summary.cards.planned) / most * TALL,
            message(
                "{day}: {made} of {planned} cards are there",
                day=summary.day,
                made=summary.cards.generated,
                planned=summary.cards.planned,
            ),
        )
        for place, summary in enumerate(summaries)
    ]
    return bars, step * 0.8, _ends(summaries)


def _ends(summaries: Sequence[RunSummary]) -> tuple[str, str]:
    return summaries[0].day, summaries[-1].day
