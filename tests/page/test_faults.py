"""The page of a run whose configuration cannot be used shows its faults, and nothing about calls and cards."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from job.config.environment import read_settings
from job.config.faults import Fault
from job.ledger.ledger import Ledger
from job.page.render import render_page
from job.report.advice import advice
from job.report.commands import Place
from job.report.inputs import RunInputs, without_plan
from job.report.outcome import bad_config
from job.report.report import FAULTS_LISTED, AttemptSummary, report_of
from job.text.messages import Message
from tests.page.test_render import HOSTILE, KNOWN_TAGS
from tests.support.parsed import Parsed

NOW = datetime(2026, 11, 23, 18, 0, 3, tzinfo=UTC)
FAULT = Fault('ticker_list.json: [1] ("700")', Message("is not a string"), Message('write "0700.HK" in quotes'))


def page(faults: list[Fault], **environment: str) -> Parsed:
    settings, _ = read_settings({"RUN_TIME_ZONE": "Asia/Shanghai"} | environment, NOW)
    inputs, ledger = RunInputs.unread(settings, "night", NOW), Ledger(without_plan())
    attempt = AttemptSummary.of(bad_config(len(faults)), inputs, NOW, 0.4)
    report = report_of(inputs, ledger, [attempt], faults=faults, is_recorded=False)
    steps = advice(report, Place.of(settings, (), settings.run_date), NOW)
    return Parsed(render_page(report, ledger, steps).decode())


@pytest.mark.parametrize(("count", "words"), [(1, "1 fault"), (2, "2 faults")])
def test_the_headline_counts_the_faults(count: int, words: str) -> None:
    shown = page([FAULT] * count)
    assert shown.text.count(f"The configuration has {words}: nothing was called") == 2, (
        "in the title and as the headline"
    )
    assert "✗ The configuration has" in shown.text


def test_says_where_each_fault_is_what_it_is_and_what_to_do() -> None:
    other = Fault("RUN_DATE", Message('"soon" is not a date'), Message("write YYYY-MM-DD, or today"))
    shown = page([FAULT, other], CONFIG_URI="gs://cards/config")
    for fault in (FAULT, other):
        assert f"{fault.where} {fault.what} What to do: {fault.remedy}" in " ".join(shown.text.split())
    for words in ("For 2026-11-24", "2026-11-24 02:00:03", "gs://cards/config", "exit code 2"):
        assert words in shown.text


def test_the_page_has_the_command_that_looks_for_further_faults_and_the_one_that_starts_the_run_again() -> None:
    shown = page([FAULT], CONFIG_URI="gs://cards/config", RUN_DATE="2026-11-24", CLOUD_RUN_JOB="cards")
    assert "python -m job plan gs://cards/config shows whether a fault is left" in shown.text
    start = "gcloud run jobs execute cards --update-env-vars=RUN_DATE=2026-11-24"
    assert f"Once that is corrected, this starts it again: {start}" in shown.text
    assert "python -m job plan" not in page([FAULT]).text, "CONFIG_URI is not set"
    assert "starts it again" not in page([FAULT], RESUME_WITH="make run-local RESUME=").text


def test_says_nothing_of_calls_and_cards() -> None:
    shown = page([FAULT])
    assert shown.tiles == {}
    for words in ("RUN_DATE not set", "Timeline", "Engines", "planned", "resume", "0 objects"):
        assert words not in shown.text
    assert "CONFIG_URI is not set" in shown.text


def test_faults_beyond_the_limit_are_counted() -> None:
    shown = page([FAULT] * (FAULTS_LISTED + 1234))
    assert shown.text.count("What to do:") == FAULTS_LISTED
    assert "And 1,234 more, each with a line in the log." in shown.text


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_fault_quotes_is_shown_as_text(text: str) -> None:
    shown = page([Fault(text, Message(text), Message(text))], CONFIG_URI=text if text.isprintable() else "x")
    assert {tag for tag, _ in shown.tags} <= KNOWN_TAGS
