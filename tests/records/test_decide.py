"""What a start adds to the record of its day: row by row, without storage."""

from typing import Any

import pytest

from job.config.faults import ConfigError, FaultKind
from job.config.read import PlannedConfig
from job.day.attempt import Attempt
from job.day.ledger import Rerun
from job.engines.calls import Item
from job.records.lease import BusyError
from job.records.objects import RecordError
from job.records.session import decide, faults_of_record
from job.storage.store import UnusableError
from job.text.messages import message
from tests.support.records import DAY, RecordedAttempt, prepared, record_of, start_at

CARD = Item("qa", "AAPL", "news_card")
OTHER = Item("qa", "MSFT", "news_card")
ASKED = Rerun("qa", "AAPL", "news_card", DAY, 2)
INTERRUPTED = RecordedAttempt(outcome="interrupted")
MADE_AGAIN = RecordedAttempt(number=2, again=[ASKED], asked_by=["x"])


def decided(*attempts: RecordedAttempt, work: PlannedConfig | None = None, **about: Any) -> Attempt | None:
    """What a start decides on a day with these attempts."""
    work = work or prepared()
    return decide(record_of(*attempts, plan=work.plan), start_at(**{"number": 0, **about}), work, "me")


def test_a_day_is_for_one_config() -> None:
    assert decided(INTERRUPTED, config_uri="gs://cards/config/") is not None
    with pytest.raises(ConfigError) as error:
        decided(INTERRUPTED, config_uri="gs://cards/other")
    assert str(error.value) == (
        "CONFIG_URI: the day began with the config of gs://cards/config, but this start has that of gs://cards/other; "
        "if this start is wrong, give it its own RUNS_URI: nothing is lost. "
        "Only if the day is wrong, move its folder out of runs/: the whole day is then made, and paid for, again"
    )
    assert error.value.faults[0].kind is FaultKind.STORAGE


@pytest.mark.parametrize("error", [RecordError(message("odd")), UnusableError(message("odd"))])
def test_what_is_wrong_where_days_are_recorded_is_in_no_variable(error: Exception) -> None:
    with pytest.raises(ConfigError) as found, faults_of_record("2026-11-24"):
        raise error
    assert [(fault.where, fault.kind) for fault in found.value.faults] == [("RUNS_URI", FaultKind.STORAGE)]


@pytest.mark.parametrize(
    ("attempts", "asked_by"),
    [
        pytest.param([RecordedAttempt()], ("x",), id="a first try"),
        pytest.param([RecordedAttempt(asked_by=["y"])], ("y", "x"), id="after another execution"),
        pytest.param([RecordedAttempt(), MADE_AGAIN], ("x",), id="a first try that is delivered twice"),
    ],
)
def test_who_asks_for_something_again_is_recorded_with_it(
    attempts: list[RecordedAttempt], asked_by: tuple[str, ...]
) -> None:
    attempt = decided(*attempts, work=prepared(again=[CARD]), execution="x", task_attempt=0)
    assert attempt is not None
    assert (attempt.again, attempt.asked_by) == ((ASKED,), asked_by)


@pytest.mark.parametrize("attempts", [[], [RecordedAttempt(asked_by=["y"])]])
def test_a_retry_whose_first_try_is_not_recorded_stands_back(attempts: list[RecordedAttempt]) -> None:
    with pytest.raises(BusyError) as error:
        decided(*attempts, work=prepared(again=[CARD]), execution="x", task_attempt=1)
    assert (
        str(error.value.why)
        == f"The first try recorded nothing to make again on {DAY}, so this retry makes nothing again"
    )
