"""Failing: what failed, in groups that have the same remedy; and which targets are at fault."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from job.config.objects import CARD_TARGETS, TICKER_LIST, LlmConfig
from job.config.plan import llm_parameters
from job.day.attempt import Outcome
from job.day.ledger import ANSWERS_SHOWN, Ledger
from job.day.result import CUT_OFF, CallResult
from job.engines.calls import ENGINES, EngineName, Item
from job.engines.failures import Cause, Remedy
from job.text.messages import Message, joined, listed, message, plural, semicolon

AT_FAULT_LIMIT = 20
"""So many targets may be at fault; of more, the engine is."""


_IN_BOTH = message("{one} or {other}", one=TICKER_LIST, other=CARD_TARGETS)


@dataclass(frozen=True, slots=True)
class FailureGroup:
    engines: Sequence[EngineName]
    """Several only if the remedy is not about one."""
    remedy: Remedy
    calls: Sequence[CallResult]
    items: Sequence[Item]
    is_down: bool
    """Whether the engines did nothing at all and are at fault themselves: then no target is."""
    is_alone: bool
    """Whether no other call was answered: it is not known then which of the two is at fault."""
    charged_tries: int
    what_to_do: Message
    beside_answers: Message | None
    """The same where these stand beside it, if they do not say it all."""

    @property
    def heading(self) -> Message:
        """What failed: the engine, and the number of items; and of tries that may have been charged."""
        return semicolon(self._failed, charged(self.charged_tries)) if self.charged_tries else self._failed

    @property
    def _failed(self) -> Message:
        title = joined([ENGINES[engine].title for engine in self.engines])
        if self.is_down:
            return message("{engine}: every call failed", engine=title)
        status = self.calls[0].status
        if self.is_alone and status is not None and status <= 500:  # above, nothing says that the engine answered
            return message("{engine}: the only call that was answered failed", engine=title)
        if "qa" in self.engines:
            return plural("{engine}: 1 card failed", "{engine}: {count} cards failed", len(self.items), engine=title)
        return plural("{engine}: 1 target failed", "{engine}: {count} targets failed", len(self.items), engine=title)

    @property
    def names(self) -> list[str]:
        """Which ones; empty if the engine is down."""
        return [] if self.is_down else names_of(self.items)

    @property
    def answers(self) -> Sequence[Message]:
        """The most frequent last answers."""
        counts = Counter(call.reason for call in self.calls if call.reason is not None)
        return [reason for reason, _ in counts.most_common(ANSWERS_SHOWN)]


def charged(tries: int) -> Message:
    return plural("1 try may have been charged", "{count} tries may have been charged", count=tries)


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


def shortest_names(ledger: Ledger, cards: Sequence[Item]) -> list[str]:
    """Cards for people, as `names_of`; all cards of a type by that alone: `/news_card`."""
    types = whole_types(ledger, cards)
    return [*(f"/{name}" for name in types), *names_of(card for card in cards if card.card_type not in types)]


def whole_types(ledger: Ledger, cards: Iterable[Item]) -> list[str]:
    """The card types of which these are all cards, and several."""
    whole = Counter(item.card_type for item in ledger.plan.items("qa"))
    found = Counter(card.card_type for card in cards)
    return [name for name, count in found.items() if name is not None and count == whole[name] > 1]


def failure_groups(ledger: Ledger, models_before: LlmConfig | None = None) -> list[FailureGroup]:
    """The failed calls by remedy, the largest group first; without those that were only cut off.

    `models_before` are the models of the night before, if it had another plan: what has changed is corrected first.
    """
    groups: dict[tuple[EngineName | None, Remedy], list[CallResult]] = {}
    not_found: dict[Item, set[int]] = {}
    """In which attempts the engine answered that there is nothing at the address of an item."""
    for call in ledger.failed:
        for item in call.items if call.status == 404 else ():
            not_found.setdefault(item, set()).add(call.attempt)
    failures, charged_tries = ledger.failures, ledger.charged_tries
    has_done = _has_done(ledger, failures)
    done_in = {engine: {call.attempt for call in calls if call.done} for engine, calls in ledger.calls.items()}
    for call in failures:
        if call.state != CUT_OFF:
            is_there, attempts = has_done[call.engine], not_found.get(call.items[0], set())
            if is_there and call.status == 404 and attempts.isdisjoint(done_in[call.engine]):
                is_there = None  # what was done in another attempt does not prove that the address is still right
            remedy = call.remedy(has_done=is_there)
            groups.setdefault((None if remedy.is_of_job else call.engine, remedy), []).append(call)
    tickers = {target.id for target in ledger.plan.targets if target.kind == "equity"}
    grouped = []
    for (_, remedy), calls in groups.items():
        engines, items = list(dict.fromkeys(call.engine for call in calls)), [*chain(*(call.items for call in calls))]
        if remedy is Remedy.CARD_NOT_ACCEPTED and models_before is not None:
            types, models = {item.card_type or "" for item in items}, ledger.plan.models
            if all(llm_parameters(models_before, name) != llm_parameters(models, name) for name in types):
                remedy = Remedy.MODEL_NOT_ACCEPTED  # noqa: PLW2901
        # A target that is no ticker is named in one object alone.
        objects = CARD_TARGETS if tickers.isdisjoint(item.target for item in items) else _IN_BOTH
        is_down = all(has_done[engine] is False for engine in engines)
        group = FailureGroup(
            engines,
            remedy,
            calls,
            items,
            is_down=is_down and not any(_is_about_target(call, has_done=False) for call in calls),
            is_alone=all(has_done[engine] is None for engine in engines),
            charged_tries=sum(charged_tries[item] for item in items),
            what_to_do=remedy.of(engines[0], objects),
            beside_answers=remedy.beside_answers(engines[0], objects),
        )
        grouped.append(group)
    return sorted(grouped, key=lambda group: -len(group.items))


def _has_done(ledger: Ledger, failures: Iterable[CallResult]) -> Mapping[EngineName, bool | None]:
    """Whether each engine has done a call; `None` if a single one has failed, which proves nothing of the engine. One
    that was cut off at its first try proves nothing either.
    """
    failed = Counter(call.engine for call in failures if call.state != CUT_OFF or call.interrupted_after is not None)
    return {
        engine: True if any(call.done for call in calls) else None if failed[engine] == 1 else False
        for engine, calls in ledger.calls.items()
    }


def not_reached(ledger: Ledger, outcome: Outcome | None) -> Message | None:
    """What was not made because of the failures of others; where only cards are missing, their types."""
    if outcome is Outcome.CARDS_MISSING:
        left = Counter(card.item.card_type for card in ledger.missing("qa") if card.state == "not_attempted")
        names = listed([f"/{card_type} ({count:,})" for card_type, count in left.items()])
        return message("Not requested because other cards of their type failed: {names}", names=names) if left else None
    counts = {engine: total.not_reached for engine, total in ledger.totals().items()}
    parts = [
        message("cards {count}", count=count)
        if engine == "qa"
        else Message("{engine} {count}", {"engine": ENGINES[engine].label, "count": count})
        for engine, count in counts.items()
        if count
    ]
    return message("Not finished, but nothing has to be put right: {counts}", counts=joined(parts)) if parts else None


def is_refused(ledger: Ledger) -> bool:
    """Whether a start would fail again at once: an engine has refused data, or each of the missing cards."""
    refused = Counter(call.engine for call in ledger.failures for _ in call.items if call.is_refusal)
    cards = refused.pop("qa", 0)
    return bool(refused) or 0 < cards == ledger.counts("qa").missing


def targets_at_fault(ledger: Ledger) -> tuple[str, ...]:
    """The targets without which the cards of the others could be made, for all that is known: the engines answered, and
    failed for these alone. Empty if an engine failed otherwise, if they are too many or have more than half of the
    cards, if their own are there, or if no card of another is missing.
    """
    failures = ledger.failures
    has_done = _has_done(ledger, failures)
    failed = [call for call in failures if call.engine != "qa" and call.state != CUT_OFF]
    if not all(_is_about_target(call, has_done=has_done[call.engine]) for call in failed):
        return ()
    # If others waited for the engine too, it is the engine that broke.
    waiting = {call.engine for call in failures if call.interrupted_after is not None}
    is_broken = (call for call in failed if call.cause == Cause.TIMEOUT or (call.status or 0) >= 500)
    if any(call.engine in waiting for call in is_broken):
        return ()
    names = {target for call in failed for target in call.targets}
    targets = [target for target in ledger.plan.targets if target.id in names]
    missing = {target.id: sum(not card.is_done for card in ledger.of("qa", target.id)) for target in targets}
    if len(targets) > AT_FAULT_LIMIT or any(target.card_types and not missing[target.id] for target in targets):
        return ()
    if 2 * sum(len(target.card_types) for target in targets) > ledger.counts("qa").planned:
        return ()
    return tuple(missing) if ledger.counts("qa").missing > sum(missing.values()) else ()


def _is_about_target(call: CallResult, *, has_done: bool | None) -> bool:
    """Whether the engine may fail for the target, and not be down."""
    may_be = call.remedy(has_done=has_done).is_in_config or call.cause == Cause.DENIED or call.status == 500
    if call.cause == Cause.TIMEOUT:
        return bool(has_done)
    return call.status in {400, 422} or (has_done is not False and may_be)
