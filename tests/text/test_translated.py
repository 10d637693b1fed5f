"""Every sentence that people read comes from the catalog: a catalog of widened letters shows those that do not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from gettext import NullTranslations
from typing import Any

import pytest

from job.engines.answers import judge
from job.engines.catalog import EngineName
from job.engines.failures import Cause, Failure
from job.engines.identity import RunIdentity
from job.engines.transport import Response
from job.execution.events import CallFinished, CardTypeSetAside, Event, FailedAttempt
from job.execution.outcome import UNFORESEEN, bad_config, no_lease, outcome_of
from job.execution.phases import EngineFailedError
from job.execution.progress import CardTotals, RunProgress
from job.execution.shutdown import ShutdownReason
from job.notification.lines import cut
from job.notification.text import late_lines, run_lines, trial_lines
from job.page.headline import headline
from job.page.render import render_nights, render_page
from job.records.commands import how_to_go_on
from job.records.comparison import ComparedItem, ComparedItems, Comparison
from job.records.history import OUTCOMES, PastRun, RecordedRun
from job.records.nights import Nights
from job.records.overview import period_line
from job.records.plan_change import Names, PlanChange
from job.records.report import RunReport
from job.records.set_aside import set_aside_types
from job.records.timeline import Timeline
from job.reporting.recorded import nights_table, runs_table
from job.reporting.terminal import TerminalReporter, as_text
from job.text.messages import Translator, message
from tests.notification.test_text import NOW, end, failed_progress, settings
from tests.support.fakes import plan_of, settings_of, target
from tests.support.nights import Night
from tests.support.parsed import Parsed
from tests.support.past import NAMES, TYPES, past_summaries
from tests.text.test_messages import FILES, catalog, forms

SENTENCES = {forms(one.id)[0] for one in catalog(FILES[0]) if one.id}
"""Those that have a translation."""
ENGINES: list[EngineName] = ["financial", "trading", "news", "qa"]


def wide(text: str) -> str:
    """The text in wide letters, except for the names of its placeholders."""
    return re.sub(r"\{\w+\}|[A-Za-z]", lambda found: found[0] if found[0][1:] else chr(ord(found[0]) + 0xFEE0), text)


class Widening(NullTranslations):
    """Translates every sentence of the catalogs into wide letters."""

    def gettext(self, message: str) -> str:
        return wide(message) if message in SENTENCES else message

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        text = msgid1 if n == 1 else msgid2
        return wide(text) if msgid1 in SENTENCES else text


WIDE = Translator("xx", Widening())
DATA = re.compile(
    r"`?(RUN_DATE=\S+ )?(python -m job|gcloud run)[\w .=,:/-]*|https?://\S+|gs://\S+|/runs/\S+|[\w.]+\.(json|csv)\b"
    r"|\bUTC\b|[A-Z]+_ENGINE_|\b(financial|trading|news|qa|p50|p95)\b|(cards-(nightly-)?\w+|night(-\w+)?)\b|\b(T|c)\d+\b|\b[0-9a-f]{12,}\b"
    r"|\bT\d\d:|(failed: )?said by the engine|" + "|".join(map(re.escape, [*NAMES, *TYPES]))
)
"""What is no sentence: commands, addresses, names of objects, variables and engines, ids, an engine's answer."""


def narrow(text: str) -> list[str]:
    """The words in narrow letters that are not data."""
    return re.findall(r"[A-Za-z]{2,}", DATA.sub("", text))


def reasons() -> Iterator[Failure]:
    """A failure of every kind, with its text if the answers have one."""
    call = next(plan_of([target("T1", ["c1"])], settings_of()).calls("qa"))
    for status in (400, 401, 403, 404, 405, 413, 422, 429, 500, 502, 503, 504, 302, 418):
        failure = judge(call, Response(status, b"said by the engine", None), "").failure
        assert failure is not None
        yield failure
    for body in (b"", b"x", b"null", b'{"a": 1, "a": 2}', b'{"status": "failed", "error": "said by the engine"}'):
        failure = judge(call, Response(200, body, None), "").failure
        assert failure is not None
        yield failure if body != b"x" else replace(failure, reason=message("an empty answer"))
    for cause in Cause:
        yield Failure(cause, message("cut off"))


def build_run(**changes: Any) -> tuple[RunReport, Timeline]:
    """A run with every kind of failure, warning and difference from the night before."""
    failures = list(reasons())
    night = Night(
        [f"T{n}" for n in range(40)],
        ["c1"],
        fate=lambda _, number: ([], failures[number % len(failures)].cause, "", None),
        run_id="night-1",
    )
    timeline = Timeline(night.plan())
    for number, result in enumerate(night.results()):
        failure = failures[number % len(failures)]
        earlier = (result.started, result.started, str(failure.reason))
        done = {"done": True, "cause": None, "reason": None, "warning": message("the answer is null")}
        lost = {"reason_message": failure.reason, "reason": str(failure.reason), "status": failure.status}
        again = {"failed_attempts": (earlier,) * 2, "failed_messages": (failures[number % 7].reason,) * 2}
        timeline.add(result.model_copy(update={**(done if number % 5 == 0 else lost), **again, "attempts": 3}))
    report, _ = night.build("cards_missing", 3, project="night-project", execution="night-execution")
    item = ComparedItem(
        engine="qa", target="T1", card_type="c1", cause="denied", cause_then="status", since="2026-11-24"
    )
    items = ComparedItems(count=300, items=(item,) * 250)
    names = Names(count=20, names=("T1",) * 20)
    change = PlanChange(
        cards_then=1,
        cards_now=2,
        targets_left=names,
        targets_came=names,
        targets_of_another_kind=names,
        card_types_left=names,
        card_types_came=names,
        switched_off=("news",),
        switched_on=("trading",),
        other_cards_left=2,
        other_cards_came=2,
    )
    counts = {"not_attempted": 2, "not_compared": 2, "gone": 2}
    kinds = {"new": items, "added": items, "still": items, "mended": items}
    since = Comparison(run_id="night-0", day="2026-11-23", plan=change, **counts, **kinds)
    aside = set_aside_types([CardTypeSetAside("c1", message("cut off"), message("cut off"))])
    sentence = message("No card was requested: {reason}", reason=failures[0].reason)
    changed = {"sentence_message": sentence, "since_last_night": since, "set_aside": aside, "failures_not_listed": 2}
    attempts = tuple(one.model_copy(update={"sentence_message": sentence}) for one in report.attempts * 2)
    undated = {"date": None, "start_command": "RUN_DATE=2026-11-24 python -m job"}
    report = report.model_copy(update={"attempts": attempts, **undated, **changed})
    return report.model_copy(update={"left_plan": 2, "outdated_cards": 2, **changes}), timeline


def written(page: bytes) -> str:
    """All text of a page: its content and its attributes."""
    parsed = Parsed(page.decode())
    names = {"title", "aria-label", "data-is"}
    said = [value for _, found in parsed.tags for name, value in found.items() if name in names and value]
    return "\n".join([*parsed.texts, *(one for one in said if not re.fullmatch(r"00-\w+-\w+-01", one))])


OPEN: dict[str, Any] = {"outcome": "unfinished", "ended": None, "seconds": None, "exit_code": None, "commit": None}


@pytest.mark.parametrize("changes", [{}, OPEN, {"outcome": "bad_config"}], ids=["ended", "open", "refused"])
def test_a_page_contains_only_translated_sentences(changes: dict[str, Any]) -> None:
    assert narrow(written(render_page(*build_run(**changes), translator=WIDE, table="https://x/cards.csv"))) == []


def test_a_headline_is_translated_whatever_the_outcome() -> None:
    report, _ = build_run()
    for outcome in OUTCOMES:
        for cards in (CardTotals(), CardTotals(planned=1), CardTotals(planned=9), CardTotals(planned=9, generated=9)):
            ended = report.model_copy(update={"outcome": outcome, "cards": cards})
            assert narrow(WIDE.text(headline(ended))) == []
            assert narrow(WIDE.text(how_to_go_on(outcome, report.then, 9))) == []


def test_a_page_of_many_calls_contains_only_translated_sentences() -> None:
    night = Night([f"T{n}" for n in range(900)], ["c1"], run_id="night-1", concurrency=dict.fromkeys(ENGINES, 64))
    report, timeline = night.build(sentence_message=message("cut off"), attempts=())
    assert narrow(written(render_page(report, timeline, translator=WIDE))) == []


def test_the_report_of_a_run_on_a_terminal_is_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    report, timeline = build_run()
    for changes in ({}, {"resume_command": None}, {"seconds": None, "ended": None}, {"attempts": report.attempts[:1]}):
        shown = as_text(RecordedRun(report.model_copy(update=changes), timeline), "/runs/report.html", WIDE)
        assert narrow(shown) == []


def test_the_list_of_runs_is_translated() -> None:
    started = datetime(2026, 11, 24, tzinfo=UTC)
    past = [
        PastRun("night-1", started, "2026-11-24", outcome, seconds=3.0 * n**4) for n, outcome in enumerate(OUTCOMES)
    ]
    assert narrow(runs_table(past, WIDE)) == []


async def test_a_run_on_a_terminal_is_translated(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    plan = plan_of([target(f"T{n}", ["c1", "c2"]) for n in range(20)], settings_of())
    progress = RunProgress(plan, {})
    terminal = TerminalReporter(RunIdentity("night-1"), translator=WIDE)
    terminal.on_start("2026-11-24", progress)
    terminal.on_barrier(progress)
    finished = [
        CallFinished(call, failure, 2, 0.0, 1.0, failure.status, "", 4, 1, (FailedAttempt(0.0, 0.1, failure.reason),))
        for call, failure in zip(plan.calls("qa"), reasons(), strict=False)
    ]
    finished.append(replace(finished[0], failure=None, warning=message("the answer is null")))
    events: list[Event] = [*finished, CardTypeSetAside("c1", message("cut off"), message("cut off"))]
    for event in events:
        progress.on_event(event)
        terminal.on_event(event)
    report, _ = build_run()
    assert report.since_last_night is not None
    terminal.on_closed(report.since_last_night, has_page=True)
    error = EngineFailedError(replace(finished[0], call=next(plan.calls("news"))), 4, 9)
    for outcome in (*(outcome_of(progress, reason, None) for reason in [None, *ShutdownReason]),
                    *(outcome_of(None, reason, None) for reason in ShutdownReason),
                    outcome_of(progress, None, error)):  # fmt: skip
        terminal.on_finish(outcome, progress)
    await terminal.drain(5.0)
    shown = capfd.readouterr().out
    assert wide("further failures") in shown
    assert narrow(shown) == []


def test_the_page_and_the_list_of_the_nights_are_translated() -> None:
    nights = past_summaries(60)
    assert narrow(written(render_nights(nights, "gs://runs/x", beside=True, translator=WIDE))) == []
    assert narrow(nights_table(nights, WIDE)) == []
    assert narrow(WIDE.text(period_line(Nights([])))) == []


def test_the_message_about_a_run_is_translated() -> None:
    given, (report, timeline), progress = settings(CLOUD_RUN_JOB="night-job"), build_run(), failed_progress()
    recorded = RecordedRun(report, timeline)
    lines = [*trial_lines(given), *late_lines(given, "2026-11-24", NOW, None)]
    lines += late_lines(given, "2026-11-24", NOW, None, is_known=False)
    for late in (report, report.model_copy(update={"day": "2026-11-24"})):
        lines += late_lines(given, "2026-11-24", NOW, replace(recorded, report=late))
    error = EngineFailedError(next(iter(progress.failures)), 4, 9)
    outcomes = [outcome_of(progress, reason, None) for reason in [None, *ShutdownReason]]
    last = given.model_copy(update={"task_attempt": given.max_retries})
    for outcome in [*outcomes, outcome_of(progress, None, error), UNFORESEEN, no_lease("T1"), bad_config(2)]:
        for one in (given, last):
            lines += run_lines(end(outcome, one))
            lines += run_lines(end(outcome, one, new_config=True, progress=progress))
            lines += run_lines(
                end(outcome, one, new_config=True, progress=progress, report=report, recorded=timeline.failures)
            )
    for line in lines:
        assert narrow(cut([line], 10_000, WIDE)) == []
