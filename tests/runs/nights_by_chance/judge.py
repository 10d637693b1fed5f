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
LEASE_LASTS = 61.0
"""Seconds for which that of a killed start is watched."""
UNWRITTEN = 3.5
"""Seconds of results that a kill may lose."""
CODES = {"succeeded": 0, "data_engine_failed": 1, "cards_missing": 3, "qa_engine_down": 3, "deadline": 4}


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
        self.is_last = played is play.starts[-1]
        self.storage_failed = any(played.began <= at <= played.ended for at in play.refused)
        self.cards = self.night.cards_of(self.start)
        self.kept = kept = {one[1:3] for one in self._recorded() if one[0] == "qa"}
        """The cards of the day that are there when it begins, and not asked for again."""
        self.wanted = [card for card in self.cards if card[0] not in self.start.without and card not in kept]
        """The cards that the start has to make."""

    def _recorded(self) -> set[tuple[str, str, str | None]]:
        """What is there when the start begins, or has nothing to do, but for what it is to make again."""
        day, opened = self.play.day, min(self.played.opened, self.played.ended)
        latest = max((number for number in day.attempts if day.at(number) <= opened), default=0) if day else 0
        again = {*self.start.again} if self.attempt and not self.played.retry_of else set()
        done = day.done(latest, opened) if day and latest else set()
        return {one[:3] for one in done if not again & {one[1:3], (one.target, None)}}

    def missing_data(self, until: float | None = None) -> dict[str, set[str]]:
        """What the data engines have not done until then, by default the end, of what is not left out."""
        until, left_out = until or self.played.ended, {*self.start.without, *self.start.absent}
        done = {one[:2] for one in self._recorded()}
        done |= {(one.engine, name) for one in self.tries if is_done(one, one.engine, until) for name, _ in one.items}
        wanted = {*self.night.targets} - left_out
        missing = {engine: {name for name in wanted if (engine, name) not in done} for engine in CONCURRENCY}
        return {engine: names for engine, names in missing.items() if names}

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


def it_adds_up(facts: Facts) -> Iterator[str]:
    """What it says is done and failed is so: see `promise` for the sums."""
    if not facts.played.outcome or not facts.day or facts.storage_failed:
        return
    counts = {"planned": len(facts.cards), "done": len({*facts.cards} & (facts.made | facts.kept))}
    if len(facts.play.starts) == 1:
        counts["failed"] = len(facts.tried.keys() - facts.made)
    if not counts.items() <= (said := facts.played.outcome.finished["cards"]).items():
        yield f"{said}, but really {counts}"


def it_ends_by_facts(facts: Facts) -> Iterator[str]:
    """The last line says what the engines have seen."""
    outcome = facts.played.outcome
    if not outcome or not outcome.events("run.finished"):
        return
    wanted = {*facts.wanted}
    is_refused = any(one.result == REFUSAL for one in facts.qa)
    if wanted <= facts.made and not facts.missing_data():
        must = "succeeded"
    elif facts.played.ended >= facts.deadline - 1:
        must = "deadline"
    elif facts.missing_data():
        must = "data_engine_failed"
    elif _is_of_cards(facts, wanted - facts.tried.keys(), is_refused=is_refused):
        must = "cards_missing"
    else:  # cards were not tried since it is down, or all failed, none was refused, and the day has no other
        must = "qa_engine_down"
    word, code = outcome.finished["outcome"], outcome.exit_code
    if (word, code) not in {(must, CODES[must]), *_other_ends(facts)}:
        yield f"ends with {code} {word}, not with {must}"


def _is_of_cards(facts: Facts, left: set[Item], *, is_refused: bool) -> bool:
    """Whether what is missing lies with the cards, and not with QA, which has not tried what is left."""
    made = {card_type for _, card_type in facts.made | facts.kept}
    before = {one.items[0] for one in facts.play.tries if one.start < facts.played.number and one.result != "done"}
    is_known = all(card[1] not in made or card in before for card in left)
    return is_known and bool(made or (is_refused and not left))


def _other_ends(facts: Facts) -> Iterator[tuple[str, int]]:
    """How a start may end for a reason that lies not with the engines."""
    start, played = facts.start, facts.played
    if first := _repeated(facts):
        yield first
        latest = max((one for one in facts.play.starts if one.opened <= played.ended), key=lambda one: one.opened)
        if latest.ended <= played.ended and latest.outcome and not latest.outcome.exit_code:
            yield "succeeded", 0  # perhaps less what that one left out
    if played.struck:
        yield "interrupted", 128 + played.struck
    if facts.storage_failed:
        yield from [("storage_failed", 75), ("busy", 75)]
    if start.again:
        others = [other for other in facts.play.starts if other is not played and other.began <= played.ended]
        is_unrecorded = played.retry_of is not None and played.retry_of.attempt is None
        if is_unrecorded or any(other.ended >= played.began - LEASE_LASTS for other in others):
            yield "busy", 75
    targets, left_out = {target for target, _ in facts.cards}, {*start.without}
    is_unknown = not (targets >= left_out and {*facts.cards, *((name, None) for name in targets)} >= {*start.again})
    is_both = left_out & {name for name, _ in start.again}
    if is_unknown or is_both or targets <= left_out or (start.again and not facts.kept):
        yield "bad_config", 2


def _repeated(facts: Facts) -> tuple[str, int] | None:
    """How the start has ended for good of which this is the retry. It may be killed when that is recorded."""
    first, day = facts.played.retry_of, facts.play.day
    end = day.ends.get(first.attempt or 0) if first and day else None
    if end is None or end["outcome"] not in {"data_engine_failed", "qa_engine_down", "cards_missing"}:
        return None
    return end["outcome"], end["exit_code"]


def it_repeats_nothing(facts: Facts) -> Iterator[str]:
    """The retry of what has ended for good makes no attempt, and so no call."""
    if _repeated(facts) and facts.played.outcome and (facts.attempt or len(facts.played.outcome.lines) > 1):
        yield f"it goes on with what has ended for good, in {facts.attempt}"


def all_tickers_are_tried(facts: Facts) -> Iterator[str]:
    """A data engine has tried all its good tickers before it fails for the bad ones."""
    for engine, bad in facts.night.bad.items():
        if engine == "qa" or facts.start.without or facts.night.deadline < math.inf:
            continue
        tried = {item for one in facts.play.tries if one.engine == engine for item in one.items}
        if missing := {(target, None) for target in facts.night.targets} - bad.keys() - tried:
            yield f"{engine} has not tried {missing}, which are good"


RULES: list[Callable[[Facts], Iterator[str]]] = [
    it_ends,
    it_keeps_its_limits,
    it_pays_at_most,
    it_records_what_is_done,
    it_is_alone,
    it_adds_up,
    it_ends_by_facts,
    it_repeats_nothing,
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
    verdict = Verdict([*play.broken])
    for played in play.starts:
        facts = Facts(play, played)
        verdict.broken += [f"{rule.__name__}: {found}" for rule in RULES for found in rule(facts)]
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
    if facts.missing_data():
        is_right = any(facts.is_out(engine) or facts.night.bad.get(engine) for engine in CONCURRENCY)
        return "data failed" if is_right else None
    if facts.is_out("qa"):
        return "QA is out"
    if _was_still_out(facts, tries):
        return "it had failed before"
    is_given_up = not facts.tried.keys() >= {*facts.wanted}  # though it is not out
    return "its last try failed, too" if not is_given_up and _had_its_last_try(facts, tries) else None


def _was_still_out(facts: Facts, tries: list[Try]) -> bool:
    """Whether only cards were left that had failed, and an outage failed all tries at one before any card was made."""
    before = {one.items[0] for one in facts.play.tries if one.start < facts.played.number and one.result != "done"}
    done = min((one.ended for one in facts.qa if one.result == "done"), default=math.inf)
    is_used_up = sum(one.result not in FREE for one in tries) == ATTEMPTS
    return before.issuperset(facts.wanted) and is_used_up and all(one.outage and one.ended < done for one in tries)


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
