"""Ledger: the state of a run, made of its results alone. A live run and a recorded run are the same thing.

All results in compact form, for totals, report and page: 100,000 calls take a few MB.
"""

import heapq
from array import array
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from math import inf

from job.engines.calls import BATCHES, Call, WorkItem
from job.engines.catalog import ALL_ENGINES, DATA_ENGINES, EngineName
from job.ledger.items import Counts, code_of, items_of
from job.ledger.remakes import Remake, Remakes
from job.ledger.result import CUT_OFF, CallResult
from job.ledger.totals import EngineTotals, Part, percentile
from job.planning.plan import Plan
from job.planning.targets import Target
from job.text.messages import Message

FAILURES_KEPT = 10_000
"""Failed calls that are kept whole: as many of this attempt, and as many of earlier ones. Each may take 1 KB."""
CALLS_KEPT = 300
"""Calls of one engine that are kept whole: as many as a chart can show one by one."""
RETRIED_KEPT = 200
SLOWEST_KEPT = 20
STAMP_SECONDS = 0.002
"""Tolerance in comparisons, as times are rounded to milliseconds."""
WARNINGS_KEPT = 1_000
"""Calls with a warning that are kept whole."""


class SetAside(Part):
    """A card type of which the remaining cards are not requested, since too many of its cards failed."""

    card_type: str
    reason: Message
    remedy: Message


@dataclass(slots=True)
class Lane:
    """The calls of one engine. Each index of the arrays `started` to `limits` is one call."""

    started: "array[float]" = field(default_factory=lambda: array("d"))
    ended: "array[float]" = field(default_factory=lambda: array("d"))
    states: "array[int]" = field(default_factory=lambda: array("B"))
    limits: "array[int]" = field(default_factory=lambda: array("H"))
    failed_started: "array[float]" = field(default_factory=lambda: array("d"))
    failed_ended: "array[float]" = field(default_factory=lambda: array("d"))
    retries: int = 0
    waits: int = 0
    kept: list[CallResult] = field(default_factory=list)
    """The first calls."""
    retried: list[CallResult] = field(default_factory=list)
    slowest: list[tuple[float, int, CallResult]] = field(default_factory=list)
    """A heap."""
    _seen: set[tuple[float, float]] = field(default_factory=set)
    """Failed attempts of batches, to add each once: both halves of a batch list them."""
    _before: tuple[int, int, int, int] = (0, 0, 0, 0)
    """How many calls, failed attempts, retries and waits were of earlier attempts at the run."""

    def __len__(self) -> int:
        return len(self.started)

    @property
    def whole(self) -> bool:
        """Whether every call is kept whole."""
        return len(self.kept) == len(self)

    def begin(self) -> None:
        """From here on, calls are those of this attempt at the run."""
        self._before = len(self), len(self.failed_started), self.retries, self.waits

    def spans(self) -> Iterator[tuple[float, float]]:
        """When each attempt began and ended."""
        yield from zip(self.started, self.ended, strict=True)
        yield from zip(self.failed_started, self.failed_ended, strict=True)

    def seconds(self, *, now: bool = False) -> "array[float]":
        """The seconds of all attempts that were not cut off, sorted."""
        calls, failures, *_ = self._before if now else (0, 0)
        # Slices would be copies: a million calls take 8 MB in each array.
        ends = islice(zip(self.started, self.ended, self.states, strict=True), calls, None)
        failed = islice(zip(self.failed_started, self.failed_ended, strict=True), failures, None)
        took = [ended - started for started, ended, state in ends if state != CUT_OFF]
        took += [ended - started for started, ended in failed]
        took.sort()
        return array("d", took)

    def totals(self, counts: Counts, *, now: bool = False) -> EngineTotals:
        """The totals of the engine, whose items have these counts."""
        calls, _, retries, waits = self._before if now else (0, 0, 0, 0)
        seconds = self.seconds(now=now)
        return EngineTotals(
            planned=counts.planned,
            done=counts.done,
            skipped=counts.skipped,
            failed=counts.failed,
            not_attempted=counts.not_attempted,
            cut_off=counts.cut_off,
            calls=len(self) - calls,
            retries=self.retries - retries,
            waits=self.waits - waits,
            p50_seconds=percentile(seconds, 50) if seconds else None,
            p95_seconds=percentile(seconds, 95) if seconds else None,
        )

    def add(self, call: CallResult) -> None:
        """Adds a call."""
        self.started.append(call.started)
        self.ended.append(call.ended)
        self.states.append(call.state)
        self.limits.append(min(call.limit, 0xFFFF))
        self.retries += call.retries
        self.waits += call.waits
        for started, ended, _ in call.failed_attempts:
            if call.engine in BATCHES:
                if (started, ended) in self._seen:
                    continue
                self._seen.add((started, ended))
            self.failed_started.append(started)
            self.failed_ended.append(ended)
        if len(self.kept) < CALLS_KEPT:
            self.kept.append(call)
        if call.failed_attempts and len(self.retried) < RETRIED_KEPT:
            self.retried.append(call)
        if call.done:
            self._keep_slow(call)

    def _keep_slow(self, call: CallResult) -> None:
        seconds = call.ended - call.started
        if len(self.slowest) < SLOWEST_KEPT:
            heapq.heappush(self.slowest, (seconds, len(self.started), call))
        elif seconds > self.slowest[0][0]:
            heapq.heapreplace(self.slowest, (seconds, len(self.started), call))


class Ledger:
    """The results of all attempts at a run. They may be added in any order."""

    def __init__(self, plan: Plan, *, is_replanned: bool = False) -> None:
        """`is_replanned` is whether earlier attempts had another plan: some results may not belong to `plan` then."""
        self.plan = plan
        self.lanes: Mapping[EngineName, Lane] = {engine: Lane() for engine in ALL_ENGINES}
        """Every call, also those of an earlier plan. Everything else here is of this plan only."""
        self.items = items_of(plan)
        """The state of each item of the plan."""
        self.remakes = Remakes()
        """What a person has asked to have made again."""
        self.card_seconds: dict[str, array[float]] = {}
        """The seconds of each card that was made, by card type."""
        self.warnings: list[CallResult] = []
        """The first calls with a warning."""
        self.set_aside: list[SetAside] = []
        """The card types that this attempt has set aside."""
        self.failed_now: list[CallResult] = []
        """The first `FAILURES_KEPT` calls of this attempt that failed for good."""
        self.failed_calls = 0
        """The number of all calls of this attempt that failed for good; `failed_statuses` has the status of each."""
        self.failed_statuses: set[int | None] = set()
        self.journal: dict[str, int] = {}
        """How many objects of the journal were added of each attempt, by its owner."""
        self._targets = {target.id: target for target in plan.targets} if is_replanned else None
        self._left: set[tuple[EngineName, WorkItem]] = set()
        self._outdated: dict[WorkItem, tuple[float, bool]] = {}
        """When each card of a run with several plans was made, and whether it was with other parameters."""
        self._failed_before: list[CallResult] = []

    def add(self, call: CallResult) -> None:
        """Adds a result. Raises `LookupError` if the plan does not have its items and was the run's only plan."""
        items, whole = self.items[call.engine], call
        if self._targets is not None:
            left = [item for item in call.items if not self._is_planned(call, item, self._targets)]
            self._left.update((call.engine, item) for item in left)
            if len(left) == len(call.targets):
                self.lanes[call.engine].add(call)
                return
            if left:
                kept = tuple(target for target in call.targets if (target, call.card_type) not in left)
                call = replace(call, targets=kept)
        cause = None if call.done else call.cause or ""
        for target in call.targets:
            items.mark((target, call.card_type), cause=cause, ended=call.ended, attempts=call.attempts)
        self.remakes.add(call)
        self.lanes[call.engine].add(whole)
        if not call.done:
            self.failed_calls += 1
            self.failed_statuses.add(call.status)
            if len(self.failed_now) < FAILURES_KEPT:
                self.failed_now.append(call)
        elif call.card_type is not None:
            self.card_seconds.setdefault(call.card_type, array("f")).append(call.seconds)
        if call.warning is not None and len(self.warnings) < WARNINGS_KEPT:
            self.warnings.append(call)

    def absorb(self, owner: str, sequence: int, results: Iterable[CallResult]) -> None:
        """Adds the results of an object of the journal, unless it was added before. Raises what `add` raises.

        The objects of an owner come in their order.
        """
        if sequence < self.journal.get(owner, 0):
            return
        for result in results:
            self.add(result)
        self.journal[owner] = sequence + 1

    def ask(self, remakes: Iterable[Remake], number: int) -> None:
        """Adds what the attempt with this number was to make again. Leaves out what the plan does not have."""
        planned = (one for one in remakes if self.items[one.engine].has((one.target, one.card_type)))
        self.remakes.ask(planned, number)

    def begin(self) -> None:
        """From here on, results are those of this attempt at the run: the journal is read, and no call was made."""
        for items in self.items.values():
            items.begin()
        for lane in self.lanes.values():
            lane.begin()
        self.remakes.begin()
        self._failed_before, self.failed_now = self.failed_now, []
        self.failed_calls, self.failed_statuses = 0, set()

    def counts(self, engine: EngineName, *, now: bool = False) -> Counts:
        """The counts of an engine's items: of all attempts at the run, or only of this one."""
        return self.items[engine].counts(now=now)

    def totals(self, *, now: bool = False) -> dict[EngineName, EngineTotals]:
        """The totals of each engine that the plan uses: of all attempts at the run, or only of this one."""
        return {
            engine: self.lanes[engine]
            .totals(self.counts(engine, now=now), now=now)
            .model_copy(update={"left_out": self.plan.count_left_out(engine)})
            for engine in self.plan.engines()
        }

    def is_complete(self, engines: Collection[EngineName] = ALL_ENGINES) -> bool:
        """Whether every planned item of these engines is done, whether or not it is to be made again."""
        return all(self.items[engine].is_complete for engine in engines)

    @property
    def is_left(self) -> bool:
        """Whether anything is left to be done: planned items, or items that are to be made again."""
        return not self.is_complete() or self.remakes.open(ALL_ENGINES) > 0

    @property
    def is_ready(self) -> bool:
        """Whether all data is there, also what is to be prepared again: no card may be requested before."""
        return self.is_complete(DATA_ENGINES) and not self.remakes.open(DATA_ENGINES)

    def settled(self, engine: EngineName) -> Container[WorkItem]:
        """The items of an engine that this attempt does not request: those that are done, or not of its request."""
        return self.remakes.settled(engine, self.items[engine])

    def remake_of(self, call: Call) -> int:
        """The number of the request to make the items of a call again; 0 if they are made the first time."""
        return max(self.remakes.number(call.engine, item) for item in call.items) if self.remakes else 0

    def _is_planned(self, call: CallResult, item: WorkItem, targets: Mapping[str, Target]) -> bool:
        """Whether the plan has the item. News count only if their request is that of the plan, cards if their date is.

        A card that was made with another model or other parameters counts as made.
        """
        target = targets.get(item[0])
        if target is None or not self.items[call.engine].has(item):
            return False
        if call.engine == "news":
            return call.request == self.plan.news_call(target).request
        if call.card_type is not None:
            wanted = self.plan.card_call(target, call.card_type)
            if call.date is not None and call.date != wanted.date:
                return False
            if call.done:
                made = (call.ended, call.request != wanted.request)
                self._outdated[item] = max(made, self._outdated.get(item, made))
        return True

    @property
    def failures(self) -> list[CallResult]:
        """The failed calls that are kept, each with those of its targets that no attempt has done, or done again.

        An item that failed in several attempts at the run is listed for the latest one only.
        """
        failed = [*self._failed_before, *self.failed_now]
        latest = {
            (call.engine, item): call
            for call in sorted(failed, key=_rank)
            for item in call.items
            if self.items[call.engine].has_failed(item) or (call.remake and self.remakes.number(call.engine, item))
        }
        listed: list[CallResult] = []
        for call in failed:
            targets = [target for target, name in call.items if latest.get((call.engine, (target, name))) is call]
            if targets:
                listed.append(replace(call, targets=tuple(targets)))
        return listed

    @property
    def outdated_cards(self) -> list[WorkItem]:
        """The cards that were made with another model or other parameters than those of this plan, in its order."""
        outdated = {item for item, (_, is_outdated) in self._outdated.items() if is_outdated}
        return [item for call in self.plan.calls("qa") for item in call.items if item in outdated] if outdated else []

    @property
    def left_plan(self) -> int:
        """Number of items that were done or tried, and that this plan lacks or requests differently."""
        return len(self._left)

    @property
    def barrier(self) -> float | None:
        """When the barrier was crossed: the start of the first card after the last data call; `None` without one.

        A resume has no data call if all data was ready, and crosses a second barrier if it has another plan.
        """
        ends = [max(lane.ended) for engine, lane in self.lanes.items() if engine != "qa" and len(lane)]
        cards = self.lanes["qa"]
        ready = max(ends, default=inf) - STAMP_SECONDS
        return min((began for began in chain(cards.started, cards.failed_started) if began >= ready), default=None)


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
