"""Page of the nights, as numbers and words: a row for each run, and trends of the runs that count for their days."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from job.engines.catalog import ALL_ENGINES, TITLES, EngineName
from job.page.charts import WIDTH
from job.records.past import Past, PastRun, counting
from job.report.outcome import Outcome, Severity
from job.report.summary import MARKS, EngineState, Phase, RunSummary, state_of
from job.text.messages import Message, duration, message

PHASE_TITLES: Mapping[Phase, Message] = {"data": message("Data phase"), "cards": message("Card phase")}
TALL = 100.0
"""Height of a chart in its own units."""
LEAST = 4.0
"""Minimum height of what is bad: a single card of thousands must be visible."""


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
    outcome: Message
    severity: Severity
    squares: Sequence[Square]
    summary: RunSummary | None
    link: str | None
    """The link to its page, if it has one."""
    counts: bool
    """Whether it is the run that counts for its day."""
    config: str | None
    """Where its config is, if that is elsewhere than the latest run's."""


@dataclass(frozen=True, slots=True)
class Bar:
    """The run that counts for a day: how much of the chart's height is good, and how much of it, above that, is bad."""

    left: float
    good: float
    bad: float
    says: Message
    link: str | None


@dataclass(frozen=True, slots=True)
class Chart:
    """A bar for each day, in their order."""

    bars: Sequence[Bar]
    width: float
    """Width of a bar."""
    most: float
    """What a bar of full height stands for: cards, or seconds."""
    days: tuple[str, str]
    """The first and the last day."""


@dataclass(frozen=True, slots=True)
class Trend:
    """The seconds that a phase took."""

    phase: Phase
    chart: Chart
    median: float
    line: float
    """Vertical position of the median, from the top."""
    last: float


Link = Callable[[str], str]
"""Returns the link to the page of a run id."""


def rows_by_day(past: Past, link: Link) -> Sequence[tuple[str, Sequence[Row]]]:
    """The runs grouped by day, the newest first."""
    config = next((summary.config_uri for summary in past.summaries), None)
    return [(day, [_row(run, link, counting(runs), config) for run in runs]) for day, runs in past.by_day()]


def _row(run: PastRun, link: Link, counted: PastRun, config: str | None) -> Row:
    summary = run.summary
    pattern = "%H:%M" if f"{run.started:%Y-%m-%d}" == run.shown_day else "%Y-%m-%d %H:%M"
    squares = [_square(engine, summary) for engine in ALL_ENGINES]
    return Row(
        run_id=run.run_id,
        started=f"{run.started:{pattern}}",
        outcome=run.word,
        severity=run.severity,
        squares=squares,
        summary=summary,
        link=_link(run, link),
        counts=run is counted,
        config=summary.config_uri if summary is not None and summary.config_uri != config else None,
    )


def _link(run: PastRun, link: Link) -> str | None:
    return link(run.run_id) if run.summary is not None else None


def _square(engine: EngineName, summary: RunSummary | None) -> Square:
    title = TITLES[engine]
    if summary is None:
        return Square(engine, "none", message("{engine}: not known", engine=title))
    totals = summary.engines.get(engine)
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


def _counting(past: Past) -> list[PastRun]:
    """The run that counts for each day, in the order of the days."""
    return [counting(runs) for _, runs in reversed(past.by_day())]


def trend_of(past: Past, phase: Phase, link: Link) -> Trend | None:
    """How long a phase took on each day; `None` if it never took place."""
    runs = _counting(past)
    # A run in which cards were made again has no bar: that time is part of its phases too.
    summaries = [run.summary for run in runs if run.summary and not run.summary.asked_again]
    known = {summary.run_id: summary.phases[phase] for summary in summaries if phase in summary.phases}
    if not known:
        return None
    most, median = max(*known.values(), 0.001), statistics.median(known.values())

    def bar(run: PastRun, left: float) -> Bar | None:
        if run.run_id not in known:
            return None
        seconds = known[run.run_id]
        says = message("{day}: {took}", day=run.shown_day, took=duration(seconds))
        return Bar(left, seconds / most * TALL, 0.0, says, _link(run, link))

    return Trend(phase, _chart(runs, bar, most), median, TALL - median / most * TALL, list(known.values())[-1])


def card_chart(past: Past, link: Link) -> Chart | None:
    """How many cards were made on each day, and how many are missing; `None` if none was ever planned."""
    runs = _counting(past)
    most = max((run.summary.cards.planned for run in runs if run.summary), default=0)
    if most <= 0:
        return None

    def bar(run: PastRun, left: float) -> Bar | None:
        planned = run.summary.cards.planned if run.summary else 0
        if planned <= 0:  # also if nothing is known: it is bad only if no card can have been made
            says = message("{day}: {outcome}", day=run.shown_day, outcome=run.word)
            return Bar(left, 0.0, TALL, says, _link(run, link)) if run.outcome is Outcome.BAD_CONFIG else None
        made = min(max(run.summary.cards.made, 0), planned) if run.summary else 0
        bad = max((planned - made) / most * TALL, LEAST) if made < planned else 0.0
        says = message("{day}: {made} of {planned} cards are there", day=run.shown_day, made=made, planned=planned)
        return Bar(left, max(planned / most * TALL - bad, 0.0), bad, says, _link(run, link))

    return _chart(runs, bar, most)


def _chart(runs: Sequence[PastRun], bar: Callable[[PastRun, float], Bar | None], most: float) -> Chart:
    step = WIDTH / len(runs)
    bars = [made for place, run in enumerate(runs) if (made := bar(run, place * step)) is not None]
    return Chart(bars, step * 0.8, most, (runs[0].shown_day, runs[-1].shown_day))
