"""`nights` and `report` print what the records hold, and need nothing else."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from job.day.attempt import ExitCode
from job.records.objects import RESTORE_IT
from tests.cli.conftest import At, Command
from tests.support.records import DAY, RecordedAttempt, config, lease_of, refusal, write

THREE = config(["AAPL", "MSFT", "TSLA"])
HALF = RecordedAttempt(failed=["MSFT"], outcome="cards_missing")
SHANGHAI = {"RUN_TIME_ZONE": "Asia/Shanghai"}
USELESS = {"QA_ENGINE_URL": "nonsense", "CONFIG_URI": "s3://x"}
"""They need the record and the time zone alone."""
SET = "set it to gs://BUCKET/PREFIX or to a directory"


# --- what they need ---


@pytest.mark.parametrize(
    ("verb", "name", "value", "fault"),
    [
        ("nights", "RUNS_URI", "", f"RUNS_URI: is not set; {SET}"),
        ("report", "RUNS_URI", "s3://x", "RUNS_URI: "),
        ("nights", "RUNS_URI", "/nowhere", f"RUNS_URI: /nowhere is not a directory; {SET}"),
        ("report", "RUNS_URI", "/nowhere", f"RUNS_URI: /nowhere is not a directory; {SET}"),
        ("verify", "RUN_TIME_ZONE", "Mars", 'RUN_TIME_ZONE: "Mars" is not valid; '),
    ],
)
def test_an_unusable_place_or_zone_is_one_fault(verb: str, name: str, value: str, fault: str, command: Command) -> None:
    code, out, err = command(verb, **{"RUNS_URI": "/runs", name: value})
    assert (code, out, len(err)) == (ExitCode.USAGE, [], 1)
    assert err[0].startswith(fault)


# --- nights ---


def test_nights_are_a_table_the_newest_first(runs: Path, command: Command, at: At) -> None:
    at(f"{DAY}T08:00")
    for day in range(17, 22):
        failed, outcome = (["MSFT"], "cards_missing") if day > 19 else ([], "succeeded")
        write(runs, RecordedAttempt(f"2026-11-{day}", outcome=outcome, failed=failed, seconds=15_000).record())
    write(runs, RecordedAttempt("2026-11-23", outcome=None, failed=["MSFT"]).record(), refusal(DAY))
    code, out, err = command("nights", **USELESS)
    assert (code, err) == (ExitCode.DONE, [])
    assert out == [
        "Day        Done at                       financial trading news qa Cards",
        "2026-11-24 The configuration has 1 fault ·         ·       ·    ·",
        "2026-11-23 The record breaks off         ·         ·       ·    ·",
        "2026-11-21 1 card is missing             ✓         ✓       ✓    ✗    1/2",
        "2026-11-20 1 card is missing             ✓         ✓       ✓    ✗    1/2",
        "2026-11-19 06:10                         ✓         ✓       ✓    ✓    2/2",
        "2026-11-18 06:10                         ✓         ✓       ✓    ✓    2/2",
        "2026-11-17 06:10                         ✓         ✓       ✓    ✓    2/2",
    ]


def test_a_night_that_cannot_be_read_is_a_row_and_a_fault(runs: Path, command: Command) -> None:
    write(
        runs, RecordedAttempt().record(), RecordedAttempt("2026-11-25").record() | {"2026-11-25/ends/000001.json": b"?"}
    )
    code, out, err = command("nights")
    assert code == ExitCode.USAGE
    assert [line.split()[:2] for line in out[1:3]] == [["2026-11-25", "The"], [DAY, "02:25"]]
    assert err == [f"RUNS_URI: 2026-11-25/ends/000001.json is not as the job wrote it; {RESTORE_IT}"]
    assert command("report") == (ExitCode.USAGE, [], err)
    unchecked = f"2026-11-25: could not be checked at 2026-11-26 01:00 UTC: {err[0].removeprefix('RUNS_URI: ')}"
    assert command("verify", "--date=2026-11-25") == (ExitCode.FAILED, [unchecked], [])


# --- report ---

KILLED = RecordedAttempt(outcome=None, failed=["MSFT"])


@pytest.mark.parametrize("arguments", [[], ["2026-11-24"]])
def test_a_report_is_that_of_the_latest_day_or_of_the_one_that_is_named(
    runs: Path, command: Command, arguments: list[str], at: At
) -> None:
    at("2026-11-25T01:55")
    before = RecordedAttempt("2026-11-23", objects=THREE).record()
    write(runs, before, HALF.record())
    code, out, err = command("report", *arguments, **USELESS)
    assert (code, err) == (ExitCode.DONE, [])
    assert out[0] == f"{DAY}: As of 02:25 UTC+08:00"
    assert out[1:3] == ["1 card is missing", "1 of 2 cards made; 1 missing: MSFT/news_card."]
    assert f"RUNS_URI={runs} CONFIG_URI=gs://cards/config python -m job run --date={DAY}" in "\n".join(out)


def test_a_night_is_shown_as_its_end_says_it_and_one_without_an_end_says_what_is_known(
    runs: Path, command: Command, at: At
) -> None:
    at("2026-11-25T01:55")
    before = RecordedAttempt("2026-11-23", objects=THREE)
    write(runs, before.record(), replace(HALF, before=before).record())
    (runs / "2026-11-23/attempts/000001.json").write_text("{}")
    assert "! No longer asked for since 2026-11-23, 1 card: TSLA/news_card." in command("report")[1]
    (runs / DAY / "ends/000001.json").unlink()
    assert "its calls in flight may have been charged too." in "\n".join(command("report")[1])


def test_without_credentials_the_command_that_makes_them_is_said(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # else it would look for a metadata server
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    said = "gs://b: there are no credentials for Cloud Storage; on a laptop, run: gcloud auth application-default login"
    assert command("report", RUNS_URI="gs://b/runs") == (ExitCode.TEMPFAIL, [], [f"RUNS_URI: {said}"])
    assert command("plan", "gs://b/config")[2][-1] == f"gs://b/config: {said}"
    (named,) = command("report", RUNS_URI="gs://b/runs", GOOGLE_APPLICATION_CREDENTIALS="/nowhere")[2]
    assert "File /nowhere was not found" in named, "a key that is not there is another matter"


def test_without_a_record_the_list_and_a_report_say_so(runs: Path, command: Command) -> None:
    assert command("nights") == (ExitCode.DONE, ["no night is recorded"], [])
    assert command("report") == (ExitCode.USAGE, [], ["RUNS_URI: no night is recorded"])
    assert command("report", DAY) == (
        ExitCode.USAGE,
        [],
        [f"RUNS_URI: No start of {DAY} has begun. Is the schedule paused?"],
    )


BREAKS_OFF = "The record breaks off"


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (0, "At work since 02:00 UTC+08:00"),
        (61, BREAKS_OFF),
    ],
)
def test_a_report_of_a_day_at_work_gives_no_command(runs: Path, command: Command, age: int, words: str, at: At) -> None:
    at(f"{DAY}T08:00")
    write(runs, RecordedAttempt(outcome=None).record(), {"_lease.json": lease_of(DAY)})
    renewed = time.time() - age  # noqa: TID251  files have the real time
    os.utime(runs / "_lease.json", (renewed, renewed))
    _, out, _ = command("report")
    assert out[1:3] == [words, "2 of 2 cards made."]
    assert ("python -m job run" in "\n".join(out)) is (age > 0)


def test_missing_cards_are_lines_for_other_programs(runs: Path, command: Command) -> None:
    write(runs, RecordedAttempt(objects=THREE, failed=["MSFT", "TSLA"], outcome="cards_missing").record())
    assert command("report", "--missing") == (ExitCode.DONE, ["MSFT\tnews_card", "TSLA\tnews_card"], [])
    write(runs, RecordedAttempt("2026-11-25").record())
    assert command("report", "--missing") == (ExitCode.DONE, [], ["Done: 2 of 2 cards made"])
    write(runs, refusal("2026-11-26"))
    why = "the start of 2026-11-26 was refused, so it is not known which cards are missing; leave it out to see why"
    assert command("report", "--missing") == (ExitCode.USAGE, [], [f"--missing: {why}"])
