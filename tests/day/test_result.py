"""A result is read from the journal as it was written; a line that the job has not written is refused."""

import json
from dataclasses import replace
from typing import Any

import pytest

from job.day.result import CallResult
from job.engines.calls import card
from job.engines.failures import Cause, Failure
from job.text.messages import message, plural
from tests.support.results import result_of, tried

CARD = card("AAPL", "news_card", "2026-11-24", ())
ONE = result_of(CARD, limit=0, request="", date="")
FULL = result_of(
    CARD,
    Failure(Cause.INTERRUPTED, message("cut off: {reason}", reason=plural("1 try\n", "{count} tries", count=3)), 503),
    limit=0,
    charged_tries=2,
    by_target=(("AAPL", message("no")),),
    account="a@b",
    tried_seconds=1.5,
    retries=2,
    waits=1,
    warning=message("\u2028“美”"),
    with_error=("AAPL",),
    failed_tries=tried((10.0, 10.5, "no"), (11.0, 11.25, "no\n")),
    interrupted_after=Cause.STATUS,
    again=2,
    traceparent="00-1-2-01",
)


@pytest.mark.parametrize("made", [ONE, FULL, replace(FULL, cause="unknown")])
def test_a_result_is_read_as_it_was_written(made: CallResult) -> None:
    assert b"\n" not in made.line()
    assert CallResult.parse(made.line()) == made


def test_what_has_its_default_is_left_out_of_the_line() -> None:
    assert json.loads(ONE.line()).keys() == {
        *("engine", "targets", "card_type", "done", "tries", "started", "ended", "status", "cause", "traceparent"),
    }


def test_a_line_may_have_more_fields() -> None:
    assert CallResult.parse(ONE.line()[:-1] + b',"more":{"deep":[1]}}') == ONE


WRONG: dict[str, Any] = {
    "engine": "other",
    "targets": [],
    "done": None,
    "tries": -1,
    "started": "then",
    "ended": 1e300,
    "retries": 2**31,
    "reason": 7,
    "failed_tries": [[1.0]],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_line_with_a_value_that_the_job_does_not_write_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        CallResult.parse(json.dumps(json.loads(ONE.line()) | {name: WRONG[name]}).encode())


@pytest.mark.parametrize(("started", "ended"), [(2.0, 1.0), (0.0, 1.1e9)])
@pytest.mark.parametrize("is_last", [True, False])
def test_a_line_whose_tries_take_no_time_of_a_run_is_refused(started: float, ended: float, is_last: bool) -> None:
    wrong = {"started": started, "ended": ended} if is_last else {"failed_tries": [[started, ended, {"id": "no"}]]}
    with pytest.raises(ValueError, match="no time of a try"):
        CallResult.parse(json.dumps(json.loads(ONE.line()) | wrong).encode())


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b"\xff", b'{"engine":', b"[" * 100_000])
def test_what_is_no_result_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="CallResult"):
        CallResult.parse(line)
