"""Nights by chance: whole starts in virtual time among engines that fail as drawn, and what may be lost in them.

`python -m tests.runs.nights_by_chance` plays nights and prints a table. It knows of the job only its commands, its
variables, its last line and what the engines saw: which card could be made follows from what was drawn. A night that
breaks the promise is told, with the command that plays it again.
"""

import argparse
import math
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import trio
from trio.abc import Instrument
from trio.testing import MockClock

from tests.simulators import broken, do
from tests.simulators.engines import steady, varied
from tests.simulators.job import Outcome
from tests.simulators.service import Do, Fault, Visit
from tests.simulators.wire import ClientGoneError
from tests.support.world import VirtualWorld, open_virtual_world

PATIENCE, ATTEMPTS = 600.0, 3
TIMEOUT = {"financial": 900.0, "trading": 900.0, "news": 300.0, "qa": 300.0}
AT_A_TIME = {"financial": 4, "trading": 4, "news": 8}
DATA = (*AT_A_TIME,)
FREE = {"401", "403", "409", "422", "429", "503"}
"""Answers that cost nothing: any other try may have been paid for."""
OUT, BAD = ["500", "503", "failed", "lost", "hang", "401"], ["500", "503", "failed", "lost", "422", "hang", "401"]
UNLUCKY = 0.01
"""Above this chance, a draw that missed all good cards was bad luck."""
Item = tuple[str, str | None]
"""A target, and its card type if it is a card."""
KINDS = ("outages", "front", "scattered", "few", "long", "data", "limits", "deadline", "killed", "named")
SIZES = (1, 2, 4, 16, 64)


@dataclass(frozen=True)
class Outage:
    """Seconds since the engine's first request. What is in flight when a whole one begins may fail with it."""

    begin: float
    end: float
    mode: str
    share: float = 1.0
    cuts: bool = False


@dataclass
class Night:
    """What was drawn."""

    kind: str
    seed: int
    size: int
    targets: dict[str, list[str]]
    bad: dict[tuple[str, Item], str] = field(default_factory=dict)
    """By engine and item, what it always gets."""
    outages: dict[str, list[Outage]] = field(default_factory=dict)
    seconds: float = 20.0
    """That a call takes."""
    spread: float = 0.0
    fails_after: float = 0.0
    """The same for an answer that says by its status that it failed."""
    data_seconds: float | None = None
    """The same for a data engine, if it differs."""
    per_minute: int | None = None
    capacity: float = math.inf
    """QA answers 429 to more at a time."""
    deadline: float | None = None
    kill: float | None = None
    left: set[Item] | None = None
    """What an earlier start, in which all was well, has not made."""
    arguments: tuple[str, ...] = ()
    without: set[str] = field(default_factory=set)
    again: set[Item] = field(default_factory=set)

    @property
    def cards(self) -> list[Item]:
        return [(target, card_type) for target, types in self.targets.items() for card_type in types]

    def is_good(self, card: Item) -> bool:
        return ("qa", card) not in self.bad


@dataclass(eq=False, slots=True)
class Try:
    """A request that arrived at an engine."""

    start: int
    engine: str
    items: list[Item]
    arrived: float
    result: str = "open"
    """`done`; what it got; `gone` if the job hung up."""
    ended: float = math.inf
    outage: Outage | None = None

    @property
    def is_paid(self) -> bool:
        return self.result not in FREE


# --- a night is drawn ---


def draw(kind: str, seed: int, sizes: Iterable[int] = SIZES, scale: float = 1.0) -> Night:  # noqa: C901
    r = random.Random(f"{kind} {seed}")
    size, types = r.choice([*sizes]), [f"c{number}" for number in range(r.choice([1, 2, 3, 5]))]
    cards = scale * r.choice([16, 30, 60]) + (2 * size if size > 4 else 0)
    night = Night(kind, seed, size, {f"T{n:02}": [*types] for n in range(max(2, round(cards / len(types))))})
    night.fails_after = r.choice([0.0, 0.0, 5.0])
    night.seconds, night.spread = r.choice([2.0, 10.0, 30.0]), r.choice([0.0, 0.5])
    if kind in {"front", "scattered", "named", "limits", "few"} or r.random() < 0.3:
        _draw_bad(r, night, kind)
    if kind == "data":
        for engine in r.sample(DATA, r.choice([1, 1, 2])):
            night.outages[engine] = [*_draw_outages(r, [mode for mode in OUT if mode != "failed"])]
    elif kind == "long":
        begin = r.choice([0.0, r.uniform(0, 200)])
        end = begin + r.choice([math.inf, r.uniform(1.05, 3.0) * PATIENCE])
        night.outages["qa"] = [Outage(begin, end, r.choice(OUT), r.choice([1.0, 1.0, 0.7]), r.random() < 0.3)]
    elif kind in {"outages", "few", "deadline", "killed"} or r.random() < 0.3:
        night.outages["qa"] = [*_draw_outages(r, OUT)]
    if kind == "limits":
        night.per_minute = r.choice([None, 6, 30, 120])
        night.capacity = r.choice([math.inf, max(2, size // 4), max(2, size // 2)])
    if kind == "deadline":
        night.deadline = r.choice([100.0, 400.0, 700.0, 1000.0, 1500.0])
    if kind == "killed":
        night.kill = r.uniform(30, 900)
    if kind == "few":
        left = {*r.sample(night.cards, r.randint(1, 6))}
        night.left, night.bad = left, {}
        for card in r.sample([*left], r.choice([0, 1, 1, 2]) if len(left) > 2 else 0):
            night.bad["qa", card] = r.choice(BAD)
    if kind == "named" and r.random() < 0.5:
        night.without = {*r.sample([*night.targets], 1)}
        night.arguments = tuple(f"--without={name}" for name in night.without)
        night.bad["news", (min(night.without), None)] = "500"
    elif kind == "named":
        night.left, night.again = set(), {*r.sample(night.cards, r.randint(1, min(20, len(night.cards))))}
        night.arguments = ("--again", *(f"{target}/{card_type}" for target, card_type in night.again))
    return night


def _draw_bad(r: random.Random, night: Night, kind: str) -> None:
    """Tickers, types or cards that always fail, 10 to 80 % of them: first, last or scattered."""
    types = [*next(iter(night.targets.values()))]
    units: dict[str, list[list[Item]]] = {
        "targets": [[(target, one) for one in some] for target, some in night.targets.items()],
        "types": [[(target, one) for target in night.targets] for one in types],
        "cards": [[card] for card in night.cards],
    }
    for unit in r.choice([["targets"], ["types"], ["cards"], ["targets", "types"]]):
        some = units[unit]
        count = min(len(some) - 1, max(1, round(r.choice([0.1, 0.2, 0.4, 0.6, 0.8]) * len(some))))
        place = r.choice(["first", "first", "middle", "last"]) if kind == "front" else "scattered"
        at = {"first": 0, "last": len(some) - count, "middle": (len(some) - count) // 2}.get(place)
        chosen = r.sample(some, count) if at is None else some[at : at + count]
        modes = r.choice([[r.choice(BAD)], BAD])
        for items in chosen:
            mode = r.choice(modes)
            night.bad |= dict.fromkeys((("qa", item) for item in items), mode)


def _draw_outages(r: random.Random, modes: list[str]) -> Iterator[Outage]:
    """Up to three, each of them shorter than the patience."""
    begin = r.choice([0.0, r.uniform(0, 60), r.uniform(0, 400)])
    for _ in range(r.choice([1, 1, 2, 3])):
        end = begin + r.choice([1.0, 20.0, 90.0, 300.0, 540.0]) * r.uniform(0.8, 1.0)
        yield Outage(begin, end, r.choice(modes), r.choice([1.0, 1.0, 1.0, 0.7, 0.3]), r.random() < 0.3)
        begin = end + r.choice([r.uniform(5, 60), r.uniform(60, 300), r.uniform(300, 1500)])


# --- it is played ---


@dataclass(eq=False)
class Player(Instrument):
    """The engines of a night, and all that they see."""

    night: Night
    tries: list[Try] = field(default_factory=list)
    start: int = 0
    is_well: bool = False
    began: dict[str, float] = field(default_factory=dict)
    in_flight: Counter[str] = field(default_factory=Counter)
    outcome: Outcome | None = None
    times: list[tuple[float, float]] = field(default_factory=list)
    """When each start began and ended."""
    ticks: int = 0
    too_busy: bool = False
    _scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002
        """Of trio, once for each turn of its loop: a start that turns too often loops busily."""
        self.ticks += 1
        if self.ticks > 20_000 + 100 * len(self.tries) + 5 * self._elapsed:
            self.too_busy = True
            self._scope.cancel()

    _elapsed: float = 0.0

    async def play(self) -> None:
        night, env = self.night, {"QA_ENGINE_CONCURRENCY": str(self.night.size)}
        limit = 100_000 + 40 * len(night.cards) * (TIMEOUT["qa"] + night.seconds) / night.size
        names = [*dict.fromkeys(one for types in night.targets.values() for one in types)]
        config = {"ticker_list.json": [*night.targets], "card_types.json": names, "card_targets.json": night.targets}
        trio.lowlevel.add_instrument(self)
        async with trio.open_nursery() as nursery:
            async with open_virtual_world(nursery, config) as world:
                random.seed(night.seed)
                self.tries.clear()
                for engine, service in world.engines.items():
                    seconds = night.seconds if engine == "qa" else night.data_seconds or night.seconds
                    own = varied(seconds, night.spread, seed=night.seed) if night.spread else None
                    service.latency = own or steady(seconds)
                    service.script = [Fault(lambda _: True, self._engine(engine))]
                with self._scope, trio.move_on_after(limit):
                    if night.left is not None:
                        await self._prepare(world, config, night.left, env)
                    if night.per_minute:
                        env["QA_ENGINE_PER_MINUTE"] = str(night.per_minute)
                    if night.kill is not None:
                        await self._start(world, env, (), night.kill)
                    if night.deadline is not None:
                        env["RUN_DEADLINE_SECONDS"] = f"{night.deadline:.0f}"
                    self.outcome = await self._start(world, env, night.arguments)
            nursery.cancel_scope.cancel()

    async def _prepare(self, world: VirtualWorld, config: Any, left: set[Item], env: Any) -> None:
        """An earlier start makes all that is not left, while all is well."""
        targets = {
            name: [one for one in types if (name, one) not in left] for name, types in self.night.targets.items()
        }
        entries = [{"id": name, "card_types": types} for name, types in targets.items() if types]
        none = [name for name, types in targets.items() if not types]
        if len(entries) == 0:
            return
        # An entry without types gets all of them, so what has none left is left out.
        await world.configure("card_targets.json", entries)
        self.is_well = True
        await self._start(world, env, tuple(f"--without={name}" for name in none))
        self.is_well = False
        await world.configure("card_targets.json", config["card_targets.json"])

    async def _start(
        self, world: VirtualWorld, env: Any, arguments: tuple[str, ...], kill: float | None = None
    ) -> Outcome | None:
        self.start, outcome = self.start + 1, None
        if self.night.kill is None:
            self.began.clear()
        began = trio.current_time()
        job = await world.start_job("run", *arguments, env=env)
        with trio.move_on_after(math.inf if kill is None else kill):
            outcome = await job.outcome()
        job.send_signal(signal.SIGKILL)
        self.times.append((began, trio.current_time()))
        return outcome

    def _engine(self, engine: str) -> Do:
        chance = random.Random(f"{engine} {self.night.seed}")

        async def act(visit: Visit) -> None:
            if visit.seen.path == "/health":
                await visit.exchange.send(await visit.work())
                return
            now = self._elapsed = trio.current_time()
            began = self.began.setdefault(engine, now)
            one = Try(self.start, engine, [(name, visit.seen.card) for name in visit.seen.tickers], now)
            busy = self.in_flight[engine]
            self.in_flight[engine] += 1
            self.tries.append(one)
            mode, bad = None, [item for item in one.items if (engine, item) in self.night.bad]
            outages = [] if self.is_well else self.night.outages.get(engine, [])
            for outage in outages:
                if outage.begin <= now - began < outage.end and chance.random() < outage.share:
                    mode, one.outage, bad = outage.mode, outage, one.items
            if mode is None and bad and not self.is_well:
                mode = self.night.bad[engine, bad[0]]
            if mode is None and engine == "qa" and busy >= self.night.capacity and not self.is_well:
                mode = "429"
            try:
                if mode is None:
                    mode = await self._work(visit, one, began, outages)
                else:
                    await _failure(mode, engine, bad, self.night.fails_after)(visit)
                one.result = mode
            except ClientGoneError:
                one.result = "hang" if mode == "hang" else "gone"
                raise
            finally:
                self.in_flight[engine] -= 1
                one.ended = self._elapsed = trio.current_time()

        return act

    async def _work(self, visit: Visit, one: Try, began: float, outages: list[Outage]) -> str:
        """Answers well, unless an outage begins meanwhile that strikes what is in flight."""
        now = trio.current_time() - began
        cut = next((o for o in outages if o.cuts and now < o.begin and o.mode != "failed"), None)
        done = False
        with trio.move_on_after(math.inf if cut is None else cut.begin - now):
            reply = await visit.work()
            done = True
        if done:
            await visit.exchange.send(reply)
            return "done"
        assert cut is not None
        one.outage = cut
        await (broken.reset() if cut.mode == "lost" else _failure(cut.mode, one.engine, one.items))(visit)
        return cut.mode


def _failure(mode: str, engine: str, bad: list[Item], after: float = 0.0) -> Do:
    if mode == "hang":
        return do.hang()
    if mode == "lost":
        return broken.reset_after_work()
    if mode != "failed":
        return do.status(int(mode), after=after)
    if engine == "trading":
        return do.failing(*(target.upper() for target, _ in bad))
    return do.body({"status": "failed", "error": "the model refused", "message": "no"})


# --- it is judged ---


@dataclass
class Verdict:
    """What a night has cost, and what it broke."""

    lost: dict[Item, str] = field(default_factory=dict)
    """Good cards that are not made, and why that is no excuse."""
    excused: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    not_done: int = 0
    made: int = 0
    seconds: float = 0.0
    """Of the last start."""


def play(night: Night) -> tuple[Verdict, Player]:
    player = Player(night)
    trio.run(player.play, clock=MockClock(autojump_threshold=0))
    return Judge(night, player).verdict(), player


class Judge:
    """The oracle."""

    def __init__(self, night: Night, player: Player) -> None:
        self.night, self.player, self.found = night, player, Verdict()
        self.last = player.start
        self.tries = [one for one in player.tries if one.start == self.last]
        self.qa = [one for one in self.tries if one.engine == "qa"]
        self.done = {one.items[0] for one in self.qa if one.result == "done"}
        before = {item for one in player.tries for item in one.items if one.start < self.last and one.result == "done"}
        wanted = [card for card in night.cards if card[0] not in night.without]
        self.to_make = [card for card in wanted if card in night.again or card not in before]
        self.by_card: dict[Item, list[Try]] = defaultdict(list)
        for one in self.qa:
            self.by_card[one.items[0]].append(one)

    def verdict(self) -> Verdict:
        found, player = self.found, self.player
        if player.too_busy or player.outcome is None:
            found.broken.append("loops busily" if player.too_busy else "sleeps for ever")
            return found
        began, ended = player.times[-1]
        found.seconds, found.made = ended - began, len(self.done)
        found.not_done = sum(one.result != "done" for one in self.qa)
        self._limits()
        self._order()
        self._ending(player.outcome)
        if player.outcome.exit_code == 1:
            self._data(player.outcome)
        else:
            for card in self.to_make:
                if card not in self.done and self.night.is_good(card):
                    why, is_excused = self._why(card, player.outcome)
                    found.excused += Counter({why: int(is_excused)})
                    found.lost |= {} if is_excused else {card: why}
        return found

    def _breaks(self, is_broken: object, what: str) -> None:
        if is_broken:
            self.found.broken.append(what)

    def _limits(self) -> None:
        for start, (began, _) in enumerate(self.player.times, 1):
            own = [one for one in self.player.tries if one.start == start]
            for engine in (*DATA, "qa"):
                some = [one for one in own if one.engine == engine]
                moves = sorted([(one.arrived, 1) for one in some] + [(one.ended, -1) for one in some])
                peak = now = 0
                for _, step in moves:
                    now += step
                    peak = max(peak, now)
                self._breaks(peak > AT_A_TIME.get(engine, self.night.size), f"concurrency: {peak} at {engine}")
            qa = [one for one in own if one.engine == "qa"]
            paid = Counter(one.items[0] for one in qa if one.is_paid)
            self._breaks(paid and max(paid.values()) > ATTEMPTS, f"paid: {paid.most_common(1)}")
            if (limit := self.night.per_minute) and start == self.last:
                pairs = zip(qa, qa[limit:], strict=False)
                self._breaks(any(b.arrived - a.arrived < 59.99 for a, b in pairs), f"per minute: more than {limit}")
            if self.night.deadline and start == self.last:
                late = [one for one in own if one.arrived > began + self.night.deadline + 0.01]
                self._breaks(late, f"late: {len(late)} began after the deadline")

    def _order(self) -> None:
        """Nothing is asked again once it is done, and no card before all data."""
        made: dict[tuple[str, Item], Try] = {}
        for one in self.player.tries:
            for item in one.items:
                key, kills = (one.engine, item), self.night.kill is not None and self.player.times[0][1]
                if (there := made.get(key)) and there.ended <= one.arrived:
                    is_lost = kills and there.start < one.start and there.ended > kills - 3.5
                    is_new = one.engine == "qa" and item in self.night.again and there.start < one.start
                    self._breaks(not (is_lost or is_new), f"asked again: {one.engine} {item} is done")
            if one.engine == "qa":
                targets = [
                    name for name in self.night.targets if name not in self.night.without or not self._is_last(one)
                ]
                some = [(e, t) for e in DATA for t in targets if (e, (t, None)) not in made]
                early = [t for t in some if self._is_last(one) or self.night.left is None]
                self._breaks(early, f"barrier: a card before {early[:3]}")
            if one.result in {"done", "failed"} and not (one.result == "failed" and one.engine != "trading"):
                failed = {item for item in one.items if one.outage or (one.engine, item) in self.night.bad}
                good = one.items if one.result == "done" else [item for item in one.items if item not in failed]
                made |= {(one.engine, item): one for item in good}

    def _is_last(self, one: Try) -> bool:
        return one.start == self.last

    def _ending(self, outcome: Outcome) -> None:
        end, night = outcome.finished, self.night
        code, word, cards = outcome.exit_code, end["outcome"], end["cards"]
        for name, totals in {**end["engines"], "cards": cards}.items():
            parts = totals["done"] + totals["failed"] + totals["not_attempted"]
            self._breaks(totals["planned"] != parts, f"sums: {name}: {totals}")
        self._breaks(outcome.stderr, f"stderr: {outcome.stderr[-500:]}")
        missing = [card for card in self.to_make if card not in self.done]
        untried = [card for card in missing if card not in self.by_card]
        said = " ".join([end["message"], *end.get("notes", [])])
        is_down = "QA engine is down" in said or "QA engine was down" in said
        if code == 1:
            self._breaks(self.qa or word != "data_engine_failed", f"ending: 1, {word}, and {len(self.qa)} cards asked")
            return
        if not missing:
            self._breaks((code, word) != (0, "succeeded") or is_down, f"ending: all made, and {code} {word}: {said}")
            return
        if code == 4:
            over = self.player.times[-1][0] + (night.deadline or math.inf)
            self._breaks(
                self.player.times[-1][1] < over - 1 or word != "deadline", f"ending: 4 before the deadline, {word}"
            )
            return
        self._breaks(code != 3 or word not in {"cards_missing", "qa_engine_down"}, f"ending: {code} {word}: {said}")
        self._breaks(is_down and word != "qa_engine_down", f"says: {word}, and it says: {said}")
        last_done = max((one.ended for one in self.qa if one.result == "done"), default=-math.inf)
        must_be: str | None = None
        if not untried or self.player.times[-1][1] - last_done < PATIENCE - 1:
            must_be = "cards_missing"
        elif any(self._is_type_well(card_type) for card_type in {card_type for _, card_type in untried}):
            must_be = "qa_engine_down"
        self._breaks(must_be and word != must_be, f"ending: {len(untried)} untried: {word}, not {must_be}: {said}")
        if night.kill is None and night.left is None:
            counted = (cards["done"], cards["failed"], cards["not_attempted"])
            asked = len(night.cards) - len(self.by_card)
            self._breaks(counted != (len(self.done), len(self.by_card) - len(self.done), asked), f"counts: {counted}")

    def _failing(self, card_type: str | None) -> list[Try]:
        """The failed tries of a type since one of it was made."""
        some = [one for one in self.qa if one.items[0][1] == card_type]
        last = max((one.ended for one in some if one.result == "done"), default=-math.inf)
        return [one for one in some if one.result != "done" and one.ended > last]

    def _is_type_well(self, card_type: str | None) -> bool:
        """Whether only outages of the whole engine have struck it, so that it cannot have been given up."""
        return all(one.outage is not None and one.outage.share == 1.0 for one in self._failing(card_type))

    # --- why a good card is not made ---

    def _why(self, card: Item, outcome: Outcome) -> tuple[str, bool]:
        """Why it is not made, and whether that excuses it."""
        if outcome.exit_code == 4:
            return "deadline", True
        if some := self.by_card.get(card):
            return self._why_failed(some)
        chances = [self._luck()] if outcome.finished["outcome"] == "qa_engine_down" else []
        if len({one.items[0] for one in self._failing(card[1])}) >= 8:
            whole = [one for one in self.to_make if one[1] == card[1]]
            chances.append((sum(not self.night.is_good(one) for one in whole) / len(whole)) ** 4)
        luck = max(chances, default=0.0)
        if luck == 1.0:
            return "long outage", True
        return ("unlucky draws", True) if luck >= UNLUCKY else (f"never requested (luck {luck:.1g})", False)

    def _why_failed(self, some: list[Try]) -> tuple[str, bool]:
        first, last, night = some[0], some[-1], self.night
        began = self.player.began["qa"]
        if night.deadline and first.ended + PATIENCE + 400 > self.player.times[-1][0] + night.deadline:
            return "deadline", True
        a, b = first.outage, last.outage
        if a is None or b is None:
            return f"failed by {[one.result for one in some if one.outage is None]}", False
        if self._span("qa", b) >= PATIENCE - 1 or (a == b and last.arrived - first.ended >= PATIENCE - 1):
            is_long = b.end - b.begin >= PATIENCE
            return "long outage" if is_long else "patience begun before the outage", True
        between = [o for o in night.outages["qa"] if a.end < o.begin < b.begin]
        able = b.begin - a.end - sum(o.end - o.begin for o in between)
        slack = 120 + 60 * len(between) + 2 * night.seconds
        if a != b and able < PATIENCE + slack:
            return "two outages", True
        return f"requested, failed by {[(round(one.arrived - began), one.result) for one in some]}", False

    def _span(self, engine: str, outage: Outage) -> float:
        """How long it lasted as the promise has it: from the first failure since a call was done."""
        began = self.player.began[engine]
        some = [one for one in self.tries if one.engine == engine and one.ended <= began + outage.end + 0.001]
        done = max((one.ended for one in some if one.result == "done"), default=-math.inf)
        failed = [one.ended for one in some if one.result not in {"done", "422"} and one.ended > done]
        return began + outage.end - min(failed, default=math.inf)

    def _luck(self) -> float:
        """The chance that a fair draw since the last done call met nothing but failures; 0 if it gave up too early."""
        last = max((one.ended for one in self.qa if one.result == "done"), default=-math.inf)
        failed = [one.ended for one in self.qa if one.ended > last and one.result != "422"]
        if self.player.times[-1][1] - min(failed, default=math.inf) < PATIENCE - 1:
            return 0.0
        begun: set[Item] = set()
        luck, is_out = 1.0, False
        for one in self.qa:
            card = one.items[0]
            if one.arrived >= last:
                share = one.outage.share if one.outage else 0.0
                chance = 1.0
                if card not in begun and self._is_open(last, one.arrived):  # else they begin in their order
                    left = [card for card in self.to_make if card not in begun]
                    chance = sum(not self.night.is_good(card) for card in left) / len(left)
                luck *= share + (1 - share) * chance
                is_out = share == 1.0
            begun.add(card)
        return luck if luck < 1.0 or is_out else 0.0

    def _is_open(self, last: float, now: float) -> bool:
        """Whether so many calls have failed since the last done one that the breaker has to be open."""
        return len({one.items[0] for one in self.qa if last < one.ended <= now}) >= max(1, self.night.size // 2)

    def _data(self, outcome: Outcome) -> None:
        """A data engine has failed: did it have to?"""
        night, totals = self.night, outcome.finished["engines"]
        for engine in DATA:
            if totals[engine]["failed"] <= totals[engine]["cut_off"]:
                continue
            if any(one == engine and target not in night.without for one, (target, _) in night.bad):
                self.found.excused["bad data"] += 1
                return
            if any(self._span(engine, outage) >= PATIENCE - 1 for outage in night.outages.get(engine, [])):
                self.found.excused["long data outage"] += 1
                return
        self.found.lost = dict.fromkeys(self.to_make, f"data failed: {outcome.finished['message']}")


# --- it is told ---


def story(night: Night, player: Player, found: Verdict, lines: int = 70) -> str:
    """What happened, for a person."""
    bad = defaultdict(list)
    for (engine, item), mode in night.bad.items():
        bad[f"{engine} {mode}"].append("/".join(part for part in item if part))
    told = [
        f"{len(night.cards)} cards of {len(night.targets)} targets, {night.size} at a time, {night.seconds} s a call; "
        + "; ".join(
            f"{name} {getattr(night, name)}"
            for name in ("spread", "fails_after", "per_minute", "capacity", "deadline", "kill", "left", "arguments")
            if getattr(night, name) not in (None, 0.0, math.inf, ())
        )
    ]
    told += [f"  always {mode}: {len(some)}: {' '.join(some[:12])}" for mode, some in bad.items()]
    told += [f"  out: {engine} {outage}" for engine, some in night.outages.items() for outage in some]
    shown: list[list[Any]] = []
    for one in sorted(player.tries, key=lambda one: one.ended):
        key = (one.start, one.engine, one.result, one.outage is not None)
        began = player.times[one.start - 1][0] if player.times[one.start - 1 :] else 0.0
        if shown and shown[-1][0] == key:
            shown[-1][2] = one.ended - began
            shown[-1][3].append(one)
        else:
            shown.append([key, one.ended - began, one.ended - began, [one]])
    middle = [] if len(shown) <= lines else [f"  … {len(shown) - lines} lines …"]
    rows = []
    for (start, engine, result, is_out), first, last, some in shown:
        names = " ".join("/".join(p for p in one.items[0] if p) for one in some[:6])
        rows.append(
            f"  {start}: {first:8.1f} to {last:8.1f} s {engine} {len(some)} {result}{' (out)' * is_out}: {names}"
        )
    told += rows if not middle else rows[: lines // 2] + middle + rows[-lines // 2 :]
    if player.outcome:
        end = player.outcome.finished
        told.append(f"  ended at {found.seconds:.0f} s: {end['exit_code']} {end['outcome']}: {end['message']}")
        told += [f"    {note}" for note in end.get("notes", [])]
    reasons: dict[str, list[Item]] = defaultdict(list)
    for card, why in found.lost.items():
        reasons[why].append(card)
    told += [f"  LOST {len(some)}: {why}: {some[:6]}" for why, some in [*reasons.items()][:6]]
    told += [f"  BROKEN: {what}" for what in found.broken[:6]]
    return "\n".join(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=20, help="of each kind and number at a time")
    parser.add_argument("--kind", choices=KINDS, nargs="*", default=[*KINDS])
    parser.add_argument("--size", type=int, nargs="*", default=[*SIZES])
    parser.add_argument("--seed", type=int, help="plays this one night, and tells it")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--stories", type=int, default=1, help="told of each row")
    asked = parser.parse_args()
    began = time.perf_counter()
    seeds = range(asked.first, asked.first + asked.nights) if asked.seed is None else [asked.seed]
    print(f"{'kind':10} {'size':>4} nights lossy  cards  not done     made  end mean     max   broken, excused")
    for kind in asked.kind:
        for size in asked.size:
            _row(kind, size, seeds, asked.stories if asked.seed is None else None)
    print(f"{time.perf_counter() - began:.0f} s")


def _row(kind: str, size: int, seeds: Iterable[int], stories: int | None) -> None:
    some: list[Verdict] = []
    told: list[str] = []
    for seed in seeds:
        night = draw(kind, seed, [size])
        found, player = play(night)
        some.append(found)
        if stories is None or ((found.lost or found.broken) and len(told) < stories):
            told.append(f"--kind {kind} --size {size} --seed {seed}\n{story(night, player, found)}")
    lossy, cards = sum(bool(one.lost) for one in some), sum(len(one.lost) for one in some)
    broken = Counter(why for one in some for why in {what.partition(":")[0] for what in one.broken})
    excused = sum((one.excused for one in some), Counter[str]())
    not_done, made = sum(one.not_done for one in some), sum(one.made for one in some)
    mean, longest = sum(one.seconds for one in some) / len(some), max(one.seconds for one in some)
    line = f"{kind:10} {size:4} {len(some):6} {lossy:5} {cards:6} {not_done:9} {made:8} {mean:8.0f} {longest:7.0f}   "
    print(line + f"{dict(broken) or ''} {dict(excused) or ''}", *told, sep="\n", flush=True)


if __name__ == "__main__":
    main()
