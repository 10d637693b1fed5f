"""Failure groups: what failed, in groups that failed alike, with the last answers; and which targets are at fault."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from job.day.changes import NightBefore, were_made
from job.day.ledger import ANSWERS_SHOWN, Ledger
from job.day.report import FailureGroup, Items
from job.day.result import CallResult
from job.engines.calls import EngineName
from job.engines.failures import Cause

AT_FAULT_LIMIT = 20
"""So many targets may be at fault; of more, the engine is."""
_OF_JOB = {Cause.IDENTITY, Cause.TOKEN_SERVER}
GROUPS_LISTED = 20


def failure_groups(ledger: Ledger, before: NightBefore | None) -> Iterator[FailureGroup]:
    """The failed calls that failed alike, the largest group first; also those that were cut off after a failed try."""
    groups: dict[tuple[EngineName | None, str | None, int | None, bool], list[CallResult]] = {}
    failures = [call for call in ledger.failures if call.has_failed]
    down = _down(ledger, failures)
    for call in failures:
        cause = call.interrupted_after if call.is_cut_off else call.cause
        is_cut_off = call.is_cut_off and call.engine not in down
        key = (None, cause, None, is_cut_off) if cause in _OF_JOB else (call.engine, cause, call.status, is_cut_off)
        groups.setdefault(key, []).append(call)
    largest = sorted(groups.items(), key=lambda group: -sum(len(call.targets) for call in group[1]))
    for (_, cause, status, is_cut_off), calls in largest[:GROUPS_LISTED]:
        engines, items = tuple(dict.fromkeys(call.engine for call in calls)), [*chain(*(call.items for call in calls))]
        answers = Counter(answer for call in calls for answer in call.answers)
        yield FailureGroup(
            engines=engines,
            cause=cause,
            status=status,
            account=next((call.account for call in calls if call.account), None),
            is_down=down.issuperset(engines) and not (cause == Cause.STATUS and status in {400, 422}),
            is_cut_off=is_cut_off,
            was_made=before is not None and were_made(items, *before),
            answers=tuple(answer for answer, _ in answers.most_common(ANSWERS_SHOWN)),
            items=Items.of(items),
        )


def _down(ledger: Ledger, failures: Iterable[CallResult]) -> set[EngineName]:
    """The engines that did no call. A single one that failed proves nothing of the engine."""
    several = (engine for engine, count in Counter(call.engine for call in failures).items() if count > 1)
    return {engine for engine in several if not any(call.done for call in ledger.calls[engine])}


def is_refused(ledger: Ledger) -> bool:
    """Whether a start would fail again at once: an engine has refused data, or each of the missing cards."""
    refused = Counter(call.engine for call in ledger.failures for _ in call.items if call.is_refusal)
    cards = refused.pop("qa", 0)
    return bool(refused) or 0 < cards == ledger.counts("qa").missing


def targets_at_fault(ledger: Ledger) -> tuple[str, ...]:
    """The targets that a person may leave out: each failed call of a data engine was answered for one of them alone,
    and others of that engine were done. Empty if they are too many.
    """
    failures = [call for call in ledger.failures if call.engine != "qa" and call.has_failed]
    others_done = all(any(call.done for call in ledger.calls[engine]) for engine in {call.engine for call in failures})
    if not others_done or not all(call.is_of_one_target for call in failures):
        return ()
    names = {call.targets[0]: None for call in failures}
    return tuple(names) if 2 * len(names) <= len(ledger.plan.targets) and len(names) <= AT_FAULT_LIMIT else ()
