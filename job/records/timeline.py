"""Every finished call of a run, kept small: what the page of the run draws. 100,000 calls take a few MB."""

import heapq
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from job.engines.calls import WorkItem
from job.engines.catalog import ALL_ENGINES, EngineName
from job.records.results import DONE, CallResult, _finished

CALLS_KEPT = 300
"""Calls of one engine that are kept whole: so many can be told apart in a picture."""


RETRIED_KEPT = 200


SLOWEST_KEPT = 20


FAILURES_KEPT = 1000


@dataclass(slots=True)
class Lane:
    """The calls of one engine, in the order in which they finished. One place of the arrays is one call."""

    started: "array[float]" = field(default_factory=lambda: array("d"))
    ended: "array[float]" = field(default_factory=lambda: array("d"))
    states: "array[int]" = field(default_factory=lambda: array("B"))
    limits: "array[int]" = field(default_factory=lambda: array("H"))
    failed_started: "array[float]" = field(default_factory=lambda: array("d"))
    failed_ended: "array[float]" = field(default_factory=lambda: array("d"))
    kept: list[CallResult] = field(default_factory=list)
    """The first calls."""
    retried: list[CallResult] = field(default_factory=list)
    slowest: list[tuple[float, int, CallResult]] = field(default_factory=list)
    """A heap."""
    _seen: set[tuple[float, float]] = field(default_factory=set)
    """Spoilt attempts of batches: both halves of a batch tell of them."""

    def __len__(self) -> int:
        return len(self.started)

    @property
    def whole(self) -> bool:
        """Whether every call is kept whole."""
        return len(self.kept) == len(self)

    def add(self, call: CallResult, limit: int) -> None:
        """Adds a call."""
        self.started.append(call.started)
        self.ended.append(call.ended)
        self.states.append(call.state)
        self.limits.append(min(max(limit, 0), 0xFFFF))
        for started, ended, _ in call.failed_attempts:
            if call.engine in _BATCHED:
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


_BATCHED: set[EngineName] = {"financial", "trading"}


class Timeline:
    """The calls of a run, over all attempts at it, as its journal tells of them."""

    def __init__(self) -> None:
        self.lanes: Mapping[EngineName, Lane] = {engine: Lane() for engine in ALL_ENGINES}
        self._missing: set[tuple[EngineName, WorkItem]] = set()
        self._failed: dict[tuple[EngineName, WorkItem], CallResult] = {}

    def add(self, result: Mapping[str, object]) -> None:
        """Adds a result, a line of the journal. One that failed is forgotten when a later one did the same work."""
        call = _finished(result)
        self.lanes[call.engine].add(call, cast(int, result["limit"]))
        for target in call.targets:
            key = (call.engine, (target, call.card_type))
            if call.state == DONE:
                if self._missing:
                    self._missing.discard(key)
                    self._failed.pop(key, None)
                continue
            self._missing.add(key)
            if key in self._failed or len(self._failed) < FAILURES_KEPT:
                self._failed[key] = call

    @property
    def failures(self) -> list[CallResult]:
        """The calls that failed and whose work was not done since, as far as they are kept."""
        return list({id(call): call for call in self._failed.values()}.values())

    def failed(self, engine: EngineName) -> int:
        """How many targets, or cards, of an engine failed and were not done since."""
        return sum(name == engine for name, _ in self._missing)

    @property
    def prepared(self) -> float | None:
        """When the last data call was done: there the barrier was crossed, if it was."""
        ends = [max(lane.ended) for engine, lane in self.lanes.items() if engine != "qa" and len(lane)]
        return max(ends, default=None)
