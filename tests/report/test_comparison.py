"""A run is compared with the night before: what is new, still missing, mended, gone or unknown, and the plans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from job.engines.catalog import DATA_ENGINES, EngineName
from job.ledger.ledger import Ledger
from job.ledger.totals import EngineTotals
from job.planning.plan import Plan
from job.report.comparison import (
    LISTED,
    ComparedItems,
    Comparison,
    PlanChange,
    compare,
    comparison_lines,
    plan_change,
    plan_lines,
    slower,
)
from job.report.report import summary_of
from job.report.summary import NightBefore, RunSummary
from job.text.messages import message
from tests.support.fakes import plan_of, settings_of, target
from tests.support.nights import Night

if TYPE_CHECKING:
    from job.ledger.result import CallResult

Fates = Mapping[tuple[str, str | None], str]
"""The items that fail, as target and card type (`None`: the news of the target), and their causes."""


class Played:
    """A night on which these items fail; `until` says which calls are made at all."""

    def __init__(
        self,
        day: str,
        fates: Fates,
        before: Played | None = None,
        targets: Sequence[str] = "ABC",
        card_types: Sequence[str] = "ab",
        until: Callable[[CallResult], bool] = lambda _: True,
        **changes: Any,
    ) -> None:
        night = Night(list(targets), list(card_types), run_id=f"night-{day}")
        self.plan = night.plan()
        self.ledger = Ledger(self.plan)
        for result in night.results():
            cause = fates.get((result.targets[0], result.card_type)) if result.engine in {"news", "qa"} else None
            if until(result):
                self.ledger.add(replace(result, done=False, cause=cause) if cause else result)
        report, _ = night.build("cards_missing", 3, "x", day=day)
        report = report.model_copy(update={"engines": self.ledger.totals()})
        summary = summary_of(report, self.ledger, before.night if before else None)
        self.day, self.summary, self.before = day, summary.model_copy(update=changes), before

    @property
    def night(self) -> NightBefore:
        return NightBefore.of(self.summary, self.plan)

    @property
    def comparison(self) -> Comparison:
        assert self.before
        return compare(self.day, self.ledger.items, self.before.night, plan_change(self.before.plan, self.plan))


def fields_of(items: ComparedItems) -> list[tuple[str, str | None, str | None, int, str]]:
    assert items.count == len(items.items)
    return [(str(item), item.cause, item.cause_then, item.nights, item.since) for item in items.items]


def lines(comparison: Comparison) -> list[str]:
    return [str(line) for line in comparison_lines(comparison, message("because"))]


FIRST = Played("2026-11-22", {("A", "a"): "status", ("B", "a"): "denied", ("C", "b"): "timeout"})
SECOND = Played("2026-11-23", {("A", "a"): "status", ("B", "a"): "timeout", ("A", "b"): "denied"}, FIRST)


def test_what_is_new_what_is_still_missing_and_what_is_mended() -> None:
    found = SECOND.comparison
    assert (found.run_id, found.day) == ("night-2026-11-22", "2026-11-22")
    assert fields_of(found.new) == [("A b", "denied", None, 1, "2026-11-23")]
    assert fields_of(found.still) == [
        ("A a", "status", "status", 2, "2026-11-22"),
        ("B a", "timeout", "denied", 2, "2026-11-22"),
    ]
    assert fields_of(found.mended) == [("C b", None, "timeout", 1, "2026-11-22")]
    assert (found.added.count, found.not_attempted, found.not_compared, found.gone) == (0, 0, 0, 0)
    assert found.plan is None
    assert lines(found) == [
        "Compared with 2026-11-22 (run night-2026-11-22):",
        "1 new failure: A b",
        "2 still missing, the longest for 2 nights: A a, B a",
        "1 of these now fails for another cause: B a",
        "1 mended: C b",
    ]


def test_nights_in_a_row_are_counted_the_longest_first() -> None:
    third = Played("2026-11-25", {("A", "b"): "denied", ("B", "a"): "timeout", ("C", "b"): "timeout"}, SECOND)
    assert fields_of(third.comparison.still) == [
        ("B a", "timeout", "timeout", 3, "2026-11-22"),
        ("A b", "denied", "denied", 2, "2026-11-23"),
    ]
    assert fields_of(third.comparison.new) == [("C b", "timeout", None, 1, "2026-11-25")], "it was mended in between"


def test_the_comparison_says_if_nothing_is_new() -> None:
    assert lines(Played("2026-11-24", {}, Played("2026-11-23", {})).comparison)[1:] == ["no new failure"]


def test_targets_of_data_engines_are_compared_as_well() -> None:
    fails = Played("2026-11-23", {("B", None): "status"}, FIRST, until=lambda call: call.engine != "qa")
    assert fields_of(fails.comparison.new) == [("news: B", "status", None, 1, "2026-11-23")]
    assert fails.comparison.still.count == fails.comparison.mended.count == 0
    assert fails.comparison.not_attempted == 6
    assert lines(fails.comparison)[1:] == ["1 new failure: news: B", "6 cards were not attempted: because"]


def test_after_a_night_without_cards_what_fails_is_still_missing_and_what_was_made_is_not_mended() -> None:
    down = Played("2026-11-23", {("B", None): "status"}, FIRST, until=lambda call: call.engine != "qa")
    after = Played("2026-11-24", {("A", "a"): "status", ("A", "b"): "denied"}, down)
    assert fields_of(after.comparison.still) == [
        ("A a", "status", "status", 3, "2026-11-22"),
        ("A b", "denied", None, 2, "2026-11-23"),
    ]
    assert [str(item) for item in after.comparison.mended.items] == ["news: B", "B a", "C b"]
    assert after.comparison.new.count == 0


def test_calls_that_were_cut_off_are_not_compared_as_failures() -> None:
    cut = Played("2026-11-23", {("A", "a"): "interrupted", ("B", "a"): "interrupted", ("C", "a"): "status"}, FIRST)
    assert (cut.comparison.cut_off, cut.comparison.not_attempted) == (2, 0)
    assert lines(cut.comparison)[-1] == "2 cards were cut off: because"
    assert fields_of(cut.comparison.new) == [("C a", "status", None, 1, "2026-11-23")]
    assert cut.comparison.still.count == 0
    after = Played("2026-11-24", {("A", "a"): "status"}, cut)
    assert fields_of(after.comparison.still) == [("A a", "status", "status", 3, "2026-11-22")]


def test_what_was_not_attempted_is_the_same_number_in_the_comparison_as_in_the_report() -> None:
    def until(call: CallResult) -> bool:
        return call.engine != "qa" or call.targets == ("A",)

    stopped = Played("2026-11-23", {("A", "a"): "interrupted"}, FIRST, until=until)
    totals = stopped.summary.engines["qa"]
    assert totals.not_attempted == 4
    assert (stopped.comparison.cut_off, stopped.comparison.not_attempted) == (1, 4)
    assert lines(stopped.comparison)[-1] == "1 card was cut off, 4 not attempted: because"


def test_items_removed_from_the_plan_are_gone_and_added_ones_are_not_new_failures() -> None:
    later = Played("2026-11-23", {("D", "a"): "status"}, FIRST, targets="ABD")
    assert fields_of(later.comparison.added) == [("D a", "status", None, 1, "2026-11-23")]
    assert later.comparison.new.count == 0
    assert later.comparison.gone == 1
    assert [str(item) for item in later.comparison.mended.items] == ["A a", "B a"]
    assert lines(later.comparison)[1:] == [
        "no new failure of what was planned then",
        "1 failure of what was not planned then: D a",
        "2 mended: A a, B a",
        "1 that failed then is not planned any more",
    ]


def test_a_truncated_list_of_the_night_before_is_not_compared() -> None:
    cut = Played("2026-11-22", {("A", "a"): "status"}, missing=(), missing_not_listed=1)
    found = Played("2026-11-23", {("A", "a"): "status", ("B", "a"): "status"}, cut).comparison
    assert found.not_compared == 2
    assert found.new.count == found.still.count == 0
    assert "2 failures are not compared: the list of that night was cut off" in lines(found)


def test_after_a_night_without_any_card_each_was_missing_listed_or_not() -> None:
    down = Played("2026-11-23", {}, until=lambda call: call.engine != "qa", missing=(), missing_not_listed=6)
    found = Played("2026-11-24", {("A", "a"): "status"}, down).comparison
    assert fields_of(found.still) == [("A a", "status", None, 2, "2026-11-23")]
    assert found.not_compared == 0


def test_a_night_whose_plan_is_not_known_is_compared_by_its_missing_items() -> None:
    before = NightBefore.of(FIRST.summary, None)
    found = compare("2026-11-23", SECOND.ledger.items, before, None)
    assert found == SECOND.comparison


def test_many_are_counted_and_some_of_them_are_listed() -> None:
    names = [f"T{n}" for n in range(LISTED + 500)]
    calm = Played("2026-11-22", {}, targets=names, card_types="a")
    found = Played("2026-11-23", {(name, "a"): "status" for name in names}, calm, targets=names, card_types="a")
    assert found.comparison.new.count == LISTED + 500
    assert len(found.comparison.new.items) == LISTED
    assert lines(found.comparison)[1].startswith("1,500 new failures: T0 a, T1 a, ")
    assert lines(found.comparison)[1].endswith(" and 1,490 more")


def planned(*targets: tuple[str, str], engines: Sequence[Any] = DATA_ENGINES) -> Plan:
    return plan_of([target(name, tuple(types), engines) for name, types in targets], settings_of())


THEN = planned(("A", "ab"), ("B", "ab"), ("C", "b"))


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (THEN, []),
        (planned(("C", "b"), ("B", "ba"), ("A", "ab")), []),
        (planned(("A", "ab"), ("B", "ab")), ["5 cards then, 4 now", "1 target removed: C"]),
        (
            planned(("A", "ab"), ("D", "ab"), ("C", "b")),
            ["it has as many cards as then, 5", "1 target removed: B", "1 target added: D"],
        ),
        (
            planned(("A", "b"), ("B", "bc"), ("C", "b")),
            ["5 cards then, 4 now", "1 card type removed: a", "1 card type added: c"],
        ),
        (
            planned(("A", "a"), ("B", "ab"), ("C", "ab")),
            ["it has as many cards as then, 5", "1 card removed whose target", "1 card added whose target"],
        ),
        (
            planned(("A", "ab"), ("B", "ab"), ("C", "b"), engines=["news"]),
            ["it has as many cards as then, 5", "Financial engine: switched off", "Trading engine: switched off"],
        ),
        (
            replace(THEN, targets=(*THEN.targets[:2], replace(THEN.targets[2], kind="topic"))),
            ["it has as many cards as then, 5", "1 target is of another kind now: C"],
        ),
    ],
)
def test_how_a_plan_has_changed(now: Plan, said: list[str]) -> None:
    change = plan_change(THEN, now)
    found = [str(line) for line in plan_lines(change, "2026-11-22")] if change else []
    assert len(found) == len(said)
    assert all(part in line for part, line in zip(said, found, strict=True)), found
    assert (change is None) == (not said)


def test_an_engine_that_is_called_again_is_switched_on() -> None:
    engines: list[EngineName] = ["news"]
    change = plan_change(planned(("A", "a"), engines=engines), planned(("A", "a")))
    assert change == PlanChange(cards_then=1, cards_now=1, switched_on=("financial", "trading"))


def test_a_summary_without_anything_missing_can_be_compared_with() -> None:
    calm = RunSummary.model_validate(FIRST.summary.model_dump() | {"missing": [], "missing_not_listed": 0})
    found = compare("2026-11-23", SECOND.ledger.items, NightBefore.of(calm, FIRST.plan), None)
    assert found.new.count == 3


# --- why a night was slower ---


def totals(**changes: Any) -> EngineTotals:
    given = {"planned": 60, "done": 60, "skipped": 0, "failed": 0, "not_attempted": 0, "calls": 60, "retries": 4}
    return EngineTotals.model_validate({**given, "waits": 1, "p50_seconds": 12.0, "p95_seconds": 30.0, **changes})


def past(seconds: float | None, **changes: Any) -> RunSummary:
    engines = {"qa": totals(**changes), "news": totals(p50_seconds=3.0)}
    return FIRST.summary.model_copy(update={"seconds": seconds, "engines": engines})


def slower_lines(seconds: float, nights: Sequence[RunSummary], **engines: EngineTotals) -> list[str]:
    now: dict[EngineName, EngineTotals] = {"qa": engines.get("qa", totals())}
    now["news"] = engines.get("news", totals(p50_seconds=3.0))
    found = slower(seconds, now, nights)
    comparison = SECOND.comparison.model_copy(update={"slower": found})
    assert Comparison.model_validate_json(comparison.model_dump_json()) == comparison
    return lines(comparison)[5:]


NIGHTS = [past(seconds) for seconds in (1200.0, 1140.0, 1260.0)]
TOOK = "It took 35 min; the median of the 3 nights before is 20 min."


def test_what_grew_is_named_with_the_usual_number() -> None:
    qa = totals(planned=84, done=84, p50_seconds=25.0, waits=40, retries=44)
    assert slower_lines(2100.0, NIGHTS, qa=qa) == [
        TOOK,
        "more cards: 84, usually 60",
        "QA engine: half of the answers took more than 25.0 s, usually 12.0 s",
        "QA engine: more waits for room (429, 503): 40, usually 1",
        "QA engine: more retries: 44, usually 4",
    ]
    assert slower_lines(2100.0, NIGHTS, news=totals(p50_seconds=3.0, retries=9)) == [
        TOOK,
        "News engine: more retries: 9, usually 4",
    ]


def test_nothing_is_claimed_when_nothing_that_is_recorded_grew() -> None:
    little = totals(planned=65, done=65, p50_seconds=13.0, waits=3, retries=6)
    assert slower_lines(2100.0, NIGHTS, qa=little) == [TOOK, "nothing that is recorded grew"]


@pytest.mark.parametrize("seconds", [1799.0, 1800.0])
def test_up_to_one_and_a_half_times_the_usual_time_nothing_is_said(seconds: float) -> None:
    assert slower_lines(seconds, NIGHTS, qa=totals(retries=90)) == []
    assert slower_lines(1801.0, NIGHTS, qa=totals(retries=90)) != []


def test_seconds_alone_are_no_difference() -> None:
    assert slower_lines(10.5, [past(1.0)]) == []
    assert slower_lines(11.5, [past(1.0)])[0] == "It took 11.5 s; the night before took 1.00 s."


def test_the_usual_value_is_that_of_the_latest_nights() -> None:
    assert slower_lines(2100.0, [past(1200.0)] * 7 + [past(4000.0)] * 20)[0].startswith("It took 35 min; the median of")
    assert slower_lines(2100.0, [past(1200.0)] * 3 + [past(4000.0)] * 4) == []


def test_what_early_versions_did_not_record_is_not_claimed_to_have_grown() -> None:
    early = [past(1200.0, waits=None)] * 3
    assert slower_lines(2100.0, early, qa=totals(waits=40)) == [TOOK, "nothing that is recorded grew"]
    assert slower_lines(2100.0, [past(None)]) == []
    assert slower_lines(2100.0, []) == []
    without = FIRST.summary.model_copy(update={"seconds": 1200.0, "engines": {}})
    assert slower_lines(2100.0, [without])[1] == "nothing that is recorded grew"
