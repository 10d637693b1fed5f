"""What must hold of a night that was played, and which good cards it has lost.

A rule yields what is broken. A *good* item is one that its engine never fails for a reason of the item's own.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from tests.runs.nights_by_chance.night import ATTEMPTS, CONCURRENCY, FREE, PATIENCE, REFUSAL, TIMEOUT, Item
from tests.runs.nights_by_chance.play import Play, Played, Try

PAUSE = 30.0
"""The longest between two probes of an engine that fails."""
UNWRITTEN = 3.5
"""Seconds of results that a kill may lose."""
CODES = {"succeeded": 0, "data_engine_failed": 1, "cards_missing": 3, "qa_engine_down": 3, "deadline": 4}


class Facts:
    """What the engines saw of a start, as far as rules ask for it."""

    def __init__(self, play: Play, played: Played) -> None:
        self.play, self.night, self.played = play, play.night, played
        self.tries = [one for one in play.tries if one.start == played.number]
        self.qa = [one for one in self.tries if one.engine == "qa"]
        self.tried: dict[Item, list[Try]] = {}
        for one in self.qa:
            self.tried.setdefault(one.items[0], []).append(one)
        self.made = {one.items[0] for one in self.qa if one.result == "done"}
        self.deadline = played.began + self.night.deadline
        self.is_last = played is play.starts[-1]
        done = {one.items[0] for one in play.tries if one.start < played.number and is_done(one, "qa")}
        self.kept = kept = done - self.tried.keys() - {*self.night.again}
        """The cards of the day that are there when it begins."""
        self.wanted = [card for card in self.night.cards if card[0] != self.night.without and card not in kept]
        """The cards that the start has to make. A done one counts, unless its result was lost or is asked for again."""

    def missing_data(self, until: float | None = None) -> dict[str, set[str]]:
        """What the data engines have not done until then, by default the end, of what is not left out."""
        wanted, until = {*self.night.targets} - {self.night.without}, until or self.played.ended
        done = {
            engine: {target for one in self.play.tries if is_done(one, engine, until) for target, _ in one.items}
            for engine in CONCURRENCY
        }
        return {engine: wanted - done[engine] for engine in CONCURRENCY if wanted - done[engine]}

    def is_out(self, engine: str) -> bool:
        """Whether the engine has done nothing more in an outage that was as long as the patience."""
        done = max((one.ended for one in self.tries if is_done(one, engine)), default=self.played.began)
        outages = self._whole_outages(engine)
        return any(end > done and end - max(begin, self.played.began) >= PATIENCE - 1 for begin, end in outages)

    def _whole_outages(self, engine: str) -> list[tuple[float, float]]:
        """When the engine did nothing at all. In a short gap between two, no call can have shown that it works."""
        found: list[tuple[float, float]] = []
        zero, gap = self.play.zero.get(engine, math.inf), 0.0
        for outage in self.night.outages.get(engine, []):
            if outage.share == 1.0:
                begin, end = zero + outage.begin, zero + outage.end
                is_gap_short = found and begin - found[-1][1] < gap
                found.append((found.pop()[0] if is_gap_short else begin, end))
                gap = PAUSE + 4 * self.night.seconds + (TIMEOUT[engine] if outage.mode == "hang" else 0.0)
        return found


def is_done(one: Try, engine: str, until: float = math.inf) -> bool:
    return one.engine == engine and one.result == "done" and one.ended <= until


# --- the rules ---


def it_ends(facts: Facts) -> Iterator[str]:
    """A start neither loops busily, nor sleeps for ever."""
    if facts.is_last and facts.play.stuck:
        yield facts.play.stuck


def it_keeps_its_limits(facts: Facts) -> Iterator[str]:
    """Calls in flight, calls a minute, the deadline."""
    for engine in {one.engine for one in facts.tries}:
        some = [one for one in facts.tries if one.engine == engine]
        moves = sorted([(one.arrived, 1) for one in some] + [(one.ended, -1) for one in some])
        peak = max(accumulate(step for _, step in moves))
        if peak > CONCURRENCY.get(engine, facts.night.size):
            yield f"{peak} calls at {engine} at once"
    limit = facts.night.per_minute or len(facts.qa)
    if any(b.arrived - a.arrived < 59.99 for a, b in zip(facts.qa, facts.qa[limit:], strict=False)):
        yield f"over {limit} calls within a minute"
    if any(one.arrived > facts.deadline + 0.01 for one in facts.tries):
        yield "a call has begun after the deadline"


def it_pays_at_most(facts: Facts) -> Iterator[str]:
    """`ATTEMPTS` tries at a card; and while QA is out, about its limit and 25 until all cards were tried."""
    for card, tries in facts.tried.items():
        if (paid := sum(one.result not in FREE for one in tries)) > ATTEMPTS:
            yield f"{paid} paid tries at {card}"
    last = max((tries[0].arrived for tries in facts.tried.values()), default=0.0)
    paid_in_vain = Counter(
        one.outage
        for one in facts.qa
        if one.outage and one.outage.share == 1.0 and one.result not in FREE and one.arrived < last
    )
    for outage, count in paid_in_vain.items():
        if count > 2 * facts.night.size + 40:
            yield f"{count} paid tries in {outage}"


def it_asks_for_nothing_again(facts: Facts) -> Iterator[str]:
    """What is done is not requested again, unless a person asks for it, or a kill has lost its result."""
    killed = {one.number: one.ended for one in facts.play.starts if one.start.killed_after < math.inf}
    done: dict[tuple[str, Item], Try] = {}
    for one in facts.play.tries:
        for item in one.items:
            before = done.get((one.engine, item))
            if before is None or before.ended > one.arrived or one.start != facts.played.number:
                continue
            is_lost = before.start < one.start and before.ended > killed.get(before.start, math.inf) - UNWRITTEN
            if not is_lost and not (item in facts.night.again and before.start < one.start):
                yield f"{one.engine} {item} is done, and requested again"
        if one.result == "done":
            done |= {(one.engine, item): one for item in one.items}


def it_keeps_the_barrier(facts: Facts) -> Iterator[str]:
    """No card is requested before all data is done. What is left out is not requested at all."""
    if facts.qa and (missing := facts.missing_data(facts.qa[0].arrived)):
        yield f"cards are requested without {missing}"
    if any(facts.night.without == target for one in facts.tries for target, _ in one.items):
        yield f"{facts.night.without} is left out, and requested"


def it_adds_up(facts: Facts) -> Iterator[str]:
    """What is done, failed and not attempted are all that is planned."""
    if not facts.played.outcome:
        return
    end = facts.played.outcome.finished
    for one in [*end["engines"].values(), end["cards"]]:
        if one["planned"] != one["done"] + one["failed"] + one["not_attempted"]:
            yield f"does not add up: {one}"
    counts = {"done": len(facts.made), "failed": len(facts.tried.keys() - facts.made)}
    if len(facts.play.starts) == 1 and not counts.items() <= end["cards"].items():
        yield f"{end['cards']}, but really {counts}"


def it_ends_by_facts(facts: Facts) -> Iterator[str]:
    """The last line says what the engines have seen."""
    if not facts.played.outcome:
        return
    wanted = {*facts.wanted}
    is_refused = any(one.result == REFUSAL for one in facts.qa)
    if wanted <= facts.made:
        must = "succeeded"
    elif facts.played.ended >= facts.deadline - 1:
        must = "deadline"
    elif facts.missing_data():
        must = "data_engine_failed"
    elif wanted <= facts.tried.keys() and (facts.made or facts.kept or is_refused):
        must = "cards_missing"
    else:  # cards were not tried since it is down, or all failed, none was refused, and the day has no other
        must = "qa_engine_down"
    word, code = facts.played.outcome.finished["outcome"], facts.played.outcome.exit_code
    if (word, code) != (must, CODES[must]):
        yield f"ends with {code} {word}, not with {must}"


def all_tickers_are_tried(facts: Facts) -> Iterator[str]:
    """A data engine has tried all its good tickers before it fails for the bad ones."""
    for engine, bad in facts.night.bad.items():
        if engine == "qa" or facts.night.without or facts.night.deadline < math.inf:
            continue
        tried = {item for one in facts.play.tries if one.engine == engine for item in one.items}
        if missing := {(target, None) for target in facts.night.targets} - bad.keys() - tried:
            yield f"{engine} has not tried {missing}, which are good"


RULES: list[Callable[[Facts], Iterator[str]]] = [
    it_ends,
    it_keeps_its_limits,
    it_pays_at_most,
    it_asks_for_nothing_again,
    it_keeps_the_barrier,
    it_adds_up,
    it_ends_by_facts,
    all_tickers_are_tried,
]


# --- what is lost ---


@dataclass
class Verdict:
    broken: list[str] = field(default_factory=list)
    lost: dict[Item, str] = field(default_factory=dict)
    """The good cards that are not made, and what has become of them."""
    excused: dict[Item, str] = field(default_factory=dict)
    """Those of which that is no loss, and why."""


def judge(play: Play) -> Verdict:
    """Holds all starts against the rules, and looks for what the last one has lost."""
    verdict = Verdict()
    for played in play.starts:
        facts = Facts(play, played)
        verdict.broken += [f"{rule.__name__}: {found}" for rule in RULES for found in rule(facts)]
    facts = Facts(play, play.starts[-1])
    for card in facts.wanted:
        if card not in facts.made and card not in play.night.bad.get("qa", {}) and facts.played.outcome:
            if excuse := _excuse(facts, card):
                verdict.excused[card] = excuse
            else:
                verdict.lost[card] = " ".join(one.result for one in facts.tried.get(card, [])) or "never requested"
    return verdict


def _excuse(facts: Facts, card: Item) -> str | None:
    """Why it is no loss that a good card is not made."""
    tries = facts.tried.get(card, [])
    if facts.played.ended >= facts.deadline - 1 or (tries and tries[-1].arrived >= facts.deadline - TIMEOUT["qa"] - 1):
        return "deadline"
    if facts.missing_data():
        is_right = any(facts.is_out(engine) or facts.night.bad.get(engine) for engine in CONCURRENCY)
        return "data failed" if is_right else None
    if facts.is_out("qa"):
        return "QA is out"
    is_given_up = not facts.tried.keys() >= {*facts.wanted}  # though it is not out
    return "its last try failed, too" if not is_given_up and _had_its_last_try(facts, tries) else None


def _had_its_last_try(facts: Facts, tries: list[Try]) -> bool:
    """Whether a card was tried as often as it may be, the last time after its patience, and outages failed them all.

    The patience runs from its first failure, or from when QA did any card last, unless it fails in part for longer.
    """
    last, outage = tries[-1], tries[-1].outage
    if outage is None or not all(one.outage or one.result in FREE for one in tries):
        return False
    done = [one.ended for one in facts.qa if one.result == "done" and one.ended <= last.arrived]
    is_long = outage.end - outage.begin >= PATIENCE
    since = max([tries[0].ended, *([] if is_long else done)])
    is_used_up = last.result in FREE or sum(one.result not in FREE for one in tries) == ATTEMPTS
    return is_used_up and last.arrived >= since + PATIENCE - 1
