"""`runs`, `report` and `verify` print what the records hold, wherever these are stored."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from job.cli.main import main
from job.config.faults import Fault
from job.config.objects import read_config
from job.engines.identity import RunIdentity
from job.report.format import entry_of
from job.report.outcome import ExitCode
from job.report.report import FAULT_LIMIT, FAULTS_LISTED
from job.report.summary import pack_summary
from job.storage.uri import address_of
from job.text.messages import Message
from tests.records.test_past import summary
from tests.support.parsed import Parsed
from tests.support.records import Recorded, refused, write

VARIABLES = ("CONFIG_URI", "RUN_DATE", "RUN_ID", "CLOUD_RUN_EXECUTION", "RUN_TIME_ZONE", "GOOGLE_CLOUD_PROJECT")
DAY = "2026-11-24"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs are recorded."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RUNS_URI", str(tmp_path / "runs"))
    monkeypatch.setenv("LOG_FORMAT", "json")
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def run_command(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str], str]:
    """The exit code, the lines of standard output, and standard error."""
    code = main(arguments)
    out, err = capfd.readouterr()
    return code, out.splitlines(), err


# --- runs ---

EARLY = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)


def test_runs_are_a_table_within_80_columns_newest_first(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(
        place,
        Recorded("cards-nightly-x7k2p", attempts=2),
        Recorded("20261123T180000Z-a1b2c3", outcome="data_engine_failed", started="2026-11-25T09:14:00+08:00"),
        Recorded("small", seconds=41.2, started="2026-11-24T01:00:00+08:00"),
    )
    refused(place, "before", [Fault("a.json", Message("is not JSON"), Message("correct it"))], EARLY)
    code, lines, err = run_command(capfd, "runs")
    assert (code, err) == (0, "")
    assert lines == [
        "date       started     outcome              took attempt run",
        "2026-11-24 11-25 09:14 data engine failed 25 min       1 20261123T180000Z-a1b2c3",
        "2026-11-24 02:00       succeeded          25 min       2 cards-nightly-x7k2p",
        "2026-11-24 01:00       succeeded            41 s       1 small",
        "2026-11-24 01:00       config faulty         0 s       1 before",
        "all times UTC+08:00",
    ]
    assert all(len(line) <= 80 for line in lines)


def test_a_long_id_is_shown_whole_and_shifts_no_column(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(place, Recorded("x" * 128), Recorded("y", started="2026-11-24T03:00:00+08:00"))
    _, lines, _ = run_command(capfd, "runs")
    assert lines[1].endswith(" y")
    assert lines[2].endswith(" " + "x" * 128)


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("process", "execution", "age", "outcome"),
    [
        ("this one", None, 0, "at work"),
        ("on another machine", "night", 30, "at work"),
        ("on another machine", "night", -3600, "at work"),
        ("on another machine", "night", 61, "killed"),
        ("dead", None, 0, "killed"),
    ],
    ids=["alive", "renewed", "ahead", "expired", "dead"],
)
def test_the_lease_distinguishes_a_run_at_work_from_one_that_was_killed(
    place: Path, capfd: pytest.CaptureFixture[str], process: str, execution: str | None, age: int, outcome: str
) -> None:
    night = Recorded("night", outcome=None)
    pid = {"this one": os.getpid(), "on another machine": 1, "dead": dead_pid()}[process]
    write(place, night, Recorded("other", outcome=None), lease=night.lease(pid=pid, execution=execution))
    renewed = datetime.now(UTC).timestamp() - age
    os.utime(place / "_lease.json", (renewed, renewed))
    code, lines, _ = run_command(capfd, "runs")
    assert code == 0
    assert {re.sub(" +", " ", line) for line in lines[1:3]} == {
        f"2026-11-24 02:00 {outcome} night",
        "2026-11-24 02:00 killed other",
    }
    assert lines[3] == "at work or killed: judged by the lease, which a run at work renews every 15 seconds"


@pytest.mark.parametrize("closed", [None, "cards_missing"])
def test_a_report_of_a_run_at_work_says_so_and_gives_no_command(
    place: Path, capfd: pytest.CaptureFixture[str], closed: str | None
) -> None:
    """Also if an earlier attempt has closed its record."""
    night = Recorded("night", outcome=closed)
    lease = night.lease("another", pid=os.getpid(), execution=None)
    write(place, night, lease=lease)
    code, lines, _ = run_command(capfd, "report", "night", "--page", str(place / "page.html"))
    assert code == 0
    assert lines[-1].startswith("According to its lease, the run is at work; ")
    assert f"trace id: {RunIdentity('night').trace_id}" in lines
    assert not any("python -m job" in line for line in lines)
    assert "<h1>At work: " in (place / "page.html").read_text()
    write(place, lease=night.lease("another", pid=dead_pid(), execution=None))
    _, lines, _ = run_command(capfd, "report", "night")
    assert lines[-1].startswith("The run was killed: 1 of 2 cards are recorded, but perhaps not those of its last ")
    assert lines[-2].endswith("python -m job resume night")


@pytest.mark.parametrize("since", ["01", "05"])
@pytest.mark.parametrize(("owner", "outcome"), [("owner", "succeeded"), ("another", "at work")])
def test_a_run_that_was_resumed_since_its_report_is_at_work_whatever_the_clocks_say(
    place: Path, capfd: pytest.CaptureFixture[str], owner: str, outcome: str, since: str
) -> None:
    """The lease of a closed run may still be there: the report lists the attempts that it counts."""
    night = Recorded("night", config_uri="gs://c")
    write(place, night, lease=night.lease(owner, since=f"2026-11-24T{since}:00:00+08:00"))
    _, lines, _ = run_command(capfd, "runs")
    assert f" {outcome} " in lines[1]
    _, lines, _ = run_command(capfd, "report", "night")
    assert ("the run is at work" in "\n".join(lines)) is (outcome == "at work")
    assert run_command(capfd, "verify", "--date", DAY)[0] == (0 if outcome == "succeeded" else 1)


@pytest.mark.parametrize("hours", [-5, 0, 5])
@pytest.mark.parametrize("is_counted", [False, True])
def test_whether_an_attempt_closed_the_record_does_not_depend_on_its_clock(
    place: Path, capfd: pytest.CaptureFixture[str], is_counted: bool, hours: int
) -> None:
    """It was killed, unless the report counts its results: then another attempt has closed the record after it."""
    night = Recorded("night", config_uri="gs://c")
    write(place, night, **night.journal("another", hours))
    if is_counted:
        report = json.loads((place / "night/report.json").read_bytes())
        report["journal"]["another"] = 1
        (place / "night/report.json").write_text(json.dumps(report))
    outcome = "succeeded" if is_counted else "killed"
    _, lines, _ = run_command(capfd, "runs")
    assert f" {outcome} " in lines[1]
    _, lines, _ = run_command(capfd, "report", "night")
    assert ("The run was killed" in "\n".join(lines)) is (outcome == "killed")
    assert run_command(capfd, "verify", "--date", DAY)[0] == (0 if outcome == "succeeded" else 1)


def test_a_report_that_lists_no_attempts_counts_all_of_them(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is of an earlier version."""
    write(place, Recorded("night", config_uri="gs://c"))
    report = json.loads((place / "night/report.json").read_bytes())
    del report["journal"]
    (place / "night/report.json").write_text(json.dumps(report))
    assert " succeeded " in run_command(capfd, "runs")[1][1]
    assert "How it ended." in "\n".join(run_command(capfd, "report", "night")[1])


def test_an_earlier_report_is_not_shown_if_a_later_config_was_not_finished(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    night = Recorded("night", config_uri="gs://c")
    later = Recorded("night", config_uri="gs://c", tickers=("AAPL", "MSFT", "NVDA"), generation="8", number=1)
    write(place, night, **{"night/inputs-000001.json": later.objects()["night/inputs.json"]})
    _, lines, _ = run_command(capfd, "runs")
    assert " killed " in lines[1]
    _, lines, _ = run_command(capfd, "report", "night")
    assert "The run was killed: " in "\n".join(lines)


def test_a_run_that_began_again_after_its_faults_is_listed_once(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refused(place, "night", [Fault("a.json", Message("is not JSON"), Message("correct it"))], EARLY)
    assert " config faulty " in run_command(capfd, "runs")[1][1]
    write(place, Recorded("night", outcome=None))
    (place / "night/report.json").unlink()
    refused(place, "night", [Fault("a.json", Message("is not JSON"), Message("correct it"))], EARLY)
    _, lines, _ = run_command(capfd, "runs")
    assert len([line for line in lines if line.endswith("night")]) == 1
    assert " killed " in lines[1], "the report is of an attempt before the run had a plan"
    code, lines, _ = run_command(capfd, "report", "night")
    assert (code, "The run was killed: " in "\n".join(lines)) == (0, True)
    write(place, Recorded("night"))
    _, lines, _ = run_command(capfd, "runs")
    assert [" succeeded " in line for line in lines[1:-1]] == [True]


def test_without_a_recorded_run_no_table_is_printed(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(capfd, "runs") == (0, ["no run is recorded"], "")


# --- report ---


def test_the_report_without_an_id_is_that_of_the_latest_run(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(place, Recorded("zzz"), Recorded("aaa", started="2026-11-24T03:00:00+08:00"))
    assert run_command(capfd, "report") == run_command(capfd, "report", "aaa")
    assert run_command(capfd, "report")[1][0].startswith("run aaa for 2026-11-24, started 03:00 UTC+08:00, took ")


def test_the_report_without_an_id_is_an_error_if_no_run_is_recorded(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command(capfd, "report") == (ExitCode.USAGE, [], "RUNS_URI: has no record of any run\n")


@pytest.mark.parametrize("run_id", ["other", "../other"])
def test_a_run_id_that_is_not_there_leads_to_those_that_are(
    place: Path, capfd: pytest.CaptureFixture[str], run_id: str
) -> None:
    try:
        code = main(["report", run_id])
    except SystemExit as error:
        code = int(str(error.code))
    assert code == ExitCode.USAGE
    assert f"`RUNS_URI={place} python -m job runs` lists " in capfd.readouterr().err


def test_a_password_in_runs_uri_is_not_shown_to_whoever_mistypes_a_run_id(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNS_URI", "https://user:password@host/runs")
    with pytest.raises(SystemExit):
        main(["report", "a b"])
    assert "password" not in capfd.readouterr().err


def test_the_report_ends_with_the_page_and_the_trace(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(place, Recorded("night"))
    _, lines, _ = run_command(capfd, "report", "night")
    trace = f"trace id: {RunIdentity('night').trace_id}"
    assert f"page: {place}/night/report.html" in lines
    assert lines[-1] == trace
    (place / "night/report.html").unlink()
    _, lines, _ = run_command(capfd, "report", "night")
    assert lines[-1] == trace
    assert not any(line.startswith("page: ") for line in lines), "there is none"


@pytest.mark.parametrize("page", ["/a b/page.html", "page.html"])
def test_the_path_of_the_page_that_is_written_is_printed(
    place: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = f"{tmp_path}{page}" if page.startswith("/") else page
    Path(path).parent.mkdir(exist_ok=True)
    write(place, Recorded("night"))
    assert f"page: {path}" in run_command(capfd, "report", "night", "--page", path)[1]


def test_a_page_that_is_made_later_links_the_night_after(
    place: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write(place, Recorded("night"), Recorded("next", day="2026-11-25", started="2026-11-25T02:00:03+08:00"))
    (place / "next/summary.json").write_bytes(pack_summary(summary("next", "2026-11-25")))
    page = tmp_path / "page.html"
    assert run_command(capfd, "report", "night", "--page", str(page))[0] == 0
    assert f'<a href="{(place / "next/report.html").as_uri()}">The night after: 2026-11-25</a>' in page.read_text()
    assert run_command(capfd, "report", "next", "--page", str(page))[0] == 0
    assert "The night after" not in page.read_text()


def test_the_table_of_a_run_is_written_whatever_else_its_record_has(
    place: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write(place, Recorded("night", outcome="cards_missing"))
    assert run_command(capfd, "report", "night", "--csv", str(tmp_path / "cards.csv"))[0] == 0
    lines = (tmp_path / "cards.csv").read_bytes().decode("utf-8-sig").split("\r\n")
    assert [line.split(",")[0:5] for line in lines[1:-1]] == [
        ["AAPL", "equity", "news_card", "failed", "status"],
        ["MSFT", "equity", "news_card", "made", ""],
    ]


def test_a_table_that_cannot_be_written_is_an_error(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(place, Recorded("night"))
    file = place / "no" / "cards.csv"
    assert run_command(capfd, "report", "night", "--csv", str(file)) == (2, [], f"{file}: No such file or directory\n")


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("gs://my-runs/runs", "https://storage.cloud.google.com/my-runs/runs/night/report.html"),
        ("gs://my-runs/", "https://storage.cloud.google.com/my-runs/night/report.html"),
        ("gs://my-runs/a b/#", "https://storage.cloud.google.com/my-runs/a%20b/%23/night/report.html"),
        ("runs", "runs/night/report.html"),
        ("/srv/runs/", "/srv/runs/night/report.html"),
    ],
)
def test_the_address_that_opens_a_page(uri: str, address: str) -> None:
    assert address_of(uri, "night/report.html") == address


def test_the_report_of_a_faulty_configuration_lists_its_faults(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refused(
        place,
        "night",
        [
            Fault("a.json: [0]", Message("is blank"), Message("write an id")),
            Fault("B", Message("is not set"), Message("set it")),
        ],
        EARLY,
    )
    code, lines, _ = run_command(capfd, "report", "night")
    check = "python -m job plan gs://cards/config"
    assert code == 0
    assert lines[1:-1] == [
        "✗ a.json: [0]: is blank; write an id",
        "✗ B: is not set; set it",
        f"Correct the configuration. {check} shows whether a fault is left in the config objects; it calls nothing.",
        "Once that is corrected, this starts it again:",
        "  RUN_DATE=2026-11-24 python -m job run",
        "The configuration has 2 faults: nothing was called. (exit code 2)",
    ]


def faults_of(objects: dict[str, object]) -> list[Fault]:
    return read_config({name: json.dumps(value).encode() for name, value in objects.items()})[1]


def test_a_recorded_fault_is_english_in_the_report_and_chinese_where_a_person_reads_it(
    place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refused(place, "night", faults_of({"ticker_list.json": ["AAPL"], "card_types.json": [7] * 5}), EARLY)
    path = place / "night/report.json"
    report = json.loads(path.read_text())
    where = "card_types.json: [0] (7), [1] (7), [2] (7) and 2 more"
    recorded = {key: value for key, value in report["faults"][0].items() if not key.endswith("_message")}
    assert recorded == {"where": where, "what": "is not a string", "remedy": "write it in quotes"}
    monkeypatch.setenv("REPORT_LANGUAGE", "zh")
    page = tmp_path / "page.html"
    _, lines, _ = run_command(capfd, "report", "night", "--page", str(page))
    assert lines[1] == "✗ card_types.json：[0] (7), [1] (7), [2] (7) 及另外 2 处：不是字符串；请加上引号"
    text = Parsed(page.read_text()).text
    assert "card_types.json：[0] (7), [1] (7), [2] (7) 及另外 2 处 不是字符串 处理办法： 请加上引号" in text
    # An early version of the job recorded only the text.
    path.write_text(json.dumps(report | {"faults": [recorded]}))
    _, lines, _ = run_command(capfd, "report", "night")
    assert lines[1] == f"✗ {where}：不是字符串；请加上引号"


def test_the_faults_of_a_report_are_bounded_and_counted(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refused(
        place, "night", [Fault("x" * 10**5, Message("y" * 10**5), Message("z" * 10**5))] * (FAULTS_LISTED + 7), EARLY
    )
    assert (place / "night/report.json").stat().st_size < FAULTS_LISTED * (6 * FAULT_LIMIT + 500)
    _, lines, _ = run_command(capfd, "report", "night")
    assert lines[FAULTS_LISTED + 1] == "and 7 more"


@pytest.mark.parametrize("closed", ["cards_missing", None])
def test_the_report_of_a_run_without_a_date_offers_a_new_run_for_its_day_once_that_is_over(
    place: Path, capfd: pytest.CaptureFixture[str], closed: str | None
) -> None:
    """A resume would be refused: the engines would use another date than for the run's data."""
    write(place, Recorded("night", outcome=closed, has_date=False))
    code, lines, _ = run_command(capfd, "report", "night", "--page", str(place / "page.html"))
    assert code == 0
    assert not any(" resume " in line for line in lines)
    assert "".join(lines[-4:-2]).endswith("this starts a new run for 2026-11-24, which makes all its cards:")
    assert lines[-2] == "  RUN_DATE=2026-11-24 python -m job run"
    page = (place / "page.html").read_text()
    assert "<code>RUN_DATE=2026-11-24 python -m job run</code>" in page
    assert " resume " not in page


def test_the_missing_cards_are_printed_without_characters_that_change_the_terminal(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    odd = "A\u00a0\ue000"  # an id may have them
    write(place, Recorded("night", tickers=(odd, "AAPL"), outcome="cards_missing"))
    code, lines, _ = run_command(capfd, "report", "night", "--missing")
    assert code == 0
    assert lines == ["A\ufffd\ufffd\tnews_card"]


@pytest.mark.parametrize("wanted", ["missing", "csv"])
def test_the_cards_of_a_run_without_a_plan_are_an_error(
    place: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path, wanted: str
) -> None:
    refused(place, "night", [Fault("a.json", Message("is not JSON"), Message("correct it"))], EARLY)
    file = tmp_path / "cards.csv"
    arguments = ["--missing"] if wanted == "missing" else ["--csv", str(file)]
    said = "run night had no plan, so there is no list of its cards\n"
    assert run_command(capfd, "report", "night", *arguments) == (2, [], said)
    assert not file.exists()


# --- verify ---


@pytest.mark.parametrize(
    ("arguments", "date", "code"),
    [
        (["--date", DAY], None, 0),
        (["--date", DAY], "2026-11-20", 0),
        (["--date", "2026-11-20"], DAY, 1),
        ([], DAY, 0),
        ([], "2026-11-20", 1),
        ([], None, 1),
        (["--date", DAY], "yesterday", 0),
        ([], "yesterday", 2),
    ],
)
def test_verify_looks_for_the_date_that_is_asked_for(
    place: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    date: str | None,
    code: int,
) -> None:
    write(place, Recorded("night"))
    if date:
        monkeypatch.setenv("RUN_DATE", date)
    assert run_command(capfd, "verify", *arguments)[0] == code


def test_an_invalid_date_is_a_usage_error(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", "--date", "24.11.2026"])
    assert ended.value.code == ExitCode.USAGE
    assert "is not a date; write YYYY-MM-DD" in capfd.readouterr().err


def test_a_day_long_ago_is_found_behind_many_later_runs(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(place, Recorded("night"))
    for number in range(60):
        started = datetime(2026, 12, 1, tzinfo=UTC) + timedelta(days=number)
        (place / entry_of(f"later-{number}", started.isoformat())).touch()
    assert run_command(capfd, "verify", "--date", DAY)[0] == 0
    code, (line,), _ = run_command(capfd, "verify", "--date", "2026-01-01")
    assert code == 1
    assert "no run of 2026-01-01 is recorded among the latest 50 runs and those that started about then" in line


# --- resume ---


@pytest.mark.parametrize("more", [(), ("--new-config",)])
def test_a_resume_of_a_cloud_run_jobs_run_without_its_engines_says_how_to_resume_it_there(
    place: Path, capfd: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    write(place, Recorded(outcome="cards_missing", job="cards"))
    code, lines, err = run_command(capfd, "resume", "night", *more)
    assert (code, err) == (2, "")
    line = json.loads(lines[-1])
    assert line["message"].startswith("Run night began as the Cloud Run job cards, and the engines are not set here.")
    assert line["resume_command"] == f"gcloud run jobs execute cards --args={','.join(('resume', 'night', *more))}"
    assert not [name for name in (place / "night").iterdir() if name.name == "attempts"], "nothing is written"
