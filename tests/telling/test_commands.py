"""A command can be pasted into a shell in any directory; a link leads where its page is."""

import shlex
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from job.config.days import Days
from job.telling.advice import Command, Commands, option, page_address
from job.text.messages import message
from tests.support.records import start_at
from tests.support.shell import arguments_in

DAY = "2026-11-24"
DAYS = Days(ZoneInfo("Asia/Shanghai"), "30 22 * * 1-5")
DURING, AFTER = (datetime.fromisoformat(f"2026-11-25T{clock}:00+08:00") for clock in ("08:30", "22:20"))
"""Within the night of `DAY`, and when it has ended."""


def commands(now: datetime = DURING, **place: str | None) -> Commands:
    return Commands(DAYS, now, **place)


def test_a_command_names_its_day_once_that_has_ended_and_says_until_when_it_need_not() -> None:
    during, after = commands(DURING, job="cards").run(DAY), commands(AFTER, job="cards").run(DAY)
    assert during == Command("gcloud run jobs execute cards", AFTER)
    dated = f"gcloud run jobs execute cards --args=run,--date={DAY}"
    assert after == Command(dated, is_maintainers=True, does=(message("by today's config"),))
    assert commands(DURING, job="cards").run(DAY, names_day=True) == after
    assert commands(DURING, job="cards").run(None) == Command("gcloud run jobs execute cards")
    assert [str(one.terms) for one in (during, after, commands(DURING, job="cards").run(DAY, "--without=A"))] == [
        " (until 11-25 22:20)",
        " (by today's config; for a maintainer)",
        " (for a maintainer; until 11-25 22:20)",
    ]
    anybodys = " (by today's config)"
    assert str(commands(AFTER).run(DAY).terms) == anybodys, "whoever has the record may give it"
    assert str(commands(AFTER).run(DAY, "--yes").terms) == " (by today's config)"
    assert str(commands(AFTER).run(None).terms) == ""


def test_a_day_of_which_nothing_may_be_recorded_is_confirmed_only_if_it_is_named() -> None:
    named = ["run", f"--date={DAY}", "--yes"]
    assert arguments_in(commands(DURING, job="cards").run(DAY, is_new=True).text) == ["run"]
    assert arguments_in(commands(AFTER, job="cards").run(DAY, is_new=True).text) == named
    assert arguments_in(commands(AFTER).run(DAY, "--yes", is_new=True).text) == named
    laptop = commands(DURING).run(DAY, is_new=True)
    assert (arguments_in(laptop.text), laptop.until) == (named, None), "a new shell may not have the schedule"


def test_where_the_job_is_started_in_a_way_of_its_own_every_command_is() -> None:
    own = Commands.of(start_at(start_with="make run-local ARGS="), "/tmp/runs", DAYS, DURING)
    assert own.run(DAY).text == "make run-local ARGS=run"
    text = own.run(DAY, *option("without", ["a b", "-X"])).text
    assert text == "make run-local ARGS='run '\"'\"'--without=a b'\"'\"' --without=-X'"
    assert arguments_in(text) == ["run", "--without=a b", "--without=-X"]
    assert own.look(DAY) == Command(f"make run-local ARGS='report {DAY}'")


def test_on_a_laptop_a_command_has_the_place_of_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs, config = (shlex.quote(str(tmp_path / name)) for name in ("my runs", "config"))
    start = commands(runs_uri="my runs", config_uri="config").run(DAY).text
    assert start == f"RUNS_URI={runs} CONFIG_URI={config} python -m job run"
    assert commands(runs_uri="my runs").run(DAY).text == f"RUNS_URI={runs} python -m job run"
    unset = commands(runs_uri="", config_uri="").run(DAY).text
    assert unset == "RUNS_URI=gs://BUCKET/PREFIX CONFIG_URI=gs://BUCKET/PREFIX python -m job run"
    assert commands(job="cards", runs_uri="").look(DAY).text == f"python -m job report {DAY}"


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
