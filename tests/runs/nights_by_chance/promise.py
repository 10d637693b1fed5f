"""What the job promises of every start, held against what is stored and what the engines saw once a world was played.

A rule yields what is broken. Of the job, only the types of its record, its plan and what shows a record are used.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from signal import SIGKILL
from typing import Any, NamedTuple

from job.day.attempt import Attempt, Outcome
from job.day.result import CallResult
from job.engines.calls import ALL_ENGINES, BATCHES
from job.records.past_nights import read_nights
from job.records.record import read_day
from job.storage.store import StoredObject
from tests.simulators.seen import Seen
from tests.support.stores import Memory
from tests.support.world import START, VirtualWorld

CODES = {0, 1, 2, 3, 4, 75, 130, 143}
"""How a start may end; 70 is a bug."""


class Item(NamedTuple):
    """A card, or the data that an engine prepares of a target."""

    engine: str
    target: str
    card_type: str | None = None
    date: str = ""
    """That is sent; empty for an engine that takes none."""
    request: str = ""
    """The digest of what is sent for data, but for a batch: another topic key makes it another one."""

    @property
    def named(self) -> "Item":
        """As it is named when it is to be made again: whatever is sent for it."""
        return self._replace(request="")


class Recorded(NamedTuple):
    """A result that is durable."""

    at: float
    attempt: int
    result: CallResult

    @property
    def items(self) -> list[Item]:
        one = self.result
        request = "" if one.engine == "qa" else one.request
        return [Item(one.engine, target, one.card_type, one.date, request) for target in one.targets]

    def counted(self, asked: Mapping[Item, int]) -> list[Item]:
        """What it is done of, unless that is to be made again with a higher number."""
        return [item for item in self.items if self.result.done and self.result.again >= asked.get(item.named, 0)]


@lru_cache(10_000)
def _attempt(data: bytes) -> Attempt:
    stored = json.loads(data)
    return Attempt.model_validate(stored)


@lru_cache(1000)
def _planned(data: bytes) -> list[tuple[Item, bool]]:
    """All that an attempt has planned, each with whether it is left out."""
    plan = _attempt(data).plan_again()
    calls = [(one, plan.call([one])) for engine in ALL_ENGINES for one in plan.items(engine)]
    return [
        (Item(*one, call.date, "" if one.engine == "qa" else call.request), plan.is_left_out(one))
        for one, call in calls
    ]


@lru_cache(100_000)
def _results(data: bytes) -> list[CallResult]:
    return [CallResult.parse(line) for line in data.splitlines()[1:]]


class Day:
    """What is stored of a day. Times are seconds since virtual time began."""

    def __init__(self, objects: Mapping[str, StoredObject], name: str) -> None:
        self.name = name
        self._objects = {key[11:]: one for key, one in sorted(objects.items()) if key.startswith(f"{name}/")}
        self.attempts = {int(key[9:15]): _attempt(one.data) for key, one in self._of("attempts")}
        self.ends = {int(key[5:11]): json.loads(one.data) for key, one in self._of("ends")}
        self.recorded = [
            Recorded(one.updated - START.timestamp(), int(key[8:14]), result)
            for key, one in self._of("results")
            for result in _results(one.data)
        ]
        self.trace = self.attempts[max(self.attempts)].trace_id

    def _of(self, folder: str) -> list[tuple[str, StoredObject]]:
        return [(key, one) for key, one in self._objects.items() if key.startswith(f"{folder}/")]

    def report(self) -> Any:
        """`report.json`."""
        return json.loads(self._objects["report.json"].data)

    def at(self, number: int, folder: str = "attempts") -> float:
        """When this attempt was recorded, or its end, with the folder `ends`."""
        return self._objects[f"{folder}/{number:06}.json"].updated - START.timestamp()

    def asked(self, number: int) -> dict[Item, int]:
        """What people have asked to have made again until this attempt, with the number of the request."""
        return {Item(*one[:-1]): one.number for one in self.attempts[number].again}

    def planned(self, number: int, *, left_out: bool = True) -> set[Item]:
        """What an attempt has planned, with or without what is left out."""
        planned = _planned(self._objects[f"attempts/{number:06}.json"].data)
        return {item for item, is_left_out in planned if left_out or not is_left_out}

    def done(self, number: int, known: float | None = None) -> set[Item]:
        """What is recorded as done and counts for an attempt; or what it has `known` of that until then.

        Of others, it only knows what was stored when it began: one that was paused may add results later.
        """
        asked, began, until = self.asked(number), *((math.inf, math.inf) if known is None else (self.at(number), known))
        known_of = [one for one in self.recorded if one.at <= (until if one.attempt == number else min(began, until))]
        return {item for one in known_of for item in one.counted(asked)}

    def requests(self, requests: list[Seen]) -> Iterator[tuple[int, Seen, list[Item], set[Item]]]:
        """Those of this day, each with its attempt, what it is for, and what the attempt then knew to be done."""
        for number in self.attempts:
            begin, end = self.at(number), self.at(number + 1) if number + 1 in self.attempts else math.inf
            known, asked, planned = self.done(number, begin), self.asked(number), self.planned(number)
            own = [one for one in self.recorded if one.attempt == number]
            for seen in requests:
                if _trace(seen) == self.trace and begin <= seen.arrived < end:
                    while own and own[0].at <= seen.arrived:
                        known.update(own.pop(0).counted(asked))
                    yield number, seen, _items_of(seen, planned), known


def _items_of(seen: Seen, planned: set[Item]) -> list[Item]:
    """What a request is for."""
    if seen.service == "qa":
        query, card_type = dict(seen.query), seen.path.removeprefix("/card/")
        return [Item("qa", query["ticker"], card_type, query["date_str"])]
    if seen.service in BATCHES:
        return [Item(seen.service, ticker) for ticker in seen.tickers]
    request = hashlib.sha256(b"\0".join((seen.target.encode(), seen.body))).hexdigest()[:16]
    return [item for item in planned if item.request == request]


def _trace(seen: Seen) -> str:
    return seen.headers["traceparent"].split("-")[1]


def cards(items: Iterable[Item]) -> set[Item]:
    return {item for item in items if item.engine == "qa"}


def days_of(world: VirtualWorld) -> list[Day]:
    """The days that have an attempt, wherever they are recorded."""
    stores = [store.objects for uri, store in world.stores.items() if uri != world.config_uri]
    return [Day(one, day) for one in stores for day in sorted({name[:10] for name in one if "/attempts/" in name})]


# --- the rules ---


def broken(world: VirtualWorld) -> Iterator[str]:
    """What is broken, of all that has happened in a world."""
    requests = [one for one in world.seen if one.service in world.engines and one.path != "/health"]
    days = days_of(world)
    began = {day.trace: day.at(min(day.attempts)) for day in days}
    for one in requests:
        if one.arrived < began.get(_trace(one), math.inf):
            yield f"{one.target} is called before an attempt is recorded"
    for day in days:
        yield from _asks_for_what_is_open(day, requests)
        yield from _is_asked_again(day)
        yield from _ends_as_recorded(day, world.runs)
    for job in world.jobs:
        if job.process.returncode not in {None, -SIGKILL}:
            yield from _says_what_is_so(job.process.returncode, job.lines, days, world.runs)
    yield from world.violations
    shown = "\n".join([*(f"{job.lines}" for job in world.jobs), *(data.decode() for data in world.recorded().values())])
    if any(token in shown for token in {"eyJ", *(one.token for one in world.seen if one.token)}):
        yield "a token is shown"


def _asks_for_what_is_open(day: Day, requests: list[Seen]) -> Iterator[str]:
    """Each request is wanted and not recorded yet, and has its own key. Cards wait until all data is durable."""
    keys: dict[object, object] = {}
    wanted = {number: day.planned(number, left_out=False) for number in day.attempts}
    asked = {number: day.asked(number) for number in day.attempts}
    for number, seen, items, known in day.requests(requests):
        if not items or not wanted[number].issuperset(items):
            yield f"nobody wants {items}: {seen.target}"
        if again := known.intersection(items):
            yield f"{again} are recorded, and requested again"
        if seen.service == "qa" and (missing := wanted[number] - known - cards(wanted[number])):
            yield f"{items} are requested without {missing}"
        again_as = max((asked[number].get(item.named, 0) for item in items), default=0)
        place, key = (seen.service, seen.target, seen.body, again_as), seen.headers["idempotency-key"]
        if keys.setdefault(key, place) != place or keys.setdefault(place, key) != key:
            yield f"{place} has the key of another request, or another key than before"


def _is_asked_again(day: Day) -> Iterator[str]:
    """What is to be made again was made, stays so until it is, and no other start was just making it."""
    before: dict[Item, int] = {}
    for number, attempt in day.attempts.items():
        asked, others = day.asked(number), [one for one in day.recorded if one.result.done and one.attempt < number]
        new = {item for item, own in asked.items() if own == number}
        counted = {item.named for one in others for item in one.counted(before)}
        if lacking := new - counted:
            yield f"{lacking} are not made, and made again"
        if {item for item, own in before.items() if asked.get(item) != own} - new:
            yield "what is to be made again is forgotten"
        since = _seconds(attempt.started) + 1.0
        if new and (attempt.task_attempt or any(since < one.at <= day.at(number) for one in others)):
            yield f"{new} are asked for again, and another start may just have made them"
        before = asked


def _ends_as_recorded(day: Day, runs: Memory) -> Iterator[str]:
    """The end of an attempt says what is recorded by then, and `report.json` is of the last one that ended."""
    for number, end in day.ends.items():
        yield from adds_up(end["engines"])
        if (end["exit_code"] == 0) is not (end["outcome"] == "succeeded"):
            yield f"ends with {end['exit_code']} {end['outcome']}"
        if number not in day.attempts or end["missing_not_listed"]:
            continue
        missing = cards(day.planned(number, left_out=False) - day.done(number, day.at(number, "ends")))
        groups = [one for one in end["missing"] if one["engine"] == "qa" and one["state"] != "left_out"]
        said = {("qa", target, one["card_type"]) for one in groups for target in one["targets"]}
        if {card[:3] for card in missing} != said:
            yield f"{missing} are missing, but it says {said}"
        is_told = end["outcome"] not in {"busy", "storage_failed"} and not end["not_written"] and not runs.failed
        if number == max(day.attempts) and is_told and day.report()["number"] != number:
            yield f"the report is not of {number}, which has ended"


def _says_what_is_so(code: int | None, lines: list[dict[str, Any]], days: list[Day], runs: Memory) -> Iterator[str]:
    """The last line of a start adds up and has its exit code, which is 0 only if all is made, less what is left out."""
    ends = [line for line in lines if line["event"] == "run.finished"]
    if code not in CODES or (len(ends) != 1 and code not in {130, 143}):
        yield f"ends with {code} and {len(ends)} last lines"
    for end in ends[:1]:
        if end["exit_code"] != code:
            yield f"says {end['exit_code']}, and ends with {code}"
        yield from adds_up({"cards": end["cards"], **end["engines"]})
        if code != 0 or (runs.failed and end.get("unrecorded")):
            continue  # all is made, and storage could not be told
        now, trace = _seconds(end["time"]), str(end["logging.googleapis.com/trace"]).rpartition("/")[2]
        if not (found := [day for day in days if (day.name, day.trace) == (end["day"], trace)]):
            yield f"ends with 0 without a record of {end['day']} and {trace}"
            continue
        day = found[0]
        begun = [line["number"] for line in lines if line["event"] == "run.started"]
        number = begun[0] if begun else max(one for one in day.attempts if day.at(one) <= now)
        known, planned, totals = day.done(number, now), cards(day.planned(number)), end["cards"]
        if missing := day.planned(number, left_out=False) - known:
            yield f"ends with 0, though {missing} are not recorded"
        left_out = len(planned - known)
        if (totals["planned"], totals["done"], totals["left_out"]) != (len(planned), len(planned) - left_out, left_out):
            yield f"{totals}, but {len(planned)} are planned and {left_out} left out"
        if left_out and not end.get("without"):
            yield "done, without a word of what is left out"


def adds_up(engines: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    for one in engines.values():
        is_sum = one["planned"] == one["done"] + one["failed"] + one["not_attempted"]
        if not (is_sum and 0 <= one["left_out"] <= one["not_attempted"] and min(one["done"], one["failed"]) >= 0):
            yield f"does not add up: {one}"


def _seconds(stamp: str) -> float:
    return (datetime.fromisoformat(stamp) - START).total_seconds()


async def broken_of_shown(world: VirtualWorld) -> list[str]:
    """What is broken of what the record now shows people, whether or not its last attempt was killed."""
    found, store = list[str](), Memory(dict(world.runs.objects), clock=time.time)  # noqa: TID251  in virtual time
    for day in [Day(store.objects, name) for name in {key[:10] for key in store.objects if "/attempts/" in key}]:
        shown, latest = await read_day(store, day.name), max(day.attempts)
        assert shown is not None
        report, record = shown
        found += adds_up({engine: asdict(totals) for engine, totals in report.engines.items()})
        planned, states = cards(day.planned(latest)), {"at work", "killed"}
        if (report.cards.planned, report.cards.done) != (len(planned), len(planned & day.done(latest))):
            found.append(f"shows {report.cards}, not what is recorded")
        if latest in day.ends:
            states = {"succeeded" if record.ledger.is_complete else day.ends[latest]["outcome"]}
        if report.outcome not in states:
            found.append(f"shows {report.outcome}, not {states}")
    nights = (await read_nights(store)).nights
    if any(one.outcome is Outcome.UNREADABLE for one in nights) or len({one.day for one in nights}) != len(nights):
        found.append("a night is unreadable, or there twice")
    return found
