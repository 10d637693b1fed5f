"""Before an attempt makes calls, a person is told what is not as the night before, or as usual."""

from datetime import datetime

import pytest

from job.day.attempt import read_attempt
from job.day.ending import opening_notices, waiting_notices
from job.day.ledger import Ledger
from tests.support.records import DAY, RecordedAttempt, prepared, start_at


def notices(cards: int | None = None, without: tuple[str, ...] = ()) -> list[str]:
    """Those of an attempt with two cards; `cards` is how many the one before had, if there was one."""
    latest = None
    if cards is not None:
        stored = RecordedAttempt().record()[f"{DAY}/attempts/000001.json"]
        latest = read_attempt(DAY, 1, stored).model_copy(update={"cards": cards})
    ledger = Ledger(prepared().plan.without(without))
    return [str(one) for one in opening_notices(start_at(), ledger, latest)]


@pytest.mark.parametrize(
    ("cards", "change"),
    [
        (2, []),
        (1, ["Cards that the config asks for: 2; at the last attempt: 1"]),
        (4, ["Cards that the config asks for: 2; at the last attempt: 4"]),
    ],
)
def test_a_later_attempt_says_how_the_day_stands_and_what_the_config_asks_for_more(
    cards: int, change: list[str]
) -> None:
    assert notices() == []
    assert notices(cards=cards) == [f"Going on with {DAY}, so far: no card was made", *change]


def test_what_a_person_has_left_out_is_no_change_of_the_config() -> None:
    assert notices(cards=2, without=("MSFT",)) == [
        f"Going on with {DAY}, so far: no card was made (left out by hand: MSFT)"
    ]


@pytest.mark.parametrize(
    ("arguments", "hour", "says"),
    [(("run",), "01:59", False), (("run",), "02:00", True), (("run", f"--date={DAY}"), "02:00", False)],
)
def test_a_start_whose_day_has_ended_while_it_waited_says_so(arguments: tuple[str, ...], hour: str, says: bool) -> None:
    """Unless its command names the day."""
    start = start_at(arguments=arguments, schedule="10 2 * * *")
    said = [str(one) for one in waiting_notices(start, datetime.fromisoformat(f"2026-11-25T{hour}:00+08:00"))]
    text = f"{DAY} ended while this start waited: it is for {DAY} all the same, a new one is for 2026-11-25"
    assert said == ([text] if says else [])
