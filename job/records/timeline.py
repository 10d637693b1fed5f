"""Timeline of a run: all its results in compact form, for totals and the page. 100,000 calls take a few MB."""

import heapq
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from math import inf

from job.engines.calls import BATCHES, WorkItem
from job.engines.catalog import ALL_ENGINES, EngineName
from job.execution.progress import FAILURES_KEPT
from job.planning.items import items_of
from job.planning.plan import Plan
from job.planning.targets import Target
from job.records.results import CUT_OFF, DONE, CallResult

CALLS_KEPT = 300
"""Calls of one engine that are kept whole: as many as a chart can show one by one."""
RETRIED_KEPT = 200
SLOWEST_KEPT = 20
STAMP_SECONDS = 0.002
"""Tolerance in comparisons, as times are rounded to milliseconds."""
WARNINGS_KEPT = 1_000
"""Calls with a warning that are kept whole."""


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
    kept: list[CallResult] = field(default_factory=list)
    """The first calls."""
    retried: list[CallResult] = field(default_factory=list)
    slowest: list[tuple[float, int, CallResult]] = field(default_factory=list)
    """A heap."""
    _seen: set[tuple[float, float]] = field(default_factory=set)
    """Failed attempts of batches, to add each once: both halves of a batch list them."""

    def __len__(self) -> int:
        return len(self.started)

    @property
    def whole(self) -> bool:
        """Whether every call is kept whole."""
        return len(self.kept) == len(self)

    def spans(self) -> Iterator[tuple[float, float]]:
        """When each attempt began and ended."""
        yield from zip(self.started, self.ended, strict=True)
        yield from zip(self.failed_started, self.failed_ended, strict=True)

    def seconds(self) -> "array[float]":
        """The seconds of all attempts that were not cut off, sorted."""
        calls = zip(self.started, self.ended, self.states, strict=True)
        failed = zip(self.failed_started, self.failed_ended, strict=True)
        took = [ended - started for started, ended, state in calls if state != CUT_OFF]
        took += [ended - started for started, ended in failed]
        took.sort()
        return array("d", took)

    def add(self, call: CallResult) -> None:
        """Adds a call."""
        self.started.append(call.started)
        self.ended.append(call.ended)
        self.states.append(call.state)
        self.limits.append(min(max(call.limit, 0), 0xFFFF))
        self.retries += call.retries
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
        if call.state == DONE:
            self._keep_slow(call)

    def _keep_slow(self, call: CallResult) -> None:
        entry = (call.seconds, len(self), call)
        if len(self.slowest) < SLOWEST_KEPT:
            heapq.heappush(self.slowest, entry)
        elif entry > self.slowest[0]:
            heapq.heapreplace(self.slowest, entry)


class Timeline:
    """The results of all attempts at a run. They may be added in any order."""

    def __init__(self, plan: Plan, *, is_replanned: bool = False) -> None:
        """`is_replanned` is whether earlier attempts had another plan: some results may not belong to `plan` then."""
        self.plan = plan
        self._targets = {target.id: target for target in plan.targets} if is_replanned else None
        self._left: set[tuple[EngineName, WorkItem]] = set()
        self.outdated_cards = 0
        """Number of cards that were made with other parameters than those of this plan. They count as made."""
        self.lanes: Mapping[EngineName, Lane] = {engine: Lane() for engine in ALL_ENGINES}
        """Every call, also those of an earlier plan. Everything else here is of this plan only."""
        self.items = items_of(plan)
        """The state of each item of the plan."""
        self.card_seconds: dict[str, array[float]] = {}
        """The seconds of each card that was made, by card type."""
        self.warnings: list[CallResult] = []
        """The first calls with a warning."""
        self._failed: list[CallResult] = []

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
                call = call.model_copy(update={"targets": kept})
        for item in call.items:
            cause = None if call.done else call.cause or ""
            items.mark(item, cause=cause, ended=call.ended, attempts=call.attempts)
        self.lanes[call.engine].add(whole)
        if call.done and call.card_type is not None:
            self.card_seconds.setdefault(call.card_type, array("f")).append(call.seconds)
        if not call.done and len(self._failed) < FAILURES_KEPT:
            self._failed.append(call)
        if call.warning is not None and len(self.warnings) < WARNINGS_KEPT:
            self.warnings.append(call)

    def _is_planned(self, call: CallResult, item: WorkItem, targets: Mapping[str, Target]) -> bool:
        """Whether the plan has the item. News count only if their request is the one of the plan."""
        target = targets.get(item[0])
        if target is None or not self.items[call.engine].has(item):
            return False
        if call.engine == "news":
            return call.request == self.plan.news_call(target).request
        if call.card_type is not None and call.done:
            self.outdated_cards += call.request != self.plan.card_call(target, call.card_type).request
        return True

    @property
    def failures(self) -> list[CallResult]:
        """The failed calls that are kept, each with those of its targets that no attempt has done.

        An item that failed in several attempts at the run is listed for the latest one only.
        """
        latest = {
            (call.engine, item): call
            for call in sorted(self._failed, key=lambda call: call.ended)
            for item in call.items
            if self.items[call.engine].has_failed(item)
        }
        targets: dict[int, list[str]] = {}
        for (_, (target, _)), call in latest.items():
            targets.setdefault(id(call), []).append(target)
        return [
            call.model_copy(update={"targets": tuple(targets[id(call)])})
            for call in self._failed
            if id(call) in targets
        ]

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
