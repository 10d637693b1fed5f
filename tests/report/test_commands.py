"""A command can be pasted into a shell in any directory; a link leads where its page is."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from job.config.environment import read_settings
from job.report.commands import Links, Place, option, page_address
from tests.support.records import start_at
from tests.support.shell import arguments_in

DAY = "2026-11-24"
ODD = ["$(touch x)", "`id`", "a b", "a;b", "'", '"', "a|b>c", "美联储", "~", "*", "-h", "a\\"]


def test_the_place_of_a_start_is_that_of_its_job() -> None:
    on_cloud = start_at(job="cards", region="asia-east1", project="p")
    assert Place.of(on_cloud, None).run() == "gcloud run jobs execute cards --region=asia-east1 --project=p"
    assert Place.of(start_at(), "gs://b/runs").run() == "RUNS_URI=gs://b/runs python -m job run"
    settings, _ = read_settings({"CLOUD_RUN_JOB": "j", "START_WITH": ""})
    assert Place.of(settings, None).run(date=DAY) == f"gcloud run jobs execute j --args=run,--date={DAY}"


def test_where_the_job_is_started_in_a_way_of_its_own_every_command_is() -> None:
    place = Place.of(start_at(start_with="make run-local ARGS="), "/tmp/runs")
    assert place.run() == "make run-local ARGS=run"
    assert (
        place.run(*option("without", ["a b", "-X"]))
        == "make run-local ARGS='run '\"'\"'--without=a b'\"'\"' --without=-X'"
    )
    assert arguments_in(place.run(*option("without", ["a b", "-X"]))) == ["run", "--without=a b", "--without=-X"]
    assert place.report(DAY) == f"make run-local ARGS='report {DAY}'"


def test_on_a_laptop_a_command_has_the_place_of_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    where = f"RUNS_URI={shlex.quote(str(tmp_path / 'my runs'))}"
    place = Place(runs_uri="my runs")
    assert place.run() == f"{where} python -m job run"
    assert place.report(DAY) == f"{where} python -m job report {DAY}"
    assert Place("cards").report(DAY) == f"python -m job report {DAY}", "Cloud Run's job is not read on Cloud Run"


@pytest.mark.parametrize("value", ODD)
def test_a_shell_takes_each_part_as_it_is(value: str) -> None:
    assert shlex.split(Place(value, value, value).run(f"--again={value}")) == [
        *("gcloud", "run", "jobs", "execute", value, f"--region={value}", f"--project={value}"),
        f"--args=run,--again={value}",
    ]
    assert shlex.split(Place(runs_uri=f"gs://{value}").run(f"--again={value}")) == [
        *(f"RUNS_URI=gs://{value}", "python", "-m", "job", "run", f"--again={value}")
    ]
    assert shlex.split(Place().command("plan", value)) == ["python", "-m", "job", "plan", value]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("MSFT", "--args=run,--without=MSFT"),
        ("a,b", "--args=^|^run|--without=a,b"),
        ("a,b|c", "--args=^/^run/--without=a,b|c"),
    ],
)
def test_a_list_for_gcloud_is_one_short_word(name: str, given: str) -> None:
    command = Place("cards").run(*option("without", [name]))
    assert shlex.split(command)[-1] == given
    assert arguments_in(command) == ["run", f"--without={name}"]


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("gs://cards-runs/runs", f"https://storage.cloud.google.com/cards-runs/runs/{DAY}/report.html"),
        ("gs://cards-runs/", f"https://storage.cloud.google.com/cards-runs/{DAY}/report.html"),
        ("gs://cards-runs/a b#c", f"https://storage.cloud.google.com/cards-runs/a%20b%23c/{DAY}/report.html"),
        (".runs", f".runs/{DAY}/report.html"),
        ("/srv/runs/", f"/srv/runs/{DAY}/report.html"),
    ],
)
def test_the_page_opens_in_a_browser_or_as_a_file(uri: str, address: str) -> None:
    assert page_address(uri, DAY) == address


def test_links_between_pages() -> None:
    bucket = "https://storage.cloud.google.com/b/r"
    for links, nights, day, table in (
        (Links("gs://b/r"), f"{bucket}/index.html", f"{bucket}/{DAY}/report.html", f"{bucket}/{DAY}/cards.csv"),
        (Links("/r"), "../index.html", f"{DAY}/report.html", "cards.csv"),
        (
            Links("/r", are_stored=False),
            "file:///r/index.html",
            f"file:///r/{DAY}/report.html",
            f"file:///r/{DAY}/cards.csv",
        ),
    ):
        assert (links.nights, links.day(DAY), links.table(DAY)) == (nights, day, table)
