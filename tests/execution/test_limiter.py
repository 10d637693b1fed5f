"""An engine gets as many calls at a time as it has capacity for; few are rejected, and no card is lost."""

import random
from itertools import pairwise

import pytest

from job.execution.limits import ConcurrencyLimiter, RateLimiter
from job.execution.pending_call import Try


class Calls:
    """Calls in flight under a limiter, as the executor counts them."""

    def __init__(self, maximum: int = 16) -> None:
        self.limiter = ConcurrencyLimiter(maximum)
        self.in_flight: list[Try] = []

    def begin(self, count: int) -> list[Try]:
        begun = [Try(0.0) for _ in range(count)]
        for latest in begun:
            self.in_flight.append(latest)
            self.limiter.begin(latest)
        return begun

    def reject(self, *rejected: Try, is_full: bool = False) -> None:
        for latest in rejected:
            self.limiter.reject(latest, is_full=is_full)
            self.end(latest)

    def succeed(self, *done: Try, failures: int = 0) -> None:
        for latest in done:
            self.limiter.succeed(latest, failures)
            self.end(latest)

    def end(self, *ended: Try) -> None:
        for latest in ended:
            self.limiter.end()
            self.in_flight.remove(latest)


def test_the_limit_falls_to_what_was_shown_and_not_below() -> None:
    calls = Calls()
    first = calls.begin(12)
    calls.reject(*calls.begin(4))
    assert calls.limiter.limit == 12
    calls.succeed(*first)
    for _ in range(5):
        begun = calls.begin(14)
        calls.reject(*begun[12:])
        calls.succeed(*begun[:12])
        assert 12 <= calls.limiter.limit <= 13


def test_what_is_rejected_where_there_was_room_is_of_a_kind_that_is_never_done() -> None:
    calls = Calls()
    first = calls.begin(8)
    calls.reject(*first[:3])
    assert calls.limiter.limit == 13
    calls.succeed(*first[3:])
    for _ in range(20):
        bad, *good = calls.begin(4)
        calls.reject(bad)
        calls.succeed(*good)
    assert calls.limiter.limit == 16


def test_calls_that_were_rejected_later_show_no_room() -> None:
    calls = Calls()
    early, *others, late = calls.begin(10)
    calls.reject(*others)
    calls.succeed(early, late)
    calls.reject(*calls.begin(4)[2:])
    assert calls.limiter.limit == 6, "two were done at a time, whatever was in flight"


def test_after_many_429s_in_a_row_what_was_shown_before_them_counts_no_more() -> None:
    calls = Calls()
    calls.succeed(*calls.begin(5))
    for _ in range(60):
        calls.reject(*calls.begin(6)[5:], is_full=True)
        calls.end(*calls.in_flight)
    assert calls.limiter.limit == 1


def test_the_limit_rises_by_one_per_round_trip_up_to_its_maximum_while_it_is_reached() -> None:
    calls = Calls()
    calls.reject(*calls.begin(16)[7:])
    calls.end(*calls.in_flight)
    limits = [calls.limiter.limit]
    for _ in range(12):
        for _ in range(calls.limiter.limit):
            calls.begin(calls.limiter.limit - len(calls.in_flight))
            calls.succeed(calls.in_flight[0])
        limits.append(calls.limiter.limit)
    assert limits[0] == 7
    assert all(0 <= after - before <= 1 for before, after in pairwise(limits))
    assert limits[-1] == 16


def test_the_limit_stays_while_it_is_not_reached_and_each_failure_takes_a_place() -> None:
    calls = Calls()
    calls.reject(*calls.begin(16)[7:])
    calls.end(*calls.in_flight)
    for _ in range(50):
        calls.succeed(*calls.begin(1))
    assert calls.limiter.limit == 7
    for _ in range(8):
        calls.succeed(*calls.begin(1), failures=6)
    assert calls.limiter.limit == 8


def test_room_that_is_gone_is_forgotten_after_two_rounds() -> None:
    calls = Calls()
    calls.succeed(*calls.begin(16))
    for _ in range(40):
        begun = calls.begin(calls.limiter.limit)
        calls.succeed(*begun[:4])
        calls.reject(*begun[4:])
    assert 4 <= calls.limiter.limit <= 5


@pytest.mark.parametrize(("low", "after"), [(1, 8), (12, 12)])
def test_after_an_outage_the_limit_is_half_of_its_maximum_at_least(low: int, after: int) -> None:
    calls = Calls()
    calls.reject(*calls.begin(16)[low:])
    assert calls.limiter.limit == low
    calls.limiter.recover()
    assert calls.limiter.limit == after


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
