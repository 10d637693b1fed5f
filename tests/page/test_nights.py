"""The page of the nights has a row for each run, grouped by date, with correct links, and shows all data as text."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from job.ledger.ledger import Ledger
from job.ledger.totals import EngineTotals
from job.page.nights import card_chart, trend_of
from job.page.render import render_nights, render_page
from job.records.past import EndedRun, Past, PastRun
from job.report.commands import PageLinks, Place
from job.report.outcome import Ending, ExitCode, Outcome
from job.report.report import AttemptSummary, report_of
from job.report.summary import RunSummary, most_often, state_of
from job.reporting.screen import nights_table
from job.text.messages import message
from tests.page.test_render import HOSTILE
from tests.support.nights import Night as PlayedNight
from tests.support.parsed import Parsed
from tests.support.past import past_summaries, totals
from tests.support.records import Recorded

BUCKET = "gs://cards-runs/runs"
NIGHTS = past_summaries(60)
LINK = "{}.html".format
AT = datetime.fromisoformat("2026-11-24T02:00:03+08:00")


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
    links = re.findall(r'<td class="run"><a href="(https://[^"]+)"', page)
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
    assert '<nav><a href="../index.html">' in render_page(report, ledger, (), PageLinks("../index.html")).decode()
    assert "<nav>" not in render_page(report, ledger, ()).decode()


def with_last_night(nights: Past, outcome: str = "cards_missing", **changes: Any) -> Past:
    recorded = Recorded("b", outcome=outcome)
    ledger = Ledger(recorded.inputs.plan())
    for result in recorded.results():
        ledger.add(result)
    attempt = AttemptSummary.of(Ending(Outcome(outcome), ExitCode.FAILED, message("x")), recorded.inputs, AT, 60.0)
    report = report_of(recorded.inputs, ledger, [attempt], **changes)
    return replace(nights, last_night=EndedRun(report, Place("cards", "asia-east1", "p")))


def test_the_page_opens_with_what_has_become_of_the_last_night_and_the_one_command() -> None:
    nights = nights_of(summary("b", "2026-11-24"), summary("a", "2026-11-23"))
    page = html(with_last_night(nights))
    opening = " ".join(page[: page.index('<section id="runs">')].split())
    assert "<title>✗ 1 of 2 cards is missing · 2026-11-24 · All nights</title>" in opening
    assert "<h1>1 of 2 cards is missing</h1>" in opening
    link = "https://storage.cloud.google.com/cards-runs/runs/b/report.html"
    assert opening.count(f'<a href="{link}">') == 2
    assert opening.count("<code>") == 1, "which is right on any day"
    assert "<code>gcloud run jobs execute cards --region=asia-east1 --project=p --args=resume,b</code>" in opening
    good = html(with_last_night(nights, "succeeded"))
    assert "✓ All 2 cards are there · 2026-11-24" in good
    assert "<code>" not in good
    assert "and what to do" not in good


def test_without_a_report_the_outcome_is_what_is_known_of_the_last_night() -> None:
    began = datetime.fromisoformat("2026-11-24T02:00:00+08:00")
    page = html(Past([PastRun("night", began, "2026-11-24", Outcome.UNREADABLE)]))
    assert "<h1>unreadable</h1>" in page
    assert 'class="verdict panel bad"' in page


def test_a_day_with_several_runs_has_one_verdict_and_one_bar() -> None:
    runs = [
        summary("c", "2026-11-24", outcome="bad_config", exit_code=2),
        summary("b", "2026-11-24", cards={"planned": 2, "generated": 2}),
        summary("a", "2026-11-23", cards={"planned": 2, "generated": 2}),
    ]
    page = html(nights_of(*runs))
    assert page.count('<tr class="past">') == 1
    assert re.findall('class="outcome (.*?)"', page) == ["soft", "good", "good"]
    chart = card_chart(nights_of(*runs), LINK)
    assert chart
    assert [bar.link for bar in chart.bars] == ["a.html", "b.html"]


def test_only_a_config_that_is_elsewhere_is_named() -> None:
    runs = [summary("c", "2026-11-24"), summary("b", "2026-11-23", config_uri="gs://trial"), summary("a", "2026-11-22")]
    assert re.findall('<div class="note">(.*?)</div>', html(nights_of(*runs))) == ["gs://trial"]


def test_ten_days_are_open_and_what_failed_more_than_once_is_open_too() -> None:
    once = [summary(f"r{day}", f"2026-11-{day:02}", group("A") if day == 1 else group()) for day in range(11, 0, -1)]
    page = html(nights_of(*once))
    assert "1 earlier day" in page
    assert page.index(">r2</a>") < page.index("1 earlier day") < page.index(">r1</a>")
    assert '<details class="panel" id="often">' in page
    assert "earlier day" not in html(nights_of(*once[:10]))
    twice = [summary("b", "2026-11-24", group("A")), *once]
    assert '<details class="panel" id="often" open>' in html(nights_of(*twice))


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
    trend = trend_of(nights_of(*runs), "data", LINK)
    assert trend
    bars = trend.chart.bars
    assert (trend.median, trend.last, len(bars), trend.chart.most) == (4.0, 8.0, 3, 8.0)
    assert [bar.left for bar in bars] == pytest.approx([0.0, 250.0, 750.0])
    assert [bar.good for bar in bars] == pytest.approx([50.0, 25.0, 100.0])
    assert [bar.link for bar in bars] == ["r1.html", "r2.html", "r4.html"]
    assert trend_of(nights_of(*runs[:3]), "cards", LINK) is None


def test_a_trend_and_the_bars_are_in_the_order_of_the_days_that_the_runs_are_for() -> None:
    """The runs of 24 November: one was made for the 20th, in the evening, and one for the 24th was repeated."""
    runs = [
        summary(name, day, started=f"2026-11-24T{hour:02}:00:00+08:00", phases={"data": seconds},
                engines={"qa": totals(1)}, cards={"planned": 10, "generated": seconds, "failed": 10 - seconds})
        for name, day, hour, seconds in
        [("late", "2026-11-20", 22, 1), ("again", "2026-11-24", 21, 3), ("first", "2026-11-24", 2, 2)]
    ]  # fmt: skip
    trend = trend_of(nights_of(*runs), "data", LINK)
    assert trend
    assert [str(bar.says) for bar in trend.chart.bars] == ["2026-11-20: 1.00 s", "2026-11-24: 3.00 s"]
    assert (trend.last, trend.chart.days) == (3, ("2026-11-20", "2026-11-24"))
    cards = card_chart(nights_of(*runs), LINK)
    assert cards
    assert [(bar.good, bar.bad) for bar in cards.bars] == [(10.0, 90.0), (30.0, 70.0)]
    assert cards.days == ("2026-11-20", "2026-11-24")


def test_what_is_missing_is_red_even_if_it_is_little_or_if_nothing_could_be_planned() -> None:
    runs = [
        summary("e", "2026-11-24", outcome="bad_config", exit_code=2),
        summary("d", "2026-11-23", outcome="succeeded"),  # data alone
        summary("c", "2026-11-22", outcome="cards_missing", cards={"planned": 1000, "generated": 999, "failed": 1}),
        summary("b", "2026-11-21", outcome="data_engine_failed", cards={"planned": 500, "not_attempted": 500}),
        summary("a", "2026-11-20", cards={"planned": 1000, "generated": 1000}),
    ]
    chart = card_chart(nights_of(*runs), LINK)
    assert chart
    assert [(bar.good, bar.bad) for bar in chart.bars] == [(100, 0), (0, 50), (96, 4), (0, 100)]
    assert (str(chart.bars[3].says), chart.bars[3].link) == ("2026-11-24: config faulty", "e.html")
    assert 'class="most num" aria-hidden="true">1,000<' in html(nights_of(*runs))
    assert card_chart(nights_of(*runs[:2]), LINK) is None


def test_markup_in_a_summary_is_shown_as_text() -> None:
    """Also what the reader of a summary refuses: a page does not depend on that."""
    altered = summary(
        "r", "2026-11-24", group("A"), config_uri="gs://<script>",
        cards={"planned": 1, "generated": 10**9}, engines={"qa": totals(1) | {"done": 5}},
    )  # fmt: skip
    hostile = altered.missing[0].model_copy(update={"targets": tuple(HOSTILE), "cause": "<b>&\x1b[2J\u202e"})
    altered = altered.model_copy(update={"missing": (hostile,)})
    page = html(nights_of(summary("s", "2026-11-24", config_uri="gs://other"), altered))
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", page)
    assert "<script" not in page
    assert "<b>&<" not in page
    shown = Parsed(page).text
    assert "gs://<script>" in shown
    for width in re.findall(r'height="([^"]+)"', page):
        assert 0 <= float(width) <= 100


def test_a_page_without_any_run() -> None:
    assert "no run is recorded" in html(Past())
