"""The page of the nights has a row for each run, grouped by date, with correct links, and shows all data as text."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest

from job.ledger.totals import EngineTotals
from job.page.nights import card_bars, trend_of
from job.page.render import render_nights, render_page
from job.records.past import Past, PastRun
from job.report.outcome import Outcome
from job.report.summary import RunSummary, most_often, state_of
from job.reporting.screen import nights_table
from tests.page.test_render import HOSTILE
from tests.support.nights import Night as PlayedNight
from tests.support.parsed import Parsed
from tests.support.past import past_summaries, totals

BUCKET = "gs://cards-runs/runs"
NIGHTS = past_summaries(60)


def html(nights: Past, uri: str = BUCKET, *, beside: bool = True) -> str:
    return render_nights(nights, uri, beside=beside).decode()


def summary(run_id: str, day: str, *missing: dict[str, Any], **changes: Any) -> RunSummary:
    given = {
        "run_id": run_id, "day": day, "date": day, "config_uri": "gs://c/c", "started": f"{day}T02:00:00+08:00",
        "ended": None, "outcome": "succeeded", "exit_code": 0, "missing": missing,
    }  # fmt: skip
    return RunSummary.model_validate(given | changes)


def group(*targets: str, card_type: str | None = "a", engine: str = "qa", **changes: Any) -> dict[str, Any]:
    given = {"engine": engine, "card_type": card_type, "state": "failed", "cause": "status", "since": "2026-11-01"}
    return given | {"targets": targets} | changes


def nights_of(*summaries: RunSummary) -> Past:
    return Past(
        [
            PastRun(one.run_id, datetime.fromisoformat(one.started), one.day, one.outcome, summary=one)
            for one in summaries
        ]
    )


def test_every_run_has_a_row_with_a_square_for_each_engine_and_leads_to_its_page() -> None:
    page = html(NIGHTS)
    assert page.count('class="square ') == 60 * 4 + 4
    links = re.findall(r'href="(https://[^"]+)"', page)
    assert links == [
        f"https://storage.cloud.google.com/cards-runs/runs/{one.run_id}/report.html"
        for _, some in NIGHTS.by_day()
        for one in some
        if one.summary
    ]
    assert f"{NIGHTS.period_line()}; {NIGHTS.done_line()} (all times UTC+08:00)" in Parsed(page).text


def test_a_run_that_has_not_closed_its_record_has_the_same_word_as_in_the_list_of_runs() -> None:
    began = datetime.fromisoformat("2026-11-24T02:00:00+08:00")
    for outcome, kind in [(Outcome.AT_WORK, "warn"), (Outcome.KILLED, "warn"), (Outcome.UNREADABLE, "bad")]:
        nights = Past([PastRun("night", began, "2026-11-24", outcome)])
        assert f'<td class="outcome {kind}">{outcome}</td>' in html(nights)
        assert re.search(f"^2026-11-24 02:00 +{outcome} +night$", nights_table(nights), re.MULTILINE)


def test_links_are_relative_beside_the_runs_in_a_directory_and_absolute_elsewhere() -> None:
    nights = nights_of(summary("night-1", "2026-11-24"))
    assert 'href="night-1/report.html"' in html(nights, "some/runs")
    assert re.search(r'href="file:///.*/some/runs/night-1/report\.html"', html(nights, "some/runs", beside=False))
    report, ledger = PlayedNight(["A"], ["a"]).build()
    assert '<nav><a href="../index.html">' in render_page(report, ledger, (), "../index.html").decode()
    assert "<nav>" not in render_page(report, ledger, ()).decode()


def test_runs_of_a_date_are_together() -> None:
    days = [day for day, _ in NIGHTS.by_day()]
    assert len(days) == len(set(days)) < 60
    assert days == sorted(days, reverse=True)
    page = html(nights_of(summary("b", "2026-11-24"), summary("c", "2026-11-25"), summary("a", "2026-11-24")))
    assert page.count("<tbody>") == 2
    assert 'rowspan="2">2026-11-24<' in page
    assert page.index(">c</a>") < page.index(">b</a>") < page.index(">a</a>")


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "good"), ({"failed": 1}, "bad"), ({"failed": 2, "cut_off": 2}, "warn"), ({"open_": 1}, "warn"),
        ({"failed": 2, "cut_off": 1, "open_": 3}, "bad"),
    ],
)  # fmt: skip
def test_the_state_of_an_engine(changes: dict[str, int], state: str) -> None:
    assert state_of(EngineTotals.model_validate(totals(10, **changes))) == state
    assert state_of(None) == "none"


def test_what_failed_on_most_nights_is_first_and_counts_once_a_date() -> None:
    found, more = most_often(
        [
            summary("e", "2026-11-25", group("A", "B")),
            summary("d", "2026-11-25", group("A")),
            summary("c", "2026-11-24", group("B", "C", cause="denied"), group("D", state="not_attempted")),
            summary("b", "2026-11-23", group("B", engine="news", card_type=None), group("C")),
            summary("a", "2026-11-22", group("C")),
        ]
    )
    assert [(one.name, one.nights, one.last, one.cause) for one in found] == [
        ("C a", 3, "2026-11-24", "denied"),
        ("B a", 2, "2026-11-25", "status"),
        ("A a", 1, "2026-11-25", "status"),
        ("news: B", 1, "2026-11-23", "status"),
    ]
    assert more == 0
    many = summary("m", "2026-11-25", group(*(f"T{n}" for n in range(50))))
    shown, more = most_often([many])
    assert (len(shown), more) == (20, 30)
    assert "And 30 more: the page of each run names what failed." in html(nights_of(many))
    assert nights_table(nights_of(many)).splitlines()[3:] == [
        "50 items failed on one night only: the page of each run names what failed."
    ]
    again = summary("n", "2026-11-26", group(*(f"T{n}" for n in range(3))))
    assert nights_table(nights_of(again, many)).splitlines()[4:] == [
        *(f"T{n} a: failed on 2 nights, the last on 2026-11-26" for n in range(3)),
        "47 items failed on one night only: the page of each run names what failed.",
    ]
    all_again = summary("n", "2026-11-26", group(*(f"T{n}" for n in range(50))))
    assert nights_table(nights_of(all_again, many)).splitlines()[-1] == (
        "And 30 more: the page of each run names what failed."
    )


def test_a_trend_has_a_bar_for_each_run_that_had_the_phase_and_its_median() -> None:
    runs = [summary(f"r{n}", f"2026-11-{n:02}", phases=phases, engines={"qa": totals(1)}) for n, phases in
            [(4, {"data": 8.0}), (3, {}), (2, {"data": 2.0}), (1, {"data": 4.0, "cards": 1.0})]]  # fmt: skip
    trend = trend_of(nights_of(*runs), "data")
    assert trend
    assert (trend.median, trend.last, len(trend.bars)) == (4.0, 8.0, 3)
    assert [left for left, _, _ in trend.bars] == pytest.approx([0.0, 250.0, 750.0])
    assert trend.bars[2][1] == pytest.approx(2 * trend.bars[0][1])
    assert trend_of(nights_of(*runs[:3]), "cards") is None


def test_a_trend_and_the_bars_are_in_the_order_of_the_days_that_the_runs_are_for() -> None:
    """The runs of 24 November: one was made for the 20th, in the evening, and one for the 24th was repeated."""
    runs = [
        summary(name, day, started=f"2026-11-24T{hour:02}:00:00+08:00", phases={"data": seconds},
                engines={"qa": totals(1)}, cards={"planned": 10, "generated": seconds, "failed": 10 - seconds})
        for name, day, hour, seconds in
        [("late", "2026-11-20", 22, 1), ("again", "2026-11-24", 21, 3), ("first", "2026-11-24", 2, 2)]
    ]  # fmt: skip
    trend = trend_of(nights_of(*runs), "data")
    assert trend
    assert [says for _, _, says in trend.bars] == ["2026-11-20, late", "2026-11-24, first", "2026-11-24, again"]
    assert (trend.last, trend.days) == (3, ("2026-11-20", "2026-11-24"))
    bars, _, days = card_bars(nights_of(*runs))
    assert [bar.made / bar.planned for bar in bars] == pytest.approx([0.1, 0.2, 0.3])
    assert days == ("2026-11-20", "2026-11-24")


def test_markup_in_a_summary_is_shown_as_text() -> None:
    """Also what the reader of a summary refuses: a page does not depend on that."""
    altered = summary(
        "r", "2026-11-24", group("A"), config_uri="gs://<script>",
        cards={"planned": 1, "generated": 10**9}, engines={"qa": totals(1) | {"done": 5}},
    )  # fmt: skip
    hostile = altered.missing[0].model_copy(update={"targets": tuple(HOSTILE), "cause": "<b>&\x1b[2J\u202e"})
    altered = altered.model_copy(update={"missing": (hostile,)})
    page = html(nights_of(altered, summary("s", "2026-11-24", config_uri="gs://other")))
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", page)
    assert "<script" not in page
    assert "<b>&<" not in page
    shown = Parsed(page).text
    assert "gs://<script>" in shown
    for width in re.findall(r'height="([^"]+)"', page):
        assert 0 <= float(width) <= 100


def test_a_page_without_any_run() -> None:
    assert "no run is recorded" in html(Past())
