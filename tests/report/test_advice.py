"""What a person does next: outcome, facts and place against the steps that every output shows, word for word."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice, product
from typing import TYPE_CHECKING

import pytest

from job.config.environment import read_settings
from job.config.faults import Fault
from job.engines.catalog import DATA_ENGINES
from job.engines.failures import Cause, Failure
from job.ledger.ledger import Ledger
from job.report.advice import Retry, Step, advice, command_of, last_words, with_commands
from job.report.commands import Place
from job.report.failures import targets_at_fault
from job.report.inputs import without_plan
from job.report.outcome import (
    Instead,
    Outcome,
    began_elsewhere,
    ending_of,
    never_began,
    no_record,
)
from job.report.report import RunReport, report_of
from job.text.messages import Message, message
from tests.support.records import Recorded
from tests.support.results import result_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from job.engines.calls import Call

DATED, UNDATED = (
    Recorded(tickers=[f"T{number:02}" for number in range(20)], has_date=has_date).inputs for has_date in (True, False)
)
"""Runs of 20 cards for 2026-11-24. The second one began without a date."""
TODAY = datetime.fromisoformat("2026-11-24T23:59:00+08:00")
LATER = datetime.fromisoformat("2026-11-25T00:01:00+08:00")

CLOUD = Place("cards", "asia-east1", "p", run_date="2026-11-24")
LAPTOP = Place(runs_uri="gs://cards/runs")
REHEARSAL = Place(runs_uri="gs://cards/runs", resume_with="make run-local RESUME=")
EXECUTE = "gcloud run jobs execute cards --region=asia-east1 --project=p"
RESUME = f"{EXECUTE} --args=resume,night"
START = f"{EXECUTE} --update-env-vars=RUN_DATE=2026-11-24"
PLAN = "python -m job plan gs://cards/config"

CORRECT = (
    f"Correct the configuration. {PLAN} shows whether a fault is left in the config objects; it calls nothing."
)  # fmt: skip
REST = "this requests only what is missing:"
GO_ON = "Go on with what is missing:"
IN_OBJECT, IN_VARIABLE = (
    Fault("ticker_list.json", Message("is not JSON"), Message("correct it")),
    Fault("QA_ENGINE_URL", Message("is not set"), Message("")),
)
PUT_RIGHT = f"Once the cause is put right, {REST}"
CORRECTED = f"Once the config is corrected, {REST}"
ON_A_LATER_DAY = (
    "The run has no date of its own, so it can be continued only on 2026-11-24. On a later day, this starts a new run "
    "for 2026-11-24, which makes all its cards:"
)
UNRECORDED = "This run is not recorded and cannot be resumed: "
RETRIED = "Cloud Run starts it again by itself"
AGAIN = f"{RETRIED}: nothing has to be done before its next message."
NOT_AGAIN = "Cloud Run does not start it again."
NONE_COMES = "Only if none comes, "


def ledger_of(made: int = 0, *, refused: bool = False) -> Ledger:
    """The ledger of a run that has made so many cards; `refused`: an engine does not accept a request."""
    ledger = Ledger(DATED.plan())
    for call, _ in zip(ledger.plan.calls("qa"), range(made), strict=False):
        ledger.add(result_of(call))
    if refused:
        call = next(ledger.plan.calls("news"))
        ledger.add(result_of(call, Failure(Cause.STATUS, message("HTTP 422"), 422)))
    return ledger


def report(
    outcome: Outcome,
    made: int = 0,
    *,
    refused: bool = False,
    dated: bool = True,
    recorded: bool = True,
    planned: bool = True,
    instead: Instead | None = None,
    faults: Sequence[Fault] = (),
) -> RunReport:
    """The report of a run that ended so."""
    ledger = ledger_of(made, refused=refused) if planned else Ledger(without_plan())
    inputs = DATED if dated else UNDATED
    return report_of(inputs, ledger, state=outcome, is_recorded=recorded, instead=instead, faults=faults)


def steps_of(
    one: RunReport, place: Place = CLOUD, now: datetime | None = TODAY, retry: Retry = Retry.UNKNOWN
) -> list[tuple[str, str, str | None]]:
    return [(step.kind, str(step.sentence), step.command) for step in advice(one, place, now, retry)]


ON_A_LATER_DAY_RESUME = f"On a later day, {REST}"


WITHOUT = "Or go on without T00: if nothing else is at fault, this makes all other cards:"
GO_ON_WITHOUT = ("without", WITHOUT, f"{RESUME},--without,T00")


def start_again(sentence: str, more: str = "") -> list[tuple[str, str, str | None]]:
    """The steps on the day of a run: the job's own start continues it; on a later day, a resume does."""
    return [("again", sentence, EXECUTE), ("resume", ON_A_LATER_DAY_RESUME, f"{RESUME}{more}")]


NEVER_BEGAN, NO_RECORD, ELSEWHERE = (
    ending.instead
    for ending in (
        never_began("night", "its start"),
        no_record("night", "its list"),
        began_elsewhere("night", "cards", "its resume"),
    )
)
RESUMING = Place("cards", "asia-east1", "p", arguments=("resume", "night", "--new-config"))
ROWS: Sequence[tuple[str, RunReport, Sequence[tuple[str, str, str | None]]]] = [
    *((f"1 {one}", report(one, 20), []) for one in (Outcome.SUCCEEDED, Outcome.AT_WORK)),
    (
        "2 a resume of a run that never had a plan",
        report(Outcome.BAD_CONFIG, recorded=False, planned=False, instead=NEVER_BEGAN),
        [("start", "Once its config is corrected, this starts a new run:", "its start")],
    ),
    (
        "3 a resume of an unknown run",
        report(Outcome.BAD_CONFIG, recorded=False, planned=False, instead=NO_RECORD),
        [("look", "This lists the runs that are recorded:", "its list")],
    ),
    (
        "4 a faulty config",
        report(Outcome.BAD_CONFIG, recorded=False, planned=False, faults=[IN_OBJECT]),
        [("correct", CORRECT, None), ("again", "Once that is corrected, this starts it again:", START)],
    ),
    (
        "4 a faulty variable, which `plan` would not show",
        report(Outcome.BAD_CONFIG, recorded=False, planned=False, faults=[IN_VARIABLE]),
        [("again", "Once that is corrected, this starts it again:", START)],
    ),
    (
        "4 a faulty config of a run that is recorded",
        report(Outcome.BAD_CONFIG, planned=False, faults=[IN_OBJECT]),
        [("correct", CORRECT, None), ("again", "Once that is corrected, this starts it again:", START)],
    ),
    (
        "5 a resume of a Cloud Run job's run, elsewhere",
        report(Outcome.BAD_CONFIG, planned=False, instead=ELSEWHERE),
        [("resume", "This resumes it there:", "its resume")],
    ),
    *(
        (f"6 {one}, a config to correct", report(one, made, refused=True), start_again(CORRECTED, ",--new-config"))
        for one, made in (
            (Outcome.CARDS_MISSING, 12),
            (Outcome.DEADLINE, 1),
            (Outcome.KILLED, 12),
            (Outcome.INTERRUPTED, 0),
        )
    ),
    (
        "6 data_engine_failed, the data of some targets",
        report(Outcome.DATA_ENGINE_FAILED, refused=True),
        [
            start_again(CORRECTED)[0],
            GO_ON_WITHOUT,
            *start_again(CORRECTED, ",--new-config")[1:],
        ],
    ),
    ("8 busy", report(Outcome.BUSY), start_again(f"Once the other run has ended, {REST}")),
    ("9 no lease", report(Outcome.NO_LEASE), start_again(f"Once storage can be reached, {REST}")),
    (
        "10 lease lost",
        report(Outcome.LEASE_LOST, 12),
        start_again(f"Once no other run is at work and storage can be written, {REST}"),
    ),
    *(
        (f"11 {one}", report(one, 12), start_again(GO_ON))
        for one in (Outcome.DEADLINE, Outcome.INTERRUPTED, Outcome.KILLED)
    ),
    *(
        (f"12 {one}", report(one, 12), start_again(PUT_RIGHT))
        for one in (Outcome.CARDS_MISSING, Outcome.DATA_ENGINE_FAILED, Outcome.QA_ENGINE_DOWN, Outcome.UNFORESEEN)
    ),
    *(
        (
            f"14 {one}, not recorded, {made} made",
            report(one, made, recorded=False),
            [
                ("look", f"{missing} Only a recorded run lists its missing cards: set RUNS_URI.", None),
                ("again", f"{UNRECORDED}{cost}", START),
            ],
        )
        for one in (Outcome.CARDS_MISSING, Outcome.DATA_ENGINE_FAILED, Outcome.INTERRUPTED)
        for made, missing, cost in (
            (0, "20 cards are missing.", "start a new run."),
            (1, "19 cards are missing.", "a new run makes the 1 card that is there again."),
            (19, "1 card is missing.", "a new run makes the 19 cards that are there again."),
        )
    ),
    (
        "14 a bug after the last card, not recorded",
        report(Outcome.UNFORESEEN, 20, recorded=False),
        [("again", f"{UNRECORDED}a new run makes the 20 cards that are there again.", START)],
    ),
    (
        "15 busy, no record",
        report(Outcome.BUSY, recorded=False, planned=False),
        [("again", "Once the other run has ended, this starts it again:", START)],
    ),
    (
        "16 no lease, no record",
        report(Outcome.NO_LEASE, recorded=False, planned=False),
        [("again", "Once storage can be reached, this starts it again:", START)],
    ),
    *(
        (f"17 {one}, no plan", report(one, recorded=False, planned=False), [("again", "This starts it again:", START)])
        for one in (Outcome.INTERRUPTED, Outcome.DEADLINE, Outcome.LEASE_LOST, Outcome.UNFORESEEN)
    ),
]


@pytest.mark.parametrize(("one", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_steps_of_an_outcome(one: RunReport, expected: Sequence[tuple[str, str, str | None]]) -> None:
    assert steps_of(one) == list(expected)


RESUMABLE = [one for one in Outcome if one not in {"succeeded", "at work", "bad_config"}]


@pytest.mark.parametrize("outcome", RESUMABLE)
@pytest.mark.parametrize("refused", [False, True])
def test_a_run_is_started_again_on_its_day_and_resumed_on_a_later_one_if_it_has_a_date(
    outcome: Outcome, refused: bool
) -> None:
    """Row 13: its date was left to the engines, which use another one on the next day."""
    dated, undated = (report(outcome, 12, refused=refused, dated=is_dated) for is_dated in (True, False))
    start = ("start", ON_A_LATER_DAY, START)
    again, *without, (_, _, resume) = steps_of(dated, now=TODAY)
    assert without == ([GO_ON_WITHOUT] if refused and outcome is Outcome.DATA_ENGINE_FAILED else [])
    assert steps_of(undated, now=TODAY) == [again, *without, start]
    assert steps_of(undated, now=LATER) == [start]
    assert steps_of(dated, now=LATER) == [("resume", again[1], resume), *without]
    assert steps_of(undated, now=LATER, retry=Retry.COMES)[1:] == [
        ("start", f"{NONE_COMES}this starts a new run for 2026-11-24, which makes all its cards:", START)
    ]


def test_a_resume_that_is_refused_on_a_later_day_is_not_offered_again() -> None:
    one = report(Outcome.BAD_CONFIG, planned=False, recorded=False, dated=False)
    assert steps_of(one, RESUMING, LATER) == [("start", ON_A_LATER_DAY, START)]
    assert steps_of(one, RESUMING, TODAY) == [
        ("again", "Once that is corrected, this starts it again:", f"{EXECUTE} --args=resume,night,--new-config")
    ]


def test_the_day_of_a_run_is_that_of_its_own_time_zone() -> None:
    one = report(Outcome.DEADLINE, dated=False)
    assert [kind for kind, _, _ in steps_of(one, now=TODAY.astimezone(UTC))] == ["again", "start"]
    assert [kind for kind, _, _ in steps_of(one, now=LATER.astimezone(UTC))] == ["start"]


@pytest.mark.parametrize(("zone", "kinds"), [("Europe/Berlin", ["again", "start"]), (None, ["start"])])
def test_the_day_of_a_run_is_that_of_its_zone_even_if_the_clocks_change_on_it(
    zone: str | None, kinds: list[str]
) -> None:
    """An early version has not recorded the zone's name: only the offset at the start is known then."""
    inputs = UNDATED.model_copy(update={"started": "2026-10-25T00:30:00+02:00", "day": "2026-10-25"})
    one = report_of(inputs, ledger_of(12), state=Outcome.DEADLINE, zone=zone)
    now = datetime.fromisoformat("2026-10-25T23:30:00+01:00")
    assert [kind for kind, _, _ in steps_of(one, now=now)] == kinds
    assert [kind for kind, _, _ in steps_of(one, now=now + timedelta(hours=1))] == ["start"]


# --- whether Cloud Run starts it again ---


@pytest.mark.parametrize(
    ("one", "waits", "expected"),
    [
        (report(Outcome.DEADLINE, 12), AGAIN, [f"{NONE_COMES}{REST}", ON_A_LATER_DAY_RESUME]),
        (report(Outcome.CARDS_MISSING, 12, refused=True), AGAIN, [f"{NONE_COMES}{REST}", ON_A_LATER_DAY_RESUME]),
        (report(Outcome.NO_LEASE), AGAIN, [f"{NONE_COMES}{REST}", ON_A_LATER_DAY_RESUME]),
        (report(Outcome.UNFORESEEN, planned=False, recorded=False), AGAIN, [f"{NONE_COMES}this starts it again:"]),
        (report(Outcome.BUSY, planned=False, recorded=False), AGAIN, [f"{NONE_COMES}this starts it again:"]),
        (report(Outcome.DEADLINE, 12, recorded=False), AGAIN, [f"{NONE_COMES}this starts it again:"]),
        (
            report(Outcome.INTERRUPTED, 12),
            f"{RETRIED}, unless somebody cancelled it: nothing has to be done before its next message.",
            [f"{NONE_COMES}{REST}", ON_A_LATER_DAY_RESUME],
        ),
        (
            report(Outcome.BAD_CONFIG, planned=False, recorded=False, faults=[IN_OBJECT]),
            f"{RETRIED}, which fails too until that is corrected.",
            [CORRECT, "Once that is corrected, this starts it again:"],
        ),
        (
            report(Outcome.BAD_CONFIG, planned=False, recorded=False, instead=NO_RECORD),
            f"{RETRIED}, which fails too.",
            ["This lists the runs that are recorded:"],
        ),
        (
            report(Outcome.BAD_CONFIG, planned=False, instead=ELSEWHERE),
            f"{RETRIED}, which fails too.",
            ["This resumes it there:"],
        ),
    ],
)
def test_a_retry_that_comes_by_itself_is_waited_for_unless_it_fails_too(
    one: RunReport, waits: str, expected: list[str]
) -> None:
    wait, *others = steps_of(one, retry=Retry.COMES)
    assert wait == ("wait", waits, None)
    assert [sentence for _, sentence, _ in others] == expected
    assert steps_of(one, retry=Retry.NONE) == [("wait", NOT_AGAIN, None), *steps_of(one)]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Retry.COMES),
        ({"CLOUD_RUN_TASK_ATTEMPT": "1"}, Retry.COMES),
        ({"CLOUD_RUN_TASK_ATTEMPT": "2"}, Retry.NONE),
        ({"TASK_MAX_RETRIES": "0"}, Retry.NONE),
        ({"TASK_MAX_RETRIES": ""}, Retry.UNKNOWN),
        ({"CLOUD_RUN_EXECUTION": ""}, Retry.UNKNOWN),
    ],
)
def test_whether_cloud_run_starts_it_again(variables: dict[str, str], expected: Retry) -> None:
    cloud = {"CLOUD_RUN_EXECUTION": "cards-x7k2p", "TASK_MAX_RETRIES": "2"}
    assert Retry.of(read_settings(cloud | variables, datetime.now(UTC))[0]) is expected


# --- where the commands are given ---


@pytest.mark.parametrize(
    ("place", "again", "undated", "resume", "start", "unrecorded"),
    [
        (CLOUD, EXECUTE, EXECUTE, RESUME, START, START),
        (
            LAPTOP,
            "RUN_DATE=2026-11-24 RUNS_URI=gs://cards/runs python -m job run",
            "RUNS_URI=gs://cards/runs python -m job run",
            "RUNS_URI=gs://cards/runs python -m job resume night",
            "RUN_DATE=2026-11-24 RUNS_URI=gs://cards/runs python -m job run",
            "RUNS_URI=gs://cards/runs python -m job run",
        ),
        (RESUMING, EXECUTE, EXECUTE, RESUME, START, f"{EXECUTE} --args=resume,night,--new-config"),
    ],
    ids=["Cloud Run", "laptop", "resume"],
)
def test_the_place_decides_the_command_and_nothing_else(
    place: Place, again: str, undated: str, resume: str, start: str, unrecorded: str
) -> None:
    """Without its date, a start would be that of another run."""
    with_new_config = f"{resume}{',' if place.job else ' '}--new-config"
    for one, commands in (
        (report(Outcome.DEADLINE, 12), [again, resume]),
        (report(Outcome.DEADLINE, 12, refused=True), [again, with_new_config]),
        (report(Outcome.DEADLINE, 12, dated=False), [undated, start]),
        (report(Outcome.DEADLINE, 12, recorded=False), [None, unrecorded]),
    ):
        here = steps_of(one, place)
        assert [command for _, _, command in here] == commands
        assert [step[:2] for step in here] == [step[:2] for step in steps_of(one)]


def test_a_rehearsal_is_resumed_by_its_own_command_on_its_day_too() -> None:
    """The job's own start would have other engines."""
    start = "RUN_DATE=2026-11-24 RUNS_URI=gs://cards/runs python -m job run"
    for one, steps in (
        (report(Outcome.DEADLINE, 12), [("resume", GO_ON, "make run-local RESUME=night")]),
        (
            report(Outcome.DEADLINE, refused=True),
            [("resume", CORRECTED, "make run-local RESUME='night --new-config'")],
        ),
        (
            report(Outcome.DEADLINE, 12, dated=False),
            [("resume", GO_ON, "make run-local RESUME=night"), ("start", ON_A_LATER_DAY, start)],
        ),
        (report(Outcome.DEADLINE, recorded=False), [*steps_of(report(Outcome.DEADLINE, recorded=False))[:-1]]),
    ):
        assert [step for step in steps_of(one, REHEARSAL) if step[2] or step[0] == "look"] == steps


def test_to_go_on_without_some_targets_is_offered_only_if_the_engines_refuse_these_and_no_others() -> None:
    calls = [call for engine in DATA_ENGINES for call in DATED.plan().calls(engine)]
    news = [call for call in calls if call.engine == "news"]
    refused, denied = Failure(Cause.STATUS, message("HTTP 422"), 422), Failure(Cause.DENIED, message("no"))
    broken, away = (Failure(Cause.STATUS, message("HTTP"), status) for status in (500, 503))
    cut_off = Failure(Cause.INTERRUPTED, message("cut off"))
    two = ("T00", "T01")
    for failures, done, expected in (
        ([refused, refused], [], two),
        ([refused, refused, cut_off], [], two),
        ([denied, broken], news[2:3], two),
        ([denied], [], ()),
        ([broken], calls[:1], ()),
        ([refused, away], news[2:], ()),
        ([refused] * 20, [], ()),
        ([], [], ()),
    ):
        assert at_fault(zip(news, failures, strict=False), done) == expected, failures
    trading = [call for call in calls if call.engine == "trading"]
    assert at_fault([(trading[0], denied)], trading[1:2]) == trading[0].targets
    assert at_fault([(trading[0], denied)]) == (), "the engine may deny everything"


def at_fault(failures: Iterable[tuple[Call, Failure]], done: Iterable[Call] = ()) -> tuple[str, ...]:
    ledger = Ledger(DATED.plan())
    for call in done:
        ledger.add(result_of(call))
    for call, failure in failures:
        ledger.add(result_of(call, failure))
    return targets_at_fault(ledger)


def test_no_more_is_offered_than_may_be_left_out() -> None:
    plan = Recorded(tickers=[f"T{number:02}" for number in range(40)]).inputs.plan()
    for before, names in ((0, 20), (1, 0)):
        ledger = Ledger(replace(plan, targets=plan.targets[before:], left_out=plan.targets[:before]))
        for call in islice(ledger.plan.calls("news"), 20):
            ledger.add(result_of(call, Failure(Cause.STATUS, message("HTTP 422"), 422)))
        assert len(targets_at_fault(ledger)) == names


def test_a_name_that_was_mistyped_on_the_command_line_is_not_offered_again() -> None:
    typo = Fault("--without", message("is no target"), message("the nearest: T00"))
    again = Place("cards", arguments=("resume", "night", "--without", "T0O"))
    one = report(Outcome.BAD_CONFIG, recorded=False, faults=[typo])
    assert steps_of(one, again) == []
    assert [kind for kind, _, _ in steps_of(one, again, retry=Retry.COMES)] == ["wait"]


def test_a_run_that_is_not_the_latest_of_its_day_is_resumed_and_not_started_again() -> None:
    """A start would continue the latest one."""
    older = report(Outcome.DEADLINE, 12).model_copy(update={"is_latest": False})
    assert steps_of(older) == [("resume", GO_ON, RESUME)]
    undated = report(Outcome.DEADLINE, 12, dated=False).model_copy(update={"is_latest": False})
    assert steps_of(undated) == [("resume", GO_ON, RESUME), ("start", ON_A_LATER_DAY, START)]


def test_what_cannot_be_started_again_is_not_offered() -> None:
    one = report(Outcome.BAD_CONFIG, planned=False, recorded=False, faults=[IN_OBJECT])
    assert [kind for kind, _, _ in steps_of(one, REHEARSAL)] == ["correct"]
    assert [kind for kind, _, _ in steps_of(one, RESUMING)] == ["again"], "its plan is that of the record"
    assert steps_of(report(Outcome.INTERRUPTED, planned=False, recorded=False), REHEARSAL) == []


# --- what holds for every combination ---

BOTH = (False, True)
ALL = [
    report(outcome, made, refused=refused, dated=dated, recorded=recorded, planned=planned)
    for outcome in Outcome
    if outcome is not Outcome.UNREADABLE
    for made in (0, 12)
    for refused, dated, recorded, planned in product(BOTH, BOTH, BOTH, BOTH)
]


@pytest.mark.parametrize("place", [CLOUD, LAPTOP, RESUMING], ids=["Cloud Run", "laptop", "resume"])
@pytest.mark.parametrize("now", [TODAY, LATER], ids=["its day", "a later day"])
def test_whether_cloud_run_starts_it_again_changes_no_command(place: Place, now: datetime) -> None:
    for one in ALL:
        plain = advice(one, place, now)
        for retry in (Retry.COMES, Retry.NONE):
            steps = advice(one, place, now, retry)
            assert [step.command for step in steps if step.command] == [step.command for step in plain if step.command]
            assert [step.kind for step in steps].count("wait") == (1 if plain else 0)
            assert not plain or steps[0].kind == "wait"


@pytest.mark.parametrize("now", [TODAY, LATER], ids=["its day", "a later day"])
def test_a_run_that_lacks_something_always_has_a_command(now: datetime) -> None:
    for one in ALL:
        steps = advice(one, CLOUD, now)
        needs = one.outcome not in {Outcome.SUCCEEDED, Outcome.AT_WORK}
        assert any(step.command for step in steps) is needs
        resume = command_of(steps, "resume")
        assert resume is None or resume.endswith(",--new-config") is (one.then == "new_config")
        can_resume = needs and one.is_recorded and one.outcome is not Outcome.BAD_CONFIG
        assert (resume is not None) is (can_resume and one.date is not None)
        assert now == LATER or (command_of(steps, "again") is not None) is needs


def test_the_report_stores_the_commands_that_are_right_when_the_run_ends() -> None:
    for one in ALL:
        for ended in (TODAY, LATER):
            closed = one.model_copy(update={"ended": ended.isoformat()})
            stored, steps = with_commands(closed, CLOUD), advice(closed, CLOUD, ended)
            assert stored.resume_command == command_of(steps, "resume")
            kind = "again" if one.outcome is Outcome.BAD_CONFIG else "start"
            assert stored.start_command == next((step.command for step in steps if step.kind == kind), None)


def test_the_first_command_of_a_kind_counts() -> None:
    steps = [Step("start", message("a"), "first"), Step("start", message("b"), "second"), Step("look", message("c"))]
    assert (command_of(steps, "start"), command_of(steps, "look"), command_of(steps, "resume")) == (
        "first", None, None
    )  # fmt: skip


# --- which failures need another config ---


def test_a_failure_of_an_earlier_attempt_needs_another_config_until_it_is_healed() -> None:
    """The next attempt was interrupted before that call: with the recorded config it would fail again."""
    ledger = ledger_of(12, refused=True)
    ledger.begin()
    assert ledger.failed_now == []
    ended = ending_of(ledger, None)
    one = report_of(DATED, ledger, state=ended.outcome)
    assert command_of(advice(one, CLOUD, TODAY), "resume") == f"{RESUME},--new-config"
    ledger.add(result_of(next(ledger.plan.calls("news"))))
    healed = report_of(DATED, ledger, state=ended.outcome)
    assert command_of(advice(healed, CLOUD, TODAY), "resume") == RESUME


@pytest.mark.parametrize(
    ("refused", "now", "expected"), [(False, TODAY, EXECUTE), (True, TODAY, EXECUTE), (True, LATER, START)]
)
def test_the_last_words_after_a_second_signal_have_the_command_that_is_right(
    refused: bool, now: datetime, expected: str
) -> None:
    text = str(last_words(UNDATED, ledger_of(12, refused=refused), CLOUD, now))
    assert text.startswith("The run was ended at once, without a report. ")
    assert text.endswith(f": {expected}")


def test_if_it_is_not_known_when_a_person_reads_it_each_command_is_right_on_any_day() -> None:
    dated, undated = report(Outcome.CARDS_MISSING, 12), report(Outcome.CARDS_MISSING, 12, dated=False)
    assert steps_of(dated, now=None) == [("resume", PUT_RIGHT, RESUME)]
    assert steps_of(undated, now=None) == [("again", PUT_RIGHT, EXECUTE), ("start", ON_A_LATER_DAY, START)]
    again = ("again", "Once that is corrected, this starts it again:", START)
    assert steps_of(report(Outcome.BAD_CONFIG, planned=False, faults=[IN_VARIABLE]), now=None) == [again]
    assert steps_of(report(Outcome.SUCCEEDED, 20), now=None) == []
