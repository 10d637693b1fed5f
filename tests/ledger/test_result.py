"""A result is read from the journal as it was written, also if an earlier version has written it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.engines.catalog import ALL_ENGINES
from job.engines.failures import Cause
from job.ledger.result import CallResult, FailedAttempt
from job.text.messages import Message, message

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-(2**40), 2**40)
MESSAGES: st.SearchStrategy[Message] = st.deferred(
    lambda: st.builds(Message, TEXTS, st.dictionaries(TEXTS, TEXTS | NUMBERS | MESSAGES, max_size=2), TEXTS | st.none())
)
COUNTS = st.integers(0, 2**31 - 1)
TIMES = st.floats(0, 2e11).map(lambda time: round(time, 3))
SPANS = st.tuples(TIMES, TIMES).map(sorted)
"""When an attempt began and ended."""
TRIED = st.builds(lambda span, why: FailedAttempt(span[0], span[1], why), SPANS, MESSAGES)


def result(span: list[float], **given: Any) -> CallResult:
    return CallResult(started=span[0], ended=span[1], **given)


RESULTS = st.builds(
    result,
    SPANS,
    engine=st.sampled_from(ALL_ENGINES),
    targets=st.lists(TEXTS, min_size=1, max_size=3).map(tuple),
    card_type=TEXTS | st.none(),
    done=st.booleans(),
    attempts=COUNTS,
    retries=COUNTS,
    waits=COUNTS,
    status=COUNTS | st.none(),
    cause=st.sampled_from(Cause) | st.just("of another version") | st.none(),
    reason=MESSAGES | st.none(),
    warning=MESSAGES | st.none(),
    failed_attempts=st.lists(TRIED, max_size=2).map(tuple),
    traceparent=TEXTS,
    limit=COUNTS,
    interrupted_after=st.sampled_from(Cause) | st.none(),
    request=TEXTS,
)
PLAIN = RESULTS.map(lambda made: replace(made, reason=None, failed_attempts=()))
"""Results without a reason and a failed attempt, as most are."""
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=3,
)
"""What an altered line may have in any place."""
NAMES = [
    "engine", "targets", "card_type", "done", "attempts", "retries", "waits", "started", "ended", "status", "cause",
    "warning", "traceparent", "limit", "interrupted_after", "request", "reason_message", "another",
]  # fmt: skip


def spaced(line: bytes) -> bytes:
    """The same line as another writer might have written it, which is not parsed in the fast way."""
    return line.replace(b'"reason":null,', b'"reason": null,')


def parsed(line: bytes) -> CallResult | None:
    """The result in a line; `None` if it is refused."""
    try:
        return CallResult.parse(line)
    except ValueError:
        return None


@given(RESULTS)
def test_a_result_is_read_as_it_was_written(made: CallResult) -> None:
    line = made.line()
    assert b"\n" not in line
    assert CallResult.parse(line) == made


@given(PLAIN)
def test_both_ways_to_parse_a_line_agree(made: CallResult) -> None:
    line = made.line()
    assert spaced(line) != line
    assert CallResult.parse(line) == CallResult.parse(spaced(line)) == made


@given(made=PLAIN, name=st.sampled_from(NAMES), value=VALUES, absent=st.booleans())
def test_both_ways_to_parse_an_altered_line_agree(made: CallResult, name: str, value: Any, absent: bool) -> None:
    fields = json.loads(made.line())
    if absent:
        fields.pop(name, None)
    else:
        fields[name] = value
    line = json.dumps(fields, separators=(",", ":")).encode()
    assert parsed(line) == parsed(spaced(line))


@given(RESULTS)
def test_a_line_of_an_earlier_version_has_its_reasons_as_text(made: CallResult) -> None:
    fields = json.loads(made.line())
    for name in ("reason_message", "failed_messages", "retries", "waits", "warning", "interrupted_after", "request"):
        fields.pop(name, None)
    read = CallResult.parse(json.dumps(fields).encode())
    assert (read.retries, read.waits, read.warning, read.interrupted_after, read.request) == (0, 0, None, None, "")
    assert read.reason == (None if made.reason is None else Message(str(made.reason)))
    assert read.failed_attempts == tuple(one._replace(reason=Message(str(one.reason))) for one in made.failed_attempts)
    assert replace(
        made, reason=None, failed_attempts=(), retries=0, waits=0, warning=None, interrupted_after=None, request=""
    ) == (replace(read, reason=None, failed_attempts=()))


def test_a_line_of_a_later_version_may_have_more_fields() -> None:
    line = ONE.line()
    assert CallResult.parse(line[:-1] + b',"more":{"deep":[1]}}') == ONE


ONE = CallResult(
    engine="qa",
    targets=("AAPL",),
    card_type="news_card",
    done=True,
    attempts=1,
    started=10.0,
    ended=12.0,
    status=200,
    cause=None,
    traceparent="",
    limit=4,
)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(ONE, started=12.001),
        replace(ONE, started=12.001, reason=message("no"), done=False, cause="status"),
        replace(ONE, failed_attempts=(FailedAttempt(3.0, 2.999, message("no")),)),
    ],
)
def test_an_attempt_that_ends_before_it_begins_is_refused(wrong: CallResult) -> None:
    for line in (wrong.line(), spaced(wrong.line())):
        with pytest.raises(ValueError, match="an attempt ends before it begins"):
            CallResult.parse(line)
