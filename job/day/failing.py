"""Failing: what failed, in groups that failed alike, with the last answer; and which targets are at fault."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from job.day.attempt import Start
from job.day.ledger import ANSWERS_SHOWN, Ledger
from job.day.result import CUT_OFF, CallResult
from job.engines.calls import ENGINES, EngineName, Item
from job.engines.failures import Cause, remedy_of
from job.text.messages import Message, joined, message, plural, semicolon

if TYPE_CHECKING:
    from job.day.before import NightBefore

AT_FAULT_LIMIT = 20
"""So many targets may be at fault; of more, the engine is."""
_OF_JOB = {Cause.IDENTITY, Cause.TOKEN_SERVER}
"""What is the same for all engines."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    engines: Sequence[EngineName]
    """Several only if the cause is not one of them."""
    items: Sequence[Item]
    is_down: bool
    """Whether the engines did nothing at all: then no target is named."""
    answers: Sequence[Message]
    """The most frequent last answers, or why there was none."""
    is_answered: bool
    """Whether the engine has given them."""
    then: Message | None
    """What was so of all of these on the night before, if that is known."""
    remedy: Message | None
    """Where it is put right, and by whom."""

    @property
    def heading(self) -> Message:
        """What failed: the engine, the number of items, and what is known of all of them."""
        return self._failed if self.then is None else semicolon(self._failed, self.then)

    @property
    def _failed(self) -> Message:
        title = joined([ENGINES[engine].title for engine in self.engines])
        if self.is_down:
            return message("{engine}: every call failed", engine=title)
        if "qa" in self.engines:
            return plural("{engine}: 1 card failed", "{engine}: {count} cards failed", len(self.items), engine=title)
        return plural("{engine}: 1 target failed", "{engine}: {count} targets failed", len(self.items), engine=title)

    @property
    def quotes(self) -> list[Message]:
        """What is said of the answers: an answer is quoted; why there was none is a sentence."""
        if self.is_answered:
            return [message("Last answer: {answer}", answer=answer) for answer in self.answers]
        return [message("{Sentence}.", Sentence=reason) for reason in self.answers]

    @property
    def names(self) -> list[str]:
        """Which ones; empty if the engine is down."""
        return [] if self.is_down else names_of(self.items)


def names_of(items: Iterable[Item]) -> list[str]:
    """Items for people: `AAPL`, `TSLA/news_card`, `NVDA (5)`; cards of one type: `/news_card: NVDA, TSLA`."""
    by_target: dict[str, list[str | None]] = {}
    for _, target, card_type in items:
        by_target.setdefault(target, []).append(card_type)
    types = {card_type for some in by_target.values() for card_type in some}
    if len(by_target) > 1 and len(types) == 1 and None not in types:
        first, *others = by_target
        return [f"/{types.pop()}: {first}", *others]
    return [
        target if some == [None] else f"{target}/{some[0]}" if len(some) == 1 else f"{target} ({len(some)})"
        for target, some in by_target.items()
    ]


def failure_groups(
    ledger: Ledger, before: "NightBefore | None" = None, start: Start | None = None
) -> list[FailureGroup]:
    """The failed calls that failed alike, the largest group first; also those that were cut off after a failed try."""
    groups: dict[tuple[EngineName | None, str | None, int | None], list[CallResult]] = {}
    failures = [call for call in ledger.failures if call.has_failed]
    down = _down(ledger, failures)
    for call in failures:
        cause = _cause_of(call)
        key = (None, cause, None) if cause in _OF_JOB else (call.engine, cause, call.status)
        groups.setdefault(key, []).append(call)
    made = []
    for (_, cause, status), calls in groups.items():
        engines, items = list(dict.fromkeys(call.engine for call in calls)), [*chain(*(call.items for call in calls))]
        answers = Counter(answer for call in calls for answer in call.answers)
        group = FailureGroup(
            engines,
            items,
            is_down=down.issuperset(engines) and not (cause == Cause.STATUS and status in {400, 422}),
            answers=[answer for answer, _ in answers.most_common(ANSWERS_SHOWN)],
            is_answered=cause in {Cause.STATUS, Cause.DENIED},
            then=_then(engines[0], items, before),
            remedy=remedy_of(
                engines[0],
                cause,
                status,
                url=None if start is None else start.engine_urls.get(engines[0]),
                account=next((call.account for call in calls if call.account), None),
                is_deployed=start is not None and start.job is not None,
            ),
        )
        made.append(group)
    return sorted(made, key=lambda group: -len(group.items))


def _cause_of(call: CallResult) -> str | None:
    return call.interrupted_after if call.state == CUT_OFF else call.cause


def _down(ledger: Ledger, failures: Iterable[CallResult]) -> set[EngineName]:
    """The engines that did no call. A single one that failed proves nothing of the engine."""
    several = (engine for engine, count in Counter(call.engine for call in failures).items() if count > 1)
    return {engine for engine in several if not any(call.done for call in ledger.calls[engine])}


def _then(engine: EngineName, items: Sequence[Item], before: "NightBefore | None") -> Message | None:
    if before is None or not before.made(items):
        return None
    if engine == "qa":
        return plural("it was made on {day}", "all were made on {day}", count=len(items), day=before.short_day)
    return plural("it worked on {day}", "all worked on {day}", count=len(items), day=before.short_day)


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
