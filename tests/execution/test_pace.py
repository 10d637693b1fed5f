"""No kind of bad card slows the good ones, and last tries come in one wave: held against what could have been made."""

import math
import random
from collections import Counter, deque
from collections.abc import Sequence

import pytest

from tests.support.fakes import PATIENCE, Asked
from tests.support.nights import (
    DEADLINE,
    SECONDS,
    How,
    IsBad,
    Night,
    Strike,
    any_of,
    bad,
    card_of,
    cards,
    crowded,
    night,
    number,
    of_type,
)


def idle_seconds(played: Night) -> float:
    """For how long nothing was in flight, in all."""
    reach = idle = 0.0
    for asked in played.made.world.of("qa"):  # in the order of their times
        idle += max(0.0, asked.time - reach)
        reach = max(reach, asked.ended or played.seconds)
    return idle


# --- a kind of card that always fails ---

TYPES: Sequence[tuple[int, How, float, float, int, int]] = [
    (10, 429, 0.05, 30.0, 500, 16),
    (4, 429, 5.0, 30.0, 1_000, 16),
    (2, 500, 0.05, 30.0, 1_000, 16),
    (2, 503, 5.0, 30.0, 600, 16),
    (2, "reset", 5.0, 30.0, 1_000, 16),
    (3, 502, 0.05, 150.0, 600, 16),
    (5, "denied", 5.0, 10.0, 500, 4),
]
SLOW_TYPES = [
    (*kind, *size)
    for size in [(10.0, 4_000, 16), (30.0, 4_000, 16), (150.0, 1_000, 16), (280.0, 540, 16), (30.0, 1_000, 4)]
    for kind in [
        (20, 429, 5.0), (10, 500, 0.05), (5, 502, 5.0), (4, "denied", 0.05), (3, 503, 5.0), (2, "reset", 0.05),
        (2, 502, 5.0), (3, 429, 5.0),
    ]
] + [(10, how, 5.0, 30.0, 10_000, 64) for how in (429, 500, 502)]  # fmt: skip


@pytest.mark.parametrize(
    ("share", "how", "after", "seconds", "count", "at_a_time"),
    [*TYPES, *(pytest.param(*row, marks=pytest.mark.slow) for row in SLOW_TYPES)],
)
def test_a_type_that_always_fails_costs_no_good_card_and_hardly_any_time(
    share: int, how: How, after: float, seconds: float, count: int, at_a_time: int
) -> None:
    """One of so many types, after so many seconds; the good cards take others. All could be made if all were good.

    With half of the cards bad, four calls in flight often have no good one among them: the breaker opens now and then.
    """
    is_bad, at_full_speed = of_type("a"), math.ceil(count / at_a_time) * seconds
    played = night(
        bad(is_bad, how),
        targets=cards(count // share, "abcdefghijklmnopqrst"[:share]),
        seconds={**SECONDS, "qa": seconds},
        fails_after=after,
        deadline=min(DEADLINE, 1.2 * at_full_speed + 2 * PATIENCE),
        concurrency=at_a_time,
    )
    assert not played.lost(is_bad)
    done = (one for one in played.made.world.finished if one.done)
    assert max(one.ended for one in done) <= (1.3 if (share, at_a_time) == (2, 4) else 1.15) * at_full_speed


# --- bad types beside cards and tries that fail now and then ---


@pytest.mark.parametrize(
    ("count", "at_a_time", "seconds"),
    [
        (1_000, 16, 36.0),
        *(pytest.param(*row, marks=pytest.mark.slow) for row in [(4_000, 16, 36.0), (10_000, 64, 60.0)]),
    ],
)
@pytest.mark.parametrize("bad_types", [{"a": 429}, {"a": "hang"}, {"a": 429, "b": "hang", "c": 500}], ids=str)
@pytest.mark.parametrize("every", [None, 10])
def test_bad_types_cost_no_good_card_also_if_tries_of_the_others_fail(
    count: int, at_a_time: int, seconds: float, bad_types: dict[str, How], every: int | None
) -> None:
    """Good cards are made as soon as if nothing else was asked, but for those whose tries have all failed by chance."""
    luck = random.Random(3)

    def strike(asked: Asked, _: float) -> How:
        how = bad_types.get(card_of(asked)[1])
        return 500 if how is None and every is not None and luck.random() < 1 / every else how

    def is_bad(_: str, card_type: str) -> bool:
        return card_type in bad_types

    good = count - count // 10 * len(bad_types)
    at_full_speed = good * seconds / at_a_time
    played = night(
        strike,
        targets=cards(count // 10, "abcdefghij"),
        seconds={**SECONDS, "qa": seconds},
        fails_after=5.0,
        deadline=min(DEADLINE, 1.25 * at_full_speed + 2 * PATIENCE),
        concurrency=at_a_time,
    )
    lost = played.lost(is_bad)
    assert all(played.tries[card] == 3 for card in lost)
    assert len(lost) <= (0 if every is None else 2 * good / every**3 + 3)
    done = (one for one in played.made.world.finished if one.done)
    last_tries = 0.0 if every is None else PATIENCE  # a small night is over before they are due
    assert max(one.ended for one in done) <= 1.1 * at_full_speed + 600.0 + last_tries, "and two timeouts"


def test_an_outage_in_a_wave_of_last_tries_costs_few_of_them() -> None:
    """A tenth of the cards has one try left, and then the engine is out for ten minutes."""
    slow = {number(card.id) for card in cards(900, "a")[::10]}

    def strike(asked: Asked, now: float) -> How:
        failed = played_tries[card_of(asked)]
        played_tries[card_of(asked)] += 1
        return 500 if 1_250 <= now < 1_850 or (number(card_of(asked)[0]) in slow and failed < 2) else None

    played_tries = Counter[tuple[str, str]]()
    played = night(strike, targets=cards(900, "a"), concurrency=16)
    assert len(played.lost(lambda *_: False)) <= 20


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


@pytest.mark.parametrize(
    ("chance", "good", "of_bad", "at_a_time"),
    [
        (0.2, 1_500, 0, 16),
        *(pytest.param(*row, marks=pytest.mark.slow) for row in [(0.05, 1_500, 0, 16), (0.3, 3_000, 0, 16)]),
        *(pytest.param(chance, 1_500, 1_000, 4, marks=pytest.mark.slow) for chance in (0.05, 0.2)),
    ],
)
def test_tries_that_fail_by_chance_end_in_one_wave(chance: float, good: int, of_bad: int, at_a_time: int) -> None:
    """Every good card has its last try in time, and there is no idle time but for a patience."""
    luck = random.Random(1)
    is_bad: IsBad = lambda name, _: number(name) < of_bad  # noqa: E731
    strike: Strike = lambda _asked, _now: 500 if luck.random() < chance else None  # noqa: E731
    played = night(
        any_of(bad(is_bad, 500), strike),
        targets=cards(good + of_bad, "a"),
        seconds={**SECONDS, "qa": 10.0},
        concurrency=at_a_time,
    )
    assert all(played.tries[card] == 3 for card in played.lost(is_bad))
    assert len(played.lost(is_bad)) <= 2 * chance**3 * good + 3
    assert of_bad or idle_seconds(played) <= PATIENCE, "beside many bad cards, one is tried at a time after pauses"


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
