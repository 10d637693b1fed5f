"""What a person does next: one command after any failure, with its price, right where and when it is read."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import strategies as st

from job.cli.main import make_parser
from job.config.days import Days
from job.config.faults import Fault, FaultKind
from job.day.attempt import Outcome
from job.day.ending import Ending, ending_of
from job.day.ledger import Ledger
from job.day.report import Report
from job.day.result import Counts, ShutdownReason
from job.day.summary import report_of
from job.engines.failures import Cause, Failure
from job.storage.store import NAME_A_PLACE
from job.telling.advice import Command, Commands, advice, as_list, option
from job.telling.lines import Line, Rank
from job.text.messages import message
from tests.support.days import SCENES, Day, failing
from tests.support.fakes import target
from tests.support.records import begun, report_at, start_at
from tests.support.shell import arguments_in

DAYS = start_at().days
"""Each begins at two."""
TODAY = datetime.fromisoformat("2026-11-25T01:30:00+08:00")
LATER = datetime.fromisoformat("2026-11-25T01:50:00+08:00")
Where = dict[str, str]
CLOUD: Where = {"job": "cards", "region": "asia-east1", "project": "p"}
LAPTOP: Where = {}
LOCAL: Where = {"start_with": "make run-local ARGS="}
PLACES = [CLOUD, LAPTOP, LOCAL]
EXECUTE = "gcloud run jobs execute cards --region=asia-east1 --project=p"
LOOK_FIRST = "What you asked for may not be recorded. First look at how the day stands:"
LOOKS = {LOOK_FIRST, "All executions of the job"}
NO_STORAGE = Ending(Outcome.STORAGE_FAILED, detail=message("503"))
IN_VARIABLE = Fault("QA_ENGINE_URL", message("is not set"), message("set it"))
DENIED = Failure(Cause.DENIED, message("no"), 200)
CORRECTED = "Once that is corrected, paste"


def half_made() -> Ledger:
    return Day().play(failing(DENIED, "qa", "NVDA")).ledger


def report(ending: Ending, **about: Any) -> Report:
    """The report of an attempt, or of a start that opened none."""
    faults = about.pop("faults", ())
    return report_at(ending, start=start_at(**about), faults=faults)


def commands(place: Where, now: datetime) -> Commands:
    return Commands(start_at(**place), "gs://cards/runs", DAYS, now)


def steps_of(one: Report, place: Where = CLOUD, now: datetime = TODAY) -> tuple[Line, ...]:
    return tuple(advice(one, Ledger.empty(one.day), commands(place, now)))


def shown(one: Report, place: Where = CLOUD, now: datetime = TODAY) -> list[tuple[str, str | None]]:
    return [(str(step.text), step.below) for step in steps_of(one, place, now)]


INTERRUPTED = ending_of(half_made(), ShutdownReason.SIGTERM)
MISSING, DONE = ending_of(half_made(), None), ending_of(Day().play().ledger, None)


@pytest.mark.parametrize("scene", SCENES)
def test_after_any_failure_there_is_one_command_that_the_job_understands(scene: str) -> None:
    one, parser = SCENES[scene]().report, make_parser()
    needs, looks = one.outcome not in {Outcome.SUCCEEDED, Outcome.AT_WORK}, scene in {"busy", "at work"}
    for place, (now, date) in product(PLACES, ((TODAY, None), (LATER, "2026-11-24"))):
        steps = steps_of(one, place, now)
        assert [step.is_start for step in steps].count(True) == (needs and not looks)
        assert [str(step.text) in LOOKS for step in steps].count(True) == looks
        for step in steps:
            if step.below is not None and str(step.text) not in LOOKS:
                options = parser.parse_args(arguments_in(step.below))
                assert options.command == "run"
                # Nobody else may know the schedule of a first start on a laptop.
                is_named = scene == "storage failed" and place != CLOUD
                assert options.date == ("2026-11-24" if is_named else date)
                assert step.until == (None if options.date else LATER)


DATE, EARLIER, MSFT, DASH = "--date=2026-11-24", "--date=2026-10-24", "--without=MSFT", "--without=-X"
OCTOBER = {"number": 0, "day": "2026-10-24", "started": start_at().started}
UNKNOWN = {"number": 0, "knows_days": False}


@pytest.mark.parametrize(
    ("about", "arguments"),
    [
        ({"number": 0}, [(), (DATE, "--yes")]),
        ({"number": 0, "arguments": ("run", DATE, MSFT)}, [(MSFT,), (DATE, MSFT, "--yes")]),
        ({"arguments": ("run", "--again=NVDA", "--yes")}, [(), (DATE,)]),
        ({"without": ("MSFT", "-X")}, [(MSFT, DASH), (DATE, MSFT, DASH)]),  # until the rest is there
        (OCTOBER | {"arguments": ("run", EARLIER)}, [(EARLIER,)]),
        (OCTOBER | {"arguments": ("run", EARLIER, "--yes")}, [(EARLIER, "--yes")]),
        (UNKNOWN, [()]),
        (UNKNOWN | {"arguments": ("run", DATE)}, [(DATE,)]),
    ],
    ids=[
        *("not recorded: confirmed later", "with its own arguments", "recorded: a plain one", "what was left out"),
        *("not current", "confirmed by whoever named it", "unknown days: whichever it is", "the named one"),
    ],
)
def test_the_command_asks_for_what_is_not_recorded(about: dict[str, Any], arguments: Sequence[tuple[str, ...]]) -> None:
    one = begun(report(NO_STORAGE), **about)
    commands = dict.fromkeys(command for now in (TODAY, LATER) for _, command in shown(one, now=now) if command)
    assert [*commands] == [EXECUTE + (f" --args={','.join(('run', *given))}" if given else "") for given in arguments]


ASKS_AGAIN = {"number": 0, "arguments": ("run", "--again=NVDA", "--yes")}
PAGES = "https://storage.cloud.google.com/cards/runs"
BUSY = Ending(Outcome.BUSY, detail=message("the start for 2026-11-24"))


@pytest.mark.parametrize("ending", [NO_STORAGE, INTERRUPTED, Ending(Outcome.UNFORESEEN), BUSY])
@pytest.mark.parametrize(
    ("more", "here", "there"),
    [({}, " 2026-11-24", "2026-11-24/report.html"), ({"knows_days": False}, "", "index.html")],
)
def test_who_asks_again_looks_first_unless_it_is_known_to_be_recorded(
    ending: Ending, more: dict[str, Any], here: str, there: str
) -> None:
    """Whoever asks once more pays once more; and a retry of Cloud Run asks for nothing."""
    one = begun(report(ending), **ASKS_AGAIN, **more)
    assert shown(one, LAPTOP) == [(LOOK_FIRST, f"RUNS_URI=gs://cards/runs python -m job report{here}")]
    assert shown(one, CLOUD) == [(LOOK_FIRST, f"{PAGES}/{there}")]
    assert LOOK_FIRST not in dict(shown(begun(one, number=2)))


def test_a_request_to_make_again_that_was_refused_is_made_once_that_is_corrected() -> None:
    """If nothing is made yet, it would be refused for that."""
    first = begun(report(Ending(Outcome.BAD_CONFIG), faults=[IN_VARIABLE]), **ASKS_AGAIN)
    assert shown(first) == [(f"{CORRECTED} (until 11-25 01:50):", EXECUTE)]
    unknown = first.model_copy(update={"faults": (replace(IN_VARIABLE, where="RUNS_URI"),)})
    assert shown(unknown)[0][1] == f"{EXECUTE} --args=run,--again=NVDA,--yes"
    one = first.model_copy(update={"engines": {"qa": Counts(planned=2, done=1)}})
    assert shown(one)[0] == (
        f"{CORRECTED} (until 11-25 01:50; for a maintainer):",
        f"{EXECUTE} --args=run,--again=NVDA,--yes",
    )
    assert shown(begun(one, task_attempt=1))[0][0] == LOOK_FIRST, "the first may have"


# --- what to do, by its cause ---

RETRIED: dict[str, Any] = {"execution": "cards-1", "max_retries": 1, "qa_attempts": 3}
WAIT = "It goes on by itself: wait until 2026-11-25 01:41 UTC+08:00. If no message has come by then, paste"
NOTHING = "Nothing works on it; paste"


@pytest.mark.parametrize(
    ("ending", "more", "is_retried", "says"),
    [
        (Ending(Outcome.DEADLINE), {}, True, WAIT),
        (INTERRUPTED, {}, True, WAIT),
        (Ending(Outcome.DEADLINE), {}, False, NOTHING),
        (INTERRUPTED, {}, False, NOTHING),
        (Ending(Outcome.UNFORESEEN), {}, False, NOTHING),
        (NO_STORAGE, {}, False, "Once storage works again, paste"),
        (Ending(Outcome.BAD_CONFIG), {"faults": [replace(IN_VARIABLE, kind=FaultKind.OBJECT)]}, True, CORRECTED),
        (Ending(Outcome.BAD_CONFIG), {"faults": [IN_VARIABLE]}, True, CORRECTED),
    ],
    ids=["deadline", "signal", "no retry left", "a signal, none left", "a bug", "storage", "an object", "a variable"],
)
def test_a_start_that_broke_off_says_whether_anything_works_on_it(
    ending: Ending, more: dict[str, Any], says: str, *, is_retried: bool
) -> None:
    one = report(ending, **RETRIED, **more)
    *_, step = advice(one, Ledger.empty(one.day), commands(CLOUD, TODAY), is_retried=is_retried)
    assert str(step.text).partition(" (")[0] == says


@pytest.mark.parametrize(("max_retries", "minutes", "waits"), [(1, 10, True), (1, 11, False), (0, 10, False)])
def test_of_a_killed_start_one_waits_for_ten_minutes(max_retries: int, minutes: int, waits: bool) -> None:
    one = report(Ending(Outcome.KILLED), **(RETRIED | {"max_retries": max_retries}))
    assert one.breaks_off is not None
    *_, step = steps_of(one, now=one.breaks_off + timedelta(minutes=minutes))
    assert str(step.text).startswith("It goes on by itself: wait until 02:21 UTC+08:00." if waits else NOTHING)


AGAIN_IT_FAILS = "Until that is put right, it fails again. Then paste"
PEOPLE = "Until the people of the QA engine have put it right, it fails again. Then paste"
WORKS = "Once the QA engine works again, paste"


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        *((Failure(Cause.STATUS, message("no"), status), AGAIN_IT_FAILS) for status in (401, 403, 404, 422)),
        *((Failure(Cause.STATUS, message("no"), status), WORKS) for status in (429, 502, 503, 504)),
        (Failure(Cause.STATUS, message("no"), 500), PEOPLE),
        (DENIED, PEOPLE),
        (Failure(Cause.UNREADABLE, message("no"), 200), PEOPLE),
        *((Failure(cause, message("no")), WORKS) for cause in (Cause.TIMEOUT, Cause.TRANSPORT, Cause.HOST_UNKNOWN)),
    ],
)
def test_what_failed_says_who_puts_it_right_or_that_it_passes(failure: Failure, says: str) -> None:
    day = Day(start={"qa_attempts": 3}).play(failing(failure, "qa", "NVDA"))
    one = report_of(day.start_of(), day.ledger, ending_of(day.ledger, None), seconds=600)
    (step,) = advice(one, day.ledger, commands(CLOUD, TODAY))
    bracket = "(makes 5 cards; charges at most 15 tries; at most 8 if all of it fails again; until 11-25 01:50)"
    assert str(step.text) == f"{says} {bracket}:"


# --- to go on without some targets ---


@pytest.mark.parametrize("name", ["-X", "--yes", "^GSPC", "a,b", "Rate vs Inflation", "$(x)", "美联储", "a,b|c", "'"])
@pytest.mark.parametrize("place", PLACES, ids=["Cloud Run", "laptop", "run-local"])
def test_any_name_arrives_as_it_is(name: str, place: Where) -> None:
    one = begun(report(MISSING), without=("TSLA",)).model_copy(update={"at_fault": (name, "MSFT")})
    (command,) = [command for text, command in shown(one, place, LATER) if text.startswith("To go on without")]
    options = make_parser().parse_args(arguments_in(command or ""))
    assert (options.date, options.without) == ("2026-11-24", ["TSLA", name, "MSFT"])


# --- what a start costs at most ---


def price(day: Day, until: ShutdownReason | None = None, unrecorded: int = 0) -> str:
    """Of the command for its day, whether that is over or not."""
    ending = ending_of(day.ledger, until, next(iter(day.errors), None))
    one = report_of(day.start_of(), day.ledger, ending, seconds=600)
    both = (advice(one, day.ledger, commands(CLOUD, moment), unrecorded) for moment in (TODAY, LATER))
    now, later = (str([*steps][-1].text).partition(" (")[2] for steps in both)
    until_then, at_any_time = "; until 11-25 01:50):", "; at any time; for a maintainer):"
    assert now.removesuffix(until_then) == later.removesuffix(at_any_time)
    return now.removesuffix(until_then)


def test_each_card_that_failed_was_not_tried_or_was_held_back_has_its_tries() -> None:
    """Whatever it failed with: by the next morning another fault may have come."""
    day = Day(start={"qa_attempts": 3}).play(failing(DENIED, "qa", "NVDA"))
    again = "; at most 8 if all of it fails again"
    assert price(day) == f"makes 5 cards; charges at most 15 tries{again}"
    assert price(day, unrecorded=2) == f"makes 7 cards; charges at most 21 tries{again}"
    one = Day(start={"qa_attempts": 1}, targets=[target("A", ["a"])]).play(failing(DENIED, "news"))
    assert price(one) == "makes 1 card; charges at most 1 try"
    cut_short = Day(start={"qa_attempts": 3}).play(until=150)
    left = cut_short.ledger.counts("qa").missing
    assert price(cut_short, ShutdownReason.SIGTERM) == f"makes {left} cards; charges at most {3 * left} tries"


# --- while a start is at work ---


def test_a_day_at_work_says_by_when_it_ends_until_then() -> None:
    one = SCENES["at work"]().report
    early, late = (shown(one, now=datetime.fromisoformat(f"2026-11-24T05:0{minute}+08:00")) for minute in (0, 1))
    assert [text for text, _ in late] == ["All executions of the job"]
    assert early[1:] == late


# --- a command as it is pasted, and a link ---

DAY = "2026-11-24"
EVENINGS = Days(ZoneInfo("Asia/Shanghai"), "30 22 * * 1-5")
DURING, AFTER = (datetime.fromisoformat(f"2026-11-25T{clock}:00+08:00") for clock in ("08:30", "22:20"))
"""Within the night of `DAY`, and when it has ended."""


TEXT = message("Now")
SEEN = message("Look:")


def given(now: datetime = DURING, runs_uri: str = "", **place: Any) -> Commands:
    return Commands(start_at(**place), runs_uri, EVENINGS, now)


def start(found: Commands, day: str | None = DAY, *options: str, **more: Any) -> tuple[str, str]:
    """What is said of a command, and the command itself."""
    step = found.line(TEXT, Command(day, options, **more))
    return str(step.text), step.below or ""


def test_a_command_names_its_day_once_that_has_ended_and_says_until_when_it_need_not() -> None:
    plain, dated = "gcloud run jobs execute cards", f"gcloud run jobs execute cards --args=run,--date={DAY}"
    assert start(given(job="cards"), makes=1) == ("Now (makes 1 card; until 11-25 22:20):", plain)
    assert start(given(AFTER, job="cards"), at_most=3) == (
        "Now (charges at most 3 tries; at any time; for a maintainer):",
        dated,
    )
    assert start(given(job="cards"), None) == ("Now:", plain)
    assert start(given(job="cards"), DAY, "--without=A")[0] == "Now (until 11-25 22:20; for a maintainer):"
    assert start(given(AFTER))[0] == "Now (at any time):", "whoever has the record may give it"
    assert start(given(job="cards"), None, f"--date={DAY}")[1] == dated
    steps = [given(now, job="cards").line(TEXT, Command(DAY)) for now in (DURING, AFTER)]
    assert [step.until for step in steps] == [AFTER, None]


def test_a_day_of_which_nothing_may_be_recorded_is_confirmed_only_if_it_is_named() -> None:
    def arguments(found: Commands, *options: str) -> list[str]:
        return arguments_in(start(found, DAY, *options, is_new=True)[1])

    named = ["run", f"--date={DAY}", "--yes"]
    assert arguments(given(job="cards")) == ["run"]
    assert arguments(given(AFTER, job="cards")) == named
    assert arguments(given(AFTER), "--yes") == named
    assert arguments(given()) == named, "a new shell may not have the schedule"


def test_where_the_job_is_started_in_a_way_of_its_own_every_command_is() -> None:
    own = Commands(start_at(start_with="make run-local ARGS="), "/tmp/runs", EVENINGS, DURING)
    assert start(own)[1] == "make run-local ARGS=run"
    text = start(own, DAY, *option("without", ["a b", "-X"]))[1]
    assert text == "make run-local ARGS='run '\"'\"'--without=a b'\"'\"' --without=-X'"
    assert arguments_in(text) == ["run", "--without=a b", "--without=-X"]
    assert own.look(SEEN, DAY).below == f"make run-local ARGS='report {DAY}'"


def test_on_a_laptop_a_command_has_the_place_of_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs, config = (shlex.quote(str(tmp_path / name)) for name in ("my runs", "config"))
    found = start(given(runs_uri="my runs", config_uri="config"))[1]
    assert found == f"RUNS_URI={runs} CONFIG_URI={config} python -m job run"
    unset = start(given(config_uri=""))[1]
    assert unset == "RUNS_URI=gs://BUCKET/PREFIX CONFIG_URI=gs://BUCKET/PREFIX python -m job run"
    assert given(job="cards", runs_uri="").look(SEEN, DAY).below == f"python -m job report {DAY}"


@pytest.mark.parametrize("name", ["RUNS_URI", "CONFIG_URI"])
def test_a_place_that_has_to_be_another_is_to_be_filled_in(name: str) -> None:
    fault = Fault(name, message("/x is not a directory"), NAME_A_PLACE, FaultKind.STORAGE)
    (_, command), *_ = shown(report(Ending(Outcome.BAD_CONFIG), faults=[fault]), LAPTOP)
    assert f"{name}=gs://BUCKET/PREFIX " in (command or "")
    assert (command or "").count("BUCKET") == 1


@pytest.mark.parametrize(
    ("uri", "is_link", "place"),
    [
        ("gs://cards/runs", True, "https://storage.cloud.google.com/cards/runs"),
        ("gs://cards/a b#c/", True, "https://storage.cloud.google.com/cards/a%20b%23c"),
        ("/srv/runs/", False, "/srv/runs"),
    ],
)
def test_where_a_day_is_looked_at_is_a_link_or_a_path(uri: str, is_link: bool, place: str) -> None:
    address = f"{place}/{DAY}/report.html"
    line = Line(SEEN, Rank.KEPT, below=address, is_link=is_link)
    assert given(job="cards", runs_uri=uri).look(SEEN, DAY) == line


@hypothesis.given(st.lists(st.text("|/;:#~@!%&*+_,^=1 a", min_size=1), min_size=2))
def test_a_list_is_read_by_gcloud_as_it_was_given(arguments: list[str]) -> None:
    """As `gcloud topic escaping` says. All signs may be used, so that none is left."""
    for words in (["run", *arguments], ["run", ",|/;:#~@!%&*+_", "b|"]):
        text = as_list(words)
        delimiter, _, rest = text[1:].partition("^") if text.startswith("^") else (",", "", text)
        assert rest.split(delimiter) == words
