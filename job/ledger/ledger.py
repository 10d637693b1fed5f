"""Ledger: the state of a day, made of its results alone. A live day and a recorded one are the same thing.

All results in compact form, for totals, report and page: 100,000 calls take a few MB.
"""

import statistics
from array import array
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from pydantic import BaseModel, ConfigDict

from job.engines.calls import Call, WorkItem
from job.engines.catalog import ALL_ENGINES, DATA_ENGINES, EngineName
from job.ledger.items import Counts, EngineItems, code_of, items_of
from job.ledger.reruns import Rerun, RerunKey, Reruns
from job.ledger.result import CallResult
from job.ledger.totals import EngineTotals
from job.planning.plan import Plan
from job.planning.targets import Target
from job.text.messages import Message

FAILURES_KEPT = 10_000
"""Failed calls that are kept whole. Each may take 1 KB."""
CALLS_KEPT = 300
"""Calls of one engine that are kept whole."""
STAMP_SECONDS = 0.002
"""Tolerance in comparisons, as times are rounded to milliseconds."""


class SetAside(BaseModel):
    """A card type of which the remaining cards are not requested, since too many of its cards failed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    card_type: str
    reason: Message


@dataclass(slots=True)
class Lane:
    """The calls of one engine. Each index of the arrays `started`, `ended` and `states` is one call."""

    started: "array[float]" = field(default_factory=lambda: array("d"))
    ended: "array[float]" = field(default_factory=lambda: array("d"))
    states: "array[int]" = field(default_factory=lambda: array("B"))
    failed_started: "array[float]" = field(default_factory=lambda: array("d"))
    failed_ended: "array[float]" = field(default_factory=lambda: array("d"))
    done_seconds: "array[float]" = field(default_factory=lambda: array("f"))
    retries: int = 0
    waits: int = 0
    kept: list[CallResult] = field(default_factory=list)
    """The first calls."""

    def __len__(self) -> int:
        return len(self.started)

    def spans(self) -> Iterator[tuple[float, float]]:
        """When each try of a call began and ended."""
        yield from zip(self.started, self.ended, strict=True)
        yield from zip(self.failed_started, self.failed_ended, strict=True)

    def totals(self, counts: Counts) -> EngineTotals:
        """The totals of the engine, whose items have these counts."""
        return EngineTotals(
            planned=counts.planned,
            done=counts.done,
            failed=counts.failed,
            not_attempted=counts.not_attempted,
            cut_off=counts.cut_off,
            left_out=counts.left_out,
            calls=len(self),
            retries=self.retries,
            waits=self.waits,
            p50_seconds=round(statistics.median(self.done_seconds), 3) if self.done_seconds else None,
        )

    def add(self, call: CallResult) -> None:
        """Adds a call."""
        self.started.append(call.started)
        self.ended.append(call.ended)
        self.states.append(call.state)
        self.retries += call.retries
        self.waits += call.waits
        if call.failed_attempts and call.retries:  # those before are in the other half of the batch
            for started, ended, _ in call.failed_attempts[-call.retries :]:
                self.failed_started.append(started)
                self.failed_ended.append(ended)
        if call.done:
            self.done_seconds.append(call.seconds)
        if len(self.kept) < CALLS_KEPT:
            self.kept.append(call)


class Ledger:
    """The results of all attempts at a day. They may be added in any order."""

    def __init__(self, plan: Plan, again: Iterable[Rerun] = ()) -> None:
        """`again` is what people have asked to have made again."""
        self.plan = plan
        self.lanes: Mapping[EngineName, Lane] = {engine: Lane() for engine in ALL_ENGINES}
        """Every call, also those of another plan. Everything else here is of this plan only."""
        self.items: Mapping[EngineName, EngineItems] = items_of(plan)
        """The state of each item of the plan."""
        self.reruns = Reruns(again)
        """Also those for items that the plan lacks."""
        self.set_aside: list[SetAside] = []
        """The card types that this attempt has set aside."""
        self.failed: list[CallResult] = []
        """The first `FAILURES_KEPT` calls that failed for good."""
        self._asked = self._planned_reruns()
        self._asks_as = 0
        """The number of this attempt, if it asks for something again."""
        self._outdated: dict[WorkItem, float] = {}
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
        self._mark(call, call.targets)
        self._count(call)

    def absorb(self, call: CallResult) -> None:
        """Adds a result of another plan: what of it is also an item of this one. It takes longer than `add`."""
        self._mark(call, tuple(target for target in call.targets if self._fits(call, target)))
        self._count(call)

    def _mark(self, call: CallResult, targets: tuple[str, ...]) -> None:
        cause = None if call.done else call.cause or ""
        for target in targets:
            item = (target, call.card_type)
            self.items[call.engine].mark(item, cause=cause, ended=call.ended, attempts=call.attempts)
        if targets and not call.done and len(self.failed) < FAILURES_KEPT:
            self.failed.append(call if targets == call.targets else replace(call, targets=targets))

    def _count(self, call: CallResult) -> None:
        self.lanes[call.engine].add(call)
        if call.again:
            self.reruns.add(call)

    def _fits(self, call: CallResult, target: str) -> bool:
        """Whether the result is of an item of this plan: news count only if their request is the same, cards if their
        date is. A card that was made with another model or other parameters counts as made.
        """
        planned, item = self._targets.get(target), (target, call.card_type)
        if planned is None or not self.items[call.engine].has(item):
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

    def key_of(self, engine: EngineName, item: WorkItem) -> RerunKey:
        """The identity of an item of the plan."""
        return RerunKey(engine, *item, self.plan.date_of(engine, self._targets[item[0]]))

    def ask_again(self, items: Iterable[tuple[EngineName, WorkItem]], number: int) -> None:
        """Opens a rerun with this number for each item that is done and has no open one.

        An item that was never done gets none: its answer may have been lost, and only the same key finds that one.
        """
        self._asks_as = number
        self.reruns.ask((self.key_of(engine, item) for engine, item in items if item in self.items[engine]), number)
        self._asked = self._planned_reruns()

    def _planned_reruns(self) -> Mapping[tuple[EngineName, WorkItem], RerunKey]:
        """The items of the plan that were ever asked for again."""
        if not self.reruns:
            return {}
        items = ((one, (one.engine, (one.target, one.card_type))) for one in self.reruns)
        return {
            (engine, item): RerunKey(*one[:-1])
            for one, (engine, item) in items
            if self.items[engine].has(item) and self.key_of(engine, item) == RerunKey(*one[:-1])
        }

    def asked(self, engine: EngineName) -> list[WorkItem]:
        """The items of an engine that were ever asked for again."""
        return [item for name, item in self._asked if name == engine]

    def is_open(self, engine: EngineName, item: WorkItem) -> bool:
        """Whether an item is to be made again, and was not yet."""
        key = self._asked.get((engine, item))
        return key is not None and self.reruns.number(key) > 0

    def is_asked_now(self, engine: EngineName, item: WorkItem) -> bool:
        """Whether this attempt has asked for an item of the plan to be made again."""
        key = self._asked.get((engine, item))
        return key is not None and self.reruns.asked_as(key) == self._asks_as

    def again_of(self, call: Call) -> int:
        """The number of the rerun of the items of a call; 0 if they are made the first time."""
        if not self._asked:
            return 0
        keys = (self._asked.get((call.engine, item)) for item in call.items)
        return max((self.reruns.number(key) for key in keys if key is not None), default=0)

    # --- what is left ---

    def counts(self, engine: EngineName) -> Counts:
        """The counts of an engine's items. They change as results are added."""
        return self.items[engine].counts

    def is_complete(self, engines: Collection[EngineName] = ALL_ENGINES) -> bool:
        """Whether every planned item of these engines is done or left out, whether or not it is to be made again."""
        return all(self.items[engine].is_complete for engine in engines)

    def open_reruns(self, engines: Container[EngineName] = ALL_ENGINES) -> int:
        """How many items of these engines are to be made again, without those that are left out."""
        return sum(
            engine in engines and item[0] not in self.plan.left_out and self.is_open(engine, item)
            for engine, item in self._asked
        )

    @property
    def left_out(self) -> tuple[str, ...]:
        """The targets that are left out and whose work is not all done, in the order of the plan."""
        names = self.plan.left_out
        items = (item for engine in ALL_ENGINES for name in names for item in self.items[engine].of(name))
        lacking = {item.target for item in items if item.state != "done"}
        lacking |= {item[0] for engine, item in self._asked if item[0] in names and self.is_open(engine, item)}
        return tuple(target.id for target in self.plan.targets if target.id in lacking) if lacking else ()

    @property
    def has_made(self) -> bool:
        """Whether anything was ever done on this day, for whatever plan."""
        return any(lane.done_seconds for lane in self.lanes.values())

    @property
    def is_left(self) -> bool:
        """Whether anything is left to be done: planned items, or items that are to be made again."""
        return not self.is_complete() or self.open_reruns() > 0

    @property
    def is_ready(self) -> bool:
        """Whether all data is there, also what is to be prepared again: no card may be requested before."""
        return self.is_complete(DATA_ENGINES) and not self.open_reruns(DATA_ENGINES)

    def is_settled(self, engine: EngineName, item: WorkItem) -> bool:
        """Whether an item is not requested: it is done, and not to be made again."""
        return item in self.items[engine] and not self.is_open(engine, item)

    def left(self, engine: EngineName) -> int:
        """How many items of an engine are to be requested."""
        items, left_out = self.items[engine], self.plan.left_out
        again = sum(
            item in items and item[0] not in left_out and self.is_open(engine, item)
            for name, item in self._asked
            if name == engine
        )
        return items.counts.missing + again

    # --- what is reported ---

    def totals(self) -> dict[EngineName, EngineTotals]:
        """The totals of each engine that the plan uses."""
        return {engine: self.lanes[engine].totals(self.counts(engine)) for engine in self.plan.engines()}

    @property
    def last(self) -> float:
        """When the latest call ended, in seconds since 1970; 0 without calls."""
        return max((max(lane.ended, default=0.0) for lane in self.lanes.values()), default=0.0)

    @property
    def failures(self) -> list[CallResult]:
        """The failed calls that are kept, each with those of its targets that nothing has done, or done again.

        An item that failed in several attempts is listed for the latest one only.
        """
        latest = {
            (call.engine, item): call
            for call in sorted(self.failed, key=_rank)
            for item in call.items
            if item[0] not in self.plan.left_out
            and (self.items[call.engine].has_failed(item) or (call.again and self.is_open(call.engine, item)))
        }
        listed: list[CallResult] = []
        for call in self.failed:
            targets = [target for target, name in call.items if latest.get((call.engine, (target, name))) is call]
            if targets:
                listed.append(replace(call, targets=tuple(targets)))
        return listed

    @property
    def outdated_cards(self) -> list[WorkItem]:
        """The cards that were made with another model or other parameters than those of this plan, in its order."""
        items = self.items["qa"]
        outdated = {item for item, ended in self._outdated.items() if items.ended(item) == ended}
        return [item for item in self.plan.items("qa") if item in outdated] if outdated else []

    @property
    def barriers(self) -> list[float]:
        """When a barrier was crossed: each start of a card that follows the end of a data call, in order."""
        ends = sorted(moment for engine, lane in self.lanes.items() if engine != "qa" for moment in lane.ended)
        cards = self.lanes["qa"]
        starts = sorted([*cards.started, *cards.failed_started])
        found: list[float] = []
        at = 0
        for began in starts:
            crossed = at
            while at < len(ends) and ends[at] <= began + STAMP_SECONDS:
                at += 1
            if at > crossed:
                found.append(began)
        return found


def _rank(failed: CallResult) -> tuple[float, int, int, str]:
    """The order of failed calls, by time; `EngineItems.mark` takes the last one for the same."""
    return failed.ended, code_of(failed.cause), failed.attempts, failed.traceparent


def busy_stretches(spans: Iterable[tuple[float, float]], gap: float = 0.0) -> list[tuple[float, float]]:
    """The stretches of time that are covered by spans, joined if no more than `gap` seconds apart."""
    starts, ends = array("d"), array("d")  # a million tuples would take 110 MiB
    for began, ended in spans:
        starts.append(began)
        ends.append(ended)
    starts, ends = array("d", sorted(starts)), array("d", sorted(ends))
    stretches: list[tuple[float, float]] = []
    first = starts[0] if starts else 0.0
    for start, last in zip(starts[1:], ends, strict=False):
        # As many spans have begun before `start` as have ended by `last`. If `last` is earlier, none covers the gap.
        if start > last + gap:
            stretches.append((first, last))
            first = start
    if starts:
        stretches.append((first, ends[-1]))
    return stretches
