"""What a start adds to the record of its day: row by row, without storage."""

from dataclasses import replace
from typing import Any

import pytest

from job.config.faults import ConfigError, FaultKind
from job.config.read import PlannedConfig
from job.day.attempt import Attempt, RecordError
from job.day.ledger import Rerun
from job.engines.calls import Item
from job.records import session
from job.records.lease import BusyError
from job.records.session import decide, faults_of_record
from job.storage.store import UnusableError
from job.text.messages import message
from tests.support.records import DAY, TRACE_ID, RecordedAttempt, config, prepared, record_of, start_at

CARD = Item("qa", "AAPL", "news_card")
OTHER = Item("qa", "MSFT", "news_card")
ASKED = Rerun("qa", "AAPL", "news_card", DAY, 2)
KILLED, INTERRUPTED = RecordedAttempt(outcome=None), RecordedAttempt(outcome="interrupted")
HALF = RecordedAttempt(outcome="cards_missing", failed=["MSFT"])
WITHOUT = RecordedAttempt(about={"without": ("MSFT",)}, number=2)
MORE = config(["AAPL", "MSFT", "TSLA"])
LESS = config(["AAPL"])


def decided(*attempts: RecordedAttempt, work: PlannedConfig | None = None, **about: Any) -> Attempt | None:
    """What a start decides on a day with these attempts."""
    work = work or prepared()
    return decide(record_of(*attempts, plan=work.plan), start_at(**{"number": 0, **about}), work, "me")


def test_the_first_attempt_has_what_the_next_one_needs() -> None:
    attempt = decided(execution="x", without=("TSLA",))
    assert attempt is not None
    assert (attempt.number, attempt.owner, attempt.execution, attempt.trace_id) == (1, "me", "x", TRACE_ID)
    assert (attempt.plan, attempt.plan_again().digest()) == (prepared().plan.digest(), prepared().plan.digest())
    assert (attempt.cards, attempt.again, attempt.asked_by, attempt.without) == (2, (), (), ("TSLA",))


@pytest.mark.parametrize(
    ("attempts", "number"),
    [
        pytest.param([KILLED], 2, id="its end is missing"),
        pytest.param([INTERRUPTED], 2, id="it was interrupted, and nothing is left"),
        pytest.param([HALF], 2, id="cards are missing"),
        pytest.param([KILLED, replace(HALF, number=2)], 3, id="a paused one has made the last card since"),
        pytest.param([RecordedAttempt(objects=MORE)], 2, id="the config asked for more"),
        pytest.param([RecordedAttempt(objects=LESS)], 2, id="the config asked for less"),
        pytest.param([KILLED, WITHOUT], 3, id="a paused one has made what was left out by hand since"),
        pytest.param([KILLED, replace(INTERRUPTED, number=4)], 5, id="a number was left out"),
        pytest.param([RecordedAttempt(), RecordedAttempt(number=2, again=[ASKED])], 3, id="a request is open"),
    ],
)
def test_an_attempt_is_added_if_the_day_has_no_end_that_is_true(attempts: list[RecordedAttempt], number: int) -> None:
    """Even if no call is left: somebody has to say how the day stands."""
    attempt = decided(*attempts)
    assert attempt is not None
    assert (attempt.number, attempt.again) == (number, tuple(attempts[-1].again))


def test_an_attempt_is_added_if_a_document_was_not_written() -> None:
    record = record_of(RecordedAttempt())
    ended = record.reports[1]
    record.reports[1] = ended.model_copy(update={"not_written": ("index.html",)})  # type: ignore[index]
    assert decide(record, start_at(number=0), prepared(), "me") is not None


def test_nothing_is_added_if_everything_is_there() -> None:
    assert decided(RecordedAttempt()) is None
    assert decided(KILLED, RecordedAttempt(number=2)) is None


@pytest.mark.parametrize(("uri", "is_same"), [("gs://cards/config/", True), ("gs://cards/other", False)])
def test_a_day_is_for_one_config(uri: str, is_same: bool) -> None:
    if is_same:
        assert decided(INTERRUPTED, config_uri=uri) is not None
        return
    with pytest.raises(ConfigError) as error:
        decided(INTERRUPTED, config_uri=uri)
    assert str(error.value) == (
        "CONFIG_URI: the day was begun with the config of gs://cards/config, this start has that of gs://cards/other; "
        "if this start is the wrong one, give it a RUNS_URI of its own: nothing is lost. "
        "Only if the day is, move its folder out of runs/: what it made is made, and paid for, again"
    )
    assert error.value.faults[0].kind is FaultKind.STORAGE


@pytest.mark.parametrize(
    ("then", "now", "named"),
    [
        ("cards-test", "cards", "the config of cards-test, this start has that of cards;"),
        ("cards", "cards", "the config of gs://cards/config, this start has that of gs://cards/other;"),
        (None, "cards", "the config of gs://cards/config, this start has that of gs://cards/other;"),
    ],
)
def test_two_jobs_with_one_record_are_named(then: str | None, now: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        decided(replace(INTERRUPTED, about={"job": then}), job=now, config_uri="gs://cards/other")


LATER = {"started": "2026-11-26T09:00:00+08:00", "arguments": ("run", f"--date={DAY}")}
"""A start that names the day after its end."""


@pytest.mark.parametrize(
    ("attempts", "work", "about"),
    [
        pytest.param([], MORE, {}, id="the day has no attempt"),
        pytest.param([HALF], config(), {}, id="the config is the same"),
        pytest.param([HALF], LESS, {}, id="cards are gone"),
        pytest.param([HALF], MORE, {"arguments": ("run",)}, id="a plain start"),
        pytest.param([HALF], MORE, {"started": f"{DAY}T09:00:00+08:00"}, id="its own night"),
        pytest.param([HALF], MORE, {"arguments": ("run", f"--date={DAY}", "--yes")}, id="confirmed"),
        pytest.param([HALF], MORE, {"without": ("TSLA",)}, id="the new ones are left out"),
        pytest.param([RecordedAttempt(objects=MORE), replace(HALF, number=2)], MORE, {}, id="they were made before"),
        pytest.param([replace(HALF, about={"without": ("MSFT",)})], config(), {}, id="they were left out"),
    ],
)
def test_an_earlier_day_is_gone_on_with_unless_new_cards_would_be_made(
    attempts: list[RecordedAttempt], work: dict[str, str], about: dict[str, Any]
) -> None:
    planned = prepared(work)
    left_out = about.get("without", ())
    assert decided(*attempts, work=replace(planned, plan=planned.plan.without(left_out)), **LATER | about) is not None


@pytest.mark.parametrize("attempt", [HALF, KILLED, RecordedAttempt()])
def test_new_cards_of_an_earlier_day_have_to_be_confirmed(attempt: RecordedAttempt) -> None:
    with pytest.raises(
        ConfigError, match=r"^--date: today's config is not that of 2026-11-24: New since .*TSLA"
    ) as error:
        decided(attempt, work=prepared(MORE), **LATER)
    assert error.value.faults[0].kind is FaultKind.COMMAND
    assert str(error.value).endswith(f"CONFIG_URI=gs://cards/config python -m job run --date={DAY} --yes")


@pytest.mark.parametrize("error", [RecordError(message("odd")), UnusableError(message("odd"))])
def test_what_is_wrong_where_days_are_recorded_is_in_no_variable(error: Exception) -> None:
    with pytest.raises(ConfigError) as found, faults_of_record("2026-11-24"):
        raise error
    assert [(fault.where, fault.kind) for fault in found.value.faults] == [("RUNS_URI", FaultKind.STORAGE)]


# --- what is made again ---

FIRST: dict[str, Any] = {"execution": "x", "task_attempt": 0}
RETRY: dict[str, Any] = {"execution": "x", "task_attempt": 1}
MADE_AGAIN = RecordedAttempt(number=2, again=[ASKED], asked_by=["x"])


@pytest.mark.parametrize(
    ("attempts", "about", "again", "asked_by"),
    [
        pytest.param([RecordedAttempt()], {}, (ASKED,), (), id="on a laptop"),
        pytest.param([RecordedAttempt()], FIRST, (ASKED,), ("x",), id="a first try"),
        pytest.param([RecordedAttempt(asked_by=["y"])], FIRST, (ASKED,), ("y", "x"), id="after another execution"),
        pytest.param(
            [RecordedAttempt(), MADE_AGAIN], FIRST, (ASKED,), ("x",), id="a first try that is delivered twice"
        ),
        pytest.param([RecordedAttempt(), MADE_AGAIN], RETRY, (ASKED,), ("x",), id="its retry"),
        pytest.param([RecordedAttempt(), MADE_AGAIN], {}, (ASKED,), ("x",), id="what is open keeps its number"),
    ],
)
def test_who_asks_for_something_again_is_recorded_with_it(
    attempts: list[RecordedAttempt], about: dict[str, Any], again: tuple[Rerun, ...], asked_by: tuple[str, ...]
) -> None:
    attempt = decided(*attempts, work=prepared(again=[CARD]), **about)
    assert attempt is not None
    assert (attempt.again, attempt.asked_by) == (again, asked_by)


@pytest.mark.parametrize("attempts", [[], [RecordedAttempt()], [RecordedAttempt(asked_by=["y"])]])
def test_a_retry_whose_first_try_is_not_recorded_stands_back(attempts: list[RecordedAttempt]) -> None:
    with pytest.raises(BusyError, match=r"^A retry asks for nothing again") as error:
        decided(*attempts, work=prepared(again=[CARD]), **RETRY)
    assert str(error.value.why) == (
        "A retry asks for nothing again, since its first try asked for nothing for 2026-11-24"
    )


def test_a_day_has_no_more_reruns_than_one_attempt_can_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "RERUNS_LIMIT", 1)
    done, work = RecordedAttempt(), replace(prepared(), again=[CARD])
    asked = replace(done, again=[ASKED], number=2)
    once = decided(done, asked, work=work)
    assert once is not None
    assert len(once.again) == 1, "the same again adds none"
    with pytest.raises(ConfigError, match=r"^--again: a day has at most .*; name fewer$") as error:
        decided(done, asked, work=replace(work, again=[OTHER]))
    assert error.value.faults[0].kind is FaultKind.COMMAND
