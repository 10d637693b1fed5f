"""What a person does next: one command after any failure, right where and when it is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from job.cli.main import make_parser
from job.config.environment import read_settings
from job.config.faults import Fault
from job.engines.failures import Cause, Failure
from job.ledger.ledger import Ledger
from job.ledger.stop import ShutdownReason
from job.report.advice import Retry, Step, advice, command_of, last_words
from job.report.commands import Place
from job.report.outcome import Ending, Outcome, bad_config, busy, ending_of, state_of, storage_failed, unforeseen
from job.report.report import Report
from job.text.messages import Message, message
from tests.support.days import SCENES, Day, failing
from tests.support.records import report_at, start_at
from tests.support.shell import arguments_in

TODAY = datetime.fromisoformat("2026-11-24T23:59:00+08:00")
LATER = datetime.fromisoformat("2026-11-25T00:01:00+08:00")
CLOUD = Place("cards", "asia-east1", "p")
LAPTOP = Place(runs_uri="gs://cards/runs")
LOCAL = Place(start_with="make run-local ARGS=", runs_uri="/tmp/runs")
PLACES = [CLOUD, LAPTOP, LOCAL]
EXECUTE = "gcloud run jobs execute cards --region=asia-east1 --project=p"
DATED = f"{EXECUTE} --args=run,--date=2026-11-24"
PUT_RIGHT = "Once the cause is put right, this requests only what is missing:"
GO_ON = "This requests only what is missing:"
COMES = "Cloud Run starts it again by itself"
IN_OBJECT = Fault("ticker_list.json", message("is not JSON"), message("correct it"))
IN_VARIABLE = Fault("QA_ENGINE_URL", message("is not set"), message("set it"))


def half_made() -> Ledger:
    return Day().play(failing(Failure(Cause.DENIED, message("no"), 200), "qa", "NVDA")).ledger


def report(ending: Ending, **about: Any) -> Report:
    """The report of an attempt, or of a start that opened none."""
    faults = about.pop("faults", ())
    return report_at(ending, start=start_at(**about), faults=faults)


def shown(
    one: Report, place: Place = CLOUD, now: datetime = TODAY, retry: Retry = Retry.UNKNOWN
) -> list[tuple[str, str, str | None]]:
    return [(step.kind, str(step.sentence), step.command) for step in advice(one, place, now, retry)]


ENDINGS: dict[str, tuple[Ending, str | None]] = {
    "cards missing": (ending_of(half_made(), None), PUT_RIGHT),
    "QA engine down": (ending_of(half_made(), ShutdownReason.QA_DOWN), PUT_RIGHT),
    "deadline": (ending_of(half_made(), ShutdownReason.DEADLINE), GO_ON),
    "interrupted": (ending_of(half_made(), ShutdownReason.SIGTERM), GO_ON),
    "taken over": (
        ending_of(half_made(), ShutdownReason.LEASE_LOST),
        "Once the other one has ended, this starts it again:",
    ),
    "not renewed": (
        ending_of(half_made(), ShutdownReason.LEASE_LOST, None, "503"),
        "Once storage can be reached, this starts it again:",
    ),
    "no storage": (storage_failed("503"), "Once storage can be reached, this starts it again:"),
    "a bug": (unforeseen(half_made()), PUT_RIGHT),
    "killed": (state_of(half_made(), Outcome.KILLED), GO_ON),
    "at work": (state_of(half_made(), Outcome.AT_WORK), None),
    "done": (ending_of(Day().play().ledger, None), None),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_the_one_command_of_an_ending(how: str) -> None:
    ending, sentence = ENDINGS[how]
    assert shown(report(ending)) == ([] if sentence is None else [("start", sentence, EXECUTE)])


@pytest.mark.parametrize("scene", SCENES)
def test_after_any_failure_there_is_one_command_that_the_job_understands(scene: str) -> None:
    one, parser = SCENES[scene]().report, make_parser()
    needs, looks = one.outcome not in {Outcome.SUCCEEDED, Outcome.AT_WORK}, scene == "busy"
    for place, retry, (now, date) in product(PLACES, Retry, ((TODAY, None), (LATER, "2026-11-24"))):
        steps = advice(one, place, now, retry)
        assert [step.kind for step in steps].count("start") == (needs and not looks)
        assert [step.kind for step in steps].count("look") == looks
        assert [step.kind for step in steps].count("wait") == (needs and not looks and retry is not Retry.UNKNOWN)
        for step in steps:
            if step.command is not None and step.kind != "plan":
                options = parser.parse_args(arguments_in(step.command))
                assert options.command == ("report" if step.kind == "look" else "run")
                assert looks or options.date == date, "with its date only on another day"


def test_the_day_of_a_start_is_that_of_its_own_time_zone_even_if_the_clocks_change_on_it() -> None:
    ending = ENDINGS["killed"][0]
    now = datetime.fromisoformat("2026-10-25T23:30:00+01:00")
    one = report(ending, day="2026-10-25", zone="Europe/Berlin", started="2026-10-25T00:30:00+02:00")
    assert command_of(advice(one, CLOUD, now.astimezone(UTC)), "start") == EXECUTE
    later = now.astimezone(UTC) + timedelta(hours=1)
    assert command_of(advice(one, CLOUD, later), "start") == f"{EXECUTE} --args=run,--date=2026-10-25"


@pytest.mark.parametrize(
    ("number", "arguments", "command"),
    [
        (0, ("run",), EXECUTE),
        (0, ("run", "--date=2026-11-24", "--without=MSFT"), f"{EXECUTE} --args=run,--without=MSFT"),
        (1, ("run", "--again=NVDA", "--yes"), EXECUTE),
    ],
)
def test_until_an_attempt_is_recorded_a_start_is_advised_with_its_own_arguments(
    number: int, arguments: tuple[str, ...], command: str
) -> None:
    one = report(storage_failed("503"), number=number, arguments=arguments)
    assert [step[2] for step in shown(one)] == [command]


def test_what_was_left_out_stays_so_until_the_rest_is_there() -> None:
    """A plain start could fail for it, before what is missing is requested."""
    one = report(storage_failed("503"), number=1).model_copy(update={"without": ("MSFT", "-X")})
    assert [step[2] for step in shown(one)] == [f"{EXECUTE} --args=run,--without=MSFT,--without=-X"]


@pytest.mark.parametrize(
    ("fault", "kinds"), [(IN_OBJECT, ["start", "plan"]), (IN_VARIABLE, ["start"])], ids=["object", "variable"]
)
def test_for_a_fault_of_an_object_there_is_a_command_that_shows_it(fault: Fault, kinds: list[str]) -> None:
    steps = shown(report(bad_config(1, of_command=False), number=0, faults=[fault]))
    assert [kind for kind, _, _ in steps] == kinds
    assert steps[0] == ("start", "Once that is corrected, this starts it again:", EXECUTE)
    if len(steps) > 1:
        assert steps[1][2] == "python -m job plan gs://cards/config"


LOOK = "RUNS_URI=gs://cards/runs python -m job report 2026-11-24"
UNKNOWN = "It is not known whether this was asked for. Look first at how the day stands:"


@pytest.mark.parametrize("retry", Retry)
@pytest.mark.parametrize("how", ["no storage", "interrupted", "a bug", "busy"])
def test_who_asks_again_looks_first_unless_it_is_known_to_be_recorded(how: str, retry: Retry) -> None:
    """Whoever asks once more pays once more; and a retry of Cloud Run asks for nothing."""
    ending = busy(message("the start for 2026-11-24")) if how == "busy" else ENDINGS[how][0]
    sentence = "Look first at how the day stands:" if how == "busy" else UNKNOWN
    one = report(ending, number=0, arguments=("run", "--again=NVDA", "--yes"))
    assert shown(one, LAPTOP, retry=retry) == [("look", sentence, LOOK)]
    assert "look" not in [kind for kind, _, _ in shown(one.model_copy(update={"number": 2}))]


def test_a_request_to_make_again_that_was_refused_is_made_once_that_is_corrected() -> None:
    one = report(bad_config(1, of_command=False), number=0, arguments=("run", "--again=NVDA"), faults=[IN_VARIABLE])
    corrected = "Once that is corrected, this starts it again:"
    assert shown(one) == [("start", corrected, f"{EXECUTE} --args=run,--again=NVDA")]
    assert shown(one.model_copy(update={"task_attempt": 1}), LAPTOP) == [("look", UNKNOWN, LOOK)], "the first may have"


# --- to go on without some targets ---


def test_if_the_data_of_some_targets_alone_failed_the_day_can_go_on_without_them() -> None:
    view = (
        Day(start={"without": ("TSLA",)})
        .play(failing(Failure(Cause.DENIED, message("no"), 200), "news", "AAPL"))
        .view()
    )
    (_, *others) = shown(view.report)
    assert view.report.at_fault == ("AAPL",)
    assert others == [
        (
            "without",
            "Or go on without AAPL: if nothing else is at fault, this makes all other cards:",
            f"{EXECUTE} --args=run,--without=TSLA,--without=AAPL",
        )
    ], "and still without what was left out before"


@pytest.mark.parametrize("name", ["-X", "--yes", "^GSPC", "a,b", "Rate vs Inflation", "$(x)", "美联储", "a,b|c", "'"])
@pytest.mark.parametrize("place", PLACES, ids=["Cloud Run", "laptop", "run-local"])
def test_any_name_arrives_as_it_is(name: str, place: Place) -> None:
    one = report(ENDINGS["cards missing"][0]).model_copy(update={"at_fault": (name, "MSFT")})
    command = command_of(advice(one, place, LATER), "without")
    assert command is not None
    options = make_parser().parse_args(arguments_in(command))
    assert (options.date, options.without) == ("2026-11-24", [name, "MSFT"])


# --- whether Cloud Run starts it again ---


@pytest.mark.parametrize(
    ("how", "wait", "start"),
    [
        (
            "deadline",
            f"{COMES}: nothing has to be done before its next message.",
            "Only if none comes, this requests only what is missing:",
        ),
        (
            "interrupted",
            f"{COMES}, unless somebody cancelled it: nothing has to be done before its next message.",
            "Only if none comes, this requests only what is missing:",
        ),
        (
            "bad config",
            f"{COMES}, which fails too until that is corrected.",
            "Once that is corrected, this starts it again:",
        ),
    ],
)
def test_a_retry_that_comes_by_itself_is_waited_for_unless_it_fails_too(how: str, wait: str, start: str) -> None:
    one = report(ENDINGS[how][0] if how in ENDINGS else bad_config(1, of_command=False))
    assert [sentence for _, sentence, _ in shown(one, retry=Retry.COMES)] == [wait, start]
    assert shown(one, retry=Retry.NONE) == [("wait", "Cloud Run does not start it again.", None), *shown(one)]


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
    assert Retry.of(read_settings(cloud | variables)[0]) is expected


@pytest.mark.parametrize(("now", "command"), [(TODAY, EXECUTE), (LATER, DATED)])
def test_the_last_words_after_a_second_signal(now: datetime, command: str) -> None:
    assert str(last_words(start_at(), CLOUD, now)) == (
        f"Ended at once. What is recorded is kept; this requests only what is missing: {command}"
    )


def test_the_first_command_of_a_kind_counts() -> None:
    steps = [Step("start", Message("a"), "first"), Step("start", Message("b"), "second"), Step("wait", Message("c"))]
    assert (command_of(steps, "start"), command_of(steps, "wait"), command_of(steps, "plan")) == ("first", None, None)
