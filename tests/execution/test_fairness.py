"""Whatever fails, in whatever order its type stands: no good card is lost, and an outage costs no more than is said.

Each night is lost, or costs more, without one of the rules of `job/engines/README.md`.
"""

import random
from collections import Counter
from dataclasses import replace

import pytest
import trio

from job.day.ending import ending_of
from job.day.result import CallResult
from job.execution.circuit_breaker import LATE_TRIES
from tests.support.fakes import PATIENCE, Asked, Stage, stage, target
from tests.support.nights import (
    DEADLINE,
    FOR_GOOD,
    FREE,
    SECONDS,
    How,
    Strike,
    bad,
    card_of,
    cards,
    crowded,
    night,
    number,
    of_type,
    out,
    scattered,
    striking,
)
from tests.support.virtual_time import in_virtual_time


def charged(asked: list[Asked]) -> int:
    return sum(one.how not in FREE for one in asked)


@pytest.mark.parametrize(
    ("of", "hanging", "tickers", "at_a_time", "is_first"),
    [(280, 28, 1, 16, True), (28, 20, 6, 16, False), pytest.param(654, 300, 1, 64, False, marks=pytest.mark.slow)],
)
def test_types_that_hang_cost_no_card_of_others(
    of: int, hanging: int, tickers: int, at_a_time: int, *, is_first: bool
) -> None:
    types = [f"t{number:03}" for number in range(of)]
    some = {*(types[:hanging] if is_first else random.Random(1).sample(types, hanging))}
    targets = [target(f"T{number}", types, ()) for number in range(tickers)]
    played = night(bad(lambda _, name: name in some, "hang"), targets=targets, concurrency=at_a_time)
    assert not played.lost(lambda _, name: name in some)
    assert (played.outcome, played.exit) == ("cards_missing", 3), "others are made: QA has not failed"
    assert charged(played.made.world.of("qa")) <= 2 * hanging + 60


@pytest.mark.parametrize("begin", [0.0, pytest.param(60.0, marks=pytest.mark.slow)])
def test_a_type_that_did_cards_and_then_hangs_costs_no_other_card_and_no_time(begin: float) -> None:
    done = list[str]()

    def strike(asked: Asked, now: float) -> How:
        name, card_type = card_of(asked)
        if card_type != "a" or now < begin or not done or done == [name]:
            done.extend([name] * (card_type == "a" and not done))
            return None
        return "hang"

    played = night(strike, targets=cards(100, "abcdefghij"), concurrency=16)
    assert not played.lost(of_type("a"))
    last = max(one.ended for one in played.made.world.finished if one.done)
    assert last <= 1.15 * 900 * SECONDS["qa"] / 16


@pytest.mark.parametrize(
    ("at_a_time", "count", "ends"), [(2, 500, 8_400.0), pytest.param(16, 3_000, 4_800.0, marks=pytest.mark.slow)]
)
def test_scattered_bad_cards_leave_the_engine_idle_for_little_time(at_a_time: int, count: int, ends: float) -> None:
    """The order of tasks in the event loop, which is drawn anew each time, moves the end by some minutes."""
    luck, is_bad = random.Random(1), scattered(0.2)
    strike: Strike = lambda asked, _: 500 if is_bad(*card_of(asked)) or luck.random() < 0.1 else None  # noqa: E731
    played = night(strike, targets=cards(count // 5), concurrency=at_a_time)
    assert played.seconds <= ends
    assert all(played.tries[card] == 3 for card in played.lost(is_bad))


def test_each_of_many_types_meets_an_engine_with_little_room() -> None:
    types = [f"t{number}" for number in range(300)]
    played = night(crowded(429, lambda _: 4), targets=[target("T", types, ())], concurrency=64)
    assert played.outcome == "succeeded"
    assert len(played.made.world.asked) <= 700


@pytest.mark.parametrize(("how", "at_a_time"), [("hang", 1), ("hang", 16), (500, 16), (503, 4)])
@pytest.mark.parametrize("left", [1, 5, 9, 30])
def test_an_engine_that_is_out_for_good_is_given_up_however_few_calls_are_left(
    how: How, at_a_time: int, left: int
) -> None:
    played = night(out(how, 30.0, FOR_GOOD, "qa"), targets=cards(left + at_a_time, "a"), concurrency=at_a_time)
    assert played.seconds <= 4_200
    assert charged(played.made.world.of("qa")) <= 60


@pytest.mark.parametrize("count", [34, 300])
def test_nineteen_minutes_of_charged_failures_cost_sixty_tries_and_no_card(count: int) -> None:
    played = night(out(500, 0.0, 1_140.0, "qa"), targets=cards(count, "a"), concurrency=16)
    assert played.outcome == "succeeded"
    assert charged(played.made.world.of("qa")) <= 60


@pytest.mark.parametrize(("how", "count"), [(503, 16), (500, 16), (429, 7)])
def test_an_outage_of_the_last_cards_in_flight_is_told_and_probed_by_one_call_at_a_time(how: How, count: int) -> None:
    played = night(out(how, 0.0, 1_140.0, "qa"), targets=cards(count, "a"), concurrency=64)
    assert played.outcome == "succeeded"
    assert len(played.made.world.asked) <= 150
    assert played.told
    assert played.told[0].seconds <= 300


def test_nine_cards_that_failed_for_free_do_not_wait_behind_those_that_hang() -> None:
    def strike(asked: Asked, _: float) -> How:
        tries[card_of(asked)] += 1
        if number(asked.tickers[0]) < 50:
            return "hang"
        return 503 if number(asked.tickers[0]) >= 191 and tries[card_of(asked)] == 1 else None

    tries = Counter[tuple[str, str]]()
    assert not night(strike, targets=cards(200, "a"), concurrency=16).lost(lambda name, _: number(name) < 50)


def starts(*strikes: Strike, targets_of: int, types: str = "abcde") -> list[tuple[str, float, int, int]]:
    """Starts of one day: how each ended, after how long, how many tries it was charged, what is missing then."""
    ended, earlier, clock = list[tuple[str, float, int, int]](), list[CallResult](), 0.0
    for attempt, strike in enumerate(strikes, 1):
        settings = {"timeout": 300.0, "concurrency": 16}
        made = stage(cards(targets_of, types), striking(strike), {"qa": settings}, random.Random(attempt).random)
        made.ledger.attempt = attempt
        for result in earlier:
            made.ledger.add(result)

        async def play(made: Stage = made) -> float:
            made.shutdown.deadline = DEADLINE
            with trio.move_on_after(DEADLINE):
                await made.phases.generate()
            return trio.current_time()

        seconds = in_virtual_time(play)
        earlier += [
            replace(one, attempt=attempt, started=one.started + clock, ended=one.ended + clock)
            for one in made.world.finished
        ]
        clock += seconds + 600.0
        outcome = str(ending_of(made.ledger, made.shutdown.reason).outcome)
        ended.append((outcome, seconds, charged(made.world.of("qa")), made.cards.missing))
    return ended


@pytest.mark.parametrize("how", [500, "hang", "denied"])
@pytest.mark.parametrize(("count", "begin"), [(60, 0.0), (60, 100.0), (1, 0.0)])
def test_a_start_that_comes_too_early_costs_eight_tries_and_ends_soon(how: How, count: int, begin: float) -> None:
    """And one that comes once QA works again makes everything, at the cost of one card's time."""
    again = out(how, 0.0, FOR_GOOD, "qa")
    well: Strike = lambda _asked, _now: None  # noqa: E731
    _, *early, last = starts(out(how, begin, FOR_GOOD, "qa"), again, again, well, targets_of=count)
    for _, seconds, paid, missing in early:
        assert missing
        assert paid <= LATE_TRIES
        assert seconds <= (900 if how == "hang" else 600)
    assert last[:1] + last[3:] == ("succeeded", 0)
    assert last[1] <= count * 5 / 16 * SECONDS["qa"] + 2 * SECONDS["qa"]


def test_cards_that_failed_before_and_fail_again_are_missing_and_qa_has_not_failed() -> None:
    strike = bad(lambda name, _: number(name) < 5, 500)
    first, again, _ = starts(strike, strike, strike, targets_of=60)
    assert (first[0], first[3]) == (again[0], again[3]) == ("cards_missing", 25)
    assert again[2] <= LATE_TRIES


def test_free_failures_have_their_patience_anew_in_a_start_that_comes_early() -> None:
    _, again = starts(out(503, 0.0, FOR_GOOD, "qa"), out(503, 0.0, 900.0, "qa"), targets_of=10)
    assert again[0] == "succeeded"
    assert again[1] <= PATIENCE
