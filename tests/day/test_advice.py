"""What a person does next: one command after any failure, right where and when it is read."""

from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest

from job.cli.main import make_parser
from job.config.environment import Options, read_settings
from job.config.faults import Fault, FaultKind
from job.day.advice import Commands, Step, advice, command_of, last_words
from job.day.attempt import Outcome, Start
from job.day.ending import Ending, bad_config, ending_of
from job.day.ledger import Ledger
from job.day.report import Report
from job.day.result import Counts, ShutdownReason
from job.engines.failures import Cause, Failure
from job.text.messages import message
from tests.support.days import SCENES, Day, failing
from tests.support.records import FAULT as IN_OBJECT
from tests.support.records import report_at, start_at
from tests.support.shell import arguments_in

DAYS = start_at().days
"""Each begins at two."""
TODAY = datetime.fromisoformat("2026-11-25T01:30:00+08:00")
SOON = datetime.fromisoformat("2026-11-25T01:40:00+08:00")
LATER = datetime.fromisoformat("2026-11-25T01:50:00+08:00")
Where = dict[str, str]
CLOUD: Where = {"job": "cards", "region": "asia-east1", "project": "p", "runs_uri": "gs://cards/runs"}
LAPTOP: Where = {"runs_uri": "gs://cards/runs"}
LOCAL: Where = {"start_with": "make run-local ARGS=", "runs_uri": "/tmp/runs"}
PLACES = [CLOUD, LAPTOP, LOCAL]
EXECUTE = "gcloud run jobs execute cards --region=asia-east1 --project=p"
DATED = f"{EXECUTE} --args=run,--date=2026-11-24"
UNTIL, BOTH = "(until 11-25 01:50)", "(for a maintainer; until 11-25 01:50)"
MAINTAINER = "(by today's config; may want --yes; for a maintainer)"
PUT_RIGHT = f"Once the cause is put right, this makes only what is missing {UNTIL}:"
GO_ON = f"This makes only what is missing {UNTIL}:"
NO_STORAGE = Ending.worded(Outcome.STORAGE_FAILED, None, detail=message("503"))
IN_VARIABLE = Fault("QA_ENGINE_URL", message("is not set"), message("set it"))


def half_made() -> Ledger:
    return Day().play(failing(Failure(Cause.DENIED, message("no"), 200), "qa", "NVDA")).ledger


def report(ending: Ending, **about: Any) -> Report:
    """The report of an attempt, or of a start that opened none."""
    faults = about.pop("faults", ())
    return report_at(ending, start=start_at(**about), faults=faults)


def steps_of(one: Report, place: Where = CLOUD, now: datetime = TODAY, retry: bool = False) -> tuple[Step, ...]:
    return advice(one, Ledger.empty(one.day), Commands(DAYS, now, **place), retry)


def shown(
    one: Report, place: Where = CLOUD, now: datetime = TODAY, retry: bool = False
) -> list[tuple[str, str, str | None]]:
    steps = steps_of(one, place, now, retry)
    return [(step.kind, str(step.sentence), step.command.text if step.command else None) for step in steps]


ENDINGS: dict[str, tuple[Ending, str | None]] = {
    "cards missing": (ending_of(half_made(), None), PUT_RIGHT),
    "QA engine down": (ending_of(half_made(), ShutdownReason.QA_DOWN), PUT_RIGHT),
    "deadline": (ending_of(half_made(), ShutdownReason.DEADLINE), GO_ON),
    "interrupted": (ending_of(half_made(), ShutdownReason.SIGTERM), GO_ON),
    "taken over": (ending_of(half_made(), ShutdownReason.LEASE_LOST), GO_ON),
    "no storage": (NO_STORAGE, PUT_RIGHT),
    "a bug": (Ending.worded(Outcome.UNFORESEEN, half_made()), PUT_RIGHT),
    "killed": (Ending.worded(Outcome.KILLED, half_made()), GO_ON),
    "at work": (Ending.worded(Outcome.AT_WORK, half_made()), None),
    "done": (ending_of(Day().play().ledger, None), None),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_the_one_command_of_an_ending(how: str) -> None:
    ending, sentence = ENDINGS[how]
    later = sentence and sentence.replace(UNTIL, MAINTAINER)
    steps = [("start", sentence, EXECUTE), ("later", later, DATED)]
    assert shown(report(ending)) == ([] if sentence is None else steps)


@pytest.mark.parametrize("scene", SCENES)
def test_after_any_failure_there_is_one_command_that_the_job_understands(scene: str) -> None:
    one, parser = SCENES[scene]().report, make_parser()
    needs, looks = one.outcome not in {Outcome.SUCCEEDED, Outcome.AT_WORK}, scene in {"busy", "at work"}
    for place, retry, (now, date) in product(PLACES, (True, False), ((TODAY, None), (LATER, "2026-11-24"))):
        steps = steps_of(one, place, now, retry)
        assert [step.kind for step in steps].count("start") == (needs and not looks)
        assert [step.kind for step in steps].count("look") == looks
        is_told = retry and now == TODAY and one.outcome != Outcome.BAD_CONFIG
        is_told = (needs and not looks and is_told) or scene == "at work"
        assert [step.kind for step in steps].count("wait") == is_told
        for step in steps:
            if step.command is not None and step.kind not in {"plan", "look"}:
                options = parser.parse_args(arguments_in(step.command.text))
                assert options.command == "run"
                # Nobody else may know the schedule of a first start on a laptop.
                is_named = step.kind == "later" or (scene == "storage failed" and place != CLOUD)
                assert options.date == ("2026-11-24" if is_named else date)
                assert step.command.until == (None if options.date else LATER)


@pytest.mark.parametrize(
    ("number", "arguments", "command", "later"),
    [
        (0, ("run",), EXECUTE, "run,--date=2026-11-24,--yes"),
        (
            0,
            ("run", "--date=2026-11-24", "--without=MSFT"),
            f"{EXECUTE} --args=run,--without=MSFT",
            "run,--date=2026-11-24,--without=MSFT,--yes",
        ),
        (1, ("run", "--again=NVDA", "--yes"), EXECUTE, "run,--date=2026-11-24"),
    ],
)
def test_until_an_attempt_is_recorded_a_start_is_advised_with_its_own_arguments(
    number: int, arguments: tuple[str, ...], command: str, later: str
) -> None:
    """And confirmed later, as perhaps nothing is recorded of the day."""
    one = report(NO_STORAGE, number=number, arguments=arguments)
    assert [text for _, _, text in shown(one)] == [command, f"{EXECUTE} --args={later}"]


@pytest.mark.parametrize("own", [(), ("--yes",)])
def test_a_day_that_was_not_current_is_confirmed_by_whoever_names_it(own: tuple[str, ...]) -> None:
    before = {"day": "2026-10-24", "started": start_at().started}
    one = report(NO_STORAGE, number=0, arguments=("run", "--date=2026-10-24", *own), **before)
    assert shown(one)[0][2] == f"{EXECUTE} --args={','.join(('run', '--date=2026-10-24', *own))}"


def test_what_was_left_out_stays_so_until_the_rest_is_there() -> None:
    """A plain start could fail for it, before what is missing is requested."""
    one = report(NO_STORAGE, number=1).model_copy(update={"without": ("MSFT", "-X")})
    assert shown(one)[0][2] == f"{EXECUTE} --args=run,--without=MSFT,--without=-X"


def test_for_a_fault_of_an_object_there_is_a_command_that_shows_it() -> None:
    *steps, look = shown(report(bad_config(1, of_command=False), number=0, faults=[IN_OBJECT]))
    assert steps == [("start", PUT_RIGHT, EXECUTE), ("later", PUT_RIGHT.replace(UNTIL, MAINTAINER), DATED)]
    assert (look[0], look[2]) == ("plan", "python -m job plan gs://cards/config")


VARIABLES = ("variables", "Variables are set in terraform.tfvars, which an owner applies.", None)


@pytest.mark.parametrize(
    ("kind", "is_told"), [(FaultKind.VARIABLE, True), (FaultKind.STORAGE, False), (FaultKind.OBJECT, False)]
)
def test_on_cloud_run_a_fault_of_a_variable_is_an_owners(kind: FaultKind, is_told: bool) -> None:
    fault = Fault("RUNS_URI", message("is odd"), message("correct it"), kind)
    for job, told in (("cards", is_told), (None, False)):
        steps = shown(report(bad_config(2, of_command=False), number=0, faults=[fault, fault], job=job))
        assert [step for step in steps if step[0] == "variables"] == [VARIABLES] * told
        assert (steps[0] == VARIABLES) is told
        assert ("plan" in [step[0] for step in steps]) is (kind is FaultKind.OBJECT)


@pytest.mark.parametrize(("status", "is_told"), [(404, True), (429, True), (403, False), (503, False)])
def test_on_cloud_run_a_remedy_that_names_a_variable_is_an_owners(status: int, is_told: bool) -> None:
    failed = Failure(Cause.STATUS, message("no"), status)
    for job, told in (("cards", is_told), (None, False)):
        steps = Day(start={"job": job}).play(failing(failed, "news")).play(failing(failed, "qa")).view().steps
        assert [step.kind for step in steps].count("variables") == told


@pytest.mark.parametrize(
    ("arguments", "command"),
    [(("run",), EXECUTE), (("run", "--date=2026-11-24"), DATED)],
    ids=["whichever it is", "the one that was named"],
)
def test_while_the_days_are_not_known_a_command_is_for_its_day_at_any_time(
    arguments: tuple[str, ...], command: str
) -> None:
    terms = f" {MAINTAINER}:" if "--date" in command else ":"
    one = report(NO_STORAGE, number=0, arguments=arguments, knows_days=False)
    assert shown(one) == [("start", PUT_RIGHT.removesuffix(f" {UNTIL}:") + terms, command)]


LOOK = "RUNS_URI=gs://cards/runs python -m job report 2026-11-24"
UNKNOWN = "It is not known whether your request was recorded. First look at how the day stands:"


@pytest.mark.parametrize("retry", [True, False])
@pytest.mark.parametrize("how", ["no storage", "interrupted", "a bug", "busy"])
def test_who_asks_again_looks_first_unless_it_is_known_to_be_recorded(how: str, retry: bool) -> None:
    """Whoever asks once more pays once more; and a retry of Cloud Run asks for nothing."""
    ending = (
        Ending.worded(Outcome.BUSY, None, detail=message("the start for 2026-11-24"))
        if how == "busy"
        else ENDINGS[how][0]
    )
    not_asked = "Your request was not recorded. Look at how the day stands, then ask again:"
    sentence = not_asked if how == "busy" else UNKNOWN
    one = report(ending, number=0, arguments=("run", "--again=NVDA", "--yes"))
    assert shown(one, LAPTOP, retry=retry) == [("look", sentence, LOOK)]
    page = "https://storage.cloud.google.com/cards/runs/2026-11-24/report.html"
    assert shown(one, CLOUD, retry=retry) == [("look", sentence, page)]
    assert "look" not in [kind for kind, _, _ in shown(one.model_copy(update={"number": 2}))]


def test_while_the_days_are_not_known_who_asks_again_looks_at_the_latest() -> None:
    one = report(NO_STORAGE, number=0, arguments=("run", "--again=NVDA"), knows_days=False)
    assert shown(one, LAPTOP) == [("look", UNKNOWN, LOOK.removesuffix(" 2026-11-24"))]
    assert shown(one, CLOUD) == [("look", UNKNOWN, "https://storage.cloud.google.com/cards/runs/index.html")]


def test_a_request_to_make_again_that_was_refused_is_made_once_that_is_corrected() -> None:
    one = report(bad_config(1, of_command=False), number=0, arguments=("run", "--again=NVDA"), faults=[IN_VARIABLE])
    corrected = PUT_RIGHT.replace(UNTIL, BOTH)
    assert shown(one)[0] == ("start", corrected, f"{EXECUTE} --args=run,--again=NVDA")
    assert shown(one.model_copy(update={"task_attempt": 1}), LAPTOP) == [("look", UNKNOWN, LOOK)], "the first may have"


# --- to go on without some targets ---


def test_if_the_data_of_some_targets_alone_failed_the_day_can_go_on_without_them() -> None:
    view = (
        Day(start={"without": ("TSLA",)})
        .play(failing(Failure(Cause.DENIED, message("no"), 200), "news", "AAPL"))
        .view()
    )
    steps = advice(view.report, view.ledger, Commands(DAYS, TODAY, **CLOUD))
    first, later, *_ = [(kind, str(text), command and command.text) for kind, text, command in steps]
    sentence, both = "If nothing else is wrong, this makes the cards without AAPL {}:", "--without=TSLA,--without=AAPL"
    assert view.report.at_fault == ("AAPL",)
    assert first == ("without", sentence.format("(48 cards; " + BOTH[1:]), f"{EXECUTE} --args=run,{both}")
    assert later == ("later", sentence.format(MAINTAINER), f"{DATED},{both}"), "as also a plain start still fails"


@pytest.mark.parametrize("name", ["-X", "--yes", "^GSPC", "a,b", "Rate vs Inflation", "$(x)", "美联储", "a,b|c", "'"])
@pytest.mark.parametrize("place", PLACES, ids=["Cloud Run", "laptop", "run-local"])
def test_any_name_arrives_as_it_is(name: str, place: Where) -> None:
    one = report(ENDINGS["cards missing"][0]).model_copy(update={"at_fault": (name, "MSFT")})
    command = command_of(steps_of(one, place, LATER), "without")
    assert command is not None
    options = make_parser().parse_args(arguments_in(command.text))
    assert (options.date, options.without) == ("2026-11-24", [name, "MSFT"])


def test_once_all_else_is_done_a_plain_start_makes_what_was_left_out() -> None:
    done = report(ENDINGS["done"][0]).model_copy(update={"without": ("MSFT", "TSLA")})
    again = "When you want what was left out, this makes it {}:"
    later = ("later", again.format(MAINTAINER), DATED)
    assert shown(done) == [("left_out", again.format(UNTIL), EXECUTE), later]
    assert shown(done, now=LATER) == [("left_out", again.format(MAINTAINER), DATED)]
    counted = done.model_copy(update={"engines": {"qa": Counts(planned=7, not_attempted=2, left_out=2, done=5)}})
    assert shown(counted)[0] == ("left_out", again.format("(2 cards; until 11-25 01:50)"), EXECUTE)


@pytest.mark.parametrize(
    ("failure", "cards"),
    [
        (Failure(Cause.STATUS, message("HTTP 503"), 503), "5 cards"),
        (Failure(Cause.DENIED, message("no"), 200), "5 cards; 5 tries may have been charged"),
        (Failure(Cause.STATUS, message("HTTP 500"), 500), "5 cards; 5 tries may have been charged"),
    ],
)
def test_a_command_says_how_many_cards_it_makes_and_how_many_tries_may_be_charged(failure: Failure, cards: str) -> None:
    one = Day().play(failing(failure, "qa", "NVDA")).view().report
    assert shown(one.model_copy(update={"charged_tries": 0})) == shown(one), "an older report has only the cards"
    start, later = shown(one)
    assert start[1] == f"Once the cause is put right, this makes only what is missing ({cards}; until 11-25 01:50):"
    charged = cards.partition("; ")[2]
    dated = "; ".join(filter(None, ("by today's config", "may want --yes", charged, "for a maintainer")))
    assert later[1] == f"Once the cause is put right, this makes only what is missing ({dated}):"


# --- whether Cloud Run starts it again ---


@pytest.mark.parametrize(("how", "unless"), [("deadline", ""), ("interrupted", "Unless somebody cancelled it, ")])
def test_a_retry_that_comes_by_itself_is_waited_for_unless_it_fails_too(how: str, unless: str) -> None:
    wait = f"{unless}Cloud Run starts it again by itself. Wait for its next message."
    start = f"Only if no message comes, start it again. This makes only what is missing {UNTIL}:"
    one = report(ENDINGS[how][0])
    assert [sentence for kind, sentence, _ in shown(one, retry=True) if kind != "then"][:2] == [wait, start]
    refused = report(bad_config(1, of_command=False))
    assert shown(refused, retry=True) == shown(refused)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, True),
        ({"CLOUD_RUN_TASK_ATTEMPT": "1"}, True),
        ({"CLOUD_RUN_TASK_ATTEMPT": "2"}, False),
        ({"TASK_MAX_RETRIES": "0"}, False),
        ({"TASK_MAX_RETRIES": ""}, False),
        ({"CLOUD_RUN_EXECUTION": ""}, False),
    ],
)
def test_whether_cloud_run_starts_it_again(variables: dict[str, str], expected: bool | None) -> None:
    """The record has it, so that it is known until a retry would have come; and not later."""
    cloud = {"CLOUD_RUN_EXECUTION": "cards-x7k2p", "TASK_MAX_RETRIES": "2"}
    settings, faults = read_settings(cloud | variables)
    began = datetime.fromisoformat("2026-11-24T02:00:03+08:00")
    one = report_at(ENDINGS["deadline"][0], start=Start.of(Options(settings, faults, began, 0.0), DAYS))
    over = began + timedelta(minutes=35)  # it took 25
    assert one.retry_comes(over - timedelta(seconds=1)) is expected
    assert not one.retry_comes(over)


@pytest.mark.parametrize(("arguments", "is_fixed"), [(("run",), False), (("run", "--date=2026-11-24"), True)])
def test_no_retry_is_promised_that_would_be_for_the_next_day(arguments: tuple[str, ...], is_fixed: bool) -> None:
    """In the ten minutes before a day ends the command names its day, and nobody is told to wait."""
    one = report(ENDINGS["deadline"][0], arguments=arguments)
    kinds = [kind for kind, _, _ in shown(one, now=SOON, retry=True)]
    assert kinds == (["wait", "then", "start", "later"] if is_fixed else ["start"])
    if not is_fixed:
        assert shown(one, now=SOON, retry=True) == [("start", f"This makes only what is missing {MAINTAINER}:", DATED)]
    just_before = SOON - timedelta(seconds=1)
    assert [kind for kind, _, _ in shown(one, now=just_before, retry=True)] == ["wait", "then", "start", "later"]


@pytest.mark.parametrize(
    ("now", "terms", "command"),
    [(TODAY, BOTH, f"{EXECUTE} --args=run,--without=A"), (LATER, MAINTAINER, f"{DATED},--without=A")],
)
def test_the_last_words_after_a_second_signal(now: datetime, terms: str, command: str) -> None:
    said = f"Ended at once. What is recorded is kept; this makes only what is missing {terms}: {command}"
    assert str(last_words(start_at(without=("A",)), Commands(DAYS, now, **CLOUD))) == said
