"""A command can be pasted into a shell in any directory; a link leads where its page is."""

import shlex
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from job.config.days import Days
from job.telling.advice import Commands, option, page_address
from job.telling.lines import Line, Rank
from job.text.messages import message
from tests.support.records import start_at
from tests.support.shell import arguments_in

DAY = "2026-11-24"
DAYS = Days(ZoneInfo("Asia/Shanghai"), "30 22 * * 1-5")
DURING, AFTER = (datetime.fromisoformat(f"2026-11-25T{clock}:00+08:00") for clock in ("08:30", "22:20"))
"""Within the night of `DAY`, and when it has ended."""


TEXT = message("Now{terms}{price}:", price=message("; at most 3 tries"))
SEEN = message("Look:")


def commands(now: datetime = DURING, runs_uri: str = "", **place: Any) -> Commands:
    return Commands(start_at(**place), runs_uri, DAYS, now)


def start(given: Commands, day: str | None = DAY, *options: str, **more: Any) -> tuple[str, str]:
    """What is said of a command, and the command itself."""
    step = given.start(TEXT, day, *options, **more)
    return str(step.text), step.below or ""


def test_a_command_names_its_day_once_that_has_ended_and_says_until_when_it_need_not() -> None:
    plain, dated = "gcloud run jobs execute cards", f"gcloud run jobs execute cards --args=run,--date={DAY}"
    assert start(commands(job="cards"), cards=1) == ("Now (1 card; until 11-25 22:20); at most 3 tries:", plain)
    assert start(commands(AFTER, job="cards"), cards=1) == ("Now (by today's config; for a maintainer):", dated)
    assert start(commands(job="cards"), None) == ("Now; at most 3 tries:", plain)
    options = "Now (for a maintainer; until 11-25 22:20); at most 3 tries:"
    assert start(commands(job="cards"), DAY, "--without=A")[0] == options
    anybodys = "Now (by today's config):"
    assert start(commands(AFTER))[0] == anybodys, "whoever has the record may give it"
    assert start(commands(job="cards"), None, f"--date={DAY}")[1] == dated
    steps = [commands(now, job="cards").start(TEXT, DAY) for now in (DURING, AFTER)]
    assert [step.until for step in steps] == [AFTER, None]


def test_a_day_of_which_nothing_may_be_recorded_is_confirmed_only_if_it_is_named() -> None:
    def arguments(given: Commands, *options: str) -> list[str]:
        return arguments_in(start(given, DAY, *options, is_new=True)[1])

    named = ["run", f"--date={DAY}", "--yes"]
    assert arguments(commands(job="cards")) == ["run"]
    assert arguments(commands(AFTER, job="cards")) == named
    assert arguments(commands(AFTER), "--yes") == named
    assert arguments(commands()) == named, "a new shell may not have the schedule"


def test_where_the_job_is_started_in_a_way_of_its_own_every_command_is() -> None:
    own = Commands(start_at(start_with="make run-local ARGS="), "/tmp/runs", DAYS, DURING)
    assert start(own)[1] == "make run-local ARGS=run"
    text = start(own, DAY, *option("without", ["a b", "-X"]))[1]
    assert text == "make run-local ARGS='run '\"'\"'--without=a b'\"'\"' --without=-X'"
    assert arguments_in(text) == ["run", "--without=a b", "--without=-X"]
    assert own.look(SEEN, DAY).below == f"make run-local ARGS='report {DAY}'"


def test_on_a_laptop_a_command_has_the_place_of_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs, config = (shlex.quote(str(tmp_path / name)) for name in ("my runs", "config"))
    found = start(commands(runs_uri="my runs", config_uri="config"))[1]
    assert found == f"RUNS_URI={runs} CONFIG_URI={config} python -m job run"
    unset = start(commands(config_uri=""))[1]
    assert unset == "RUNS_URI=gs://BUCKET/PREFIX CONFIG_URI=gs://BUCKET/PREFIX python -m job run"
    assert commands(job="cards", runs_uri="").look(SEEN, DAY).below == f"python -m job report {DAY}"


@pytest.mark.parametrize(("uri", "is_link"), [("gs://cards/runs", True), ("/srv/runs", False)])
def test_where_a_day_is_looked_at_is_a_link_or_a_path(uri: str, is_link: bool) -> None:
    line = Line(SEEN, Rank.KEPT, below=page_address(uri, DAY), is_link=is_link)
    assert commands(job="cards", runs_uri=uri).look(SEEN, DAY) == line


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("gs://cards-runs/runs", f"https://storage.cloud.google.com/cards-runs/runs/{DAY}/report.html"),
        ("gs://cards-runs/a b#c/", f"https://storage.cloud.google.com/cards-runs/a%20b%23c/{DAY}/report.html"),
        ("/srv/runs/", f"/srv/runs/{DAY}/report.html"),
    ],
)
def test_the_page_opens_in_a_browser_or_as_a_file(uri: str, address: str) -> None:
    assert page_address(uri, DAY) == address
