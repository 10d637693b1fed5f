"""The QA engine is given up only if it is down: 20 cards in a row have failed, or over half of at least 50."""

from __future__ import annotations

import pytest

from job.engines.failures import Cause, Failure
from job.execution.circuits import CircuitBreaker
from job.text.messages import message


def status(code: int) -> Failure:
    return Failure(Cause.STATUS, message(""), code)


DOWN = [status(code) for code in (401, 403, 429, 500, 502, 503, 504, 599)]
DOWN += [Failure(cause, message("")) for cause in (Cause.TRANSPORT, Cause.TIMEOUT, Cause.IDENTITY)]
WORKING = [Failure(cause, message(""), 200) for cause in (Cause.DENIED, Cause.UNREADABLE)]
WORKING += [status(code) for code in (302, 400, 404, 422)]
WORKING += [Failure(Cause.PROCESS_LIMIT, message(""))]


@pytest.mark.parametrize("failure", DOWN)
def test_twenty_failures_in_a_row_open_the_circuit(failure: Failure) -> None:
    breaker = CircuitBreaker()
    assert [breaker.record(failure) for _ in range(20)] == [False] * 19 + [True]


@pytest.mark.parametrize("failure", WORKING)
def test_failure_answers_of_a_working_engine_and_limits_of_the_job_do_not_open_the_circuit(failure: Failure) -> None:
    breaker = CircuitBreaker()
    assert not any(breaker.record(failure) for _ in range(1000))


@pytest.mark.parametrize("between", [None, *WORKING])
def test_any_answer_of_a_working_engine_resets_the_failures_in_a_row(between: Failure | None) -> None:
    breaker = CircuitBreaker()
    down = DOWN[0]
    assert not any(breaker.record(down) for _ in range(19))
    assert not breaker.record(between)
    assert [breaker.record(down) for _ in range(20)][:19] == [False] * 19


def test_over_half_of_at_least_fifty_open_the_circuit() -> None:
    breaker = CircuitBreaker()
    pattern = [DOWN[0], DOWN[1], None]  # two thirds, never three in a row
    opened = [breaker.record(pattern[number % 3]) for number in range(60)]
    assert opened.index(True) == 49


def test_exactly_half_does_not_open_the_circuit() -> None:
    breaker = CircuitBreaker()
    assert not any(breaker.record(DOWN[0] if number % 2 else None) for number in range(1000))
