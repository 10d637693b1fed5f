"""The forecast: nights that are rehearsed for tonight's plan, and how well past nights would have been foretold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from job.config.environment import ENGINE_VARIABLES
from job.engines.calls import BATCHES
from job.engines.catalog import ENGINES, EngineName
from job.ledger.totals import percentile
from job.planning.plan import Plan
from job.rehearsal.play import Played, Scenario, play
from job.rehearsal.recorded import RecordedNight, calls_of
from job.text.messages import NAMED, Message, message, plural

NIGHTS_NEEDED = 5
QUICK_CALLS = 12_000
MOST_CALLS = 150_000
"""Calls of all rehearsals together. One takes 0.1 ms."""
GROWTH = 1.25
"""How many times as many calls as on a recorded night may be in flight for its times to be used."""
USABLE_ERROR = 0.3
"""A forecast is used elsewhere if its backtest is off by no more than this part."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is played at most."""

    nights: int
    """How often tonight is played."""
    backtested: int
    """Past nights that are predicted."""
    plays: int
    """How often each of these is played."""


LARGE = Effort(nights=10, backtested=5, plays=2)
"""For a plan that is too large for the effort that is wanted."""
QUICK = Effort(nights=5, backtested=4, plays=2)


def thorough(nights: int) -> Effort:
    """For a forecast by itself."""
    return Effort(nights, backtested=10, plays=5)


@dataclass(frozen=True, slots=True)
class Foretold:
    """A past night as it would have been foretold from the nights before it."""

    day: str
    predicted: float
    """Seconds from the start until the last card."""
    actual: float

    @property
    def error(self) -> float:
        """By which part of the actual time the prediction was off."""
        return abs(self.predicted - self.actual) / self.actual


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known about tonight."""

    played: Sequence[Played]
    nights: int
    """The number of recorded nights whose answers were played."""
    every: int
    """One of so many targets was played."""
    backtest: Sequence[Foretold]
    """The latest night first."""

    @property
    def ends(self) -> Sequence[float]:
        """When the last card was there or had failed, in each night in which the run came to its end, sorted."""
        return sorted(one.ended for one in self.played if one.came_to_its_end)

    @property
    def error(self) -> float | None:
        """The median error of the backtest; `None` without one."""
        return median(one.error for one in self.backtest) if self.backtest else None

    @property
    def usual(self) -> float | None:
        """The median of `ends`, if the backtest supports it."""
        is_usable = self.ends and self.error is not None and self.error <= USABLE_ERROR
        return percentile(self.ends, 50) if is_usable else None


def foretell_quickly(scenario: Scenario, nights: Sequence[RecordedNight]) -> Forecast | None:
    """A forecast in two seconds, for those who want only its median; `None` if nothing is known."""
    if unknowable(scenario, nights) is not None:
        return None
    scenario = replace(scenario, medians=latest_medians(nights))
    return foretell(scenario, fitting(scenario, nights), QUICK, QUICK_CALLS)


def fitting(scenario: Scenario, nights: Sequence[RecordedNight]) -> list[RecordedNight]:
    """The nights whose times are valid for this scenario; none if no answer of an engine is among them."""
    engines = scenario.plan.engines()
    found = [night for night in nights if all(_fits(scenario, night, engine) for engine in engines)]
    answered = {engine for night in found for engine, _ in night.courses}
    return found if answered.issuperset(engines) else []


def unknowable(scenario: Scenario, nights: Sequence[RecordedNight]) -> Message | None:
    """Why nothing is known about tonight, if so."""
    if len(nights) < NIGHTS_NEEDED:
        return plural(
            "When the cards will be there cannot be known: 1 night of this config is recorded, {needed} are needed.",
            "When the cards will be there cannot be known: {count} nights of this config are recorded, {needed} are "
            "needed.",
            count=len(nights),
            needed=NIGHTS_NEEDED,
        )
    for engine in scenario.plan.engines():
        like = [night for night in nights if _fits(scenario, night, engine)]
        if len(like) < NIGHTS_NEEDED:
            return _unseen(scenario, nights, engine, len(like))
    like = fitting(scenario, nights)
    if len(like) >= NIGHTS_NEEDED:
        return None
    return message(
        "When the cards will be there cannot be known: {needed} nights with all these settings together are needed, "
        "and {count} of {nights} had them.",
        count=len(like),
        nights=len(nights),
        needed=NIGHTS_NEEDED,
    )


def _fits(scenario: Scenario, night: RecordedNight, engine: EngineName) -> bool:
    """Whether an engine had as much to do at a time as tonight. How it behaves otherwise is not known."""
    plan, before = scenario.plan, night.plan
    most, most_before = scenario.engines[engine].concurrency, night.concurrency[engine]
    calls, calls_before = calls_of(plan, engine), calls_of(before, engine)
    if engine in BATCHES and plan.batch_sizes[engine] != before.batch_sizes[engine] and max(calls, calls_before) > 1:
        return False
    is_bounded = max(calls, calls_before) > min(most, most_before)
    if is_bounded and most != most_before:
        return False
    return min(most, calls) <= GROWTH * min(most_before, calls_before)


def _unseen(scenario: Scenario, nights: Sequence[RecordedNight], engine: EngineName, count: int) -> Message:
    most = {name: one.concurrency for name, one in scenario.engines.items()}
    seen = sorted({_shown(engine, night.concurrency, night.plan) for night in nights})
    wanted = _shown(engine, most, scenario.plan)
    if seen == [wanted]:  # then it is the number of calls
        return message(
            "When the cards will be there cannot be known: of {nights} recorded nights, {count} had as many calls of "
            "the {engine} engine at a time as this plan has; {needed} are needed.",
            nights=len(nights),
            count=count,
            engine=ENGINES[engine].word,
            needed=NIGHTS_NEEDED,
        )
    return message(
        "When the cards will be there cannot be known: of {nights} recorded nights, {count} had {settings} and as many "
        "calls at a time as this plan has; {needed} are needed. Recorded are: {seen}",
        nights=len(nights),
        count=count,
        settings=wanted,
        needed=NIGHTS_NEEDED,
        seen="; ".join(seen[:NAMED]),
    )


def _shown(engine: EngineName, concurrency: Mapping[EngineName, int], plan: Plan) -> str:
    """The settings on which the times of an engine depend."""
    variables = ENGINE_VARIABLES[engine]
    shown = f"{variables['concurrency']}={concurrency[engine]}"
    return f"{shown}, {variables['batch_size']}={plan.batch_sizes[engine]}" if engine in BATCHES else shown


def foretell(
    scenario: Scenario, nights: Sequence[RecordedNight], effort: Effort, most_calls: int = MOST_CALLS
) -> Forecast:
    """Plays a scenario, and past nights for the backtest. `nights` fit the scenario, the newest first.

    Each rehearsal has the answers of one recorded night: engines have good and bad nights, which a mixture of all of
    them would hide. If the plan has too many calls for `most_calls` of all rehearsals together, a sample is played.
    """
    calls = sum(calls_of(scenario.plan, engine) for engine in scenario.plan.engines())
    predictable = [number for number, night in enumerate(nights) if night.seconds and _before(scenario, nights, number)]
    backtested, plays = predictable[: effort.backtested], effort.plays
    count = min(effort.nights, max(LARGE.nights, most_calls // calls - len(backtested) * plays))
    if calls * (count + len(backtested) * plays) > most_calls:
        backtested, plays = backtested[: LARGE.backtested], min(plays, LARGE.plays)
    every = -(-calls * (count + len(backtested) * plays) // most_calls)
    return Forecast(
        # In a sample the times of an outage would not be those of the night.
        played=_play(scenario if every == 1 else replace(scenario, outages=()), nights, count, every),
        nights=min(count, len(nights)),
        every=every,
        backtest=[
            found for number in backtested if (found := _foretold(scenario, nights, number, plays, every)) is not None
        ],
    )


def _play(scenario: Scenario, nights: Sequence[RecordedNight], count: int, every: int) -> list[Played]:
    played = []
    for number in range(count):
        first = number % len(nights)
        played.append(play(scenario, [*nights[first:], *nights[:first]], f"night {number}", every))
    return played


def _before(scenario: Scenario, nights: Sequence[RecordedNight], number: int) -> Sequence[RecordedNight]:
    """The nights before a night that fit it."""
    return fitting(_as_it_was(scenario, nights, number), nights[number + 1 :])


def _as_it_was(scenario: Scenario, nights: Sequence[RecordedNight], number: int) -> Scenario:
    """A recorded night as it could have been rehearsed before it began."""
    night = nights[number]
    engines = {
        name: engine.model_copy(update={"concurrency": max(1, night.concurrency[name])})
        for name, engine in scenario.engines.items()
    }
    return Scenario(night.plan, engines, latest_medians(nights[number + 1 :]))


def _foretold(
    scenario: Scenario, nights: Sequence[RecordedNight], number: int, plays: int, every: int
) -> Foretold | None:
    """`None` if the run would have been foretold not to come to its end."""
    night = nights[number]
    played = _play(_as_it_was(scenario, nights, number), _before(scenario, nights, number), plays, every)
    ends = [one.ended for one in played if one.came_to_its_end]
    return Foretold(night.day, median(ends), night.seconds) if ends and night.seconds else None


def latest_medians(nights: Sequence[RecordedNight]) -> Mapping[str, float]:
    """The median seconds of each card type on the latest of these nights that made cards."""
    return next((night.medians for night in nights if night.medians), {})
