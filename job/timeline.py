"""Every finished call of a run, kept small: what the page of the run draws. 100,000 calls take a few MB."""

import heapq
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from job.answers import Cause
from job.engines import ALL_ENGINES, EngineName, Item
from job.remedies import remedy

CALLS_KEPT = 300
"""Calls of one engine that are kept whole: so many can be told apart in a picture."""
RETRIED_KEPT = 200
SLOWEST_KEPT = 20
FAILURES_KEPT = 1000

DONE, FAILED, CUT_OFF = 0, 1, 2
"""What became of a call; `CUT_OFF` is one that the end of the run interrupted."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A call of the record, whole. Times are seconds since 1970."""

    engine: EngineName
    targets: tuple[str, ...]
    card_type: str | None
    state: int
    attempts: int
    started: float
    ended: float
    status: int | None
    cause: str | None
    reason: str | None
    traceparent: str
    spoilt: tuple[tuple[float, float, str], ...]

    @property
    def seconds(self) -> float:
        """How long its last attempt took."""
        return self.ended - self.started

    @property
    def remedy(self) -> str:
        """What to do about it, where it failed."""
        return remedy(self.engine, self.cause, self.status, self.reason or "", batch=len(self.targets))


@dataclass(slots=True)
class Lane:
    """The calls of one engine, in the order in which they finished. One place of the arrays is one call."""

    started: "array[float]" = field(default_factory=lambda: array("d"))
    ended: "array[float]" = field(default_factory=lambda: array("d"))
    states: "array[int]" = field(default_factory=lambda: array("B"))
    bounds: "array[int]" = field(default_factory=lambda: array("H"))
    spoilt_started: "array[float]" = field(default_factory=lambda: array("d"))
    spoilt_ended: "array[float]" = field(default_factory=lambda: array("d"))
    kept: list[Finished] = field(default_factory=list)
    """The first calls."""
    retried: list[Finished] = field(default_factory=list)
    slowest: list[tuple[float, int, Finished]] = field(default_factory=list)
    """A heap."""
    _seen: set[tuple[float, float]] = field(default_factory=set)
    """Spoilt attempts of batches: both halves of a batch tell of them."""

    def __len__(self) -> int:
        return len(self.started)

    @property
    def whole(self) -> bool:
        """Whether every call is kept whole."""
        return len(self.kept) == len(self)

    def take(self, call: Finished, bound: int) -> None:
        """Adds a call."""
        self.started.append(call.started)
        self.ended.append(call.ended)
        self.states.append(call.state)
        self.bounds.append(min(max(bound, 0), 0xFFFF))
        for started, ended, _ in call.spoilt:
            if call.engine in _BATCHED:
                if (started, ended) in self._seen:
                    continue
                self._seen.add((started, ended))
            self.spoilt_started.append(started)
            self.spoilt_ended.append(ended)
        if len(self.kept) < CALLS_KEPT:
            self.kept.append(call)
        if call.spoilt and len(self.retried) < RETRIED_KEPT:
            self.retried.append(call)
        if call.state == DONE:
            self._keep_slow(call)

    def _keep_slow(self, call: Finished) -> None:
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
        self._missing: set[tuple[EngineName, Item]] = set()
        self._failed: dict[tuple[EngineName, Item], Finished] = {}

    def take(self, result: Mapping[str, object]) -> None:
        """Adds a result, a line of the journal. One that failed is forgotten when a later one did the same work."""
        call = _finished(result)
        self.lanes[call.engine].take(call, cast(int, result["bound"]))
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
    def failures(self) -> list[Finished]:
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


def _finished(result: Mapping[str, object]) -> Finished:
    done, cause = result["done"], cast("str | None", result["cause"])
    spoilt = cast("Sequence[tuple[float, float, str]]", result["spoilt"])
    return Finished(
        engine=cast(EngineName, result["engine"]),
        targets=tuple(cast("Sequence[str]", result["targets"])),
        card_type=cast("str | None", result["card_type"]),
        state=DONE if done else CUT_OFF if cause == Cause.INTERRUPTED else FAILED,
        attempts=cast(int, result["attempts"]),
        started=cast(float, result["started"]),
        ended=cast(float, result["ended"]),
        status=cast("int | None", result["status"]),
        cause=cause,
        reason=cast("str | None", result["reason"]),
        traceparent=cast(str, result["traceparent"]),
        spoilt=tuple((began, ended, reason) for began, ended, reason in spoilt),
    )
