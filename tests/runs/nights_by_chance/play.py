"""How a night is played: whole starts in virtual time, among engines that do what was drawn and note every try."""

import math
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile
from signal import SIGKILL, Signals

import trio
from hypothesis import given, settings
from hypothesis.strategies import just
from trio.abc import Instrument

from tests.runs.nights_by_chance.night import REFUSAL, Blow, Item, Night, Outage, Start, fate
from tests.runs.nights_by_chance.promise import Day, broken, broken_of_shown, days_of
from tests.simulators import broken as breaking
from tests.simulators import do
from tests.simulators.engines import varied
from tests.simulators.job import Job, Outcome
from tests.simulators.service import Do, Fault, Visit
from tests.support.virtual_time import in_virtual_time
from tests.support.world import START, open_virtual_world

STATUSES = ["401", "403", "404", "409", "422", "429", "500", "502", "503", "504"]
ANSWERS: dict[str, Do] = {code: do.status(int(code)) for code in STATUSES}
ANSWERS |= {"done": do.nothing(), "failed": do.body({"status": "failed"}), "lost": breaking.reset(), "hang": do.hang()}
ENDLESS_SECONDS, ENDLESS_TRIES = 100_000.0, 500
"""No night takes so long, and no item so many tries."""


@dataclass(eq=False)
class Try:
    """A request that arrived at an engine."""

    engine: str
    items: list[Item]
    arrived: float
    start: int = -1
    """The number of the start that has sent it: the last one that recorded an attempt before."""
    ended: float = math.inf
    result: str = "gone"
    """A word of `ANSWERS`; `gone`: the job hung up."""
    outage: Outage | None = None
    """That struck it."""


@dataclass
class Played:
    """A start that was played."""

    start: Start
    number: int
    began: float
    ended: float = math.inf
    outcome: Outcome | None = None
    """`None` if it was killed, or has no end."""
    attempt: int | None = None
    """The number of its attempt, if it has made one, which it `opened` then."""
    opened: float = math.inf
    struck: Signals | None = None
    retry_of: "Played | None" = None
    over: trio.Event = field(default_factory=trio.Event)


class Play(Instrument):
    """A night, and what the engines have seen of it."""

    def __init__(self, night: Night) -> None:
        self.night = night
        self.tries: list[Try] = []
        self.starts: list[Played] = []
        self.stuck = ""
        """What a start does instead of ending."""
        self.broken: list[str] = []
        """What is broken of the promise."""
        self.day: Day | None = None
        """What is recorded at the end."""
        self.refused: list[float] = []
        """When requests to storage failed."""
        self.zero: dict[str, float] = {}
        """When an engine's first request arrived: the zero of its outages."""
        self._in_flight: defaultdict[str, set[Try]] = defaultdict(set)
        self._old_tokens: set[str] = set()
        self._made: set[str | None] = set()
        """The types of which a card is made."""
        self._arrived = trio.Event()
        self._turns = 0
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Plays it."""
        night = self.night
        config = {"ticker_list.json": night.targets, "card_types.json": night.types}
        trio.lowlevel.add_instrument(self)
        async with trio.open_nursery() as nursery:
            async with open_virtual_world(nursery, config) as world:
                self._world = world
                world.token_server = lambda: self._strikes("token server", "qa") or "well"
                world.runs.refuse = lambda verb, _: self._storage_fails(verb)
                world.runs.lose = lambda *_: self._storage_fails("lost")
                for engine, service in world.engines.items():
                    service.latency = varied(night.seconds, night.spread, seed=night.seed)
                    service.script = [Fault(lambda _: True, partial(self._serve, engine))]
                self._scope.deadline = ENDLESS_SECONDS
                with self._scope:
                    for start in night.starts:
                        await self._begin(start, nursery)
                    for played in self.starts:
                        await played.over.wait()
                self.broken += broken(world)
                self.refused = [at - START.timestamp() for at in world.runs.failed]
                for self.day in days_of(world):
                    for number, attempt in self.day.attempts.items():  # each start has its own START_WITH
                        played = self.starts[int(attempt.start_with or "")]
                        played.attempt, played.opened = number, self.day.at(number)
                        for one in self.tries:
                            one.start = played.number if one.arrived >= played.opened else one.start
            nursery.cancel_scope.cancel()
        if self._scope.cancelled_caught:
            self.stuck = self.stuck or "sleeps for ever"

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002
        """Of trio, once for each turn of its loop: a start that turns too often loops busily."""
        self._turns += 1
        if self._turns > 20_000 + 100 * len(self.tries) + 5 * trio.current_time() * len(self.starts):
            self._give_up("loops busily")

    def _give_up(self, why: str) -> None:
        self.stuck = why
        self._scope.cancel()

    async def _begin(self, start: Start, nursery: trio.Nursery) -> None:
        if start.after is not None:
            await trio.sleep(start.after)
        elif start.follows:
            await next(one for one in reversed(self.starts) if one.retry_of is None).over.wait()
        else:
            for one in self.starts:
                await one.over.wait()
            if self.starts:
                self.broken += await broken_of_shown(self._world)
        played = Played(start, len(self.starts), trio.current_time())
        self.starts.append(played)
        types = [{"name": name, "enabled": name not in start.absent} for name in self.night.types]
        await self._world.configure("ticker_list.json", [one for one in self.night.targets if one not in start.absent])
        await self._world.configure("card_types.json", types)
        await self._world.configure("llm_config.json", {"default": {"backend": "local", "model_name": start.model}})
        await self._start(played, nursery)

    async def _start(self, played: Played, nursery: trio.Nursery) -> None:
        start, first = played.start, played.retry_of or played
        variables = self.night.variables | {"START_WITH": f"{played.number}"}
        if start.retry_after is not None:
            variables |= {
                "CLOUD_RUN_EXECUTION": f"{first.number}",
                "CLOUD_RUN_TASK_ATTEMPT": f"{played is not first:d}",
            }
        job = await self._world.start_job("run", *start.arguments, env=variables)
        nursery.start_soon(self._attend, job, played, nursery)
        if start.blow is not None:
            nursery.start_soon(self._strike, job, played, start.blow)

    async def _attend(self, job: Job, played: Played, nursery: trio.Nursery) -> None:
        outcome = await job.outcome()
        played.outcome = None if outcome.exit_code == -SIGKILL else outcome
        played.ended = trio.current_time()
        if outcome.exit_code and played.start.retry_after is not None and played.retry_of is None:
            retry = Played(replace(played.start, blow=None), len(self.starts), math.inf, retry_of=played)
            self.starts.append(retry)
            nursery.start_soon(self._retry, retry, played.start.retry_after, nursery)
        played.over.set()

    async def _retry(self, retry: Played, seconds: float, nursery: trio.Nursery) -> None:
        await trio.sleep(seconds)
        retry.began = trio.current_time()
        await self._start(retry, nursery)

    async def _strike(self, job: Job, played: Played, blow: Blow) -> None:
        count = len(self.tries) + blow.requests
        while len(self.tries) < count:
            await self._arrived.wait()
        await trio.sleep(blow.seconds)
        if job.process.returncode is None:
            played.struck = blow.signal
            job.send_signal(blow.signal)

    def _storage_fails(self, verb: str) -> bool:
        modes, now = {verb, "lost" if verb == "lost" else "all"}, trio.current_time()
        is_out = any(one.begin <= now < one.end and one.mode in modes for one in self.night.outages.get("storage", []))
        return is_out and not self.starts[-1].start.is_quiet

    async def _serve(self, engine: str, visit: Visit) -> None:
        """Answers a request as usual, until an outage strikes it."""
        now = trio.current_time()
        one = Try(engine, [(name, visit.seen.card) for name in visit.seen.tickers], now)
        usual = self._usual(one, visit)
        self.tries.append(one)
        self._arrived.set()
        self._arrived = trio.Event()
        self._in_flight[engine].add(one)
        latest = takewhile(lambda other: other.arrived > now - 1, reversed(self.tries))
        if sum(other.items == one.items for other in latest) > 9:
            self._give_up(f"asks for {one.items} ten times within a second")
        if visit.seen.attempt > ENDLESS_TRIES:
            self._give_up(f"asks for {one.items} for ever")
        outage = self._coming(one, visit.seen.attempt)
        try:
            with trio.move_on_at(self.zero[engine] + outage.begin if outage else math.inf) as strike:
                await self._answer(visit, one, usual)
            if outage and strike.cancelled_caught:
                one.outage = outage
                await self._answer(visit, one, outage.mode)
        finally:
            one.ended = trio.current_time()
            if one.result == "done":
                self._made.add(one.items[0][1])
            self._in_flight[engine].remove(one)

    def _usual(self, one: Try, visit: Visit) -> str:
        """What a request gets that no outage strikes."""
        night, start, token = self.night, self.starts[-1].start, visit.seen.token or ""
        if start.is_quiet:
            return REFUSAL if one.items[0] in start.left else "done"
        bad = night.bad.get(one.engine, {})
        room, too_large = night.batch_room.get(one.engine, (math.inf, "done"))
        if found := [bad[item] for item in one.items if item in bad]:
            card_type = one.items[0][1]
            is_first = card_type in night.once and card_type not in self._made
            return "done" if is_first else found[0]
        if len(one.items) > room:
            return too_large
        if one.engine != "qa":
            return "done"
        if self._since("qa") < night.token_ends:
            self._old_tokens.add(token)
        elif token in self._old_tokens:
            return "401"
        if len(self._in_flight["qa"]) >= night.room:
            return "429"
        return "done"

    def _coming(self, one: Try, attempt: int) -> Outage | None:
        """The outage that strikes a request, or will if it takes long enough."""
        if self.starts[-1].start.is_quiet:
            return None
        at = one.arrived - self.zero.setdefault(one.engine, one.arrived)
        luck = fate(self.night, one.engine, one.items, attempt)
        for outage in self.night.outages.get(one.engine, []):
            if at < outage.end and (at >= outage.begin or outage.cuts) and luck.random() < outage.share:
                return outage
        return None

    def _since(self, engine: str) -> float:
        return trio.current_time() - self.zero.get(engine, trio.current_time())

    def _strikes(self, name: str, clock: str) -> str | None:
        """How an outage strikes now, by the clock of an engine."""
        at = self._since(clock)
        return next((x.mode for x in self.night.outages.get(name, []) if x.begin <= at < x.end), None)

    async def _answer(self, visit: Visit, one: Try, mode: str) -> None:
        await trio.lowlevel.checkpoint()  # an outage that is at work already strikes here
        one.result = "hang" if mode == "hang" else "gone"
        await visit.exchange.wait(0.0 if mode == "done" else self.night.fails_after)
        await ANSWERS[mode](visit)
        one.result = mode


def play(night: Night) -> Play:
    """Plays a night. Within a test of Hypothesis, trio takes its tasks in the same order each time."""
    played = []

    @settings(max_examples=1, database=None, deadline=None)
    @given(just(night))
    def run(night: Night) -> None:
        played.append(Play(night))
        in_virtual_time(played[-1].run)

    run()
    return played[-1]
