"""An engine gets as many calls at a time as it has capacity for; few are rejected, and no card is lost."""

import random
from itertools import pairwise

import pytest

from job.engines.failures import Cause, Failure
from job.execution.limits import ConcurrencyLimiter, RateLimiter
from job.text.messages import message

FULL, BUSY = Failure(Cause.STATUS, message("HTTP 429"), 429), Failure(Cause.STATUS, message("HTTP 503"), 503)


class Calls:
    """Calls in flight under a limiter, as the executor counts them."""

    def __init__(self) -> None:
        self.limiter = ConcurrencyLimiter(16)
        self.in_flight = self.failures = 0

    def begin(self, count: int) -> None:
        self.in_flight += count

    def end(self, failure: Failure | None, count: int = 1) -> None:
        for _ in range(count):
            self.failures = self.failures + 1 if failure else self.failures
            self.limiter.update(failure, self.in_flight, self.failures)
            self.failures = self.failures if failure else 0
            self.in_flight -= 1


def test_a_429_lowers_the_limit_to_the_calls_in_flight() -> None:
    calls = Calls()
    calls.begin(16)
    for left in range(15, 9, -1):
        calls.end(FULL)
        assert calls.limiter.limit == calls.in_flight == left


OVERLOAD = [
    BUSY,
    *(Failure(Cause.STATUS, message(""), status) for status in (502, 504)),
    *(Failure(cause, message("")) for cause in (Cause.TRANSPORT, Cause.HOST_UNKNOWN, Cause.PROCESS_LIMIT)),
]


@pytest.mark.parametrize("failure", OVERLOAD)
def test_overloads_in_a_row_lower_the_limit_and_a_few_among_many_cost_little(failure: Failure) -> None:
    calls = Calls()
    calls.begin(16)
    calls.end(failure, 7)
    assert calls.limiter.limit == 14
    calls = Calls()
    for _ in range(100):
        calls.begin(16)
        calls.end(failure)
        calls.end(None, 15)
    assert calls.limiter.limit == 16
    calls = Calls()
    for _ in range(3):
        calls.begin(16)
        calls.end(failure, 5)
        calls.end(None, 11)
    assert calls.limiter.limit >= 13, "it is their number since a call was done"


def test_more_overloads_than_the_limit_are_an_outage_which_is_no_matter_of_their_number() -> None:
    calls = Calls()
    calls.begin(1_000)
    calls.end(BUSY, 16)
    low = calls.limiter.limit
    assert 1 < low < 16
    calls.end(BUSY, 900)
    assert calls.limiter.limit == low


@pytest.mark.parametrize(
    "failure",
    [
        Failure(Cause.STATUS, message(""), 500),
        *(Failure(cause, message("")) for cause in (Cause.TIMEOUT, Cause.DENIED)),
    ],
)
def test_what_says_nothing_of_the_capacity_leaves_the_limit(failure: Failure) -> None:
    calls = Calls()
    calls.begin(16)
    calls.end(failure, 16)
    assert calls.limiter.limit == 16


def test_the_limit_rises_by_one_per_round_trip_up_to_its_maximum_while_it_is_reached() -> None:
    calls = Calls()
    calls.begin(8)
    calls.end(FULL)
    limits = [calls.limiter.limit]
    for _ in range(12):
        for _ in range(calls.limiter.limit):
            calls.begin(calls.limiter.limit - calls.in_flight)
            calls.end(None)
        limits.append(calls.limiter.limit)
    assert limits[0] == 7
    assert all(0 <= after - before <= 1 for before, after in pairwise(limits))
    assert limits[-1] == 16
    calls = Calls()
    calls.begin(16)
    calls.end(FULL, 8)
    calls.end(None, 4)
    for _ in range(50):
        calls.begin(1)
        calls.end(None)
    assert calls.limiter.limit == 8
    for _ in range(9):
        calls.limiter.update(None, in_flight=6, failures=2)
    assert calls.limiter.limit == 9, "each failure takes a place"


@pytest.mark.parametrize(("low", "after"), [(1, 8), (12, 12)])
def test_after_an_outage_the_limit_is_half_of_its_maximum_at_least(low: int, after: int) -> None:
    limiter = ConcurrencyLimiter(16)
    limiter.update(FULL, low + 1, 0)
    assert limiter.limit == low
    limiter.recover()
    assert limiter.limit == after


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
