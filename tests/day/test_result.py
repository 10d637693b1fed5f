"""A result is read from the journal as it was written; a line that the job has not written is refused."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job.day.result import CallResult, FailedTry
from job.engines.calls import ALL_ENGINES, card
from job.engines.failures import Cause
from job.text.messages import Message
from tests.support.results import result_of

ONE = result_of(card("AAPL", "news_card", "2026-11-24", ()), limit=0, request="", date="")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-(2**40), 2**40)
MESSAGES: st.SearchStrategy[Message] = st.deferred(
    lambda: st.builds(Message, TEXTS, st.dictionaries(TEXTS, TEXTS | NUMBERS | MESSAGES, max_size=2), TEXTS | st.none())
)
COUNTS = st.integers(0, 2**31 - 1)
TIMES = st.floats(1.8e9, 2.7e9).map(lambda time: round(time, 3))
SPANS = st.tuples(TIMES, TIMES).map(sorted)
"""When an attempt began and ended."""
TRIED = st.builds(lambda span, why: FailedTry(span[0], span[1], why), SPANS, MESSAGES)


def result(span: list[float], **given: Any) -> CallResult:
    return CallResult(started=span[0], ended=span[1], **given)


RESULTS = st.builds(
    result,
    SPANS,
    engine=st.sampled_from(ALL_ENGINES),
    targets=st.lists(TEXTS, min_size=1, max_size=3).map(tuple),
    card_type=TEXTS | st.none(),
    done=st.booleans(),
    tries=COUNTS,
    retries=COUNTS,
    waits=COUNTS,
    status=COUNTS | st.none(),
    cause=st.sampled_from(Cause) | st.just("unknown") | st.none(),
    reason=MESSAGES | st.none(),
    warning=MESSAGES | st.none(),
    failed_tries=st.lists(TRIED, max_size=2).map(tuple),
    traceparent=TEXTS,
    interrupted_after=st.sampled_from(Cause) | st.none(),
    request=TEXTS,
    date=TEXTS,
    again=COUNTS,
)


@settings(max_examples=50)
@given(RESULTS)
def test_a_result_is_read_as_it_was_written(made: CallResult) -> None:
    line = made.line()
    assert b"\n" not in line
    assert CallResult.parse(line) == made


def test_what_has_its_default_is_left_out_of_the_line() -> None:
    assert json.loads(ONE.line()).keys() == {
        *("engine", "targets", "card_type", "done", "attempts", "started", "ended", "status", "cause", "traceparent"),
        "charged_tries",
    }


def test_a_line_may_have_more_fields() -> None:
    assert CallResult.parse(ONE.line()[:-1] + b',"more":{"deep":[1]}}') == ONE


WRONG: dict[str, Any] = {
    "engine": "other",
    "targets": [],
    "done": None,
    "attempts": -1,
    "started": "then",
    "ended": 1e300,
    "retries": 2**31,
    "reason": 7,
    "failed_attempts": [[1.0]],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_line_with_a_value_that_the_job_does_not_write_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        CallResult.parse(json.dumps(json.loads(ONE.line()) | {name: WRONG[name]}).encode())


@pytest.mark.parametrize(("started", "ended"), [(2.0, 1.0), (0.0, 1.1e9)])
@pytest.mark.parametrize("is_last", [True, False])
def test_a_line_whose_tries_take_no_time_of_a_run_is_refused(started: float, ended: float, is_last: bool) -> None:
    wrong = {"started": started, "ended": ended} if is_last else {"failed_attempts": [[started, ended, {"id": "no"}]]}
    with pytest.raises(ValueError, match="no time of a try"):
        CallResult.parse(json.dumps(json.loads(ONE.line()) | wrong).encode())


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b"\xff", b'{"engine":', b"[" * 100_000])
def test_what_is_no_result_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="CallResult"):
        CallResult.parse(line)
