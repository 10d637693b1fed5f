"""The page of a run shows correctly what happened, whatever ids and answers are, and is readable at any size."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from job.engines.catalog import ALL_ENGINES, EngineName
from job.engines.failures import Cause, remedy
from job.engines.transport import HOST_UNKNOWN
from job.ledger.ledger import CALLS_KEPT, Ledger
from job.ledger.totals import CardTotals
from job.page.charts import BINS, WIDTH, flight_chart, time_scale_of
from job.page.render import environment, render_page
from job.page.run_page import CHANGES_SHOWN, headline, severity
from job.report.advice import advice
from job.report.commands import PageLinks, Place
from job.report.comparison import ComparedItem, ComparedItems, Comparison
from job.report.outcome import QA_REFUSES, Outcome
from job.report.report import RunReport
from job.reporting.terminal import as_text
from job.text.messages import ENGLISH, duration, message
from tests.simulators.job import ROOT
from tests.support.nights import Night
from tests.support.parsed import Parsed
from tests.support.results import tried

NAMES = ["AAPL", "^GSPC", "美联储", "Rate vs Inflation"]
KNOWN_TAGS = {
    *(
        "html",
        "head",
        "meta",
        "link",
        "title",
        "style",
        "body",
        "main",
        "section",
        "header",
        "div",
        "p",
        "span",
        "b",
        "i",
    ),
    *("h1", "h2", "h3", "a", "dl", "dt", "dd", "small", "code", "details", "summary", "bdi"),
    *("table", "thead", "tbody", "tr", "th", "td", "svg", "g", "path", "rect", "circle"),
}


def some_fail(engine: EngineName, number: int) -> Any:
    """Cards 1 and 4 are not made, one of them after other answers."""
    if engine == "qa" and number == 1:
        return ["HTTP 503", "HTTP 503"], "denied", "failed: no", 200
    if engine == "qa" and number == 4:
        return [], "status", "HTTP 403: Forbidden", 403
    return [], None, None, 200


def build_run(fate: Any = some_fail, **changes: Any) -> tuple[RunReport, Ledger]:
    report, ledger = Night(NAMES, ["news_card", "price_card"], fate=fate).build(
        "cards_missing", 3, "CardTotals are missing."
    )
    return report.model_copy(update=changes), ledger


def rendered(report: RunReport, ledger: Ledger, **changes: Any) -> bytes:
    """The page, with what to do next as it is right when the run has ended."""
    steps = advice(report, Place(), datetime.fromisoformat(report.ended or report.started))
    return render_page(report, ledger, steps, **changes)


def page(report: RunReport, ledger: Ledger) -> Parsed:
    return Parsed(rendered(report, ledger).decode())


def printed(report: RunReport, ledger: Ledger) -> list[str]:
    """The run as the terminal shows it."""
    return as_text(report, ledger, advice(report, Place(), datetime.fromisoformat(report.started))).splitlines()


def test_shows_the_outcome_the_cards_and_every_failure_with_what_to_do() -> None:
    report, ledger = build_run()
    shown = page(report, ledger)
    assert {name: shown.tiles[name] for name in ("planned", "generated", "failed", "not attempted")} == {
        "planned": 8, "generated": 6, "failed": 2, "not attempted": 0,
    }  # fmt: skip
    assert "2 of 8 cards are missing" in shown.text
    assert "python -m job resume cards-nightly-x7k2p" in shown.text
    assert "QA engine: 1 card failed AAPL price_card" in shown.text
    assert "before: HTTP 503 (2 times)" in shown.text
    assert "HTTP 403: Forbidden" in shown.text
    assert "Grant roles/run.invoker" in shown.text
    assert "barrier" in shown.text
    assert "generation 1763949603123456" in shown.text
    assert report.trace_id in shown.text
    for call in ledger.lanes["qa"].kept:  # every call of a small run with its span
        assert call.traceparent[36:52] in shown.text


@pytest.mark.parametrize(
    ("date", "words"),
    [
        ("2026-11-24", "day 2026-11-24 attempt"),
        (None, "day 2026-11-24 (RUN_DATE not set: each engine used its own current date)"),
    ],
)
def test_says_if_the_engines_chose_the_date(date: str | None, words: str) -> None:
    report, ledger = build_run(date=date)
    assert words in page(report, ledger).text


def test_the_page_loads_nothing_from_elsewhere() -> None:
    shown = page(*build_run(project="p"))
    for tag, attributes in shown.tags:
        assert tag in KNOWN_TAGS
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href"} and tag != "a":
                assert str(value).startswith("data:")
    links = [attributes["href"] or "" for tag, attributes in shown.tags if tag == "a"]
    assert all(link.startswith(("#", "https://console.cloud.google.com/")) for link in links)
    assert "@import" not in shown.source
    assert "url(" not in shown.source


def test_links_to_the_console_if_the_project_is_known() -> None:
    linked = page(*build_run(project="my-project", execution="cards-x"))
    links = [str(attributes["href"]) for tag, attributes in linked.tags if tag == "a"]
    assert any("tid=" in link and "project=my-project" in link for link in links)
    assert any("execution_name" in link and "cards-x" in link for link in links)
    assert any("AAPL" in link for link in links), "the log of a failed target"
    plain = page(*build_run())
    assert [attributes["href"] for tag, attributes in plain.tags if tag == "a"] == ["#time", "#board"]


def refusing(engine: EngineName, number: int) -> Any:
    reason = "failed: declined" if number % 10 == 3 else "failed: the quota is used up"
    return ([], "denied", reason, 200) if engine == "qa" else ([], None, None, 200)


def test_a_group_says_the_last_answers_most_frequent_first() -> None:
    night = Night([f"T{number:03}" for number in range(1200)], ["outlook_card"], fate=refusing)
    shown = page(*night.build("cards_missing", 3, "Cards are missing."))
    said = shown.text.partition("What failed, and what to do")[2].partition("Attempts and last answers")[0]
    assert "Last answer for 900 cards: failed: the quota is used up" in said, "of the 1,000 that are kept"
    assert "Last answer for 100 cards: failed: declined" in said
    assert said.index("used up") < said.index("declined") < said.index("What to do:")


def test_a_single_last_answer_needs_no_count() -> None:
    shown = page(*build_run())
    assert "AAPL price_card Last answer: failed: no Attempts: 3 · in the logs:" in shown.text


def test_failures_that_are_alike_have_one_line_and_a_table_has_a_row_for_each_kind() -> None:
    night = Night([f"T{number:02}" for number in range(25)], ["outlook_card"], fate=refusing)
    shown = page(*night.build("cards_missing", 3, "x"))
    table = shown.text.partition("Attempts and last answers")[2].partition("Complete: ")[0]
    assert "T00, T01, T02, T04, " in table
    assert table.count("failed: the quota is used up") == 1
    assert "T03, T13, T23 outlook_card 1 failed: declined" in table
    alike = page(*Night(["A", "B"], ["a"], fate=config_refused).build("cards_missing", 3, "x")).text
    assert "a: A, B Last answer: HTTP 422 Attempts: 1 each What to do: " in alike
    assert "Attempts and last answers" not in alike


def test_the_trace_id_is_beside_what_to_do() -> None:
    report, ledger = build_run()
    failed = page(report, ledger).text.partition("What failed, and what to do")[2]
    assert failed.startswith(f" The run's trace id, for the engines' logs: {report.trace_id} QA engine: ")


def one_engine_fails(engine: EngineName, number: int) -> Any:
    if engine == "qa":
        return [], "interrupted", "cut off", None
    return ([], "status", "HTTP 500", 500) if engine == "news" else ([], "interrupted", "cut off", None)


def test_what_was_only_cut_off_has_one_box_and_nothing_is_to_be_done_about_it() -> None:
    report, ledger = Night(["A", "B"], ["a"], fate=one_engine_fails).build("data_engine_failed", 1, "x")
    shown = page(report, ledger)
    assert shown.text.count("What to do:") == 1
    box = shown.text.partition("Cut off when the run ended: there is nothing to put right ")[2]
    for words in ("Financial engine: 2 targets cut off · A, B", "QA engine: 2 cards cut off · a: A, B"):
        assert words in box
    assert shown.tiles["engines failed"] == 1
    assert "engines failed" not in page(*build_run()).tiles
    failing = Night(["A"], ["a"], fate=lambda *_: ([], "interrupted", "cut off", None))
    found, cut = failing.build("interrupted", 143, "x")[0], Ledger(failing.plan())
    for result in failing.results():
        again = message("cut off, after {reason}", reason=message("HTTP 403"))
        cut.add(replace(result, reason=again, interrupted_after="status", status=403))
    assert "Grant roles/run.invoker" in page(found, cut).text, "the next attempt would have failed as well"
    only = Night(["A"], ["a"], fate=lambda *_: ([], "interrupted", "cut off", None)).build("interrupted", 143, "x")
    assert "What was cut off" in page(*only).text
    assert "What failed" not in page(*only).text


def test_the_night_before_is_linked_if_the_run_was_compared_with_it() -> None:
    report, _ = build_run(since_last_night=Comparison(run_id="before", day="2026-11-23"))
    for uri, link in [
        ("/srv/runs", "../before/report.html"),
        ("gs://b/runs", "https://storage.cloud.google.com/b/runs/before/report.html"),
    ]:
        assert PageLinks.of(uri, report, has_table=False, beside=True).previous == ("2026-11-23", link)
    assert PageLinks.of("/srv/runs", build_run()[0], has_table=False, beside=True).previous is None


def test_of_many_last_answers_the_most_frequent_are_shown() -> None:
    def fate(engine: EngineName, number: int) -> Any:
        return ([], "denied", f"no {number % 9}", 200) if engine == "qa" else ([], None, None, 200)

    shown = page(*Night([f"T{number}" for number in range(37)], ["a"], fate=fate).build("cards_missing", 3, "x"))
    answers = re.findall(r"Last answer for (\d+) cards: no \d", shown.text)
    assert answers == ["5", "4", "4", "4", "4"]
    assert "Other last answers, listed below: 4" in shown.text


def test_a_card_type_that_all_failures_share_is_said_once() -> None:
    night = Night([f"T{number}" for number in range(40)], ["outlook_card"], fate=refusing)
    first = ", ".join(f"T{number}" for number in range(10))
    assert f"outlook_card: {first} and 30 more" in page(*night.build("cards_missing", 3, "x")).text
    night.card_types = ["a", "b"]
    assert "T4 a, T4 b and 70 more" in page(*night.build("cards_missing", 3, "x")).text


def test_the_names_under_a_failure_are_those_that_its_heading_counts() -> None:
    """The heading counts targets, not calls."""

    def fate(engine: EngineName, number: int) -> Any:
        failed = engine == "financial"
        return ([], "status", "HTTP 503", 503) if failed else ([], None, None, 200)

    night = Night([f"T{number}" for number in range(12)], ["a"], fate=fate, batch=4)
    shown = page(*night.build("data_engine_failed", 1, "x"))
    assert "Financial engine: 12 targets failed T0, T1, T2, T3, T4, T5, T6, T7, T8, T9 and 2 more" in shown.text


def test_calls_that_were_cut_off_are_counted_separately_as_on_the_terminal() -> None:
    def fate(engine: EngineName, number: int) -> Any:
        if engine != "qa" or number > 4:
            return [], None, None, 200
        return ([], "interrupted", "cut off", None) if number else ([], "status", "HTTP 422", 422)

    report, ledger = Night(["A", "B", "C"], ["a", "b"], fate=fate).build("interrupted", 130, "x")
    shown = page(report, ledger)
    assert {name: shown.tiles[name] for name in ("planned", "generated", "failed", "cut off", "not attempted")} == {
        "planned": 6, "generated": 1, "failed": 1, "cut off": 4, "not attempted": 0,
    }  # fmt: skip
    assert "cards planned 6 done 1 failed 1 cut off 4 not attempted 0" in shown.text
    assert re.search(r"qa +5 +0 +1 +1 +4 +0 ".replace("5", "6"), "\n".join(printed(report, ledger)))


HOSTILE = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "</title></style></svg><b>", "' onmouseover='x",
    "&amp;&lt;", "\u202egnp.exe", "\x00\x1b[31m", "a" * 5000, "]]>", "<!--", "\ud800", "{}%s{0}",
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_markup_from_outside_is_shown_as_text(hostile: str) -> None:
    def fate(engine: EngineName, number: int) -> Any:
        return ([hostile], "denied", hostile, 200) if number % 2 else ([hostile], None, None, 200)

    night = Night([hostile, f"{hostile}2"], [hostile], fate=fate)
    report, ledger = night.build("cards_missing", 3, hostile)
    outside: dict[str, Any] = {
        "run_id": hostile,
        "day": hostile,
        "version": hostile,
        "commit": hostile,
        "config_uri": hostile,
    }
    outside |= {"config_generations": {hostile: hostile}, "project": hostile, "execution": hostile}
    shown, plain = page(report.model_copy(update=outside), ledger), page(*build_run())
    assert {tag for tag, _ in shown.tags} <= KNOWN_TAGS
    known = {name for _, attributes in plain.tags for name in attributes} | {"open", "title"}
    assert {name for _, attributes in shown.tags for name in attributes} <= known
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", shown.source)


@given(st.text(max_size=60))
def test_markup_in_any_value_is_shown_as_text(value: str) -> None:
    shown = Parsed(environment(ENGLISH).from_string('<p title="{{ value }}">{{ value }}</p>').render(value=value))
    assert [tag for tag, _ in shown.tags] == ["p"]
    assert list(shown.tags[0][1]) == ["title"]


@pytest.mark.parametrize("mistaken", ["{{ nothing }}", "{{ report.nothing }}", "{% if report.nothing %}{% endif %}"])
def test_an_undefined_name_in_a_template_is_an_error(mistaken: str) -> None:
    report, _ = build_run()
    with pytest.raises(UndefinedError, match="nothing"):
        environment(ENGLISH).from_string(mistaken).render(report=report)


@pytest.mark.parametrize(
    ("outcome", "cards", "words", "colour"),
    [
        (Outcome.SUCCEEDED, CardTotals(planned=8, generated=8), "All 8 cards are there", "good"),
        (Outcome.SUCCEEDED, CardTotals(), "All data is ready", "good"),
        (Outcome.CARDS_MISSING, CardTotals(planned=8, generated=7, failed=1), "1 of 8 cards is missing", "bad"),
        (
            Outcome.DATA_ENGINE_FAILED,
            CardTotals(planned=8, not_attempted=8),
            "No card was made: a data engine failed",
            "bad",
        ),
        (
            Outcome.DATA_ENGINE_FAILED,
            CardTotals(planned=8, generated=3, not_attempted=5),
            "5 of 8 cards are missing",
            "bad",
        ),
        (
            Outcome.DEADLINE,
            CardTotals(planned=8, generated=5, not_attempted=3),
            "The deadline passed: 3 of 8 cards are",
            "warn",
        ),
        (
            Outcome.QA_ENGINE_DOWN,
            CardTotals(planned=8, failed=8),
            "The QA engine is down: 8 of 8 cards are missing",
            "bad",
        ),
        (Outcome.INTERRUPTED, CardTotals(planned=8, not_attempted=8), "Interrupted: 8 of 8 cards are missing", "warn"),
        (Outcome.UNFORESEEN, CardTotals(planned=8, generated=8), "The job has a bug: not everything is done", "bad"),
        (
            Outcome.KILLED,
            CardTotals(planned=8, generated=5, not_attempted=3),
            "Killed: 3 of 8 cards are missing",
            "warn",
        ),
    ],
)
def test_the_headline_says_what_is_missing(outcome: Outcome, cards: CardTotals, words: str, colour: str) -> None:
    report, _ = build_run(outcome=outcome, cards=cards)
    assert str(headline(report)).startswith(words)
    assert severity(report) == colour


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.DEADLINE, "Go on with"),
        (Outcome.INTERRUPTED, "Go on with"),
        (Outcome.LEASE_LOST, "Once no other run is at work"),
        (Outcome.CARDS_MISSING, "Once the cause is put right"),
    ],
)
def test_a_run_that_only_has_to_be_resumed_suggests_no_repair(outcome: Outcome, words: str) -> None:
    report, ledger = build_run(outcome=outcome)
    assert words in page(report, ledger).text


def test_the_outcome_is_not_said_twice() -> None:
    assert page(*build_run()).text.count("CardTotals are missing.") == 1, "beside the attempt: the headline has said it"
    reason = message("the news engine failed for A after 4 attempts: {reason}", reason="HTTP 500")
    report, ledger = build_run(
        outcome=Outcome.DATA_ENGINE_FAILED, sentence=message("No card was requested: {reason}", reason=reason)
    )
    assert "Reason: the news engine failed for A after 4 attempts: HTTP 500" in page(report, ledger).text
    assert "No card was requested" not in page(report, ledger).text
    lost, _ = build_run(outcome=Outcome.LEASE_LOST, sentence=message("The run lost its lease."))
    assert "The run lost its lease." in page(lost, ledger).text


def test_an_engine_that_refuses_every_call_is_not_called_down() -> None:
    refused: dict[str, Any] = {"outcome": Outcome.QA_ENGINE_DOWN, "sentence": message(QA_REFUSES, made=0, planned=8)}
    report, _ = build_run(**refused)
    assert str(headline(report)) == "The QA engine refuses the job's calls: 2 of 8 cards are missing"


def config_refused(engine: EngineName, number: int) -> Any:
    return ([], "status", "HTTP 422", 422) if engine == "qa" else ([], None, None, 200)


def test_a_run_with_a_fault_of_the_config_is_resumed_with_the_corrected_config() -> None:
    shown = page(*build_run(config_refused)).text
    again, resume = "RUN_DATE=2026-11-24 python -m job", "python -m job resume cards-nightly-x7k2p --new-config"
    assert f"Once the config is corrected, this requests only what is missing: {again}" in shown
    assert f"On a later day, this requests only what is missing: {resume}" in shown
    plain = page(*build_run()).text
    assert f"Once the cause is put right, this requests only what is missing: {again}" in plain
    assert "--new-config" not in plain


def test_a_run_without_a_date_says_on_its_page_what_to_do_on_a_later_day() -> None:
    start = "RUN_DATE=2026-11-24 python -m job run"
    shown = page(*build_run(date=None)).text
    later = "On a later day, this starts a new run for 2026-11-24, which makes all its cards: "
    assert f"{later}{start}" in shown
    assert shown.index("this requests only what is missing: python -m job") < shown.index(later)
    assert "python -m job resume" not in shown
    assert "a new run for" not in page(*build_run()).text


def test_a_complete_run_shows_no_command_to_resume() -> None:
    shown = page(*Night(NAMES, ["a"]).build()).text
    assert "resume" not in shown
    assert "not attempted" not in shown.partition("Complete: 4 of 4 stocks")[2].partition("made, ✗")[0]


@pytest.mark.parametrize(("cause", "colour"), [(Cause.INTERRUPTED, "warn"), (Cause.STATUS, "bad")])
def test_cards_that_were_cut_off_are_not_shown_as_failed(cause: Cause, colour: str) -> None:
    def fate(engine: EngineName, number: int) -> Any:
        failed = engine == "qa" and number == 1
        return [], cause if failed else None, "no" if failed else None, None if failed else 200

    report, _ = build_run(fate, outcome=Outcome.DEADLINE)
    assert report.cards.failed == 1
    assert severity(report) == colour


def test_a_call_that_a_later_attempt_did_is_not_shown_as_failed() -> None:
    night = Night(NAMES, ["news_card"], fate=some_fail)
    ledger, results = Ledger(night.plan()), list(night.results())
    for result in results:
        ledger.add(result)
    assert [call.targets[0] for call in ledger.failures] == ["^GSPC"]
    failed = next(result for result in results if not result.done)
    ledger.add(replace(failed, done=True, cause=None, reason=None))
    assert ledger.failures == []


def test_a_resumed_run_shows_both_attempts_and_cuts_out_the_time_between() -> None:
    report, ledger = build_run()
    for result in list(Night(NAMES, ["news_card"]).results())[-2:]:
        ledger.add(replace(result, started=result.started + 90_000, ended=result.ended + 90_000))
    shown = page(report.model_copy(update={"attempts": report.attempts * 2}), ledger)
    assert re.search(r"2[45] h \d+ min idle", shown.text)
    assert "2 attempts" in shown.text
    assert "attempt 2" in shown.text


def test_an_attempt_after_a_killed_one_is_not_taken_for_the_whole_run() -> None:
    report, ledger = build_run()
    (attempt,) = report.attempts
    assert "the last attempt took" not in page(report, ledger).text
    later = datetime.fromisoformat(report.started) + timedelta(minutes=9)
    only = attempt.model_copy(update={"started": later.isoformat()})
    shown = page(report.model_copy(update={"attempts": (only,), "seconds": 4.0}), ledger).text
    assert "the last attempt took 4.00 s" in shown


def test_a_terminal_of_eighty_columns_shows_the_whole_table() -> None:
    report, ledger = build_run()
    engine = report.engines["qa"].model_copy(update={"p50_seconds": 112.5, "p95_seconds": 298.25, "calls": 1234})
    shown = "\n".join(printed(report.model_copy(update={"engines": {"financial": engine, "qa": engine}}), ledger))
    assert all(word in shown for word in ("financial", "not attempted", "112.50 s", "298.25 s"))
    assert "cut off" not in shown


def test_the_table_counts_cut_off_calls_separately_and_fits_eighty_columns_with_100_000_cards() -> None:
    report, ledger = build_run()
    large = {"planned": 100_000, "done": 100_000, "calls": 100_000, "retries": 12_345, "failed": 2_500, "cut_off": 500}
    engine = report.engines["qa"].model_copy(update={**large, "p50_seconds": 112.5, "p95_seconds": 298.25})
    lines = printed(report.model_copy(update={"engines": {"financial": engine, "qa": engine}}), ledger)
    assert lines[1].split("  ")[0].strip().startswith("engine")
    assert lines[1].index("failed") < lines[1].index("cut off") < lines[1].index("not attempted")
    assert lines[2].split() == [
        "financial",
        "100,000",
        "12,345",
        "100,000",
        "2,000",
        "500",
        "0",
        "112.50",
        "s",
        "298.25",
        "s",
    ]
    assert all(len(line.rstrip()) <= 80 for line in lines[1:4])


@pytest.mark.parametrize(
    ("columns", "headings"),
    [
        (80, ["engine", "calls", "retries", "done", "failed", "not", "attempted", "p50", "p95"]),
        (60, ["engine", "calls", "retries", "done", "failed", "not", "attempted"]),
        (48, ["engine", "calls", "done", "failed", "not", "attempted"]),
        (40, ["engine", "done", "failed", "not", "attempted"]),
    ],
)
def test_a_narrow_terminal_gets_fewer_columns_and_no_number_is_cut(
    monkeypatch: pytest.MonkeyPatch, columns: int, headings: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = printed(*Night([f"T{n:03}" for n in range(300)], ["a"]).build())
    assert lines[1].split() == headings
    assert all(len(line.rstrip()) <= columns and "…" not in line for line in lines[1:6])


def test_a_terminal_too_narrow_for_a_table_gets_a_line_for_each_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    lines = printed(*Night([f"T{n:03}" for n in range(300)], ["a"]).build())
    assert lines[1] == "financial: 300 done, 0 failed, 0 cut off, 0 not attempted"


def test_a_recorded_run_is_printed_with_each_cause_once_and_how_to_resume() -> None:
    night = Night([f"T{n:03}" for n in range(300)], ["a"], fate=refusing)
    report, ledger = night.build("cards_missing", 3, "x", page="/runs/report.html")
    lines = printed(report, ledger)
    assert sum("What to do" in line or "what to do" in line for line in lines) == 1
    assert sum("QA engine: 300 cards failed: a: T000, T001" in line for line in lines) == 1
    assert lines[-8:] == [
        "300 cards are missing; their names: python -m job report cards-nightly-x7k2p --missing",
        f"trace id: {report.trace_id}",
        "page: /runs/report.html",
        "Once the cause is put right, this requests only what is missing:",
        "  RUN_DATE=2026-11-24 python -m job run",
        "On a later day, this requests only what is missing:",
        "  python -m job resume cards-nightly-x7k2p",
        "x (exit code 3)",
    ]


def test_the_command_to_resume_and_the_exit_code_are_the_last_lines_also_without_a_failure() -> None:
    lines = printed(*Night(["A"], ["a"]).build("interrupted", 143, "x"))
    assert lines[-2:] == ["  python -m job resume cards-nightly-x7k2p", "x (exit code 143)"]
    assert printed(*Night(["A"], ["a"]).build())[-1].startswith("trace id: ")


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0.1, 1e4)).map(lambda pair: (pair[0], sum(pair))), min_size=1),
    st.sampled_from([UTC, timezone(timedelta(hours=8)), timezone(timedelta(hours=-3.5))]),
)
def test_time_runs_from_left_to_right(spans: list[tuple[float, float]], zone: timezone) -> None:
    spans = [(began + 1.7e9, ended + 1.7e9) for began, ended in spans]
    axis = time_scale_of(spans, zone)
    moments = sorted(moment for span in spans for moment in span)
    places = [axis.x(moment) for moment in moments]
    assert places == sorted(places)
    assert places[0] == 0
    assert places[-1] == pytest.approx(WIDTH)
    assert len(list(axis.ticks())) <= 8 + len(axis.segments)


def test_clock_times_are_those_of_the_runs_zone() -> None:
    axis = time_scale_of([(0.0, 3600.0)], timezone(timedelta(hours=8)))
    assert axis.clock(0) == "08:00:00"
    assert "08:10" in [label for _, label in axis.ticks()]
    assert datetime.fromtimestamp(0, UTC).hour == 0


@pytest.mark.parametrize(("offset", "zone"), [("+00:00", "UTC"), ("+08:00", "UTC+08:00"), ("-03:30", "UTC-03:30")])
@pytest.mark.parametrize("outcome", [Outcome.CARDS_MISSING, Outcome.KILLED])
def test_the_time_zone_is_said_once(offset: str, zone: str, outcome: Outcome) -> None:
    open_end: dict[str, Any] = {"ended": None, "seconds": None} if outcome == Outcome.KILLED else {}
    report, ledger = build_run(started=f"2026-11-24T02:00:03{offset}", outcome=outcome, **open_end)
    shown = page(report, ledger).text
    assert shown.count("UTC") == 1
    assert f"(all times {zone})" in shown


def test_every_cause_has_a_remedy() -> None:
    causes = [*Cause, "of another version", None]
    statuses = [None, 200, 302, 400, 401, 403, 404, 422, 429, 500, 502, 503, 504, 418]
    for engine, cause, status, batch, after in product(ALL_ENGINES, causes, statuses, (1, 5), [None, *Cause]):
        found = remedy(engine, cause, status, None, batch=batch, after=after)
        said = str(found.what)
        assert said.endswith(".")
        assert not set("{}") & set(said)
        assert "resume the run" not in said.lower(), "how to go on is said beside it"
        assert found.then == "resume" or "config" in said


def test_remedies_name_the_setting_to_change() -> None:
    assert "roles/run.invoker" in str(remedy("news", "status", 403, None, batch=1).what)
    assert "NEWS_ENGINE_AUDIENCE" in str(remedy("news", "status", 401, None, batch=1).what)
    assert "FINANCIAL_ENGINE_BATCH_SIZE" in str(remedy("financial", "timeout", None, None, batch=5).what)
    assert "BATCH_SIZE" not in str(remedy("qa", "timeout", None, None, batch=1).what)
    assert "Search the QA engine's log for the run's trace id" in str(remedy("qa", "denied", 200, None, batch=1).what)


@pytest.mark.parametrize(
    ("engine", "cause", "status", "batch"),
    [
        ("news", "status", 422, 1),
        ("qa", "status", 400, 1),
        ("trading", "denied", 200, 2),
        ("financial", "status", 500, 1),
        ("trading", "status", 502, 1),
    ],
)
def test_causes_in_the_config_are_resumed_with_the_corrected_config(
    engine: EngineName, cause: str, status: int, batch: int
) -> None:
    assert remedy(engine, cause, status, None, batch=batch).then == "new_config"


@pytest.mark.parametrize(
    ("engine", "cause", "status", "batch"),
    [
        ("financial", "status", 500, 5),
        ("news", "status", 500, 1),
        ("trading", "status", 503, 1),
        ("qa", "status", 401, 1),
        ("qa", "denied", 200, 1),
        ("news", "transport", None, 1),
        ("news", "interrupted", None, 1),
    ],
)
def test_causes_in_an_engine_need_a_plain_resume(
    engine: EngineName, cause: str, status: int | None, batch: int
) -> None:
    assert remedy(engine, cause, status, None, batch=batch).then == "resume"


@pytest.mark.parametrize("engine", ALL_ENGINES)
@pytest.mark.parametrize("status", [401, 403, 404, 503])
def test_a_call_cut_off_after_an_answer_has_the_remedy_of_that_answer(engine: EngineName, status: int) -> None:
    reason = message("interrupted, after: {reason}", reason=message("HTTP {status}", status=status))
    cut_off = remedy(engine, Cause.INTERRUPTED, status, reason, batch=1, after=Cause.STATUS)
    assert cut_off == remedy(engine, Cause.STATUS, status, None, batch=1)


def test_a_call_cut_off_after_its_host_was_not_known_has_the_remedy_of_that() -> None:
    unknown = message(HOST_UNKNOWN, error="Name or service not known")
    reason = message("interrupted, after: {reason}", reason=unknown)
    cut_off = remedy("qa", Cause.INTERRUPTED, None, reason, batch=1, after=Cause.TRANSPORT)
    assert cut_off == remedy("qa", Cause.TRANSPORT, None, unknown, batch=1)


def test_a_call_that_waited_for_capacity_has_no_remedy() -> None:
    cut_off = remedy("qa", Cause.INTERRUPTED, 429, None, batch=1, after=Cause.STATUS)
    assert cut_off == remedy("qa", Cause.INTERRUPTED, None, None, batch=1)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.123, "0.12 s"), (12.34, "12.3 s"), (60, "1 min"), (247, "4 min 7 s"), (7260, "2 h 1 min")]
)
def test_durations_are_written_as_people_write_them(seconds: float, words: str) -> None:
    assert str(duration(seconds)) == words


def test_a_call_that_is_done_with_a_warning_is_shown() -> None:
    night = Night(NAMES, ["news_card"])
    report, _ = night.build()
    ledger = Ledger(night.plan())
    for number, result in enumerate(night.results()):
        warning = message("it is <odd>: {number}", number=number) if number == 3 else None
        ledger.add(replace(result, warning=warning))
    shown = page(report, ledger).text
    assert "Done, with a warning" in shown
    assert "it is <odd>: 3" in shown
    assert "with a warning" not in page(*night.build()).text


def test_a_run_that_made_no_call_has_a_page() -> None:
    report, ledger = Night([], []).build("unforeseen", 70, "The job has a bug.")
    shown = page(report, ledger)
    assert "Nothing was called." in shown.text


def test_of_many_failures_as_many_are_kept_as_a_page_can_show() -> None:
    night = Night(
        [f"T{n}" for n in range(3000)],
        ["a"],
        fate=lambda engine, _: ([], "denied", "x" * 3000, 200) if engine == "qa" else ([], None, None, 200),
    )
    report, ledger = night.build("cards_missing", 3, "x")
    assert len(ledger.failures) == 3000
    assert ledger.counts("qa").failed == 3000
    data = rendered(report, ledger)
    assert len(data) < 2_000_000
    text = Parsed(data.decode()).text
    assert "And 2,000 more, each with a line in the log. Every card as a table: python -m job report " in text


@pytest.mark.parametrize("count", [CHANGES_SHOWN, CHANGES_SHOWN + 7])
def test_of_many_changes_the_rest_is_counted_and_it_is_said_where_they_are(count: int) -> None:
    item = ComparedItem(engine="qa", target="T", card_type="a", cause="denied", since="2026-11-24")
    new = ComparedItems(count=count, items=(item,) * count)
    since = Comparison(run_id="before", day="2026-11-23", new=new)
    report, ledger = Night(["T"], ["a"]).build(since_last_night=since)
    text = page(report, ledger).text
    assert ("and 7 more" in text) == (count > CHANGES_SHOWN)
    assert text.count("Every card as a table: ") == (2 if count > CHANGES_SHOWN else 1), "there, and below the board"


LARGE = """
import json, re, sys, time
from job.page.render import render_page
from job.page.charts import BINS, flight_chart
from job.page.render import render_page
from tests.support.nights import Night
night = Night([f"{n:06}.SS" for n in range(20000)], list("abcde"),
              fate=lambda e, n: (["HTTP 503"] * (n % 50 == 3), "denied" if n % 2000 == 7 else None, "no", 200),
              concurrency={"financial": 4, "trading": 4, "news": 64, "qa": 256})
report, ledger = night.build("cards_missing", 3, "Cards are missing.")
def peak():  # `ru_maxrss` starts from the memory of the process that started this one
    with open("/proc/self/status") as account:
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", account.read())[1])
before = peak()
kept = sum(len(part) * part.itemsize for lane in ledger.lanes.values()
           for part in (lane.started, lane.ended, lane.states, lane.limits, lane.failed_started, lane.failed_ended))
began = time.perf_counter()
data = render_page(report, ledger, ())
seconds = time.perf_counter() - began
sys.stdout.buffer.write(data)
grown = peak() - before
print(json.dumps({"kept": kept, "seconds": seconds, "grown": grown * 1024, "rss": before * 1024}), file=sys.stderr)
"""


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.needs("linux")
def test_the_page_of_a_hundred_thousand_cards_is_small_and_made_quickly() -> None:
    done = subprocess.run([sys.executable, "-c", LARGE], cwd=ROOT, capture_output=True, check=True, timeout=100)
    measured = json.loads(done.stderr)
    assert measured["seconds"] < 5
    assert measured["kept"] < 5_000_000
    assert measured["grown"] < 64 * 2**20
    assert len(done.stdout) < 2_000_000
    shown = Parsed(done.stdout.decode())
    assert shown.tiles["planned"] == 100_000
    assert shown.tiles["failed"] == 50
    assert "retries and failures hang below" in shown.text


def all_refused(engine: EngineName, _number: int) -> Any:
    return ([], "denied", "no", 200) if engine == "qa" else ([], None, None, 200)


def narrowed(limit: int) -> Ledger:
    """The ledger of a night whose cards were all rejected, so that the limit was this at the end of each call."""
    night = Night([f"T{n}" for n in range(40)], ["a"], fate=all_refused)
    ledger = Ledger(night.plan())
    for result in night.results():
        ledger.add(replace(result, limit=limit) if result.engine == "qa" else result)
    return ledger


def test_the_limit_that_a_run_began_with_is_shown() -> None:
    report, _ = build_run()
    ledger = narrowed(1)
    assert "16 in flight at most limit 1 to 16" in page(report, ledger).text
    lane = ledger.lanes["qa"]
    scale = time_scale_of(zip(lane.started, lane.ended, strict=True))
    limits = flight_chart(lane, scale).limits
    assert limits[0] == (16, 16)
    assert limits[scale.part(min(lane.ended), BINS)] == (1, 16)
    assert limits[-1] == (1, 1)


def test_a_limit_that_stayed_the_same_is_one_number() -> None:
    shown = page(*build_run(lambda *_: ([], None, None, 200))).text
    assert "4 in flight at most limit 8" in shown
    assert not re.search(r"limit (\d+) to \1\b", page(build_run()[0], narrowed(2)).text)


@pytest.mark.parametrize("limit", [1, 2, 5, 16])
def test_no_more_calls_are_in_flight_than_a_limit_that_is_shown_allows(limit: int) -> None:
    lane = narrowed(limit).lanes["qa"]
    chart = flight_chart(lane, time_scale_of(zip(lane.started, lane.ended, strict=True)))
    assert max(chart.flight) == 16
    assert max(high for _, high in chart.limits) == 16
    assert min(low for low, _ in chart.limits) == limit


def test_calls_that_began_before_the_limit_fell_do_not_raise_it() -> None:
    night = Night(["T"], ["a"])
    one = next(result for result in night.results() if result.engine == "qa")
    ledger = Ledger(night.plan())
    for started, ended, failed in ((0, 10, ()), (45, 50, ((0, 12, "HTTP 503"),)), (0, 35, ()), (0, 40, ())):
        ledger.add(replace(one, started=started, ended=ended, failed_attempts=tried(*failed), limit=1))
    scale = time_scale_of([(0, 50)])
    limits = flight_chart(ledger.lanes["qa"], scale).limits
    assert limits[0] == (4, 4)
    assert set(limits[scale.part(11, BINS) :]) == {(1, 1)}


def test_a_lane_with_few_calls_shows_each_of_them() -> None:
    report, ledger = build_run()
    bars = sum(tag == "g" for tag, _ in page(report, ledger).tags)
    assert bars >= sum(map(len, ledger.lanes.values())) < CALLS_KEPT
