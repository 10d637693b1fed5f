"""What failed on several nights, and when the cards are usually there."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from job.engines.failures import Cause, Failure
from job.report.often import SHOWN, most_often, usual_line
from job.report.report import MissingGroup, Report
from job.text.messages import message
from tests.support.days import Day, failing, well
from tests.support.fakes import target

NO = Failure(Cause.DENIED, message("no"), 200)


def report(day: int, *failed: str, engine: str = "qa") -> Report:
    """The report of a day on which the cards, or the news, of these targets failed."""
    made = Day(f"2026-11-{day:02}", [target(name, ["a"]) for name in "ABC"])
    return made.play(failing(NO, engine, *failed) if failed else well).view().report  # type: ignore[arg-type]


def lines(*nights: Report) -> list[str]:
    return [str(one.line) for one in most_often(nights)]


def test_what_failed_on_two_nights_or_more_the_most_frequent_and_then_the_latest_first() -> None:
    nights = [report(20, "A", "B"), report(21, "A", "C"), report(22, "A", "B"), report(23, "C"), report(24)]
    assert lines(*nights[::-1]) == [
        "A/a: failed on 3 nights, the last on 11-22",
        "C/a: failed on 2 nights, the last on 11-23",
        "B/a: failed on 2 nights, the last on 11-22",
    ]
    assert lines(nights[0]) == []


def test_data_is_named_with_its_engine_and_what_was_not_reached_is_not_counted() -> None:
    assert lines(*(report(day, "A", engine="news") for day in (20, 21))) == [
        "A (News engine): failed on 2 nights, the last on 11-21"
    ]


def test_of_many_the_first_are_shown() -> None:
    group = MissingGroup(engine="news", state="failed", since="2026-11-20", targets=tuple(map(str, range(100))))
    nights = [report(day).model_copy(update={"missing": (group,)}) for day in (20, 21)]
    assert len(most_often(nights)) == SHOWN


def done_at(*times: str) -> list[Report]:
    """Nights that were done at these times, each on the day before if it begins with a +."""
    found = []
    for day, time in enumerate(times, 10):
        when = f"2026-11-{day + time.startswith('+'):02}T{time.removeprefix('+')}:30+08:00"
        found.append(report(day).model_copy(update={"ended": when}))
    return found


@pytest.mark.parametrize(
    ("nights", "line"),
    [
        (done_at("06:10", "06:20"), None),
        (done_at("06:10", "06:20", "06:56"), "Usually there by 06:20, at the latest 06:56"),
        (done_at("06:10", "06:10", "06:10"), "Usually there by 06:10"),
        (done_at("09:00", *["06:10"] * 7), "Usually there by 06:10"),
        (done_at("06:10", "06:20", "+06:10"), None),
        ([], None),
    ],
    ids=["two nights", "three", "always the same", "the last seven", "one was done a day later", "none"],
)
def test_when_the_cards_are_usually_there(nights: Sequence[Report], line: str | None) -> None:
    usual = usual_line(nights)
    assert (usual and str(usual)) == line


def test_a_night_without_its_cards_is_no_measure() -> None:
    assert usual_line([*done_at("06:10", "06:20"), report(12, "A")]) is None


def test_what_is_done_after_midnight_comes_after_what_is_done_before() -> None:
    evening = {"schedule": "30 22 * * *", "ended": ""}
    nights = [
        night.model_copy(update=evening | {"ended": f"2026-11-{day + after:02}T{clock}:00+08:00"})
        for night, (day, after, clock) in zip(
            [report(day) for day in (10, 11, 12)], [(10, 0, "23:40"), (11, 0, "23:50"), (12, 1, "00:10")], strict=True
        )
    ]
    assert str(usual_line(nights)) == "Usually there by 23:50, at the latest 00:10"
