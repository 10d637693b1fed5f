"""A card type that always fails costs little, whatever the others do; and every card is accounted for."""

import random
from collections import Counter
from collections.abc import Mapping

import pytest
import trio

from job.day.ending import Ending, ending_of
from job.day.result import ShutdownReason
from job.engines.answers import Response, TransportError
from job.text.messages import message
from tests.support.fakes import Asked, Script, Stage, reply, stage, target, well

pytestmark = pytest.mark.usefixtures("autojump_clock")
LOST = TransportError(message("connection reset"))


def type_of(asked: Asked) -> str:
    return asked.path.rpartition("/")[2]


def failing(card_type: str, failure: Response | Exception, seconds: float = 0.05, begins: int = 0) -> Script:
    """An engine that takes 20 s, and always fails for this card type after so many cards of it, or hangs."""
    made = Counter[str]()

    async def script(asked: Asked) -> Response:
        if type_of(asked) != card_type or made[card_type] < begins:
            await trio.sleep(20.0)
            made[type_of(asked)] += 1
            return well(asked)
        await trio.sleep(seconds)
        if isinstance(failure, Exception):
            raise failure
        return failure

    return script


async def night(
    script: Script, card_types: str, tickers: int, concurrency: int = 16, attempts: int = 3
) -> tuple[Stage, Ending]:
    """A card phase of so many tickers, of which each has every card type, and its ending."""
    targets = [target(f"T{number}", card_types, ()) for number in range(tickers)]
    made = stage(targets, script, {"qa": {"concurrency": concurrency, "attempts": attempts}}, random.Random(1).random)
    await made.play((10_740.0, ShutdownReason.DEADLINE))
    return made, ending_of(made.ledger, made.shutdown.reason)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failure", "seconds", "wasted", "end"),
    [(reply({}, 500), 0.05, 110, 2_900), (reply({}, 503), 0.05, 480, 2_900), (LOST, float("inf"), 100, 7_500)],
)
async def test_of_five_types_the_one_that_always_fails_costs_little(
    failure: Response | Exception, seconds: float, wasted: int, end: float
) -> None:
    made, ending = await night(failing("e", failure, seconds, begins=40), "abcde", 400)
    assert (ending.outcome, ending.exit_code) == ("cards_missing", 3)
    assert made.cards.done >= 4 * 400 + 40
    assert len(made.world.asked) - made.cards.done <= wasted
    assert trio.current_time() <= end
    assert made.cards.not_attempted > 250, "the rest is not requested"


@pytest.mark.parametrize("concurrency", [1, 64])
@pytest.mark.parametrize("failure", [reply({}, 500), reply({}, 503)])
async def test_a_type_that_fails_fast_ends_no_requests_of_others(failure: Response, concurrency: int) -> None:
    """All failures come in a row, before the first card of another type is there."""
    made, ending = await night(failing("b", failure), "ab", 40, concurrency)
    assert (ending.outcome, ending.exit_code) == ("cards_missing", 3)
    assert Counter(event.card_type for event in made.world.finished if event.done) == {"a": 40}
    assert made.cards.failed + made.cards.not_attempted == 40


FAILURES = [reply({}, 500), reply({}, 503), reply({}, 403), reply({"status": "failed"})]


def test_every_card_is_accounted_for_whatever_fails() -> None:
    """Each card is made, failed or not requested; the latter only if its type fails, or QA is down."""
    met = set()
    for seed in range(20):
        chance = random.Random(seed)
        types = "abcdefgh"[: chance.randint(1, 8)]
        share = {name: chance.choice([0.0, 0.0, 0.1, 0.7, 1.0]) if seed % 5 else 1.0 for name in types}
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
            night, script, types, chance.randint(1, 12), chance.randint(1, 20), chance.randint(1, 3),
            clock=trio.testing.MockClock(autojump_threshold=0),
        )  # fmt: skip
        finished = Counter(event.card_type for event in made.world.finished)
        met.add(ending.outcome)
        for name in types:
            is_complete = finished[name] == len(made.ledger.plan.targets)
            assert is_complete or share[name] or made.shutdown.reason is ShutdownReason.QA_DOWN, f"seed {seed}"
    assert met == {"succeeded", "cards_missing", "qa_engine_down"}, "the schedules are too alike to show anything"
