"""A day is compared with the nights before: what is new, gone, and still missing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from job.config.plan import Plan
from job.day.attempt import Attempt
from job.day.ending import bad_config, ending_of
from job.day.ledger import Ledger
from job.day.report import Report
from job.day.result import ShutdownReason
from job.day.view import comparison_lines, night_before
from job.engines.failures import Cause, Failure
from job.text.messages import message
from tests.support.chinese import in_chinese
from tests.support.days import DAY, RESET, Day, Fate, failing, well
from tests.support.fakes import target
from tests.support.records import RecordedAttempt, config, report_at, start_at

NO = Failure(Cause.DENIED, message("no"), 200)


@dataclass
class Nights:
    """Nights that were played."""

    reports: list[Report] = field(default_factory=list)
    ledger: Ledger = field(default_factory=lambda: Ledger(Plan.empty("2026-11-20")))
    """Of the last one."""
    attempt: Attempt | None = None
    """Of the one before."""

    def lines(self) -> list[str]:
        *before, last = self.reports
        found = list(comparison_lines(last, self.ledger, before, self.attempt))
        assert all(map(in_chinese, found))
        return list(map(str, found))


def played(fates: Sequence[Fate | None], first: int = 20, **start: object) -> Nights:
    """A night for each fate; `None` is one whose config was faulty. `start` is of the last one."""
    nights = Nights()
    for day, fate in enumerate(fates, first):
        if fate is None:
            begun = start_at(f"2026-11-{day}", number=0)
            nights.reports.append(report_at(bad_config(1, of_command=False), start=begun))
            continue
        is_last = day == first + len(fates) - 1
        targets = [target(name, ["a", "b"]) for name in "ABC"]
        played = Day(f"2026-11-{day}", targets, start if is_last else {}).play(fate)
        before = night_before(nights.reports, played.day)
        nights.reports.append(played.view(None, *([before] if before else [])).report)
        nights.ledger = played.ledger
    return nights


def lines(fates: Sequence[Fate | None]) -> list[str]:
    return played(fates).lines()


def cards(*names: str) -> Fate:
    return lambda engine, name, card: NO if engine == "qa" and f"{name}/{card}" in names else None


STILL = "Still missing, for {} nights: {}"
THREE = [STILL.format(3, "A/a"), STILL.format(2, "B/b")]


@pytest.mark.parametrize(
    ("fates", "expected"),
    [
        pytest.param([cards("A/a")], [], id="no night before"),
        pytest.param([well, well], [], id="all well"),
        pytest.param([cards("A/a"), well], [], id="mended"),
        pytest.param([well, cards("A/a")], [], id="new"),
        pytest.param([cards("A/a"), cards("A/a")], [STILL.format(2, "A/a")], id="still"),
        pytest.param([cards("A/a"), cards("A/a", "B/b"), cards("A/a", "B/b", "C/a")], THREE, id="new and still"),
        pytest.param([cards("A/a"), well, cards("A/a")], [], id="again after a good night"),
        pytest.param([cards("A/a"), None, cards("A/a")], [STILL.format(2, "A/a")], id="the night before had no plan"),
        pytest.param([failing(NO, "news", "A")] * 2, [STILL.format(2, "A")], id="data"),
        pytest.param([failing(RESET, "news")] * 2, [], id="a whole engine"),
        pytest.param([failing(RESET, "qa")] * 2, [], id="the whole QA engine"),
        pytest.param(
            [well, failing(NO, "news", "A"), cards("A/a")], [STILL.format(2, "A/a")], id="the night before made no card"
        ),
    ],
)
def test_what_is_new_and_what_is_still_missing(fates: Sequence[Fate | None], expected: list[str]) -> None:
    assert lines(fates) == expected


def test_a_qa_engine_that_went_down_is_told_by_the_headline_alone() -> None:
    fate = lambda engine, name, _: RESET if engine == "qa" and name != "AAPL" else None  # noqa: E731
    day, before = Day(DAY).play(fate), Day("2026-11-23").play(fate).view().report
    assert [str(line)[:5] for line in day.view(None, before).report.notes] == ["Still"]
    assert day.view(ending_of(day.ledger, ShutdownReason.QA_DOWN), before).report.notes == ()


def test_what_was_left_out_is_no_news_when_it_is_back_and_fails() -> None:
    week = [played([well], without=("C",)).reports[0]]
    assert week[0].cards.left_out == 2
    for day in range(21, 26):
        night = Day(f"2026-11-{day}", [target(name, ["a", "b"]) for name in "ABC"], {"without": ("C",)}).play()
        week.append(night.view(None, week[-1]).report)
    last = Day("2026-11-26", [target(name, ["a", "b"]) for name in "ABC"]).play(cards("C/a"))
    view = last.view(None, *week)
    assert list(map(str, view.report.notes)) == ["Still missing, for 7 nights: C/a"]


def of_config(*tickers: str, day: str = "2026-11-24", types: str = "pq", **more: Any) -> RecordedAttempt:
    outcome = "cards_missing" if more.get("failed") else "succeeded"
    return RecordedAttempt(day, objects=config(tickers, list(types)) | more.pop("others", {}), outcome=outcome, **more)


def test_a_plan_that_wants_the_same_cards_is_not_made_again() -> None:
    now, before = of_config("A"), of_config("A", day="2026-11-23")
    emptied = before.stored.model_copy(update={"objects": {}})
    found = list(comparison_lines(now.report(), now.ledger(), [before.report()], emptied))
    assert found == []


def test_a_start_without_a_plan_is_compared_with_none() -> None:
    before = of_config("A", day="2026-11-23")
    refused = report_at(bad_config(1, of_command=False), start=start_at("2026-11-24", number=0))
    nothing = Ledger(Plan.empty("2026-11-24"))
    assert list(comparison_lines(refused, nothing, [before.report()], before.stored)) == [], "it had no plan"


def test_the_night_before_is_the_latest_one_with_a_plan_in_whatever_order_they_come() -> None:
    first, second, faulty, last = played([well, well, None, well]).reports
    assert night_before([faulty, first, last, second], last.day) == second
    assert night_before([faulty, last], last.day) is None
