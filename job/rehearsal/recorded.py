"""Recorded nights: how the engines answered, and how long that took, from the records of past runs."""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from statistics import median
from typing import NamedTuple

import trio

from job.engines.calls import BATCHES
from job.engines.catalog import ALL_ENGINES, EngineName
from job.engines.failures import Cause
from job.ledger.result import CUT_OFF, CallResult, FailedAttempt
from job.ledger.totals import percentile
from job.planning.plan import Plan
from job.records.attempts import AttemptEntry, read_first
from job.records.journal import read_results
from job.records.past import PastRun
from job.records.record import find_inputs
from job.report.format import RecordError
from job.report.inputs import is_same_config
from job.report.outcome import Outcome
from job.storage.store import ObjectStore, StorageError

REJECTED = 429
READ_AT_MOST = 600_000
"""Older nights are not read once the newer ones have this many results and targets."""
AT_ONCE = 4
"""Nights that are read at a time."""
OBJECTS_AT_LEAST = 20
"""Objects of its journal that are read of each night, if it has as many."""
Kind = tuple[EngineName, str | int | None]
"""Calls of a kind take about equally long: the engine with the type of the card or the size of the batch."""


class Answer(NamedTuple):
    """How an attempt was answered."""

    seconds: float
    cause: Cause | None
    """`None` if it succeeded."""
    status: int | None
    failed: int
    """For how many of its targets it failed."""


Course = Sequence[Answer]
"""The answers to the attempts at one call, in their order, without rejections (429): they depend on the other calls."""


@dataclass(frozen=True, slots=True)
class Room:
    """When an engine had no room for another call, and answered 429. Times are seconds from its first call."""

    times: Sequence[float] = ()
    """Sorted."""
    limits: Sequence[int] = ()
    """With how many calls it was busy then."""
    seconds: float = 0.0
    """How long a rejection took."""
    reach: float = 0.0
    """For how long it tells something: while as many calls are in flight, the next one is rejected as well."""

    def limit(self, time: float) -> float:
        """How many calls the engine works on at that time, as far as is known."""
        place = bisect_left(self.times, time)
        near = [number for number in (place - 1, place) if 0 <= number < len(self.times)]
        nearest = min(near, key=lambda number: abs(self.times[number] - time), default=None)
        if nearest is None or abs(self.times[nearest] - time) > self.reach:
            return inf
        return self.limits[nearest]


@dataclass(frozen=True, slots=True)
class RecordedNight:
    """The first attempt at a recorded run."""

    run_id: str
    day: str
    started: datetime
    plan: Plan
    concurrency: Mapping[EngineName, int]
    """The maximum number of calls in flight."""
    courses: Mapping[Kind, Sequence[Course]]
    """In the order in which the calls began, without those that were cut off.

    Each attempt at a batch is a course of its own, as the halves of a batch are batches of another size.
    """
    room: Mapping[EngineName, Room]
    medians: Mapping[str, float]
    """The median seconds of the cards that were made, by card type."""
    first_call: float
    """Seconds from the start of the run until its first call."""
    barrier: float
    """Seconds from the last answer of a data engine until the first card."""
    seconds: float | None = None
    """Seconds from the start of the run until its last card; `None` if its first attempt did not finish every call."""


def calls_of(plan: Plan, engine: EngineName) -> int:
    """How many calls of an engine a plan has."""
    return -(-plan.count(engine) // (plan.batch_sizes[engine] if engine in BATCHES else 1))


async def read_nights(
    store: ObjectStore, runs: Iterable[PastRun], config_uri: str, objects: int
) -> tuple[list[RecordedNight], int]:
    """The nights of this config among these runs, in their order; and how many runs are too many to be read.

    About so many `objects` of all journals together are read. Records that cannot be used are left out. Raises
    `StorageError`.
    """
    fitting = [run for run in runs if _is_fitting(run, config_uri)]
    entries = await read_first(store, [run.run_id for run in fitting])
    found: dict[str, tuple[RecordedNight, int]] = {}
    errors: list[StorageError] = []
    limit = max(OBJECTS_AT_LEAST, objects // max(1, len(fitting)))

    async def read(run: PastRun) -> None:
        try:
            night = await _read_night(store, run, entries.get(run.run_id), config_uri, limit)
        except RecordError:
            return
        except StorageError as error:
            errors.append(error)
            return
        if night is not None:
            found[run.run_id] = night

    for start in range(0, len(fitting), AT_ONCE):
        if sum(count for _, count in found.values()) >= READ_AT_MOST:
            break
        async with trio.open_nursery() as nursery:
            for run in fitting[start : start + AT_ONCE]:
                nursery.start_soon(read, run)
        if errors:
            raise errors[0]
    else:
        start = len(fitting)
    return [found[run.run_id][0] for run in fitting if run.run_id in found], len(fitting) - start


async def _read_night(
    store: ObjectStore, run: PastRun, entry: AttemptEntry | None, config_uri: str, limit: int
) -> tuple[RecordedNight, int] | None:
    """The night, and how many results and targets it has; `None` if it is of another config or made no call."""
    inputs = await find_inputs(store, run.run_id, background=True)
    if inputs is None or not is_same_config(inputs.config_uri, config_uri):
        return None
    results, is_whole = await read_results(store, run.run_id, entry.owner if entry else None, limit)
    started = datetime.fromisoformat(entry.started if entry else inputs.started)
    night = night_of(run, inputs.day, started, inputs.plan(), entry, results)
    if night is None:
        return None
    # The last answer of a data engine may not be in a sample.
    return (night if is_whole else replace(night, barrier=0.0)), len(results) + len(night.plan.targets)


def _is_fitting(run: PastRun, config_uri: str) -> bool:
    if run.outcome in {Outcome.AT_WORK, Outcome.UNREADABLE, Outcome.BAD_CONFIG}:
        return False
    return run.summary is None or is_same_config(run.summary.config_uri, config_uri)


def night_of(
    run: PastRun, day: str, started: datetime, plan: Plan, entry: AttemptEntry | None, results: Sequence[CallResult]
) -> RecordedNight | None:
    """The night with these results; `None` without any."""
    spans = {engine: [_span(one) for one in results if one.engine == engine] for engine in ALL_ENGINES}
    begins = [began for found in spans.values() for began, _ in found]
    if not begins:
        return None
    begin, cards = started.timestamp(), spans["qa"]
    data_ended = max((ended for engine, found in spans.items() if engine != "qa" for _, ended in found), default=begin)
    is_finished = run.attempts == 1 and run.outcome in {Outcome.SUCCEEDED, Outcome.CARDS_MISSING}
    is_whole = is_finished and run.summary is not None and not run.summary.cards.not_attempted and bool(cards)
    made = defaultdict[str, list[float]](list)
    for one in results:
        if one.done and one.card_type is not None:
            made[one.card_type].append(one.seconds)
    limits = {engine: max((one.limit for one in results if one.engine == engine), default=0) for engine in ALL_ENGINES}
    return RecordedNight(
        run_id=run.run_id,
        day=day,
        started=started,
        plan=plan,
        concurrency={**limits, **({} if entry is None else _known(entry.concurrency))},
        courses=_courses(results),
        room={engine: _room([one for one in results if one.engine == engine]) for engine in ALL_ENGINES},
        medians={name: percentile(sorted(seconds), 50) for name, seconds in made.items()},
        first_call=max(0.0, min(begins) - begin),
        barrier=max(0.0, min(began for began, _ in cards) - data_ended) if cards else 0.0,
        seconds=max(ended for _, ended in cards) - begin if is_whole else None,
    )


def _known(concurrency: Mapping[str, int]) -> dict[EngineName, int]:
    return {engine: concurrency[engine] for engine in ALL_ENGINES if engine in concurrency}


def _span(result: CallResult) -> tuple[float, float]:
    """When the first attempt began that is known, and when the last one ended."""
    return min([result.started, *(tried.started for tried in result.failed_attempts)]), result.ended


def _courses(results: Sequence[CallResult]) -> Mapping[Kind, Sequence[Course]]:
    found = defaultdict[Kind, list[tuple[float, Course]]](list)
    for result in results:
        if result.engine not in BATCHES and result.state != CUT_OFF and (course := _course(result)):
            found[result.engine, result.card_type].append((_span(result)[0], course))
    for engine in BATCHES:
        for (began, ended), parts in _batches([one for one in results if one.engine == engine]).items():
            size = sum(part.size for part in parts)
            worst = max(parts, key=lambda part: part.cause is not None)
            failed = sum(part.size for part in parts if part.cause is not None)
            if worst.status != REJECTED:
                answer = Answer(ended - began, worst.cause, worst.status, failed)
                found[engine, size].append((began, (answer,)))
    return {kind: [course for _, course in sorted(all_, key=_began)] for kind, all_ in found.items()}


def _began(course: tuple[float, Course]) -> float:
    return course[0]


class _Part(NamedTuple):
    """The targets of a batch that went on together."""

    size: int
    cause: Cause | None
    status: int | None


def _batches(results: Iterable[CallResult]) -> Mapping[tuple[float, float], list[_Part]]:
    """The attempts at batches, by their times. The halves of a batch, and the rest of one, list the attempts before."""
    found = defaultdict[tuple[float, float], list[_Part]](list)
    for result in results:
        size = len(result.targets)
        if result.state != CUT_OFF:
            cause = None if result.cause is None else Cause(result.cause)
            found[result.started, result.ended].append(_Part(size, cause, result.status))
        for tried in result.failed_attempts:
            found[tried.started, tried.ended].append(_Part(size, *_why(str(tried.reason), tried.reason.id)))
    return found


def _course(result: CallResult) -> Course:
    answers = [
        Answer(tried.ended - tried.started, *_why(str(tried.reason), tried.reason.id), failed=1)
        for tried in result.failed_attempts
    ]
    # Only the latest failed attempts are recorded: the ones before are taken to be like the first of these.
    answers[:0] = answers[:1] * (result.attempts - 1 - len(answers))
    cause = None if result.cause is None else Cause(result.cause)
    answers.append(Answer(result.seconds, cause, result.status, 0 if result.done else 1))
    return tuple(answer for answer in answers if answer.status != REJECTED)


def _room(results: Sequence[CallResult]) -> Room:
    """When the engine of these results had no room. Right after a rejection, the limit of our calls is what it had."""
    rejected = sorted(
        (tried.started, tried.ended - tried.started)
        for result in results
        for tried in (*result.failed_attempts, *_last(result))
        if _why(str(tried.reason), tried.reason.id)[1] == REJECTED
    )
    if not rejected:
        return Room()
    begin = min(_span(result)[0] for result in results)
    by_end = sorted(results, key=lambda result: result.ended)
    ends = [result.ended for result in by_end]
    after = [min(bisect_left(ends, time), len(ends) - 1) for time, _ in rejected]
    return Room(
        times=[time - begin for time, _ in rejected],
        limits=[by_end[number].limit for number in after],
        seconds=median(seconds for _, seconds in rejected),
        reach=2 * median(result.seconds for result in results),
    )


def _last(result: CallResult) -> Iterator[FailedAttempt]:
    if result.reason is not None and result.state != CUT_OFF:
        yield FailedAttempt(result.started, result.ended, result.reason)


def _why(reason: str, template: str) -> tuple[Cause, int | None]:
    """The cause of a failed attempt and its HTTP status: of these only the reason is recorded, in words."""
    if found := re.match(r"HTTP (\d{3})\b", reason):
        return Cause.STATUS, int(found[1])
    for cause, templates in _REASONS.items():
        if template.startswith(templates):
            return cause, 200 if cause in {Cause.DENIED, Cause.UNREADABLE} else None
    return Cause.TRANSPORT, None


_REASONS: Mapping[Cause, tuple[str, ...]] = {
    Cause.TIMEOUT: ("no answer within",),
    Cause.UNREADABLE: ("no JSON", "an empty answer", "unexpected answer"),
    Cause.DENIED: ("the answer is null", "says {answer}", "{answer}", "{status}: {answer}", "{ticker}:", "{first}; "),
    Cause.IDENTITY: ("no token for", "the token server"),
    Cause.PROCESS_LIMIT: ("too many open files", "no local port"),
}
"""How the reasons of a cause begin. All others are those of a lost connection."""
