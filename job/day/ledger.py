"""Ledger: the state of a day, made of its results alone. A live day and a recorded one are the same thing.

Each item of a plan has the result that counts for it, or none. All else is read from these, and from the list of all
calls, by whoever asks: a card takes about 1 KiB.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from job.config.plan import Plan
from job.day.result import CallResult, Count, Counts, ItemState
from job.engines.calls import ALL_ENGINES, BATCHES, DATA_ENGINES, Call, EngineName, Item
from job.engines.failures import Cause
from job.text.messages import Message

ANSWERS_SHOWN = 3
_CAUSES: Mapping[str | None, Cause] = {cause: cause for cause in Cause}


class ItemStatus(NamedTuple):
    item: Item
    state: ItemState
    result: CallResult | None

    @property
    def is_done(self) -> bool:
        return self.result is not None and self.result.done

    @property
    def cause(self) -> Cause | None:
        """Why it failed; `None` if it did not, or if no image of today gives this cause."""
        return None if self.result is None else _CAUSES.get(self.result.cause)


class Rerun(NamedTuple):
    """A request to make an item again. Only results with its number or a higher one count for the item."""

    engine: EngineName
    target: str
    card_type: str | None
    date: str
    """Empty for an engine that takes none. The same card of another date is another item."""
    number: Count
    """The number of the attempt that opened it."""

    @property
    def item(self) -> Item:
        return Item(self.engine, self.target, self.card_type)


class Ledger:
    """The results of all attempts at a day. They may be added in any order.

    An item that is done stays done. One that is left out is either done or left out, whatever became of it before.
    """

    def __init__(self, plan: Plan, reruns: Iterable[Rerun] = (), *, attempt: int = 0, breaks_off: bool = False) -> None:
        self.plan = plan
        self.calls: Mapping[EngineName, list[CallResult]] = {engine: [] for engine in ALL_ENGINES}
        """Every call, also those of another plan. All else here is of this plan.

        Each is without its failed tries, of which ten take 6 KiB, and of a card without its request: nobody asks.
        """
        self.items: Mapping[EngineName, dict[Item, CallResult | None]] = {
            engine: dict.fromkeys(plan.items(engine)) for engine in ALL_ENGINES
        }
        """The result that counts for each item, in the order of the plan; `None` without one."""
        self._counts: Mapping[EngineName, Counts] = {
            engine: Counts(len(items), not_attempted=len(items), left_out=sum(map(plan.is_left_out, items)))
            for engine, items in self.items.items()
        }
        """Kept up to date, since a terminal asks eight times a second, and counting a million items takes 0.2 s."""
        self._reruns: dict[tuple[Item, str], int] = {(rerun.item, rerun.date): rerun.number for rerun in reruns}
        self._targets: dict[tuple[str, ...], tuple[str, ...]] = {}
        """One for all results of the same targets: each card's own would take 0.1 KiB."""
        self._charged: Counter[Item] = Counter()
        """How many tries at each item may have cost money, if any: a count of 0 for each would take 0.1 KiB."""
        self.attempt = attempt
        """The number of the attempt that is told of: what failed in an earlier one is not attempted since."""
        self.breaks_off = breaks_off
        """Whether the record of an attempt has no end: what that has called last, and paid for, may not be here."""

    @classmethod
    def empty(cls, day: str) -> "Ledger":
        """That of the empty plan, for a day of which no plan is known."""
        return cls(Plan.empty(day))

    def add(self, call: CallResult, *, is_of_plan: bool = True) -> None:
        """Adds a result. Of one of another plan, what is also an item of this plan counts: to find that takes longer.

        Raises `LookupError` if it is of this plan, and the plan does not have its items.
        """
        request = "" if call.card_type is not None else call.request
        if call.failed_tries or call.request != request:
            call = replace(call, failed_tries=(), request=request)
        call.targets = self._targets.setdefault(call.targets, call.targets)
        self.calls[call.engine].append(call)
        items: Sequence[Item] = call.items
        if self._reruns:
            items = [item for item in items if call.again >= self._number(item, call.date)]
        if not is_of_plan:
            items = self._as_of_plan(call, items)
        if len(items) < len(call.targets):
            call = replace(call, targets=tuple(item.target for item in items))
        for item in items:
            before = self.items[item.engine][item]
            if not call.done and self.plan.is_left_out(item):
                continue
            if call.charged_tries:
                self._charged[item] += call.charged_tries
            is_over = not call.done and 0 < call.attempt < self.attempt
            if not is_over and (before is None or _rank(call) > _rank(before)):
                self._set(item, call)

    def _set(self, item: Item, result: CallResult | None) -> None:
        counts = self._counts[item.engine]
        counts.add(self.state(item), -1)
        self.items[item.engine][item] = result
        counts.add(self.state(item))

    def _number(self, item: Item, date: str) -> int:
        return self._reruns.get((item, date), 0)

    def _as_of_plan(self, call: CallResult, items: Sequence[Item]) -> Sequence[Item]:
        """Which items of a result of another plan count for this plan: news only if their request is the same, cards if
        their date is.
        """
        planned = [item for item in items if item in self.items[item.engine]]
        if not planned or call.engine in BATCHES:
            return planned
        wanted = self.plan.call(planned)
        is_same = call.request == wanted.request if call.engine == "news" else call.date == wanted.date
        return planned if is_same else []

    # --- what is made again ---

    @property
    def reruns(self) -> tuple[Rerun, ...]:
        """Every rerun, also those of items that the plan lacks."""
        return tuple(Rerun(*item, date, number) for (item, date), number in self._reruns.items())

    def rerun(self, items: Iterable[Item], number: int) -> None:
        """Opens a rerun with this number for each item that is done, which is missing until it is made again.

        An item that is not done gets none: its answer may have been lost, and only the same key finds that one.
        """
        for item in items:
            if self.is_done(item):
                self._reruns[item, self.plan.date_of(item)] = number
                del self._charged[item]
                self._set(item, None)

    def rerun_of(self, call: Call) -> int:
        """The number of the latest rerun of the items of a call; 0 if they are made the first time.

        It stays once the rerun is done: the news of a topic that has changed since are missing, and need it to count.
        """
        return max(self._number(item, call.date) for item in call.items) if self._reruns else 0

    @property
    def made_again(self) -> list[Item]:
        return [item for item in self._asked_again() if self.is_done(item)]

    @property
    def to_make_again(self) -> list[Item]:
        return [item for item in self._asked_again() if not self.is_done(item)]

    def _asked_again(self) -> Iterator[Item]:
        cards = self.items["qa"]
        return (item for item, date in self._reruns if item in cards and date == self.plan.date_of(item))

    # --- what is left ---

    def state(self, item: Item) -> ItemState:
        result = self.items[item.engine][item]
        if result is None:
            return "left_out" if self.plan.is_left_out(item) else "not_attempted"
        if not result.done:
            return "cut_off" if result.is_cut_off else "failed"
        has_error = result.warning is not None and item.target in (result.with_error or result.targets)
        return "with_error" if has_error else "done"

    def is_done(self, item: Item) -> bool:
        """Whether an item is done; one that the plan lacks is not."""
        result = self.items[item.engine].get(item)
        return result is not None and result.done

    def status(self, item: Item) -> ItemStatus:
        return ItemStatus(item, self.state(item), self.items[item.engine][item])

    def of(self, engine: EngineName, target: str) -> Sequence[ItemStatus]:
        """The items of a target; none if the plan lacks it."""
        planned = self.plan.by_id.get(target)
        return [] if planned is None else [self.status(item) for item in self.plan.items_of(engine, planned)]

    def missing(self, engine: EngineName) -> Iterator[ItemStatus]:
        items = self.items[engine].items()
        return (self.status(item) for item, result in items if result is None or not result.done)

    def with_error(self, engine: EngineName) -> Iterator[Item]:
        items = self.items[engine].items()
        warned = (item for item, result in items if result is not None and result.warning is not None)
        return (item for item in warned if self.state(item) == "with_error")

    def counts(self, engine: EngineName) -> Counts:
        """The counts of an engine's items. They change as results are added."""
        return self._counts[engine]

    @property
    def is_complete(self) -> bool:
        return not any(counts.missing for counts in self._counts.values())

    def failed_cards(self) -> set[Item]:
        """The cards that have failed in any attempt, also if they were made since."""
        return {item for call in self.calls["qa"] if call.has_failed for item in call.items}

    def is_qa_still_out(self) -> bool:
        """Whether QA did nothing after a card had failed in earlier attempts, or only cards are left that failed."""
        calls, failed = self.calls["qa"], self.failed_cards()
        telling = (call for call in calls if call.done or (call.has_failed and not call.is_refusal))
        last = max(telling, key=lambda call: call.ended, default=None)
        left = (card.item for card in self.missing("qa") if card.state != "left_out")
        return bool(failed) and (failed.issuperset(left) or (last is not None and not last.done))

    @property
    def is_ready(self) -> bool:
        """Whether all data is there: no card may be requested before."""
        return not any(self._counts[engine].missing for engine in DATA_ENGINES)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The targets that are left out and whose work is not all done, in the order of the plan."""
        return tuple(
            target.id
            for target in self.plan.targets
            if target.id in self.plan.left_out
            and not all(one.is_done for engine in ALL_ENGINES for one in self.of(engine, target.id))
        )

    # --- what is reported ---

    def totals(self) -> dict[EngineName, Counts]:
        """The counts of each engine that the plan uses, as they are now, and its calls."""
        totals = {}
        for engine in self.plan.engines():
            calls = self.calls[engine]
            seconds = [call.seconds for call in calls if call.done]
            totals[engine] = replace(
                self.counts(engine),
                calls=len(calls),
                retries=sum(call.retries for call in calls),
                waits=sum(call.waits for call in calls),
                p50_seconds=round(statistics.median(seconds), 3) if seconds else None,
            )
        return totals

    @property
    def last(self) -> float:
        """When the latest call ended, in seconds since 1970; 0 without calls."""
        return max((call.ended for calls in self.calls.values() for call in calls), default=0.0)

    @property
    def failures(self) -> list[CallResult]:
        """The failed calls that count for an item, each with just these, in the order of the plan."""
        targets: dict[int, list[str]] = {}
        counting: dict[int, CallResult] = {}
        for item, result in chain.from_iterable(items.items() for items in self.items.values()):
            if result is not None and not result.done:
                counting[id(result)] = result
                targets.setdefault(id(result), []).append(item.target)
        return [
            call if len(targets[key]) == len(call.targets) else replace(call, targets=tuple(targets[key]))
            for key, call in counting.items()
        ]

    @property
    def charged_tries(self) -> Mapping[Item, int]:
        """The missing cards that may be made, and paid for: how many tries of all attempts may have cost money."""
        return {item: tries for item, tries in self._charged.items() if not self.is_done(item)}

    @property
    def errors(self) -> list[CallResult]:
        """The first calls with different errors that engines reported besides a success."""
        first: dict[tuple[EngineName, Message], CallResult] = {}
        for item in chain.from_iterable(map(self.with_error, ALL_ENGINES)):
            result = self.items[item.engine][item]
            if result is not None and result.warning is not None:
                first.setdefault((item.engine, result.warning), result)
            if len(first) == ANSWERS_SHOWN:
                break
        return [*first.values()]


def _rank(call: CallResult) -> tuple[bool, float, str]:
    """Of two results of an item, the one with the higher rank counts, whichever was added first."""
    return call.done, call.ended, call.traceparent
