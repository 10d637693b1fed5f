"""Groups of failures: the failed calls of one engine that have the same remedy, and whom they are about."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from job.day.ledger import Ledger
from job.day.result import CUT_OFF, CallResult
from job.engines.calls import Item
from job.engines.catalog import ALL_ENGINES, ENGINES, EngineName
from job.engines.failures import Cause
from job.engines.remedies import Remedy
from job.text.messages import Message, joined, message, plural

ANSWERS_SHOWN = 3
AT_FAULT_LIMIT = 20
"""So many targets may be at fault; of more, the engine is."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """The calls of one engine that failed and that have the same remedy."""

    engine: EngineName
    remedy: Remedy
    calls: Sequence[CallResult]
    is_down: bool
    """Whether the engine did nothing at all and is at fault itself: then no target is."""
    is_alone: bool
    """Whether no other call was answered: it is not known then which of the two is at fault."""

    @property
    def items(self) -> list[Item]:
        """What failed."""
        return [item for call in self.calls for item in call.items]

    @property
    def heading(self) -> Message:
        """What failed: the engine, and the number of items."""
        title = ENGINES[self.engine].title
        if self.is_down:
            return message("{engine}: every call failed", engine=title)
        status = self.calls[0].status
        if self.is_alone and status is not None and status <= 500:  # above, nothing says that the engine answered
            return message("{engine}: the only call that was answered failed", engine=title)
        if self.engine == "qa":
            return plural("{engine}: 1 card failed", "{engine}: {count} cards failed", len(self.items), engine=title)
        return plural("{engine}: 1 target failed", "{engine}: {count} targets failed", len(self.items), engine=title)

    @property
    def what_to_do(self) -> Message:
        """The remedy, as a sentence."""
        return self.remedy.of(self.engine)

    @property
    def names(self) -> list[str]:
        """Which ones; empty if the engine is down."""
        return [] if self.is_down else names_of(self.items)

    @property
    def answers(self) -> Sequence[Message]:
        """The most frequent last answers."""
        reasons = {str(call.reason): call.reason for call in self.calls if call.reason is not None}
        counts = Counter(str(call.reason) for call in self.calls if call.reason is not None)
        return [reasons[text] for text, _ in counts.most_common(ANSWERS_SHOWN)]


def names_of(items: Iterable[Item]) -> list[str]:
    """Items for people, the cards of a target together: `AAPL`, `TSLA/news_card`, `NVDA (5)`.

    If all are cards of one type, and there are several: `/news_card: NVDA, TSLA`, as one name.
    """
    found: dict[str, list[str | None]] = {}
    for _, target, card_type in items:
        found.setdefault(target, []).append(card_type)
    types = {card_type for some in found.values() for card_type in some}
    if len(found) > 1 and len(types) == 1 and None not in types:
        first, *others = found
        return [f"/{types.pop()}: {first}", *others]
    return [
        target if some == [None] else f"{target}/{some[0]}" if len(some) == 1 else f"{target} ({len(some)})"
        for target, some in found.items()
    ]


def failure_groups(ledger: Ledger) -> list[FailureGroup]:
    """Groups the failed calls by remedy, without those that were only cut off. The largest group is first; in
    each is the plan's order.
    """
    groups: dict[tuple[EngineName, Remedy], list[CallResult]] = {}
    order = {target.id: at for at, target in enumerate(ledger.plan.targets)}
    failures = ledger.failures
    has_done = _has_done(ledger, failures)
    for call in sorted(failures, key=lambda call: (ALL_ENGINES.index(call.engine), order[call.targets[0]])):
        if call.state != CUT_OFF:
            remedy = call.remedy(has_done=has_done[call.engine])
            groups.setdefault((call.engine, remedy), []).append(call)
    found = [
        FailureGroup(
            engine,
            remedy,
            calls,
            is_down=has_done[engine] is False and not any(_is_about_target(call, has_done=False) for call in calls),
            is_alone=has_done[engine] is None,
        )
        for (engine, remedy), calls in groups.items()
    ]
    return sorted(found, key=lambda group: -len(group.items))


def _has_done(ledger: Ledger, failures: Iterable[CallResult]) -> Mapping[EngineName, bool | None]:
    """Whether each engine has done a call; `None` if a single one has failed, which proves nothing of the engine. One
    that was cut off at its first try proves nothing either.
    """
    failed = Counter(call.engine for call in failures if call.state != CUT_OFF or call.interrupted_after is not None)
    return {
        engine: True if calls.done_seconds else None if failed[engine] == 1 else False
        for engine, calls in ledger.calls.items()
    }


def not_reached(ledger: Ledger) -> Message | None:
    """How many items of each engine were not made because of the failures of others; nothing has to be put right.

    `None` if there are none.
    """
    counts = {engine: total.not_reached for engine, total in ledger.totals().items()}
    parts = [
        message("cards {count}", count=count)
        if engine == "qa"
        else Message("{engine} {count}", {"engine": ENGINES[engine].label, "count": count})
        for engine, count in counts.items()
        if count
    ]
    return joined(parts) if parts else None


def targets_at_fault(ledger: Ledger) -> tuple[str, ...]:
    """The targets without which the cards of the others could be made, for all that is known: the engines answered, and
    failed for these alone. Empty if an engine failed otherwise, if they are too many, if their own cards are there, or
    if no card of another is missing.
    """
    failures = ledger.failures
    has_done = _has_done(ledger, failures)
    failed = [call for call in failures if call.engine != "qa" and call.state != CUT_OFF]
    if not all(_is_about_target(call, has_done=has_done[call.engine]) for call in failed):
        return ()
    # If others waited for the engine too, it is the engine that broke.
    waiting = {call.engine for call in failures if call.interrupted_after is not None}
    if any((call.status or 0) >= 500 and call.engine in waiting for call in failed):
        return ()
    names = {target for call in failed for target in call.targets}
    found = [target for target in ledger.plan.targets if target.id in names]
    cards = ledger.items["qa"]
    missing = {target.id: len(target.card_types) - cards.done_of(target.id) for target in found}
    if len(found) > AT_FAULT_LIMIT or any(target.card_types and not missing[target.id] for target in found):
        return ()
    return tuple(missing) if ledger.counts("qa").missing > sum(missing.values()) else ()


def _is_about_target(call: CallResult, *, has_done: bool | None) -> bool:
    """Whether the engine may fail for the target, and not be down."""
    may_be = call.remedy(has_done=has_done).is_in_config or call.cause == Cause.DENIED or call.status == 500
    return call.status in {400, 422} or (has_done is not False and may_be)
