"""Nights by chance: whole starts in virtual time among engines that fail as drawn, and what may be lost in them.

`python -m tests.runs.nights_by_chance` plays some. It knows of the job only its commands, its variables, its last line
and what the engines saw: which card could be made follows from what was drawn.
"""

import argparse
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise, product
from typing import Any, NamedTuple

import trio
from trio._core import _run
from trio.abc import Instrument
from trio.testing import MockClock

from tests.simulators import broken, do
from tests.simulators.engines import varied
from tests.simulators.job import Outcome
from tests.simulators.service import Fault, Visit
from tests.support.world import VirtualWorld, open_virtual_world

KINDS = ("outages", "front", "scattered", "few", "long", "data", "limits", "deadline", "killed", "named")
PATIENCE, ATTEMPTS = 600.0, 3
AT_A_TIME = {"financial": 4, "trading": 4, "news": 8}
FREE = ["401", "422", "429", "503"]  # any other try may have been paid for
ANSWERS = {code: do.status(int(code)) for code in [*FREE, "500"]}
ANSWERS |= {"done": do.nothing(), "failed": do.body({"status": "failed"}), "lost": broken.reset(), "hang": do.hang()}
OUT = ["500", "503", "lost", "hang", "401", "failed"]
Item = tuple[str, str | None]  # a target, and its card type if it is a card


class Outage(NamedTuple):
    """Seconds since the engine's first request, and the share of the requests. It may cut off what is in flight."""

    begin: float
    end: float
    mode: str
    share: float
    cuts: bool


class Night:
    """What is drawn."""

    def __init__(self, kind: str, seed: int, size: int, scale: float = 1.0) -> None:
        r = random.Random(f"{kind} {size} {seed}")
        self.kind, self.seed, self.size = kind, seed, size
        types = [f"c{number}" for number in range(r.choice([1, 2, 3, 5]))]
        count = round((scale * r.choice([16, 30, 60]) + (2 * size if size > 4 else 0)) / len(types))
        targets = [f"T{number:02}" for number in range(max(2, count))]
        self.cards: list[Item] = [*product(targets, types)]
        self.seconds, self.spread, self.fails_after = r.choice([2, 10, 30]), r.choice([0, 0.5]), r.choice([0, 0, 5])
        self.per_minute = r.choice([None, "6", "30", "120"]) if kind == "limits" else None
        self.capacity = r.choice([math.inf, max(2, size // 4), max(2, size // 2)]) if kind == "limits" else math.inf
        self.deadline = r.choice(["100", "400", "700", "1000", "1500"]) if kind == "deadline" else None
        self.killed_after = r.uniform(30, 900) if kind == "killed" else None
        self.without = r.choice([None, r.choice(targets)]) if kind == "named" else None
        self.again: list[Item] = []
        self.left: list[Item] | None = None  # by an earlier start in which nothing else failed
        self.bad: dict[Item, str] = {}  # what they always get
        if kind == "few":
            self.left = r.sample(self.cards, r.randint(1, 6))
            self.bad = {card: r.choice([*OUT, "422"]) for card in self.left[2:][: r.choice([0, 1, 1, 2])]}
        elif kind in {"front", "scattered", "named", "limits"} or r.random() < 0.3:
            self._draw_bad(r)
        if self.without:
            self.bad[self.without, None] = "500"
        elif kind == "named":
            self.left, self.again = [], r.sample(self.cards, r.randint(1, min(20, len(self.cards))))
        has_outages = kind not in {"front", "scattered", "limits", "named"} or r.random() < 0.3
        engines = r.sample([*AT_A_TIME], r.choice([1, 1, 2])) if kind == "data" else ["qa"]
        self.outages = {engine: [*self._draw_outages(r)] for engine in engines if has_outages}

    def _draw_bad(self, r: random.Random) -> None:
        """Targets, types or cards that always fail, 10 to 80 % of them, in a row or scattered."""
        for part in r.choice([[slice(1)], [slice(1, 2)], [slice(2)], [slice(1), slice(1, 2)]]):
            units = [*dict.fromkeys(card[part] for card in self.cards)]
            count = min(len(units) - 1, max(1, round(r.choice([0.1, 0.2, 0.4, 0.6, 0.8]) * len(units))))
            at = r.choice([0, 0, (len(units) - count) // 2, len(units) - count])
            some = units[at : at + count] if self.kind == "front" else r.sample(units, count)
            modes = r.choice([[r.choice(OUT)], [*OUT, "422"]])
            bad = {unit: r.choice(modes) for unit in some}
            self.bad |= {card: bad[card[part]] for card in self.cards if card[part] in bad}

    def _draw_outages(self, r: random.Random) -> Iterator[Outage]:
        """Up to three, each of them shorter than the patience; or a longer one."""
        begin = r.choice([0.0, r.uniform(0, 60), r.uniform(0, 400)])
        lengths = [math.inf, r.uniform(700, 1800)] if self.kind == "long" else [1.0, 20.0, 90.0, 300.0, 540.0]
        modes = OUT[:-1] if self.kind == "data" else OUT
        for _ in range(1 if self.kind == "long" else r.choice([1, 1, 2, 3])):
            end, mode = begin + r.choice(lengths) * r.uniform(0.9, 1.0), r.choice(modes)
            yield Outage(begin, end, mode, r.choice([1.0, 1.0, 1.0, 0.7, 0.3]), r.random() < 0.3)
            begin = end + r.choice([r.uniform(5, 60), r.uniform(60, 300), r.uniform(300, 1500)])


@dataclass(eq=False)
class Try:
    """A request that arrived at an engine."""

    start: int
    engine: str
    items: list[Item]
    arrived: float
    result: str = "gone"  # the job hung up
    outage: Outage | None = None
    ended: float = math.inf


class Play(Instrument):
    """A night: what the engines see, what the last start has lost, and what any has broken."""

    outcome: Outcome | None = None

    def __init__(self, night: Night) -> None:
        self.night = night
        self.tries: list[Try] = []
        self.starts: list[tuple[float, float]] = []  # when each began and ended
        self.lost: dict[Item, str] = {}  # good cards that are not made, and why that is no excuse
        self.excused: dict[Item, str] = {}
        self._ticks, self._scope = 0, trio.CancelScope()
        self._first: dict[str, float] = {}
        self._is_well = night.left is not None
        _run._r.seed(night.seed)  # or trio runs its tasks in another order each time
        trio.run(self._play, clock=MockClock(autojump_threshold=0))
        self.broken = [] if self.outcome else ["loops busily, or sleeps for ever"]
        if self.outcome:
            self._judge(self.outcome)

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002
        """Of trio, once for each turn of its loop: a start that turns too often loops busily."""
        self._ticks += 1
        if self._ticks > 20_000 + 100 * len(self.tries) + 5 * trio.current_time():
            self._scope.cancel()

    async def _play(self) -> None:
        night = self.night
        targets, types = ([*dict.fromkeys(some)] for some in zip(*night.cards, strict=True))
        config = {"ticker_list.json": targets, "card_types.json": types}
        arguments = ["--again"] * bool(night.again) + [f"{target}/{card_type}" for target, card_type in night.again]
        arguments += [f"--without={night.without}"] * bool(night.without)
        trio.lowlevel.add_instrument(self)
        async with trio.open_nursery() as nursery:
            async with open_virtual_world(nursery, config) as world:
                for engine, service in world.engines.items():
                    service.latency = varied(night.seconds, night.spread, seed=night.seed)
                    service.script = [Fault(lambda _: True, partial(self._serve, engine))]
                with self._scope, trio.move_on_after(200_000):
                    if self._is_well:
                        await self._start(world)
                        self._is_well, self._first = False, {}
                    if night.killed_after:
                        with trio.move_on_after(night.killed_after):
                            await self._start(world)
                    self.outcome = await self._start(world, *arguments)
            nursery.cancel_scope.cancel()

    async def _start(self, world: VirtualWorld, *arguments: str) -> Outcome:
        night, began = self.night, trio.current_time()
        env = {"QA_ENGINE_PER_MINUTE": night.per_minute, "RUN_DEADLINE_SECONDS": night.deadline}
        job = await world.start_job("run", *arguments, env={"QA_ENGINE_CONCURRENCY": f"{night.size}", **env})
        try:
            return await job.outcome()
        finally:
            job.process.kill()
            self.starts.append((began, trio.current_time()))

    async def _serve(self, engine: str, visit: Visit) -> None:
        now = trio.current_time()
        at = now - self._first.setdefault(engine, now)
        one = Try(len(self.starts) + 1, engine, [(name, visit.seen.card) for name in visit.seen.tickers], now)
        is_full = engine == "qa" and sum(other.ended > now for other in self.tries) >= self.night.capacity
        bad = dict.fromkeys(self.night.left or [], "422") if self._is_well else self.night.bad
        mode = next((bad[item] for item in one.items if item in bad), "429" if is_full else "done")
        outages = [] if self._is_well else self.night.outages.get(engine, [])
        coming = [outage for outage in outages if at < outage.end and (outage.cuts or at >= outage.begin)]
        outage = next((outage for outage in coming if random.random() < outage.share), None)
        self.tries.append(one)
        if sum(other.items == one.items and other.arrived > now - 1 for other in self.tries) > 9:
            self._scope.cancel()
        try:
            with trio.move_on_at(now - at + outage.begin if outage else math.inf) as is_hit:
                await self._answer(visit, one, mode)
            if outage and is_hit.cancelled_caught:
                one.outage = outage
                await self._answer(visit, one, outage.mode)
        finally:
            one.ended = trio.current_time()

    async def _answer(self, visit: Visit, one: Try, mode: str) -> None:
        await trio.lowlevel.checkpoint()  # an outage that is at work already strikes here
        one.result = "hang" if mode == "hang" else "gone"
        await visit.exchange.wait(0.0 if mode == "done" else self.night.fails_after)
        await ANSWERS[mode](visit)
        one.result = mode

    def _judge(self, outcome: Outcome) -> None:
        night, start = self.night, len(self.starts)
        began, self.ended = self.starts[-1]
        self.deadline = began + float(night.deadline or math.inf)
        self.qa = [one for one in self.tries if one.engine == "qa" and one.start == start]
        self.done = {one.items[0] for one in self.qa if one.result == "done"}
        self.asked = {one.items[0] for one in self.qa}
        earlier = {one.items[0] for one in self.tries if one.start < start and one.result == "done"}
        there = {card for card in earlier if card not in self.asked and card not in night.again}
        self.to_make = [card for card in night.cards if card not in there and card[0] != night.without]
        self._judge_calls()
        self._judge_end(outcome.exit_code, outcome.finished)
        for card in self.to_make:
            if card not in self.done and card not in night.bad:
                why, is_excused = self._why(card, outcome.finished["outcome"])
                (self.excused if is_excused else self.lost)[card] = why

    def _breaks(self, is_broken: object, what: str) -> None:
        if is_broken:
            self.broken.append(what)

    def _judge_calls(self) -> None:
        """How many there are at a time, and that nothing done is asked again, and no card before all data."""
        for start, engine in {(one.start, one.engine) for one in self.tries}:
            some = [one for one in self.tries if (one.start, one.engine) == (start, engine)]
            moves = sorted([(one.arrived, 1) for one in some] + [(one.ended, -1) for one in some])
            peak = max(accumulate(step for _, step in moves))
            self._breaks(peak > AT_A_TIME.get(engine, self.night.size), f"concurrency: {peak} at {engine}")
            paid = Counter(one.items[0] for one in some if engine == "qa" and one.result not in FREE)
            self._breaks(max(paid.values(), default=0) > ATTEMPTS, f"paid: {paid.most_common(1)}")
        limit = int(self.night.per_minute or len(self.qa))
        pairs = zip(self.qa, self.qa[limit:], strict=False)
        self._breaks(any(b.arrived - a.arrived < 59.99 for a, b in pairs), f"limit: over {limit} a minute")
        self._breaks(max(one.arrived for one in self.tries) > self.deadline + 0.01, "late: begun after the deadline")
        made: dict[tuple[str, Item], Try] = {}
        killed = self.starts[0][1] if self.night.killed_after else math.inf
        data = {(e, (card[0], None)) for e in AT_A_TIME for card in self.night.cards if card[0] != self.night.without}
        for one in self.tries:
            there = {key: was for key, was in made.items() if was.ended <= one.arrived}
            for item in one.items:
                if was := there.get((one.engine, item)):
                    may = was.start < one.start and (item in self.night.again or was.ended > killed - 3.5)
                    self._breaks(not may, f"asked again: {one.engine} {item} is done")
            self._breaks(one.engine == "qa" and data - there.keys(), f"barrier: before {data - there.keys()}")
            if one.result == "done":
                made |= {(one.engine, item): one for item in one.items}

    def _judge_end(self, code: int, end: dict[str, Any]) -> None:
        word, cards, failing = end["outcome"], end["cards"], self._failing(self.qa)
        for one in [*end["engines"].values(), cards]:
            self._breaks(one["planned"] != one["done"] + one["failed"] + one["not_attempted"], f"sums: {one}")
        counts = {"done": len(self.done), "failed": len(self.asked - self.done)}
        self._breaks(len(self.starts) == 1 and not counts.items() <= cards.items(), f"sums: {cards}, not {counts}")
        must = {"cards_missing", "qa_engine_down"}
        if self.done >= {*self.to_make}:
            must = {"succeeded"}
        elif not self.qa and "qa" not in self.night.outages:
            must = {"data_engine_failed"}
        elif self.asked >= {*self.to_make} or not failing or self.ended - failing[0].ended < PATIENCE - 1:
            must = {"cards_missing"}
        elif all(one.outage and one.outage.share == 1.0 for one in failing):
            must = {"qa_engine_down"}
        if must == {"cards_missing"} and not cards["done"] and all(one.result != "422" for one in self.qa):
            must = {"qa_engine_down"}
        if self.ended >= self.deadline - 1:
            must |= {"deadline"}
        codes = {"succeeded": 0, "data_engine_failed": 1, "deadline": 4}
        self._breaks(word not in must or code != codes.get(word, 3), f"ending: {code} {word}, not {must}")

    def _failing(self, tries: Iterable[Try]) -> list[Try]:
        """What failed since the last one that was done had begun, as it ended."""
        some = sorted(tries, key=lambda one: one.ended)
        done = max((one.arrived for one in some if one.result == "done"), default=-math.inf)
        return [one for one in some if one.ended >= done and one.result not in {"done", "422"}]

    def _why(self, card: Item, word: str) -> tuple[str, bool]:
        """Why a good card is not made, and whether that excuses it."""
        tries = [one for one in self.qa if one.items == [card]]
        if word == "deadline" or (tries and tries[0].ended + PATIENCE + 400 > self.deadline):
            return "deadline", True
        if word == "data_engine_failed":
            own = [self._failing(one for one in self.tries if one.engine == engine) for engine in self.night.outages]
            return "data failed", any(some and self.ended - some[0].ended >= PATIENCE - 1 for some in own)
        if not tries:
            whole = self._luck(self.to_make, self.night.size // 2) if word == "qa_engine_down" else 0.0
            luck = max(whole, self._luck([one for one in self.to_make if one[1] == card[1]], 1))
            return "outage" if luck == 1 else "unlucky draws" if luck >= 0.01 else "never requested", luck >= 0.01
        if not (first := tries[0].outage) or not (last := tries[-1].outage):
            return f"failed by {[one.result for one in tries if not one.outage]}", False
        failing = self._failing(one for one in self.qa if one.ended <= tries[-1].ended)
        waited = tries[-1].ended - min(failing[0].ended, tries[0].ended)
        outages = [one for one in self.night.outages["qa"] if first.begin <= one.begin <= last.begin]
        able = sum(after.begin - before.end for before, after in pairwise(outages))
        is_excused = waited >= PATIENCE - 1 and able < PATIENCE + 180 + 2 * self.night.seconds
        return "outage" if is_excused else f"given up after {waited:.0f} s, well for {able:.0f} s of them", is_excused

    def _luck(self, cards: list[Item], count: int) -> float:
        """The chance that fair draws of these cards, once so many had failed since one was done, met only failures."""
        tries = [one for one in self.qa if one.items[0] in cards]
        failing, luck, share = self._failing(tries), 1.0, 0.0
        if not failing or self.ended - failing[0].ended < PATIENCE - 1:
            return 0.0
        for one in failing:
            left = {*cards} - {other.items[0] for other in tries if other.arrived < one.arrived}
            failed = {other.items[0] for other in failing if other.ended <= one.arrived}
            is_drawn = one.items[0] in left and len(failed) >= count
            share = one.outage.share if one.outage else 0.0
            luck *= share + (1 - share) * (len(left & self.night.bad.keys()) / len(left) if is_drawn else 1.0)
        return luck if luck < 1.0 or share == 1.0 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=KINDS, nargs="*", default=KINDS)
    parser.add_argument("--size", type=int, nargs="*", default=[1, 2, 4, 16, 64], help="QA calls at a time")
    parser.add_argument("--nights", type=int, default=20, help="of each kind and size")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="plays this one night, and tells it")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.nights) if asked.seed is None else [asked.seed]
    for kind, size in product(asked.kind, asked.size):
        some = [Play(Night(kind, seed, size)) for seed in seeds]
        lossy = [f"{one.night.seed}: {one.lost} {one.broken}"[:200] for one in some if one.lost or one.broken]
        excused = dict(Counter(why for one in some for why in one.excused.values()))
        print(f"{kind:10} {size:3}: {len(some)} nights, {len(lossy)} lossy, {excused} excused", *lossy, sep="\n  ")
        if asked.seed is not None:
            print(vars(some[0].night), *some[0].tries, some[0].outcome and some[0].outcome.finished, sep="\n")


if __name__ == "__main__":
    main()
