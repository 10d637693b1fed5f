"""A card type that keeps failing while others are made is set aside; if all types fail, that is an outage."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

import pytest
import trio

from job.day.report import Ending, ending_of
from job.day.result import ShutdownReason
from job.engines.answers import Response
from job.engines.failures import Cause, Failure
from job.execution.availability import IN_A_ROW, Availability, CardTypes, Try
from job.execution.progress import EngineProgress
from job.text.messages import message
from tests.support.fakes import Asked, Script, Stage, reply, stage, target, well

pytestmark = pytest.mark.usefixtures("autojump_clock")


def status(code: int) -> Failure:
    return Failure(Cause.STATUS, message("HTTP {status}", status=str(code)), code)


DOWN = [status(code) for code in (401, 403, 409, 429, 500, 503, 599)]
DOWN += [
    Failure(cause, message(""))
    for cause in (Cause.TRANSPORT, Cause.HOST_UNKNOWN, Cause.TIMEOUT, Cause.IDENTITY, Cause.TOO_LARGE)
]
DOWN += [Failure(Cause.UNREADABLE, message(""), 200)]
WORKING = [None, Failure(Cause.DENIED, message(""), 200)]
WORKING += [status(302), status(404), status(422)]


class Tries:
    """Tries at cards of two types, and the types that are set aside. All of them were used up."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.engine = Availability("qa", 600.0, EngineProgress(), self.events.append)
        self.card_types = CardTypes(self.engine, self.events.append)
        self._time = 0.0

    def end(self, card_type: str, failure: Failure | None, *, is_used_up: bool = True) -> None:
        self._time += 1
        if failure is None:
            self.engine.update(None, Try(self._time), 0, 16)
        self.card_types.record(card_type, failure, self._time, is_used_up=is_used_up)


@pytest.mark.parametrize("failure", DOWN)
def test_twenty_tries_in_a_row_of_one_type_set_it_aside_while_others_are_made(failure: Failure) -> None:
    tries = Tries()
    for _ in range(IN_A_ROW - 1):
        tries.end("a", failure)
        tries.end("b", None)
        tries.end("a", failure, is_used_up=False)
    assert tries.events == []
    tries.end("a", failure)
    assert tries.card_types.is_set_aside("a")
    assert not tries.card_types.is_set_aside("b")
    for _ in range(100):
        tries.end("a", failure)  # those that were in flight
    assert len(tries.events) == 1


def test_no_type_is_set_aside_while_none_is_made() -> None:
    tries = Tries()
    tries.end("a", None)
    for number in range(10 * IN_A_ROW):
        tries.end("ab"[number % 2], DOWN[number % len(DOWN)])
    assert tries.events == []


@pytest.mark.parametrize("between", WORKING)
def test_any_answer_of_a_working_engine_about_the_type_resets_its_count(between: Failure | None) -> None:
    tries = Tries()
    for _ in range(3):
        for _ in range(IN_A_ROW - 1):
            tries.end("a", DOWN[0])
        tries.end("b", None)
        tries.end("a", between)
    assert tries.events == []


def type_of(asked: Asked) -> str:
    return asked.path.rpartition("/")[2]


def always(failing: Mapping[str, Response], seconds: Mapping[str, float]) -> Script:
    """An engine that gives these answers for these card types, and makes all others."""

    async def script(asked: Asked) -> Response:
        await trio.sleep(seconds.get(type_of(asked), 1.0))
        return failing.get(type_of(asked)) or well(asked)

    return script


async def night(
    script: Script, card_types: str, tickers: int = 40, concurrency: int = 16, attempts: int = 4
) -> tuple[Stage, Ending]:
    """A card phase of so many tickers, of which each has every card type, and its ending."""
    targets = [target(f"T{number}", card_types, ()) for number in range(tickers)]
    made = stage(targets, script, {"qa": {"concurrency": concurrency, "attempts": attempts}}, random.Random(1).random)
    await made.play()
    return made, ending_of(made.ledger, made.shutdown.reason)


@pytest.mark.parametrize("concurrency", [16, 64])
async def test_a_type_that_fails_fast_does_not_end_the_requests_of_slow_ones(concurrency: int) -> None:
    """All failures come in a row, before the first card of another type is there."""
    script = always({"b": reply({"detail": "x"}, 500)}, {"a": 60.0, "b": 0.1})
    made, ending = await night(script, "ab", concurrency=concurrency)
    assert (ending.outcome, ending.exit_code) == ("cards_missing", 3)
    made_of = Counter(event.card_type for event in made.world.finished if event.done)
    assert made_of == {"a": 40}
    assert made.cards.failed + made.cards.not_attempted == 40
    assert sum(type_of(asked) == "b" for asked in made.world.asked) < 20 + 2.5 * concurrency
    (event,) = made.ledger.set_aside
    assert str(event.reason) == (
        "Card type b is set aside, since 20 tries at its cards failed in a row: the rest of them is not requested"
    )


async def test_an_engine_that_is_down_costs_under_100_requests() -> None:
    made, ending = await night(always(dict.fromkeys("ab", reply({}, 503)), {"a": 30.0}), "ab", 500)
    assert (ending.outcome, ending.exit_code) == ("qa_engine_down", 3)
    assert not any(asked.cut_off for asked in made.world.asked), "cards in flight are awaited"
    assert len(made.world.asked) < 100
    assert made.cards.failed + made.cards.not_attempted == 1000


async def test_what_waits_of_a_type_that_is_set_aside_fails_for_its_own_reason() -> None:
    made, ending = await night(always({"b": reply({"detail": "x"}, 403)}, {}), "ab")
    assert ending.outcome == "cards_missing"
    assert [event.card_type for event in made.ledger.set_aside] == ["b"]
    failed = [event for event in made.world.finished if not event.done]
    assert {str(event.reason) for event in failed} == {'HTTP 403: {"detail": "x"}'}
    assert len({event.targets for event in failed}) == len(failed) == made.cards.failed
    assert made.cards.done == 40


FAILURES = [reply({}, 500), reply({}, 503), reply({}, 403), reply({"status": "failed"})]


def test_every_card_is_accounted_for_whatever_fails() -> None:
    """Each card is made, failed or not requested; the latter only if its type was set aside or the engine is down."""
    met = set()
    for seed in range(20):
        chance = random.Random(seed)
        types = "abcdefgh"[: chance.randint(1, 8)]
        share = {name: chance.choice([0.0, 0.0, 0.1, 0.7, 1.0]) for name in types}
        failures = {name: chance.choice(FAILURES) for name in types}

        async def script(
            asked: Asked,
            chance: random.Random = chance,
            share: Mapping[str, float] = share,
            failures: Mapping[str, Response] = failures,
        ) -> Response:
            await trio.sleep(chance.random() * 20)
            return failures[type_of(asked)] if chance.random() < share[type_of(asked)] else well(asked)

        made, ending = trio.run(
            night, script, types, chance.randint(1, 40), chance.randint(1, 20), chance.randint(1, 3),
            clock=trio.testing.MockClock(autojump_threshold=0),
        )  # fmt: skip
        finished = Counter(event.card_type for event in made.world.finished)
        set_aside = {event.card_type for event in made.ledger.set_aside}
        met.add((ending.outcome, bool(set_aside)))
        for name in types:
            is_complete = finished[name] == len(made.ledger.plan.targets)
            assert is_complete or name in set_aside or made.shutdown.reason is ShutdownReason.QA_DOWN, f"seed {seed}"
    assert len(met) == 4, "the schedules are too alike to show anything"
