"""Report of a start: its facts, with the sentence and the notes that say them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from job.config.faults import Fault
from job.day.attempt import Outcome, Start
from job.day.ending import Ending
from job.day.failure_groups import failure_groups, is_refused, targets_at_fault
from job.day.history import NightBefore
from job.day.ledger import ANSWERS_SHOWN, Ledger
from job.day.report import END_LIMIT, Report, missing_groups, phases_of
from job.telling.changes import changes_of
from job.telling.failures import reason_of
from job.telling.notes import notes_of
from job.telling.sentence import sentence_of
from job.text.messages import Message, Value, colon, duration, message, said
from job.text.shown import clock, shortened

FAULTS_LISTED = 50
FAULT_LIMIT = 500
"""Maximum number of characters of each text of a fault."""
_ATTEMPT_BYTES = 20
"""Maximum bytes of an attempt in `journal`."""
_CLOSING_BYTES = 300
"""Maximum bytes of what else is known only once the record is closed: `not_written`, and `missing_not_listed`."""


def report_of(
    start: Start,
    ledger: Ledger,
    ending: Ending,
    *,
    seconds: float | None = None,
    faults: Sequence[Fault] = (),
    before: NightBefore | None = None,
) -> Report:
    """The report of an attempt that has ended after `seconds`, or that is in a state.

    An attempt without a plan has the ledger of an empty plan.
    """
    made_again, charged_tries = ledger.made_again, ledger.charged_tries
    ended, detail = None, ending.answer
    if seconds is not None:
        ended = (datetime.fromisoformat(start.started) + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    if ending.failed is not None:
        detail = colon(ending.failed.label, reason_of(ending.failed))
    changed = () if before is None or before.are_changes_noted else tuple(changes_of(before, start, ledger))
    report = Report(
        start=start.model_copy(update={"without": ledger.left_out}),
        outcome=ending.outcome,
        exit_code=ending.exit_code,
        sentence=sentence_of(start, ending, ledger, faults),
        detail=detail,
        notes=tuple(notes_of(start, ending, ledger, before, changed)),
        changed=changed,
        ended=ended,
        seconds=None if seconds is None else round(seconds, 3),
        faults=tuple(_limited(fault) for fault in faults[:FAULTS_LISTED]),
        faults_not_listed=max(0, len(faults) - FAULTS_LISTED),
        engines=ledger.totals(),
        asked_again=len(made_again) + len(ledger.to_make_again),
        made_again=len(made_again),
        perhaps_charged=len(charged_tries),
        charged_tries=sum(charged_tries.values()),
        refused=is_refused(ledger),
        at_fault=targets_at_fault(ledger) if ending.outcome is Outcome.DATA_ENGINE_FAILED else (),
        answers=tuple(
            colon(group.engines[0], answer) for group in failure_groups(ledger) for answer in group.answers[:1]
        )[:ANSWERS_SHOWN],
        phases=phases_of(ledger),
    )
    left = END_LIMIT - len(report.to_json()) - _CLOSING_BYTES - _ATTEMPT_BYTES * start.number
    missing, not_listed = missing_groups(start.day, ledger, {} if before is None else before.missing, left)
    return report.model_copy(update={"missing": missing, "missing_not_listed": not_listed})


def _limited(fault: Fault) -> Fault:
    """A fault for the report; a text that is too long is shortened, and stays English."""

    def limited(text: Value) -> Message:
        whole = str(text)
        is_short = isinstance(text, Message) and len(whole) <= FAULT_LIMIT
        return said(text) if is_short else Message(shortened(whole, FAULT_LIMIT))

    return Fault(limited(fault.where), limited(fault.what), limited(fault.remedy), fault.kind)


def when(report: Report) -> Message | None:
    """When it ended, if it has; of what this start has done, also how long that took."""
    if report.ended is None:
        return None
    time, seconds = clock(datetime.fromisoformat(report.ended), report.day), report.seconds or 0.0
    if not report.done_at or not report.start.number:  # it was done before
        return message("As of {time}", time=time)
    took = duration(seconds if seconds < 60 else 60 * round(seconds / 60))
    return message("Done at {time}, after {took}", time=time, took=took)


def totals_of(report: Report) -> Mapping[str, object]:
    """How a start ended, and the totals, for programs: in the last line of the log and in the message."""
    return {
        "outcome": report.outcome,
        "exit_code": report.exit_code,
        "ended": report.ended,
        "cards": asdict(report.cards),
        "engines": {name: asdict(engine) for name, engine in report.engines.items()},
        **({"asked_again": report.asked_again, "made_again": report.made_again} if report.asked_again else {}),
        **({"without": report.start.without} if report.start.without else {}),
    }
