"""The summary of a run, `summary.json`: what later nights need to know of it, in 256 KiB at most.

Like the report it is a function of the record, and of the night before, which tells since when an item is missing.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_core import to_json

from job.config.fields import Date, RunId
from job.engines.catalog import DATA_ENGINES, EngineName
from job.execution.progress import CardTotals, EngineTotals, Part
from job.planning.items import MissingItem, MissingState
from job.planning.plan import Plan
from job.records.format import FORMAT, Count, RecordError, Seconds, Stamp, Word
from job.records.report import RunReport
from job.records.timeline import Timeline, busy_stretches
from job.text import shortened

SUMMARY_LIMIT = 256 * 1024
"""Bytes."""
CARD_TYPES_LISTED = 500
"""Card types whose median is kept, the slowest."""
_SENTENCE_LIMIT = 1000
_GROUP_BYTES = 500
"""What a group takes beside its targets, at most."""

Phase = Literal["data", "cards"]
ItemKey = tuple[EngineName, str, str | None]
"""Engine, target, and card type if it is a card."""


class MissingGroup(Part):
    """Items that are not done, and of which all the same is to be said."""

    engine: EngineName
    card_type: str | None = None
    state: MissingState
    cause: str | None = None
    """Why they failed the last time, which may have been an earlier night; `None` if they were only not attempted."""
    since: Date
    """The day of the first night on which they were missing, without one between on which they were there."""
    nights: Count = 1
    """How many nights that is, this one included."""
    targets: tuple[str, ...]


class RunSummary(Part):
    """The whole of `summary.json`."""

    format: int = FORMAT
    run_id: RunId
    day: Date
    date: Date | None
    config_uri: str
    started: Stamp
    ended: Stamp | None
    outcome: Word
    exit_code: int | None
    sentence: str = ""
    cards: CardTotals = CardTotals()
    engines: dict[EngineName, EngineTotals] = Field(default_factory=dict)
    phases: dict[Phase, Seconds] = Field(default_factory=dict)
    """For how many seconds calls of the phase were in flight; a phase without calls is not there."""
    card_seconds: dict[str, Seconds] = Field(default_factory=dict)
    """The median of each card type, of the cards that were made; the slowest types first."""
    missing: tuple[MissingGroup, ...] = ()
    """Failed items first."""
    missing_not_listed: Count = 0

    @property
    def planned(self) -> tuple[int, int]:
        """How much was planned: cards, and everything."""
        return self.cards.planned, sum(engine.planned for engine in self.engines.values())


@dataclass(frozen=True, slots=True)
class NightBefore:
    """The night that a run is compared with."""

    summary: RunSummary
    plan: Plan | None
    """`None` if its inputs cannot be used."""
    listed: Mapping[ItemKey, MissingGroup]
    """Its missing items, as far as they are listed."""

    @classmethod
    def of(cls, summary: RunSummary, plan: Plan | None) -> "NightBefore":
        """The night with this summary and this plan."""
        listed = {(group.engine, name, group.card_type): group for group in summary.missing for name in group.targets}
        return cls(summary, plan, listed)


def build_summary(report: RunReport, timeline: Timeline, before: NightBefore | None) -> RunSummary:
    """The summary of a run from its report and its results."""
    summary = RunSummary(
        run_id=report.run_id,
        day=report.day,
        date=report.date,
        config_uri=report.config_uri,
        started=report.started,
        ended=report.ended,
        outcome=report.outcome,
        exit_code=report.exit_code,
        sentence=shortened(report.sentence, _SENTENCE_LIMIT),
        cards=report.cards,
        engines=report.engines,
        phases=_phases(timeline),
        card_seconds=_medians(timeline),
    )
    left = SUMMARY_LIMIT - len(pack_summary(summary))
    groups, not_listed = _missing(report.day, timeline, before, left)
    return summary.model_copy(update={"missing": groups, "missing_not_listed": not_listed})


def pack_summary(summary: RunSummary) -> bytes:
    """The object that holds it."""
    return summary.model_dump_json().encode() + b"\n"


def read_summary(name: str, data: bytes, run_id: str) -> RunSummary:
    """The summary that an object of this name holds. Raises `RecordError`."""
    if len(data) > SUMMARY_LIMIT:
        raise RecordError(f"{name} is larger than {SUMMARY_LIMIT >> 10} KiB")
    try:
        summary = RunSummary.model_validate_json(data)
    except ValidationError as error:
        raise RecordError(f"{name} is not what a run writes ({error.error_count()} faults)") from error
    if summary.format != FORMAT:
        raise RecordError(f"{name} has format {summary.format}; this version of the job knows {FORMAT}")
    if summary.run_id != run_id:
        raise RecordError(f"{name} belongs to run {summary.run_id}")
    return summary


def _missing(
    day: str, timeline: Timeline, before: NightBefore | None, left: int
) -> tuple[tuple[MissingGroup, ...], int]:
    """The missing items in groups, as many as have room in so many bytes, and how many more there are."""
    groups: dict[tuple[object, ...], list[str]] = {}
    total = sum(items.planned - len(items) for items in timeline.items.values())
    listed = 0
    for engine, item in chain(_failed(timeline), _not_attempted(timeline)):
        then = before.listed.get((engine, item.target, item.card_type)) if before else None
        cause = item.cause if item.state == "failed" else then.cause if then else None
        since, nights = (then.since, then.nights + 1) if then else (day, 1)
        key = (engine, item.card_type, item.state, cause, since, nights)
        left -= len(to_json(item.target)) + 1 + (0 if key in groups else _GROUP_BYTES)
        if left < 0:
            break
        groups.setdefault(key, []).append(item.target)
        listed += 1
    names = ("engine", "card_type", "state", "cause", "since", "nights")
    made = (
        MissingGroup.model_validate({**dict(zip(names, key, strict=True)), "targets": tuple(targets)})
        for key, targets in groups.items()
    )
    return tuple(made), total - listed


def _failed(timeline: Timeline) -> Iterator[tuple[EngineName, MissingItem]]:
    for engine, items in timeline.items.items():
        if items.failed > items.cut_off:
            yield from ((engine, item) for item in items.missing() if item.state == "failed")


def _not_attempted(timeline: Timeline) -> Iterator[tuple[EngineName, MissingItem]]:
    for engine, items in timeline.items.items():
        yield from ((engine, item) for item in items.missing() if item.state != "failed")


def _medians(timeline: Timeline) -> dict[str, float]:
    medians = {card_type: statistics.median(seconds) for card_type, seconds in timeline.card_seconds.items()}
    slowest = sorted(medians.items(), key=lambda one: -one[1])[:CARD_TYPES_LISTED]
    return {card_type: round(seconds, 3) for card_type, seconds in slowest}


def _phases(timeline: Timeline) -> dict[Phase, float]:
    phases: Mapping[Phase, Sequence[EngineName]] = {"data": DATA_ENGINES, "cards": ("qa",)}
    return {phase: round(seconds, 3) for phase, engines in phases.items() if (seconds := _busy(timeline, engines))}


def _busy(timeline: Timeline, engines: Sequence[EngineName]) -> float:
    """For how many seconds a call of these engines was in flight: the time between two attempts does not count."""
    spans = chain.from_iterable(timeline.lanes[engine].spans() for engine in engines)
    return sum(ended - began for began, ended in busy_stretches(spans))
