"""Every sentence that people read comes from the catalog: a catalog of widened letters shows those that do not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from gettext import NullTranslations
from typing import Any

import pytest

from job.config.environment import read_settings
from job.config.faults import Fault
from job.config.objects import read_config
from job.engines.answers import judge
from job.engines.catalog import EngineName
from job.engines.failures import Cause, Failure
from job.engines.identity import RunIdentity
from job.engines.transport import Response
from job.execution.events import Event
from job.execution.gauge import Live
from job.execution.phases import EngineFailedError
from job.execution.shutdown import ShutdownReason
from job.ledger.ledger import Ledger, SetAside
from job.ledger.result import FailedAttempt
from job.ledger.totals import CardTotals
from job.notification.channels import FEISHU
from job.notification.message import cut, late_lines, run_lines, trial_lines
from job.page.render import render_nights, render_page
from job.page.run_page import headline
from job.records.lease import BusyError
from job.records.past import Past, PastRun, RecordedRun
from job.report.advice import Retry, Step, advice
from job.report.commands import PageLinks, Place
from job.report.comparison import ComparedItem, ComparedItems, Comparison, Grown, Names, PlanChange, Slower
from job.report.outcome import (
    UNFORESEEN,
    Ending,
    Outcome,
    bad_config,
    began_elsewhere,
    busy,
    ending_of,
    never_began,
    no_lease,
    no_record,
    nothing_missing,
)
from job.report.report import ReportedFault, RunReport, not_recorded
from job.reporting.screen import nights_table, runs_table
from job.reporting.terminal import TerminalReporter, as_text
from job.text.messages import Translator, message
from tests.notification.test_message import NOW, failed_ledger, settings
from tests.support.endings import report_at
from tests.support.fakes import plan_of, settings_of, target
from tests.support.nights import Night
from tests.support.parsed import Parsed
from tests.support.past import NAMES, TYPES, past_summaries
from tests.support.records import Recorded
from tests.support.results import result_of
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
    r"`?(RUN_DATE=\S+ )?(RUNS_URI=\S+ )?(python -m job|gcloud run)[\w .=,:/-]*|https?://\S+|gs://\S+|/runs/\S+|[\w.]+\.(json|csv)\b"
    r"|\bUTC\b|\b[A-Z]+(_[A-Z]*)+|\b(financial|trading|news|qa|p50|p95)\b|(cards-(nightly-)?\w+|night(-\w+)?)\b|\b(T|c)\d+\b|\b[0-9a-f]{12,}\b"
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


def a_fault_of_each_kind() -> list[Fault]:
    """Faults of variables, of a config object, and of many places in one."""
    faults = read_settings({"RUN_DATE": "1", "QA_ENGINE_URL": "http://1"}, NOW)[1]
    config = {"ticker_list.json": [1] * 9, "card_types.json": ["news_card", 1], "card_targets.json": b"["}
    objects = {
        name: value if isinstance(value, bytes) else json.dumps(value).encode() for name, value in config.items()
    }
    return [*faults, *read_config(objects)[1]]


def build_run(**changes: Any) -> tuple[RunReport, Ledger]:
    """A run with every kind of failure, warning and difference from the night before."""
    failures = list(reasons())
    night = Night(
        [f"T{n}" for n in range(40)],
        ["c1"],
        fate=lambda _, number: ([], failures[number % len(failures)].cause, "", None),
        run_id="night-1",
    )
    ledger = Ledger(night.plan())
    for number, result in enumerate(night.results()):
        failure = failures[number % len(failures)]
        earlier = FailedAttempt(result.started, result.started, failures[number % 7].reason)
        done: dict[str, Any] = {"done": True, "cause": None, "reason": None, "warning": message("the answer is null")}
        lost: dict[str, Any] = {"reason": failure.reason, "status": failure.status}
        changed = done if number % 5 == 0 else lost
        ledger.add(replace(result, **changed, failed_attempts=(earlier,) * 2, attempts=3))
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
    grown = [Grown(what=what, usual=1, now=2.5) for what in ("cards", "p50", "waits", "retries")]
    slower = Slower(seconds=90, usual=30, nights=3, grown=tuple(grown))
    since = Comparison(run_id="night-0", day="2026-11-23", plan=change, slower=slower, **counts, **kinds)
    aside = (SetAside(card_type="c1", reason=message("cut off"), remedy=message("cut off")),)
    sentence = message("No card was requested: {reason}", reason=failures[0].reason)
    attempts = tuple(one.model_copy(update={"sentence": sentence, "set_aside": aside}) for one in report.attempts * 2)
    faults = tuple(map(ReportedFault.of, a_fault_of_each_kind()))
    report = report.model_copy(update={"attempts": attempts, "sentence": sentence, "date": None, "faults": faults})
    counted = {"since_last_night": since, "failures_not_listed": 2, "left_plan": 2, "outdated_cards": 2}
    return report.model_copy(update={**counted, **changes}), ledger


def all_steps(report: RunReport) -> list[Step]:
    """What the outputs say about what to do next: on the day of the run and later, wherever it ran."""
    day = datetime.fromisoformat(report.started)
    places = Place("night-job"), Place(runs_uri="/runs/x", arguments=["resume", "night-1"])
    ways = (
        advice(report, place, when, retry)
        for when in (day, day + timedelta(days=1))
        for retry in Retry
        for place in places
    )
    return list({(step.sentence.id, step.command): step for way in ways for step in way}.values())


def written(page: bytes) -> str:
    """All text of a page: its content and its attributes."""
    parsed = Parsed(page.decode())
    names = {"title", "aria-label", "data-is"}
    said = [value for _, found in parsed.tags for name, value in found.items() if name in names and value]
    return "\n".join([*parsed.texts, *(one for one in said if not re.fullmatch(r"00-\w+-\w+-01", one))])


OPEN: dict[str, Any] = {
    "outcome": Outcome.KILLED,
    "ended": None,
    "seconds": None,
    "exit_code": None,
    "commit": None,
}
REFUSED = {"outcome": Outcome.BAD_CONFIG}


@pytest.mark.parametrize("changes", [{}, OPEN, REFUSED], ids=["ended", "open", "refused"])
def test_a_page_contains_only_translated_sentences(changes: dict[str, Any]) -> None:
    report, ledger = build_run(**changes)
    page = render_page(report, ledger, all_steps(report), PageLinks(table="https://x/cards.csv"), translator=WIDE)
    assert narrow(written(page)) == []


def test_a_headline_is_translated_whatever_the_outcome() -> None:
    report, _ = build_run()
    for outcome in Outcome:
        for cards in (CardTotals(), CardTotals(planned=1), CardTotals(planned=9), CardTotals(planned=9, generated=9)):
            ended = report.model_copy(update={"outcome": outcome, "cards": cards})
            assert narrow(WIDE.text(headline(ended))) == []


def test_what_to_do_next_is_translated_whatever_the_outcome() -> None:
    plain = build_run(failures=())[0]
    failed = build_run()[0].failures[0].model_copy(update={"then": "new_config"})
    for report in (plain, plain.model_copy(update={"failures": (failed,)})):
        for outcome in Outcome:
            for more in ({}, {"is_recorded": False}, {"is_recorded": False, "engines": {}}, {"cards": CardTotals()}):
                for step in all_steps(report.model_copy(update={"outcome": outcome, **more})):
                    assert narrow(WIDE.text(step.sentence)) == []


def test_a_page_of_many_calls_contains_only_translated_sentences() -> None:
    night = Night([f"T{n}" for n in range(900)], ["c1"], run_id="night-1", concurrency=dict.fromkeys(ENGINES, 64))
    report, ledger = night.build(sentence="cut off", attempts=())
    assert narrow(written(render_page(report, ledger, (), translator=WIDE))) == []


def test_the_report_of_a_run_on_a_terminal_is_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    report, ledger = build_run()
    for changes in ({}, {"is_recorded": False}, {"seconds": None, "ended": None}, {"attempts": report.attempts[:1]}):
        changed = report.model_copy(update={"page": "/runs/report.html", **changes})
        assert narrow(as_text(changed, ledger, all_steps(changed), WIDE)) == []


def test_the_list_of_runs_is_translated() -> None:
    started = datetime(2026, 11, 24, tzinfo=UTC)
    past = [PastRun("night-1", started, "2026-11-24", outcome, seconds=3.0 * n**4) for n, outcome in enumerate(Outcome)]
    assert narrow(runs_table(past, WIDE)) == []


def endings(ledger: Ledger) -> Iterator[Ending]:
    """Every way in which a run of this ledger can end."""
    call = next(ledger.plan.calls("news"))
    error = EngineFailedError(result_of(call, next(reasons())), 9)
    for reason in ShutdownReason:
        yield ending_of(ledger, reason)
        yield ending_of(None, reason)
        yield ending_of(ledger, reason, None, message("cut off"))
        yield ending_of(None, reason, None, message("cut off"))
    yield from (busy(BusyError(None).holder), nothing_missing("T1", ledger))
    yield from (ending_of(ledger, None), ending_of(ledger, None, error), UNFORESEEN, no_lease("T1"), bad_config(2))
    yield from (never_began("night-1", "python -m job"), no_record("night-1", "python -m job runs"))
    yield began_elsewhere("night-1", "T1", "python -m job resume night-1")


async def test_a_run_on_a_terminal_is_translated(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    plan = plan_of([target(f"T{n}", ["c1", "c2"]) for n in range(20)], settings_of())
    ledger = Ledger(plan)
    live = Live.of(ledger)
    terminal = TerminalReporter(RunIdentity("night-1"), WIDE)
    terminal.on_faults(a_fault_of_each_kind())
    terminal.on_start(live)
    terminal.on_barrier(live)
    finished = [
        result_of(call, failure, attempts=2, failed_attempts=(FailedAttempt(0.0, 0.1, failure.reason),))
        for call, failure in zip(plan.calls("qa"), reasons(), strict=False)
    ]
    finished.append(replace(finished[0], done=True, cause=None, reason=None, warning=message("the answer is null")))
    aside = SetAside(card_type="c1", reason=message("cut off"), remedy=message("cut off"))
    ledger.set_aside.append(aside)
    for result in finished:
        ledger.add(result)
    events: list[Event] = [*finished, aside]
    for event in events:
        terminal.on_event(event)
    report, _ = build_run()
    for ending in endings(ledger):
        ended = report_at(ending, ledger, since=report.since_last_night, page="/runs/x/report.html")
        terminal.on_finish(not_recorded(ended, 2), ledger, all_steps(ended))
    await terminal.drain(5.0)
    shown = capfd.readouterr().out
    assert wide("further failures") in shown
    assert narrow(shown) == []


def test_the_page_and_the_list_of_the_nights_are_translated() -> None:
    nights = past_summaries(60)
    assert narrow(written(render_nights(nights, "gs://runs/x", beside=True, translator=WIDE))) == []
    assert narrow(nights_table(nights, WIDE)) == []
    assert narrow(WIDE.text(Past([]).period_line())) == []


def test_the_message_about_a_run_is_translated() -> None:
    given, (report, ledger), failed = settings(CLOUD_RUN_JOB="night-job"), build_run(), failed_ledger()
    failed.set_aside.append(SetAside(card_type="c1", reason=message("cut off"), remedy=message("cut off")))
    lines = [*trial_lines(given), *late_lines(given, "2026-11-24", NOW, None)]
    lines += late_lines(given, "2026-11-24", NOW, None, is_known=False)
    for late in (report, report.model_copy(update={"day": "2026-11-23"})):
        lines += late_lines(given, "2026-11-24", NOW, RecordedRun(late, ledger, Place("night-job")))
    faults = a_fault_of_each_kind()
    for ending in endings(failed):
        for ended in (
            report_at(ending, inputs=Recorded("night-1").inputs, faults=faults, page=""),
            report_at(ending, failed, Recorded("night-1").inputs, since=report.since_last_night, page="/runs/x"),
        ):
            lines += run_lines(not_recorded(ended, 0), failed, all_steps(ended), given)
    for line in lines:
        assert narrow(cut([line], FEISHU, WIDE)) == []
