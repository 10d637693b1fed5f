"""The command that resumes a run can be pasted into a shell, names the place of the record, and changes no value."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from job.cli.main import make_parser
from job.config.environment import read_settings
from job.engines.failures import Then
from job.planning.prepare import Prepared
from job.report.commands import Place, missing_command, page_address
from job.report.inputs import RunInputs, pack, unpack
from tests.records.test_record import INPUTS, PLAN
from tests.tools.run_local import _resume_arguments

CLOUD = {"CLOUD_RUN_JOB": "cards-nightly", "GOOGLE_CLOUD_REGION": "asia-east1", "GOOGLE_CLOUD_PROJECT": "my-project"}


def inputs_of(**variables: str) -> RunInputs:
    """The inputs of a run with these variables, as its record gives them back."""
    settings, _ = read_settings({"CONFIG_URI": "gs://b/c", **variables}, datetime.now(UTC))
    begun = RunInputs.of(settings, "night", Prepared(PLAN, {}, ()), datetime.now(UTC))
    return unpack("inputs.json", pack(begun), "night")


def resume_command(inputs: RunInputs, then: Then = "resume") -> str:
    return Place.of(inputs).resume(inputs.run_id, then)


def test_on_a_laptop_a_run_is_resumed_by_the_job_itself() -> None:
    assert resume_command(inputs_of()) == "python -m job resume night"
    assert resume_command(inputs_of(), "new_config") == "python -m job resume night --new-config"
    elsewhere = inputs_of(GOOGLE_CLOUD_PROJECT="my-project", GOOGLE_CLOUD_REGION="asia-east1")
    assert resume_command(elsewhere) == "python -m job resume night", "no Cloud Run job"


def test_on_a_laptop_a_command_has_the_place_of_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be pasted into any shell, in any directory."""
    monkeypatch.chdir(tmp_path)
    inputs = inputs_of(RUNS_URI="my runs")
    place = f"RUNS_URI={shlex.quote(str(tmp_path / 'my runs'))}"
    assert resume_command(inputs) == f"{place} python -m job resume night"
    assert missing_command("night", inputs.runs_uri) == f"{place} python -m job report night --missing"
    assert resume_command(inputs_of(RUNS_URI="gs://b/r")) == "RUNS_URI=gs://b/r python -m job resume night"
    assert inputs_of(RUNS_URI="gs://b/r", **CLOUD).runs_uri is None


def test_a_rehearsal_is_resumed_as_it_was_started() -> None:
    inputs = inputs_of(RUNS_URI="/runs", RESUME_WITH="make run-local RESUME=")
    assert resume_command(inputs) == "make run-local RESUME=night"
    assert resume_command(inputs, "new_config") == "make run-local RESUME='night --new-config'"
    assert Place.of(inputs).again() is None, "the job's own command would not be one"


def test_in_the_cloud_a_run_is_resumed_from_any_shell() -> None:
    place = "--region=asia-east1 --project=my-project"
    command = f"gcloud run jobs execute cards-nightly {place} --args=resume,night"
    assert resume_command(inputs_of(**CLOUD)) == command
    assert resume_command(inputs_of(**CLOUD), "new_config") == f"{command},--new-config"


@pytest.mark.parametrize(
    ("variables", "start"),
    [
        ({}, "python -m job run"),
        ({"RUN_DATE": "2026-11-25"}, "RUN_DATE=2026-11-25 python -m job run"),
        ({"RUN_DATE": "today"}, "RUN_DATE=2026-11-24 python -m job run"),
        (
            {"RUN_DATE": "2026-11-25", "CLOUD_RUN_JOB": "j"},
            "gcloud run jobs execute j --update-env-vars=RUN_DATE=2026-11-25",
        ),
    ],
)
def test_a_run_is_started_again_for_its_date(variables: dict[str, str], start: str) -> None:
    """Also if it is pasted on the next morning, when `today` is another day."""
    settings, _ = read_settings(variables, datetime(2026, 11, 24, tzinfo=UTC))
    assert Place.of(settings, (), settings.run_date).again() == start


def test_a_resume_that_is_repeated_takes_its_date_from_the_record() -> None:
    settings, _ = read_settings({"RUN_DATE": "today"}, datetime.now(UTC))
    assert Place.of(settings, ["resume", "night"], settings.run_date).again() == "python -m job resume night"


def test_options_whose_values_are_not_known_are_left_out_of_the_command() -> None:
    assert resume_command(inputs_of(CLOUD_RUN_JOB="j")) == "gcloud run jobs execute j --args=resume,night"


def test_a_record_without_a_place_is_that_of_a_laptop() -> None:
    assert resume_command(INPUTS) == "python -m job resume run"


@pytest.mark.parametrize(
    "value", ["$(touch x)", "`id`", "a b", "a;b", "'", '"', "a|b>c", "美联储", "~", "*", "-h", "a\\"]
)
def test_a_shell_takes_each_part_as_it_is(value: str) -> None:
    inputs = INPUTS.model_copy(update={"job": value, "region": value, "project": value, "run_id": value})
    assert shlex.split(resume_command(inputs)) == [
        *("gcloud", "run", "jobs", "execute", value),
        *(f"--region={value}", f"--project={value}", f"--args=resume,{value}"),
    ]
    laptop = INPUTS.model_copy(update={"run_id": value})
    assert shlex.split(resume_command(laptop)) == ["python", "-m", "job", "resume", value]
    assert shlex.split(missing_command(value, None)) == ["python", "-m", "job", "report", value, "--missing"]


def as_gcloud_reads(value: str) -> list[str]:
    """A list: `gcloud topic escaping`."""
    delimiter = ","
    if value.startswith("^") and "^" in value[1:]:
        delimiter, _, value = value[1:].partition("^")
    return value.split(delimiter)


def as_the_job_reads(arguments: list[str]) -> tuple[str, list[str]]:
    """The run, and what it goes on without."""
    options = make_parser().parse_args(arguments)
    assert (options.command, options.new_config) == ("resume", False)
    return options.run_id, sorted(options.without)


@pytest.mark.parametrize(
    "names",
    [
        ["MSFT"],
        ["MSFT", "TSLA"],
        ["^GSPC"],
        ["^GSPC", "^a^b"],
        ["-X"],
        ["-X", "MSFT", "-5", "-a b=c"],
        ["--new-config", "--without", "-h"],
        ["Rate vs Inflation", "a  b"],
        ["Fed, rates", "MSFT"],
        ["a,b|c", "^|^"],
        ["$(touch x)", "`id`", "a;b", "'", '"', "美联储", "~", "*", "$SPX", "#", "$$", "night"],
    ],
)
def test_what_to_leave_out_arrives_as_it_is_from_any_shell(names: list[str]) -> None:
    expected = ("night", sorted(names))
    execute = shlex.split(Place.of(inputs_of(**CLOUD)).resume("night", without=names))
    assert as_the_job_reads(as_gcloud_reads(execute[-1].removeprefix("--args="))) == expected
    laptop = shlex.split(Place.of(inputs_of()).resume("night", without=names))
    assert laptop[:3] == ["python", "-m", "job"]
    assert as_the_job_reads(laptop[3:]) == expected
    _, _, rehearsal = shlex.split(
        Place.of(inputs_of(RESUME_WITH="make run-local RESUME=")).resume("night", without=names)
    )
    assert as_the_job_reads(["resume", *_resume_arguments(rehearsal.removeprefix("RESUME="))]) == expected


def test_on_a_phone_it_is_one_short_line() -> None:
    execute = Place("cards").resume("night", without=["MSFT", "TSLA"])
    assert execute == "gcloud run jobs execute cards --args=resume,night,--without,MSFT,TSLA"
    assert Place("cards").resume("night", without=["a,b"]).endswith("'--args=^|^resume|night|--without|a,b'")
    assert Place("cards").resume("night", without=["a,b|c"]).endswith("'--args=^/^resume/night/--without/a,b|c'")


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("gs://cards-runs/runs", "https://storage.cloud.google.com/cards-runs/runs/night/report.html"),
        ("gs://cards-runs/", "https://storage.cloud.google.com/cards-runs/night/report.html"),
        ("gs://cards-runs/a b#c", "https://storage.cloud.google.com/cards-runs/a%20b%23c/night/report.html"),
        (".runs", ".runs/night/report.html"),
        ("/srv/runs/", "/srv/runs/night/report.html"),
    ],
)
def test_the_page_opens_in_a_browser_or_as_a_file(uri: str, address: str) -> None:
    assert page_address(uri, "night") == address
