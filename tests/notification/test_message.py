"""The text of a message is complete in itself; however long it would be, outcome and command are always sent."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.config.environment import Settings, read_settings
from job.config.faults import Fault
from job.engines.calls import card
from job.engines.failures import Cause, Failure
from job.execution.shutdown import ShutdownReason
from job.ledger.ledger import Ledger, SetAside
from job.notification.channels import CHANNELS, FEISHU, Channel, as_json
from job.notification.message import Line, cut, run_fields, run_lines, trial_fields, trial_lines
from job.report.advice import Step
from job.report.comparison import ComparedItem, ComparedItems, Comparison, Names, PlanChange
from job.report.outcome import UNFORESEEN, Ending, ExitCode, Outcome, bad_config, ending_of, no_lease
from job.report.report import not_recorded
from job.text.messages import Message, message
from tests.support.endings import nothing_called, report_at
from tests.support.records import Recorded
from tests.support.results import result_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from job.report.report import RunReport

NOW = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
CLOUD = {
    "CONFIG_URI": "gs://cards/config",
    "RUNS_URI": "gs://cards/runs",
    "RUN_DATE": "2026-11-24",
    "CLOUD_RUN_JOB": "cards",
    "CLOUD_RUN_EXECUTION": "cards-x7k2p",
    "GOOGLE_CLOUD_PROJECT": "p",
    "GOOGLE_CLOUD_REGION": "asia-east1",
    "TASK_MAX_RETRIES": "2",
}
START = Step("start", message("Now:"), "the command")
WAIT = Step("wait", message("Wait."))
FIRST_TEN = "T00, T01, T02, T03, T04, T05, T06, T07, T08, T09"
SECRET_ANSWER = "what an engine answered"


def settings(**changes: str) -> Settings:
    return read_settings(CLOUD | changes, NOW)[0]


def lines(report: RunReport, ledger: Ledger | None = None, steps: Sequence[Step] = (), **changes: str) -> list[str]:
    return [str(line.text) for line in run_lines(report, ledger or nothing_called(), steps, settings(**changes))]


def failed_ledger(count: int = 12) -> Ledger:
    """Of a resume: of 20 cards, an earlier attempt has made one, and so many fail in this one."""
    ledger = Ledger(Recorded(tickers=[f"T{number:02}" for number in range(20)]).inputs.plan())
    ledger.add(result_of(card("T19", "news_card", None, [])))
    ledger.begin()
    for number in range(count):
        ledger.add(result_of(card(f"T{number:02}", "news_card", None, []), FAILURE))
    return ledger


FAILURE = Failure(Cause.DENIED, message(SECRET_ANSWER), 200)


def test_the_message_about_a_run() -> None:
    ledger = failed_ledger()
    report = report_at(ending_of(ledger, ShutdownReason.DEADLINE), ledger, page="https://page")
    remedy = "The engine did not make the card. Search the QA engine's log for the day's trace id."
    assert lines(report, ledger, [WAIT, START]) == [
        "✗ cards, 2026-11-24",
        "The run's deadline passed; 1 of 20 cards are there.",
        f"• QA engine: 12 cards failed: news_card: {FIRST_TEN} and 2 more. {remedy}",
        f"trace id: {report.trace_id}",
        "• 7 cards were not attempted.",
        "1 of the cards is from an earlier attempt at this run.",
        "Wait.",
        "Now:",
        "the command",
        "Page: https://page",
        "Run night, exit code 4",
    ]


def about_failures(*failures: Failure, aside: Sequence[SetAside] = (), before: Cause | None = None) -> list[str]:
    """The lines about the calls that failed, each of a card type of its own; `before` is why they had failed before."""
    types = [f"c{number}" for number in range(len(failures))]
    ledger = Ledger(Recorded(more={"card_types.json": json.dumps(types)}, tickers=["T"]).inputs.plan())
    for card_type, failure in zip(types, failures, strict=True):
        ledger.add(replace(result_of(card("T", card_type, None, []), failure), interrupted_after=before))
    ledger.set_aside.extend(aside)
    return lines(report_at(ending_of(ledger, None), ledger), ledger)[2:-1]


TRACE = f"trace id: {report_at(ending_of(nothing_called(), None)).trace_id}"
REDIRECT = Failure(Cause.STATUS, message("HTTP 302"), 302)
CUT_OFF = Failure(Cause.INTERRUPTED, message("interrupted"))


def test_the_trace_id_is_there_if_what_to_do_needs_it() -> None:
    assert TRACE in about_failures(FAILURE)
    assert TRACE in about_failures(REDIRECT, FAILURE)
    assert TRACE not in about_failures(REDIRECT)
    assert TRACE not in about_failures(CUT_OFF)


def test_what_to_do_is_said_once_and_nothing_of_what_was_cut_off() -> None:
    assert about_failures(CUT_OFF) == ["• QA engine: 1 card cut off: T c0."]
    (after_a_failure,) = about_failures(CUT_OFF, before=Cause.TIMEOUT)
    assert "No answer in time." in after_a_failure
    failed = about_failures(REDIRECT)
    (line,) = failed
    remedy = line.removeprefix("• QA engine: 1 card failed: T c0. ")
    assert remedy.startswith("The address redirects")
    aside = [SetAside(card_type="c0", reason=message("x"), remedy=message("{remedy} Then.", remedy=message(remedy)))]
    assert about_failures(REDIRECT, aside=aside) == [
        line,
        "• Card type c0 was set aside, as too many of its cards failed: the rest was not requested.",
    ]
    text = "Search the log for the day's trace id."
    other = [SetAside(card_type="c0", reason=message("x"), remedy=Message(text))]
    _, set_aside, trace = about_failures(REDIRECT, aside=other)
    assert set_aside.endswith(f"the rest was not requested. {text}")
    assert trace == TRACE


def test_the_message_about_a_run_that_called_nothing() -> None:
    report = report_at(bad_config(1), faults=[Fault("RUN_DATE", Message("is wrong"), Message("correct it"))])
    look = Step("correct", message("Correct the configuration."))
    assert lines(report, None, [WAIT, look, START]) == [
        "✗ cards, 2026-11-24",
        "The configuration has 1 fault: nothing was called.",
        "• RUN_DATE: is wrong; correct it",
        "Wait.",
        "Now:",
        "the command",
        "Run night, exit code 2",
    ], "the faults are listed already"


def test_the_message_about_a_run_that_did_everything() -> None:
    ledger = Ledger(Recorded(tickers=[]).inputs.plan())
    report = report_at(ending_of(ledger, None), ledger)
    assert lines(report, ledger) == [
        "✓ cards, 2026-11-24",
        "Everything was done: 0 of 0 cards are there.",
        "Run night, exit code 0",
    ]


@pytest.mark.parametrize(("page", "shown"), [(None, False), ("", True), ("https://page", True)])
def test_a_page_that_could_not_be_written_is_said_to_be_missing(page: str | None, shown: bool) -> None:
    said = [line for line in lines(report_at(UNFORESEEN, page=page)) if "age" in line]
    assert said == ([f"Page: {page}" if page else "The page of the run could not be written."] if shown else [])


NOT_REQUESTED = "No card was requested, as a data engine failed; 1 of 20 cards are there."
LEASE = "The lease was lost, or could not be renewed, so the run stopped; "


@pytest.mark.parametrize(
    ("ending", "is_planned", "says"),
    [
        (
            Ending(Outcome.DATA_ENGINE_FAILED, ExitCode.FAILED, message("No card: {why}", why=SECRET_ANSWER)),
            True,
            NOT_REQUESTED,
        ),
        (no_lease(SECRET_ANSWER), False, "Storage failed. Nothing was called."),
        (ending_of(None, ShutdownReason.LEASE_LOST, None, SECRET_ANSWER), False, f"{LEASE}nothing was called."),
        (
            ending_of(failed_ledger(), ShutdownReason.LEASE_LOST, None, SECRET_ANSWER),
            True,
            f"{LEASE}1 of 20 cards are there.",
        ),
        (
            ending_of(failed_ledger(), None),
            True,
            "Cards are missing: 1 of 20 cards are there, 12 failed, 7 were not attempted.",
        ),
    ],
)
def test_the_text_contains_no_answer_of_an_engine_or_of_storage(ending: Ending, is_planned: bool, says: str) -> None:
    ledger = failed_ledger() if is_planned else nothing_called()
    report = report_at(ending, ledger)
    shown = lines(report, ledger)
    assert shown[1] == says
    assert SECRET_ANSWER not in "\n".join(shown) + str(run_fields(report, ledger, ()))


def test_a_lost_lease_says_how_many_results_the_record_lacks() -> None:
    ledger = failed_ledger()
    report = report_at(ending_of(ledger, ShutdownReason.LEASE_LOST, None, SECRET_ANSWER), ledger)
    assert lines(not_recorded(report, 12), ledger)[1] == (
        f"{LEASE}1 of 20 cards are there. The record lacks 12 results: a resume would request them again."
    )


def test_a_run_that_ended_by_a_bug_says_how_many_cards_are_there() -> None:
    ledger = failed_ledger()
    assert lines(report_at(UNFORESEEN, ledger), ledger)[1:3] == [
        "The job has a bug: its traceback is on standard error.",
        "1 of 20 cards are there.",
    ]
    assert lines(report_at(UNFORESEEN))[2] == "Run night, exit code 70"


def test_the_job_and_the_day_are_those_of_the_run() -> None:
    elsewhere = Recorded().inputs.model_copy(update={"job": "other", "day": "2026-11-23"})
    assert lines(report_at(bad_config(1), inputs=elsewhere))[0] == "✗ other, 2026-11-23"
    assert lines(report_at(bad_config(1)), CLOUD_RUN_JOB="")[0] == "✗ batch-orchestrator, 2026-11-24"
    assert str(next(trial_lines(settings(CLOUD_RUN_JOB=""))).text).startswith("batch-orchestrator: this is a test.")


def test_the_night_before_and_a_changed_plan_stand_before_the_causes() -> None:
    plan = PlanChange(cards_then=20, cards_now=18, targets_left=Names(count=2, names=("OLD", "GONE")))
    new = ComparedItems(count=1, items=(ComparedItem(engine="qa", target="T00", card_type="c", since="2026-11-24"),))
    comparison = Comparison(run_id="before", day="2026-11-23", new=new, not_attempted=7, plan=plan)
    ledger = failed_ledger()
    text = lines(report_at(ending_of(ledger, None), ledger, since=comparison), ledger)
    assert text[2:7] == [
        "Compared with 2026-11-23 (run before):",
        "1 new failure: T00 c",
        "The plan has changed since 2026-11-23: 20 cards then, 18 now.",
        "2 targets removed: OLD, GONE",
        text[6],
    ]
    assert text[6].startswith("• QA engine: 12 cards failed")
    assert sum("not attempted" in line for line in text[2:]) == 1


def test_a_card_type_that_was_set_aside_is_named_without_its_last_answer() -> None:
    ledger = failed_ledger()
    reason, remedy = message("Last answer: {answer}", answer=SECRET_ANSWER), message("Do this.")
    ledger.set_aside.append(SetAside(card_type="news_card", reason=reason, remedy=remedy))
    text = "\n".join(lines(report_at(ending_of(ledger, None), ledger), ledger))
    assert "• Card type news_card was set aside, as too many of its cards failed: the rest was not requested. " in text
    assert SECRET_ANSWER not in text


def test_the_fields_are_those_of_the_last_line_without_the_failures() -> None:
    ledger = failed_ledger()
    fields = run_fields(report_at(ending_of(ledger, None), ledger), ledger, ())
    assert fields.keys() == {
        *("severity", "event", "time", "run", "outcome", "exit_code", "cards", "engines", "resume_command")
    }
    assert fields["cards"] == {
        "planned": 20,
        "generated": 0,
        "skipped": 1,
        "failed": 12,
        "not_attempted": 7,
        "left_out": 0,
    }
    trial = trial_fields()
    assert trial.keys() == fields.keys()
    assert (trial["event"], trial["outcome"], trial["run"]) == ("notification.tested", "test", "test")


@pytest.mark.parametrize(
    ("kinds", "command"),
    [
        (["wait", "resume", "start"], "resume"),
        (["correct", "start"], "start"),
        (["look", "again"], "again"),
        (["wait", "other"], "other"),
        (["wait", "look"], "look"),
        ([], None),
    ],
)
def test_the_command_in_the_fields_is_what_goes_on_with_the_run(kinds: list[Any], command: str | None) -> None:
    steps = [Step(kind, message("Do it:"), None if kind == "wait" else kind) for kind in kinds]
    assert run_fields(report_at(UNFORESEEN), nothing_called(), steps)["resume_command"] == command


def limited(limit: int) -> Channel:
    return replace(FEISHU, limit=limit)


KEPT = [Line(message("✗ cards"), is_kept=True), Line(message("{command}", command="resume night"), is_kept=True)]


def test_a_text_that_fits_is_whole() -> None:
    assert cut([KEPT[0], Line(message("• a")), KEPT[1]], limited(1000)) == "✗ cards\n• a\nresume night"


def test_whole_lines_are_left_out_from_the_end_and_counted() -> None:
    causes = [Line(message("• cause {number}", number=number)) for number in range(30)]
    text = cut([KEPT[0], *causes, KEPT[1], Line(message("the end"))], limited(100))
    assert len(as_json(text)) - 2 <= 100
    assert text.splitlines() == [
        "✗ cards",
        "• cause 0",
        "• cause 1",
        "• cause 2",
        "• cause 3",
        "… and 27 more lines",
        "resume night",
    ]


def test_one_line_left_out_is_singular() -> None:
    assert cut([KEPT[0], Line(message("x" * 100)), KEPT[1]], limited(60)) == "✗ cards\n… and 1 more line\nresume night"


@given(st.lists(st.booleans(), max_size=12), st.integers(20, 120))
def test_what_is_kept_is_never_cut(kept: list[bool], limit: int) -> None:
    text = cut([Line(message(f"line {at}"), is_kept) for at, is_kept in enumerate(kept)], limited(limit))
    shown = text.splitlines()
    assert [line for line in shown if line in {f"line {at}" for at, is_kept in enumerate(kept) if is_kept}] == [
        f"line {at}" for at, is_kept in enumerate(kept) if is_kept
    ]
    left_out = len(kept) - sum(line.startswith("line ") for line in shown)
    assert [line for line in shown if not line.startswith("line ")] == (
        [f"… and {left_out} more line{'' if left_out == 1 else 's'}"] if left_out else []
    )
    assert len(as_json(text)) - 2 <= limit or left_out == kept.count(False)


@pytest.mark.parametrize("limit", [100, 10_000, 1_000_000])
def test_the_time_for_cutting_grows_with_the_number_of_lines_only(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """It is cut in the event loop: with a look at all lines for each that is left out, 1,500 lines took 19 s."""
    work: list[int] = []

    def counted(value: object) -> bytes:
        work.append(len(str(value)))
        return as_json(value)

    monkeypatch.setattr("job.notification.message.as_json", counted)
    cut([Line(message("a fault of 100 characters " * 4)) for _ in range(2000)], limited(limit))
    assert sum(work) < 300_000


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_longest_text_of_a_run_fits_every_channel(channel: Any) -> None:
    faults = [Fault("card_targets.json: [3]", Message("图" * 300), Message("改" * 300))] * 50
    report = report_at(bad_config(50), faults=faults)
    text = cut(list(run_lines(report, nothing_called(), [START], settings())), channel)
    assert len(as_json(text)) - 2 <= channel.limit
    assert text.splitlines()[1] == "The configuration has 50 faults: nothing was called."
    assert {"Now:", "the command"} <= set(text.splitlines())


def test_nothing_in_an_id_addresses_people_or_leads_elsewhere() -> None:
    def shown(name: str) -> str:
        return cut([Line(message("{name}", name=name), is_kept=True)], FEISHU)

    assert shown('<at user_id="all">all</at>\n<!channel>') == '＜at user_id="all"＞all＜/at＞ ＜!channel＞'
    assert shown("\u202e") == "\ufffd"
    assert shown("@all @channel(@here) @所有人 <@all>") == "＠all ＠channel(＠here) ＠所有人 ＜＠all＞"
    assert shown("[pay here](https://x.example)") == "[pay here］(https://x.example)"
    assert shown('card_targets.json: [3] ("GC=F").card_types[1]') == 'card_targets.json: [3] ("GC=F").card_types[1]'
    assert shown("job@my-project.iam.gserviceaccount.com") == "job@my-project.iam.gserviceaccount.com"
