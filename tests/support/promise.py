"""What the job promises of all its starts, held against a world in virtual time while they are at work."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from job.config.plan import Plan
from job.day.attempt import Attempt
from job.day.attempt import Outcome as Word
from job.day.result import CallResult
from job.engines.calls import METHOD, EngineName
from job.engines.identity import RunIdentity
from job.records.lease import LEASE
from job.records.nights import read_nights
from job.records.record import read_day
from job.storage.store import StoredObject
from tests.simulators.job import Outcome
from tests.simulators.seen import Seen
from tests.simulators.wire import Reply
from tests.support.stores import Memory
from tests.support.world import VirtualWorld, _running

CODES = {0, 1, 2, 3, 4, 75, 130, 143}
"""How a start may end; 70 is a bug."""
WRONG = "/wrong"
"""What a URL of an engine ends with if it is to be corrected."""
Item = tuple[str, str, str | None, str]
"""Engine, target, card type, and the date that is sent; empty for an engine that takes none."""


@lru_cache(maxsize=10_000)
def _attempt(data: bytes) -> Attempt:
    return Attempt.model_validate_json(data)


@lru_cache(maxsize=1000)
def _plan(data: bytes) -> Plan:
    return _attempt(data).plan_again()


@lru_cache(maxsize=10_000)
def _results(data: bytes) -> list[CallResult]:
    return [CallResult.parse(line) for line in data.splitlines()[1:]]


@dataclass(frozen=True)
class Folder:
    """What is stored of a day. `objects` are those of all days."""

    objects: Mapping[str, Any]
    day: str

    def attempts(self) -> dict[int, Attempt]:
        """How each attempt began, by its number, in order."""
        names = sorted(name for name in self.objects if name.startswith(f"{self.day}/attempts/"))
        return {int(name[-11:-5]): _attempt(self.objects[name].data) for name in names}

    def latest(self) -> Attempt:
        """How the latest attempt began."""
        return _attempt(self._latest)

    def plan(self) -> Plan:
        """The plan of the latest attempt."""
        return _plan(self._latest)

    @property
    def _latest(self) -> bytes:
        data = self.objects[max(name for name in self.objects if name.startswith(f"{self.day}/attempts/"))].data
        assert isinstance(data, bytes)
        return data

    def known(self) -> "Folder":
        """What the latest attempt may know: not what one that was paused has written since, though that is true too."""
        latest = max(name for name in self.objects if name.startswith(f"{self.day}/attempts/"))
        own, began = f"{self.day}/results/{latest[-11:-5]}", self.objects[latest].updated
        found = {
            name: stored
            for name, stored in self.objects.items()
            if "/results/" not in name or name.startswith(own) or stored.updated <= began
        }
        return Folder(found, self.day)

    def done(self, before: int = 10**6) -> Iterator[CallResult]:
        """The durable results of something done, of the attempts before the one of this number."""
        for name, stored in [*self.objects.items()]:
            if name.startswith(f"{self.day}/results/") and int(name.split("/")[-1][:6]) < before:
                yield from (result for result in _results(stored.data) if result.done)

    def made(self, before: int = 10**6) -> dict[Item, int]:
        """What is done, as `done`, each with the highest number with which it was made again."""
        made: dict[Item, int] = {}
        for one in self.done(before):
            for target in one.targets:
                item = (one.engine, target, one.card_type, one.date)
                made[item] = max(made.get(item, 0), one.again)
        return made

    def counted(self, attempt: Attempt | None = None) -> Iterator[tuple[Item, CallResult]]:
        """What is done for an attempt, by default the latest: what is to be made again only with its number."""
        asked = asked_by(attempt or self.latest())
        for one in self.done():
            for target in one.targets:
                item = (one.engine, target, one.card_type, one.date)
                if one.again >= asked.get(item, 0):
                    yield item, one

    def cards(self, attempt: Attempt | None = None) -> set[Item]:
        """The cards that are recorded for an attempt, by default the latest."""
        return {item for item, _ in self.counted(attempt) if item[0] == "qa"}

    def missing_data(self) -> set[Item]:
        """The data of the present plan that is not durable, or is to be prepared again."""
        plan = self.plan()
        engines: tuple[EngineName, ...] = ("financial", "trading")
        wanted: set[Item] = {
            (engine, item.target, None, "")
            for engine in engines
            for item in plan.items(engine)
            if item.target not in plan.left_out
        }
        counted = [*self.counted()]
        missing = wanted - {item for item, _ in counted}
        made = {(item[1], one.request) for item, one in counted if one.engine == "news"}
        news = {call: ("news", call.targets[0], None, call.date) for call in plan.calls("news")}
        return missing | {item for call, item in news.items() if (call.targets[0], call.request) not in made}


def asked_by(attempt: Attempt) -> dict[Item, int]:
    """What people have asked to have made again until this attempt, with the number of the request."""
    return {one[:-1]: one.number for one in attempt.again}


def planned_cards(attempt: Attempt) -> set[Item]:
    """The cards of an attempt, from its config itself: none of the job's planning is used."""
    config = {name: json.loads(text) for name, text in attempt.objects.items()}
    listed = {ticker: {"id": ticker} for ticker in config["ticker_list.json"]}
    types = [{"name": one} if isinstance(one, str) else one for one in config["card_types.json"]]
    enabled = [one["name"] for one in types if one.get("enabled", True)]
    targets = listed | {target["id"]: target for target in config.get("card_targets.json", [])}
    return {
        ("qa", target["id"], card, target.get("date", attempt.day))
        for target in targets.values()
        for card in target.get("card_types", enabled)
        if card in enabled
    }


def wanted_cards(attempt: Attempt) -> set[Item]:
    """The cards that an attempt is to make: what is left out stays planned."""
    return {card for card in planned_cards(attempt) if card[1] not in attempt.without}


@dataclass
class Promise:
    """Watches the engines, and knows of the job only what it has stored and sent. Whatever is broken raises."""

    world: VirtualWorld
    made: set[tuple[str, Item]] = field(default_factory=set)
    """The cards on which the engine has done its work, each with its trace."""
    was_out: bool = False
    """Whether storage may have failed; then documents may be missing."""
    _keys: dict[str, tuple[object, ...]] = field(default_factory=dict)
    """The day, the request and the number for which each key was sent."""
    _key_of: dict[tuple[object, ...], str] = field(default_factory=dict)
    _tokens: set[str] = field(default_factory=set)
    _checked: set[tuple[str, int]] = field(default_factory=set)
    """The attempts whose requests were held against the promise."""
    _changes: int = 0
    """How often the lease was written or removed."""
    _seen: dict[int, int] = field(default_factory=dict)
    """How often it had been when a process first saw that another one has it."""
    _taken: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The same for the owner of a lease, and how often it had been when that one took it."""

    def watch(self) -> None:
        """Looks at every request of an engine from now on, when it arrives."""
        for service in self.world.engines.values():
            service.guard = self._watching(service.guard)
        work = self.world.qa.respond

        def respond(request: Seen) -> Any:
            if not request.path.startswith(WRONG):  # there, nobody makes it
                self.made.add((_trace(request), _card(request)))
            return work(request)

        self.world.qa.respond = respond
        self._watch_lease()

    def _watch_lease(self) -> None:
        runs = self.world.runs
        read, write, delete = runs.read, runs._write, runs.delete

        def watched_read(name: str, limit: int | None = None) -> StoredObject | None:
            there = read(name, limit)
            if name == LEASE and there is not None:
                self._seen.setdefault(id(_running.get()), self._changes)
            return there

        def watched_write(verb: str, name: str, data: bytes) -> StoredObject:
            if name == LEASE:
                owner = json.loads(data)["owner"]
                self._taken.setdefault(owner, (self._seen.get(id(_running.get()), self._changes), self._changes))
                self._changes += 1
            return write(verb, name, data)

        def watched_delete(name: str, generation: str) -> None:
            self._changes += name == LEASE and name in runs.objects
            delete(name, generation)

        runs.read, runs._write, runs.delete = watched_read, watched_write, watched_delete  # type: ignore[method-assign]

    def _watching(self, guard: Any) -> Any:
        def watched(request: Seen) -> Reply | None:
            if request.token is not None:
                self._tokens.add(request.token)
            if not request.path.endswith("/health"):
                self._arrived(request)
            refusal: Reply | None = guard(request)
            return refusal

        return watched

    def folders(self) -> list[Folder]:
        """The days that have an attempt, wherever they are recorded."""
        stores = [store.objects for uri, store in self.world.stores.items() if uri != self.world.config_uri]
        days = [(objects, {name[:10] for name in objects if name[10:].startswith("/attempts/")}) for objects in stores]
        return [Folder(objects, day) for objects, found in days for day in sorted(found)]

    def folder(self, day: str) -> Folder:
        """A day that is recorded under RUNS_URI."""
        return Folder(self.world.runs.objects, day)

    # --- what is promised ---

    def _arrived(self, request: Seen) -> None:
        """Holds a request against the promise."""
        trace = _trace(request)
        folder = next((one for one in self.folders() if one.latest().trace_id == trace), None)
        assert folder is not None, "called before the attempt is recorded"
        self._check_entries(folder)
        folder = folder.known()
        asked, items = asked_by(folder.latest()), self._items(folder, request)
        number = max(asked.get(item, 0) for item in items)
        assert self._number(folder, request) == number, f"{items} are to be made again as {number}"
        for item, is_recorded in items.items():
            assert not is_recorded, f"{item} is recorded and requested again"
        assert not {item[1] for item in items} & {*folder.latest().without}, f"{items} are left out"
        if request.service == "qa":
            assert not (missing := folder.missing_data()), f"{items} are requested without {missing}"
            assert items.keys() <= wanted_cards(folder.latest()), f"nobody wants {items}"

    def _items(self, folder: Folder, request: Seen) -> dict[Item, bool]:
        """What a request is for, each with whether that is recorded."""
        counted = [*folder.counted()]
        made = {item for item, _ in counted}
        if request.service == "qa":
            return {_card(request): _card(request) in made}
        if request.service == "news":
            calls = folder.plan().calls("news")
            same = [call for call in calls if (call.path, call.body) == (_path(request), request.body)]
            assert same, f"nobody wants {request.target}"
            requests = {result.request for _, result in counted}  # another topic key makes it another request
            return {("news", call.targets[0], None, call.date): call.request in requests for call in same}
        items: list[Item] = [(request.service, ticker, None, "") for ticker in request.tickers]
        return {item: item in made for item in items}

    def _number(self, folder: Folder, request: Seen) -> int:
        """The number with which something is made again, 0 if it is not: the key has it."""
        key, path = request.headers["idempotency-key"], _path(request)
        identity, call = RunIdentity(_trace(request)), (METHOD.encode(), request.service.encode(), path.encode())
        numbers = {0, *(asked.number for asked in folder.latest().again)}
        found = [one for one in numbers if identity.idempotency_key(*call, request.body, rerun=one) == key]
        assert found, f"an unknown key: {request.target}"
        place: tuple[object, ...] = (_trace(request), request.service, path, request.body, found[0])
        assert self._keys.setdefault(key, place) == place, f"the key of another request: {request.target}"
        assert self._key_of.setdefault(place, key) == key, f"another key for the same request: {request.target}"
        return found[0]

    def _check_entries(self, folder: Folder) -> None:
        """Holds what is to be made again against the promise: it was made, and what is open keeps its number."""
        before: dict[Item, int] = {}
        for number, attempt in folder.attempts().items():
            asked = asked_by(attempt)
            if (attempt.trace_id, number) not in self._checked:
                self._checked.add((attempt.trace_id, number))
                made = folder.made(number)
                new = {item for item, own in asked.items() if own == number}
                assert new <= made.keys(), f"never made, and made again: {new - made.keys()}"
                assert not (new and attempt.task_attempt), "a retry asks for something"
                if new and attempt.owner in self._taken:
                    seen, taken = self._taken[attempt.owner]
                    assert seen == taken, "it has seen another's lease, which was changed before it took it"
                assert {item for item, own in before.items() if asked.get(item) != own} <= new, "a request is lost"
                assert all(before.get(item, 0) <= made[item] for item in new), "what is open gets another number"
            before = asked

    def ended(self, outcome: Outcome, day: str | None, *, is_out: bool) -> None:
        """Holds the end of a process that was not killed against the promise.

        `day` is what it had to make, if that is certain; `is_out`: storage may have failed.
        """
        assert outcome.exit_code in CODES, outcome.stdout + outcome.stderr
        finished = outcome.finished
        assert finished["exit_code"] == outcome.exit_code
        for totals in (finished["cards"], *finished["engines"].values()):
            _assert_sum(totals)
        assert day is None or finished.get("day", day) == day, f"the start was for {day}: {finished}"
        if outcome.exit_code != 0:
            return
        folder = self.folder(finished["day"])
        began = outcome.events("run.started")
        attempt = folder.attempts()[began[0]["number"]] if began else folder.latest()
        wanted, planned, cards = wanted_cards(attempt), planned_cards(attempt), finished["cards"]
        assert cards["planned"] == cards["done"] + cards["left_out"] == len(planned)
        assert cards["left_out"] <= len(planned - wanted), "0, but not made nor left out"
        assert wanted <= {card for trace, card in self.made if trace == attempt.trace_id}, "0, but not made"
        if not is_out:
            # One that was paused may have been asked before what a later attempt asks for.
            assert wanted <= folder.cards(attempt), "0, but not recorded, or not made again"
            if attempt == folder.latest():
                assert not folder.missing_data()
                assert len(planned - folder.cards()) <= cards["left_out"]
                assert bool(finished.get("without")) >= bool(planned - folder.cards()), "done, without a word of that"

    async def check(self) -> None:
        """Holds everything that is recorded against the promise, and what the job says of it."""
        objects = dict(self.world.runs.objects)
        store = Memory(objects, clock=time.time)  # noqa: TID251  trio's, in virtual time
        for day in {name[:10] for name in objects if name[10:].startswith("/attempts/")}:
            folder = Folder(objects, day)
            self._check_entries(folder)
            found = await read_day(store, day)
            assert found is not None
            latest, (report, record) = max(folder.attempts()), found
            for totals in report.engines.values():
                _assert_sum(asdict(totals))
            planned = planned_cards(folder.latest())
            assert (report.cards.planned, report.cards.done) == (len(planned), len(planned & folder.cards()))
            if f"{day}/ends/{latest:06}.json" in objects:
                end = json.loads(objects[f"{day}/ends/{latest:06}.json"].data)
                # A paused attempt may have added the last results since.
                assert report.outcome == (Word.SUCCEEDED if record.ledger.is_complete else end["outcome"])
                assert (end["exit_code"] == 0) is (end["outcome"] == "succeeded")
                for totals in end["engines"].values():
                    _assert_sum(totals)
                self._check_charged(folder, end)
                has_lost = end["outcome"] in {"busy", "storage_failed"} or f"{day}/report.json" in end["not_written"]
                if not self.was_out and not has_lost:  # the lease
                    number = json.loads(objects[f"{day}/report.json"].data)["number"]
                    assert number == latest, f"the report of {number}, but {latest} has ended"
            else:
                assert report.outcome in {Word.AT_WORK, Word.KILLED}
        nights = (await read_nights(store)).nights
        assert [one for one in nights if one.outcome is Word.UNREADABLE] == []
        assert len({one.day for one in nights}) == len(nights)

    def _check_charged(self, folder: Folder, end: Mapping[str, Any]) -> None:
        """What the engine has made, and the record lacks, may have been charged; of a killed start nobody knows it."""
        latest = folder.latest()
        ends = [
            json.loads(data.data)["outcome"] for name, data in folder.objects.items() if f"{folder.day}/ends/" in name
        ]
        is_told = "charged_tries" in end and len(ends) == latest.number and not {"busy", "storage_failed"} & {*ends}
        if self.was_out or latest.again or not is_told:
            return
        made = {card for trace, card in self.made if trace == latest.trace_id}
        lost = (made & wanted_cards(latest)) - folder.cards()
        assert len(lost) <= end["perhaps_charged"] <= end["charged_tries"], lost

    def check_secrets(self, outputs: list[str]) -> None:
        """No token is in what was printed, nor in what is recorded."""
        shown = "\n".join([*outputs, *(data.decode() for data in self.world.recorded().values())])
        assert "eyJ" not in shown, "the beginning of a token"
        for token in self._tokens:
            assert token not in shown
        assert self.world.violations == []


def _trace(request: Seen) -> str:
    return request.headers["traceparent"].split("-")[1]


def _path(request: Seen) -> str:
    return request.target.removeprefix(WRONG)


def _card(request: Seen) -> Item:
    query = dict(request.query)
    return "qa", query["ticker"], request.path.removeprefix(WRONG).removeprefix("/card/"), query["date_str"]


def _assert_sum(totals: dict[str, int]) -> None:
    assert totals["planned"] == totals["done"] + totals["failed"] + totals["not_attempted"], totals
    assert totals["left_out"] <= totals["not_attempted"], totals
