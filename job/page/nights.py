"""Page of the nights, as numbers and words: a row for each run, and trends."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from job.engines.catalog import ALL_ENGINES, TITLES, EngineName
from job.ledger.totals import EngineTotals
from job.page.charts import WIDTH
from job.records.past import Past, PastRun
from job.report.outcome import Severity
from job.report.summary import MARKS, EngineState, Phase, RunSummary, state_of
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
    severity: Severity
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


def rows_by_day(past: Past, link: Callable[[str], str]) -> Sequence[tuple[str, Sequence[Row]]]:
    """The runs grouped by day, the newest first; `link` returns the link to the page of a run id."""
    return [(day, [_row(night, link) for night in some]) for day, some in past.by_day()]


def _row(run: PastRun, link: Callable[[str], str]) -> Row:
    summary, word = run.summary, run.outcome.about.word
    pattern = "%H:%M" if f"{run.started:%Y-%m-%d}" == run.shown_day else "%Y-%m-%d %H:%M"
    started, severity = f"{run.started:{pattern}}", run.severity
    if summary is None:
        squares = [
            Square(engine, "none", message("{engine}: not known", engine=TITLES[engine])) for engine in ALL_ENGINES
        ]
        return Row(run.run_id, started, word, severity, squares, None, None)
    squares = [_square(engine, summary.engines.get(engine)) for engine in ALL_ENGINES]
    return Row(run.run_id, started, word, severity, squares, summary, link(run.run_id))


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


def _in_order(past: Past) -> Sequence[RunSummary]:
    """The summaries in the order of the days that the runs are for; those of one day in the order of their starts."""
    earliest_first = past.summaries[::-1]
    return sorted(earliest_first, key=lambda summary: summary.day)


def trend_of(past: Past, phase: Phase) -> Trend | None:
    """How long a phase took in each run; `None` if no run had it."""
    summaries = [summary for summary in _in_order(past) if summary.engines]
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


def card_bars(past: Past) -> tuple[Sequence[CardBar], float, tuple[str, str]]:
    """A bar for each run that planned cards, in the order of the days; the width of a bar; the first and last day."""
    summaries = [summary for summary in _in_order(past) if summary.cards.planned > 0]
    if not summaries:
        return [], 0.0, ("", "")
    step, most = WIDTH / len(summaries), max(summary.cards.planned for summary in summaries) * 1.05
    bars = [
        CardBar(
            place * step,
            summary.cards.planned / most * TALL,
            min(max(summary.cards.made, 0), summary.cards.planned) / most * TALL,
            message(
                "{day}: {made} of {planned} cards are there",
                day=summary.day,
                made=summary.cards.made,
                planned=summary.cards.planned,
            ),
        )
        for place, summary in enumerate(summaries)
    ]
    return bars, step * 0.8, _ends(summaries)


def _ends(summaries: Sequence[RunSummary]) -> tuple[str, str]:
    return summaries[0].day, summaries[-1].day
