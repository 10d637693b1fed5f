"""Each call is tried once, then what has failed: what fails for its own reason costs nobody else a card.

The rows are pairs of what is bad, how it fails, and how many calls may be in flight.
"""

from collections.abc import Sequence

import pytest
import trio

from job.config.plan import Target
from job.engines.answers import TokenError
from job.text.messages import message
from tests.support.fakes import Asked, stage
from tests.support.nights import (
    FOR_GOOD,
    How,
    IsBad,
    Strike,
    any_of,
    bad,
    cards,
    night,
    number,
    of_type,
    out,
    scattered,
    striking,
)
from tests.support.virtual_time import in_virtual_time

COSTLY = {500, "denied", "lost", "html", "hang"}
TOPICS = [*cards(45, "x"), *cards(30, begin=45)]
FIVE_AND_A_TYPE: IsBad = lambda name, card_type: number(name) < 5 or card_type == "c"  # noqa: E731
FIRST: IsBad = lambda name, _: number(name) < 20  # noqa: E731
FIRST_SIX: IsBad = lambda name, _: number(name) < 6  # noqa: E731

ROWS: dict[str, tuple[Sequence[Target], IsBad, Sequence[tuple[How, int]]]] = {
    "45 topics, with the only type that is bad": (TOPICS, of_type("x"), [(500, 1), ("denied", 16)]),
    "the first type": (cards(12), of_type("a"), [(500, 1), (503, 64), ("hang", 4), (422, 4), (403, 16), (409, 16)]),
    "five tickers and a type": (cards(40), FIVE_AND_A_TYPE, [(500, 1), ("denied", 64), ("hang", 16)]),
    "the first 20 tickers": (cards(40), FIRST, [(500, 64), ("lost", 4)]),
    "10 % of the cards": (cards(24), scattered(0.1), [(503, 4), (404, 16), (409, 4), (403, 64), (429, 1)]),
    "80 % of the cards": (cards(60), scattered(0.8), [(500, 16), (422, 4), ("denied", 64)]),
    "80 % of a few": (cards(6), scattered(0.8), [(503, 16), (401, 4)]),
}


@pytest.mark.parametrize(
    ("what", "how", "at_a_time"), [(what, how, size) for what, (_, _, pairs) in ROWS.items() for how, size in pairs]
)
def test_what_fails_for_its_own_reason_costs_nobody_else_a_card(what: str, how: How, at_a_time: int) -> None:
    targets, is_bad, _ = ROWS[what]
    played = night(bad(is_bad, how), targets=targets, concurrency=at_a_time)
    assert not played.lost(is_bad)
    assert (played.outcome, played.exit) == ("cards_missing", 3)
    tries = played.tries
    assert max(count for card, count in tries.items() if not is_bad(*card)) == 1
    if how in COSTLY:
        assert {count for card, count in tries.items() if is_bad(*card)} == {3}


@pytest.mark.parametrize("how", [500, 503, "denied"])
def test_a_deadline_close_by_costs_no_card_that_could_be_made(how: How) -> None:
    strike = out(how, 20.0, 60.0, "qa")
    played = night(strike, targets=cards(20, "b"), deadline=420.0, concurrency=4)
    assert played.outcome == "succeeded"
    alone = night(out(500, 0.0, FOR_GOOD, "qa"), targets=cards(1, "b"), deadline=420.0)
    assert [round(asked.time) for asked in alone.made.world.asked] == [0, 10, 120], "the last in time for the deadline"


# --- tokens ---


def test_a_token_that_the_engine_stops_accepting_costs_each_call_in_flight_one_request() -> None:
    for at_a_time in (1, 4, 16, 64):
        given = ["old"]

        async def renewed(_audience: str, rejected: str | None, given: list[str] = given) -> str:
            await trio.lowlevel.checkpoint()
            if rejected == given[-1]:
                given.append("new")
            return given[-1]

        def strike(asked: Asked, now: float) -> How:
            return 401 if now >= 40 and asked.headers["Authorization"] == "Bearer old" else None

        played = night(strike, targets=cards(30), token=renewed, concurrency=at_a_time)
        assert played.outcome == "succeeded"
        assert played.wasted() <= at_a_time
        assert played.told == []


def test_one_card_that_always_gets_401_beside_a_token_server_that_returns_its_cached_token() -> None:
    """The server renews none from 100 s to 500 s."""
    is_bad: IsBad = lambda name, card_type: (name, card_type) == ("T0", "a")  # noqa: E731

    async def token(_audience: str, rejected: str | None) -> str:
        await trio.lowlevel.checkpoint()
        if rejected and 100 <= trio.current_time() < 500:
            raise TokenError(message("no token"))
        return "cached"

    for at_a_time in (1, 4, 16, 64):
        played = night(bad(is_bad, 401), targets=cards(40), token=token, concurrency=at_a_time)
        assert not played.lost(is_bad), at_a_time
        assert played.outcome == "cards_missing"
        renewals = [one for one in played.made.world.tokens_given if one[1] is not None]
        assert len(renewals) <= 100, "the refused token is forgotten once a call is done"


def test_what_waits_for_its_last_try_is_not_counted_in_the_time_that_is_left() -> None:
    made, seen = stage(cards(12, "a"), striking(bad(FIRST_SIX, 500)), {"qa": {"concurrency": 2, "attempts": 2}}), []

    async def look() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.play)
            for moment in (100.0, 400.0):
                await trio.sleep_until(moment)
                seen.append((made.live.seconds_left("qa", moment), made.live.engines["qa"].last_tries))

    in_virtual_time(look)
    (amid, waiting), at_the_end = seen
    assert amid is not None
    assert waiting > 0
    assert at_the_end == (None, 6)


# --- how it ends ---


@pytest.mark.parametrize(
    ("strike", "targets", "left", "outcome"),
    [
        (bad(of_type("a"), 500), cards(60), None, "cards_missing"),
        (any_of(bad(of_type("a"), 500), out(500, 200.0, FOR_GOOD, "qa")), cards(60), None, "qa_engine_down"),
        (bad(of_type("a"), 500), cards(20, "a"), None, "qa_engine_down"),
        (any_of(bad(FIRST, 422), out(500, 0, FOR_GOOD, "qa")), cards(21, "a"), None, "cards_missing"),
        (bad(of_type("a"), 500), [*cards(20, "a"), *cards(1, "b", 20)], 20, "cards_missing"),
        (out(500, 0, FOR_GOOD, "qa"), cards(3, "ab"), None, "qa_engine_down"),
        (out(500, 0, FOR_GOOD, "qa"), cards(40), None, "qa_engine_down"),
        (bad(of_type("a"), 500), cards(3, "ab"), None, "cards_missing"),
    ],
    ids=[
        "a type", "a type, and then the engine", "all of them", "all, and some are refused",
        "all of this start, others are made", "few cards, all tried", "cards not tried", "few of one type",
    ],
)  # fmt: skip
def test_qa_is_down_if_cards_were_not_tried_or_the_day_has_none_and_none_was_refused(
    strike: Strike, targets: Sequence[Target], left: int | None, outcome: str
) -> None:
    played = night(strike, targets=targets, left=left)
    assert (played.outcome, played.exit) == (outcome, 3)
    assert not played.made.cards.not_attempted or outcome == "qa_engine_down"
