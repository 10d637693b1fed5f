"""What must hold of a night that was played, and which good cards it has lost.

A rule yields what is broken. A *good* item is one that its engine never fails for a reason of the item's own.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.runs.nights_by_chance.night import ATTEMPTS, CONCURRENCY, FREE, PATIENCE, TIMEOUT, Item
from tests.runs.nights_by_chance.play import Play, Played, Try

UNWRITTEN = 3.5
"""Seconds of results that a kill may lose."""


class Facts:
    """What happened to a start, as far as rules ask for it."""

    def __init__(self, play: Play, played: Played) -> None:
        self.play, self.night, self.played, self.start = play, play.night, played, played.start
        self.attempt, self.day = played.attempt, play.day if played.attempt else None
        self.tries = [one for one in play.tries if one.start == played.number]
        self.qa = [one for one in self.tries if one.engine == "qa"]
        self.tried: dict[Item, list[Try]] = {}
        for one in self.qa:
            self.tried.setdefault(one.items[0], []).append(one)
        self.made = {one.items[0] for one in self.qa if one.result == "done"}
        self.deadline = played.began + self.night.deadline
        self.storage_failed = any(played.began <= at <= played.ended for at in play.refused)
        kept = {one[1:3] for one in self._recorded() if one[0] == "qa"}
        cards = self.night.cards_of(self.start)
        self.wanted = [card for card in cards if card[0] not in self.start.without and card not in kept]
        """The cards that the start has to make."""

    def _recorded(self) -> set[tuple[str, str, str | None]]:
        """What is there when the start begins, or has nothing to do, but for what it is to make again."""
        day, opened = self.play.day, min(self.played.opened, self.played.ended)
        latest = max((number for number in day.attempts if day.at(number) <= opened), default=0) if day else 0
        again = {*self.start.again} if self.attempt else set()
        done = day.done(latest, opened) if day and latest else set()
        return {one[:3] for one in done if not again & {one[1:3], (one.target, None)}}

    def lacks_data(self) -> bool:
        """Whether the data engines have not done all of what is not left out."""
        done = {one[:2] for one in self._recorded()}
        done |= {(one.engine, name) for one in self.tries if is_done(one, one.engine) for name, _ in one.items}
        wanted = {*self.night.targets} - {*self.start.without, *self.start.absent}
        return any((engine, name) not in done for engine in CONCURRENCY for name in wanted)

    def is_out(self, engine: str) -> bool:
        """Whether the engine has done nothing more in an outage that was as long as the patience."""
        done = max((one.ended for one in self.tries if is_done(one, engine)), default=self.played.began)
        outages = self._whole_outages(engine)
        return any(end > done and end - max(begin, self.played.began) >= PATIENCE - 1 for begin, end in outages)

    def _whole_outages(self, engine: str) -> list[tuple[float, float]]:
        """When the engine did nothing at all. In a short gap between two, no call can have shown that it works.

        At most 30 s pass between two probes of an engine that fails.
        """
        found: list[tuple[float, float]] = []
        zero, gap = self.play.zero.get(engine, math.inf), 0.0
        for outage in self.night.outages.get(engine, []):
            if outage.share == 1.0:
                begin, end = zero + outage.begin, zero + outage.end
                is_gap_short = found and begin - found[-1][1] < gap
                found.append((found.pop()[0] if is_gap_short else begin, end))
                gap = 30.0 + 4 * self.night.seconds + (TIMEOUT[engine] if outage.mode == "hang" else 0.0)
        return found


def is_done(one: Try, engine: str, until: float = math.inf) -> bool:
    return one.engine == engine and one.result == "done" and one.ended <= until


# --- the rules ---


def it_records_what_is_done(facts: Facts) -> Iterator[str]:
    """All of it, unless storage fails; a signal may lose the last seconds."""
    if facts.day and not facts.storage_failed:
        until = facts.played.ended - (UNWRITTEN if facts.played.struck else 0.0)
        results = [one for one in facts.day.recorded if one.attempt == facts.attempt and one.result.done]
        recorded = {item[:3] for one in results for item in one.items}
        done = {(one.engine, *item) for one in facts.tries if is_done(one, one.engine, until) for item in one.items}
        if lost := done - recorded:
            yield f"{lost} are done, and not recorded"


def it_is_alone(facts: Facts) -> Iterator[str]:
    """No call of another start is in flight when it begins, even if that one could not renew its lease."""
    opened = facts.played.opened
    if others := {one.start for one in facts.play.tries if one.arrived < opened < one.ended}:
        yield f"it begins while {others} are at work"


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
    verdict = Verdict([*play.broken, *filter(None, [play.stuck])])
    for played in play.starts:
        facts = Facts(play, played)
        verdict.broken += [*it_records_what_is_done(facts), *it_is_alone(facts)]
    facts = Facts(play, play.starts[-1])
    for card in facts.wanted:
        if (
            card not in facts.made
            and (facts.start.is_quiet or card not in play.night.bad.get("qa", {}))
            and facts.played.outcome
        ):
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
    if facts.lacks_data():
        is_right = any(facts.is_out(engine) or facts.night.bad.get(engine) for engine in CONCURRENCY)
        return "data failed" if is_right else None
    if facts.is_out("qa"):
        return "QA is out"
    is_given_up = not facts.tried.keys() >= {*facts.wanted}  # though it is not out
    return "its last try failed, too" if not is_given_up and _had_its_last_try(facts, tries) else None


def _had_its_last_try(facts: Facts, tries: list[Try]) -> bool:
    """Whether a card was tried as often as it may be, the last time after its patience, and outages failed them all.

    The patience runs from its first failure; if its last try cost nothing, from when QA did any card last, unless it
    fails in part for longer. So three paid tries in two outages lose a card.
    """
    last, outage = tries[-1], tries[-1].outage
    if outage is None or not all(one.outage or one.result in FREE for one in tries):
        return False
    done = [one.ended for one in facts.qa if one.result == "done" and one.ended <= last.arrived]
    is_long = outage.end - outage.begin >= PATIENCE
    since = max([tries[0].ended, *(done if last.result in FREE and not is_long else [])])
    is_used_up = last.result in FREE or sum(one.result not in FREE for one in tries) == ATTEMPTS
    return is_used_up and last.arrived >= since + PATIENCE - 1
