"""Ledger: the state of a day, made of its results alone. A live day and a recorded one are the same thing.

The state of every item of a plan (open, done, failed, cut off or left out) takes a few bytes. All results in compact
form, for totals, report and page: 100,000 calls take a few MB.
"""

import statistics
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from math import inf
from typing import NamedTuple

from job.config.plan import Plan, Target
from job.day.result import CallResult, Count, Counts, ItemState
from job.engines.calls import ALL_ENGINES, DATA_ENGINES, Call, EngineName, Item
from job.engines.failures import Cause
from job.text.messages import Message, colon

# The state of an item is a byte: one of these codes, or that of its cause.
_OPEN, _FAILED, _DONE, _WITH_ERROR = 0, 1, 0x3F, 0x40
_CODES: Mapping[str, int] = {cause: code for code, cause in enumerate(Cause, _FAILED + 1)}
_CAUSES: Mapping[int, Cause] = {code: cause for cause, code in zip(Cause, _CODES.values(), strict=True)}
_INTERRUPTED = _CODES[Cause.INTERRUPTED]
_IS_MISSING = bytes(code < _DONE for code in range(256))


class ItemStatus(NamedTuple):
    item: Item
    state: ItemState
    cause: Cause | None
    tries: int = 0
    """Tries of the call that did the item, or that failed last; 0 without one."""
    ended: float = 0.0
    """When the last of these tries ended, in seconds since 1970; 0 without one."""

    @property
    def is_done(self) -> bool:
        """Whether it is done, with an error besides or not."""
        return self.state in {"done", "with_error"}


class EngineItems:
    """The items of one engine. Results may be added in any order and more than once: the states are the same.

    An item that is done stays done. One that is left out is either done or left out, whatever became of it before. A
    million items take 11 MB, much less than in a set.
    """

    def __init__(self, plan: Plan, engine: EngineName) -> None:
        self._places: dict[str, tuple[int, tuple[str | None, ...]]] = {}
        self._engine, self._left_out = engine, plan.left_out
        size = left_out = 0
        for target, names in plan.items_by_target(engine):
            self._places[target] = (size, names)
            size += len(names)
            left_out += len(names) if target in plan.left_out else 0
        self._states = bytearray(size)
        self._ended = array("d", [0.0]) * size
        """When each item was done, or failed last; `_tries` holds the tries of that call."""
        self._tries = array("H", [0]) * size
        self.counts = Counts.of(size)
        self.counts.add("left_out", left_out)

    def is_done(self, item: Item) -> bool:
        place = self._place(item)
        return place is not None and self._states[place] >= _DONE

    def is_planned(self, item: Item) -> bool:
        return self._place(item) is not None

    @property
    def is_complete(self) -> bool:
        return not self.counts.missing

    def has_failed(self, item: Item) -> bool:
        """Whether the item failed or was cut off, and nothing has done it."""
        place = self._place(item)
        return place is not None and _OPEN < self._states[place] < _DONE

    def has_error(self, item: Item) -> bool:
        place = self._place(item)
        return place is not None and self._states[place] == _WITH_ERROR

    @property
    def is_missing(self) -> bytes:
        """For each item, in the order of the plan, 1 if it is not done, else 0."""
        return bytes(self._states.translate(_IS_MISSING))

    def is_a_type_cut_short(self) -> bool:
        """Whether of one card type some cards are made, and some were not attempted."""
        left = {status.item.card_type for status in self.missing() if status.state == "not_attempted"}
        made = (
            name
            for start, names in self._places.values()
            for place, name in enumerate(names, start)
            if self._states[place] >= _DONE
        )
        return any(name in left for name in made)

    def missing(self) -> Iterator[ItemStatus]:
        """Every item that is not done, in the order of the plan."""
        for target, (start, names) in self._places.items():
            for place, name in enumerate(names, start):
                if self._states[place] < _DONE:
                    yield self._status(target, name, place)

    def done_before(self, target: str, moment: float) -> list[Item]:
        """The items of a target that were done before this moment, in the order of the plan."""
        start, names = self._places.get(target, (0, ()))
        done = ((at, name) for at, name in enumerate(names, start) if self._states[at] >= _DONE)
        return [Item(self._engine, target, name) for at, name in done if self._ended[at] < moment]

    def with_error(self) -> Iterator[Item]:
        for target, (start, names) in self._places.items():
            for place, name in enumerate(names, start):
                if self._states[place] == _WITH_ERROR:
                    yield Item(self._engine, target, name)

    def done_of(self, target: str) -> int:
        start, names = self._places.get(target, (0, ()))
        return sum(code >= _DONE for code in self._states[start : start + len(names)])

    def of(self, target: str) -> Sequence[ItemStatus]:
        start, names = self._places.get(target, (0, ()))
        return [self._status(target, name, place) for place, name in enumerate(names, start)]

    def ended(self, item: Item) -> float:
        """When the item was done, or failed last, as in `ItemStatus`; 0 if the plan lacks it."""
        place = self._place(item)
        return 0.0 if place is None else self._ended[place]

    def mark(self, item: Item, *, cause: str | None, ended: float, tries: int = 1, has_error: bool = False) -> None:
        """Adds a result of an item; `cause` is `None` if it is done. Of several failures the latest counts.

        Raises `LookupError` if the plan does not have the item.
        """
        place = self._place(item)
        if place is None:
            raise LookupError(item)
        done = _WITH_ERROR if has_error else _DONE
        code = done if cause is None else code_of(cause)
        if code < _DONE and item.target in self._left_out:
            return
        tries = min(tries, 0xFFFF)
        code_before = self._states[place]
        result = (code >= _DONE, ended, code, tries)
        if code_before == _OPEN or result > (code_before >= _DONE, self._ended[place], code_before, self._tries[place]):
            self._set(item.target, place, code, ended, tries)

    def reopen(self, item: Item) -> None:
        """Forgets all results of an item, which is missing from now on."""
        place = self._place(item)
        if place is not None:
            self._set(item.target, place, _OPEN, 0.0, 0)

    def _set(self, target: str, place: int, code: int, ended: float, tries: int) -> None:
        self._ended[place], self._tries[place] = ended, tries
        self.counts.add(self._state(target, place), -1)
        self._states[place] = code
        self.counts.add(self._state(target, place))

    def _state(self, target: str, place: int) -> ItemState:
        code = self._states[place]
        if code == _OPEN:
            return "left_out" if target in self._left_out else "not_attempted"
        if code >= _DONE:
            return "with_error" if code == _WITH_ERROR else "done"
        return "cut_off" if code == _INTERRUPTED else "failed"

    def _status(self, target: str, name: str | None, place: int) -> ItemStatus:
        cause = _CAUSES.get(self._states[place])
        item = Item(self._engine, target, name)
        return ItemStatus(item, self._state(target, place), cause, self._tries[place], self._ended[place])

    def _place(self, item: Item) -> int | None:
        start, names = self._places.get(item.target, (0, ()))
        return start + names.index(item.card_type) if item.card_type in names else None


def code_of(cause: str | None) -> int:
    """The code of an item that failed with this cause: of failures that ended together, the higher one counts."""
    return _CODES.get(cause or "", _FAILED)


FAILURES_KEPT = 10_000
"""Failed calls that are kept whole. Each may take 1 KB."""
ANSWERS_SHOWN = 3
"""Different answers that are quoted."""
CALLS_KEPT = 300


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


@dataclass(slots=True)
class EngineCalls:
    """The calls of one engine. Each index of the arrays `started` and `ended` is one call."""

    started: "array[float]" = field(default_factory=lambda: array("d"))
    ended: "array[float]" = field(default_factory=lambda: array("d"))
    failed_started: "array[float]" = field(default_factory=lambda: array("d"))
    failed_ended: "array[float]" = field(default_factory=lambda: array("d"))
    retried_from: "array[float]" = field(default_factory=lambda: array("d"))
    """When the first try that is kept of each retried call began; `retried_until` is when its last one began."""
    retried_until: "array[float]" = field(default_factory=lambda: array("d"))
    done_seconds: "array[float]" = field(default_factory=lambda: array("f"))
    retries: int = 0
    waits: int = 0
    charged: int = 0
    """How many tries may have cost money, those that did the work included."""
    kept: list[CallResult] = field(default_factory=list)
    """The first calls, and of the others the first that are done with an error besides."""

    def __len__(self) -> int:
        return len(self.started)

    def spans(self) -> Iterator[tuple[float, float]]:
        """When each try of a call began and ended."""
        yield from zip(self.started, self.ended, strict=True)
        yield from zip(self.failed_started, self.failed_ended, strict=True)

    def retried_seconds(self, since: float) -> float:
        """For how long there was, since this moment, a call of which a try had failed and the last one was to come."""
        stretches = busy_stretches(zip(self.retried_from, self.retried_until, strict=True))
        return sum(ended - began for began, ended in stretches if ended > since)

    def add(self, call: CallResult) -> None:
        self.started.append(call.started)
        self.ended.append(call.ended)
        self.retries += call.retries
        self.waits += call.waits
        self.charged += call.perhaps_charged_tries + call.done
        if call.failed_tries and call.retries:  # those before are in the other half of the batch
            failed_tries = call.failed_tries[-call.retries :]
            self.retried_from.append(failed_tries[0].started)
            self.retried_until.append(call.started)
            for started, ended, _ in failed_tries:
                self.failed_started.append(started)
                self.failed_ended.append(ended)
        if call.done:
            self.done_seconds.append(call.seconds)
        if len(self.kept) < CALLS_KEPT + (CALLS_KEPT if call.warning else 0):
            self.kept.append(call)


class Ledger:
    """The results of all attempts at a day. They may be added in any order."""

    def __init__(self, plan: Plan, reruns: Iterable[Rerun] = ()) -> None:
        self.plan = plan
        self.calls: Mapping[EngineName, EngineCalls] = {engine: EngineCalls() for engine in ALL_ENGINES}
        """Every call, also those of another plan. Everything else here is of this plan only."""
        self.items: Mapping[EngineName, EngineItems] = {engine: EngineItems(plan, engine) for engine in ALL_ENGINES}
        self._reruns: dict[tuple[Item, str], int] = {(rerun.item, rerun.date): rerun.number for rerun in reruns}
        """The number of each item and its date."""
        self.failed: list[CallResult] = []
        """The first `FAILURES_KEPT` calls that failed for good."""
        self.last_of: dict[int, float] = {}
        """When the latest call of each attempt ended, in seconds since 1970."""
        self._outdated: dict[Item, float] = {}
        """When each card was made with another model or other parameters than those of the plan."""

    @classmethod
    def empty(cls, day: str) -> "Ledger":
        """That of the empty plan, for a day of which no plan is known."""
        return cls(Plan.empty(day))

    @cached_property  # few ledgers need it, and 100,000 targets take 10 MB
    def _targets(self) -> Mapping[str, Target]:
        return {target.id: target for target in self.plan.targets}

    def add(self, call: CallResult) -> None:
        """Adds a result of this plan. Raises `LookupError` if the plan does not have its items."""
        self._mark(call, self._counted(call))

    def absorb(self, call: CallResult) -> None:
        """Adds a result of another plan: what of it is also an item of this one. It takes longer than `add`."""
        self._mark(call, tuple(target for target in self._counted(call) if self._fits(call, target)))

    def _mark(self, call: CallResult, targets: tuple[str, ...]) -> None:
        cause = None if call.done else call.cause or ""
        with_error = (call.with_error or targets) if call.warning else ()
        for target in targets:
            item = Item(call.engine, target, call.card_type)
            self.items[call.engine].mark(
                item, cause=cause, ended=call.ended, tries=call.tries, has_error=target in with_error
            )
        if targets and not call.done and len(self.failed) < FAILURES_KEPT:
            self.failed.append(call if targets == call.targets else replace(call, targets=targets))
        self.calls[call.engine].add(call)
        self.last_of[call.attempt] = max(call.ended, self.last_of.get(call.attempt, 0.0))

    def _counted(self, call: CallResult) -> tuple[str, ...]:
        """The targets for which a result counts: it has the number of their rerun, or a higher one."""
        if not self._reruns:
            return call.targets
        return tuple(target for target in call.targets if call.again >= self._number(call, target))

    def _number(self, call: Call | CallResult, target: str) -> int:
        return self._reruns.get((Item(call.engine, target, call.card_type), call.date), 0)

    def _fits(self, call: CallResult, target: str) -> bool:
        """Whether the result is of an item of this plan: news count only if their request is the same, cards if their
        date is. A card that was made with another model or other parameters counts as made.
        """
        planned, item = self._targets.get(target), Item(call.engine, target, call.card_type)
        if planned is None or not self.items[call.engine].is_planned(item):
            return False
        if call.engine == "news":
            return call.request == self.plan.news_call(planned).request
        if call.card_type is not None:
            wanted = self.plan.card_call(planned, call.card_type)
            if call.date != wanted.date:
                return False
            if call.done and call.request != wanted.request:
                self._outdated[item] = max(call.ended, self._outdated.get(item, 0.0))
        return True

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
            if self.items[item.engine].is_done(item):
                self._reruns[item, self.plan.date_of(item.engine, self._targets[item.target])] = number
                self.items[item.engine].reopen(item)

    def rerun_of(self, call: Call) -> int:
        """The number of the latest rerun of the items of a call; 0 if they are made the first time.

        It stays once the rerun is done: the news of a topic that has changed since are missing, and need it to count.
        """
        return max(self._number(call, target) for target in call.targets) if self._reruns else 0

    @property
    def made_again(self) -> list[Item]:
        return [item for item in self._asked_again() if self.items["qa"].is_done(item)]

    @property
    def to_make_again(self) -> list[Item]:
        return [item for item in self._asked_again() if not self.items["qa"].is_done(item)]

    def _asked_again(self) -> Iterator[Item]:
        for item, date in self._reruns:
            is_planned = item.engine == "qa" and self.items["qa"].is_planned(item)
            if is_planned and date == self.plan.date_of("qa", self._targets[item.target]):
                yield item

    # --- what is left ---

    def counts(self, engine: EngineName) -> Counts:
        """The counts of an engine's items. They change as results are added."""
        return self.items[engine].counts

    @property
    def is_complete(self) -> bool:
        """Whether every planned item is done or left out."""
        return all(items.is_complete for items in self.items.values())

    @property
    def is_ready(self) -> bool:
        """Whether all data is there: no card may be requested before."""
        return all(self.items[engine].is_complete for engine in DATA_ENGINES)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The targets that are left out and whose work is not all done, in the order of the plan."""
        statuses = (
            status for engine in ALL_ENGINES for name in self.plan.left_out for status in self.items[engine].of(name)
        )
        lacking = {status.item.target for status in statuses if not status.is_done}
        return tuple(target.id for target in self.plan.targets if target.id in lacking) if lacking else ()

    # --- what is reported ---

    def totals(self) -> dict[EngineName, Counts]:
        """The counts of each engine that the plan uses, as they are now, and its calls."""
        return {engine: self._totals(engine, self.calls[engine]) for engine in self.plan.engines()}

    def _totals(self, engine: EngineName, calls: EngineCalls) -> Counts:
        p50 = round(statistics.median(calls.done_seconds), 3) if calls.done_seconds else None
        counts = self.counts(engine)
        return replace(counts, calls=len(calls), retries=calls.retries, waits=calls.waits, p50_seconds=p50)

    @property
    def last(self) -> float:
        """When the latest call ended, in seconds since 1970; 0 without calls."""
        return max(self.last_of.values(), default=0.0)

    @property
    def failures(self) -> list[CallResult]:
        """The failed calls that are kept, the latest of each item, with those targets that nothing has done since.

        One that was cut off at its first try is listed only if no other of the item has failed.
        """
        latest = {
            item: call
            for call in sorted(self.failed, key=lambda call: (call.has_failed, *_rank(call)))
            for item in call.items
            if self.items[call.engine].has_failed(item) and call.again >= self._number(call, item.target)
        }
        listed: list[CallResult] = []
        for call in self.failed:
            targets = [item.target for item in call.items if latest.get(item) is call]
            if targets:
                listed.append(replace(call, targets=tuple(targets)))
        return listed

    @property
    def charged_tries(self) -> Counter[Item]:
        """The missing cards that may be made, and paid for: how many tries of all attempts may have cost money."""
        tries: Counter[Item] = Counter()
        for call in self.failed:
            for item in call.items if call.perhaps_charged_tries else ():
                if self.items[call.engine].has_failed(item) and call.again >= self._number(call, item.target):
                    tries[item] += call.perhaps_charged_tries
        return tries

    @property
    def errors(self) -> list[Message]:
        """The first different errors that engines reported besides a success that still counts."""
        first: dict[tuple[EngineName, str], Message] = {}
        for call in chain.from_iterable(calls.kept for calls in self.calls.values()):
            if call.warning and any(self.items[call.engine].has_error(item) for item in call.items):
                first.setdefault((call.engine, str(call.warning)), colon(call.label, call.warning))
        return [*first.values()][:ANSWERS_SHOWN]

    @property
    def outdated_cards(self) -> list[Item]:
        """The cards that were made with another model or other parameters than those of this plan, in its order."""
        items = self.items["qa"]
        outdated = {item for item, ended in self._outdated.items() if items.ended(item) == ended}
        return [item for item in self.plan.items("qa") if item in outdated] if outdated else []

    def older_cards(self) -> Iterator[tuple[Item, EngineName]]:
        """The cards that were made before all data of their target was done, each with the engine that was last."""
        for target in self.plan.targets:
            data = [self.items[engine].of(target.id)[0] for engine in target.engines]
            last = max(data, key=lambda status: status.ended if status.is_done else inf, default=None)
            if last is not None:
                before = last.ended if last.is_done else inf
                yield from ((card, last.item.engine) for card in self.items["qa"].done_before(target.id, before))


def _rank(failed: CallResult) -> tuple[float, int, int, str]:
    """The order of failed calls, by time; `EngineItems.mark` takes the last one for the same."""
    return failed.ended, code_of(failed.cause), failed.tries, failed.traceparent


def busy_stretches(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The stretches of time that are covered by spans."""
    starts, ends = array("d"), array("d")  # a million tuples would take 110 MiB
    for began, ended in spans:
        starts.append(began)
        ends.append(ended)
    starts, ends = array("d", sorted(starts)), array("d", sorted(ends))
    stretches: list[tuple[float, float]] = []
    first = starts[0] if starts else 0.0
    for start, last in zip(starts[1:], ends, strict=False):
        # As many spans have begun before `start` as have ended by `last`. If `last` is earlier, none covers the gap.
        if start > last:
            stretches.append((first, last))
            first = start
    if starts:
        stretches.append((first, ends[-1]))
    return stretches
