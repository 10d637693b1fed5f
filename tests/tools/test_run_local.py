"""`make run-local` plays the whole system: it says if it ended as it should, and leaves nothing."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.simulators.job import ROOT
from tests.simulators.world import World
from tests.support.runs import run
from tests.support.world import open_virtual_world
from tests.tools import run_local

COMMAND = [sys.executable, "-m", "tests.tools.run_local"]
TICKERS = ["AAPL", "MSFT", "NVDA", "TSLA", "BRK.B", "0700.HK", "9988.HK", "600519.SS", "300750.SZ"]
CARD_TYPES = ["news_card", "earnings_card", "price_card", "valuation_card", "outlook_card"]


@pytest.fixture(autouse=True)
def of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the test apart from the developer's own runs and from changes of the sample config."""
    for name, content in (("ticker_list.json", TICKERS), ("card_types.json", CARD_TYPES)):
        (tmp_path / name).write_text(json.dumps(content))
    monkeypatch.setenv("RUN_LOCAL_CONFIG", str(tmp_path))
    monkeypatch.setenv("RUN_LOCAL_RUNS", str(tmp_path / "runs"))


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs make with the tests' own environment instead of `.venv`."""
    own = ("--no-print-directory", "--old-file=.venv/ready", f"BIN={Path(sys.executable).parent}")
    command, nothing = ("make", *own, *arguments), subprocess.DEVNULL
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False, stdin=nothing)


def test_a_night_begins_on_an_empty_record_and_a_command_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[str] = []

    async def play(command: list[str], environment: Mapping[str, str]) -> int:
        await trio.lowlevel.checkpoint()
        played.extend(command)
        assert "NOTIFY_URL" not in environment
        return 0

    monkeypatch.setattr(run_local, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(run_local, "_play", play)
    monkeypatch.setenv("NOTIFY_URL", "https://chat.example/of-the-real-group")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/recorded").touch()
    assert run_local.main(["--args=report"]) == 0
    assert (tmp_path / "runs/recorded").exists()
    assert run_local.main([]) == 0
    assert played == ["report", "run"]
    assert not (tmp_path / "runs/recorded").exists()


SEEN = {
    "financial": ("data_engine_failed", 0, 45),
    "flaky": ("succeeded", 45, 0),
    "qa": ("qa_engine_down", 0, 0),
    "token": ("data_engine_failed", 0, 45),
}
"""How the faults end that no slow test plays: the outcome, the cards that are done, and those not attempted."""


@pytest.mark.parametrize("fault", SEEN)
async def test_a_fault_ends_as_it_is_to_end(nursery: trio.Nursery, autojump_clock: MockClock, fault: str) -> None:
    config = {"ticker_list.json": TICKERS, "card_types.json": CARD_TYPES}
    async with open_virtual_world(nursery, config) as world:
        trouble = run_local.TROUBLES[fault]
        trouble.cause(world)
        finished = (await run(world, trouble.code)).finished
    assert (finished["outcome"], finished["cards"]["done"], finished["cards"]["not_attempted"]) == SEEN[fault]


def test_what_the_job_must_never_send_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also if it ends as its fault is to end."""
    left, report = iter((0, 1)), tmp_path / "runs" / "2026-11-24" / "report.json"

    async def play(*_: object) -> int:
        await trio.lowlevel.checkpoint()
        code = next(left)
        report.parent.mkdir(parents=True)
        report.write_text(json.dumps({"exit_code": code}))
        return code

    monkeypatch.setattr(run_local, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(run_local, "_play", play)
    monkeypatch.setattr(World, "violations", ["a card before its data"])
    assert [run_local.main([]), run_local.main(["news"])] == [1, 1]
    assert "FORBIDDEN: a card before its data\n" in capsys.readouterr().err


@pytest.mark.slow
def test_a_night_that_ends_as_its_fault_is_to_end_is_a_success_and_a_command_goes_on_with_it() -> None:
    """It says what there was to be seen. The next night begins on an empty record."""
    failed = make("run-local", "FAULT=trading")
    assert failed.returncode == 0, failed.stdout + failed.stderr
    assert not re.search(r"FORBIDDEN|\*\*\*", failed.stderr)
    assert "\nThe trading engine failed\n0 of 45 cards made" in failed.stdout
    assert "\nexit 1, as intended: no card was requested, and MSFT alone is named" in failed.stderr
    page = _record() / "report.html"
    assert page.read_text().startswith("<!doctype html>")
    assert (failed.stdout + failed.stderr).count(str(page)) == 1
    commands = re.findall(r"^  make (run-local .*)$", failed.stdout, re.MULTILINE)
    assert commands == ["run-local ARGS='run --without=MSFT'", "run-local ARGS=run"]
    without = make("run-local", "ARGS=run '--without=MSFT'", "FAULT=trading")
    assert without.returncode == 0, without.stdout + without.stderr
    assert "40 of 40 cards made; 5 left out: MSFT." in without.stdout
    anew = make("run-local")
    assert anew.returncode == 0, anew.stdout + anew.stderr
    assert json.loads((_record() / "report.json").read_text())["number"] == 1


def _record() -> Path:
    """The directory of the only day."""
    (report,) = Path(os.environ["RUN_LOCAL_RUNS"]).glob("*/report.json")
    return report.parent


@pytest.mark.slow
def test_off_a_terminal_signals_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with subprocess.Popen(COMMAND, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        shown = ""
        for line in process.stdout:
            shown += line
            if line.startswith("20"):
                process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert "\nInterrupted by SIGINT\n0 of 45 cards made" in shown
    assert [*tmp_path.glob("simulated-world-*")] == [], "nothing is left"


@pytest.mark.slow
def test_several_nights_lead_to_their_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "json")
    done = make("run-local", "NIGHTS=5")
    assert done.returncode == 0, done.stderr
    ends = [json.loads(line) for line in done.stdout.splitlines() if '"run.finished"' in line]
    assert [end["outcome"] for end in ends] == [
        "succeeded", "data_engine_failed", "succeeded", "cards_missing", "succeeded"
    ]  # fmt: skip
    page = (tmp_path / "runs" / "index.html").read_text()
    assert len(set(re.findall('href="([^"]+/report.html)"', page))) == 5
    assert str(tmp_path / "runs" / "index.html") in done.stderr
    assert ends[3]["start_command"] == f"make run-local ARGS='run --date={ends[3]['day']}'"
    mended = make(*shlex.split(ends[3]["start_command"])[1:])
    assert mended.returncode == 0, mended.stdout + mended.stderr
