"""A card type that keeps failing is set aside, and the others are made; the engine is down only if others fail too."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from math import inf

import pytest
import trio

from job.engines.calls import Call
from job.engines.failures import Cause, Failure
from job.engines.transport import Response
from job.execution.circuits import CardCircuits
from job.execution.shutdown import ShutdownReason
from job.ledger.ledger import SetAside
from job.planning.card_order import CardOrder
from job.report.outcome import Ending, ending_of
from job.text.messages import message
from tests.support.fakes import Asked, Script, Stage, plan_of, reply, settings_of, stage, target, well


def type_of(asked: Asked) -> str:
    return asked.path.rpartition("/")[2]


def always(failing: Mapping[str, Response], seconds: Mapping[str, float]) -> Script:
    """An engine that gives these answers for these card types, and makes all others."""

    async def script(asked: Asked) -> Response:
        await trio.sleep(seconds.get(type_of(asked), 1.0))
        return failing.get(type_of(asked)) or well(asked)

    return script


async def night(
    script: Script,
    card_types: str,
    tickers: int = 40,
    concurrency: int = 16,
    medians: Mapping[str, float] | None = None,
    attempts: int = 4,
) -> tuple[Stage, Ending]:
    """A card phase of so many tickers, of which each has every card type, and its ending."""
    targets = [target(f"T{number}", card_types, ()) for number in range(tickers)]
    made = stage(targets, script, {"qa": {"concurrency": concurrency, "attempts": attempts}}, random.Random(1).random)
    made.phases = replace(made.phases, medians=lambda: medians or {})
    await made.play()
    made.assert_nothing_lost()
    return made, ending_of(made.ledger, made.shutdown.reason)


def cards(made: Stage) -> dict[str, tuple[int, int]]:
    """For each card type that was requested: the numbers of cards made and failed."""
    counts: dict[str, list[int]] = {}
    for event in made.world.finished:
        counts.setdefault(event.card_type or "", [0, 0])[not event.done] += 1
    return {name: (done, failed) for name, (done, failed) in sorted(counts.items())}


def set_aside(made: Stage) -> list[str]:
    return [event.card_type for event in made.world.events if isinstance(event, SetAside)]


SLOWEST_FIRST = {"a": 5.0, "b": 8.0, "c": 20.0}


@pytest.mark.parametrize("medians", [{}, SLOWEST_FIRST])
@pytest.mark.parametrize("seconds", [{}, SLOWEST_FIRST, {"c": 0.1, "a": 30.0, "b": 60.0}])
async def test_the_slowest_type_always_fails_and_all_others_are_made(
    medians: Mapping[str, float], seconds: Mapping[str, float], autojump_clock: trio.testing.MockClock
) -> None:
    made, ending = await night(always({"c": reply({}, 500)}, seconds), "abc", medians=medians)
    assert (ending.outcome, int(ending.exit)) == ("cards_missing", 3)
    assert set_aside(made) == ["c"]
    found = cards(made)
    assert (found["a"], found["b"]) == ((40, 0), (40, 0))
    assert 20 <= found["c"][1] <= 20 + 15, "those in flight are awaited"
    left = 40 - found["c"][1]
    assert made.cards.not_attempted == left
    assert str(ending.sentence) == (
        f"Cards are missing: 80 of 120 cards are there, {40 - left} failed, {left} were not attempted."
    )


async def test_a_type_that_is_set_aside_says_why_and_what_to_do(autojump_clock: trio.testing.MockClock) -> None:
    made, _ = await night(always({"c": reply({"detail": "x"}, 500)}, {}), "ac", medians={"c": 9.0})
    (event,) = made.ledger.set_aside
    assert str(event.reason) == (
        "Card type c is set aside, since 20 of 20 cards failed: the rest of them is not requested. "
        'Last answer: HTTP 500: {"detail": "x"}'
    )
    assert str(event.remedy) == (
        "The engine returned an error for this request. Search the QA engine's log for the run's trace id. "
        "Then a resume requests the cards of this type that are missing."
    )


@pytest.mark.parametrize("medians", [{}, {"a": 5.0, "b": 8.0}])
@pytest.mark.parametrize("seconds", [{}, {"a": 30.0}])
async def test_an_engine_that_is_down_costs_under_100_requests(
    medians: Mapping[str, float], seconds: Mapping[str, float], autojump_clock: trio.testing.MockClock
) -> None:
    made, ending = await night(always(dict.fromkeys("ab", reply({}, 503)), seconds), "ab", 500, medians=medians)
    assert (ending.outcome, int(ending.exit)) == ("qa_engine_down", 3)
    assert len(made.world.asked) < 100
    assert made.cards.failed + made.cards.not_attempted == 1000


@pytest.mark.parametrize("card_types", ["a", "abc", "abcdefghij"])
async def test_an_engine_that_is_down_is_given_up_after_five_more_types_at_most(
    card_types: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Also if no type has 20 cards: all types are counted together as well."""
    made, ending = await night(always(dict.fromkeys(card_types, reply({}, 503)), {}), card_types, 8, attempts=1)
    few = len(card_types) * 8 < 20
    assert ending.outcome == ("cards_missing" if few else "qa_engine_down")
    assert made.cards.failed == (8 if few else 20 + min(5, len(card_types)))


@pytest.mark.parametrize("answer", [{"status": "failed"}, {"status": "success"}])
async def test_one_other_type_that_is_answered_is_enough_to_go_on(
    answer: object, autojump_clock: trio.testing.MockClock
) -> None:
    script = always({**dict.fromkeys("abcde", reply({}, 500)), "f": reply(answer)}, {"f": 30.0})
    made, ending = await night(script, "abcdef", medians=dict.fromkeys("abcde", 1.0))
    assert ending.outcome == "cards_missing"
    assert sum(cards(made)["f"]) == 40, "all of these were requested"
    assert sorted(set_aside(made)) == list("abcde")


async def test_the_types_with_the_fewest_failures_are_tried(autojump_clock: trio.testing.MockClock) -> None:
    made, ending = await night(
        always(dict.fromkeys("abcdefg", reply({}, 500)), {}), "abcdefgh", 8, medians={"a": 3.0, "b": 2.0, "c": 1.0}
    )
    assert ending.outcome == "cards_missing"
    assert cards(made)["h"] == (8, 0)


def test_after_another_type_was_answered_as_many_failures_again_are_needed_to_try_others() -> None:
    plan = plan_of([target(f"T{number}", "abcdefgh") for number in range(30)], settings_of())
    circuits = CardCircuits(CardOrder(plan, frozenset(), dict), lambda _: None)

    def ends(call: Call, failure: Failure | None) -> float:
        """Records the end of this card; returns how many cards may be in flight afterwards."""
        assert not circuits.record(call.card_type or "", failure)
        return circuits.max_in_flight()

    down = Failure(Cause.STATUS, message(""), 500)
    # Three in four fail, never twenty in a row.
    limits = [ends(call, None if call.card_type in {"a", "d"} else down) for call in islice(circuits, 50)]
    assert limits[-1] == inf, "others are tried"
    tried = list(islice(circuits, 5))
    assert circuits.max_in_flight() == 0
    assert ends(tried[0], None) == inf
    assert [ends(call, down) for call in tried[1:]] == [19, 18, 17, 16]


async def test_while_other_types_are_tried_nothing_else_starts(autojump_clock: trio.testing.MockClock) -> None:
    script = always({"a": reply({}, 500)}, {"b": 60.0, "c": 90.0})
    made, _ = await night(script, "abc", medians={"a": 9.0, "b": 2.0}, attempts=1)
    requests = [(asked.time, type_of(asked)) for asked in made.world.asked]
    opened = max(moment for moment, name in requests if name == "a") + 1
    assert Counter(name for moment, name in requests if opened <= moment < opened + 60) == {"b": 1, "c": 1}
    assert cards(made)["b"] == cards(made)["c"] == (40, 0)


async def test_an_engine_that_goes_down_in_mid_run_is_given_up_as_soon(autojump_clock: trio.testing.MockClock) -> None:
    async def script(asked: Asked) -> Response:
        await trio.sleep(1)
        return well(asked) if trio.current_time() < 10 else reply({}, 503)

    made, ending = await night(script, "abc", 200, medians=SLOWEST_FIRST, attempts=1)
    assert ending.outcome == "qa_engine_down"
    assert 20 <= made.cards.failed <= 40


async def test_a_type_that_fails_last_is_set_aside_since_the_others_were_answered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    made, ending = await night(always({"a": reply({}, 500)}, {}), "abc", medians={"c": 3.0, "b": 2.0, "a": 1.0})
    assert ending.outcome == "cards_missing"
    assert cards(made)["b"] == cards(made)["c"] == (40, 0)
    assert set_aside(made) == ["a"]


async def test_cards_in_flight_of_other_types_are_awaited_if_none_is_left_to_start(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The only card of the other type is in flight when the circuit of the first opens."""
    targets = [target("B", "b", ()), *(target(f"T{number}", "a", ()) for number in range(40))]
    made = stage(targets, always({"a": reply({}, 500)}, {"b": 500.0}), {"qa": {"concurrency": 16, "timeout": 900.0}})
    await made.play()
    made.assert_nothing_lost()
    assert ending_of(made.ledger, made.shutdown.reason).outcome == "cards_missing"
    assert cards(made)["b"] == (1, 0)


@pytest.mark.parametrize("failure", [reply({"status": "failed"}), Response(200, b"<html>"), reply({}, 422)])
async def test_failure_answers_of_a_working_engine_set_no_type_aside(
    failure: Response, autojump_clock: trio.testing.MockClock
) -> None:
    made, ending = await night(always({"a": failure}, {}), "ab", medians={"a": 9.0})
    assert (set_aside(made), ending.outcome) == ([], "cards_missing")
    assert cards(made) == {"a": (0, 40), "b": (40, 0)}


@pytest.mark.parametrize("seed", range(60))
def test_every_card_is_accounted_for_whatever_fails(seed: int) -> None:
    """Each card is made, failed or not requested; the latter only if its type was set aside or the engine is down."""
    chance = random.Random(seed)
    types = "abcdefgh"[: chance.randint(1, 8)]
    share = {name: chance.choice([0.0, 0.0, 0.1, 0.7, 1.0]) for name in types}
    medians = {name: chance.random() for name in types if chance.random() < 0.7} if chance.random() < 0.7 else {}

    async def script(asked: Asked) -> Response:
        await trio.sleep(chance.random() * 20)
        failure = chance.choice([reply({}, 500), reply({}, 503), reply({}, 403), reply({"status": "failed"})])
        return failure if chance.random() < share[type_of(asked)] else well(asked)

    async def play() -> tuple[Stage, Ending]:
        return await night(script, types, chance.randint(1, 60), chance.randint(1, 20), medians, chance.randint(1, 3))

    made, ending = trio.run(play, clock=trio.testing.MockClock(autojump_threshold=0))
    finished = Counter(event.card_type for event in made.world.finished)
    if ending.outcome == "qa_engine_down":
        assert made.shutdown.reason is ShutdownReason.QA_DOWN
        return
    tickers = len(made.ledger.plan.targets)
    for name in types:
        assert finished[name] == tickers or name in set_aside(made), f"seed {seed}: {name}"


def spans(seed: int, tickers: int) -> dict[tuple[str, str], float]:
    """Seconds of each card, log-normal."""
    chance = random.Random(seed)
    return {
        (f"T{number}", name): chance.lognormvariate(0, 0.3) * seconds
        for number in range(tickers)
        for name, seconds in MEDIANS.items()
    }


MEDIANS = {"a": 5.0, "b": 8.0, "c": 8.0, "d": 8.0, "e": 20.0}
SEEDS = 50


def ratios(medians: Mapping[str, float]) -> Sequence[float]:
    """How long a night took, in units of the ideal: all 16 workers busy to the end."""
    found = []
    for seed in range(SEEDS):
        seconds = spans(seed, 12)

        async def script(asked: Asked, seconds: Mapping[tuple[str, str], float] = seconds) -> Response:
            await trio.sleep(seconds[asked.tickers[0], type_of(asked)])
            return well(asked)

        async def play(script: Script = script) -> float:
            await night(script, "".join(MEDIANS), 12, medians=medians)
            return trio.current_time()

        clock = trio.testing.MockClock(autojump_threshold=0)
        started = clock.current_time()
        found.append((trio.run(play, clock=clock) - started) / (sum(seconds.values()) / 16))
    return found


def test_a_small_night_is_over_nearly_as_soon_as_it_can_be_if_the_slowest_types_start_first() -> None:
    assert statistics.median(ratios(MEDIANS)) <= 1.15
    assert statistics.median(ratios({})) > 1.3, "in the order of the config"
