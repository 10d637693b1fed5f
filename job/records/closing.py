"""Closing: makes the summary (`summary.json`) of a run that ends.

Like the report it is a function of the record, and also of the night before: how long an item has been missing.
"""

import statistics
from collections.abc import Mapping, Sequence
from itertools import chain

from pydantic_core import to_json

from job.engines.catalog import DATA_ENGINES, EngineName
from job.records.report import RunReport
from job.records.summary import SUMMARY_LIMIT, MissingGroup, NightBefore, Phase, RunSummary, pack_summary
from job.records.timeline import Timeline, busy_stretches
from job.text.display import shortened

CARD_TYPES_LISTED = 500
"""Maximum number of card types whose median is kept; these are the slowest."""
_SENTENCE_LIMIT = 1000
_GROUP_BYTES = 500
"""Maximum bytes of a group without its targets."""


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


def _missing(
    day: str, timeline: Timeline, before: NightBefore | None, left: int
) -> tuple[tuple[MissingGroup, ...], int]:
    """The missing items in groups, as many as fit into `left` bytes, and the number of further ones."""
    groups: dict[tuple[object, ...], list[str]] = {}
    total = sum(items.planned - len(items) for items in timeline.items.values())
    listed = 0
    engines = timeline.items.items()
    failed = ((engine, item) for engine, items in engines for item in items.failures())
    others = ((engine, item) for engine, items in engines for item in items.missing() if item.state != "failed")
    for engine, item in chain(failed, others):
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


def _medians(timeline: Timeline) -> dict[str, float]:
    medians = {card_type: statistics.median(seconds) for card_type, seconds in timeline.card_seconds.items()}
    slowest = sorted(medians.items(), key=lambda one: -one[1])[:CARD_TYPES_LISTED]
    return {card_type: round(seconds, 3) for card_type, seconds in slowest}


def _phases(timeline: Timeline) -> dict[Phase, float]:
    phases: Mapping[Phase, Sequence[EngineName]] = {"data": DATA_ENGINES, "cards": ("qa",)}
    return {phase: round(seconds, 3) for phase, engines in phases.items() if (seconds := _busy(timeline, engines))}


def _busy(timeline: Timeline, engines: Sequence[EngineName]) -> float:
    """The seconds in which at least one call of these engines was in flight."""
    spans = chain.from_iterable(timeline.lanes[engine].spans() for engine in engines)
    return sum(ended - began for began, ended in busy_stretches(spans))
