"""A day is compared with the nights before: what is new, what is still missing, whether it was slow."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from job.engines.failures import Cause, Failure
from job.report.comparison import comparison_lines, night_before
from job.report.outcome import Outcome, bad_config
from job.report.report import Report
from job.text.messages import message
from tests.support.days import Day, Fate, failing, well
from tests.support.fakes import target
from tests.support.records import report_at, start_at

NO = Failure(Cause.DENIED, message("no"), 200)


def played(fates: Sequence[Fate | None], first: int = 20) -> list[Report]:
    """A night for each fate; `None` is one whose config was faulty."""
    nights: list[Report] = []
    for day, fate in enumerate(fates, first):
        if fate is None:
            start = start_at(f"2026-11-{day}", number=0)
            nights.append(report_at(bad_config(1, of_command=False), start=start))
            continue
        played = Day(f"2026-11-{day}", [target(name, ["a", "b"]) for name in "ABC"]).play(fate)
        before = night_before(nights, played.day)
        nights.append(played.view(None, *([before] if before else [])).report)
    return nights


def lines(nights: Sequence[Report]) -> list[str]:
    *before, last = nights
    return [str(line) for line in comparison_lines(last, before)]


def cards(*names: str) -> Fate:
    return lambda engine, name, card: NO if engine == "qa" and f"{name}/{card}" in names else None


NEWS = failing(NO, "news", "A")


@pytest.mark.parametrize(
    ("fates", "expected"),
    [
        ([cards("A/a")], []),
        ([well, well], []),
        ([cards("A/a"), well], []),
        ([well, cards("A/a", "B/a")], ["New since 2026-11-20: /a: A, B"]),
        ([well, cards("A/a", "A/b")], ["New since 2026-11-20: A (2)"]),
        ([cards("A/a"), cards("A/a")], ["Still missing, for 2 nights: A/a"]),
        (
            [cards("A/a"), cards("A/a", "B/b"), cards("A/a", "B/b", "C/a")],
            ["New since 2026-11-21: C/a", "Still missing, for 3 nights: A/a", "Still missing, for 2 nights: B/b"],
        ),
        ([cards("A/a"), well, cards("A/a")], ["New since 2026-11-21: A/a"]),
        ([cards("A/a"), None, cards("A/a")], ["Still missing, for 2 nights: A/a"]),
        ([well, NEWS], ["New since 2026-11-20: A"]),
        ([well, NEWS, cards("A/a")], ["Still missing, for 2 nights: A/a"]),
    ],
    ids=[
        "no night before",
        "all well",
        "mended",
        "new of one type",
        "new of one target",
        "still",
        "new and still",
        "again after a good night",
        "the night before had no plan",
        "data",
        "the night before made no card",
    ],
)
def test_what_is_new_and_what_is_still_missing(fates: Sequence[Fate | None], expected: list[str]) -> None:
    assert lines(played(fates)) == expected


def test_a_failure_is_new_only_if_the_night_before_lists_all_that_it_lacked() -> None:
    before, last = played([well, cards("A/a")])
    assert lines([before.model_copy(update={"missing_not_listed": 1}), last]) == []


def test_the_night_before_is_the_latest_one_with_a_plan_in_whatever_order_they_come() -> None:
    first, second, faulty, last = played([well, well, None, well])
    assert night_before([faulty, first, last, second], last.day) == second
    assert night_before([faulty, last], last.day) is None


def took(every: Sequence[float], **last: object) -> list[str]:
    """The comparison of nights that took so long; the last one has these changes."""
    (whole,) = played([well])
    nights = [whole.model_copy(update={"day": f"2026-11-{day}", "seconds": one}) for day, one in enumerate(every, 10)]
    nights[-1] = nights[-1].model_copy(update=last)
    return lines(nights)


def test_a_night_that_took_much_longer_than_the_median_of_the_last_seven_is_slow() -> None:
    assert took([100, 100, 100, 151]) == ["Slower than usual: 2 min 31 s, 1.5 times the median of 3 nights"]
    assert took([9999, *[100] * 4, *[200] * 3, 260]) == [
        "Slower than usual: 4 min 20 s, 2.6 times the median of 7 nights"
    ], "the eighth before is too long ago"


@pytest.mark.parametrize("seconds", [[100, 100, 100, 150], [100, 100, 900], [4, 4, 4, 13.9], [900, 900, 900, 100]])
def test_a_night_is_not_slow_by_a_little_or_by_chance(seconds: list[float]) -> None:
    assert took(seconds) == []


@pytest.mark.parametrize("change", [{"outcome": Outcome.CARDS_MISSING}, {"number": 2}, {"seconds": None}])
def test_a_night_that_did_not_do_all_its_work_at_once_is_not_compared(change: dict[str, object]) -> None:
    assert took([100, 100, 100, 900], **change) == []


def test_nights_that_did_not_do_all_their_work_are_no_measure() -> None:
    (whole,) = played([well])
    nights = [whole.model_copy(update={"day": f"2026-11-{day}", "seconds": 100.0}) for day in range(10, 13)]
    nights[1] = nights[1].model_copy(update={"outcome": Outcome.CARDS_MISSING})
    assert lines([*nights, whole.model_copy(update={"seconds": 900.0})]) == []
