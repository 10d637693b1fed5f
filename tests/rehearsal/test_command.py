"""`rehearse` prints what is known of tonight, and calls and writes nothing."""

from __future__ import annotations

import html
import re
import shutil
import socket
from typing import TYPE_CHECKING

import pytest

from job.cli.main import main
from tests.rehearsal.recorded import contents, night, record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Rehearse = Callable[..., tuple[int, list[str], list[str]]]

PACES = [1.0, 1.1, 0.9, 1.05, 0.95, 1.0]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with a config and the records of six nights."""
    place = tmp_path_factory.mktemp("rehearsal")
    objects = {f"config/{name}": text.encode() for name, text in contents(night(10)).items()}
    for number, pace in enumerate(PACES):
        one = record(night(10, seed=number, pace=pace), number, str(place / "config"))
        objects |= {f"runs/{name}": data for name, data in one.items()}
    for name, data in objects.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return place


@pytest.fixture
def rehearse(recorded: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Rehearse:
    """Runs the command: its exit code, the lines that it prints, and those on standard error."""
    monkeypatch.setenv("CONFIG_URI", str(recorded / "config"))
    monkeypatch.setenv("RUNS_URI", str(recorded / "runs"))

    def run(*arguments: str) -> tuple[int, list[str], list[str]]:
        code = main(["rehearse", *arguments])
        out, err = capfd.readouterr()
        return code, out.splitlines(), err.splitlines()

    return run


def test_it_says_when_the_cards_are_there_and_how_good_that_is(rehearse: Rehearse) -> None:
    code, lines, err = rehearse("--set", "RUN_DEADLINE_SECONDS=3600", "--nights", "12")
    assert (code, err) == (0, [])
    assert lines[0] == "Tonight was rehearsed 12 times, with the answers of 6 past nights. No engine was called."
    assert re.fullmatch(
        r"The last card is there 1 min 5\d s after the start \(median\); .* \(p10\), .* \(p90\).", lines[1]
    )
    assert lines[2].startswith("Start at 02:00 UTC: that is at 02:0")
    assert lines[3:7] == [
        "All cards are made in 12 of 12 rehearsals.",
        "RUN_DEADLINE_SECONDS (1 h) cuts the run off in none of 12 rehearsals.",
        "Card requests that are paid for: 30.",
        "Calls in flight at most: financial 2, trading 2, news 8, qa 16.",
    ]
    assert lines[7].startswith("Backtest: 5 past nights were each predicted from those before it. The error was ")
    assert lines[8].startswith("As in run night-0 of 2026-11-24")
    assert len(lines) == 9


def test_the_risk_at_the_deadline(rehearse: Rehearse) -> None:
    _, lines, _ = rehearse("--set", "RUN_DEADLINE_SECONDS=90", "--nights", "6")
    assert any(line.startswith("RUN_DEADLINE_SECONDS (1 min 30 s) cuts the run off in 6 of 6") for line in lines)


def test_an_outage_is_at_a_time_of_the_night(rehearse: Rehearse) -> None:
    code, lines, _ = rehearse("--outage", "qa,02:01,10m", "--nights", "6")
    assert code == 0
    assert "The QA engine answers every call with 503 from 02:01, for 10 min." in lines
    assert any(line.startswith("In 6 rehearsals the run stops early, since the QA engine") for line in lines)


def test_before_there_are_enough_nights_it_says_that_it_cannot_know(
    rehearse: Rehearse, recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(recorded / "runs", tmp_path / "runs")
    for entry in sorted((tmp_path / "runs" / "_started").iterdir())[:2]:
        entry.unlink()
    monkeypatch.setenv("RUNS_URI", str(tmp_path / "runs"))
    code, lines, _ = rehearse()
    assert code == 0
    assert "cannot be known: 4 nights of this config are recorded, 5 are needed" in lines[0]


def test_of_a_concurrency_that_no_night_had_it_says_that_it_cannot_know(rehearse: Rehearse) -> None:
    code, lines, _ = rehearse("--set", "QA_ENGINE_CONCURRENCY=32")
    assert code == 0
    assert "of 6 recorded nights, 0 had QA_ENGINE_CONCURRENCY=32" in lines[0]


def everything(place: Path) -> Mapping[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in place.rglob("*") if path.is_file()}


def test_it_calls_and_writes_nothing(rehearse: Rehearse, recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, calls = everything(recorded), list[object]()
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, lambda _, *given: calls.append(given))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **_: calls.append(given))
    monkeypatch.setenv("QA_ENGINE_URL", "https://127.0.0.1:1")
    assert rehearse("--nights", "3")[0] == 0
    assert calls == []
    assert everything(recorded) == before


FAULTY = {
    "no such engine": (["--outage", "llm,06:40,10m"], '--outage: "llm,06:40,10m" is no outage'),
    "no time": (["--outage", "qa,6:40,10m"], '--outage: "qa,6:40,10m" is no outage'),
    "no duration": (["--outage", "qa,06:40,0m"], '--outage: "qa,06:40,0m" is no outage'),
    "no variable of an engine": (["--set", "RUNS_URI=x"], '--set: "RUNS_URI=x" is nothing that a rehearsal'),
    "no value": (["--set", "QA_ENGINE_CONCURRENCY="], '--set: "QA_ENGINE_CONCURRENCY=" is nothing that'),
    "a wrong value": (["--set", "QA_ENGINE_CONCURRENCY=no"], "QA_ENGINE_CONCURRENCY: "),
}


@pytest.mark.parametrize(("arguments", "fault"), FAULTY.values(), ids=FAULTY)
def test_what_cannot_be_rehearsed_is_one_error(rehearse: Rehearse, arguments: list[str], fault: str) -> None:
    code, lines, err = rehearse(*arguments)
    assert (code, lines, len(err)) == (2, [], 1)
    assert err[0].startswith(fault)


def test_without_runs_uri_there_is_nothing_to_learn_from(rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNS_URI")
    code, _, err = rehearse()
    assert (code, err) == (2, ["RUNS_URI: is not set; set it to where runs are recorded"])


def test_it_speaks_chinese(rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORT_LANGUAGE", "zh")
    _, lines, _ = rehearse("--nights", "6")
    assert lines[0] == "已用过去 6 晚的应答演练今晚 6 次。没有调用任何引擎。"


def usual_lines(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What `plan` says about how long tonight's run takes."""
    assert main(["plan"]) == 0
    return [line for line in capfd.readouterr().out.splitlines() if line.startswith("About ")]


@pytest.mark.usefixtures("rehearse")
def test_plan_says_about_how_long_the_run_takes(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = usual_lines(capfd)
    assert re.fullmatch(r"About 1 min 4\d s until the last card, as .* \(median error \d+%\)", line)
    monkeypatch.setenv("QA_ENGINE_CONCURRENCY", "12")
    assert usual_lines(capfd) == []


@pytest.mark.usefixtures("rehearse")
def test_plan_does_not_say_what_the_backtest_does_not_support(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("job.rehearsal.forecast.USABLE_ERROR", 0.0)
    assert usual_lines(capfd) == []


def test_the_page_shows_when_the_rehearsals_end(rehearse: Rehearse, tmp_path: Path) -> None:
    page = tmp_path / "tonight.html"
    code, lines, _ = rehearse("--nights", "12", "--page", str(page))
    assert (code, lines[-1]) == (0, f"page: {page}")
    text = html.unescape(page.read_text())
    assert all(f"<li>{line}</li>" in text for line in lines[:-1])
    shown = re.findall(r"<title>(\d+) rehearsals? ends? between 02:0\d and 02:0\d</title>", text)
    assert sum(map(int, shown)) == 12


def test_a_page_without_a_forecast_says_why(
    rehearse: Rehearse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "tonight.html"
    assert rehearse("--set", "QA_ENGINE_CONCURRENCY=12", "--page", str(page))[0] == 0
    assert "cannot be known" in page.read_text()
    assert "<svg" not in page.read_text()


def test_a_page_that_cannot_be_written_is_an_error(rehearse: Rehearse, tmp_path: Path) -> None:
    code, _, err = rehearse("--nights", "1", "--page", str(tmp_path / "no" / "page.html"))
    assert (code, len(err)) == (2, 1)
