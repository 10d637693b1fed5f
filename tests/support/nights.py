"""Nights in virtual time, with the defaults: what befalls the engines, and what becomes of the cards."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import trio

from job.config.plan import Target
from job.day.ending import ending_of
from job.day.result import EngineFailedError, ShutdownReason
from job.engines.answers import AnswerError, Response
from job.engines.calls import ALL_ENGINES, ENGINES, EngineName
from job.execution.progress import EngineFailing, EngineRecovered
from job.text.messages import message
from tests.support.fakes import Asked, Script, Stage, reply, stage, target, well
from tests.support.results import result_of
from tests.support.virtual_time import in_virtual_time

SECONDS: Mapping[EngineName, float] = dict.fromkeys(ENGINES, 20.0) | {"trading": 26.0, "news": 8.0}
"""How long an engine works on a call."""
QUICKLY = 0.05
"""How soon it fails otherwise."""
DEADLINE = 10_740.0
FOR_GOOD = 10.0**9
How = int | str | None
"""A status; "reset", "html", "denied" at once; "lost" after the work; "hang"; `None`: the work is done."""
FREE = {401, 403, 404, 409, 422, 429, 503, None}
"""What costs nothing, or does the work."""
Strike = Callable[[Asked, float], How]
"""What befalls a request at a time."""
IsBad = Callable[[str, str], bool]
"""Whether the card of a target and a type always fails."""


def striking(strike: Strike, seconds: Mapping[EngineName, float] = SECONDS, fails_after: float = QUICKLY) -> Script:
    """Engines that work, but for what befalls them."""

    async def script(asked: Asked) -> Response:
        how = asked.how = strike(asked, trio.current_time())
        if how == "hang":
            await trio.sleep_forever()
        await trio.sleep(seconds[asked.engine] if how in {None, "lost"} else fails_after)
        match how:
            case None:
                return well(asked)
            case int():
                return reply({"detail": "x"}, how)
            case "html":
                return Response(200, b"<html>")
            case "denied":
                return reply({"status": "failed"})
        raise AnswerError(message("connection reset"))

    return script


def out(how: How, begin: float, end: float, *engines: EngineName, share: float = 1.0) -> Strike:
    """These engines, all of them by default, are out from one time to another, for this share of the requests."""
    struck, chance = engines or ALL_ENGINES, random.Random(2)
    return lambda asked, now: how if asked.engine in struck and begin <= now < end and chance.random() < share else None


def bad(is_bad: IsBad, how: How) -> Strike:
    """Cards that always fail."""
    return lambda asked, _: how if asked.engine == "qa" and is_bad(*card_of(asked)) else None


def any_of(*strikes: Strike) -> Strike:
    """Whatever befalls a request first."""
    return lambda asked, now: next((how for strike in strikes if (how := strike(asked, now)) is not None), None)


def cards(count: int, card_types: str = "abcde", begin: int = 0) -> list[Target]:
    return [target(f"T{number}", card_types, ()) for number in range(begin, begin + count)]


def data_of(count: int, *engines: EngineName) -> list[Target]:
    return [target(f"T{number}", (), engines) for number in range(count)]


def card_of(asked: Asked) -> tuple[str, str]:
    return asked.tickers[0], asked.path.rpartition("/")[2]


def number(name: str) -> int:
    return int(name[1:])


def of_type(name: str) -> IsBad:
    return lambda _, card_type: card_type == name


def scattered(share: float) -> IsBad:
    return lambda name, card_type: random.Random(f"{name}/{card_type}").random() < share


def crowded(how: How, room: Callable[[float], int]) -> Strike:
    """QA has room for so many calls at a time; to more it answers this."""
    begun = list[float]()

    def strike(_: Asked, now: float) -> How:
        begun[:] = [one for one in begun if now < one + SECONDS["qa"]]
        if len(begun) >= room(now):
            return how
        begun.append(now)
        return None

    return strike


class Steps(trio.abc.Instrument):
    """Counts what tasks do: a queue that looks again and again does much."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
        self.count += 1


class Night:
    """A night that was played, and how it ended."""

    def __init__(self, made: Stage, error: EngineFailedError | None, seconds: float) -> None:
        ending = ending_of(made.ledger, made.shutdown.reason, error)
        self.made = made
        self.error = error
        self.seconds = seconds
        self.outcome = str(ending.outcome)
        self.exit = ending.exit_code

    def lost(self, is_bad: IsBad) -> set[tuple[str, str]]:
        """The good cards that were not made."""
        planned = {(one.id, name) for one in self.made.ledger.plan.targets for name in one.card_types}
        done = {(one.targets[0], one.card_type) for one in self.made.world.finished if one.done}
        return {card for card in planned - done if not is_bad(*card)}

    def wasted(self, engine: EngineName = "qa") -> int:
        """Requests that did not do a call."""
        done = sum(event.done and event.tries > 0 for event in self.made.world.finished if event.engine == engine)
        return len(self.made.world.of(engine)) - done

    @property
    def tries(self) -> Counter[tuple[str, str]]:
        """How often each card was asked for."""
        return Counter(card_of(asked) for asked in self.made.world.of("qa"))

    @property
    def told(self) -> list[EngineFailing | EngineRecovered]:
        """What people are told of engines, in order."""
        return [event for event in self.made.world.events if isinstance(event, EngineFailing | EngineRecovered)]


def night(
    strike: Strike,
    *stops: tuple[float, ShutdownReason],
    targets: Sequence[Target],
    left: int | None = None,
    engines: Mapping[EngineName, Mapping[str, Any]] | None = None,
    seconds: Mapping[EngineName, float] = SECONDS,
    fails_after: float = QUICKLY,
    token: Callable[[str, str | None], Awaitable[str]] | None = None,
    deadline: float = DEADLINE,
    seed: int = 1,
    **qa: Any,
) -> Night:
    """Plays a night, of whose cards all but the first `left` were made by an earlier start.

    `engines` changes settings of single ones, `qa` those of the QA engine.
    """
    changes = dict(engines or {}) | ({"qa": qa} if qa else {})
    settings = {
        name: {"timeout": spec.timeout, "concurrency": spec.concurrency, "batch_size": spec.batch_size}
        | dict(changes.get(name, {}))
        for name, spec in ENGINES.items()
    }
    made = stage(targets, striking(strike, seconds, fails_after), settings, random.Random(seed).random)
    made.world.token = token
    for call in islice(made.ledger.plan.calls("qa"), left, None) if left is not None else ():
        made.phases.context.emit(result_of(call, tries=0))

    async def play() -> Night:
        error = None
        try:
            await made.play((deadline, ShutdownReason.DEADLINE), *stops)
        except EngineFailedError as failed:
            error = failed
        return Night(made, error, trio.current_time())

    steps = Steps()
    played = in_virtual_time(play, instruments=[steps])
    workers = sum(one.concurrency for one in made.phases.engines.values())
    assert steps.count <= 8 * len(made.world.asked) + 20 * workers + played.seconds, "it loops"
    assert_no_second_request_in_flight(made)
    assert_charged_tries_are_apart(made)
    for engine in made.live.engines:
        assert made.world.peak.get(engine, 0) <= made.phases.engines[engine].concurrency
    for result in made.world.finished:
        assert result.charged_tries <= settings["qa"].get("attempts", 3)
    return played


def assert_no_second_request_in_flight(made: Stage) -> None:
    """A call is never asked for while a request for it is in flight, or after it is done."""
    last = dict[tuple[str, str, str | None], float]()
    done = {
        (one.engine, name, one.card_type): one.ended for one in made.world.finished if one.done for name in one.targets
    }
    for asked in made.world.asked:
        for ticker in asked.tickers:
            call = (asked.engine, ticker, card_of(asked)[1] if asked.engine == "qa" else None)
            assert last.get(call, 0.0) <= asked.time, f"asked for while in flight: {call}"
            assert asked.time < done.get(call, FOR_GOOD), f"asked for after it was done: {call}"
            last[call] = FOR_GOOD if asked.ended is None else asked.ended


def assert_charged_tries_are_apart(made: Stage) -> None:
    """After a try that may have been charged, a card is asked for ten seconds later at the earliest."""
    until: dict[tuple[str, str], float] = {}
    for asked in made.world.of("qa"):
        assert asked.time >= until.get(card_of(asked), 0.0), card_of(asked)
        if asked.how not in FREE and asked.ended is not None:
            until[card_of(asked)] = asked.ended + 10.0
