"""What fails for its own reason costs nobody else a card, and hardly any time: held against what could have been made.

Each call is tried once, then what has failed; last tries come in one wave.
"""

import random
from collections import Counter, deque
from collections.abc import Mapping, Sequence

import pytest
import trio

from job.config.plan import Target
from job.engines.answers import AnswerError
from job.engines.failures import Cause
from job.text.messages import message
from tests.support.fakes import PATIENCE, Asked
from tests.support.nights import (
    DEADLINE,
    FOR_GOOD,
    SECONDS,
    How,
    IsBad,
    Strike,
    any_of,
    bad,
    card_of,
    cards,
    crowded,
    night,
    number,
    of_type,
    out,
    scattered,
)

COSTLY = {500, "denied", "lost", "html", "hang"}
TOPICS = [*cards(45, "x"), *cards(30, begin=45)]


def first(count: int) -> IsBad:
    return lambda name, _: number(name) < count


ROWS: dict[str, tuple[Sequence[Target], IsBad, Sequence[tuple[How, int]]]] = {
    "45 topics, with the only type that is bad": (TOPICS, of_type("x"), [(500, 1), ("denied", 16)]),
    "the first type": (cards(12), of_type("a"), [(500, 1), (503, 64), ("hang", 4), (422, 4), (403, 16), (409, 16)]),
    "the first 20 tickers": (cards(40), first(20), [(500, 64), ("lost", 4)]),
    "10 % of the cards": (cards(24), scattered(0.1), [(503, 4), (404, 16), (409, 4), (403, 64), (429, 1)]),
    "80 % of the cards": (cards(60), scattered(0.8), [(500, 16), (422, 4), ("denied", 64)]),
}
"""What is bad, how it fails, and how many calls may be in flight."""


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
        assert max(count for card, count in tries.items() if is_bad(*card)) <= 3


@pytest.mark.parametrize("how", [500, 503, "denied"])
def test_a_deadline_close_by_costs_no_card_that_could_be_made(how: How) -> None:
    played = night(out(how, 20.0, 60.0, "qa"), targets=cards(20, "b"), deadline=420.0, concurrency=4)
    assert played.outcome == "succeeded"
    alone = night(out(500, 0.0, FOR_GOOD, "qa"), targets=cards(1, "b"), deadline=420.0)
    assert [round(asked.time) for asked in alone.made.world.asked] == [0, 10, 120], "the last in time for the deadline"


# --- card types that always fail ---

BAD_TYPES: Sequence[Mapping[str, How]] = [{"a": 429}, {"a": "hang"}, {"a": 429, "b": "hang", "c": 500}]
Types = tuple[int, Mapping[str, How], float, int | None, int, float, int]
"""How many types, which fail, how soon; which share of other tries fails; cards, their seconds, how many at a time."""
TYPES: list[Types] = [
    *((10, types, 5.0, every, 1_000, 36.0, 16) for types in BAD_TYPES for every in (None, 10)),
    (10, {"a": 429}, 0.05, None, 500, 30.0, 16),
    (2, {"a": 500}, 0.05, None, 1_000, 30.0, 16),
    (2, {"a": "reset"}, 5.0, None, 1_000, 30.0, 16),
    (3, {"a": 502}, 0.05, None, 600, 150.0, 16),
    (4, {"a": "reset", "b": "reset", "c": "reset"}, 0.05, None, 1_600, 30.0, 16),
    (5, {"a": "denied"}, 5.0, None, 500, 10.0, 4),
]
SLOW_TYPES: list[Types] = [
    (10, types, 5.0, every, *size)
    for types in BAD_TYPES
    for every in (None, 10)
    for size in [(4_000, 36.0, 16), (10_000, 60.0, 64)]
]


@pytest.mark.parametrize("row", [*TYPES, *(pytest.param(row, marks=pytest.mark.slow) for row in SLOW_TYPES)], ids=str)
def test_bad_types_cost_no_good_card_and_hardly_any_time(row: Types) -> None:
    """Good cards are made as soon as if nothing else was asked, but for those whose tries have all failed by chance."""
    of, types, after, every, count, seconds, at_a_time = row
    luck = random.Random(3)

    def strike(asked: Asked, _: float) -> How:
        how = types.get(card_of(asked)[1])
        return 500 if how is None and every is not None and luck.random() < 1 / every else how

    good = count - count // of * len(types)
    at_full_speed = good * seconds / at_a_time
    played = night(
        strike,
        targets=cards(count // of, "abcdefghij"[:of]),
        seconds={**SECONDS, "qa": seconds},
        fails_after=after,
        deadline=min(DEADLINE, 1.25 * at_full_speed + 2 * PATIENCE),
        concurrency=at_a_time,
    )
    lost = played.lost(lambda _, card_type: card_type in types)
    assert all(played.tries[card] == 3 for card in lost)
    assert len(lost) <= (0 if every is None else 2 * good / every**3 + 3)
    done = (one for one in played.made.world.finished if one.done)
    last_tries = 0.0 if every is None else PATIENCE  # a small night is over before they are due
    timeouts = 2 * ("hang" in types.values()) + 2 * (every is not None)
    waits = 60.0 + 300.0 * timeouts
    slower = 1.4 if len(types) == of - 1 else 1.12
    assert max(one.ended for one in done) <= slower * at_full_speed + waits + last_tries


@pytest.mark.parametrize(("count", "every", "how"), [(900, 10, 500), (300, 3, 500), (300, 3, 503)])
def test_an_outage_in_a_wave_of_last_tries_costs_few_of_them(count: int, every: int, how: int) -> None:
    """A share of the cards has one try left, and then the engine is out for ten minutes."""
    slow = {number(card.id) for card in cards(count, "a")[::every]}

    def strike(asked: Asked, now: float) -> How:
        tries[card_of(asked)] += 1
        if 1_250 <= now < 1_850:
            return how
        return 500 if number(card_of(asked)[0]) in slow and tries[card_of(asked)] <= 2 else None

    tries = Counter[tuple[str, str]]()
    played = night(strike, targets=cards(count, "a"), concurrency=16)
    assert len(played.lost(lambda *_: False)) <= (90 if how == 500 else 0)
    assert tries.total() <= count + 2 * len(slow) + 150, "free ones wait as well"


# --- cards that fail now and then ---


@pytest.mark.parametrize(
    ("per_minute", "count"),
    [
        (30, 300),
        (60, 600),
        *(pytest.param(*row, marks=pytest.mark.slow) for row in [(30, 600), (30, 1_500), (60, 1_500)]),
    ],
)
def test_a_quota_beyond_which_the_engine_says_failed(per_minute: int, count: int) -> None:
    begun = deque[float]()

    def strike(_: Asked, now: float) -> How:
        while begun and begun[0] <= now - 60:
            begun.popleft()
        if len(begun) >= per_minute:
            return "denied"
        begun.append(now)
        return None

    played = night(strike, targets=cards(count, "a"), seconds={**SECONDS, "qa": 10.0}, concurrency=16)
    assert played.made.cards.missing <= 0.05 * count
    assert played.seconds <= 1.3 * 60 * count / per_minute + 1_200 + 60


@pytest.mark.parametrize("chance", [0.2, *(pytest.param(share, marks=pytest.mark.slow) for share in (0.05, 0.3))])
def test_tries_that_fail_by_chance_end_in_one_wave(chance: float) -> None:
    """Every card has its last try in time, and nothing is in flight for a patience at most."""
    luck = random.Random(1)
    strike: Strike = lambda _asked, _now: 500 if luck.random() < chance else None  # noqa: E731
    played = night(strike, targets=cards(1_500, "a"), seconds={**SECONDS, "qa": 10.0}, concurrency=16)
    lost = played.lost(lambda *_: False)
    assert all(played.tries[card] == 3 for card in lost)
    assert len(lost) <= 2 * chance**3 * 1_500 + 3
    reach = idle = 0.0
    for asked in played.made.world.of("qa"):  # in the order of their times
        idle += max(0.0, asked.time - reach)
        reach = max(reach, asked.ended or played.seconds)
    assert idle <= PATIENCE


# --- engines with room for fewer calls ---


@pytest.mark.parametrize("after", [0.05, 5.0])
@pytest.mark.parametrize(
    ("how", "room", "at_a_time", "most"),
    [
        (429, 2, 16, 110),
        (503, 2, 16, 110),
        (502, 12, 16, 40),
        (429, 12, 16, 40),
        ("reset", 40, 64, 40),
        (429, 1, 4, 201),
    ],
)
def test_an_engine_with_room_for_fewer_calls_is_used_and_few_are_rejected(
    how: How, room: int, at_a_time: int, most: int, after: float
) -> None:
    count = 200 if room < 10 else 600
    strike = crowded(how, lambda _: room)
    played = night(strike, targets=cards(count, "a"), fails_after=after, concurrency=at_a_time)
    assert played.outcome == "succeeded"
    assert played.wasted() <= most
    last_tries = PATIENCE if how in {502, "reset"} else 0.0
    assert played.seconds <= 1.05 * count / room * SECONDS["qa"] + last_tries + 60


@pytest.mark.parametrize("after", [0.05, 5.0])
def test_room_that_grows_is_used_within_fifteen_percent(after: float) -> None:
    """From two calls to 32, by one in 40 s."""

    def room(now: float) -> int:
        return min(32, 2 + int(now / 40))

    played = night(crowded(429, room), targets=cards(1_500, "a"), fails_after=after, concurrency=64)
    done, now = 0.0, 0.0
    while done < 1_500:
        done, now = done + room(now) / SECONDS["qa"], now + 1
    assert played.outcome == "succeeded"
    assert played.seconds <= 1.15 * now
    assert played.wasted() <= 100


# --- tokens ---


def test_one_card_that_always_gets_401_beside_a_token_server_that_returns_its_cached_token() -> None:
    """The server renews none from 100 s to 500 s."""
    is_bad: IsBad = lambda name, card_type: (name, card_type) == ("T0", "a")  # noqa: E731

    async def token(_audience: str, rejected: str | None) -> str:
        await trio.lowlevel.checkpoint()
        if rejected and 100 <= trio.current_time() < 500:
            raise AnswerError(message("no token"), Cause.IDENTITY)
        return "cached"

    for at_a_time in (1, 4, 16, 64):
        played = night(bad(is_bad, 401), targets=cards(40), token=token, concurrency=at_a_time)
        assert not played.lost(is_bad), at_a_time
        assert played.outcome == "cards_missing"
        renewals = [one for one in played.made.world.tokens_given if one[1] is not None]
        assert len(renewals) <= 100, "the refused token is forgotten once a call is done"


# --- how it ends ---


@pytest.mark.parametrize(
    ("strike", "targets", "left", "outcome"),
    [
        (any_of(bad(of_type("a"), 500), out(500, 200.0, FOR_GOOD, "qa")), cards(60), None, "qa_engine_down"),
        (bad(of_type("a"), 500), cards(20, "a"), None, "qa_engine_down"),
        (any_of(bad(first(20), 422), out(500, 0, FOR_GOOD, "qa")), cards(21, "a"), None, "cards_missing"),
        (bad(of_type("a"), 500), [*cards(20, "a"), *cards(1, "b", 20)], 20, "cards_missing"),
        (out(500, 0, FOR_GOOD, "qa"), cards(3, "ab"), None, "qa_engine_down"),
        (out(500, 0, FOR_GOOD, "qa"), cards(40), None, "qa_engine_down"),
    ],
    ids=["a type, then the engine", "all", "some are refused", "others were made", "few, all tried", "not all tried"],
)
def test_qa_is_down_if_cards_were_not_tried_or_the_day_has_none_and_none_was_refused(
    strike: Strike, targets: Sequence[Target], left: int | None, outcome: str
) -> None:
    played = night(strike, targets=targets, left=left)
    assert (played.outcome, played.exit) == (outcome, 3)
    assert not played.made.cards.not_attempted or outcome == "qa_engine_down"
