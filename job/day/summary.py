"""Summary: makes the report of a start, from its ledger and how it has ended."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain

from job.config.faults import Fault
from job.day.attempt import Outcome, Start
from job.day.changes import NightBefore, changed_objects, changes_of
from job.day.ending import Ending
from job.day.failure_groups import failure_groups, is_refused, targets_at_fault
from job.day.ledger import ItemStatus, Ledger
from job.day.report import MISSING_LISTED, PHASES, MissingGroup, Phase, Report

FAULTS_LISTED = 50


def report_of(
    start: Start,
    ledger: Ledger,
    ending: Ending,
    *,
    seconds: float | None = None,
    faults: Sequence[Fault] = (),
    before: NightBefore | None = None,
) -> Report:
    """The report of an attempt that has ended after `seconds`, or that is in a state."""
    began, made_again, charged_tries = datetime.fromisoformat(start.started), ledger.made_again, ledger.charged_tries
    ended = None
    if seconds is not None:
        ended = (began + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    is_killed = ending.outcome is Outcome.KILLED
    then = before if ledger.plan.engines() else None
    missing, not_listed = missing_groups(ledger)
    return Report(
        **{**dict(start), "without": ledger.left_out},
        outcome=ending.outcome,
        exit_code=ending.exit_code,
        detail=ending.detail,
        ended=ended,
        seconds=None if seconds is None else round(seconds, 3),
        faults=tuple(faults[:FAULTS_LISTED]),
        faults_not_listed=max(0, len(faults) - FAULTS_LISTED),
        engines=ledger.totals(),
        asked_again=len(made_again) + len(ledger.to_make_again),
        made_again=len(made_again),
        perhaps_charged=len(charged_tries),
        charged_tries=sum(charged_tries.values()),
        qa_failed_seconds=_failed_seconds(ledger, began) if ending.outcome is Outcome.QA_ENGINE_DOWN else None,
        refused=is_refused(ledger),
        at_fault=targets_at_fault(ledger) if ending.outcome is Outcome.DATA_ENGINE_FAILED else (),
        failures=tuple(failure_groups(ledger, then)),
        compared_with=None if then is None else then[0].day,
        changes=() if then is None else tuple(changes_of(then[1], ledger.plan)),
        changed_objects=() if then is None else tuple(changed_objects(then[0], start)),
        phases=phases_of(ledger),
        missing=missing,
        missing_not_listed=not_listed,
        why=ending.why,
        done_since=ending.done_since,
        breaks_off=max(began, datetime.fromtimestamp(ledger.last, began.tzinfo)) if is_killed else None,
    )


def report_at_work(start: Start, ledger: Ledger) -> Report:
    """The report of a start that is at work: counts alone, which take no time, however many items there are."""
    engines = {engine: replace(ledger.counts(engine)) for engine in ledger.plan.engines()}
    return Report(**dict(start), outcome=Outcome.AT_WORK, exit_code=None, ended=None, seconds=None, engines=engines)


def _failed_seconds(ledger: Ledger, began: datetime) -> float:
    """For how long no call has been done since the start `began`: at first its data, if it had any to prepare."""
    done = (call.ended for calls in ledger.calls.values() for call in calls if call.done)
    return round(max(0.0, ledger.last - max([began.timestamp(), *done])), 3)


def missing_groups(ledger: Ledger) -> tuple[tuple[MissingGroup, ...], int]:
    """The first missing items in groups, and the number of further ones."""
    groups: dict[tuple[object, ...], list[str]] = {}
    count = 0
    failed = (status for status in _missing(ledger) if status.state == "failed")
    for status in chain(failed, (status for status in _missing(ledger) if status.state != "failed")):
        count += 1
        if count > MISSING_LISTED:
            continue
        key = (status.item.engine, status.item.card_type, status.state, status.cause)
        groups.setdefault(key, []).append(status.item.target)
    names = ("engine", "card_type", "state", "cause")
    made = (
        MissingGroup.model_validate({**dict(zip(names, key, strict=True)), "targets": tuple(targets)})
        for key, targets in groups.items()
    )
    return tuple(made), max(0, count - MISSING_LISTED)


def _missing(ledger: Ledger) -> Iterator[ItemStatus]:
    return (status for engine in ledger.plan.engines() for status in ledger.missing(engine))


def phases_of(ledger: Ledger) -> dict[Phase, float]:
    phases: dict[Phase, float] = {}
    for phase, engines in PHASES.items():
        spans: dict[int, tuple[float, float]] = {}
        for call in chain.from_iterable(ledger.calls[engine] for engine in engines):
            began, ended = spans.get(call.attempt, (call.started, call.ended))
            spans[call.attempt] = min(began, call.started), max(ended, call.ended)
        if spans:
            phases[phase] = round(sum(ended - began for began, ended in spans.values()), 3)
    return phases
