"""An engine gets as many calls at a time as it has capacity for; few are rejected, and no card is lost."""

import random
from itertools import pairwise

import pytest

from job.execution.limits import ConcurrencyLimiter, RateLimiter
from job.execution.pending_call import Try


def play(limiter: ConcurrencyLimiter, time: float, done: int = 0, *, neither: int = 0, rejected: int = 0) -> None:
    """So many calls begin at a time, and are then done, neither, or rejected."""
    begun = [Try(time, ended=time + 1.0) for _ in range(done + neither + rejected)]
    for latest in begun:
        limiter.begin(latest)
    for number, latest in enumerate(begun):
        if number < done:
            limiter.succeed(latest)
        elif number >= done + neither:
            limiter.reject(latest)
        limiter.end(latest)


def test_room_that_is_gone_is_forgotten_after_two_round_trips() -> None:
    limiter = ConcurrencyLimiter(16)
    play(limiter, 0.0, 16)
    for time in range(2, 42):
        play(limiter, time, 4, rejected=limiter.limit - 4)
    assert 4 <= limiter.limit <= 5
    assert not limiter.in_flight, "what it keeps is bounded"


def test_the_limit_stays_while_it_is_not_reached_and_is_at_least_what_is_done_at_a_time() -> None:
    limiter = ConcurrencyLimiter(16)
    play(limiter, 0.0, neither=7, rejected=9)
    for time in range(2, 10):
        play(limiter, time, 1)
    assert limiter.limit == 7
    play(limiter, 10.0, 12)
    assert limiter.limit == 12


def test_a_rejection_for_a_reason_of_its_own_raises_the_limit() -> None:
    limiter = ConcurrencyLimiter(16)
    play(limiter, 0.0, neither=4, rejected=12)
    play(limiter, 2.0, 4)
    play(limiter, 4.0, 3, rejected=1)
    assert limiter.limit == 5


@pytest.mark.parametrize(("per_minute", "delay"), [(60, 0.0), (60, 0.09), (7, 0.0), (6_000, 0.003), (60_000, 0.004)])
def test_in_no_minute_more_calls_begin_than_may_and_hardly_fewer(per_minute: int, delay: float) -> None:
    """Each begins late by up to `delay` seconds, as timers are never exact."""
    limiter, now, jitter = RateLimiter(per_minute), 1000.0, random.Random(1)
    begun: list[float] = []
    while now < 1180:
        begun.append(now)
        limiter.begin(now)
        if now < limiter.not_before:
            now = limiter.not_before + jitter.random() * delay
    assert all(begun[n + per_minute] - begun[n] > 59.999 for n in range(len(begun) - per_minute))
    assert len(begun) >= 3 * per_minute * 0.99 - 1
    step = 60 / per_minute
    assert all(later - earlier <= 1.1 * step + delay for earlier, later in pairwise(begun)), "they are evenly spread"


def test_calls_that_did_not_begin_are_not_made_up_for() -> None:
    limiter = RateLimiter(60)
    limiter.begin(0.0)
    assert limiter.not_before == pytest.approx(0.9, abs=0.11)
    limiter.begin(600.0)
    assert limiter.not_before >= 600.9
