"""The text of a message is complete in itself; however long it would be, outcome and command are always sent."""

from __future__ import annotations

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
from job.engines.identity import RunIdentity
from job.execution.events import CallFinished, CardTypeSetAside
from job.execution.outcome import (
    UNFORESEEN,
    ExitCode,
    Outcome,
    bad_config,
    busy,
    never_began,
    no_lease,
    no_record,
    outcome_of,
    twin_failed,
    with_record,
)
from job.execution.progress import RunProgress
from job.execution.request import RunRequest
from job.execution.shutdown import ShutdownReason
from job.notification.channels import CHANNELS, as_json
from job.notification.lines import Line, cut
from job.notification.run_end import RunEnd
from job.notification.text import run_fields, run_lines, trial_fields, trial_lines
from job.records.commands import on_a_later_day
from job.records.comparison import ComparedItem, ComparedItems, Comparison
from job.records.plan_change import Names, PlanChange
from job.records.report import AttemptSummary, RunReport, build_report
from job.records.timeline import Timeline
from job.text.messages import message
from tests.support.records import Recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

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
EXECUTE = "gcloud run jobs execute cards --region=asia-east1 --project=p"
START = f"{EXECUTE} --update-env-vars=RUN_DATE=2026-11-24"
ON = "This goes on with"
AGAIN = "Cloud Run starts it again by itself: nothing has to be done before its next message."
IN_VAIN = "Cloud Run starts it again by itself, which fails too until that is corrected."
ONLY_IF_NONE = "Only if none comes, this starts it again:"
FIRST_TEN = "T00, T01, T02, T03, T04, T05, T06, T07, T08, T09"
SECRET_ANSWER = "what an engine answered"


def settings(**changes: str) -> Settings:
    return read_settings(CLOUD | changes, NOW)[0]


def end(outcome: Outcome, given: Settings | None = None, *, new_config: bool = False, **more: Any) -> RunEnd:
    resume, identity = new_config, RunIdentity("night" if new_config else "cards-x7k2p")
    return RunEnd(RunRequest(given or settings(), [], identity, NOW, 0.0, resume, new_config), outcome, **more)


def lines(run_end: RunEnd) -> list[str]:
    return [str(line.text) for line in run_lines(run_end)]


def failed_progress(count: int = 12) -> RunProgress:
    plan = Recorded(tickers=[f"T{number:02}" for number in range(20)]).inputs.plan()
    progress = RunProgress(plan, {"qa": ["T19"]})
    failure = Failure(Cause.DENIED, message(SECRET_ANSWER), 200)
    for number in range(count):
        call = card(f"T{number:02}", "news_card", None, [])
        progress.on_event(CallFinished(call, failure, 2, 1.0, 2.0, 200, "00-a-b-01", 4))
    return progress


def test_a_run_without_a_record() -> None:
    progress = failed_progress()
    remedy = "The engine did not make the card. Search the QA engine's log for the run's trace id."
    run_end = end(outcome_of(progress, ShutdownReason.DEADLINE, None), settings(RUNS_URI=""), progress=progress)
    assert lines(run_end) == [
        "✗ cards, 2026-11-24",
        "The run's deadline passed; 1 of 20 cards are there.",
        f"• QA engine: 12 cards failed: news_card: {FIRST_TEN} and 2 more. {remedy}",
        "• 7 cards were not attempted.",
        "1 of the cards is from an earlier attempt at this run.",
        AGAIN,
        ONLY_IF_NONE,
        START,
        "Run cards-x7k2p, exit code 4",
    ]
    last = settings(RUNS_URI="", CLOUD_RUN_TASK_ATTEMPT="2")
    assert lines(end(outcome_of(progress, ShutdownReason.DEADLINE, None), last, progress=progress))[-5:] == [
        "Cloud Run does not start it again.",
        "19 cards are missing. Only a recorded run lists its missing cards: set RUNS_URI.",
        "This run is not recorded and cannot be resumed: a new run makes the 1 card that is there again.",
        START,
        "Run cards-x7k2p, exit code 4",
    ]


@pytest.mark.parametrize(
    ("outcome", "more", "expected"),
    [
        (
            bad_config(1),
            {"faults": [Fault("RUN_DATE", "is wrong", "correct it")]},
            [
                "The configuration has 1 fault: nothing was called.",
                "• RUN_DATE: is wrong; correct it",
                IN_VAIN,
                "Once that is corrected, this starts it again:",
                START,
            ],
        ),
        (
            busy(message("run other"), same_plan=False, same_run=False),
            {"new_config": True},
            [
                "Another run is at work: run other. Nothing was called; try again later.",
                AGAIN,
                ONLY_IF_NONE,
                f"{EXECUTE} --args=resume,night,--new-config",
            ],
        ),
        (
            twin_failed(message("other"), "interrupted", "x"),
            {},
            [
                f"A run with the same plan has just ended as interrupted: other. Nothing was called. {ON} that run: x",
                "Cloud Run starts it again by itself, which may make the cards of the other run again.",
                f"{ON} the other run:",
                "x",
            ],
        ),
        (
            no_lease(SECRET_ANSWER),
            {},
            [
                "Storage failed, so another run may be at work. Nothing was called.",
                AGAIN,
                ONLY_IF_NONE,
                START,
            ],
        ),
        (
            outcome_of(None, ShutdownReason.LEASE_LOST, None, SECRET_ANSWER),
            {},
            [
                "The lease was lost, or could not be renewed, so the run stopped; nothing was called.",
                AGAIN,
                ONLY_IF_NONE,
                START,
            ],
        ),
        (
            UNFORESEEN,
            {},
            ["The job has a bug: its traceback is on standard error.", AGAIN, ONLY_IF_NONE, START],
        ),
        (
            outcome_of(None, ShutdownReason.SIGTERM, None),
            {},
            [
                "The run was interrupted by SIGTERM; nothing was called.",
                AGAIN.replace("itself:", "itself, unless somebody cancelled it:"),
                ONLY_IF_NONE,
                START,
            ],
        ),
    ],
)
def test_a_run_that_called_nothing(outcome: Outcome, more: dict[str, Any], expected: Sequence[str]) -> None:
    code, run_id = int(outcome.exit), "night" if more.get("new_config") else "cards-x7k2p"
    assert lines(end(outcome, **more)) == ["✗ cards, 2026-11-24", *expected, f"Run {run_id}, exit code {code}"]


def test_the_text_contains_no_answer_of_an_engine() -> None:
    progress = failed_progress()
    for outcome in (
        outcome_of(progress, None, None),
        Outcome("data_engine_failed", ExitCode.FAILED, message("No card: {reason}", reason=SECRET_ANSWER)),
        no_lease(SECRET_ANSWER),
    ):
        run_end = end(outcome, progress=progress)
        assert SECRET_ANSWER not in "\n".join(lines(run_end)) + str(run_fields(run_end))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, AGAIN),
        ({"CLOUD_RUN_TASK_ATTEMPT": "1"}, AGAIN),
        ({"CLOUD_RUN_TASK_ATTEMPT": "2"}, "Cloud Run does not start it again."),
        ({"TASK_MAX_RETRIES": "0"}, "Cloud Run does not start it again."),
        ({"TASK_MAX_RETRIES": ""}, None),
        ({"CLOUD_RUN_EXECUTION": ""}, None),
    ],
)
def test_whether_cloud_run_starts_it_again(changes: dict[str, str], says: str | None) -> None:
    shown = [line for line in lines(end(UNFORESEEN, settings(**changes))) if line.startswith("Cloud Run ")]
    assert shown == ([says] if says else [])


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (bad_config(1), "Once that is corrected, this starts it again:"),
        (
            busy(message("run other"), same_plan=False, same_run=False),
            "Once the other run has ended, this starts it again:",
        ),
        (no_lease("x"), "Once storage can be reached, this starts it again:"),
        (outcome_of(None, ShutdownReason.SIGTERM, None), "This starts it again:"),
    ],
)
def test_the_last_attempt_says_when_to_start_the_run_again(outcome: Outcome, says: str) -> None:
    assert lines(end(outcome, settings(TASK_MAX_RETRIES="0")))[-4:-1] == [
        "Cloud Run does not start it again.",
        says,
        START,
    ]


RESUME = f"{EXECUTE} --args=resume,night"


def report_of(date: str | None, *, ended: str = "2026-11-24T03:00:00+08:00") -> RunReport:
    """The report of a run that reached its deadline; it began on the 24th."""
    place = {"job": "cards", "region": "asia-east1", "project": "p", "date": date}
    inputs = Recorded(outcome="deadline").inputs.model_copy(update=place)
    plan = inputs.plan()
    attempt = AttemptSummary(
        started=inputs.started, ended=ended, seconds=1.0, outcome="deadline", exit_code=4, sentence="x"
    )
    return build_report(inputs, plan, Timeline(plan), [attempt], closed=True)


def test_a_run_that_cloud_run_resumes_by_itself_needs_no_hand() -> None:
    run_end = end(Outcome("deadline", ExitCode.DEADLINE, message("x")), report=report_of("2026-11-24"))
    text = lines(run_end)
    assert text[text.index(AGAIN) :][:3] == [AGAIN, "Only if none comes, this requests only what is missing:", RESUME]
    last = end(run_end.outcome, settings(CLOUD_RUN_TASK_ATTEMPT="2"), report=run_end.report)
    assert lines(last)[3:6] == ["Cloud Run does not start it again.", "Go on with what is missing:", RESUME]


@pytest.mark.parametrize(
    ("outcome", "is_known", "says"),
    [
        (
            busy(message("x"), same_plan=False, same_run=False),
            True,
            "Once the other run has ended, this requests only what is missing:",
        ),
        (no_lease("x"), True, "Once storage can be reached, this requests only what is missing:"),
        (no_lease("x"), False, "Once storage can be reached, this requests only what is missing:"),
        (outcome_of(None, ShutdownReason.SIGTERM, None), False, "Go on with what is missing:"),
    ],
)
def test_a_retry_that_calls_nothing_resumes_what_is_recorded_or_may_be(
    outcome: Outcome, is_known: bool, says: str
) -> None:
    """A new run would make again what the attempts before it have made."""
    inputs = Recorded().inputs.model_copy(update={"job": "cards", "region": "asia-east1", "project": "p"})
    last = settings(CLOUD_RUN_TASK_ATTEMPT="2", RUN_ID="night")
    run_end = end(outcome, last, inputs=inputs if is_known else None)
    run_end.request = replace(run_end.request, identity=RunIdentity("night"))
    assert lines(run_end)[-4:-1] == ["Cloud Run does not start it again.", says, RESUME]
    first = end(outcome, settings())
    assert lines(first)[-2] == START, "the first attempt has recorded nothing yet"


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (never_began("night", "start"), ["Once its config is corrected, this starts a new run:", "start"]),
        (no_record("night", "list"), ["This lists the runs that are recorded:", "list"]),
    ],
)
def test_a_resume_that_can_never_work_is_not_offered_again(outcome: Outcome, expected: Sequence[str]) -> None:
    text = lines(end(outcome, new_config=True))
    assert text[-4:-1] == ["Cloud Run starts it again by itself, which fails too.", *expected]


def test_a_lost_lease_says_how_many_results_the_record_lacks() -> None:
    progress = failed_progress()
    lost = with_record(outcome_of(progress, ShutdownReason.LEASE_LOST, None, SECRET_ANSWER), 12)
    assert lines(end(lost, progress=progress))[1] == (
        "The lease was lost, or could not be renewed, so the run stopped; 1 of 20 cards are there. "
        "The record lacks 12 results: a resume would request them again."
    )


LATER = str(on_a_later_day("2026-11-24"))


def test_a_message_about_a_run_without_a_date_is_right_on_the_next_morning_too() -> None:
    given = settings(RUN_DATE="", TASK_MAX_RETRIES="")
    run_end = end(Outcome("deadline", ExitCode.DEADLINE, message("x")), given, report=report_of(None))
    assert lines(run_end)[3:7] == ["Go on with what is missing:", RESUME, LATER, START]
    over = end(run_end.outcome, given, report=report_of(None, ended="2026-11-25T00:10:00+08:00"))
    assert lines(over)[3:5] == [LATER, START], "it ended after midnight"
    assert run_fields(over)["resume_command"] == START
    retried = end(run_end.outcome, settings(RUN_DATE=""), report=over.report)
    only = "Only if none comes, this starts a new run for 2026-11-24, which makes all its cards:"
    assert lines(retried)[3:6] == [AGAIN, only, START]


def test_a_resume_that_is_refused_on_another_day_is_headed_with_the_day_of_the_run() -> None:
    given = settings(RUN_DATE="", TASK_MAX_RETRIES="", RUN_TIME_ZONE="Asia/Shanghai")  # NOW is on the 25th there
    place = {"job": "cards", "region": "asia-east1", "project": "p", "date": None}
    inputs = Recorded().inputs.model_copy(update=place)
    text = lines(end(bad_config(1), given, new_config=True, inputs=inputs))
    assert text[0] == "✗ cards, 2026-11-24"
    assert text[2:4] == [LATER, START]


def test_on_a_laptop_the_command_is_one_for_a_laptop() -> None:
    local = settings(CLOUD_RUN_JOB="", RUN_DATE="", RUN_TIME_ZONE="Asia/Shanghai")
    text = lines(end(bad_config(1), local))
    assert text[0] == "✗ batch-orchestrator, 2026-11-25", "the day on which it started"
    assert "RUNS_URI=gs://cards/runs python -m job" in text
    dated = settings(CLOUD_RUN_JOB="")
    assert "RUN_DATE=2026-11-24 RUNS_URI=gs://cards/runs python -m job" in lines(end(bad_config(1), dated))
    assert str(next(trial_lines(local)).text).startswith("batch-orchestrator: this is a test.")


def test_the_night_before_and_a_changed_plan_stand_before_the_causes() -> None:
    plan = PlanChange(cards_then=20, cards_now=18, targets_left=Names(count=2, names=("OLD", "GONE")))
    new = ComparedItems(count=1, items=(ComparedItem(engine="qa", target="T00", card_type="c", since="2026-11-24"),))
    comparison = Comparison(run_id="before", day="2026-11-23", new=new, not_attempted=7, plan=plan)
    progress = failed_progress()
    text = lines(end(outcome_of(progress, None, None), progress=progress, comparison=comparison))
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
    progress = failed_progress()
    reason, remedy = message("Last answer: {answer}", answer=SECRET_ANSWER), message("Do this.")
    progress.on_event(CardTypeSetAside("news_card", reason, remedy))
    text = "\n".join(lines(end(outcome_of(progress, None, None), progress=progress)))
    assert "• Card type news_card was set aside, as too many of its cards failed: the rest was not requested. " in text
    assert SECRET_ANSWER not in text


def test_the_fields_are_those_of_the_last_line_without_the_failures() -> None:
    progress = failed_progress()
    fields = run_fields(end(outcome_of(progress, None, None), progress=progress))
    assert fields.keys() == {
        *("severity", "event", "time", "run", "outcome", "exit_code", "cards", "engines", "resume_command")
    }
    assert fields["cards"] == {"planned": 20, "generated": 0, "skipped": 1, "failed": 12, "not_attempted": 7}
    trial = trial_fields(settings())
    assert trial.keys() == fields.keys()
    assert (trial["event"], trial["outcome"], trial["run"]) == ("notification.tested", "test", "test")


KEPT = [Line(message("✗ cards"), is_kept=True), Line(message("{command}", command="resume night"), is_kept=True)]


def test_a_text_that_fits_is_whole() -> None:
    assert cut([KEPT[0], Line(message("• a")), KEPT[1]], 1000) == "✗ cards\n• a\nresume night"


def test_whole_lines_are_left_out_from_the_end_and_counted() -> None:
    causes = [Line(message("• cause {number}", number=number)) for number in range(30)]
    text = cut([KEPT[0], *causes, KEPT[1], Line(message("the end"))], 100)
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
    assert cut([KEPT[0], Line(message("x" * 100)), KEPT[1]], 60) == "✗ cards\n… and 1 more line\nresume night"


@given(st.lists(st.booleans(), max_size=12), st.integers(20, 120))
def test_what_is_kept_is_never_cut(kept: list[bool], limit: int) -> None:
    text = cut([Line(message(f"line {at}"), is_kept) for at, is_kept in enumerate(kept)], limit)
    shown = text.splitlines()
    assert [line for line in shown if line in {f"line {at}" for at, is_kept in enumerate(kept) if is_kept}] == [
        f"line {at}" for at, is_kept in enumerate(kept) if is_kept
    ]
    left_out = len(kept) - sum(line.startswith("line ") for line in shown)
    assert [line for line in shown if not line.startswith("line ")] == (
        [f"… and {left_out} more line{'' if left_out == 1 else 's'}"] if left_out else []
    )
    assert len(as_json(text)) - 2 <= limit or left_out == kept.count(False)


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_longest_text_of_a_run_fits_every_channel(channel: Any) -> None:
    faults = [Fault("card_targets.json: [3]", "图" * 300, "改" * 300)] * 50
    text = cut(list(run_lines(end(bad_config(50), faults=faults))), channel.limit)
    assert len(as_json(text)) - 2 <= channel.limit
    assert text.splitlines()[1] == "The configuration has 50 faults: nothing was called."
    assert START in text.splitlines()


def test_markup_in_an_id_is_shown_as_text() -> None:
    line = Line(message("• {name}", name='<at user_id="all">all</at>\n<!channel> \u202e'), is_kept=True)
    assert cut([line], 1000) == '• ＜at user_id="all"＞all＜/at＞ ＜!channel＞ \ufffd'
