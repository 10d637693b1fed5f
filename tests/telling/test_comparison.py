"""A day is compared with the nights before: what is new, gone, and still missing."""

from collections.abc import Sequence

import pytest

from job.day.attempt import Outcome
from job.day.ending import Ending, ending_of
from job.day.history import NightBefore, night_before
from job.day.ledger import Ledger
from job.day.report import Report
from job.day.result import ShutdownReason
from job.engines.failures import Cause, Failure
from job.telling.notes import still_missing
from job.text.messages import message
from tests.support.days import DAY, RESET, Day, Fate, failing, well
from tests.support.fakes import target
from tests.support.records import RecordedAttempt, config, report_at, start_at

NO = Failure(Cause.DENIED, message("no"), 200)


def night(day: int, fate: Fate = well, **start: object) -> Day:
    return Day(f"2026-11-{day}", [target(name, ["a", "b"]) for name in "ABC"], start).play(fate)


def played(fates: Sequence[Fate | None]) -> tuple[list[Report], Ledger]:
    """The reports of a night for each fate, and the ledger of the last; `None` is one whose config was faulty."""
    reports, ledger = list[Report](), Ledger.empty(DAY)
    for day, fate in enumerate(fates, 20):
        if fate is None:
            begun = start_at(f"2026-11-{day}", number=0)
            reports.append(report_at(Ending(Outcome.BAD_CONFIG), start=begun))
            continue
        last = night(day, fate)
        reports.append(last.view(None, *reports).report)
        ledger = last.ledger
    return reports, ledger


def cards(*names: str) -> Fate:
    return lambda engine, name, card: NO if engine == "qa" and f"{name}/{card}" in names else None


STILL = "Still missing, for {} nights: {}"
THREE = [STILL.format(3, "A/a"), STILL.format(2, "B/b")]


@pytest.mark.parametrize(
    ("fates", "expected"),
    [
        pytest.param([cards("A/a")], [], id="no night before"),
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
    (*_, last), _ = played(fates)
    assert list(map(str, still_missing(last))) == expected


def test_a_qa_engine_that_went_down_is_told_by_the_headline_alone() -> None:
    fate = lambda engine, name, _: RESET if engine == "qa" and name != "AAPL" else None  # noqa: E731
    day, before = Day(DAY).play(fate), Day("2026-11-23").play(fate).view().report
    assert [str(line)[:5] for line in day.view(None, before).notes] == ["Still"]
    assert day.view(ending_of(day.ledger, ShutdownReason.QA_DOWN), before).notes == ()


def test_what_was_left_out_is_no_news_when_it_is_back_and_fails() -> None:
    before = night(20, without=("C",)).view().report
    assert before.cards.left_out == 2
    assert list(map(str, night(21, cards("C/a")).view(None, before).notes)) == [STILL.format(2, "C/a")]


def test_a_plan_that_wants_the_same_cards_is_not_made_again() -> None:
    now, before = RecordedAttempt(), RecordedAttempt("2026-11-23")
    other = before.stored.model_copy(update={"objects": config(["NVDA"])})
    night = NightBefore.of([before.report()], other, DAY, now.plan)
    assert night is not None
    assert (night.plan, night.is_other) == (now.plan, False)


def test_a_start_without_a_plan_is_compared_with_none() -> None:
    before = RecordedAttempt("2026-11-23")
    night = NightBefore.of([before.report()], before.stored, DAY, before.plan)
    refused = report_at(Ending(Outcome.BAD_CONFIG), start=start_at(number=0), before=night)
    assert (refused.changes, refused.compared_with) == ((), None)


def test_the_night_before_is_the_latest_one_with_a_plan_in_whatever_order_they_come() -> None:
    (first, second, faulty, last), _ = played([well, well, None, well])
    assert night_before([faulty, first, last, second], last.day) == second
    assert night_before([faulty, last], last.day) is None
